"""What is varied or held still, one thing at a time: the factors, as changes to the way in which a command is run."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Final

import msgspec

from entrenar_research.core.reproducing import causes
from entrenar_research.core.sweeps import suggest

USUAL_STAMP: Final = 1_577_836_800
"""The modification time of every file in a scratch copy: 2020-01-01, the same for all rebuilds."""
_OTHER_STAMP: Final = 1_609_459_261
_DAYS: Final = 400


class Alteration(msgspec.Struct, frozen=True, kw_only=True):
    """How one rebuild differs from the usual one.

    `variables` are set, or unset where None. `hook` is what the hook in Python programs does, `launcher` what is done
    before the command is executed; `entropy` there stands for devices of random bytes that are always the same. `place`
    and `temporary` are other directories, relative to the scratch place. `memory` says to work on a file system in
    memory, `backwards` to make the copy's files in the other order.
    """

    variables: Mapping[str, str | None] = {}
    hook: Mapping[str, str] = {}
    launcher: Mapping[str, int | str] = {}
    place: str | None = None
    temporary: str | None = None
    home: str | None = None
    stamp: int = USUAL_STAMP
    memory: bool = False
    backwards: bool = False


class Here(msgspec.Struct, frozen=True, kw_only=True):
    """What of this machine the factors go by: threads of the plan, one of its CPUs, locales, CPU features."""

    threads: int
    cpu: int
    locales: tuple[str, ...] = ()
    features: tuple[str, ...] = ()
    machine: str = "x86_64"


class Factor(msgspec.Struct, frozen=True, kw_only=True):
    """Something that must make no difference: its name on the command line, its cause, what is done to vary it."""

    name: str
    cause: str
    words: str
    pinned: bool = False


FACTORS: Final = (
    Factor(name="path", cause=causes.PATH, words="the study at another place"),
    Factor(name="tmp", cause=causes.TEMPORARY, words="another TMPDIR"),
    Factor(name="home", cause=causes.HOME, words="another HOME, USER and LOGNAME"),
    Factor(name="host", cause=causes.HOST, words="another host name"),
    Factor(name="clock", cause=causes.CLOCK, words=f"{_DAYS} days later, for programs in Python"),
    Factor(name="mtime", cause=causes.STAMPS, words="other modification times, no SOURCE_DATE_EPOCH"),
    Factor(name="umask", cause=causes.UMASK, words="another umask"),
    Factor(name="order", cause=causes.DIRECTORY_ORDER, words="directories in another order"),
    Factor(name="cpu", cause=causes.CPU, words="kernels for an older CPU"),
    Factor(name="hash", cause=causes.HASH_ORDER, words="another PYTHONHASHSEED", pinned=True),
    Factor(name="threads", cause=causes.THREADS, words="more threads", pinned=True),
    Factor(name="locale", cause=causes.LOCALE, words="another locale and encoding", pinned=True),
    Factor(name="timezone", cause=causes.ZONE, words="another time zone", pinned=True),
)
"""What can be varied. What is `pinned` is the same for every run of this tool, but not where nobody pins it."""
BY_NAME: Final = {factor.name: factor for factor in FACTORS}
GROUPS: Final = {
    "all": tuple(BY_NAME),
    "unpinned": tuple(factor.name for factor in FACTORS if not factor.pinned),
    "none": (),
}
ROUNDS: Final = 2
"""Ways to vary each factor: what has two states by chance equal (a set of two, a directory of two) has not twice."""
HELD: Final = {
    causes.RANDOMNESS: ("randomness", "sources of randomness give always the same: those of Python, and /dev/urandom"),
    causes.CLOCK: ("the clock", "clocks count calls instead of seconds, for programs in Python"),
    causes.THREADS: ("threads", "threads run one after another, on one CPU"),
    causes.ADDRESS: ("memory", "memory is laid out always the same (no ASLR)"),
}
"""What can be held still, by the cause that this rules out: in a word, and how."""


def chosen(text: str) -> tuple[str, ...]:
    """The factors that a person names: `hash,order`, or a group: all, unpinned, none.

    Raises:
        UsageError: if there is no such factor.
    """
    found: dict[str, None] = {}
    for word in filter(None, (part.strip() for part in text.split(","))):
        if word not in BY_NAME and word not in GROUPS:
            raise suggest.unknown("factor", word, (*BY_NAME, *GROUPS))
        found.update(dict.fromkeys(GROUPS.get(word, (word,))))
    return tuple(found)


def varied(name: str, number: int, here: Here) -> Alteration:
    """The factor varied in its first (0) or second way (1)."""
    return _WAYS[name](number, here)


def held(cause: str, here: Here) -> Alteration:
    """What rules out a cause: see `HELD`."""
    if cause == causes.RANDOMNESS:
        return Alteration(hook={"random": "hold"}, launcher={"entropy": 1})
    if cause == causes.CLOCK:
        return Alteration(hook={"clock": "hold"})
    if cause == causes.THREADS:
        return Alteration(hook={"threads": "hold"}, launcher={"cpus": str(here.cpu)})
    return Alteration(launcher={"addresses": 1})


def together(alterations: Iterable[Alteration]) -> Alteration:
    """Several at once; they have nothing in common but what is said for each."""
    whole = Alteration()
    usual = {name: getattr(whole, name) for name in Alteration.__struct_fields__}
    for item in alterations:
        changes = {}
        for name, ordinary in usual.items():
            value = getattr(item, name)
            if isinstance(value, Mapping):
                changes[name] = {**getattr(whole, name), **value}
            elif value != ordinary:
                changes[name] = value
        whole = msgspec.structs.replace(whole, **changes)
    return whole


def _path(number: int, _: Here) -> Alteration:
    return Alteration(place=("elsewhere/deeper", "z")[number])


def _tmp(number: int, _: Here) -> Alteration:
    return Alteration(temporary=("other-temporary", "t")[number])


def _home(number: int, _: Here) -> Alteration:
    name = ("somebody", "zoe")[number]
    return Alteration(home=f"homes/{name}", variables={"USER": name, "LOGNAME": name})


def _host(number: int, _: Here) -> Alteration:
    name = ("somewhere-else", "z1")[number]
    return Alteration(launcher={"host": name}, variables={"HOSTNAME": name})


def _clock(number: int, _: Here) -> Alteration:
    return Alteration(hook={"clock": str((number + 1) * (_DAYS * 86400 + 7 * 3600 + 37 * 60))})


def _mtime(number: int, _: Here) -> Alteration:
    return Alteration(stamp=_OTHER_STAMP + number * 86_461, variables={"SOURCE_DATE_EPOCH": None})


def _umask(number: int, _: Here) -> Alteration:
    return Alteration(launcher={"umask": (0o077, 0o002)[number]})


def _order(number: int, _: Here) -> Alteration:
    return Alteration(hook={"order": ("reverse", "mixed")[number]}, memory=True, backwards=number == 0)


def _cpu(number: int, here: Here) -> Alteration:
    if here.machine != "x86_64":
        older = ("ARMV8", "CORTEXA53")[number]
        return Alteration(variables={"OPENBLAS_CORETYPE": older, "ATEN_CPU_CAPABILITY": "default"})
    less = ("-AVX2,-AVX,-FMA,-FMA4,", "")[number] + "-AVX512F,-AVX512VL,-AVX512BW,-AVX512DQ"
    widest = tuple(item for item in here.features if "512" in item or item == "X86_V4")
    features = (here.features, widest)[number]
    return Alteration(
        variables={
            "OPENBLAS_CORETYPE": ("Prescott", "Haswell")[number],
            "NPY_DISABLE_CPU_FEATURES": " ".join(features) or None,
            "GLIBC_TUNABLES": "glibc.cpu.hwcaps=" + less,
            "MKL_ENABLE_INSTRUCTIONS": ("SSE4_2", "AVX2")[number],
            "MKL_CBWR": ("COMPATIBLE", "AVX2")[number],
            "ONEDNN_MAX_CPU_ISA": ("SSE41", "AVX2")[number],
            "ATEN_CPU_CAPABILITY": ("default", "avx2")[number],
        }
    )


def _hash(number: int, _: Here) -> Alteration:
    return Alteration(variables={"PYTHONHASHSEED": ("1", "4242")[number]})


def _threads(number: int, here: Here) -> Alteration:
    count = str(here.threads + (3, 1)[number])
    names = ("MKL", "NUMEXPR", "OMP", "OPENBLAS")
    return Alteration(variables={f"{name}_NUM_THREADS": count for name in names})


def _locale(number: int, here: Here) -> Alteration:
    name = here.locales[number % len(here.locales)] if here.locales else "C"
    found: dict[str, str | None] = {"LC_ALL": name, "LANG": name, "LANGUAGE": None}
    if name in ("C", "POSIX"):
        found |= {"PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
    return Alteration(variables=found)


def _timezone(number: int, _: Here) -> Alteration:
    return Alteration(variables={"TZ": ("XYZ-11:30", "ABC+9")[number]})


_WAYS: Final = {
    "path": _path, "tmp": _tmp, "home": _home, "host": _host, "clock": _clock, "mtime": _mtime, "umask": _umask,
    "order": _order, "cpu": _cpu, "hash": _hash, "threads": _threads, "locale": _locale, "timezone": _timezone,
}  # fmt: skip
