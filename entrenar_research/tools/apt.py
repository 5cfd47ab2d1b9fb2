"""apt: what packages there are and fetching them. Where from is its own configuration; nothing is installed."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from pathlib import Path

from entrenar_research.core.nix import debian_control
from entrenar_research.core.nix.debian_control import Stanza
from entrenar_research.errors import MissingToolError, ToolError
from entrenar_research.tools import process

_ELSEWHERE = (
    "on Debian it is there; elsewhere give `--from DIR` with the packages, for example the blobs of somebody's lock"
)


def require() -> None:
    """Refuses to go on where there is no apt.

    Raises:
        MissingToolError: if it is absent.
    """
    for program in ("apt-cache", "apt-get"):
        if process.which(program) is None:
            raise MissingToolError(f"{program}, which fetches Debian packages, is not on PATH", hint=_ELSEWHERE)


def lookup(names: Iterable[str]) -> dict[str, Stanza | None]:
    """What apt would install of each name: the package's fields, or None where it knows none.

    Raises:
        MissingToolError: if apt is absent.
        ToolError: if it does not work.
    """
    wanted = sorted(names)
    # Names that are not there make it fail, and it tells of the others all the same.
    done = process.run(["apt-cache", "show", "--no-all-versions", *wanted], check=False, env=_environment())
    found = {stanza["package"]: stanza for stanza in debian_control.stanzas(done.stdout.decode("utf-8", "replace"))}
    if done.status not in (0, 100):
        raise ToolError(process.failure(["apt-cache", "show"], done))
    return {name: found.get(name) for name in wanted}


def names(prefix: str) -> tuple[str, ...]:
    """The packages whose names begin so, sorted."""
    done = process.run(["apt-cache", "pkgnames", prefix], check=False, env=_environment())
    return tuple(sorted(done.text.split()))


def download(packages: Sequence[str], directory: Path) -> None:
    """Fetches packages (`name`, or `name=version`) into a directory; apt checks them against its signed lists.

    Raises:
        MissingToolError: if apt is absent.
        ToolError: if one cannot be had.
    """
    done = process.run(["apt-get", "download", "-q", *packages], cwd=directory, check=False, env=_environment())
    if done.status != 0:
        said = [line for line in done.stderr.decode("utf-8", "replace").splitlines() if line.startswith("E:")]
        raise ToolError(
            f"apt-get could not download: {'; '.join(line[2:].strip() for line in said) or f'status {done.status}'}",
            hint="its lists may be old: as root, `apt-get update`; or give `--from DIR` with the packages",
        )


def _environment() -> dict[str, str]:
    return {**os.environ, "LC_ALL": "C", "DEBIAN_FRONTEND": "noninteractive"}
