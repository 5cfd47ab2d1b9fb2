"""A machine that lacks what a run used says so before anything is executed: the replay is `unknown`, not a failure."""

from __future__ import annotations

import json
import shutil
import sys
from pathlib import Path

import msgspec
import pytest

from entrenar_research.core import recipe
from entrenar_research.models.run import Environment, RunRecord
from entrenar_research.store.run_files import RunFiles
from tests.conftest import World

NOTED = """\
import os, pathlib, sys
{imports}
with open(os.environ["WITNESS"], "a") as stream:
    stream.write("executed\\n")
pathlib.Path(os.environ["ENTRENAR_RESULT"], "out.txt").write_text("done\\n")
"""


class Young:
    """A study with one experiment that leaves a word outside of the study whenever it is executed."""

    def __init__(self, world: World, study: Path) -> None:
        self.world, self.study, self.witness = world, study, study.with_name("witness")
        self.witness.write_text("")

    def add(
        self, command: str, *, imports: str = "", trace: str = "observe", env: dict[str, str] | None = None
    ) -> None:
        place = self.study / "experiments/noted"
        place.mkdir(parents=True)
        (place / "noted.py").write_text(NOTED.format(imports=imports))
        (place / "experiment.yaml").write_text(
            f"command: {command}\ncode: [experiments/noted/noted.py]\noutputs: [out.txt]\ntrace: {trace}\n"
        )
        self.tool("experiment", "sync", "noted")
        self.tool("run", "noted", "--quiet", env=env)
        assert self.executions() == 1

    def tool(self, *words: str, env: dict[str, str] | None = None) -> str:
        return self.world.tool(*words, cwd=self.study, env={"WITNESS": str(self.witness), **(env or {})}).stdout

    def executions(self) -> int:
        return len(self.witness.read_text().splitlines())

    def record(self) -> RunRecord:
        found = RunFiles(self.study).latest("noted")
        assert found is not None
        return found

    def replay(self, env: dict[str, str] | None = None) -> tuple[str, str]:
        """Verdict and words of the replay; `verify` itself has to pass."""
        report = json.loads(self.tool("verify", "--format", "json", env=env))
        (found,) = [item for item in report["findings"] if item["area"] == "replay"]
        return found["verdict"], found["detail"]


