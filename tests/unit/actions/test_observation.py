"""Declared against observed, on traces made by hand."""

from __future__ import annotations

from pathlib import Path

import pytest

from entrenar_research.actions import data, restoring
from entrenar_research.actions.running import observation
from entrenar_research.models.experiment import Collected, Declaration, Experiment
from entrenar_research.models.run import Observed
from entrenar_research.models.trace import SystemCall, Trace
from entrenar_research.store.study_files import StudyFiles


@pytest.fixture
def study(tmp_path: Path) -> StudyFiles:
    (tmp_path / "study.yaml").write_text("title: T\nlicense: MIT\nauthors: [{family: A}]\n")
    (tmp_path / ".entrenar/staging/1/result").mkdir(parents=True)
    for path in ("code.py", "in.csv", "log.txt", "state.db", "out/new.csv", ".venv/lib/m.py", ".venv/pyvenv.cfg"):
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).touch()
    return StudyFiles(tmp_path)


def touched(study: StudyFiles, *opened: tuple[str, str]) -> observation.Touched:
    root = study.root.resolve()
    calls = [
        SystemCall(1, float(index), "openat", f'AT_FDCWD<{root}>, "{path}", {flags}', f"3<{root / path}>")
        for index, (path, flags) in enumerate(opened)
    ]
    trace = Trace(tracer="t", level="observe", command=("x",), calls=tuple(calls))
    return observation.touched(study, trace, study.root / ".entrenar/staging/1/result")


def test_what_was_touched_is_told_by_study_paths(study: StudyFiles) -> None:
    seen = touched(
        study,
        ("code.py", "O_RDONLY|O_CLOEXEC"),
        ("in.csv", "O_RDONLY"),
        ("out/new.csv", "O_WRONLY|O_CREAT|O_TRUNC"),
        (".entrenar/staging/1/result/m.json", "O_WRONLY|O_CREAT|O_TRUNC"),
        (".venv/lib/m.py", "O_RDONLY"),
        ("gone.txt", "O_RDONLY"),
        ("/etc/passwd", "O_RDONLY"),
    )
    assert (seen.reads, seen.writes, seen.staged) == (("code.py", "in.csv"), ("out/new.csv",), ("m.json",))
    assert seen.continued == ()


@pytest.mark.parametrize(
    ("opened", "continued"),
    [
        ([("log.txt", "O_WRONLY|O_CREAT|O_APPEND")], ("log.txt",)),
        ([("state.db", "O_RDWR|O_CREAT")], ("state.db",)),
        ([("log.txt", "O_WRONLY|O_CREAT|O_TRUNC")], ()),
        ([("log.txt", "O_WRONLY|O_CREAT|O_TRUNC"), ("log.txt", "O_WRONLY|O_CREAT|O_APPEND")], ()),
        ([("log.txt", "O_WRONLY|O_CREAT|O_EXCL")], ()),
        ([("log.txt", "O_RDONLY"), ("log.txt", "O_WRONLY|O_CREAT|O_TRUNC")], ("log.txt",)),
        ([("log.txt", "O_RDONLY")], ()),
    ],
)
def test_a_file_whose_old_content_matters_is_continued(
    study: StudyFiles, opened: list[tuple[str, str]], continued: tuple[str, ...]
) -> None:
    assert touched(study, *opened).continued == continued


def test_declared_is_held_against_observed() -> None:
    declaration = Declaration(
        command="x",
        params="p.yaml",
        code=("code.py",),
        inputs=("data", "unused.csv"),
        outputs=("m.json", "models", Collected(path="log", source="out/log")),
    )
    seen = observation.Touched(
        reads=("code.py", "data/a", "database", "experiments/e/experiment.yaml", "other.py", "p.yaml"),
        writes=("out/log", "out/more"),
        staged=("extra", "m.json", "models/1", "models2"),
        network=("connect 192.0.2.1:80",),
        packages=(),
    )
    assert observation.compare(declaration, Experiment(name="e", declaration=declaration), seen) == Observed(
        undeclared_reads=("database", "other.py"),
        undeclared_writes=("out/more", "experiments/e/result/extra", "experiments/e/result/models2"),
        unused_inputs=("unused.csv",),
        network=("connect 192.0.2.1:80",),
    )
    anything = Declaration(command="x")
    found = observation.compare(anything, Experiment(name="e", declaration=anything), seen)
    assert found.undeclared_writes == ("out/log", "out/more")


