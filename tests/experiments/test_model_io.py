import dataclasses
import json
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

np = pytest.importorskip("numpy")
yaml = pytest.importorskip("yaml")
safetensors = pytest.importorskip("safetensors")
load = pytest.importorskip("safetensors.numpy").load

METADATA = {
    "name": "digits",
    "architecture": "linear",
    "version": "1.0",
    "input_dim": 64,
    "output_dim": 10,
    "activation": "softmax",
}


@pytest.fixture
def folder(results: dict[tuple[str, str], Path]) -> Path:
    return results["model_io", "first"]


@pytest.fixture
def io(script: Callable[[str], ModuleType]) -> ModuleType:
    return script("model_io")


@pytest.fixture
def model(io: ModuleType) -> Any:
    rng = np.random.default_rng(4)
    weight = rng.standard_normal((10, 64)).astype(np.float32)
    weight[0, :4] = -0.0, 1e-40, 3.4e38, 1 / 3
    return io.Model(io.Metadata(), {"weight": weight, "bias": np.zeros(10, np.float32)})


def by_hand(data: bytes) -> tuple[dict[str, Any], dict[str, Any]]:
    """Header and tensors of a SafeTensors file, read without the library."""
    size = int.from_bytes(data[:8], "little")
    assert size % 8 == 0
    header = json.loads(data[8 : 8 + size])
    tensors = {}
    for name, entry in header.items():
        if name != "__metadata__":
            assert entry["dtype"] == "F32"
            start, end = (8 + size + offset for offset in entry["data_offsets"])
            tensors[name] = np.frombuffer(data[start:end], "<f4").reshape(entry["shape"])
    return header, tensors


def test_the_three_files_hold_the_same_bits(folder: Path) -> None:
    header, tensors = by_hand((folder / "model.safetensors").read_bytes())
    assert header["__metadata__"] == {name: str(value) for name, value in METADATA.items()}
    assert list(header) == sorted(header)
    assert list(header["__metadata__"]) == sorted(METADATA)
    for text in (
        json.loads((folder / "model.json").read_text()),
        yaml.safe_load((folder / "model.yaml").read_text()),
    ):
        assert text["metadata"] == METADATA
        assert text["tensors"].keys() == tensors.keys() == {"weight", "bias"}
        for name, tensor in tensors.items():
            values = np.array(text["tensors"][name])
            assert values.astype(np.float32).tobytes() == tensor.tobytes()
            assert (values == tensor.astype(np.float64)).all()


def test_what_it_reports_is_so(folder: Path, halves: Any, metrics: Callable[[str], dict[str, Any]]) -> None:
    reported = metrics("model_io")
    _, tensors = by_hand((folder / "model.safetensors").read_bytes())
    for kind, (images, labels) in zip(("train", "test"), halves, strict=True):
        read = (images @ tensors["weight"].T.astype(float) + tensors["bias"]).argmax(axis=1)
        assert reported[f"{kind}_accuracy"] == round(float((read == labels).mean()), 6)
    assert reported["test_accuracy"] > 0.94
    for kind in "json", "yaml", "safetensors":
        assert reported[f"{kind}_bytes"] == (folder / f"model.{kind}").stat().st_size < 40_000
        assert reported[f"{kind}_max_abs_difference"] == 0
        assert reported[f"{kind}_round_trip_exact"] == 1
    assert reported["round_trips_passed"] == 3
    assert (reported["truncated_files_refused"], reported["truncated_files_accepted"]) == (4, 0)
    assert reported["temporary_files_left"] == 0


def test_the_library_reads_the_sorted_header(folder: Path) -> None:
    data = (folder / "model.safetensors").read_bytes()
    _, tensors = by_hand(data)
    for name, tensor in load(data).items():
        assert tensor.tobytes() == tensors[name].tobytes()
    for cut in range(0, len(data), 97):
        with pytest.raises(safetensors.SafetensorError):
            load(data[:cut])


@pytest.mark.parametrize("kind", ["json", "yaml", "safetensors"])
def test_unusual_numbers_survive(io: ModuleType, model: Any, tmp_path: Path, kind: str) -> None:
    report = io.round_trip(model, tmp_path / f"model.{kind}", np.ones((1, 64)))
    assert report[f"{kind}_round_trip_exact"] == 1


@pytest.mark.parametrize("kind", ["json", "yaml", "safetensors"])
def test_a_lost_bit_is_noticed(
    io: ModuleType, model: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    read = io.read_model

    def lossy(path: Path) -> Any:
        copy = read(path)
        tensors = {name: tensor.copy() for name, tensor in copy.tensors.items()}
        tensors["weight"][0, 0] = 0.0  # was -0.0
        return dataclasses.replace(copy, tensors=tensors)

    monkeypatch.setattr(io, "read_model", lossy)
    report = io.round_trip(model, tmp_path / f"model.{kind}", np.ones((1, 64)))
    assert report[f"{kind}_round_trip_exact"] == 0
    assert report[f"{kind}_max_abs_difference"] == 0


def test_lost_metadata_is_noticed(io: ModuleType, model: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    read = io.read_model
    other = io.Metadata(activation="none")
    monkeypatch.setattr(io, "read_model", lambda path: dataclasses.replace(read(path), metadata=other))
    report = io.round_trip(model, tmp_path / "model.json", np.ones((1, 64)))
    assert report["json_round_trip_exact"] == 0


def test_only_whole_files_are_accepted(io: ModuleType, model: Any, tmp_path: Path) -> None:
    whole = io.to_safetensors(model)
    assert not io.refuses(tmp_path / "whole.safetensors", whole)
    assert io.refuses(tmp_path / "cut.safetensors", whole[:-1])


def test_a_failed_check_leaves_no_scratch_files(
    io: ModuleType, model: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> bool:
        raise OSError("no space left on device")

    monkeypatch.setattr(io, "refuses", fail)
    with pytest.raises(OSError, match="no space"):
        io.examine(model, np.ones((1, 64)), tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "model.json",
        "model.safetensors",
        "model.yaml",
    ]


def test_temporary_files_left_are_counted(
    io: ModuleType, model: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "notes.txt").touch()  # not ours
    assert io.examine(model, np.ones((1, 64)), tmp_path)["temporary_files_left"] == 0
    monkeypatch.setattr(io.shutil, "rmtree", lambda _: None)
    assert io.examine(model, np.ones((1, 64)), tmp_path)["temporary_files_left"] == 1
