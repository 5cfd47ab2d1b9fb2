"""Logging a metric: ours, a hand-written loop over a memory map, dvclive and MLflow's file store.

Ours and the loop are timed in one process, in turns of half a millisecond, and the median of the ratios of turns that
follow on each other is compared: a machine that is busy with something else slows down both. The peers are programs
of their own that time their own loops. System calls are the slope of `strace -f -c` between a tenth of the points and
all of them, so that starting up does not count.
"""

from __future__ import annotations

import os
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
import textwrap
from collections.abc import Mapping
from pathlib import Path

from benchmarks.measuring import command, in_turn

ROOT = Path(__file__).resolve().parent.parent
ORACLES = ROOT / ".venv-oracles" / "bin" / "python"
FLOOR = '''
import mmap, os, struct
descriptor = os.open("floor", os.O_RDWR | os.O_CREAT)
os.posix_fallocate(descriptor, 0, 32 * points + 64)
room, place = mmap.mmap(descriptor, 32 * points + 64), 64
pack, now = struct.Struct("<QdQII").pack_into, time.time_ns
def log(key, value, step):
    """Packs a record with the time and a mark: what any log that survives a kill has to do for a point."""
    nonlocal place
    pack(room, place, step, value, now(), 1, 1)
    place += 32
'''
OURS = "import entrenar_research as er\nrun = er.start_run('bench')\n"
DVCLIVE = "import dvclive\nlive = dvclive.Live('live', save_dvc_exp=False, report=None, monitor_system=False)\n"
MLFLOW = "import mlflow\nmlflow.set_tracking_uri('file:mlruns')\nmlflow.start_run()\n"
LOOP = """
import sys, time
def timed(points):
{prepare}
    began = time.perf_counter()
    for step in range(points):
        {call}
    print((time.perf_counter() - began) / points * 1e6)
timed(int(sys.argv[1]))
"""
TURNS = """
import sys, time
def timed(points, turns):
{prepare}
    for turn in range(turns):
        part = range(turn * points // turns, (turn + 1) * points // turns)
        began = time.perf_counter()
        for step in part:
            log("loss", 0.5, step)
        between = time.perf_counter()
        for step in part:
            run.log_metric("loss", 0.5, step)
        ended = time.perf_counter()
        print((between - began) / len(part) * 1e6)
        print((ended - between) / len(part) * 1e6)
timed(int(sys.argv[1]), 500)
"""
OWN, PEERS = 500_000, 5
# Program, what is prepared, what is called for a point, how many points.
CASES: dict[str, tuple[Path, str, str, int]] = {
    "mmap loop with time": (Path(sys.executable), FLOOR, "log('loss', 0.5, step)", 30_000),
    "entrenar-research": (Path(sys.executable), OURS, "run.log_metric('loss', 0.5, step)", 30_000),
    "dvclive": (ORACLES, DVCLIVE, "live.log_metric('loss', 0.5)", 10_000),
    "mlflow file store": (ORACLES, MLFLOW, "mlflow.log_metric('loss', 0.5, step)", 1_000),
}
# Ours: at most so many times the loop, and so many times as fast as the peers.
MOST, LEAST = 1.5, {"dvclive": 100, "mlflow file store": 1_000}


def environment() -> Mapping[str, str]:
    """What the programs run with: MLflow's file store has to be asked for."""
    inherited = {k: v for k, v in os.environ.items() if not k.startswith(("ENTRENAR_", "TRACEPARENT"))}
    inherited.pop("PYTHONDONTWRITEBYTECODE", None)
    return {**inherited, "DVC_NO_ANALYTICS": "1", "MLFLOW_DISABLE_TELEMETRY": "true", "MLFLOW_ALLOW_FILE_STORE": "true"}


def output(argv: list[str], place: Path) -> list[float]:
    """The numbers that a program prints."""
    done = subprocess.run(argv, cwd=place, env=environment(), capture_output=True, text=True, check=True)
    return [float(line) for line in done.stdout.splitlines() if line[:1].isdigit()]


