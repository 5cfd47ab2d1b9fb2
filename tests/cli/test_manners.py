"""In a pipe no pager, prompt, colour or progress; on a terminal tables that fit, NO_COLOR obeyed, nothing injected."""

from __future__ import annotations

import json
import os
import re
import subprocess
import unicodedata
from pathlib import Path

import pytest

from tests.cli.conftest import Door, Terminal, tree
from tests.conftest import World

LOOKS = (
    "status", "run line", "runs list", "runs show line", "experiment list", "experiment show line", "golden list",
    "golden check", "keys show", "doctor", "cite", "verify --no-replay",
)  # fmt: skip
JSON = (
    "status", "run line", "runs list", "runs show line", "experiment list", "experiment show line", "golden list",
    "golden check", "keys show", "doctor", "verify --no-replay",
)  # fmt: skip


@pytest.fixture
def no_pager(tmp_path: Path) -> tuple[dict[str, str], Path]:
    """Variables that make every pager leave a mark, and the mark."""
    pager, mark = tmp_path / "pager", tmp_path / "paged"
    pager.write_text(f"#!/bin/sh\ntouch {mark}\ncat\n")
    pager.chmod(0o755)
    return {name: str(pager) for name in ("PAGER", "GIT_PAGER", "MANPAGER", "DVC_PAGER", "LESSOPEN")}, mark


def test_a_pipe_gets_plain_text(door: Door, tiny: Path, no_pager: tuple[dict[str, str], Path]) -> None:
    env, mark = no_pager
    for words in LOOKS:
        said = door(*words.split(), cwd=tiny, env={**env, "TERM": "xterm-256color", "FORCE_COLOR": "1"})
        assert said.status == 0, said
        assert "\x1b" not in said.out + said.err, words
        assert "\r" not in said.out + said.err, words
        assert not re.search(r"[│┃━─]", said.out), words
    assert not mark.exists()


@pytest.mark.parametrize(
    ("quiet", "looks"),
    [
        ({"NO_COLOR": "1"}, ("status", "run line", "runs show line", "golden check", "verify --no-replay", "help")),
        ({"TERM": "dumb"}, ("status", "golden check")),
    ],
)
def test_a_terminal_without_colour_gets_no_escapes(
    quiet: dict[str, str], looks: tuple[str, ...], terminal: Terminal, tiny: Path, no_pager: tuple[dict[str, str], Path]
) -> None:
    env, mark = no_pager
    script = "; ".join(f"entrenar-research {words}" for words in looks)
    said = terminal("sh", "-ec", script, cwd=tiny, env={**env, **quiet})
    assert said.status == 0, said.out
    assert "\x1b" not in said.out
    assert not mark.exists()


def test_a_terminal_gets_tables_and_colour(terminal: Terminal, tiny: Path) -> None:
    said = terminal("entrenar-research", "status", cwd=tiny)
    assert said.status == 0
    assert "\x1b[32mup to date" in said.out
    plain = re.sub(r"\x1b\[[0-9;]*m", "", said.out).splitlines()
    assert re.fullmatch(r"experiment +state +runs +sealed as +why *", plain[1])
    assert re.fullmatch("─+", plain[2].strip())
    assert re.match(r"line +up to date +1 +experiment/line/v1", plain[3])


def test_progress_shows_on_a_terminal_and_goes_away(terminal: Terminal, tiny: Path) -> None:
    said = terminal("entrenar-research", "verify", cwd=tiny)
    assert said.status == 0
    assert "verifying" in said.out
    assert "\x1b[2K" in said.out  # the line of the bar is cleared
    assert "verifying" not in terminal("entrenar-research", "verify", cwd=tiny, env={"NO_COLOR": "1"}).out


def test_the_bar_makes_room_for_a_question(terminal: Terminal, tiny_bundle: Path) -> None:
    question = "Replaying runs the code in tiny.crate.zip on this machine. Go ahead? [y/N]: "
    said = terminal(
        "entrenar-research", "verify", tiny_bundle.name, cwd=tiny_bundle.parent, answers=[(question, "n\n")]
    )
    assert said.status == 0
    before, _, after = said.out.partition(question)
    assert "\x1b[2K" in before.rpartition("verifying")[2], "the bar is gone before the question"
    assert after.startswith("n\n")
    assert "not replayed: no consent" in after


