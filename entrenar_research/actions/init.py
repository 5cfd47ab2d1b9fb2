"""Making a new study: Git, DVC, the description, the template's experiments and data, a first commit."""

from __future__ import annotations

import contextlib
import os
import shutil
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import msgspec

from entrenar_research.actions import data as tracking
from entrenar_research.citations.port import CitationFormat
from entrenar_research.errors import StorageError, UsageError
from entrenar_research.models.study import Study
from entrenar_research.store import files, templates
from entrenar_research.store.dvc_files import DvcFiles
from entrenar_research.store.study_files import STUDY_FILE, StudyFiles
from entrenar_research.store.templates import Template
from entrenar_research.store.yaml_text import dump
from entrenar_research.tools import dvc, process
from entrenar_research.tools.git import Git

IGNORED = ".entrenar/\n__pycache__/\n*.pyc\n.*.part\n"
DVC_IGNORED = "# What DVC passes over\n.entrenar/\n__pycache__/\n"
_BINARY = (
    "arrow", "bin", "bundle", "bz2", "gguf", "gz", "h5", "jpg", "npy", "npz", "onnx", "ots", "parquet", "pdf", "pkl",
    "png", "pt", "safetensors", "tar", "tsr", "xz", "zip", "zst",
)  # fmt: skip
ATTRIBUTES = (
    "# Every byte is hashed: line endings are never to be changed, on any system.\n* -text\n"
    "# Bundles and binaries, besides, have no lines to compare or to merge.\n"
    + "".join(f"*.{suffix} binary\n" for suffix in _BINARY)
)


class Made(msgspec.Struct, frozen=True, kw_only=True):
    """A new study: where it is, its first commit, its experiments; `inside` is the Git repository around it.

    `left_out` are the experiments of the template for which a program is missing here, by that program's name.
    """

    root: Path
    commit: str
    experiments: tuple[str, ...]
    inside: Path | None = None
    left_out: dict[str, tuple[str, ...]] = msgspec.field(default_factory=dict)


class Identity(msgspec.Struct, frozen=True, kw_only=True):
    """The name and e-mail that Git puts into commits."""

    name: str
    email: str


def check_place(directory: Path) -> None:
    """Refuses a directory in which no study can be made.

    Raises:
        UsageError: if it or what it lies in is a file, or it is a study already, or holds files and is not the
            top of a Git repository.
        StorageError: if it cannot be read or written.
    """
    if not str(directory).isprintable():
        raise UsageError(f"{str(directory)!r}: expected a directory name of printable UTF-8 characters")
    with files.refusals(f"cannot use {directory}"):
        if directory.is_symlink() and not directory.exists():
            raise UsageError(f"{directory} is a symbolic link that leads nowhere; expected a directory")
        nearest = _nearest(directory)
        if not nearest.is_dir():
            raise UsageError(f"{nearest}: expected a directory, found a file")
        if not os.access(nearest, os.R_OK | os.W_OK | os.X_OK):
            raise StorageError(
                f"{nearest}: you may not read and write there", hint="check the owner and the mode of the directory"
            )
        if (directory / STUDY_FILE).exists():
            raise UsageError(f"{directory} is a study already", hint="see `entrenar-research status` there")
        if _is_new(directory):
            return
        if not (directory / ".git").exists():
            raise UsageError(
                f"{directory} is not empty and not a Git repository",
                hint="name a new directory, or run `git init` there first if the study is to live among those files",
            )
        if not Git(directory).exists():
            raise UsageError(f"{directory}/.git is there, but Git does not take {directory} for a repository")


def _nearest(directory: Path) -> Path:
    """The directory itself, or the closest one above it that exists."""
    return next(place for place in (directory, *directory.absolute().parents) if place.exists())


def _is_new(directory: Path) -> bool:
    return not directory.exists() or not any(directory.iterdir())


def check_identity(directory: Path) -> Identity | None:
    """The identity Git would commit with in `directory`, or None."""
    found = Git(_nearest(directory)).identity()
    return Identity(name=found[0], email=found[1]) if found else None


