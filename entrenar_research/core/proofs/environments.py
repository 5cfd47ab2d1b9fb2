"""What is hashed of an environment: the sealed world of a hermetic run, or what is recorded of a host.

The text is lines of fields with tabs between, sorted by their bytes, each ended by a newline; docs/proofs.md has an
example that needs no tool of ours.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from entrenar_research.core import digests
from entrenar_research.models.proof import Hermetic
from entrenar_research.models.run import Environment

_SYSTEMS = {"amd64": "x86_64", "arm64": "aarch64"}


def of_hermetic(world: Hermetic) -> str:
    """`sha256:<hex>` over every store path of the toolchain, the system, the pins and the settings of the sandbox.

    Not over the version of Nix, nor over the store the paths lie in: they change nothing of what is inside.
    """
    rows = [
        ("kind", "nix"),
        ("system", world.system),
        *(("path", item.path, item.hash, str(item.size)) for item in world.closure),
        *(("pin", name, value) for name, value in world.pins.items()),
        *(("setting", name, value) for name, value in of_sandbox(world.settings).items()),
    ]
    return _digest(rows)


def of_sandbox(settings: Mapping[str, str]) -> dict[str, str]:
    """Of the settings of Nix, those that decide what a build can see: the others differ from machine to machine."""
    return {name: value for name, value in settings.items() if name.startswith("sandbox")}


def sealed(world: Hermetic) -> bool:
    """Whether the sandbox was on, nothing was built without it, and no file of the machine was in it."""
    told = world.settings
    closed = told.get("sandbox") == "true" and told.get("sandbox-fallback") == "false"
    return closed and not told.get("sandbox-paths")


def of_host(environment: Environment | None, system: str) -> str:
    """`sha256:<hex>` over what a record knows of a host: Python and packages with versions, variables, the system.

    Where it was no Python, the name of the program stands for it. It names what it covers and nothing else: libraries
    of the system, the kernel and the processor are not in it.
    """
    rows: list[tuple[str, ...]] = [("kind", "host"), ("system", system)]
    if environment is not None:
        rows.append(("python", environment.python) if environment.python else ("program", environment.program))
        rows += [("package", name, version) for name, version in environment.packages.items()]
        rows += [("variable", name, value) for name, value in environment.variables.items()]
    return _digest(rows)


def system(architecture: str) -> str:
    """A machine's architecture as Nix names the system: `x86_64-linux`."""
    return f"{_SYSTEMS.get(architecture, architecture)}-linux"


def _digest(rows: Iterable[tuple[str, ...]]) -> str:
    lines = sorted("\t".join(map(_plain, row)).encode() for row in rows)
    return digests.sha256(b"".join(line + b"\n" for line in lines))


def _plain(field: str) -> str:
    """A field without the characters that divide."""
    return field.replace("\\", "\\\\").replace("\t", "\\t").replace("\n", "\\n")
