"""Why something may have come out otherwise than it was recorded: what is not now as it was then.

A hint is no proof: what differs between two worlds may have had no part in it. `reproduce` varies one thing at a time.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Final

import msgspec

from entrenar_research.core.reproducing import causes
from entrenar_research.models.run import Environment
from entrenar_research.models.statement import HardwareClass
from entrenar_research.models.verdict import Hint

SOURCES: Final = "other code or data"
PYTHON: Final = "another Python"
PACKAGES: Final = "other packages"
TOOLCHAIN: Final = "another toolchain"
RUNNER: Final = "another runner"
CARDS: Final = "another graphics card"
VARIABLES: Final = "other variables"
_FIXES: Final = {
    **causes.FIXES,
    SOURCES: "restore what the run was made from, or run it anew",
    PYTHON: "use the Python of the run, or pin one: `env lock`, `run --runner nix`",
    PACKAGES: "install the versions that the run had, or pin them: `env lock`, `run --runner nix`",
    TOOLCHAIN: "go back to the lock of the run (`env diff` tells what changed), or run it anew",
    RUNNER: "verify it by the runner that made it, or run it anew by this one",
    CARDS: "compare on the same card and driver, or declare a tolerance",
    VARIABLES: "set them as they were, or declare them away",
}
_KERNELS: Final = (
    "ATEN_CPU_CAPABILITY", "GLIBC_TUNABLES", "MKL_CBWR", "MKL_ENABLE_INSTRUCTIONS", "NPY_DISABLE_CPU_FEATURES",
    "ONEDNN_MAX_CPU_ISA", "OPENBLAS_CORETYPE",
)  # fmt: skip
_CAUSES: Final = {
    **dict.fromkeys(_KERNELS, causes.CPU),
    "PYTHONHASHSEED": causes.HASH_ORDER,
    **{f"{name}_NUM_THREADS": causes.THREADS for name in ("MKL", "NUMEXPR", "OMP", "OPENBLAS")},
    **dict.fromkeys(("LANG", "LC_ALL", "PYTHONUTF8"), causes.LOCALE),
    "TZ": causes.ZONE,
    "SOURCE_DATE_EPOCH": causes.STAMPS,
}
"""What a variable decides, by its name."""
_PIN: Final = "OPENBLAS_CORETYPE"
"""Where this is set, kernels are the same on all machines that have them."""
_TOLD: Final = 4
"""So many changes are told of one kind."""
_LONGEST: Final = 32
"""So many characters of a variable's value."""


class World(msgspec.Struct, frozen=True, kw_only=True):
    """What something was carried out in: `toolchain` are the store paths of a sealed world.

    `cards` are the graphics cards, None where nobody wrote down whether there were any.
    """

    runner: str
    hardware: HardwareClass | None = None
    cards: tuple[str, ...] | None = ()
    environment: Environment | None = None
    toolchain: tuple[str, ...] | None = None


def hint(cause: str, evidence: str, *, seen: bool = False) -> Hint:
    """A possible cause, or one that the content tells, with what is to be done about it."""
    return Hint(cause=cause, sure="seen" if seen else "possible", evidence=evidence, fix=_FIXES[cause])


def of_sources(changes: tuple[str, ...]) -> Iterator[Hint]:
    """That what it is made from changed since."""
    if changes:
        yield hint(SOURCES, _listed(changes))


def of_worlds(then: World, now: World) -> Iterator[Hint]:
    """What of the world is not as it was, the likelier first; of an environment that is not known nothing is said."""
    if then.toolchain is not None and now.toolchain is not None and then.toolchain != now.toolchain:
        gone = [path.partition("-")[2] for path in then.toolchain if path not in now.toolchain]
        yield hint(TOOLCHAIN, f"the lock is not that of the run: {_listed(tuple(gone))} changed")
    grouped: dict[str, list[str]] = {}
    pinned = False
    if then.environment is not None and now.environment is not None:
        yield from _of_versions(then.environment, now.environment)
        grouped = _of_variables(then.environment.variables, now.environment.variables)
        pinned = all(_PIN in world.variables for world in (then.environment, now.environment))
    if machines := _of_machines(then, now, pinned=pinned):
        grouped.setdefault(causes.CPU, []).insert(0, machines)
    for cause, changes in grouped.items():
        yield hint(cause, _listed(tuple(changes)))
    if then.cards is not None and now.cards is not None and then.cards != now.cards:
        yield hint(CARDS, f"{', '.join(then.cards) or 'none'} -> {', '.join(now.cards) or 'none'}")
    if then.runner != now.runner:
        yield hint(RUNNER, f"run by {then.runner}, now by {now.runner}")


def _of_versions(one: Environment, other: Environment) -> Iterator[Hint]:
    if one.python and other.python and one.python != other.python:
        yield hint(PYTHON, f"Python {one.python} -> {other.python}")
    packages = [(name, version, other.packages.get(name, "absent")) for name, version in one.packages.items()]
    changed = tuple(f"{name} {then} -> {now}" for name, then, now in packages if then != now)
    if changed:
        yield hint(PACKAGES, _listed(changed))


def _of_variables(one: Mapping[str, str], other: Mapping[str, str]) -> dict[str, list[str]]:
    """The variables that are not as they were, by what they decide."""
    grouped: dict[str, list[str]] = {}
    for name in sorted({*one, *other}):
        if one.get(name) != other.get(name):
            change = f"{name}: {_short(one.get(name))} -> {_short(other.get(name))}"
            grouped.setdefault(_CAUSES.get(name, VARIABLES), []).append(change)
    return grouped


def _of_machines(then: World, now: World, *, pinned: bool) -> str | None:
    if then.hardware == now.hardware and then.hardware is not None:
        return None
    if then.hardware is None:
        return None if pinned else "the record does not say on what kind of machine it was"
    how = "although kernels are pinned" if pinned else "no kernels are pinned"
    return f"recorded on {then.hardware}, here {now.hardware or 'unknown'}; {how}"


def _short(value: str | None) -> str:
    if value is None:
        return "absent"
    return value if len(value) <= _LONGEST else value[: _LONGEST - 3] + "..."


def _listed(words: tuple[str, ...]) -> str:
    more = f" and {len(words) - _TOLD} more" if len(words) > _TOLD else ""
    return ", ".join(words[:_TOLD]) + more
