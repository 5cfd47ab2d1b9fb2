"""Run directories made without running anything: closed, and as valid as if they had been run."""

from __future__ import annotations

import datetime
import hashlib
import random
from pathlib import Path

from entrenar_research.models.run import RunRecord
from entrenar_research.models.tracking import Series, Telemetry
from entrenar_research.store.yaml_text import dump

METRICS = ("loss", "accuracy", "gradient_norm")
POINTS = 100
_START = datetime.datetime(2026, 1, 1, tzinfo=datetime.UTC)
_PARQUETS = 20


def make(root: Path, count: int) -> None:
    """`count` sealed runs below `root`/runs: five parameters, three metrics of 100 points each."""
    chance = random.Random(7)  # noqa: S311 - made-up figures
    parquets = [_parquet(chance) for _ in range(_PARQUETS)]
    for number in range(count):
        record = _record(number, chance)
        directory = root / "runs" / record.id
        directory.mkdir(parents=True)
        files = {"run.yaml": dump(record).encode(), "metrics.parquet": parquets[number % _PARQUETS]}
        sums = "".join(f"{hashlib.sha256(data).hexdigest()}  {name}\n" for name, data in sorted(files.items()))
        for name, data in {**files, "SHA256SUMS": sums.encode()}.items():
            (directory / name).write_bytes(data)


def _record(number: int, chance: random.Random) -> RunRecord:
    began = _START + datetime.timedelta(seconds=37 * number)
    experiment = f"experiment-{number % 7}"
    series = {
        name: Series(points=POINTS, last=value, last_step=POINTS - 1, lowest=value / 2, highest=value * 2)
        for name, value in zip(METRICS, (chance.random(), chance.random(), chance.random() * 10), strict=True)
    }
    return RunRecord(
        id=f"{began.strftime('%Y%m%dT%H%M%S')}000Z-{experiment}-{number % 10000:04d}",
        experiment=experiment,
        status="completed" if number % 20 else "failed",
        tool="entrenar-research",
        runner="script",
        started=began.isoformat(timespec="milliseconds").replace("+00:00", "Z"),
        ended=(began + datetime.timedelta(seconds=30)).isoformat(timespec="milliseconds").replace("+00:00", "Z"),
        duration=round(30 * chance.random(), 3),
        params={
            "learning_rate": 10 ** -chance.uniform(1, 5),
            "batch_size": chance.choice([16, 32, 64]),
            "layers": chance.randint(1, 12),
            "optimizer": chance.choice(["adam", "sgd"]),
            "seed": number,
        },
        series=series,
        telemetry=Telemetry(points=POINTS * len(METRICS), processes=1),
    )


def _parquet(chance: random.Random) -> bytes:
    """As many bytes as the points of such a run take; their meaning is of no account to a listing."""
    return b"PAR1" + chance.randbytes(6000) + b"PAR1"


def remade(root: Path) -> None:
    """Takes the catalogue of the study away."""
    for name in ("catalogue.sqlite", "catalogue.sqlite-journal"):
        (root / ".entrenar" / name).unlink(missing_ok=True)
