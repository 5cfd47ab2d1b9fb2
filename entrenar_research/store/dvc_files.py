"""DVC's own files: the stage in `dvc.yaml`, the entry in `dvc.lock`, the objects in its cache.

They are written here, not by the `dvc` program, because starting it costs more than a second on every run
(docs/adr/0003). What is written is what `dvc commit` would write; tests hold it against the real program.
"""

from __future__ import annotations

import configparser
import io
import os
import re
import shutil
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from entrenar_research.core import digests, dvc_drift
from entrenar_research.errors import InvalidFileError
from entrenar_research.models.experiment import Experiment
from entrenar_research.models.run import FileDigest
from entrenar_research.store import files, yaml_edit
from entrenar_research.store.hashing import SKIPPED_DIRECTORIES, FileHash, is_executable
from entrenar_research.store.yaml_text import Document

STAGES = "dvc.yaml"
LOCK = "dvc.lock"
_PERSONAL = frozenset({"always_changed", "desc", "frozen", "meta"})
"""What a person may add to a stage: it changes nothing about what is run."""
_GLOB = re.compile(r"[\[\]!*#?\\]")
"""What `.gitignore` would take for a pattern, as DVC escapes it."""


def command(name: str) -> str:
    """What DVC runs for an experiment."""
    return f"entrenar-research run {name}"


def stage(experiment: Experiment) -> dict[str, Any]:
    """The stage that belongs to a declaration, as `dvc.yaml` holds it."""
    declaration = experiment.declaration
    keys = ["command"] + (["seed"] if declaration.seed is not None else [])
    params: list[Any] = [{experiment.file: keys}]
    if declaration.params is not None:
        params.append({declaration.params: None})
    wanted: dict[str, Any] = {"cmd": command(experiment.name)}
    dependencies = sorted({*declaration.code, *declaration.inputs})
    if dependencies:
        wanted["deps"] = dependencies
    wanted["params"] = params
    wanted["outs"] = [{experiment.result: {"persist": True}}]
    return wanted


def metric_files(experiment: Experiment) -> list[str]:
    """The files of an experiment's metrics, as `dvc metrics` wants them."""
    return sorted({f"{experiment.result}/{metric.file}" for metric in experiment.declaration.metrics.values()})


def plot_entries(experiment: Experiment) -> list[dict[str, Any]]:
    """The plots of an experiment, as `dvc plots` wants them."""
    entries = []
    for plot in experiment.declaration.plots:
        axes: dict[str, Any] = {}
        if plot.x:
            axes["x"] = plot.x
        if plot.y:
            axes["y"] = list(plot.y) if len(plot.y) > 1 else plot.y[0]
        entries.append({f"{experiment.result}/{plot.file}": axes or None})
    return entries


