"""Templates of new studies: what they hold, and importing the data they name."""

from __future__ import annotations

import gzip
import importlib.util
from collections.abc import Collection
from pathlib import Path

import msgspec

from entrenar_research.core import digests
from entrenar_research.core.sweeps import suggest
from entrenar_research.errors import IntegrityError, MissingToolError
from entrenar_research.store import files
from entrenar_research.store.yaml_text import Document

_FILE = "template.yaml"


class DataImport(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Data that an installed package carries: `member` below `package`, unpacked if its name ends in `.gz`."""

    path: str
    distribution: str
    package: str
    member: str
    digest: str


class Template(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The content of a `template.yaml`; files in `where_installed` are for machines that have that program."""

    title: str
    files: tuple[str, ...] = ()
    imports: tuple[DataImport, ...] = ()
    where_installed: dict[str, tuple[str, ...]] = msgspec.field(default_factory=dict)

    def fitted(self, missing: Collection[str]) -> Template:
        """The template for a machine that has all of its programs but the `missing`."""
        more = [path for name, paths in self.where_installed.items() if name not in missing for path in paths]
        return msgspec.structs.replace(self, files=(*self.files, *more), where_installed={})


def names(root: Path) -> tuple[str, ...]:
    """The templates below `root`."""
    return tuple(sorted(path.parent.name for path in root.glob(f"*/{_FILE}")))


def load(root: Path, name: str) -> Template:
    """A template's description.

    Raises:
        UsageError: if there is none of that name.
    """
    if name not in names(root):
        raise suggest.unknown("template", name, names(root))
    path = root / name / _FILE
    return Document(files.read_text(path), f"templates/{name}/{_FILE}").convert(Template)


def fetch(item: DataImport) -> bytes:
    """The data, read from the installed package without importing it.

    Raises:
        MissingToolError: if the package is not installed.
        IntegrityError: if its copy is not the one that the template was made for.
    """
    spec = importlib.util.find_spec(item.package)
    places = list(spec.submodule_search_locations or ()) if spec is not None else []
    if not places:
        raise MissingToolError(
            f"the data of this template comes from the package {item.distribution}, which is not installed",
            hint="pip install 'entrenar-research[digits]', or use --template empty",
        )
    path = Path(places[0]) / item.member
    try:
        data = path.read_bytes()
    except OSError as error:
        raise IntegrityError(f"{item.distribution} does not carry {item.member}: {error.strerror}") from error
    data = gzip.decompress(data) if item.member.endswith(".gz") else data
    if digests.sha256(data) != item.digest:
        raise IntegrityError(
            f"{item.distribution} carries another {item.member}: found {digests.sha256(data)}, expected {item.digest}"
        )
    return data
