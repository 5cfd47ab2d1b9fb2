import csv
import hashlib
import math
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

np = pytest.importorskip("numpy")
safetensors = pytest.importorskip("safetensors.numpy")

LAYERS = ("layer1", "layer2", "layer3")
SCALE = 32 / 16
Tensors = dict[str, Any]


@pytest.fixture
def folder(results: dict[tuple[str, str], Path]) -> Path:
    return results["lora_finetune", "first"]


@pytest.fixture
def reported(metrics: Callable[[str], dict[str, Any]]) -> dict[str, Any]:
    return metrics("lora_finetune")


@pytest.fixture
def train(script: Callable[[str], ModuleType]) -> ModuleType:
    return script("lora_finetune")


def stored(path: Path) -> Tensors:
    tensors = safetensors.load_file(path)
    assert {str(tensor.dtype) for tensor in tensors.values()} == {"float32"}
    return {name: tensor.astype(np.float64) for name, tensor in tensors.items()}


def logits(base: Tensors, images: Any) -> Any:
    out = images
    for layer in LAYERS:
        out = out.clip(0) @ base[f"{layer}.weight"].T + base[f"{layer}.bias"]
    return out


def merge(base: Tensors, adapters: Tensors) -> Tensors:
    updates = {f"{layer}.weight": SCALE * adapters[f"{layer}.b"] @ adapters[f"{layer}.a"] for layer in LAYERS}
    return {name: tensor + updates.get(name, 0) for name, tensor in base.items()}


def test_the_stored_tensors_score_as_reported(folder: Path, reported: dict[str, Any], halves: Any) -> None:
    base, adapters = stored(folder / "base.safetensors"), stored(folder / "adapters.safetensors")
    _, (images, labels) = halves
    for when, net in ("before", base), ("after", merge(base, adapters)):
        right = logits(net, images).argmax(axis=1) == labels
        assert reported[f"accuracy_{when}"] == round(float(right.mean()), 6)
        assert reported[f"old_digits_accuracy_{when}"] == round(float(right[labels < 5].mean()), 6)
        assert reported[f"new_digits_accuracy_{when}"] == round(float(right[labels >= 5].mean()), 6)
    assert reported["merged_max_abs_difference"] < 1e-12


def test_it_learns_the_new_digits_and_keeps_the_old(reported: dict[str, Any]) -> None:
    assert reported["accuracy_before"] < 0.55
    assert reported["accuracy_after"] > 0.9
    assert reported["new_digits_accuracy_before"] < 0.05
    assert reported["new_digits_accuracy_after"] > 0.85
    assert reported["old_digits_accuracy_after"] > 0.9


def test_the_base_is_what_was_reported_before_and_after(folder: Path, reported: dict[str, Any]) -> None:
    base = stored(folder / "base.safetensors")
    data = b"".join(base[name].tobytes() for name in sorted(base))
    assert reported["base_sha256_before"] == reported["base_sha256_after"] == hashlib.sha256(data).hexdigest()


def test_the_parameters_are_counted(folder: Path, reported: dict[str, Any]) -> None:
    base, adapters = stored(folder / "base.safetensors"), stored(folder / "adapters.safetensors")
    trainable = sum(tensor.size for tensor in adapters.values())
    assert reported["trainable_parameters"] == trainable == 16 * (64 + 192 + 192 + 192 + 192 + 10)
    assert reported["total_parameters"] == trainable + sum(tensor.size for tensor in base.values())
    assert reported["trainable_share"] == round(trainable / reported["total_parameters"], 6) < 1 / 4


def test_the_adapters_have_rank_16(folder: Path) -> None:
    adapters = stored(folder / "adapters.safetensors")
    for layer in LAYERS:
        a, b = adapters[f"{layer}.a"], adapters[f"{layer}.b"]
        assert a.shape[0] == b.shape[1] == 16
        assert a.std() == pytest.approx(1, abs=0.05)  # as drawn, hardly moved
        assert np.abs(b).max() > 0.001  # away from zero


def test_the_learning_rate_follows_half_a_cosine(folder: Path) -> None:
    with (folder / "history.csv").open() as stream:
        history = list(csv.DictReader(stream))
    assert [int(row["step"]) for row in history] == list(range(25, 301, 25))
    for row in history:
        turn = math.pi * (int(row["step"]) - 1) / 299
        expected = 1e-5 + (1e-4 - 1e-5) * math.cos(turn / 2) ** 2
        assert float(row["learning_rate"]) == pytest.approx(expected, abs=1e-9)
    assert float(history[-1]["learning_rate"]) == 1e-5
    assert float(history[-1]["loss"]) < float(history[0]["loss"]) / 4


def test_history_ends_where_the_metrics_stand(folder: Path, reported: dict[str, Any]) -> None:
    with (folder / "history.csv").open() as stream:
        last = list(csv.DictReader(stream))[-1]
    assert float(last["new_task_accuracy"]) == pytest.approx(reported["accuracy_after"], abs=0.003)


