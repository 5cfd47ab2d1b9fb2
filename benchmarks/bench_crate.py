"""How long it takes to write and check a crate of many small files, beside ro-crate-py writing the same.

usage: python benchmarks/bench_crate.py [FILES [BYTES]]

Each side runs in its own process over the same tree (made in a temporary directory, page cache warm) and
times its own work, without start-up. ro-crate-py is looked for in `.venv-oracles`; BENCH_PEER_PYTHON names
another interpreter that has it. It hashes nothing and flushes nothing to disk; we do both.
"""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
import tempfile
from pathlib import Path

_ROOT = Path(__file__).resolve().parent.parent
_REPEATS = 3

_OURS = """
import json, sys, time
from pathlib import Path
from entrenar_research.bundles.port import Content, Member
from entrenar_research.bundles.ro_crate import FORMAT
from entrenar_research.models.study import Person, Study
tree, target = Path(sys.argv[1]), Path(sys.argv[2])
paths = [p for p in sorted(tree.rglob("*")) if p.is_file()]
members = tuple(Member(path=str(p.relative_to(tree)), source=p) for p in paths)
study = Study(title="Benchmark", authors=(Person(family="Carberry"),), license="MIT")
content = Content(study=study, experiments=(), runs=(), members=members, date="2024-01-01", tool="bench 1")
start = time.perf_counter()
FORMAT.write(content, target)
middle = time.perf_counter()
findings = FORMAT.inspect(target)
end = time.perf_counter()
assert not any(item.verdict.wanting for item in findings), findings
print(json.dumps({"write": middle - start, "check": end - middle}))
"""

_FLOOR = """
import hashlib, json, sys, time, zlib
from pathlib import Path
paths = [p for p in sorted(Path(sys.argv[1]).rglob("*")) if p.is_file()]
start = time.perf_counter()
for path in paths:
    with open(path, "rb", buffering=0) as stream:
        data = stream.read()
    hashlib.sha256(data).hexdigest(), zlib.crc32(data)
print(json.dumps({"floor": time.perf_counter() - start}))
"""

_PEER = """
import json, sys, time
from pathlib import Path
from rocrate.rocrate import ROCrate
tree, target = Path(sys.argv[1]), Path(sys.argv[2])
paths = [p for p in sorted(tree.rglob("*")) if p.is_file()]
start = time.perf_counter()
crate = ROCrate()
crate.name = crate.description = "Benchmark"
for path in paths:
    crate.add_file(path, str(path.relative_to(tree)), properties={"contentSize": str(path.stat().st_size)})
crate.write_zip(target)
print(json.dumps({"write": time.perf_counter() - start}))
"""


def make_tree(tree: Path, files: int, size: int) -> None:
    """Files of `size` bytes in directories of 500, half of each compressible; the same on every machine."""
    source = random.Random(1)  # noqa: S311  (content, not a secret)
    for number in range(files):
        directory = tree / f"part{number // 500:03d}"
        directory.mkdir(parents=True, exist_ok=True)
        data = source.randbytes(size // 2) + b"0123456789" * (size // 20)
        (directory / f"file{number:06d}.bin").write_bytes(data)


def best(python: Path | str, program: str, tree: Path, scratch: Path) -> dict[str, float]:
    """The best of several runs of a program that prints its seconds as JSON."""
    found: dict[str, float] = {}
    for number in range(_REPEATS):
        target = scratch / f"{number}.zip"
        command = [str(python), "-c", program, str(tree), str(target)]
        done = subprocess.run(command, check=True, capture_output=True, text=True, cwd=_ROOT)
        target.unlink(missing_ok=True)
        for key, seconds in json.loads(done.stdout).items():
            found[key] = min(seconds, found.get(key, seconds))
    return found


def main(files: int = 10_000, size: int = 20_000) -> None:
    """Prints seconds and ratios."""
    peer = Path(os.environ.get("BENCH_PEER_PYTHON", _ROOT / ".venv-oracles" / "bin" / "python"))
    with tempfile.TemporaryDirectory(prefix="bench-crate-") as scratch:
        tree = Path(scratch) / "tree"
        make_tree(tree, files, size)
        floor = best(sys.executable, _FLOOR, tree, Path(scratch))["floor"]
        ours = best(sys.executable, _OURS, tree, Path(scratch))
        print(f"{files} files of {size} bytes, best of {_REPEATS}")
        print(f"floor              {floor:.3f} s   (read, SHA-256 and CRC-32, one process)")
        print(f"entrenar-research  write {ours['write']:.3f} s   check {ours['check']:.3f} s")
        if not peer.exists():
            print(f"ro-crate-py        not measured: there is no {peer}")
            return
        theirs = best(peer, _PEER, tree, Path(scratch))
        ratio = ours["write"] / theirs["write"]
        print(f"ro-crate-py        write {theirs['write']:.3f} s   (no digests, no check)")
        verdict = "kept" if ratio <= 1 / 3 else "MISSED"
        print(
            f"write, ours / ro-crate-py: {ratio:.2f} (limit 0.33: {verdict}); ours / floor: {ours['write'] / floor:.2f}"
        )


if __name__ == "__main__":
    main(*(int(word) for word in sys.argv[1:]))
