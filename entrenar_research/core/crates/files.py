"""The files of a crate: sizes, digests and entities, and whether a file that a run recorded is among them."""

from __future__ import annotations

import bisect
import posixpath
from collections.abc import Iterable, Mapping

import msgspec

from entrenar_research.core import digests
from entrenar_research.core.crates import media as crate_media
from entrenar_research.core.crates import paths
from entrenar_research.core.crates.people import Entity, references
from entrenar_research.models.run import FileDigest


class FileFacts(msgspec.Struct, frozen=True):
    """What is known of a file's bytes: `size` and `sha256` in hex."""

    size: int
    sha256: str


class CrateFiles:
    """The files that go into a crate, by path."""

    def __init__(self, facts: Mapping[str, FileFacts]) -> None:
        self.facts = facts
        self.paths = sorted(facts)

    def __contains__(self, path: object) -> bool:
        return path in self.facts

    def below(self, directory: str) -> list[str]:
        """The paths of the files in a directory, at any depth."""
        start = bisect.bisect_left(self.paths, f"{directory}/")
        return self.paths[start : bisect.bisect_left(self.paths, f"{directory}0")]

    def compare(self, item: FileDigest) -> str | None:
        """None if the recorded file or directory is here with the recorded bytes; else what is not so."""
        path = posixpath.normpath(item.path)
        if item.files is None:
            if path not in self.facts:
                return "it is not in this crate"
            same = "sha256:" + self.facts[path].sha256 == item.digest
        else:
            members = self.below(path)
            if not members:
                return "it is not in this crate"
            listing = digests.manifest((name[len(path) + 1 :], self.facts[name].sha256) for name in members)
            same = digests.sha256(listing.encode()) == item.digest
        return None if same else "what this crate has at that path has other bytes"


def file_entity(path: str, facts: FileFacts) -> Entity:
    """The File entity of a member."""
    entity: Entity = {
        "@id": paths.to_id(path),
        "@type": "File",
        "name": path,
        "contentSize": str(facts.size),
        "sha256": facts.sha256,
    }
    media = crate_media.media_type(path)
    if media is not None:
        entity["encodingFormat"] = media
    return entity


def nest(files: Iterable[str], directories: Iterable[str]) -> dict[str, list[dict[str, str]]]:
    """What each of `directories` has directly (`hasPart`), and the root, called `""`.

    A file belongs to the nearest of `directories` above it.
    """
    parts: dict[str, list[str]] = {name: [] for name in ("", *directories)}

    def holder(path: str) -> str:
        parent = path.rpartition("/")[0]
        while parent not in parts:
            parent = parent.rpartition("/")[0]
        return parent

    for name in directories:
        parts[holder(name)].append(paths.to_id(name, directory=True))
    for name in files:
        parts[holder(name)].append(paths.to_id(name))
    return {name: references(sorted(found)) for name, found in parts.items()}
