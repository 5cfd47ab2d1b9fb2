from __future__ import annotations

import importlib.metadata
import os
import platform
import subprocess
import sys
from pathlib import Path

import pytest

from entrenar_research.actions.running import surroundings
from entrenar_research.errors import UsageError
from entrenar_research.tools import python
from entrenar_research.tools.python import Interpreter


def installed(site: Path, name: str, *files: str) -> None:
    (site / name).mkdir(parents=True)
    if files:
        (site / name / "RECORD").write_text("".join(f"{file},sha256=x,1\n" for file in files))


@pytest.fixture
def site(tmp_path: Path) -> Path:
    place = tmp_path / "site-packages"
    installed(place, "numpy-1.26.4.dist-info", "numpy/__init__.py", "numpy.libs/x.so", "numpy-1.26.4.dist-info/RECORD")
    installed(place, "PyYAML-6.0.1.dist-info", "yaml/__init__.py", "_yaml/__init__.py", "../../../bin/x")
    installed(place, "google_auth-2.0.dist-info", "google/auth/__init__.py")
    installed(place, "six-1.16.0.dist-info", "six.py", "__pycache__/six.cpython-311.pyc")
    installed(place, "old_thing-0.1-py3.11.egg-info")
    (place / "noversion.egg-info").mkdir()
    return place


def test_packages_have_normal_names_and_their_versions(site: Path) -> None:
    found = Interpreter(path="p", version="3", search=("/absent", str(site))).packages()
    assert found == {"google-auth": "2.0", "numpy": "1.26.4", "old-thing": "0.1", "pyyaml": "6.0.1", "six": "1.16.0"}


def test_the_first_directory_of_the_search_wins(site: Path, tmp_path: Path) -> None:
    installed(tmp_path / "first", "numpy-2.0.dist-info")
    assert Interpreter(path="p", version="3", search=(str(tmp_path / "first"), str(site))).packages()["numpy"] == "2.0"


@pytest.mark.parametrize(
    ("touched", "names"),
    [
        ([], set()),
        (["numpy"], {"numpy"}),
        (["numpy.libs"], {"numpy"}),
        (["_yaml"], {"pyyaml"}),
        (["six.py"], {"six"}),
        (["google"], {"google-auth"}),
        (["old_thing"], {"old-thing"}),
        (["own_module.py", ".."], set()),
    ],
)
def test_loaded_packages_are_those_whose_files_were_touched(site: Path, touched: list[str], names: set[str]) -> None:
    found = Interpreter(path="p", version="3", search=()).loaded((str(site), name) for name in touched)
    assert set(found) == names


def test_the_running_interpreter_is_known_without_asking_it() -> None:
    found = python.interpreter(sys.executable)
    assert found is not None
    assert found.version == platform.python_version()
    assert found.packages()["msgspec"] == importlib.metadata.version("msgspec")


def test_another_interpreter_is_asked(tmp_path: Path) -> None:
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", "--symlinks", tmp_path / "env"], check=True)
    found = python.interpreter(str(tmp_path / "env/bin/python"))
    assert found is not None
    assert found.version == platform.python_version()
    assert "msgspec" not in found.packages()


def test_what_does_not_answer_as_python_does_is_none(tmp_path: Path) -> None:
    script = tmp_path / "python"
    script.write_text("#!/bin/sh\necho hello\n")
    script.chmod(0o755)
    assert python.interpreter(str(script)) is None
    script.write_text("#!/bin/sh\nexit 3\n")
    assert python.interpreter(str(script)) is None


@pytest.mark.parametrize(
    ("program", "expected"),
    [("python", True), ("python3", True), ("/usr/bin/python3.11", True), ("ipython", False), ("pythonw", False)],
)
def test_interpreters_are_known_by_their_names(program: str, expected: bool) -> None:
    assert python.is_python(program) is expected


def test_a_program_is_found_by_the_path_it_will_have(tmp_path: Path) -> None:
    (tmp_path / "fit").write_text("#!/bin/sh\n")
    (tmp_path / "fit").chmod(0o755)
    for program, path, expected in (
        ("fit", str(tmp_path), str(tmp_path / "fit")),
        ("fit", "/nowhere", None),
        ("./fit", "/nowhere", "./fit"),
        ("./python", "/nowhere", None),
        (str(tmp_path / "fit"), "/nowhere", str(tmp_path / "fit")),
        ("python", "/nowhere", sys.executable),
        ("/nowhere/python", "/bin", None),
    ):
        assert python.resolve(program, {"PATH": path}, directory=tmp_path) == expected


def test_modules_that_cannot_be_found_are_named() -> None:
    assert python.missing(sys.executable, ["json", "no_such_module_here"]) == ("no_such_module_here",)
    assert python.missing("/nowhere/python", []) == ()


class TestSurroundings:
    def test_a_python_is_recorded_with_its_packages(self) -> None:
        path, found = surroundings.environment(
            sys.executable, {"TZ": "UTC", "SECRET": "x", "PATH": "/bin"}, directory=Path("/")
        )
        assert path == sys.executable
        assert (found.python, found.packages_scope) == (platform.python_version(), "installed")
        assert found.packages["msgspec"] == importlib.metadata.version("msgspec")
        assert found.variables == {"TZ": "UTC"}
        assert "/" not in found.program

    def test_only_what_was_touched_or_wanted_is_recorded(self, site: Path) -> None:
        _, found = surroundings.environment(sys.executable, {}, directory=Path("/"), touched=[(str(site), "numpy")])
        assert (found.packages, found.packages_scope) == ({"numpy": "1.26.4"}, "loaded")
        _, found = surroundings.environment(
            sys.executable, {}, directory=Path("/"), wanted={"msgspec": "0", "gone": "1"}
        )
        assert set(found.packages) == {"msgspec"}

    def test_another_program_has_no_packages(self) -> None:
        path, found = surroundings.environment("sh", {"PATH": os.environ["PATH"]}, directory=Path("/"))
        assert Path(path).name == "sh"
        assert (found.program, found.python, found.packages, found.packages_scope) == ("sh", None, {}, "none")

    def test_a_program_that_is_not_there_is_named(self) -> None:
        with pytest.raises(UsageError, match="command not found: no-such-program") as caught:
            surroundings.environment("no-such-program", {"PATH": "/bin"}, directory=Path("/"))
        assert "PATH was searched" in (caught.value.hint or "")

    def test_the_machine_is_described_without_its_name(self) -> None:
        found = surroundings.hardware()
        assert found.architecture == platform.machine()
        assert found.cores == len(os.sched_getaffinity(0))
        assert (found.memory or 0) > 1 << 20
        assert platform.node() not in (found.system, found.cpu)