@pytest.mark.parametrize("columns", [60, 100])
def test_tables_fit(columns: int, terminal: Terminal, tiny: Path) -> None:
    script = "; ".join(f"entrenar-research {words}" for words in ("runs list", "doctor", "runs show line"))
    said = terminal("sh", "-ec", script, cwd=tiny, env={"NO_COLOR": "1"}, columns=columns)
    assert said.status == 0
    for line in said.out.splitlines():
        assert len(line.rstrip()) <= columns or line.startswith("the main job"), line
    assert re.search(r"\d{8}T\d{9}Z-line-\w{4}", said.out.replace("\n", "")), "an id can be copied"


def test_wide_characters_stay_in_their_columns(door: Door, tiny: Path) -> None:
    declared = tiny / "experiments/line/experiment.yaml"
    text = declared.read_text()
    for name, words in (("a", "一本の線"), ("b", "a\u0301 line")):
        place = tiny / f"experiments/{name}/experiment.yaml"
        place.parent.mkdir()
        place.write_text(text.replace("A line through points.", words).replace("trace: full", "trace: none"))
    out = door("experiment", "list", cwd=tiny).out.splitlines()
    assert [line.index("full" if "full" in line else "none") for line in out[1:]] == [12, 12, 12]

    def cells(line: str) -> int:
        wide = {"W": 2, "F": 2}
        return sum(0 if unicodedata.combining(c) else wide.get(unicodedata.east_asian_width(c), 1) for c in line)

    (tiny / "study.yaml").write_text((tiny / "study.yaml").read_text().replace("A line", "一本の線"))
    assert door("status", cwd=tiny).out.startswith("一本の線 (commit ")
    assert cells(out[1]) == 19 + 8


def test_a_title_cannot_command_the_terminal(terminal: Terminal, door: Door, tiny: Path) -> None:
    study = tiny / "study.yaml"
    study.write_text(study.read_text().replace("title: A line", r'title: "A\e]0;owned\a\e[2J line"'))
    assert door("status", cwd=tiny).out.startswith(r"A\x1b]0;owned\x07\x1b[2J line (commit")
    shown = terminal("entrenar-research", "status", cwd=tiny).out
    assert "\x1b]0;" not in shown
    assert "\x07" not in shown


@pytest.mark.parametrize("words", JSON)
def test_json_is_one_line_of_json(words: str, door: Door, tiny: Path) -> None:
    said = door(*words.split(), "--format", "json", cwd=tiny)
    assert said.status == 0
    assert said.out.count("\n") == 1
    json.loads(said.out)


def test_an_encoding_without_the_letters_is_no_failure(world: World, tiny: Path) -> None:
    (tiny / "study.yaml").write_text((tiny / "study.yaml").read_text().replace("A line", "一本の線"))
    done = world.tool("status", cwd=tiny, env={"PYTHONIOENCODING": "ascii"})
    assert done.stdout.startswith(r"\u4e00\u672c\u306e\u7dda (commit ")


@pytest.mark.parametrize(
    "words", ["--version", "--help", "run --help", "status", "run line --force", "verify --no-replay"]
)
def test_a_reader_that_leaves_is_no_failure(words: str, world: World, tiny: Path) -> None:
    reader, writer = os.pipe()
    os.close(reader)
    done = subprocess.run(
        ["entrenar-research", *words.split()],
        cwd=tiny, env=world.environment, stdin=subprocess.DEVNULL, stdout=writer, stderr=subprocess.PIPE, check=False,
    )  # fmt: skip
    os.close(writer)
    assert (done.returncode, done.stderr) == (128 + 13, b"")


@pytest.mark.parametrize("words", ["--version", "help", "status", "cite"])
def test_a_full_disk_is_said(words: str, world: World, tiny: Path) -> None:
    done = world.run("sh", "-c", f"entrenar-research {words} > /dev/full", cwd=tiny, status=1)
    assert done.stderr == (
        "error: standard output: No space left on device\nhint: free some space, then run the same command again\n"
    )


