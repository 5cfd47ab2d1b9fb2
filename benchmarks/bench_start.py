"""Start-up: `--version`, `--help` and `import entrenar_research` against a bare Python."""

from __future__ import annotations

import sys
from pathlib import Path

from benchmarks.measuring import command, in_turn, show

TOOL = str(Path(sys.executable).with_name("entrenar-research"))


def main() -> None:
    """Prints the ratios to `python -c pass`."""
    cases = in_turn(
        {
            "python -c pass": command([sys.executable, "-c", "pass"]),
            "entrenar-research --version": command([TOOL, "--version"]),
            "entrenar-research --help": command([TOOL, "--help"]),
            "python -c 'import entrenar_research'": command([sys.executable, "-c", "import entrenar_research"]),
            "dvc --version": command([str(Path(sys.executable).with_name("dvc")), "--version"]),
        },
        repetitions=15,
    )
    limits = {"entrenar-research --version": 2.0, "entrenar-research --help": 4.0}
    show("start-up", cases, "python -c pass", limits)
    extra = cases["python -c 'import entrenar_research'"].median - cases["python -c pass"].median
    print(f"  import over bare Python: {extra * 1000:.1f} ms  (limit 15 ms: {'kept' if extra <= 0.015 else 'MISSED'})")


if __name__ == "__main__":
    main()
