"""Making a new study: Git, DVC, the description, the template's experiments and data, a first commit."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import msgspec

from entrenar_research.actions import data as tracking
from entrenar_research.citations.port import CitationFormat
from entrenar_research.errors import UsageError
from entrenar_research.models.study import Study
from entrenar_research.store import files, templates
from entrenar_research.store.dvc_files import DvcFiles
from entrenar_research.store.study_files import STUDY_FILE, StudyFiles
from entrenar_research.store.templates import Template
from entrenar_research.store.yaml_text import dump
from entrenar_research.tools import dvc
from entrenar_research.tools.git import Git

IGNORED = ".entrenar/\n__pycache__/\n*.pyc\n*.part\n"
DVC_IGNORED = "# What DVC passes over\n.entrenar/\n__pycache__/\n*.pyc\n*.part\n"
BINARY = """\
# Bundles and binaries are never to be changed by line-ending rules.
*.bin binary
*.gz binary
*.npy binary
*.npz binary
*.parquet binary
*.pdf binary
*.png binary
*.safetensors binary
*.zip binary
"""


class Made(msgspec.Struct, frozen=True, kw_only=True):
    """A new study: where it is, its first commit, its experiments."""

    root: Path
    commit: str
    experiments: tuple[str, ...]


class Identity(msgspec.Struct, frozen=True, kw_only=True):
    """The name and e-mail that Git puts into commits."""

    name: str
    email: str


def check_place(directory: Path) -> None:
    """Refuses a directory in which no study can be made.

    Raises:
        UsageError: if it is a file, a study already, or neither empty nor the top of a Git repository.
    """
    if directory.exists() and not directory.is_dir():
        raise UsageError(f"{directory}: expected a directory, found a file")
    if (directory / STUDY_FILE).exists():
        raise UsageError(f"{directory} is a study already", hint="see `entrenar-research status` there")
    if directory.is_dir() and any(directory.iterdir()) and not (directory / ".git").exists():
        raise UsageError(
            f"{directory} is not empty and not a Git repository",
            hint="name a new directory, or run `git init` there first if the study is to live among those files",
        )


def check_identity(directory: Path) -> Identity | None:
    """The identity Git would commit with in `directory`, or None."""
    place = directory if directory.is_dir() else Path.cwd()
    found = Git(place).identity()
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
    """Makes a study in `directory`; a new or empty one appears complete or not at all.

    `identity` is written to the repository's own configuration where Git has none.

    Raises:
        UsageError: if the place will not do, or a file of the study is there already.
        ToolError: if Git or DVC refuse.
    """
    check_place(directory)
    chosen = templates.load(templates_root, template)
    fresh = not directory.exists() or not any(directory.iterdir())
    place = directory.with_name(f".{directory.resolve().name}.{os.getpid()}.part") if fresh else directory
    try:
        made = _Maker(place, study, templates_root / template, chosen, citation).make(identity)
        if fresh:
            with files.refusals(f"cannot make {directory}"):
                place.rename(directory)
    except BaseException:
        if fresh:
            files.remove_tree(place)
        raise
    return msgspec.structs.replace(made, root=directory.resolve())


class _Maker:
    def __init__(
        self, root: Path, study: Study, source: Path, template: Template, citation: CitationFormat
    ) -> None:
        self.root, self.study, self.source, self.template = root, study, source, template
        self.citation = citation
        self.git = Git(root)
        self.files = StudyFiles(root)

    def make(self, identity: Identity | None) -> Made:
        data = {item.path: templates.fetch(item) for item in self.template.imports}
        texts = self._texts()
        self._refuse_overwriting([*texts, *self.template.files, *data])
        with files.refusals(f"cannot make {self.root}"):
            self.root.mkdir(parents=True, exist_ok=True)
        if not (self.root / ".git").exists():
            self.git.initialise()
        if identity is not None:
            self.git.call("config", "user.name", identity.name)
            self.git.call("config", "user.email", identity.email)
        if not (self.root / ".dvc").exists():
            dvc.initialise(self.root)
        written = self._write(texts, data)
        tracking.track(self.files, *data)
        for experiment in self.files.experiments():
            DvcFiles(self.root).write_stage(experiment)
            ignore = f"experiments/{experiment.name}/.gitignore"
            files.write_atomically(self.root / ignore, "/result\n")
            written.append(ignore)
        commit = self._commit(written, data)
        return Made(root=self.root, commit=commit, experiments=self.files.experiment_names())

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
        for path, added in ((".gitignore", IGNORED), (".dvcignore", DVC_IGNORED), (".gitattributes", BINARY)):
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

    def _commit(self, written: list[str], data: dict[str, bytes]) -> str:
        paths = [*written, ".dvc/config", ".dvc/.gitignore", "dvc.yaml"]
        for path in data:
            paths += [f"{path}.dvc", f"{Path(path).parent.as_posix()}/.gitignore"]
        commit = self.git.commit(f"Begin the study: {self.study.title}", sorted(set(paths)))
        return commit or self.git.head() or ""


def readme(study: Study, template: Template) -> str:
    """The new study's own README: what it is and the commands to begin with."""
    authors = ", ".join(author.name for author in study.authors)
    about = f"\n{study.description}\n" if study.description else ""
    data = "\nThe data's origin and licence are in `data/README.md`.\n" if template.imports else ""
    return f"""# {study.title}

By {authors}. Licence: {study.license}.
{about}{data}
```console
$ entrenar-research status                 # what is here and what is up to date
$ entrenar-research run NAME               # run one experiment and record everything about it
$ dvc repro                                # run whatever is out of date
$ entrenar-research seal experiment NAME -m "What this version is"
$ entrenar-research verify                 # check every digest and signature, then replay
$ entrenar-research bundle -o study.crate.zip
```
"""
