"""Listing runs: the best hundred of ten thousand by a metric, against MLflow's file store. Takes the number of runs."""

from __future__ import annotations

import compileall
import json
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from benchmarks import run_directories
from benchmarks.measuring import Case, command, in_turn
from entrenar_research.store.catalogue.catalogue import Catalogue
from entrenar_research.store.catalogue.filter import Request

ROOT = Path(__file__).resolve().parent.parent
TOOL = str(Path(sys.executable).with_name("entrenar-research"))
RUNS = 10_000
_MLFLOW_RUNS = 1_000
_BUILD_SECONDS = 15.0
_BEST = Request(sort="loss", limit=100)
# Limits in milliseconds, for ten thousand runs and for a hundred thousand.
_LIMITS = {"in process": 5.0, "whole command": 60.0}
_LIMIT_OF_MANY = 200.0


def main() -> None:
    """Prints the medians with their limits, and the ratio to MLflow."""
    counts = [int(word) for word in sys.argv[1:] if word.isdecimal()] or [RUNS]
    compileall.compile_dir(ROOT / "entrenar_research", quiet=1)  # as an installed package is
    for count in counts:
        with tempfile.TemporaryDirectory() as place:
            _measure(Path(place), count)
    _against_mlflow()


def _measure(root: Path, count: int) -> Case:
    print(f"\nlisting {count:,} runs (5 parameters, 3 metrics of {run_directories.POINTS} points)")
    root.mkdir(exist_ok=True)
    (root / "study.yaml").write_text("title: Bench\nlicense: MIT\nauthors: [{family: A, given: B}]\n", encoding="utf-8")
    run_directories.make(root, count)
    catalogue = Catalogue(root)
    began = time.perf_counter()
    catalogue.refresh()
    taken = time.perf_counter() - began
    limit = f"  (limit {_BUILD_SECONDS:g} s: {_kept(taken <= _BUILD_SECONDS)})" if count <= RUNS else ""
    print(f"  {'catalogue from nothing':<44} {taken:9.2f} s{limit}")
    time.sleep(2.5)  # until the times of the files are older than a clock can be coarse

    def best() -> None:
        catalogue.refresh()
        if len(catalogue.select(_BEST).ids) != min(100, count):
            raise AssertionError(count)

    cases = in_turn(
        {
            "best 100 by a metric, in process": best,
            "two conditions and an order, in process": lambda: _select(
                catalogue, "accuracy:desc", "loss<0.5", "layers=3"
            ),
            "all runs, in process": lambda: _select(catalogue, None),
            "runs list --sort loss --limit 100, whole command": command(
                [TOOL, "runs", "list", "--sort", "loss", "--limit", "100"], cwd=root
            ),
            "python -c pass": command([sys.executable, "-c", "pass"]),
        },
        repetitions=9,
    )
    for name, case in cases.items():
        print(f"  {name:<52} {case.median * 1000:9.1f} ms{_verdict(name, case, count)}")
    catalogue.close()
    return cases["best 100 by a metric, in process"]


def _select(catalogue: Catalogue, sort: str | None, *where: str) -> None:
    catalogue.refresh()
    catalogue.select(Request(sort=sort, where=where, limit=None if sort is None else 100))


def _verdict(name: str, case: Case, count: int) -> str:
    limit = next(
        (limit for words, limit in _LIMITS.items() if words in name and ("best" in name or "list" in name)), None
    )
    if count > RUNS:
        limit = _LIMIT_OF_MANY if "whole command" in name else None
    return "" if limit is None else f"  (limit {limit:g} ms: {_kept(case.median * 1000 <= limit)})"


def _kept(kept: bool) -> str:  # noqa: FBT001 - a word for it
    return "kept" if kept else "MISSED"


def _against_mlflow() -> None:
    """The same question to MLflow's file store, with as many runs for both; it grows with their number."""
    python = ROOT / ".venv-oracles" / "bin" / "python"
    if not python.is_file():
        print("  MLflow is not installed in .venv-oracles: no comparison")
        return
    with tempfile.TemporaryDirectory() as place:
        words = [python, Path(__file__).with_name("mlflow_search.py"), Path(place, "mlruns"), str(_MLFLOW_RUNS)]
        said = subprocess.run([str(word) for word in words], check=True, capture_output=True, text=True).stdout
        ours = _measure(Path(place, "study"), _MLFLOW_RUNS)
    theirs = statistics.median(json.loads(said))
    print(f"\nbest 100 of {_MLFLOW_RUNS:,} runs by a metric, in process")
    print(f"  {'entrenar-research':<52} {ours.median * 1000:9.1f} ms")
    ratio = theirs / ours.median
    print(f"  {'mlflow, file store':<52} {theirs * 1000:9.1f} ms  {ratio:8.0f} x")
    print("  (MLflow takes ten times as long for ten times the runs; the limit of 500 x is for 10,000)")


if __name__ == "__main__":
    main()
