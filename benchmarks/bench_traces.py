"""Reading and storing traces: foreign strace text by arrays, by a plain expression and by awk; sizes and ratios.

usage: python benchmarks/bench_traces.py [LOG]

LOG is a log of `strace -f -ttt -T -o`; by default a mixed load of files, threads, processes and imports is traced here
(half a minute). For speed the log is repeated to 200 MB. Rates are medians of three in turn, in one process each.
"""

from __future__ import annotations

import re
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import cramjam
import msgspec

from benchmarks.measuring import in_turn
from entrenar_research.actions.traces import reading
from entrenar_research.core.traces.logs import strace_counts, strace_log
from entrenar_research.core.traces.storing import codecs, packed
from entrenar_research.core.traces.summary import summarise
from entrenar_research.models.documented import TraceDocument

_BYTES = 200_000_000
_PIECE = 2 << 20
_CALLS = 1_000_000
_LINE = re.compile(rb"^\d+ +[\d.]+ (?:<\.\.\. )?(\w+).*?= (-1 E)?.*<(\d+\.\d+)>$", re.MULTILINE)
_AWK = '{ n = $3 == "<..." ? $4 : $3; sub(/[(].*/, "", n); c[n]++ } END { for (n in c) s += c[n]; print s }'
_LIMITS = {"arrays, MB/s": 100.0, "columns + zstd": 20.0, "summary of a million calls, s": 0.1}
_LOAD = """
python3 - <<'END'
import os, threading
fd = os.open("data.bin", os.O_RDWR | os.O_CREAT, 0o644)
for i in range(40000):
    os.write(fd, b"x" * (50 + i % 7))
    os.pread(fd, 64, i * 10)
def work(n):
    for i in range(2000):
        with open(f"f{n}.txt", "w") as stream:
            stream.write(f"hello {i}")
ts = [threading.Thread(target=work, args=(n,)) for n in range(4)]
[t.start() for t in ts]
[t.join() for t in ts]
END
for i in $(seq 1 150); do /bin/true; ls /usr/lib; done >/dev/null
for i in 1 2 3 4; do python3 -c "import json, sqlite3, asyncio, email, xml.dom.minidom, unittest"; done
tar cf x.tar /usr/share/doc/a* 2>/dev/null
for i in 1 2 3; do git init -q r$i && cp f*.txt r$i/ && git -C r$i add . ; done
"""


def main(log: Path | None = None) -> None:
    """Prints rates, sizes and their limits."""
    with tempfile.TemporaryDirectory(prefix="bench-traces-") as scratch:
        place = Path(scratch)
        text = (log or _traced(place)).read_bytes()
        speed(text, place)
        found = reading.decode(text, "mixed.log")
        sizes(text, found)
        summaries(found)


def _traced(place: Path) -> Path:
    log = place / "mixed.log"
    argv = ["strace", "-f", "-ttt", "-T", "-o", str(log), "sh", "-c", _LOAD]
    subprocess.run(argv, cwd=place, check=False, capture_output=True)
    return log


def speed(text: bytes, place: Path) -> None:
    """MB/s of counting calls, errors and seconds by name."""
    long = place / "long.log"
    long.write_bytes(text * max(1, _BYTES // len(text)))
    cases: dict[str, Callable[[], None]] = {
        "read": lambda: _discard(long.read_bytes()),
        "arrays": lambda: _discard(_count(long)),
        "expression": lambda: _discard(_by_expression(long)),
        "awk (calls only)": lambda: _discard(subprocess.run(["awk", _AWK, long], check=True, capture_output=True)),
    }
    rates = {name: long.stat().st_size / 1e6 / case.median for name, case in in_turn(cases, repetitions=3).items()}
    full = strace_log.parse(text.decode("ascii", "backslashreplace"), "log", command=None, level="full")
    once = strace_counts.Count()
    once.take(text)
    print(
        f"{long.stat().st_size / 1e6:.0f} MB of strace text, {len(full.calls)} calls in each {len(text) / 1e6:.1f} MB"
    )
    for name, rate in rates.items():
        print(f"  {name:<18} {rate:8.0f} MB/s   {rate / rates['expression']:5.1f} x expression")
    _judge("arrays, MB/s", rates["arrays"], at_least=True)
    print(f"  equal to the full parser: {once.rows() == summarise(full)}")


def _count(path: Path) -> strace_counts.Count:
    count = strace_counts.Count()
    with path.open("rb") as stream:
        while piece := stream.read(_PIECE):
            count.take(piece)
    return count


def _by_expression(path: Path) -> Counter[bytes]:
    calls, seconds = Counter[bytes](), Counter[bytes]()
    for name, _, spent in _LINE.findall(path.read_bytes()):
        calls[name] += 1
        seconds[name] += float(spent)  # type: ignore[assignment]
    return calls


def _discard(_: object) -> None:
    return


def sizes(text: bytes, found: TraceDocument) -> None:
    """Stored bytes by algorithm, beside those of the text."""
    print(f"\n{len(text)} bytes of strace text, {len(found.calls)} calls, {len(found.lines)} lines")
    for algorithm in codecs.ALGORITHMS:
        level = codecs.level_of(algorithm, None)
        plain = len(codecs.compress(algorithm, text, level))
        began = time.perf_counter()
        data, stored = packed.pack(found, algorithm=algorithm)
        middle = time.perf_counter()
        packed.unpack(data, "x")
        spent = f"pack {middle - began:.2f} s, unpack {time.perf_counter() - middle:.2f} s"
        print(
            f"  {algorithm:<7} text {len(text) / plain:6.2f}x   columns {len(text) / len(data):6.2f}x of the text, "
            f"{len(data) / len(found.calls):5.2f} B a call, {stored.ratio:.3f} of the document   {spent}"
        )
        if algorithm == "zstd":
            _judge("columns + zstd", len(text) / len(data), at_least=True)
    print(f"  zstd -19 of the text: {len(text) / len(bytes(cramjam.zstd.compress(text, level=19))):.2f}x")


def summaries(found: TraceDocument) -> None:
    """Seconds for the table of a million stored calls."""
    calls = (found.calls * (_CALLS // len(found.calls) + 1))[:_CALLS]
    data, _ = packed.pack(msgspec.structs.replace(found, calls=calls), algorithm="zstd")
    case = in_turn({"summary": lambda: _discard(packed.summary_of(data, "x"))}, repetitions=7)["summary"]
    print(f"\n{_CALLS} stored calls, {len(data)} bytes: summary in {case.median:.3f} s")
    _judge("summary of a million calls, s", case.median, at_least=False)


def _judge(name: str, value: float, *, at_least: bool) -> None:
    limit = _LIMITS[name]
    kept = value >= limit if at_least else value <= limit
    print(f"  {name}: {value:.3g} (limit {limit:g}: {'kept' if kept else 'MISSED'})")


if __name__ == "__main__":
    main(*(Path(word) for word in sys.argv[1:]))