class DvcFiles:
    """`dvc.yaml`, `dvc.lock` and the cache of the study at `root`."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def present(self) -> bool:
        """Whether the study has DVC at all."""
        return (self.root / ".dvc").is_dir()

    def ordinary_cache(self) -> bool:
        """Whether the cache is at its usual place and of the usual kind, so that it can be filled directly."""
        home = os.environ.get("XDG_CONFIG_HOME") or str(Path("~/.config").expanduser())
        system = (os.environ.get("XDG_CONFIG_DIRS") or "/etc/xdg").split(":")[0]
        places = [self.root / ".dvc" / "config", self.root / ".dvc" / "config.local"]
        places.append(Path(os.environ.get("DVC_GLOBAL_CONFIG_DIR") or f"{home}/dvc", "config"))
        places.append(Path(os.environ.get("DVC_SYSTEM_CONFIG_DIR") or f"{system}/dvc", "config"))
        parser = configparser.ConfigParser(strict=False, interpolation=None)
        try:
            parser.read(places)
        except (configparser.Error, UnicodeDecodeError):
            return False
        return self.present() and not any(section.strip().lower() == "cache" for section in parser.sections())

    def _mapping(self, name: str) -> dict[str, Any]:
        path = self.root / name
        if not path.is_file():
            return {}
        value = Document(files.read_text(path), name).value
        if value is None:
            return {}
        if not isinstance(value, dict) or not isinstance(value.get("stages") or {}, dict):
            raise InvalidFileError(f"{name}: expected a mapping with `stages`, found {type(value).__name__}")
        return value

    def stages(self) -> dict[str, Any]:
        """The stages of `dvc.yaml` by name.

        Raises:
            InvalidFileError: if the file is malformed.
        """
        return dict(self._mapping(STAGES).get("stages") or {})

    def locked(self) -> dict[str, Any]:
        """The entries of `dvc.lock` by stage.

        Raises:
            InvalidFileError: if the file is malformed.
        """
        return dict(self._mapping(LOCK).get("stages") or {})

    def drift(self, experiment: Experiment) -> tuple[str, ...]:
        """In words, where `dvc.yaml` and the declaration say different things.

        Raises:
            InvalidFileError: if `dvc.yaml` is malformed.
        """
        document = self._mapping(STAGES)
        found = (document.get("stages") or {}).get(experiment.name)
        if not isinstance(found, dict):
            return (f"{STAGES} has no stage {experiment.name!r}, {experiment.file} declares it",)
        words = dvc_drift.stage(found, stage(experiment), experiment)
        for key, wanted in (("metrics", metric_files(experiment)), ("plots", plot_entries(experiment))):
            words += dvc_drift.drawn(key, document.get(key), wanted, experiment)
        return tuple(words)

    def write_stage(self, experiment: Experiment) -> None:
        """Puts an experiment's stage, metrics and plots into `dvc.yaml`; everything else there stays as it is.

        Raises:
            InvalidFileError: if the file is malformed.
            StorageError: if it cannot be written; it is then as before.
        """
        document = self._mapping(STAGES)
        path = self.root / STAGES
        before = files.read_text(path) if path.is_file() else ""
        present = (document.get("stages") or {}).get(experiment.name)
        kept = {key: value for key, value in (present or {}).items() if key in _PERSONAL}
        text = before
        for key, value in stage(experiment).items():
            text = yaml_edit.put(text, STAGES, ["stages", experiment.name, key], value)
        for key in present or {}:
            if key not in kept and key not in stage(experiment):
                text = yaml_edit.drop(text, STAGES, ["stages", experiment.name, key])
        for key, entries in (("metrics", metric_files(experiment)), ("plots", plot_entries(experiment))):
            text = _with_entries(text, key, document.get(key) or [], entries, f"{experiment.result}/")
        if text != before:
            files.write_atomically(path, text)

    def write_lock(
        self,
        experiment: Experiment,
        *,
        dependencies: Iterable[FileDigest],
        result: FileDigest,
        params: Mapping[str, Any],
    ) -> None:
        """Puts what a run used and made into `dvc.lock`, as `dvc commit` would.

        Raises:
            StorageError: if it cannot be written; it is then as before.
        """
        self._mapping(LOCK)
        editor, tree = _editable(self.root / LOCK)
        if not tree:
            tree["schema"] = "2.0"
        if not tree.get("stages"):
            tree["stages"] = {}
        declaration = experiment.declaration
        locked: dict[str, Any] = {experiment.file: {"command": declaration.command}}
        if declaration.seed is not None:
            locked[experiment.file]["seed"] = declaration.seed
        if declaration.params is not None:
            locked[declaration.params] = {key: params[key] for key in sorted(params)}
        entry: dict[str, Any] = {"cmd": command(experiment.name)}
        listed = [self._entry(item) for item in sorted(dependencies, key=lambda item: item.path)]
        if listed:
            entry["deps"] = listed
        # DVC puts its default file first, the others by name.
        names = sorted(locked, key=lambda name: (name != "params.yaml", name))
        entry["params"] = {name: locked[name] for name in names}
        entry["outs"] = [self._entry(result)]
        tree["stages"][experiment.name] = entry
        files.write_atomically(self.root / LOCK, _text(editor, tree))

    def _entry(self, item: FileDigest) -> dict[str, Any]:
        entry: dict[str, Any] = {"path": item.path, "hash": "md5", "md5": item.md5, "size": item.size}
        if item.files is not None:
            entry["nfiles"] = item.files
        elif is_executable(self.root / item.path):
            entry["isexec"] = True
        return entry

    def store(self, directory: Path, entries: Mapping[str, FileHash]) -> None:
        """Copies the files of a result, and their listing, into DVC's cache. `entries` are paths below it.

        Raises:
            StorageError: if the file system refuses.
        """
        for path, item in entries.items():
            self._put(item.md5, source=directory / path)
        listing = digests.dvc_directory((path, item.md5) for path, item in entries.items())
        self._put(digests.md5(listing) + ".dir", data=listing)

    def add(self, path: str, item: FileHash) -> None:
        """Puts one file under DVC as `dvc add` would: cache, `.dvc` file beside it, a line in `.gitignore`.

        Raises:
            StorageError: if the file system refuses.
        """
        place = self.root / path
        self._put(item.md5, source=place)
        out: dict[str, Any] = {"md5": item.md5, "size": item.size}
        if is_executable(place):
            out["isexec"] = True
        editor, _ = _editable(self.root / "none")
        text = _text(editor, {"outs": [{**out, "hash": "md5", "path": place.name}]})
        ignored = place.parent / ".gitignore"
        present = files.read_text(ignored) if ignored.is_file() else ""
        line = "/" + _GLOB.sub(r"\\\g<0>", place.name)
        if line not in present.splitlines():
            joint = "" if not present or present.endswith("\n") else "\n"
            files.write_atomically(ignored, f"{present}{joint}{line}\n")
        files.write_atomically(place.with_name(place.name + ".dvc"), text)

    def _put(self, name: str, *, source: Path | None = None, data: bytes = b"") -> None:
        place = self.root / ".dvc" / "cache" / "files" / "md5" / name[:2] / name[2:]
        if place.exists():
            return
        with files.refusals("cannot fill DVC's cache"):
            place.parent.mkdir(parents=True, exist_ok=True)
            files.remove_stale_parts(place)
            temporary = place.with_name(f".{place.name}.{os.getpid()}.part")
            try:
                if source is not None:
                    shutil.copyfile(source, temporary)
                else:
                    temporary.write_bytes(data)
                temporary.chmod(0o444)
                temporary.rename(place)
            except BaseException:
                temporary.unlink(missing_ok=True)
                raise

    def pointers(self) -> dict[str, dict[str, Any]]:
        """Every `.dvc` file of the study: the path of the data it stands for, with its digest and size.

        Raises:
            InvalidFileError: if one is malformed.
        """
        found: dict[str, dict[str, Any]] = {}
        for relative in sorted(self._pointer_files()):
            path = self.root / relative
            value = Document(files.read_text(path, shown=relative), relative).value
            try:
                for out in value["outs"]:
                    base = Path(relative).parent / (value.get("wdir") or ".")
                    found[os.path.normpath(base / out["path"])] = {**out, "pointer": relative}
            except (KeyError, TypeError, AttributeError) as error:
                raise InvalidFileError(
                    f"{relative}: expected `outs` with `path` and `md5` as DVC writes them"
                ) from error
        return found

    def _pointer_files(self) -> Iterator[str]:
        for top, directories, names in os.walk(self.root):
            directories[:] = [
                name
                for name in directories
                if name not in SKIPPED_DIRECTORIES and not os.path.exists(os.path.join(top, name, "pyvenv.cfg"))
            ]
            inside = os.path.relpath(top, self.root)
            for name in names:
                if name.endswith(".dvc") and name != ".dvc":
                    yield name if inside == "." else f"{inside}/{name}"


def _with_entries(text: str, key: str, present: list[Any], wanted: Sequence[Any], prefix: str) -> str:
    """`dvc.yaml` with the `wanted` entries in its list `key`, and no others that begin with `prefix`."""
    kept = list(present)
    for index, item in reversed(list(enumerate(present))):
        if dvc_drift.name(item).startswith(prefix) and item not in wanted:
            text = yaml_edit.drop(text, STAGES, [key, index])
            del kept[index]
    added = [item for item in wanted if item not in kept]
    if added:
        return yaml_edit.put(text, STAGES, [key], [*kept, *added])
    return text if kept else yaml_edit.drop(text, STAGES, [key])


def _editable(path: Path) -> tuple[Any, Any]:
    """A YAML editor that keeps comments, with the tree of the file (empty if it is absent)."""
    from ruamel.yaml import YAML  # costs 80 ms; DVC writes its files with it, so bytes agree

    editor = YAML()
    editor.default_flow_style = False
    text = files.read_text(path) if path.is_file() else ""
    return editor, editor.load(text) or {}


def _text(editor: Any, tree: Any) -> str:
    out = io.StringIO()
    editor.dump(tree, out)
    return out.getvalue()
