"""Run the benchmarks: all of them, or those named.

They are start, run, log, list, points, verify, crate, tracers, traces, compare, airgap and hermetic.
"""

from __future__ import annotations

import importlib
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
NAMES = (
    "start",
    "run",
    "log",
    "list",
    "points",
    "verify",
    "crate",
    "tracers",
    "traces",
    "compare",
    "airgap",
    "hermetic",
)


def main() -> int:
    """Runs the named ones in turn; 2 for an unknown name."""
    wanted = sys.argv[1:] or list(NAMES)
    unknown = [name for name in wanted if name not in NAMES]
    if unknown:
        print(f"no benchmark named {', '.join(unknown)}; there is: {', '.join(NAMES)}")
        return 2
    for name in wanted:
        importlib.import_module(f"benchmarks.bench_{name}").main()
    return 0


if __name__ == "__main__":
    sys.exit(main())