def program(name: str, points: int) -> list[str]:
    """The program of a case, which says what its loop took for a point."""
    python, prepare, call, _ = CASES[name]
    return [str(python), "-c", LOOP.format(prepare=textwrap.indent(prepare, "    "), call=call), str(points)]


def in_turns(place: Path) -> tuple[list[float], list[float]]:
    """Microseconds for a point of the loop and of ours, turn by turn, in one process."""
    text = TURNS.format(prepare=textwrap.indent(FLOOR + OURS, "    "))
    found = output([sys.executable, "-c", text, str(OWN)], place)
    return found[::2], found[1::2]


def system_calls(name: str, place: Path) -> float:
    """System calls for a point, between a tenth of the points and all of them; threads and children included."""
    found = []
    several = CASES[name][3]
    for number in (several // 10, several):
        log = place / "strace.txt"
        argv = ["strace", "-f", "-c", "-o", str(log), *program(name, number)]
        subprocess.run(argv, cwd=place, env=environment(), capture_output=True, check=True)
        total = re.search(r"^100\.00\s+\S+\s+\d+\s+(\d+)\s.*total$", log.read_text(), re.MULTILINE)
        found.append(int(total[1]) if total else 0)
    return (found[1] - found[0]) / (several - several // 10)


def show_points(place: Path) -> None:
    """Prints microseconds and system calls for a point, and the ratios."""
    loop, ours = in_turns(place)
    ratio = statistics.median(mine / floor for floor, mine in zip(loop, ours, strict=True))
    median = {"mmap loop with time": statistics.median(loop), "entrenar-research": statistics.median(ours)}
    for name in LEAST:
        if ORACLES.exists():
            median[name] = statistics.median(output(program(name, CASES[name][3]), place)[-1] for _ in range(PEERS))
    print("\nlogging a metric")
    verdicts = {
        "entrenar-research": f"{ratio:.2f} x the loop (limit {MOST:g}: {'kept' if ratio <= MOST else 'MISSED'})"
    }
    for name, limit in LEAST.items():
        if name in median:
            times = median[name] / median["entrenar-research"]
            kept = "kept" if times >= limit else "MISSED"
            verdicts[name] = f"ours is {times:,.0f} x as fast (limit {limit:,}: {kept})"
    for name in CASES:
        if name not in median:
            print(f"  {name:<24} not measured: there is no .venv-oracles")
            continue
        calls = f"{system_calls(name, place):8.3f} system calls" if shutil.which("strace") else ""
        print(f"  {name:<24} {median[name]:10.3f} us  {calls}  {verdicts.get(name, '')}")


def show_start(place: Path) -> None:
    """Prints what it takes from a bare interpreter to the first point of a run, and to its end."""
    python, first = sys.executable, OURS + "run.log_metric('loss', 0.5, 0)\n"
    leave = "import os\nos._exit(0)\n"
    cases = in_turn(
        {
            "python -c pass": command([python, "-c", "pass"], cwd=place, env=environment()),
            "import": command([python, "-c", "import entrenar_research"], cwd=place, env=environment()),
            "to the first point": command([python, "-c", first + leave], cwd=place, env=environment()),
            "to the end of the run": command([python, "-c", first], cwd=place, env=environment()),
        },
        repetitions=25,
    )
    bare = cases["python -c pass"].median
    limits = {"import": 1.0, "to the first point": 20.0}
    print("\nstarting a run, over a bare interpreter")
    for name, case in list(cases.items())[1:]:
        extra = (case.median - bare) * 1000
        limit = limits.get(name)
        verdict = "" if limit is None else f"  (limit {limit:g} ms: {'kept' if extra <= limit else 'MISSED'})"
        print(f"  {name:<24} {extra:10.2f} ms{verdict}")


def main() -> None:
    """Prints both."""
    with tempfile.TemporaryDirectory() as name:
        place = Path(name)
        (place / "study.yaml").write_text("title: Logging\n", encoding="utf-8")
        show_points(place)
        show_start(place)


if __name__ == "__main__":
    main()
