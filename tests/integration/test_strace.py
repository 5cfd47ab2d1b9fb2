"""The real strace: what a program touches, the same trace wherever it runs, the layout of its table."""

import os
import shutil
import subprocess
import sys
import sysconfig
from collections.abc import Sequence
from pathlib import Path

import pytest

from entrenar_research.core.traces.comparison import compare
from entrenar_research.core.traces.document import decode, document, encode
from entrenar_research.core.traces.normalisation import counts_of, normalise, normalised_steps, trace_id
from entrenar_research.core.traces.observation import Observation, observe
from entrenar_research.core.traces.summary import counts, format_summary, parse_summary, summarise
from entrenar_research.models.experiment import TraceLevel
from entrenar_research.models.trace import Trace
from entrenar_research.tools import strace
from entrenar_research.tracers.strace import TRACER

pytest.importorskip("numpy")
pytestmark = pytest.mark.skipif(TRACER.unavailable() is not None, reason=str(TRACER.unavailable()))

TRAINING = """
import json, os, subprocess, sys, tempfile, threading
from pathlib import Path
import numpy as np
import model

here = Path("experiments/e")
out = here / "result"
out.mkdir(exist_ok=True)
data = np.loadtxt(here / "data.csv", delimiter=",")
weights = np.random.default_rng(3).normal(size=(40, 40))
for _ in range(20):
    weights = model.step(weights)
np.savez(out / "model.npz", weights=weights)
with tempfile.NamedTemporaryFile(dir=out, delete=False) as part:
    part.write(b"{}")
os.replace(part.name, out / "empty.json")
worker = threading.Thread(target=(out / "note.txt").write_text, args=["done"])
worker.start()
worker.join()
(out / "listing.txt").write_bytes(subprocess.run(["ls", out], stdout=subprocess.PIPE, check=True).stdout)
(out / "metrics.json").write_text(json.dumps({"sum": float(data.sum()), "norm": float(np.linalg.norm(weights))}))
print(os.getpid(), id(weights), os.path.realpath(out))
"""
MODEL = "def step(weights):\n    weights = weights @ weights.T\n    return weights / abs(weights).max()\n"
CONSTANT = {
    "OPENBLAS_NUM_THREADS": "1",
    "PYTHONHASHSEED": "0",
    "PYTHONDONTWRITEBYTECODE": "1",
    "LC_ALL": "C.UTF-8",
}


def make_study(root: Path, program: str = TRAINING) -> Path:
    folder = root / "experiments" / "e"
    folder.mkdir(parents=True)
    (folder / "train.py").write_text(program)
    (folder / "model.py").write_text(MODEL)
    (folder / "data.csv").write_text("".join(f"{number},{number * 2}\n" for number in range(3000)))
    return root


def run(
    study: Path,
    *,
    level: TraceLevel = "full",
    before: Sequence[str] = (),
    command: Sequence[str] = (sys.executable, "experiments/e/train.py"),
    **environment: str,
) -> Trace:
    log = study / "trace.log"
    argv = [*before, *TRACER.wrap(command, level=level, log=log)]
    done = subprocess.run(
        argv, cwd=study, env={**os.environ, **CONSTANT, **environment}, capture_output=True, check=False
    )
    assert done.returncode == 0, done.stderr.decode()
    trace = TRACER.read(log, command=command, level=level)
    assert trace.complete, trace.problems
    shutil.rmtree(study / "experiments/e/result", ignore_errors=True)
    return trace


def lines_of(trace: Trace, study: Path) -> tuple[str, ...]:
    return normalise(trace, replacements={str(study): "$STUDY", sys.prefix: "$PYTHON"})


def test_the_same_program_in_another_directory_leaves_the_same_trace(tmp_path: Path) -> None:
    first, second = make_study(tmp_path / "a"), make_study(tmp_path / "another" / "and" / "deeper")
    golden = lines_of(run(first), first)
    now = lines_of(run(second, HOME="/nonexistent", UNRELATED="x" * 5000), second)
    found = compare(golden, counts_of(golden), now, counts_of(now))
    assert found.same, found
    assert trace_id(golden) == trace_id(now)
    assert not [line for line in golden if str(tmp_path) in line or os.fspath(Path.home()) in line]
    size = (first / "experiments/e/data.csv").stat().st_size
    assert f"1 read($STUDY/experiments/e/data.csv) = {size}" in golden
    assert "1.1 write($STUDY/experiments/e/result/note.txt) = 4" in golden
    assert any(line.startswith("1.2 execve(/usr/bin/ls") or "/ls, [ls, " in line for line in golden)


