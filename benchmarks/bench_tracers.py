"""What tracing costs: 200,000 small writes and reads, and 300 forks, alone and under each tracer.

usage: python benchmarks/bench_tracers.py [REPETITIONS]

strace by hand is the peer. How much a tracer costs depends on where the scheduler puts it and the program: the figures
are ratios of medians of runs in turn, to be read on a machine that does nothing else.
"""

from __future__ import annotations

import shutil
import sys
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

from benchmarks.measuring import command, in_turn, show
from entrenar_research.models.experiment import TraceLevel
from entrenar_research.tools.kernel_ring.command import unavailable
from entrenar_research.tracers.kernel import TRACER

SMALL = """
import os
file = os.open("small", os.O_RDWR | os.O_CREAT | os.O_TRUNC)
for _ in range(100_000):
    os.write(file, b"0123456789abcdef")
    os.pread(file, 16, 0)
"""
FORKS = "i=0; while [ $i -lt 300 ]; do /bin/true; i=$((i+1)); done"
LOADS: dict[str, tuple[list[str], dict[str, float]]] = {
    "200,000 small writes and reads": (
        [sys.executable, "-S", "-c", SMALL],
        {"kernel, observe": 1.6, "kernel, full": 4.0},
    ),
    "300 forks": (["sh", "-c", FORKS], {"kernel, observe": 2.0, "kernel, full": 2.5}),
}


def main(repetitions: int = 7) -> None:
    """Prints, for both loads, medians, ratios to the program alone, and how many calls were recorded and lost."""
    if (reason := unavailable("full")) is not None:
        print(f"\nthe kernel tracer cannot trace here: {reason}")
        return
    with tempfile.TemporaryDirectory(prefix="bench-tracers-") as scratch:
        place = Path(scratch)
        for title, (words, limits) in LOADS.items():
            cases = {"alone": command(words, cwd=place)}
            cases |= {f"kernel, {level}": _kernel(words, level, place) for level in ("observe", "full")}
            if shutil.which("strace") is not None:
                peer = ["strace", "-f", "-ttt", "-T", "-o", str(place / "strace.log"), *words]
                cases["strace -f -ttt -T -o, by hand"] = command(peer, cwd=place)
            show(title, in_turn(cases, repetitions=repetitions), "alone", limits)
            trace = TRACER.read(place / "full.log", command=words, level="full")
            print(f"  kernel, full: {len(trace.calls):,} calls recorded, {trace.lost} lost")


def _kernel(words: Sequence[str], level: TraceLevel, place: Path) -> Callable[[], None]:
    return command(TRACER.wrap(words, level=level, log=place / f"{level}.log"), cwd=place)


if __name__ == "__main__":
    main(*map(int, sys.argv[1:2]))
