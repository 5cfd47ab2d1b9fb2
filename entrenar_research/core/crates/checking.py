"""Checks a crate's metadata against RO-Crate 1.1 and our own promises, and its files against the metadata.

Written for metadata from unknown hands: whatever the JSON holds, the answer is a list of problems.
"""

from __future__ import annotations

import datetime
import re
from collections.abc import Iterator, Mapping
from typing import Any, Final

import msgspec

from entrenar_research.core.citing.orcid import parse_orcid
from entrenar_research.core.crates import paths
from entrenar_research.core.crates.files import FileFacts
from entrenar_research.core.crates.metadata import PROFILE, SPECIFICATION
from entrenar_research.errors import UsageError

LARGEST_METADATA: Final = 64 << 20
"""Bytes of metadata that are read at most, and written at most."""

_ROOT = "./"
_LARGEST_FILE = 1 << 62
_DATES = frozenset({"datePublished", "dateModified", "dateCreated", "startTime", "endTime"})
_KEYWORDS = frozenset({"@id", "@type"})
_SHA256 = re.compile(r"[0-9a-f]{64}")
_NUMBER = re.compile(r"[0-9]{1,19}")

Entity = Mapping[str, Any]


class Problem(msgspec.Struct, frozen=True):
    """Something that is wrong, and with which file or entity."""

    subject: str
    detail: str


class Listed(msgspec.Struct, frozen=True):
    """What the metadata says of a file; None where it says nothing (that can be understood)."""

    size: int | None
    sha256: str | None


class Crate(msgspec.Struct, frozen=True):
    """Metadata that could be read: its entities by identifier, the files it lists by path, what was wrong."""

    entities: Mapping[str, Entity]
    files: Mapping[str, Listed]
    problems: tuple[Problem, ...]


def read_crate(data: bytes) -> Crate:
    """Reads a metadata file, and finds everything that is wrong with it in itself."""
    problems: list[Problem] = []
    entities: dict[str, Entity] = {}
    for entity in _graph(data, problems):
        identifier = entity.get("@id") if isinstance(entity, dict) else None
        if not isinstance(identifier, str) or not identifier:
            problems.append(Problem(paths.METADATA, "there is an entity without an @id"))
        elif identifier in entities:
            problems.append(Problem(paths.shown(identifier), "two entities have this @id"))
        else:
            entities[identifier] = entity
    if entities:
        problems += _descriptor(entities)
        problems += _root(entities)
        for identifier, entity in entities.items():
            problems += _entity(identifier, entity, entities)
    files = dict(_files(entities, problems))
    return Crate(entities, files, tuple(problems))


def check_members(crate: Crate, members: Mapping[str, FileFacts]) -> list[Problem]:
    """Every member against what the metadata lists, and the other way round.

    `members` has every file but the metadata itself.
    """
    missing = [path for path in crate.files if path not in members]
    problems = [Problem(path, "listed in the metadata, and missing") for path in missing]
    for path, facts in members.items():
        listed = crate.files.get(path)
        if listed is None:
            problems.append(Problem(path, "not listed in the metadata"))
            continue
        wrong = mismatch(listed, facts)
        if wrong:
            problems.append(Problem(path, wrong))
    return problems


def mismatch(listed: Listed, facts: FileFacts) -> str | None:
    """In words, how a file's bytes are not those listed."""
    if listed.size is not None and listed.size != facts.size:
        return f"found {facts.size} bytes, expected {listed.size}"
    if listed.sha256 is not None and listed.sha256 != facts.sha256:
        found, expected = facts.sha256[:12], listed.sha256[:12]
        return f"its bytes were changed: found sha256:{found}..., expected sha256:{expected}..."
    return None


def _graph(data: bytes, problems: list[Problem]) -> list[Any]:
    try:
        document = msgspec.json.decode(data)
    except (msgspec.DecodeError, RecursionError, ValueError) as error:
        problems.append(Problem(paths.METADATA, f"not readable as JSON: {error}"))
        return []
    graph = document.get("@graph") if isinstance(document, dict) else None
    if not isinstance(graph, list) or not graph:
        problems.append(Problem(paths.METADATA, "expected an object with a list `@graph`, found none"))
        return []
    context = document.get("@context")
    if f"{SPECIFICATION}/context" not in (context if isinstance(context, list) else [context]):
        problems.append(Problem(paths.METADATA, f"expected {SPECIFICATION}/context as @context"))
    return graph


def _descriptor(entities: Mapping[str, Entity]) -> Iterator[Problem]:
    name = paths.METADATA
    entity = entities.get(name)
    if entity is None:
        yield Problem(name, f"the metadata does not describe itself: expected an entity {name}")
        return
    if _ids(entity.get("about")) != [_ROOT]:
        yield Problem(name, f"expected `about` to link {_ROOT}")
    if SPECIFICATION not in _ids(entity.get("conformsTo")):
        yield Problem(name, f"expected `conformsTo` to link {SPECIFICATION}")


def _root(entities: Mapping[str, Entity]) -> Iterator[Problem]:
    root = entities.get(_ROOT)
    if root is None or "Dataset" not in _types(root):
        yield Problem(_ROOT, "there is no root: expected a Dataset with this @id")
        return
    for key in ("name", "description", "datePublished"):
        if not isinstance(root.get(key), str) or not root[key]:
            yield Problem(_ROOT, f"expected `{key}`, found none")
    if PROFILE not in _ids(root.get("conformsTo")):
        yield Problem(_ROOT, f"expected `conformsTo` to link {PROFILE}")
    yield from _linked(root, "license", {"CreativeWork"}, entities)
    yield from _linked(root, "author", {"Person", "Organization"}, entities)


