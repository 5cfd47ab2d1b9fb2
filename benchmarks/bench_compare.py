"""Comparing two traces of a million calls each: seconds, memory, and what `diff` takes for their lines.

Both traces are made up: 200,000 times one of 5,000 files is opened, read, sought in and closed, and the kernel asked
for a number. In the second, every thousandth time the file is left out, is another one, or comes twice: there are few
lines that stand only once to hold on to. Each measurement is a process of its own: of the comparison alone, which
makes its traces first, and of the command on files, JSON and packed, which are written here first.
"""

from __future__ import annotations

import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from entrenar_research.core.traces import document as documents
from entrenar_research.core.traces.likeness import equivalence
from entrenar_research.core.traces.normalisation import counts_of, trace_id
from entrenar_research.core.traces.storing import packed
from entrenar_research.models.documented import DocumentedCall, DocumentedExit, DocumentedLine, TraceDocument
from entrenar_research.models.policy import EquivalencePolicy

ROUNDS, FILES = 200_000, 5_000
SECONDS, BYTES = 10.0, 1 << 30
REPETITIONS = 5


def rounds(*, changed: bool) -> list[str]:
    """The paths in the order in which they are opened."""
    paths = [f"$STUDY/data/part-{number % FILES:04}.bin" for number in range(ROUNDS)]
    if not changed:
        return paths
    found = []
    for number, path in enumerate(paths):
        kind = number // 1000 % 3 if number % 1000 == 999 else None
        found += {None: [path], 0: [], 1: ["$STUDY/data/other.bin"], 2: [path, path]}[kind]
    return found


def document(*, changed: bool) -> TraceDocument:
    """A trace of about a million calls."""
    calls, lines = [], [DocumentedLine("1 execve(/usr/bin/program, [program]) = ok", 0, 1)]
    calls.append(
        DocumentedCall(1, 1, 0, 900, "execve", '"/usr/bin/program", ["program"], 0x7ff /* 9 vars */', "0", None, None)
    )
    for number, path in enumerate(rounds(changed=changed)):
        began, behind = number * 10_000, f"3<{path}>"
        for name, arguments, result in (
            ("openat", f'AT_FDCWD<$STUDY>, "{path}", O_RDONLY|O_CLOEXEC', behind),
            ("read", f'{behind}, "...", 4096', "4096"),
            ("lseek", f"{behind}, 512, SEEK_SET", "512"),
            ("getpid", "", "1"),
            ("close", behind, "0"),
        ):
            calls.append(DocumentedCall(1, 1, began, 900, name, arguments, result, None, None))
        for text in (
            f"openat({path}, O_RDONLY) = ok",
            f"read({path}) = 4096",
            f"lseek({path}, 512, SEEK_SET) = ok",
            f"close({path}) = ok",
        ):
            lines.append(DocumentedLine(f"1 {text}", number * 10, 1))
    lines.append(DocumentedLine("1 exit(0)", 1, 0))
    texts = [line.line for line in lines]
    return TraceDocument(
        schema=2, tracer="strace", tracer_version=None, level="full", rules=1, command=("program",),
        exit=DocumentedExit(status=0, signal=None), complete=True, problems=(), lost=0, recorded=len(calls),
        counts=counts_of(texts), trace_id=trace_id(texts), spans=(), ends=(), lines=tuple(lines), calls=tuple(calls),
    )  # fmt: skip


