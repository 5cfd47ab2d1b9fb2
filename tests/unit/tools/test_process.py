from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from entrenar_research.errors import MissingToolError, ToolError
from entrenar_research.tools import dvc, process, ssh_keygen


def test_what_a_program_says_is_captured(tmp_path: Path) -> None:
    done = process.run(["sh", "-c", "pwd; echo err >&2; cat"], cwd=tmp_path, stdin=b"in\n\n")
    assert (done.status, done.stderr) == (0, b"err\n")
    assert done.text == f"{tmp_path.resolve()}\nin"


def test_standard_input_is_closed_unless_given() -> None:
    assert process.run(["cat"]).stdout == b""


def test_a_failure_is_told_with_the_last_words_of_the_program() -> None:
    script = "for n in 1 2 3 4 5 6 7 8; do echo line $n >&2; done; exit 3"
    with pytest.raises(ToolError) as caught:
        process.run(["sh", "-c", script, "x", "y"])
    assert caught.value.message == f"`sh -c {script} x` ended with status 3: " + "\n  ".join(
        f"line {n}" for n in range(3, 9)
    )
    assert process.run(["sh", "-c", script], check=False).status == 3
    with pytest.raises(ToolError, match=r"ended with status 1: no message$"):
        process.run(["false"])


def test_a_signal_is_a_negative_status() -> None:
    assert process.run(["sh", "-c", "kill -KILL $$"], check=False).status == -9


def test_a_program_that_is_not_there_is_named_with_where_to_get_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(MissingToolError, match="'strace' is not installed or not on PATH") as caught:
        process.run(["strace"])
    assert caught.value.hint == "get it with `apt-get install strace`, or your system's package"
    assert caught.value.exit_code == 3
    with pytest.raises(MissingToolError, match="'editor' is not installed"):
        process.attended(["editor"])


@pytest.mark.parametrize(
    ("content", "mode", "error", "words"),
    [
        ("#!/bin/sh\n", 0o644, MissingToolError, "may not be executed: Permission denied"),
        ("no program", 0o755, ToolError, "Exec format error"),
        ("#!/no/such/interpreter\n", 0o755, MissingToolError, "is not installed"),
    ],
)
def test_what_cannot_be_executed_is_an_error_of_ours(
    tmp_path: Path, content: str, mode: int, error: type[Exception], words: str
) -> None:
    program = tmp_path / "program"
    program.write_text(content)
    program.chmod(mode)
    with pytest.raises(error, match=words):
        process.run([str(program)])


def test_a_place_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(ToolError, match=r"cannot run true in .*absent: no such directory"):
        process.run(["true"], cwd=tmp_path / "absent")
    (tmp_path / "file").touch()
    with pytest.raises(ToolError, match="cannot run true: Not a directory"):
        process.run(["true"], cwd=tmp_path / "file")
    with pytest.raises(ToolError, match="cannot run true: Argument list too long"):
        process.run(["true", "x" * (8 << 20)])


def test_a_program_that_does_not_end_is_stopped() -> None:
    with pytest.raises(ToolError, match=r"sleep did not end within 0\.05 s"):
        process.run(["sleep", "60"], timeout=0.05)


def test_an_attended_program_talks_to_the_person_itself(capfd: pytest.CaptureFixture[str]) -> None:
    assert process.attended(["sh", "-c", "echo to the person; exit 4"]) == 4
    assert capfd.readouterr().out == "to the person\n"


def test_a_program_is_found_by_the_path_of_its_environment(tmp_path: Path) -> None:
    assert process.which("sh", environment={"PATH": str(tmp_path)}) is None
    assert process.which("sh", environment={"PATH": "/bin"}) == "/bin/sh"


def test_dvc_is_found_beside_this_interpreter_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    beside = Path(sys.executable).with_name("dvc")
    assert dvc.program() == [str(beside) if beside.is_file() else "dvc"]


def test_dvc_that_refuses_is_quoted(tmp_path: Path) -> None:
    with pytest.raises(ToolError, match="you are not inside of a DVC repository"):
        dvc.add(tmp_path, "x")
    dvc.add(tmp_path)


def test_keys_are_made_and_read_by_ssh_keygen(tmp_path: Path) -> None:
    ssh_keygen.generate(tmp_path / "id", comment="a b", passphrase=False)
    line = ssh_keygen.public_line(tmp_path / "id")
    assert line == (tmp_path / "id.pub").read_text().strip()
    assert line.endswith(" a b")
    shown = subprocess.run(["ssh-keygen", "-lf", tmp_path / "id.pub"], capture_output=True, text=True, check=True)
    assert ssh_keygen.fingerprint(line) == shown.stdout.split()[1]
    with pytest.raises(ToolError):
        ssh_keygen.fingerprint("no key")
