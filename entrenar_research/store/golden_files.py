"""Golden traces on disk: `golden_traces/<name>/`."""

from __future__ import annotations

from pathlib import Path

from entrenar_research.core.sweeps import suggest
from entrenar_research.errors import InvalidFileError, UsageError
from entrenar_research.models.golden import GoldenRecord
from entrenar_research.store import files, sums
from entrenar_research.store.yaml_text import Document, dump


class GoldenFiles:
    """The golden traces of the study at `root`."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def relative(self, name: str) -> str:
        """`golden_traces/<name>`."""
        return f"golden_traces/{name}"

    def directory(self, name: str) -> Path:
        """Where a golden trace is."""
        return self.root / "golden_traces" / name

    def names(self) -> tuple[str, ...]:
        """Every golden trace, sorted."""
        return tuple(sorted(path.parent.name for path in self.root.glob("golden_traces/*/golden.yaml")))

    def load(self, name: str) -> GoldenRecord:
        """A golden trace's record.

        Raises:
            UsageError: if there is none of that name, or something else than a file in its place.
            InvalidFileError: if it does not hold what it should.
        """
        path = self.directory(name) / "golden.yaml"
        shown = f"{self.relative(name)}/golden.yaml"
        if path.exists():
            self.refuse_missing(name, path)
        else:
            raise suggest.unknown(
                "golden trace", name, self.names(), remedy="promote one with `golden promote RUN --as NAME`"
            )
        found = Document(files.read_text(path, shown=shown), shown)
        if isinstance(found.value, dict) and found.value.get("schema") == 1:
            raise InvalidFileError(
                f"{shown}: schema 1, this version reads schema 2",
                hint=f"promote it again: `entrenar-research golden promote RUN --as {name} --replace`",
            )
        return found.convert(GoldenRecord)

    def refuse_missing(self, name: str, *paths: Path) -> None:
        """Refuses a golden trace of which not all of these files are there.

        Raises:
            UsageError: if one is missing, or is no file.
        """
        for path in paths:
            if path.is_file():
                continue
            shown = f"{self.relative(name)}/{path.name}"
            found = "is missing" if not path.exists() else "is a directory" if path.is_dir() else "is no file"
            away = "move it away, then " if path.exists() else ""
            raise UsageError(
                f"{shown} {found}, expected a file: it is a part of the golden trace {name}",
                hint=f"{away}bring it back with `git checkout -- {shown}` or, where DVC holds it, `dvc pull {shown}`; "
                f"or promote it again: `golden promote RUN --as {name} --replace`",
            )

    def document(self, name: str) -> Path:
        """The trace itself."""
        return self.directory(name) / f"{name}.json"

    def summary(self, name: str) -> Path:
        """Its table of calls, with the figures beneath."""
        return self.directory(name) / f"{name}_summary.txt"

    def source(self, name: str) -> Path:
        """Where in the source its calls come from; not every golden trace has one."""
        return self.directory(name) / f"{name}_source.json"

    @property
    def analysis(self) -> Path:
        """What all golden traces say together."""
        return self.root / "golden_traces" / "ANALYSIS.md"

    @property
    def retired(self) -> Path:
        """Which golden traces there were, and why they went."""
        return self.root / "golden_traces" / "RETIRED.md"

    def write(self, record: GoldenRecord, document: bytes, summary: str, source: bytes | None = None) -> None:
        """Writes trace, summary, record and source, and closes the directory with `SHA256SUMS`.

        A source file of an earlier trace goes where there is none now.

        Raises:
            StorageError: if the file system refuses.
        """
        directory = self.directory(record.name)
        files.write_atomically(self.document(record.name), document)
        files.write_atomically(self.summary(record.name), summary)
        if source is not None:
            files.write_atomically(self.source(record.name), source)
        else:
            files.remove_tree(self.source(record.name))
        files.write_atomically(directory / "golden.yaml", dump(record))
        sums.close(directory)
