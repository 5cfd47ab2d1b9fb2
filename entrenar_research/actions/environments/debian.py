"""Choosing the Debian packages of the toolchain: what Python and strace need at run time, and nothing else."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Final

from entrenar_research.core.nix import closure_lock, debian_control
from entrenar_research.core.nix.debian_control import Stanza
from entrenar_research.errors import UsageError
from entrenar_research.store import debian_packages, linked_libraries
from entrenar_research.store.debian_packages import Package
from entrenar_research.tools import apt

BUSYBOX: Final = "busybox-static"
_LIBRARIES: Final = r"(usr/)?lib/[^/]+-linux-gnu/[^/]*\.so[^/]*"


def roots(python: str) -> tuple[str, ...]:
    """What the toolchain is made for; all else is there because one of these needs it."""
    return (f"python{python}-minimal", f"libpython{python}-stdlib", "libgcc-s1", "libstdc++6", "strace")


def fetch(python: str, directory: Path) -> tuple[Package, ...]:
    """The packages and the static busybox, chosen and fetched by apt.

    Raises:
        MissingToolError: if there is no apt.
        UsageError: if this distribution has no such Python.
        ToolError: if something cannot be had.
        InvalidFileError: if a package is of a kind that the toolchain cannot be made of.
    """
    apt.require()
    known = apt.lookup((*roots(python), BUSYBOX))
    chosen, asked = debian_control.closure(roots(python), known)
    while asked:
        known |= apt.lookup(asked)
        chosen, asked = debian_control.closure(roots(python), known)
    _refuse_absent((*roots(python), BUSYBOX), known, _pythons)
    unmet = [item for item in debian_control.unmet(chosen, known) if known[item[0]] is not None]
    if unmet:
        package, names = unmet[0]
        raise UsageError(f"{package} needs {names}, and apt knows no such package", hint="as root: `apt-get update`")
    apt.download([*chosen, BUSYBOX], directory)
    return debian_packages.find(directory)


def take(python: str, source: Path) -> tuple[Package, ...]:
    """The packages and the static busybox out of a directory.

    Raises:
        UsageError: if one that is needed is not there.
        InvalidFileError: if a package is of a kind that the toolchain cannot be made of.
    """
    found = {package.name: package for package in debian_packages.find(source)}
    known: dict[str, Stanza | None] = {name: package.stanza for name, package in found.items()}
    chosen, _ = debian_control.closure(roots(python), known)
    names = tuple(name for name in found if re.fullmatch(r"python3\.\d+-minimal", name))
    _refuse_absent((*roots(python), BUSYBOX), known, lambda: names, str(source))
    return tuple(found[name] for name in (*chosen, BUSYBOX))


def unpack(python: str, packages: Sequence[Package], directory: Path) -> tuple[Package, ...]:
    """Unpacks packages side by side; those that hold a program or library of the toolchain.

    Raises:
        UsageError: if a library that one of them needs is in none of them.
        InvalidFileError: if one is damaged.
    """
    wanted = re.compile(
        rf"{_LIBRARIES}|usr/bin/(python{re.escape(python)}|strace)|usr/lib/python{re.escape(python)}/.*"
    )
    kept = []
    for package in packages:
        if any(map(wanted.fullmatch, debian_packages.unpack(package, directory))):
            kept.append(package)
    missing = linked_libraries.missing(directory, python)
    if missing:
        raise UsageError(
            "libraries that the toolchain needs are in none of the packages: "
            + ", ".join(f"{library} (for {name})" for library, name in missing[:5]),
            hint="add the packages that hold them to the directory of `--from`",
        )
    return tuple(kept)


def check_native(packages: Sequence[Package]) -> None:
    """Refuses packages for another processor.

    Raises:
        UsageError: if there is one.
    """
    for package in packages:
        architecture = package.stanza["architecture"]
        if architecture not in ("amd64", "all"):
            raise UsageError(
                f"{package.path.name} is for {architecture}; the toolchain is for {closure_lock.SYSTEM} (amd64)"
            )


def _pythons() -> tuple[str, ...]:
    return tuple(name for name in apt.names("python3.") if re.fullmatch(r"python3\.\d+-minimal", name))


def _refuse_absent(
    names: Sequence[str],
    known: Mapping[str, Stanza | None],
    others: Callable[[], tuple[str, ...]],
    where: str | None = None,
) -> None:
    absent = [name for name in names if not known.get(name)]
    if not absent:
        return
    place = f"in {where}" if where else "known to apt here"
    pythons = [name.removesuffix("-minimal").removeprefix("python") for name in others()]
    if pythons and any("python" in name for name in absent):
        hint = f"there is Python {', '.join(pythons)}: give it with `--python {pythons[-1]}`"
    elif where:
        hint = "give a directory with all packages of a lock, such as another one's `env lock --into DIR` wrote"
    else:
        hint = "as root: `apt-get update`; the packages are Debian's: elsewhere give `--from DIR` with them"
    raise UsageError(f"no package {' or '.join(absent[:4])} is {place}", hint=hint)