def test_fixing_declares_code_and_inputs_and_never_the_own_result(study: StudyFiles) -> None:
    place = study.root / "experiments/e"
    place.mkdir(parents=True)
    (place / "experiment.yaml").write_text("command: x  # mine\n")
    changed, words = observation.declare(
        study, study.experiment("e"), ["b.csv", "a.py", "experiments/e/result/model", "run.sh"]
    )
    assert (changed.declaration.code, changed.declaration.inputs) == (("a.py", "run.sh"), ("b.csv",))
    assert words == ("a.py is declared as code", "run.sh is declared as code", "b.csv is declared as an input")
    assert (place / "experiment.yaml").read_text().startswith("command: x  # mine\n")
    assert not (study.root / "dvc.yaml").exists()


class TestData:
    def test_ten_files_that_are_all_of_a_directory_are_the_directory(self, study: StudyFiles) -> None:
        (study.root / "data/images/deep").mkdir(parents=True)
        paths = [f"data/images/{n}.png" for n in range(9)] + ["data/images/deep/x.png"]
        for path in paths:
            (study.root / path).touch()
        assert data.gathered(study, [*paths, "in.csv"]) == ("data", "in.csv")
        (study.root / "data/other").touch()
        assert data.gathered(study, paths) == ("data/images",)
        assert data.gathered(study, paths[1:]) == tuple(sorted(paths[1:]))
        (study.root / "data/images/unread").touch()
        assert data.gathered(study, paths) == tuple(sorted(paths))

    def test_what_lies_in_data_under_dvc_belongs_to_it(self) -> None:
        assert data.owner("data/a/b", ["data/a", "x"]) == "data/a"
        assert data.owner("data/a", ["data/a"]) == "data/a"
        assert data.owner("data/ab", ["data/a"]) is None

    @pytest.mark.parametrize(
        ("path", "new"),
        [("new.csv", True), ("in.csv", False), ("images", False), ("d/x", False), ("experiments/a", False)],
    )
    def test_data_is_new_that_neither_git_nor_dvc_knows(self, path: str, new: bool) -> None:
        assert data.is_new(path, ["in.csv", "images/1.png"], ["d"]) is new


class TestRestoring:
    def test_a_study_is_put_back_as_it_was(self, tmp_path: Path) -> None:
        for path, text in {"kept": "1", "changed": "2", "deleted/x": "3", "mode": "4", ".git/x": "5"}.items():
            (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / path).write_text(text)
        (tmp_path / "link").symlink_to("kept")
        before = restoring.remember(tmp_path)
        status = (tmp_path / "changed").stat()
        (tmp_path / "changed").write_text("other")
        (tmp_path / "deleted/x").unlink()
        (tmp_path / "deleted").rmdir()
        (tmp_path / "mode").chmod(0o600)
        (tmp_path / "new/deep").mkdir(parents=True)
        (tmp_path / "new/deep/f").write_text("6")
        (tmp_path / "new/link").symlink_to("..")
        (tmp_path / ".git/y").write_text("7")
        assert before.restore() == ()
        found = {p.relative_to(tmp_path).as_posix(): p.read_text() for p in tmp_path.rglob("*") if p.is_file()}
        assert found == {
            "kept": "1", "changed": "2", "deleted/x": "3", "mode": "4", "link": "1", ".git/x": "5", ".git/y": "7",
        }  # fmt: skip
        assert not (tmp_path / "new").exists()
        assert (tmp_path / "changed").stat().st_mtime_ns == status.st_mtime_ns
        assert (tmp_path / "mode").stat().st_mode == before.files["mode"].st_mode

    def test_what_is_too_large_to_be_put_back_is_named(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(restoring, "_ONE_FILE", 10)
        (tmp_path / "large").write_text("x" * 11)
        (tmp_path / "same").write_text("x" * 12)
        before = restoring.remember(tmp_path)
        (tmp_path / "large").write_text("y")
        assert before.restore() == ("large",)