@pytest.mark.parametrize(
    ("words", "status"),
    [
        ("status <&-", 0),
        ("run line --force --quiet <&- >&- 2>&-", 0),
        ("--version >&-", 0),
        ("verify --no-replay >&- 2>&-", 0),
        ("nope >&- 2>&-", 2),
        ("init somewhere <&-", 2),
        ("experiment add one <&- -- ls", 2),
    ],
)
def test_closed_streams(words: str, status: int, world: World, tiny: Path) -> None:
    world.run("sh", "-c", f"entrenar-research {words}", cwd=tiny, status=status)
    runs = sorted((tiny / "runs").iterdir())
    for run in runs:
        assert (run / "stdout.txt").read_text() == "weight 2.002\n"


def test_ctrl_c_cancels_a_run(terminal: Terminal, world: World, tiny: Path) -> None:
    train = tiny / "experiments/line/train.py"
    train.write_text(train.read_text() + "print('waiting', flush=True)\nimport time\ntime.sleep(60)\n")
    result = tree(tiny / "experiments/line/result")
    said = terminal("entrenar-research", "run", "line", cwd=tiny, answers=[("waiting", "\x03")])
    assert said.status == 130, said.out
    assert "is recorded as cancelled, the last good result is untouched" in said.out
    assert tree(tiny / "experiments/line/result") == result
    records = json.loads(world.tool("runs", "list", "--format", "json", cwd=tiny).stdout)
    assert [record["status"] for record in records] == ["completed", "cancelled"]


def test_ctrl_c_at_a_question_leaves_nothing(terminal: Terminal, tiny: Path) -> None:
    (tiny / "hello.py").write_text("open('out.txt', 'w').write('hello')\n")
    before = tree(tiny)
    said = terminal(
        "entrenar-research", "experiment", "add", "hello", "--", "python", "hello.py",
        cwd=tiny, answers=[("Write this? [y/N]: ", "\x03")],
    )  # fmt: skip
    assert said.status == 130
    assert "error: interrupted" in said.out
    assert tree(tiny) == before


def test_bundles_and_binaries_are_marked_binary(world: World, tiny: Path) -> None:
    names = ["a.crate.zip", "x/model.safetensors", "fig.png", "curve.npz", "t.parquet", "history.bundle", "p.pdf"]
    said = world.run("git", "check-attr", "text", "diff", "--", *names, "study.yaml", cwd=tiny).stdout
    for name in names:
        assert f"{name}: text: unset\n{name}: diff: unset\n" in said
    assert "study.yaml: text: unset\nstudy.yaml: diff: unspecified\n" in said


def test_a_clone_with_line_ending_conversion_has_the_same_bytes(world: World, tiny: Path, tmp_path: Path) -> None:
    (tiny / "data/odd.zip").write_bytes(b"PK\r\n\n\r\r\n")
    (tiny / "notes.txt").write_bytes(b"one\r\ntwo\nthree\r\n")
    world.run("git", "add", "-f", "data/odd.zip", "notes.txt", cwd=tiny)
    world.run("git", "commit", "-qm", "Both kinds of line ends", cwd=tiny)
    clone = tmp_path / "clone"
    world.run("git", "clone", "-q", "-c", "core.autocrlf=true", tiny, clone, cwd=tmp_path)
    committed = tree(clone)
    assert committed["data/odd.zip"] == b"PK\r\n\n\r\r\n"
    present = tree(tiny)
    assert {name: present[name] for name in committed} == committed


def test_bash_takes_the_completion(world: World, tiny: Path, tmp_path: Path) -> None:
    script = tmp_path / "completion.bash"
    script.write_text(world.tool("completion", "bash", cwd=tiny).stdout)

    def complete(*words: str) -> list[str]:
        line = " ".join(f"'{word}'" for word in ("entrenar-research", *words))
        ask = f"source {script}; COMP_WORDS=({line}); COMP_CWORD={len(words)}; "
        ask += "$(complete -p entrenar-research | sed 's/.*-F \\([^ ]*\\).*/\\1/'); printf '%s\\n' \"${COMPREPLY[@]}\""
        return world.run("bash", "-c", ask, cwd=tiny).stdout.split()

    assert complete("ru") == ["run", "runs"]
    assert complete("golden", "ch") == ["check"]
    assert complete("run", "line", "--f") == ["--force", "--fix", "--format"]
    assert complete("cite", "--format", "") == ["bibtex", "cff"]
    assert complete("seal", "") == ["experiment", "golden", "sweep"]
    assert set(complete("-")) == {"-h", "--help", "-V", "--version", "-C"}
    assert "bundle" in complete("")
