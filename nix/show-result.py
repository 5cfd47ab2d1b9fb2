"""Prints what an experiment made: the digest of every file of its result, and its metrics."""

import hashlib
import json
import sys
from pathlib import Path

name, result = sys.argv[1], Path(sys.argv[2])
print(f"{name}: {result}")
for path in sorted(path for path in result.rglob("*") if path.is_file()):
    print(f"  sha256:{hashlib.sha256(path.read_bytes()).hexdigest()}  {path.relative_to(result)}")
if (result / "metrics.json").is_file():
    for metric, value in sorted(json.loads((result / "metrics.json").read_text(encoding="utf-8")).items()):
        print(f"  {metric}: {value}")
