import csv
import json
from collections.abc import Callable
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest

np = pytest.importorskip("numpy")
safetensors = pytest.importorskip("safetensors.numpy")

Results = dict[tuple[str, str], Path]
Half = tuple[Any, Any]


@pytest.fixture
def folder(results: Results) -> Path:
    return results["training_loop", "first"]


@pytest.fixture
def history(folder: Path) -> list[dict[str, str]]:
    with (folder / "history.csv").open() as stream:
        return list(csv.DictReader(stream))


@pytest.fixture
def train(script: Callable[[str], ModuleType]) -> ModuleType:
    return script("training_loop")


def scores(model: dict[str, Any], half: Half) -> tuple[float, float]:
    """Mean cross entropy and accuracy, computed another way than the script's."""
    images, labels = half
    hidden = (images @ model["layer1.weight"].T + model["layer1.bias"]).clip(0)
    logits = hidden @ model["layer2.weight"].T + model["layer2.bias"]
    odds = np.exp(logits) / np.exp(logits).sum(axis=1)[:, None]
    own = [odds[row, int(label)] for row, label in enumerate(labels)]
    return -float(np.log(own).mean()), float((odds.argmax(axis=1) == labels).mean())


def test_the_stored_model_scores_as_reported(folder: Path, halves: tuple[Half, Half]) -> None:
    metrics = json.loads((folder / "metrics.json").read_text())
    model = safetensors.load_file(folder / "model.safetensors")
    for kind, half in zip(("train", "test"), halves, strict=True):
        loss, accuracy = scores(model, half)
        assert metrics[f"{kind}_loss"] == pytest.approx(loss, abs=2e-6)
        assert metrics[f"{kind}_accuracy"] == round(accuracy, 6)
    assert metrics["parameters"] == sum(tensor.size for tensor in model.values()) == 64 * 32 + 32 + 320 + 10
    assert {str(tensor.dtype) for tensor in model.values()} == {"float32"}


def test_it_learns(folder: Path, history: list[dict[str, str]]) -> None:
    metrics = json.loads((folder / "metrics.json").read_text())
    assert metrics["test_accuracy"] > 0.94
    assert [int(row["epoch"]) for row in history] == list(range(1, 11))
    assert float(history[0]["train_loss"]) > 4 * float(history[-1]["train_loss"])
    for name in "train_loss", "test_loss", "train_accuracy", "test_accuracy":
        assert float(history[-1][name]) == metrics[name]


def test_the_learning_rate_halves_every_four_epochs(history: list[dict[str, str]]) -> None:
    rates = [float(row["learning_rate"]) for row in history]
    assert rates == [0.01] * 4 + [0.005] * 4 + [0.0025] * 2


def test_some_steps_are_clipped_and_some_are_not(history: list[dict[str, str]]) -> None:
    for row in history:
        assert 0 < float(row["clipped_share"]) < 1
        assert 0.5 < float(row["gradient_norm"]) < 2


def network(train: ModuleType) -> tuple[dict[str, Any], Half]:
    """A small network away from its start, and some digits."""
    rng = np.random.default_rng(3)
    net = train.initialise(6, rng)
    net = {name: tensor + 0.1 * rng.standard_normal(tensor.shape) for name, tensor in net.items()}
    return net, (rng.random((7, 64)), rng.integers(10, size=7))


def test_gradients_agree_with_differences(train: ModuleType) -> None:
    net, digits = network(train)
    slopes = train.gradients(net, digits)
    assert slopes.keys() == net.keys()
    for name, tensor in net.items():
        measured = np.zeros_like(tensor)
        for index in np.ndindex(*tensor.shape):
            kept = tensor[index]
            tensor[index] = kept + 1e-5
            above, _ = train.evaluate(net, digits)
            tensor[index] = kept - 1e-5
            below, _ = train.evaluate(net, digits)
            tensor[index] = kept
            measured[index] = (above - below) / 2e-5
        np.testing.assert_allclose(slopes[name], measured, rtol=1e-5, atol=1e-8)


@pytest.mark.parametrize("clip_norm", [0.01, 1e6])
def test_a_step_goes_down_the_clipped_gradient(train: ModuleType, clip_norm: float) -> None:
    net, digits = network(train)
    before = {name: tensor.copy() for name, tensor in net.items()}
    slopes = train.gradients(net, digits)
    length = np.sqrt(sum((slope**2).sum() for slope in slopes.values()))
    settings = SimpleNamespace(clip_norm=clip_norm, momentum=0.9)
    velocity = {name: np.zeros_like(tensor) for name, tensor in net.items()}
    assert train.descend(net, velocity, digits, 0.1, settings) == pytest.approx(length)
    for name, slope in slopes.items():
        moved = -0.1 * slope * min(1, clip_norm / length)
        np.testing.assert_allclose(net[name] - before[name], moved, rtol=1e-9, atol=1e-15)
    train.descend(net, velocity, digits, 0.0, settings)
    assert np.sqrt(sum((v**2).sum() for v in velocity.values())) <= 1.9 * min(clip_norm, 2 * length)


def test_divergence_is_reported(train: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    net, digits = network(train)
    monkeypatch.setattr(train, "evaluate", lambda *_: (float("nan"), 0.1))
    settings = train.Params(6, 3, 4, 0.01, 1, 0.5, 0.9, 1.0, 0.2)
    with pytest.raises(SystemExit, match="epoch 1: training diverged"):
        train.learn(net, digits, digits, settings, np.random.default_rng(0))
