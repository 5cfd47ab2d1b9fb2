"""A study of runs for SQL, made once: three good ones, one that failed, one that is damaged."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from entrenar_research.actions.runs import querying
from entrenar_research.models.tracking import Failure, FailureCategory, Lineage, Parent, Trial
from entrenar_research.store.querying.engine import Answer
from tests.unit.query import runs

Ask = Callable[..., list[tuple[Any, ...]]]


def everything(answer: Answer) -> list[tuple[Any, ...]]:
    """All rows of an answer."""
    return [row for batch in answer.batches for row in batch]


@pytest.fixture(scope="session")
def asked_study(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A study; nobody writes in it."""
    pytest.importorskip("duckdb")
    pytest.importorskip("pyarrow")
    root = tmp_path_factory.mktemp("asked [study]")
    (root / "study.yaml").write_text(runs.STUDY)
    models = (
        ("gbt0", "aprender-gbt-cpu", "traditional_ml", "cpu", 0.891, 0.02, 16, "A"),
        ("lora", "distilbert-qlora", "fine_tuning", "gpu", 0.923, 1.5, 32, "C"),
        ("bert", "bert-base", "deep_learning", "gpu", 0.918, 4.2, 4, "D"),
    )
    for name, model, paradigm, device, accuracy, cost, rank, grade in models:
        runs.add_run(
            root,
            name,
            {"accuracy": [0.5, accuracy], "loss": [2.0, math.nan, 0.25]},
            params={"model": model, "paradigm": paradigm, "device": device, "lora_config": {"rank": rank, "on": True}},
            metrics={"cost_usd": cost, "latency_p50_ms": 0.3, "energy_kwh": 0.001},
            code_quality={"grade": grade, "mutation_score": 93.4, "coverage": 98.5},
            warnings=("two\nlines", "ÿ 損失"),
            duration=60.5,
        )
    codes: tuple[tuple[str, str, FailureCategory], ...] = (
        ("oom1", "OOM_CUDA", "resource"),
        ("oom2", "OOM_CUDA", "resource"),
        ("conf", "CONFIG_NOT_FOUND", "config"),
    )
    for name, code, category in codes:
        runs.add_run(
            root,
            name,
            experiment="tuning",
            status="failed",
            failure_context=Failure(code=code, category=category, diagnostic="it failed", exception="RuntimeError"),
            lineage=Lineage(parents=(Parent(run="imdb-run", relationship="fine_tuned_from", role="base"),), lamport=1),
            trial=Trial(sweep="wide", number=3, retry_of=2),
        )
    return root


@pytest.fixture
def ask(asked_study: Path) -> Ask:
    """Asks the study; gives all rows."""

    def asked(sql: str, *, root: Path = asked_study) -> list[tuple[Any, ...]]:
        return everything(querying.ask(root, sql)[0])

    return asked
