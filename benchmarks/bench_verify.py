"""`verify --no-replay` of a study with 10,000 files of 20 kB against reading and hashing them."""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

from benchmarks import worlds
from benchmarks.measuring import command, in_turn, show

FILES, SIZE = 10_000, 20_000
FLOOR = """
import hashlib, os, sys
for top, _, names in os.walk(sys.argv[1]):
    for name in names:
        with open(os.path.join(top, name), "rb") as stream:
            hashlib.sha256(stream.read()).hexdigest()
"""
DECLARATION = """\
command: python experiments/count/count.py data/many ${result}
code: [experiments/count/count.py]
inputs: [data/many]
outputs: [metrics.json]
metrics:
  files: {file: metrics.json}
trace: none
"""
COUNT = """\
import json, os, sys
files = sum(len(names) for _, _, names in os.walk(sys.argv[1]))
json.dump({"files": files}, open(os.path.join(sys.argv[2], "metrics.json"), "w"))
"""


def large_study(base: Path, env: dict[str, str]) -> Path:
    """A study whose one experiment has 10,000 input files, under DVC."""
    study = worlds.new_study(base, env)
    worlds.write_files(study / "data" / "many", FILES, SIZE)
    place = study / "experiments" / "count"
    place.mkdir(parents=True)
    (place / "experiment.yaml").write_text(DECLARATION, encoding="utf-8")
    (place / "count.py").write_text(COUNT, encoding="utf-8")
    (place / ".gitignore").write_text("/result\n", encoding="utf-8")
    worlds.call("dvc", "add", "-q", "data/many", cwd=study, env=env)
    worlds.call("entrenar-research", "experiment", "sync", "count", cwd=study, env=env)
    worlds.call("entrenar-research", "run", "count", "--quiet", cwd=study, env=env)
    worlds.call("git", "add", "-A", cwd=study, env=env)
    worlds.call("git", "commit", "-q", "-m", "data", cwd=study, env=env)
    return study


def main() -> None:
    """Prints the ratio to reading and hashing, and DVC's own look beside it."""
    with tempfile.TemporaryDirectory(prefix="entrenar-bench-") as name:
        base = Path(name)
        env = worlds.environment(base / "home")
        study = large_study(base, env)
        floor = [sys.executable, "-c", FLOOR, str(study / "data" / "many")]
        cases = in_turn(
            {
                "read and sha256 in Python": command(floor, env=env),
                "entrenar-research verify --no-replay": command(
                    ["entrenar-research", "verify", "--no-replay"], cwd=study, env=env
                ),
                "dvc status (does not read)": command(["dvc", "status", "-q"], cwd=study, env=env),
            },
            repetitions=5,
        )
        show("verify, 10,000 files of 20 kB", cases, "read and sha256 in Python",
             {"entrenar-research verify --no-replay": 2.0})  # fmt: skip


if __name__ == "__main__":
    main()