def small(train: ModuleType, *, adapted: bool) -> tuple[Any, Any]:
    """A small network, with adapters away from their start or with none, and some digits."""
    rng = np.random.default_rng(5)
    sizes = (64, 5, 4, 10)
    base, adapters = {}, {}
    for layer, inputs, outputs in zip(LAYERS, sizes, sizes[1:], strict=False):
        base[f"{layer}.weight"] = rng.standard_normal((outputs, inputs)) / 4
        base[f"{layer}.bias"] = rng.standard_normal(outputs) / 4
        adapters[f"{layer}.a"] = rng.standard_normal((3, inputs)) / 4
        adapters[f"{layer}.b"] = rng.standard_normal((outputs, 3)) / 4
    network = train.Network(base, adapters if adapted else {}, 1.5)
    return network, (rng.random((6, 64)), rng.integers(10, size=6))


@pytest.mark.parametrize("adapted", [False, True])
def test_gradients_agree_with_differences(train: ModuleType, adapted: bool) -> None:
    network, digits = small(train, adapted=adapted)
    _, slopes = network.gradients(digits)
    tensors = network.adapters if adapted else network.base
    assert slopes.keys() == tensors.keys()
    for name, tensor in tensors.items():
        measured = np.zeros_like(tensor)
        for index in np.ndindex(*tensor.shape):
            kept = tensor[index]
            tensor[index] = kept + 1e-5
            above, _ = network.gradients(digits)
            tensor[index] = kept - 1e-5
            below, _ = network.gradients(digits)
            tensor[index] = kept
            measured[index] = (above - below) / 2e-5
        np.testing.assert_allclose(slopes[name], measured, rtol=1e-5, atol=1e-8)


def test_new_adapters_change_nothing(train: ModuleType) -> None:
    plain, (images, _) = small(train, adapted=False)
    settings = train.Params(5, 1, 1, 0.1, 3, 6, 1, 1, 1, 0.1, 0.1, 0, 0.2)
    fresh = train.add_adapters(plain.base, settings, np.random.default_rng(6))
    assert fresh.scale == 2
    assert np.array_equal(fresh.forward(images)[1], plain.forward(images)[1])


def test_merging_is_exact_up_to_rounding(train: ModuleType) -> None:
    network, (images, _) = small(train, adapted=True)
    np.testing.assert_allclose(network.merged().forward(images)[1], network.forward(images)[1], rtol=1e-9)
    assert network.merged().adapters == {}


def test_adapting_moves_the_adapters_only(train: ModuleType) -> None:
    network, digits = small(train, adapted=True)
    before = train.digest(network.base), train.digest(network.adapters)
    list(train.learn(network, digits, [0.1] * 3, 4, 0.01, np.random.default_rng(7)))
    assert train.digest(network.base) == before[0]
    assert train.digest(network.adapters) != before[1]
    assert train.verify(network, before[0], digits[0])["base_sha256_after"] == before[0]


def test_the_first_step_of_adamw(train: ModuleType) -> None:
    """It is as long as the learning rate, whatever the slope, besides the decay of the weights."""
    network, (images, labels) = small(train, adapted=True)
    one = images[:1], labels[:1]
    before = {name: tensor.copy() for name, tensor in network.adapters.items()}
    _, slopes = network.gradients(one)
    list(train.learn(network, one, [0.01], 1, 0.5, np.random.default_rng(8)))
    for name, slope in slopes.items():
        step = 0.01 * (slope / (np.abs(slope) + 1e-8) + 0.5 * before[name])
        np.testing.assert_allclose(network.adapters[name], before[name] - step, rtol=1e-9, atol=1e-12)


def test_a_changed_base_is_noticed(train: ModuleType) -> None:
    network, (images, _) = small(train, adapted=True)
    sha256 = train.digest(network.base)
    weight = network.base["layer2.weight"]
    weight[0, 0] = np.nextafter(weight[0, 0], 1)
    with pytest.raises(SystemExit, match="base weights have changed"):
        train.verify(network, sha256, images)


def test_a_wrong_merge_is_noticed(train: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    network, (images, _) = small(train, adapted=True)
    shifted = dict(network.base) | {"layer3.bias": network.base["layer3.bias"][::-1] * 100}
    monkeypatch.setattr(train.Network, "merged", lambda _: train.Network(shifted, {}, 0))
    with pytest.raises(SystemExit, match="merging the adapters"):
        train.verify(network, train.digest(network.base), images)


def test_divergence_is_reported(train: ModuleType) -> None:
    network, digits = small(train, adapted=False)
    network.base["layer3.bias"][:] = 1e308
    network.base["layer3.bias"][0] = -1e308
    with pytest.raises(SystemExit, match="training diverged"), np.errstate(all="ignore"):
        list(train.learn(network, digits, [0.1], 4, 0, np.random.default_rng(9)))