def _linked(root: Entity, key: str, kinds: set[str], entities: Mapping[str, Entity]) -> Iterator[Problem]:
    """Whether a property of the root links described entities of the right kind, at least one."""
    links = _ids(root.get(key))
    if not links:
        yield Problem(_ROOT, f"expected `{key}` to link an entity, found none")
    for link in links:
        target = entities.get(link, {})
        if not kinds & _types(target) or not isinstance(target.get("name"), str) or not target["name"]:
            kind = " or ".join(sorted(kinds))
            yield Problem(paths.shown(link), f"`{key}` links it: expected a {kind} with a name")


def _entity(identifier: str, entity: Entity, entities: Mapping[str, Entity]) -> Iterator[Problem]:
    """Whether an entity is typed, flat, and links only what is there; its dates and ORCID."""
    for detail in _details(identifier, entity, entities):
        yield Problem(paths.shown(identifier), detail)


def _details(identifier: str, entity: Entity, entities: Mapping[str, Entity]) -> Iterator[str]:
    if not _types(entity):
        yield "expected an @type, found none"
    if "orcid.org" in identifier and not _orcid_fits(identifier):
        yield "expected an ORCID that can exist, such as https://orcid.org/0000-0002-1825-0097"
    for key, value in entity.items():
        if key in _DATES and not _date_fits(value):
            yield f"`{key}`: expected an ISO 8601 date, found {paths.shown(str(value))!r}"
        if isinstance(value, str) or key in _KEYWORDS:
            continue
        outside = identifier == paths.METADATA and key == "conformsTo"
        for item in value if isinstance(value, list) else (value,):
            detail = None if isinstance(item, str) else _link_problem(item, entities, outside=outside)
            if detail:
                yield f"`{key}`: {detail}"


def _link_problem(item: Any, entities: Mapping[str, Entity], *, outside: bool) -> str | None:
    if item is None:
        return "expected a value, found null"
    if isinstance(item, list):
        return "expected values or links, found a list in a list"
    if not isinstance(item, dict) or "@value" in item:
        return None
    target = item.get("@id")
    if not isinstance(target, str) or not target:
        return "a link without an @id" if "@id" in item else "expected a link, found a nested entity"
    if target not in entities and not outside:
        return f"links {paths.shown(target)}, which is not described"
    return None


def _files(entities: Mapping[str, Entity], problems: list[Problem]) -> Iterator[tuple[str, Listed]]:
    """The files that are listed; each must be reachable from the root, at a path that stays inside."""
    reachable = _reachable(entities)
    found: list[str] = []
    for identifier, entity in entities.items():
        preview = identifier == paths.PREVIEW
        if not (preview or "File" in _types(entity)):
            continue
        path = paths.to_path(identifier)
        if path is None:
            continue
        wrong = paths.path_problem(path)
        if path == paths.METADATA:
            wrong = "a file cannot have this @id"
        if wrong:
            problems.append(Problem(paths.shown(path), wrong))
            continue
        if identifier not in reachable and not preview:
            problems.append(Problem(path, "no `hasPart` leads from the root to it"))
        found.append(path)
        yield path, _listed(path, entity, problems)
    problems += [Problem(path, detail) for path, detail in paths.collisions(found)]


def _listed(path: str, entity: Entity, problems: list[Problem]) -> Listed:
    size, sha256 = entity.get("contentSize"), entity.get("sha256")
    number = _number(size)
    if number is None:
        detail = f"`contentSize`: expected a number of bytes, found {paths.shown(str(size))[:40]!r}"
        problems.append(Problem(path, detail))
    if not isinstance(sha256, str) or not _SHA256.fullmatch(sha256):
        found = paths.shown(str(sha256))[:80]
        problems.append(Problem(path, f"`sha256`: expected 64 hex digits, found {found!r}"))
        sha256 = None
    return Listed(number, sha256)


def _number(size: Any) -> int | None:
    """A size as text or number; None for what no file can have."""
    if isinstance(size, str) and _NUMBER.fullmatch(size):
        size = int(size)
    fits = isinstance(size, int) and not isinstance(size, bool) and 0 <= size <= _LARGEST_FILE
    return size if fits else None


def _reachable(entities: Mapping[str, Entity]) -> set[str]:
    seen = {_ROOT}
    pending = [_ROOT]
    while pending:
        for link in _ids(entities.get(pending.pop(), {}).get("hasPart")):
            if link not in seen:
                seen.add(link)
                pending.append(link)
    return seen


def _ids(value: Any) -> list[str]:
    """The identifiers that a property links."""
    items = value if isinstance(value, list) else [value]
    return [item["@id"] for item in items if isinstance(item, dict) and isinstance(item.get("@id"), str)]


def _types(entity: Entity) -> set[str]:
    value = entity.get("@type")
    if isinstance(value, str):
        return {value}
    return {item for item in value if isinstance(item, str)} if isinstance(value, list) else set()


def _date_fits(value: Any) -> bool:
    if not isinstance(value, str):
        return False
    try:
        datetime.datetime.fromisoformat(value)
    except ValueError:
        return False
    return True


def _orcid_fits(identifier: str) -> bool:
    try:
        return identifier == f"https://orcid.org/{parse_orcid(identifier)}"
    except UsageError:
        return False
