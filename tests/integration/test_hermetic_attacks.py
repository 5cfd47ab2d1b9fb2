"""What experiments may do to the sandbox and to whoever takes something out of it."""

from __future__ import annotations

import json
import stat
from pathlib import Path

import pytest

from tests import hermetic
from tests.conftest import World
from tests.integration.test_nix_runner import record

pytestmark = [pytest.mark.nix, pytest.mark.slow]
ODD = """\
import os, sys
from pathlib import Path
mode, result = sys.argv[1], Path(sys.argv[2])
out, run = result / "o.txt", Path(os.environ["ENTRENAR_STUDY"], os.environ["ENTRENAR_RUN"])
evidence = Path("/build/evidence")
if mode != "pipe as output": out.write_text("ok")
if mode == "pipe": os.mkfifo(result / "pipe")
if mode == "pipe as output": os.mkfifo(out)
if mode == "pipe in the run": os.mkfifo(run / "pipe")
if mode == "no result": out.unlink(); result.rmdir()
if mode == "file as result": out.unlink(); result.rmdir(); result.write_text("x")
if mode == "link out": out.unlink(); out.symlink_to("/etc/passwd")
if mode == "nobody may read":
    (result / "d").mkdir(); (result / "d/x").write_text("1")
    (result / "d").chmod(0); out.chmod(0)
if mode == "program":
    out.chmod(0o755); (result / "größe ?#%.txt").write_text("1"); (result / "link").symlink_to("o.txt")
if mode == "bytes": sys.stdout.buffer.write(bytes(range(256)) * 100)
if mode == "left running":
    if os.fork() == 0:
        __import__("time").sleep(600)
if mode == "links in the evidence":
    for name in ("stdout.txt", "stderr.txt"): (evidence / name).unlink(); (evidence / name).symlink_to(sys.argv[3])
    (run / "mine.txt").symlink_to(sys.argv[3])
    sys.exit(3)
if mode == "words of nix":
    print(f"note: keeping build directory '{sys.argv[3]}'", flush=True)
    sys.exit(4)
if mode == "told": (evidence / "run").mkdir(); (evidence / "ended.json").write_bytes(bytes.fromhex(sys.argv[3]))
if mode == "real-time signal": os.kill(os.getpid(), 40)
if mode == "failed well":
    print("error: builder for '/nix/store/x-odd-none.drv' failed with exit code 0", file=sys.stderr, flush=True)
    __import__("shutil").rmtree(evidence)
    sys.exit(3)
if mode == "list":
    found = sorted(path for top in ("data", "experiments") for path in Path(top).rglob("*"))
    out.write_text("".join(f"{path}|{os.access(path, os.X_OK)}|{path.is_symlink()}\\n" for path in found))
"""


@pytest.fixture
def study(tiny: Path, world: World, tmp_path: Path) -> Path:
    world.environment["ENTRENAR_NIX_STORE"] = str(hermetic.store())
    place = tmp_path / "größe of $things"
    tiny.rename(place)
    hermetic.equip(place)
    (place / "experiments" / "odd").mkdir()
    (place / "experiments" / "odd" / "odd.py").write_text(ODD)
    return place


def run(
    study: Path, world: World, mode: str, *more: str, status: int = 0, inputs: str = "[]", outputs: str = "[o.txt]"
) -> str:
    """What the command says that runs it."""
    words = " ".join(f"'{word}'" for word in (mode, "${result}", *more))
    (study / "experiments" / "odd" / "experiment.yaml").write_text(
        f"command: python experiments/odd/odd.py {words}\ncode: [experiments/odd/odd.py]\n"
        f"inputs: {inputs}\noutputs: {outputs}\ntrace: none\n"
    )
    done = world.tool("run", "odd", "--runner", "nix", "--force", "--quiet", cwd=study, status=status)
    assert not list((study / ".entrenar" / "staging").iterdir())
    return done.stderr


