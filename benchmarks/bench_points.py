"""Reading one metric of a million points for a plot, out of a sealed run: alone, and among other metrics."""

from __future__ import annotations

import random
import tempfile
from pathlib import Path

from benchmarks.measuring import in_turn, show_absolute
from entrenar_research.actions.runs.comparison import listed
from entrenar_research.client.reading import Log
from entrenar_research.core.tracking.curves import ordered, thinned
from entrenar_research.store import sums
from entrenar_research.store.logged import points, series_files
from entrenar_research.store.logged.log import EventLog

POINTS = 1_000_000
_PIXELS = 2400


def sealed_run(directory: Path, others: int) -> Path:
    """A sealed run with `POINTS` points of `loss`, and every fifth time a point of each of `others` more metrics."""
    generator = random.Random(1)  # noqa: S311 - noise
    log = Log("1-abcd")
    log.keys = {1: "loss", **{2 + other: f"other {other}" for other in range(others)}}
    log.key_spans = dict.fromkeys(log.keys, 0)
    for step in range(POINTS):
        for ref in log.keys if step % 5 == 0 else (1,):
            log.refs.append(ref)
            log.steps.append(step)
            log.values.append(2 / (1 + step / POINTS) + generator.gauss(0, 0.05))
            log.times.append(10**18 + 50_000 * len(log.times) + generator.randrange(1000))
    directory.mkdir(parents=True)
    series_files.write(directory, [EventLog(path=directory, log=log, damaged=())], None)
    (directory / "run.yaml").write_text("schema: 1\n", encoding="utf-8")
    sums.close(directory)
    return directory


def main() -> None:
    """Prints what reading takes, and what the drawing makes ready besides."""
    with tempfile.TemporaryDirectory() as place:
        alone = sealed_run(Path(place, "runs", "alone"), 0)
        among = sealed_run(Path(place, "runs", "among"), 2)
        found = [points.points(directory, "loss") for directory in (alone, among)]
        if any(len(item.steps) != POINTS for item in found):
            raise AssertionError([len(item.steps) for item in found])
        steps, values = listed(found[0].steps), listed(found[0].values)

        def thin() -> None:
            thinned(*ordered(steps, values), _PIXELS)

        def read(directory: Path) -> None:
            points.points(directory, "loss")

        cases = in_turn(
            {
                f"read {POINTS:,} points": lambda: read(alone),
                "the same among 400,000 others": lambda: read(among),
                "put in order and thin for a plot": thin,
            }
        )
        show_absolute("points of one metric", cases, {f"read {POINTS:,} points": 0.3})


if __name__ == "__main__":
    main()