def init(
    directory: Path,
    study: Study,
    *,
    template: str,
    templates_root: Path,
    citation: CitationFormat,
    identity: Identity | None = None,
) -> Made:
    """Makes a study in `directory`. If that fails, everything is as it was before.

    `identity` is written to the repository's own configuration where Git has none.

    Raises:
        UsageError: if the place will not do, or a file of the study is there already.
        StorageError: if the file system refuses.
        ToolError: if Git or DVC refuse.
    """
    check_place(directory)
    whole = templates.load(templates_root, template)
    missing = {name: paths for name, paths in whole.where_installed.items() if process.which(name) is None}
    chosen = whole.fitted(missing)
    root = directory.resolve()
    around = _repository_around(root)

    def make(place: Path) -> Made:
        return _Maker(place, study, templates_root / template, chosen, citation).make(identity)

    with files.refusals(f"cannot make {directory}"):
        if not root.exists():
            made = _make_beside(root, make)
        elif not any(root.iterdir()):
            made = _make_within(root, make)
        else:
            made = make(root)
    left_out = {name: _experiments_among(paths) for name, paths in missing.items()}
    return msgspec.structs.replace(made, root=root, inside=around, left_out=left_out)


def _experiments_among(paths: Sequence[str]) -> tuple[str, ...]:
    return tuple(Path(path).parent.name for path in paths if path.endswith("/experiment.yaml"))


def _repository_around(root: Path) -> Path | None:
    return next((place for place in root.parents if (place / ".git").exists()), None)


def _make_beside(root: Path, make: Callable[[Path], Made]) -> Made:
    """A directory that does not exist yet: made under another name, then renamed."""
    missing = [place for place in root.parents if not place.exists()]
    part = root.with_name(f".entrenar-{os.getpid()}.part")
    try:
        made = make(part)
        part.rename(root)
    except BaseException:
        files.remove_tree(part)
        for place in missing:
            with contextlib.suppress(OSError):
                place.rmdir()
        raise
    return made


def _make_within(root: Path, make: Callable[[Path], Made]) -> Made:
    """An empty directory, which may be somebody's working directory or a mount: made inside it, then moved up.

    `study.yaml` comes last: before it the directory is not a study.
    """
    part = root / f".entrenar-{os.getpid()}.part"
    moved = [part]
    try:
        made = make(part)
        for name in sorted(os.listdir(part), key=lambda name: name == STUDY_FILE):
            (part / name).rename(root / name)
            moved.append(root / name)
        part.rmdir()
    except BaseException:
        for place in moved:
            files.remove_tree(place)
        raise
    return made


