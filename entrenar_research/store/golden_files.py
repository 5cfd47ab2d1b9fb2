"""Golden traces on disk: `golden_traces/<name>/`."""

from __future__ import annotations

from pathlib import Path

from entrenar_research.core.sweeps import suggest
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
            UsageError: if there is none of that name.
            InvalidFileError: if it does not hold what it should.
        """
        path = self.directory(name) / "golden.yaml"
        if not path.is_file():
            raise suggest.unknown(
                "golden trace", name, self.names(), remedy="promote one with `golden promote RUN --as NAME`"
            )
        shown = f"{self.relative(name)}/golden.yaml"
        return Document(files.read_text(path, shown=shown), shown).convert(GoldenRecord)

    def document(self, name: str) -> Path:
        """The trace itself."""
        return self.directory(name) / f"{name}.json"

    def write(self, record: GoldenRecord, document: bytes, summary: str) -> None:
        """Writes trace, summary and record, and closes the directory with `SHA256SUMS`.

        Raises:
            StorageError: if the file system refuses.
        """
        directory = self.directory(record.name)
        files.write_atomically(directory / f"{record.name}.json", document)
        files.write_atomically(directory / f"{record.name}_summary.txt", summary)
        files.write_atomically(directory / "golden.yaml", dump(record))
        sums.close(directory)
