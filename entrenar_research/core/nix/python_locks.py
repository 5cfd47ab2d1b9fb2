"""Which wheels a lock of another tool pins: `pylock.toml` (PEP 751) and `uv.lock`, for one Python on x86-64 Linux."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any, Final

import msgspec
from packaging.markers import InvalidMarker, Marker, UndefinedComparison, UndefinedEnvironmentName
from packaging.utils import canonicalize_name

from entrenar_research.errors import InvalidFileError

_SHA256: Final = re.compile(r"[0-9a-f]{64}")
_OWN: Final = ("virtual", "editable", "directory")
_WHEELS_ONLY: Final = "the toolchain is made of wheels alone: build one (`pip wheel`) and pin that"


class Pin(msgspec.Struct, frozen=True, kw_only=True):
    """A package at a version, with the SHA-256 (hex) of each wheel that will do."""

    name: str
    version: str
    sha256: tuple[str, ...]

    @property
    def line(self) -> str:
        """As a file of requirements has it."""
        return " ".join([f"{self.name}=={self.version}", *(f"--hash=sha256:{digest}" for digest in self.sha256)])


def markers(python: str) -> dict[str, str]:
    """What environment markers (PEP 508) are held against: CPython `3.11.2` on x86-64 Linux."""
    return {
        "implementation_name": "cpython",
        "implementation_version": python,
        "os_name": "posix",
        "platform_machine": "x86_64",
        "platform_python_implementation": "CPython",
        "platform_release": "",
        "platform_system": "Linux",
        "platform_version": "",
        "python_full_version": python,
        "python_version": ".".join(python.split(".")[:2]),
        "sys_platform": "linux",
        "extra": "",
    }


def pylock(document: Mapping[str, Any], shown: str, environment: Mapping[str, str]) -> tuple[Pin, ...]:
    """The pins of a `pylock.toml` that hold in `environment`, without extras and groups.

    Raises:
        InvalidFileError: if it is none, or pins what is no wheel; `shown` is what the file is called.
    """
    if not str(document.get("lock-version", "")).startswith("1."):
        found = document.get("lock-version")
        raise InvalidFileError(f"{shown}: lock-version: found {found!r}, expected 1.0 (PEP 751)")
    pins = []
    for package in _tables(document, "packages", shown):
        if not _holds(package, shown, environment):
            continue
        name, version = _text(package, "name", shown), package.get("version")
        wheels = [_text(_table(wheel.get("hashes"), shown), "sha256", shown) for wheel in _listed(package, "wheels")]
        if not wheels or not isinstance(version, str):
            raise InvalidFileError(f"{shown}: {name}: there is no wheel of it in the lock", hint=_WHEELS_ONLY)
        pins.append(_pin(name, version, wheels, shown))
    return tuple(pins)


def uv(document: Mapping[str, Any], shown: str, environment: Mapping[str, str]) -> tuple[Pin, ...]:
    """The pins of a `uv.lock` that its project needs in `environment`, without optional dependencies and groups.

    Raises:
        InvalidFileError: if it is none, or pins what is no wheel; `shown` is what the file is called.
    """
    if document.get("version") != 1:
        raise InvalidFileError(f"{shown}: version: found {document.get('version')!r}, expected 1 (uv.lock)")
    packages = _tables(document, "package", shown)
    own = [package for package in packages if _source(package) in _OWN]
    waiting = [(package, False) for package in own or packages]
    pins: dict[str, Pin] = {}
    seen: set[tuple[str, str, str]] = set()
    while waiting:
        package, _ = waiting.pop()
        name = _text(package, "name", shown)
        for entry in _listed(package, "dependencies"):
            if _holds(entry, shown, environment):
                waiting += [(item, True) for item in _named(packages, entry, shown, seen)]
        if _source(package) not in _OWN:
            pin = _uv_pin(package, name, shown)
            if pins.setdefault(name, pin) != pin:
                raise InvalidFileError(
                    f"{shown}: {name} is needed in two versions: {pins[name].version}, {pin.version}"
                )
    return tuple(pins[name] for name in sorted(pins))


def _named(
    packages: list[Mapping[str, Any]], entry: Mapping[str, Any], shown: str, seen: set[tuple[str, str, str]]
) -> Iterator[Mapping[str, Any]]:
    """The packages that an entry of dependencies names, those of its extras included, each once."""
    name, version = _text(entry, "name", shown), entry.get("version")
    for package in packages:
        if package.get("name") != name or version not in (None, package.get("version")):
            continue
        for extra in ("", *map(str, entry.get("extra", ()))):
            key = (name, str(package.get("version")), extra)
            if key in seen:
                continue
            seen.add(key)
            optional = _table(package.get("optional-dependencies", {}), shown).get(extra, [])
            yield {**package, "dependencies": optional} if extra else package


def _uv_pin(package: Mapping[str, Any], name: str, shown: str) -> Pin:
    wheels = [_text(wheel, "hash", shown).removeprefix("sha256:") for wheel in _listed(package, "wheels")]
    if not wheels:
        found = "only a source distribution" if "sdist" in package else f"only its source ({_source(package)})"
        raise InvalidFileError(f"{shown}: {name}: the lock has {found} of it", hint=_WHEELS_ONLY)
    return _pin(name, _text(package, "version", shown), wheels, shown)


def _pin(name: str, version: str, wheels: list[str], shown: str) -> Pin:
    wrong = next((digest for digest in wheels if not _SHA256.fullmatch(digest)), None)
    if wrong is not None:
        raise InvalidFileError(f"{shown}: {name}: a wheel's sha256: found {wrong[:80]!r}, expected 64 hex digits")
    return Pin(name=canonicalize_name(name), version=version, sha256=tuple(sorted(set(wheels))))


def _source(package: Mapping[str, Any]) -> str:
    source = package.get("source")
    return next(iter(source), "") if isinstance(source, dict) else ""


def _holds(item: Mapping[str, Any], shown: str, environment: Mapping[str, str]) -> bool:
    """Whether the marker of an item, if it has one, holds."""
    text = item.get("marker")
    if text is None:
        return True
    try:
        return Marker(str(text)).evaluate({**environment, "extras": set(), "dependency_groups": set()})
    except (InvalidMarker, UndefinedComparison, UndefinedEnvironmentName) as error:
        raise InvalidFileError(f"{shown}: the marker {str(text)[:80]!r} cannot be read: {error}") from error


def _tables(document: Mapping[str, Any], key: str, shown: str) -> list[Mapping[str, Any]]:
    found = document.get(key, [])
    if not isinstance(found, list):
        raise InvalidFileError(f"{shown}: {key}: expected a list of packages, found {type(found).__name__}")
    return [_table(item, shown) for item in found]


def _listed(item: Mapping[str, Any], key: str) -> list[Mapping[str, Any]]:
    found = item.get(key, [])
    return [entry for entry in found if isinstance(entry, dict)] if isinstance(found, list) else []


def _table(value: Any, shown: str) -> Mapping[str, Any]:
    if not isinstance(value, dict):
        raise InvalidFileError(f"{shown}: expected a table, found {value!r:.60}")
    return value


def _text(item: Mapping[str, Any], key: str, shown: str) -> str:
    found = item.get(key)
    if not isinstance(found, str) or not found:
        name = item.get("name")
        of = f" of {name}" if isinstance(name, str) else ""
        raise InvalidFileError(f"{shown}: `{key}`{of}: expected a text, found {found!r:.60}")
    return found


def without_hash(requirements: str) -> tuple[str, ...]:
    """The requirements of a `requirements.txt` that lack a hash although others have one; none if none has."""
    text = re.sub(r"\\\r?\n", " ", requirements)
    lines = [re.sub(r"(^|\s)#.*$", "", line).strip() for line in text.splitlines()]
    asked = [line for line in lines if line and not line.startswith("-")]
    bare = [line for line in asked if "--hash=" not in line and "--hash " not in line]
    return tuple(bare) if len(bare) < len(asked) else ()