def test_random_addresses_change_nothing(tmp_path: Path) -> None:
    study = make_study(tmp_path / "s")
    log, command = study / "trace.log", [sys.executable, "experiments/e/train.py"]
    wrapped = TRACER.wrap(command, level="full", log=log)
    plain = wrapped[wrapped.index("strace") :]
    found = set()
    for argv in (wrapped, plain, plain):
        subprocess.run(argv, cwd=study, env={**os.environ, **CONSTANT}, capture_output=True, check=True)
        found.add(trace_id(lines_of(TRACER.read(log, command=command, level="full"), study)))
        shutil.rmtree(study / "experiments/e/result")
    assert len(found) == 1


def test_byte_code_of_the_study_changes_nothing(tmp_path: Path) -> None:
    study = make_study(tmp_path / "s")
    from_source = lines_of(run(study), study)
    writing = lines_of(run(study, PYTHONDONTWRITEBYTECODE=""), study)
    assert list((study / "experiments/e/__pycache__").iterdir())
    assert from_source == writing == lines_of(run(study), study)


@pytest.mark.skipif(os.geteuid() != 0 or shutil.which("setpriv") is None, reason="needs root and setpriv")
def test_another_user_leaves_the_same_trace() -> None:
    # pytest's own temporary directory is closed to other users.
    base = Path("/tmp/trace-of-nobody")
    shutil.rmtree(base, ignore_errors=True)
    try:
        study = make_study(base / "s")
        as_root = lines_of(run(study), study)
        for path in [base, *base.rglob("*")]:
            os.chown(path, 65534, 65534)
        become = ["setpriv", "--reuid", "65534", "--regid", "65534", "--clear-groups"]
        probe = [*become, sys.executable, "-c", "import numpy"]
        if subprocess.run(probe, cwd="/", capture_output=True, check=False).returncode != 0:
            pytest.skip("this environment is not readable by other users")
        assert lines_of(run(study, before=become, HOME="/nonexistent"), study) == as_root
    finally:
        shutil.rmtree(base)


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        ("import model\n", "import model\nopen('experiments/e/model.py').close()\n", "model.py"),
        ("import model\n", "import model\nopen('/etc/hostname').close()\n", "/etc/hostname"),
        ('"data.csv"', '"../e/data.csv"', None),
        ("os.replace", "os.link(part.name, out / 'second'); os.replace", "link("),
        (
            "worker.join()",
            "worker.join(); import socket; socket.socket(type=socket.SOCK_DGRAM).connect(('127.0.0.1', 9))",
            "connect([socket], 127.0.0.1:9",
        ),
    ],
)
def test_a_program_that_does_something_else_leaves_another_trace(
    tmp_path: Path, old: str, new: str, told: str | None
) -> None:
    assert old in TRAINING
    first, second = make_study(tmp_path / "a"), make_study(tmp_path / "b", TRAINING.replace(old, new))
    golden, now = lines_of(run(first), first), lines_of(run(second), second)
    if told is None:
        assert golden == now
    else:
        found = compare(golden, counts_of(golden), now, counts_of(now))
        assert found.count_differences
        assert any(told in line for line in set(now) - set(golden)) or told == "model.py"


OBSERVED = """
import os, socket
open("input.txt").read()
open("hidden.txt").read()
os.makedirs("out", exist_ok=True)
open("out/a.txt", "w").write("x")
open("out/a.txt").read()
open("out/part", "w").write("x")
os.rename("out/part", "out/b.txt")
open("out/t", "w").close()
os.unlink("out/t")
os.listdir("folder")
os.path.exists("optional.yaml")
os.chdir("folder")
open("inner.txt").read()
os.unlink("old.txt")
os.system("cat inner.txt ../input.txt > ../out/c.txt")
s = socket.socket(type=socket.SOCK_DGRAM)
s.sendto(b"x", ("127.0.0.1", 9))
"""


