"""Python interpreters: their version and the packages they see."""

from __future__ import annotations

import json
import os
import re
import sys
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import msgspec

from entrenar_research.errors import ToolError
from entrenar_research.tools import process

_ASK = "import json,platform,sys;print(json.dumps([platform.python_version(),[p for p in sys.path if p]]))"
_ASK_FOR = "import json,sys,importlib.util as u;print(json.dumps([m for m in sys.argv[1:] if u.find_spec(m) is None]))"
_PYTHON_TAG = re.compile(r"-py\d+(\.\d+)?$")
_PROGRAM = re.compile(r"python(\d+(\.\d+)?)?")


class Interpreter(msgspec.Struct, frozen=True, kw_only=True):
    """A Python: where it is, its version, the directories it imports from."""

    path: str
    version: str
    search: tuple[str, ...]

    def packages(self) -> dict[str, str]:
        """Installed distributions with their versions, by the names of their metadata directories."""
        found: dict[str, str] = {}
        for directory in reversed(self.search):
            for name, version, _ in _distributions(directory):
                found[name] = version
        return dict(sorted(found.items()))

    def loaded(self, touched: Iterable[tuple[str, str]]) -> dict[str, str]:
        """The distributions to which files belong, given as (site directory, first path component)."""
        by_site: dict[str, set[str]] = {}
        for site, component in touched:
            by_site.setdefault(site, set()).add(component)
        found: dict[str, str] = {}
        for site, components in by_site.items():
            for name, version, directory in _distributions(site):
                if components & _top_names(directory):
                    found[name] = version
        return dict(sorted(found.items()))


def is_python(program: str) -> bool:
    """Whether a command's first word names a Python interpreter."""
    return bool(_PROGRAM.fullmatch(Path(program).name))


def resolve(program: str, environment: Mapping[str, str], *, directory: Path) -> str | None:
    """The program that a command's first word starts in `directory`: by PATH, for Python also the one we run in."""
    if "/" in program:
        return program if process.which(os.path.join(directory, program)) else None
    found = process.which(program, environment=environment)
    return sys.executable if found is None and is_python(program) else found


def interpreter(path: str) -> Interpreter | None:
    """What the Python at `path` is, or None if it does not answer."""
    if os.path.realpath(path) == os.path.realpath(sys.executable) and path == sys.executable:
        version = ".".join(str(part) for part in sys.version_info[:3])
        return Interpreter(path=path, version=version, search=tuple(item for item in sys.path if item))
    try:
        done = process.run([path, "-c", _ASK], cwd=Path("/"), timeout=20)
        version, search = json.loads(done.stdout)
    except (ToolError, ValueError):
        return None
    return Interpreter(path=path, version=version, search=tuple(search))


def modules_in(directory: Path) -> set[str]:
    """The names of the modules and packages in a directory; none if it cannot be read."""
    try:
        return {name.partition(".")[0] for name in os.listdir(directory)}
    except OSError:
        return set()


def missing(path: str, modules: Sequence[str]) -> tuple[str, ...]:
    """Which of these the Python at `path` cannot find; none of them is imported."""
    if not modules:
        return ()
    try:
        done = process.run([path, "-c", _ASK_FOR, *modules], cwd=Path("/"), timeout=20)
        return tuple(json.loads(done.stdout))
    except (ToolError, ValueError):
        return ()


def _distributions(directory: str) -> list[tuple[str, str, Path]]:
    """(name, version, metadata directory) of each distribution in a site directory."""
    found = []
    try:
        names = os.listdir(directory)
    except OSError:
        return []
    for entry in names:
        stem = entry.removesuffix(".dist-info").removesuffix(".egg-info")
        if stem != entry and "-" in stem:
            name, _, rest = stem.partition("-")
            version = _PYTHON_TAG.sub("", rest)
            found.append((re.sub(r"[-_.]+", "-", name).lower(), version, Path(directory, entry)))
    return found


def _top_names(metadata: Path) -> set[str]:
    """The first path components of a distribution's files."""
    try:
        text = (metadata / "RECORD").read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError):
        name = metadata.name.partition("-")[0]
        return {name, name.lower()}
    tops = {line.split(",", 1)[0].split("/", 1)[0].strip('"') for line in text.splitlines()}
    return {top for top in tops if top not in ("..", "__pycache__") and not top.endswith(".dist-info")}