def peak() -> int:
    """The most memory that this process has held, bytes."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def measure() -> None:
    """Compares, and prints seconds, bytes before and at the peak, and what was found."""
    one, other = document(changed=False), document(changed=True)
    held = peak()
    began = time.perf_counter()
    found = equivalence.compare(one, other, EquivalencePolicy(check_memory_allocations=True))
    seconds = time.perf_counter() - began
    calls = f"{len(one.calls):,} and {len(other.calls):,} calls"
    print(f"  compare   {seconds:6.2f} s (limit {SECONDS:g}: {'kept' if seconds <= SECONDS else 'MISSED'})  {calls}")
    kept = "kept" if peak() <= BYTES else "MISSED"
    print(f"  memory    {peak() / 2**20:6.0f} MiB, {held / 2**20:.0f} of it the two traces (limit 1024: {kept})")
    print(f"  found     {found.verdict} {found.score:.4f}; {found.divergence}")


def differ() -> None:
    """Lets `diff` find what differs between the lines alone."""
    with tempfile.TemporaryDirectory() as name:
        paths = []
        for changed in (False, True):
            paths.append(Path(name, f"{changed}.txt"))
            paths[-1].write_text("\n".join(document(changed=changed).texts) + "\n", encoding="utf-8")
        began = time.perf_counter()
        done = subprocess.run(["diff", *map(str, paths)], capture_output=True, check=False)
        seconds = time.perf_counter() - began
    memory = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024
    lines = done.stdout.count(b"\n<") + done.stdout.count(b"\n>")
    print(f"  diff      {seconds:6.2f} s, {memory:.0f} MiB, {lines:,} lines said to differ")


def commands() -> None:
    """Runs the command on both traces as files, and those that read one of them."""
    with tempfile.TemporaryDirectory() as place:
        # Not in this process: what is begun by one that holds much is said to have held as much.
        subprocess.run([sys.executable, "-m", "benchmarks.bench_compare", "write", place], check=True)
        for ending in ("json", "trace"):
            one, other = f"one.{ending}", f"other.{ending}"
            for words in (["compare", one, other], ["check", one], ["summary", one], ["show", one]):
                _tell(words, [_once(words, place) for _ in range(REPETITIONS)], judged=words[0] == "compare")


def write() -> None:
    """Writes both traces, as JSON and packed, into the directory that is the last argument."""
    for name, changed in (("one", False), ("other", True)):
        found, path = document(changed=changed), Path(sys.argv[-1], name)
        path.with_suffix(".json").write_bytes(documents.encode(found))
        path.with_suffix(".trace").write_bytes(packed.pack(found, algorithm="zstd")[0])


def _once(words: list[str], place: str) -> tuple[float, float, int]:
    """Seconds, seconds of the processor and bytes at the peak of one command."""
    argv = [sys.executable, "-m", "entrenar_research", "trace", *words]
    environment = os.environ | {"PYTHONPATH": str(Path(__file__).resolve().parent.parent)}
    began = time.perf_counter()
    process = subprocess.Popen(argv, cwd=place, env=environment, stdout=subprocess.DEVNULL)
    _, status, used = os.wait4(process.pid, 0)
    seconds = time.perf_counter() - began
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode not in (0, 1):  # 1: they differ
        raise SystemExit(f"{' '.join(words)} ended with {process.returncode}")
    return seconds, used.ru_utime + used.ru_stime, used.ru_maxrss * 1024


def _tell(words: list[str], found: list[tuple[float, float, int]], *, judged: bool) -> None:
    seconds, busy, memory = (sorted(column) for column in zip(*found, strict=True))
    middle, most = statistics.median(seconds), int(memory[-1])
    kept = f" (limits {SECONDS:g} s, 1024 MiB: {'kept' if middle <= SECONDS and most <= BYTES else 'MISSED'})"
    print(
        f"  {' '.join(words):<28} {seconds[0]:5.2f} s at best, {middle:5.2f} s median; of the processor "
        f"{busy[0]:5.2f} s, {statistics.median(busy):5.2f} s; {most / 2**20:4.0f} MiB{kept if judged else ''}"
    )


def main() -> None:
    """Prints all of it."""
    print("\ncomparing two traces", flush=True)
    for step in (measure, differ, commands):
        subprocess.run([sys.executable, "-m", "benchmarks.bench_compare", step.__name__], check=True)


if __name__ == "__main__":
    if len(sys.argv) > 1:
        {"measure": measure, "differ": differ, "commands": commands, "write": write}[sys.argv[1]]()
    else:
        main()