@pytest.mark.parametrize(
    ("mode", "words"),
    [
        ("pipe", "result/pipe: expected a file or directory, found a device, pipe or socket"),
        ("pipe as output", "result/o.txt: expected a file or directory"),
        ("pipe in the run", "/pipe: expected a file or directory"),
        ("no result", "experiments/odd/result is no directory any more"),
        ("file as result", "experiments/odd/result is no directory any more"),
        ("link out", "/etc/passwd"),
    ],
)
def test_what_cannot_be_a_result_is_named(study: Path, world: World, mode: str, words: str) -> None:
    assert words in run(study, world, mode, status=2 if mode != "link out" else 1)
    assert record(study, "odd").status == "failed"
    assert not (study / "experiments/odd/result").exists()
    run(study, world, "list")


@pytest.mark.parametrize(
    "told",
    [
        "[]",
        '{"status": "x"}',
        '{"status": -999}',
        '{"status": 3, "seconds": "a"}',
        '{"status": 3, "peak_memory": 1e400}',
        '{"status": 3}',
        "\xff",
    ],
)
def test_how_it_ended_is_not_taken_from_the_command(study: Path, world: World, told: str) -> None:
    said = run(study, world, "told", told.encode("latin-1").hex(), status=1)
    assert "the command of odd ended with exit status" in said
    assert record(study, "odd").status == "failed"


def test_an_error_cannot_command_the_terminal(study: Path, world: World) -> None:
    told = '{"status": 0, "refused": "\\u001b[31mred"}'
    said = run(study, world, "told", told.encode().hex(), status=2)
    assert "error: \\x1b[31mred; what the sandbox cannot give away is no result" in said


@pytest.mark.parametrize("mode", ["failed well", "told"])
def test_what_failed_is_no_result_whatever_it_says(study: Path, world: World, mode: str) -> None:
    said = run(study, world, mode, b'{"status": 0}'.hex(), status=1, outputs="[]")
    assert "the command of odd ended with exit status 1" in said
    assert record(study, "odd").status == "failed"


def test_a_signal_without_a_name(study: Path, world: World) -> None:
    assert "the command of odd was killed by signal 40" in run(study, world, "real-time signal", status=1)


def test_a_result_is_taken_out_as_it_is(study: Path, world: World) -> None:
    run(study, world, "nobody may read")
    result = study / "experiments/odd/result"
    assert (result / "d/x").read_text() == "1"
    run(study, world, "program")
    assert stat.S_IMODE((result / "o.txt").stat().st_mode) & 0o100
    assert (result / "größe ?#%.txt").read_text() == "1"
    assert (result / "link").readlink() == Path("o.txt")
    world.tool("reproduce", "odd", "--runner", "nix", "--vary", "none", cwd=study)


def test_inputs_are_laid_out_as_they_are(study: Path, world: World) -> None:
    (study / "data/größe & co").mkdir()
    (study / "data/größe & co/ein wert.csv").write_text("1")
    (study / "data/%20?x=#.csv").write_text("2")
    (study / "data/tree/empty").mkdir(parents=True)
    (study / "data/tree/f").write_text("3")
    (study / "data/tree/link").symlink_to("f")
    (study / "data/tree/program").write_text("#!/bin/sh\n")
    (study / "data/tree/program").chmod(0o755)
    (study / "experiments/odd/odd.py").chmod(0o755)
    run(study, world, "list", inputs='["data/größe & co/ein wert.csv", data/tree, "data/%20?x=#.csv"]')
    shown = (study / "experiments/odd/result/o.txt").read_text().splitlines()
    assert {line for line in shown if not line.startswith("data/tree/empty|")} == {
        "data/größe & co|True|False",
        "data/größe & co/ein wert.csv|False|False",
        "data/%20?x=#.csv|False|False",
        "data/tree|True|False",
        "data/tree/f|False|False",
        "data/tree/link|False|True",
        "data/tree/program|True|False",
        "experiments/odd|True|False",
        "experiments/odd/odd.py|True|False",
        "experiments/odd/result|True|False",
        "experiments/odd/result/o.txt|False|False",
    }