@pytest.mark.parametrize("level", ["observe", "full"])
def test_what_a_program_touches_is_observed(tmp_path: Path, level: TraceLevel) -> None:
    study = tmp_path / "study"
    (study / "folder").mkdir(parents=True)
    for name in ("input.txt", "hidden.txt", "folder/inner.txt", "folder/old.txt"):
        (study / name).write_text(name)
    (study / "run.py").write_text(OBSERVED)
    trace = run(study, level=level, command=[sys.executable, "run.py"])
    found = observe(trace, root=str(study), initial_directory=str(study))

    def inside(paths: Sequence[str]) -> list[str]:
        return [path.removeprefix(f"{study}/") for path in paths if path.startswith(f"{study}/")]

    assert inside(found.reads) == ["folder/inner.txt", "hidden.txt", "input.txt", "run.py"]
    assert inside(found.writes) == ["out/a.txt", "out/b.txt", "out/c.txt"]
    assert inside(found.temporary) == ["out/part", "out/t"]
    assert inside(found.removed) == ["folder/old.txt"]
    assert "folder" in inside(found.listed)
    assert "optional.yaml" in inside(found.missing)
    assert found.network == ("sendto 127.0.0.1:9",)
    assert any(path.endswith(("/sh", "/cat")) for path in found.executed)


def test_imported_packages_are_observed(tmp_path: Path) -> None:
    study = make_study(tmp_path / "s")
    found: Observation = observe(run(study, level="observe"), root=str(study), initial_directory=str(study))
    names = {name for directory, name in found.python_packages if directory == sysconfig.get_path("platlib")}
    assert "numpy" in names
    assert f"{study}/experiments/e/model.py" in found.reads
    assert f"{study}/experiments/e/result/model.npz" in found.writes


def test_a_real_trace_becomes_a_document_and_a_table(tmp_path: Path) -> None:
    study = make_study(tmp_path / "s", "print(open('experiments/e/data.csv').read()[:5])\n")
    trace = run(study)
    replacements = {str(study): "$STUDY", sys.prefix: "$PYTHON"}
    steps = normalised_steps(trace, replacements=replacements)
    found = document(trace, steps, version=TRACER.version(), replacements=replacements)
    assert decode(encode(found), "x.json") == found
    assert found.exit.status == 0
    assert found.recorded == sum(counts(trace).values()) == len(trace.calls)
    table = format_summary(summarise(trace))
    assert parse_summary(table, "x") == summarise(trace)
    assert all(row.microseconds for row in summarise(trace) if row.name == "openat")


def test_the_table_has_the_columns_of_strace(tmp_path: Path) -> None:
    real = tmp_path / "c"
    subprocess.run(["strace", "-f", "-c", "-o", real, "ls", "/", "/nonexistent"], capture_output=True, check=False)
    log = tmp_path / "log"
    subprocess.run(TRACER.wrap(["ls", "/", "/nonexistent"], level="full", log=log), capture_output=True, check=False)
    theirs = real.read_text().splitlines()
    ours = format_summary(summarise(TRACER.read(log, command=["ls"], level="full"))).splitlines()
    assert ours[0] == theirs[0]
    assert (ours[1], ours[-2]) == (theirs[1], theirs[-2])
    columns = [slice(0, 6), slice(7, 18), slice(19, 30), slice(31, 40), slice(41, 50), slice(51, None)]
    their_rows = {line[columns[5]]: line for line in [*theirs[2:-2], theirs[-1]]}
    our_rows = {line[columns[5]]: line for line in [*ours[2:-2], ours[-1]]}
    # strace -c does not count the calls that never return.
    for name in their_rows.keys() - {"total"}:
        for column in (columns[3], columns[4]):
            assert our_rows[name][column] == their_rows[name][column], name
    assert our_rows["total"][:6] == their_rows["total"][:6] == "100.00"
    assert our_rows["total"][columns[4]] == their_rows["total"][columns[4]]


def test_an_older_strace_observes_without_a_filter(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = shutil.which("strace")
    old = tmp_path / "bin" / "strace"
    old.parent.mkdir()
    old.write_text(
        '#!/bin/sh\nfor word; do [ "$word" = --seccomp-bpf ] && { echo "invalid option" >&2; exit 1; }; done\n'
        f'exec {real} "$@"\n'
    )
    old.chmod(0o755)
    monkeypatch.setenv("PATH", f"{old.parent}:{os.environ['PATH']}")
    strace._filter.cache_clear()
    try:
        assert "--seccomp-bpf" not in TRACER.wrap(["true"], level="observe", log=tmp_path / "log")
    finally:
        strace._filter.cache_clear()
    monkeypatch.undo()
    assert "--seccomp-bpf" in TRACER.wrap(["true"], level="observe", log=tmp_path / "log")


def test_a_strace_that_may_not_trace_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    forbidden = tmp_path / "strace"
    forbidden.write_text("#!/bin/sh\necho 'strace: ptrace(PTRACE_TRACEME): Operation not permitted' >&2\nexit 1\n")
    forbidden.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    assert "Operation not permitted" in str(TRACER.unavailable())