class _Maker:
    def __init__(self, root: Path, study: Study, source: Path, template: Template, citation: CitationFormat) -> None:
        self.root, self.study, self.source, self.template = root, study, source, template
        self.citation = citation
        self.git = Git(root)
        self.files = StudyFiles(root)

    def make(self, identity: Identity | None) -> Made:
        data = {item.path: templates.fetch(item) for item in self.template.imports}
        texts = self._texts()
        self._refuse_overwriting([*texts, *self.template.files, *data])
        self.root.mkdir(parents=True, exist_ok=True)
        if not (self.root / ".git").exists():
            self.git.initialise()
        with kept_on_failure(self.root, self.git, self._paths(texts, data)):
            if not (self.root / ".dvc").exists():
                dvc.initialise(self.root)
            written = self._write(texts, data)
            tracking.track(self.files, *data)
            for experiment in self.files.experiments():
                DvcFiles(self.root).write_stage(experiment)
                ignore = f"{experiment.directory}/.gitignore"
                files.write_atomically(self.root / ignore, "/result\n")
                written.append(ignore)
            commit = self._commit(written, data, identity)
        return Made(root=self.root, commit=commit, experiments=self.files.experiment_names())

    def _paths(self, texts: dict[str, str], data: dict[str, bytes]) -> list[str]:
        """Everything that `make` may write."""
        declared = [path for path in self.template.files if path.endswith("/experiment.yaml")]
        beside_data = [f"{Path(path).parent.as_posix()}/.gitignore" for path in data]
        return [
            *texts, *self.template.files, *data, *(f"{path}.dvc" for path in data), *beside_data,
            *(path.replace("experiment.yaml", ".gitignore") for path in declared),
            ".gitignore", ".dvcignore", ".gitattributes", "dvc.yaml", ".dvc", ".entrenar",
        ]  # fmt: skip

    def _texts(self) -> dict[str, str]:
        return {
            STUDY_FILE: dump(self.study),
            "README.md": readme(self.study, self.template),
            self.citation.file_name: self.citation.render(self.study),
        }

    def _refuse_overwriting(self, paths: list[str]) -> None:
        present = [path for path in paths if (self.root / path).exists()]
        present = [path for path in present if path != "README.md"]
        if present:
            raise UsageError(
                f"{self.root}: there already is {', '.join(present)}",
                hint="nothing was changed; move these files away, or make the study elsewhere",
            )

    def _write(self, texts: dict[str, str], data: dict[str, bytes]) -> list[str]:
        written = []
        for path, text in texts.items():
            if not (self.root / path).exists():
                files.write_atomically(self.root / path, text)
                written.append(path)
        for path, added in ((".gitignore", IGNORED), (".dvcignore", DVC_IGNORED), (".gitattributes", ATTRIBUTES)):
            present = files.read_text(self.root / path) if (self.root / path).is_file() else ""
            if path == ".dvcignore" and present.startswith("# Add patterns"):
                present = ""
            if added not in present:
                joint = "" if not present or present.endswith("\n") else "\n"
                files.write_atomically(self.root / path, present + joint + added)
            written.append(path)
        for path in self.template.files:
            target = self.root / path
            with files.refusals(f"cannot write {path}"):
                target.parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(self.source / path, target)
            written.append(path)
        for path, content in data.items():
            files.write_atomically(self.root / path, content)
        return written

    def _commit(self, written: list[str], data: dict[str, bytes], identity: Identity | None) -> str:
        paths = [*written, ".dvc/config", ".dvc/.gitignore", "dvc.yaml"]
        for path in data:
            paths += [f"{path}.dvc", f"{Path(path).parent.as_posix()}/.gitignore"]
        settings = (("user.name", identity.name), ("user.email", identity.email)) if identity else ()
        try:
            for key, value in settings:
                self.git.call("config", key, value)
            commit = self.git.commit(f"Begin the study: {self.study.title}", sorted(set(paths)))
        except BaseException:
            for key, _ in settings:
                self.git.call("config", "--unset", key, check=False)
            raise
        return commit or self.git.head() or ""


@contextlib.contextmanager
def kept_on_failure(root: Path, git: Git, paths: Sequence[str]) -> Iterator[None]:
    """Puts the files at `paths`, and what Git has staged, back as they were if the block fails."""
    index = root / git.call("rev-parse", "--git-path", "index").text
    before = {place: _content(place) for place in (index, *(root / path for path in paths))}
    present = {place for place in before if place.exists()}
    try:
        yield
    except BaseException:
        for place, content in before.items():
            if content is not None:
                files.write_atomically(place, content)
            elif place not in present:
                files.remove_tree(place)
                _remove_empty(place.parent, root)
        raise


def _content(place: Path) -> bytes | None:
    return place.read_bytes() if place.is_file() else None


def _remove_empty(place: Path, root: Path) -> None:
    while place != root and place.is_relative_to(root):
        try:
            place.rmdir()
        except OSError:
            return
        place = place.parent


def readme(study: Study, template: Template) -> str:
    """The new study's own README: what it is and the commands to begin with."""
    authors = ", ".join(author.name for author in study.authors)
    about = f"\n{study.description}\n" if study.description else ""
    data = "\nThe data's origin and licence are in `data/README.md`.\n" if template.imports else ""
    made = "$ make hermetic                             # run everything, built by Nix from a locked toolchain\n"
    hermetic = made if "Makefile" in template.files else ""
    return f"""# {study.title}

By {authors}. Licence: {study.license}.
{about}{data}
```console
$ entrenar-research status                 # what is here and what is up to date
$ entrenar-research run NAME               # run one experiment and record everything about it
$ dvc repro                                # run whatever is out of date
{hermetic}$ entrenar-research seal experiment NAME -m "What this version is"
$ entrenar-research verify                 # check every digest and signature, then replay
$ entrenar-research bundle -o study.crate.zip
```
"""