@pytest.fixture(scope="module")
def _empty(_shared: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A study without experiments, made once."""
    base = tmp_path_factory.mktemp("lacking")
    words = ("init", base / "young", "--title", "T", "--author", "A B", "--license", "MIT")
    World(_shared / "home").tool(*words, cwd=base)
    return base / "young"


@pytest.fixture
def young(_empty: Path, world: World, tmp_path: Path) -> Young:
    shutil.copytree(_empty, tmp_path / "young", symlinks=True)
    return Young(world, tmp_path / "young")


def site(base: Path, version: str) -> dict[str, str]:
    """A directory of packages with one package in it, on the path of every Python that is started."""
    packages = base / f"with-{version}" / "site-packages"
    (packages / "scales").mkdir(parents=True)
    (packages / "scales/__init__.py").write_text("")
    metadata = packages / f"scales-{version}.dist-info"
    metadata.mkdir()
    (metadata / "METADATA").write_text(f"Metadata-Version: 2.1\nName: scales\nVersion: {version}\n")
    (metadata / "RECORD").write_text(f"scales/__init__.py,,\n{metadata.name}/METADATA,,\n")
    return {"PYTHONPATH": str(packages)}


def test_a_package_that_is_not_here(young: Young, tmp_path: Path) -> None:
    here = site(tmp_path, "1.5")
    young.add("python experiments/noted/noted.py", imports="import scales", env=here)
    assert young.record().environment == msgspec.structs.replace(
        young.record().environment or Environment(program=""), packages={"scales": "1.5"}, packages_scope="loaded"
    )
    assert young.replay() == ("unknown", "not replayed: this machine lacks: scales 1.5 (here: not installed)")
    assert young.executions() == 1
    assert young.replay(here)[0] == "identical"
    assert young.executions() == 2


def test_a_package_in_another_version(young: Young, tmp_path: Path) -> None:
    young.add("python experiments/noted/noted.py", imports="import scales", env=site(tmp_path, "1.5"))
    verdict = young.replay(site(tmp_path, "2.0"))
    assert verdict == ("unknown", "not replayed: this machine lacks: scales 1.5 (here: 2.0)")
    assert young.executions() == 1


def test_a_package_that_is_installed_but_was_not_used_may_have_any_version(young: Young, tmp_path: Path) -> None:
    young.add("python experiments/noted/noted.py", env=site(tmp_path, "1.5"))
    assert young.replay(site(tmp_path, "2.0"))[0] == "identical"
    assert young.replay()[0] == "identical"


def test_a_module_of_an_untraced_run(young: Young, tmp_path: Path) -> None:
    """Nobody saw which packages it loaded; what its code imports is looked for all the same."""
    here = site(tmp_path, "1.5")
    young.add("python experiments/noted/noted.py", imports="import scales", trace="none", env=here)
    assert young.replay() == ("unknown", "not replayed: this machine lacks: the module scales")
    assert young.executions() == 1
    assert young.replay(here)[0] == "identical"


@pytest.mark.parametrize("trace", ["none", "observe"])
def test_a_module_of_the_study_is_no_package(trace: str, young: Young) -> None:
    (young.study / "beside.py").write_text("")
    young.world.run("git", "add", "beside.py", cwd=young.study)
    young.add("python experiments/noted/noted.py", imports="sys.path.insert(0, '.')\nimport beside", trace=trace)
    assert young.replay()[0] == "identical"
    assert young.executions() == 2


def test_a_program_that_is_not_here(young: Young, tmp_path: Path) -> None:
    tools = tmp_path / "tools"
    tools.mkdir()
    (tools / "weigh").write_text(f'#!/bin/sh\nexec {sys.executable} "$@"\n')
    (tools / "weigh").chmod(0o755)
    here = {"PATH": f"{tools}:{young.world.environment['PATH']}"}
    young.add("weigh experiments/noted/noted.py", env=here)
    assert young.replay() == ("unknown", "not replayed: this machine lacks: the program weigh")
    assert young.executions() == 1
    assert young.replay(here)[0] == "identical"


def edited(young: Young, **changes: object) -> None:
    """The record as another machine would have written it."""
    record = young.record()
    assert record.environment is not None
    record = msgspec.structs.replace(record, environment=msgspec.structs.replace(record.environment, **changes))
    RunFiles(young.study).close(msgspec.structs.replace(record, recipe=recipe.digest(record)))


def test_another_python(young: Young) -> None:
    young.add("python experiments/noted/noted.py")
    here = ".".join(str(part) for part in sys.version_info[:3])
    edited(young, python="3.8.20", packages={"numpy": "1.17.0"}, packages_scope="loaded")
    verdict, words = young.replay()
    assert verdict == "unknown"
    assert words.startswith(f"not replayed: this machine lacks: Python 3.8.20 (here: {here}), numpy 1.17.0 (here: ")
    assert young.executions() == 1


def test_another_release_of_the_same_python_will_do(young: Young) -> None:
    young.add("python experiments/noted/noted.py")
    edited(young, python=f"3.{sys.version_info.minor}.999")
    assert young.replay()[0] == "identical"


def test_a_python_named_by_its_place_is_replaced_by_an_equal_one(young: Young, tmp_path: Path) -> None:
    """The environment of the author is not here; what counts is the version and what the run loaded."""
    theirs = tmp_path / "theirs/bin"
    theirs.mkdir(parents=True)
    (theirs / "python3").symlink_to(Path(sys.executable).resolve())
    young.add(f"{theirs}/python3 experiments/noted/noted.py")
    (theirs / "python3").unlink()
    assert young.replay()[0] == "identical"


def test_a_golden_trace_cannot_be_checked_either_and_says_why(young: Young) -> None:
    young.add("python experiments/noted/noted.py", trace="full")
    young.tool("golden", "promote", "noted", "--as", "noted", "--repeat", "2")
    before = young.executions()
    edited(young, python="3.8.20")
    done = young.world.tool("golden", "check", "noted", cwd=young.study, status=1, env={"WITNESS": str(young.witness)})
    assert "Python 3.8.20" in done.stdout + done.stderr
    assert young.executions() == before