def test_a_command_may_print_anything(study: Path, world: World) -> None:
    run(study, world, "bytes")
    found = record(study, "odd")
    assert (study / "runs" / found.id / "stdout.txt").read_bytes() == bytes(range(256)) * 100


def test_nobody_waits_for_what_a_command_has_left_running(study: Path, world: World) -> None:
    run(study, world, "left running")
    duration = record(study, "odd").duration
    assert duration is not None
    assert duration < 300


def test_links_that_a_command_leaves_are_not_followed(study: Path, world: World, tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text("of the host")
    run(study, world, "links in the evidence", str(secret), status=1)
    directory = study / "runs" / record(study, "odd").id
    assert record(study, "odd").exit_status == 3
    assert [path for path in directory.rglob("*") if path.is_symlink() or "of the host" in path.read_text()] == []


def test_nothing_is_deleted_that_a_command_names(study: Path, world: World, tmp_path: Path) -> None:
    for name in ("mine", "nix-build-mine.drv-0"):
        (tmp_path / name / "evidence").mkdir(parents=True)
        run(study, world, "words of nix", str(tmp_path / name), status=1)
        assert record(study, "odd").exit_status == 4
        assert (tmp_path / name / "evidence").is_dir()


def test_outputs_at_fixed_places_and_odd_parameters(study: Path, world: World) -> None:
    (study / "experiments/odd/odd.py").write_text("import sys\nopen('models/m.txt', 'w').write(repr(sys.argv[1:]))\n")
    (study / "experiments/odd/params.yaml").write_text('größe: {a b: [1, 2]}\n"$x": v w\n')
    (study / "experiments/odd/experiment.yaml").write_text(
        "command: python experiments/odd/odd.py --x=${params.$x} \"a b\" 'c\"d' $HOME '*'\n"
        "code: [experiments/odd/odd.py]\nparams: experiments/odd/params.yaml\n"
        "outputs: [{path: m.txt, from: models/m.txt}]\n"
    )
    world.tool("run", "odd", "--runner", "nix", "--quiet", cwd=study)
    sealed = (study / "experiments/odd/result/m.txt").read_text()
    assert not (study / "models").exists()
    world.tool("run", "odd", "--force", "--quiet", cwd=study)
    assert (study / "experiments/odd/result/m.txt").read_text() == sealed
    world.tool("experiment", "sync", "odd", cwd=study)
    for runner in ("host", "nix"):
        found = json.loads(
            world.tool("verify", "--format", "json", cwd=study, env={"ENTRENAR_RUNNER": runner}, status=None).stdout
        )
        verdicts = {i["subject"]: i["verdict"] for i in found["findings"] if i["area"] in ("replay", "rebuild")}
        assert verdicts["experiments/odd/result/m.txt"] == "identical"


def test_a_store_that_nix_cannot_name_is_refused(study: Path, world: World, tmp_path: Path) -> None:
    named = {"ENTRENAR_NIX_STORE": str(tmp_path / "store?x=1")}
    said = world.tool("run", "line", "--runner", "nix", "--force", cwd=study, env=named, status=2).stderr
    assert "begins its settings" in said
    assert not (tmp_path / "store").exists()


def test_without_a_home_and_with_the_same_data_twice(study: Path, world: World) -> None:
    text = (study / "experiments/line/experiment.yaml").read_text()
    (study / "experiments/twin").mkdir()
    (study / "experiments/twin/experiment.yaml").write_text(text)
    del world.environment["HOME"]
    for name in ("line", "twin"):
        world.tool("run", name, "--runner", "nix", "--quiet", cwd=study)
    line, twin = record(study, "line"), record(study, "twin")
    assert [item.digest for item in line.outputs] == [item.digest for item in twin.outputs]
