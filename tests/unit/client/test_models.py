"""Models are SafeTensors: written as the format's own package writes them, and nothing else is let in."""

from __future__ import annotations

import hashlib
import io
import json
import pickle
import zipfile
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from entrenar_research.client import safetensors_file
from entrenar_research.client.handle import Run
from entrenar_research.client.memory import MemoryStorage
from entrenar_research.client.run import start_run
from entrenar_research.errors import UsageError

numpy = pytest.importorskip("numpy")
TYPES = ["bool", "uint8", "int8", "int16", "uint16", "float16", "int32", "uint32", "float32", "float64", "int64"]


@pytest.fixture
def kept() -> MemoryStorage:
    return MemoryStorage()


@pytest.fixture
def run(kept: MemoryStorage) -> Any:
    with start_run("model", storage=kept) as run:
        yield run


def encoded(tensors: dict[str, Any], metadata: dict[str, str] | None = None) -> bytes:
    return b"".join(safetensors_file.encoded(tensors, metadata))


@given(
    st.dictionaries(
        st.text(st.characters(exclude_categories=["Cc", "Cs", "Zl", "Zp"]), min_size=1, max_size=8),
        st.tuples(st.sampled_from([*TYPES, "uint64"]), st.lists(st.integers(0, 3), max_size=3)),
        max_size=6,
    )
)
def test_bytes_are_those_of_the_package(shapes: dict[str, tuple[str, list[int]]]) -> None:
    package = pytest.importorskip("safetensors.numpy")
    tensors = {
        name: (numpy.arange(numpy.prod(shape)) * 7).reshape(shape).astype(kind)
        for name, (kind, shape) in shapes.items()
    }
    raw = encoded(tensors)
    assert raw == package.save(tensors)
    assert safetensors_file.fault(io.BytesIO(raw)) is None
    read = package.load(raw)
    assert read.keys() == tensors.keys()
    assert all(numpy.array_equal(read[name], tensors[name]) for name in tensors)


def test_bytes_do_not_depend_on_order_or_layout() -> None:
    array = numpy.arange(12, dtype="<f4").reshape(3, 4)
    other = {"b": numpy.asfortranarray(array), "a": array.astype(">f4")}
    assert encoded({"a": array, "b": array}) == encoded(other)
    assert encoded({"a": array[:, ::2]}) == encoded({"a": numpy.ascontiguousarray(array[:, ::2])})


def test_metadata_is_kept() -> None:
    safe_open = pytest.importorskip("safetensors").safe_open
    raw = encoded({"a": numpy.zeros(2)}, {"format": "np"})
    path = Path("model.safetensors")
    assert json.loads(raw[8 : 8 + int.from_bytes(raw[:8], "little")])["__metadata__"] == {"format": "np"}
    assert safe_open is not None
    assert path.suffix == ".safetensors"


class FakeTensor:
    """What the client asks of a tensor of PyTorch."""

    def __init__(self, array: Any, dtype: str) -> None:
        self.array, self.dtype, self.shape = array, f"torch.{dtype}", array.shape

    def detach(self) -> FakeTensor:
        return self

    cpu = contiguous = detach

    def numpy(self) -> Any:
        return self.array

    def view(self, kind: Any) -> FakeTensor:
        return FakeTensor(self.array.view(kind), str(kind))


def test_tensors_of_pytorch(monkeypatch: pytest.MonkeyPatch) -> None:
    array = numpy.arange(4, dtype="float32")
    assert encoded({"a": FakeTensor(array, "float32")}) == encoded({"a": array})
    half = numpy.arange(4, dtype="int16")
    monkeypatch.setitem(
        __import__("sys").modules, __name__.partition(".")[0], __import__("types").SimpleNamespace(int16="int16")
    )
    raw = encoded({"a": FakeTensor(half, "bfloat16")})
    header = json.loads(raw[8 : 8 + int.from_bytes(raw[:8], "little")])
    assert header["a"] == {"dtype": "BF16", "shape": [4], "data_offsets": [0, 8]}
    assert raw.endswith(half.tobytes())


def test_a_model_is_kept_and_noted(run: Run, kept: MemoryStorage) -> None:
    tensors = {"w": numpy.ones((2, 2), "float32")}
    assert run.log_model("model.safetensors", tensors) == "model.safetensors"
    raw = kept.artifacts["model.safetensors"]
    (note,) = [note for note in kept.log().notes if note["kind"] == "artifact"]
    assert note == {
        "kind": "artifact",
        "path": "model.safetensors",
        "digest": f"sha256:{hashlib.sha256(raw).hexdigest()}",
        "size": len(raw),
        "artifact_kind": "model",
    }


def test_files_and_bytes_that_are_safetensors(run: Run, kept: MemoryStorage, tmp_path: Path) -> None:
    raw = encoded({"w": numpy.ones(3)})
    (tmp_path / "w.safetensors").write_bytes(raw)
    run.log_model("a/one.safetensors", tmp_path / "w.safetensors")
    run.log_model("two.safetensors", raw)
    assert kept.artifacts == {"a/one.safetensors": raw, "two.safetensors": raw}


def damaged() -> dict[str, tuple[bytes, str]]:
    def built(header: Any, data: bytes = b"", text: str | None = None) -> bytes:
        raw = (json.dumps(header) if text is None else text).encode()
        return len(raw).to_bytes(8, "little") + raw + data

    def entry(kind: str = "F32", shape: Any = (1,), offsets: Any = (0, 4), **more: Any) -> dict[str, Any]:
        return {"dtype": kind, "shape": shape, "data_offsets": offsets, **more}

    return {
        "empty": (b"", "it has 0 bytes"),
        "short": (b"1234567", "it has 7 bytes"),
        "too long a header": (b"\xff" * 8 + b"{}", "10 bytes do not hold a header of"),
        "no JSON": (built(None, text="{"), "its header is not JSON"),
        "no object": (built([]), "its header is not an object"),
        "twice": (built(None, b"1234", '{"a":{},"a":{}}'), "a name stands in it twice"),
        "metadata": (built({"__metadata__": {"a": 1}}), "__metadata__ is not text by name"),
        "no entry": (built({"a": 1}), "tensor 'a': expected dtype, shape and data_offsets"),
        "more keys": (built({"a": entry(x=1)}, b"1234"), "tensor 'a': expected dtype, shape and data_offsets"),
        "type": (built({"a": entry("O")}, b"1234"), "the type 'O' is not one of the format's"),
        "shape": (built({"a": entry(shape=[-1])}, b"1234"), "shape [-1] or data_offsets"),
        "truth": (built({"a": entry(shape=[True])}, b"1234"), "shape [True] or data_offsets"),
        "offsets": (built({"a": entry(offsets=[0])}, b"1234"), "data_offsets [0] are not"),
        "size": (built({"a": entry(offsets=[0, 8])}, b"12345678"), "8 bytes for F32 of shape [1], expected 4"),
        "gap": (built({"a": entry(offsets=[4, 8])}, b"12345678"), "begins at byte 4 of the data, expected 0"),
        "overlap": (built({"a": entry(), "b": entry()}, b"1234"), "begins at byte 0 of the data, expected 4"),
        "trailing": (built({"a": entry()}, b"12345"), "its tensors take 4 bytes, and there are 5"),
        "cut off": (built({"a": entry()}, b"12"), "its tensors take 4 bytes, and there are 2"),
    }


@pytest.mark.parametrize("name", damaged())
def test_damaged_files_are_refused(name: str, run: Run, kept: MemoryStorage, tmp_path: Path) -> None:
    raw, said = damaged()[name]
    path = tmp_path / "model.safetensors"
    path.write_bytes(raw)
    for given_ in (path, raw):
        with pytest.raises(UsageError) as caught:
            run.log_model("model.safetensors", given_)
        assert "not a SafeTensors file" in caught.value.message
        assert said in caught.value.message
    assert not kept.artifacts


def torch_zip() -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        archive.writestr("model/data.pkl", pickle.dumps({"w": [1.0]}))
    return stream.getvalue()


def polyglot() -> bytes:
    """Sound SafeTensors whose one tensor is a zip archive that PyTorch would load."""
    return encoded({"w": numpy.frombuffer(torch_zip(), "uint8")})


@pytest.mark.parametrize(
    ("file", "content", "said"),
    [
        ("model.pkl", pickle.dumps({"w": 1}), "found a pickle (protocol 4)"),
        ("model.safetensors", pickle.dumps([1], protocol=2), "found a pickle (protocol 2)"),
        ("model.pt", torch_zip(), "found a zip archive with a pickle in it"),
        ("model.safetensors", torch_zip(), "found a zip archive with a pickle in it"),
        ("model.safetensors", polyglot(), "found a zip archive with a pickle in it"),
        ("model.bin", b"anything", "found a file in .bin, a format with pickles"),
        ("model.joblib", pickle.dumps([1], protocol=0), "found a file in .joblib, a format with pickles"),
        ("weights.npy", b"\x93NUMPY...", "found a file in .npy, a format with pickles"),
        ("model.onnx", b"anything", "not a SafeTensors file"),
    ],
)
def test_other_formats_are_refused(
    file: str, content: bytes, said: str, run: Run, kept: MemoryStorage, tmp_path: Path
) -> None:
    (tmp_path / file).write_bytes(content)
    with pytest.raises(UsageError) as caught:
        run.log_model("model.safetensors", tmp_path / file)
    assert said in caught.value.message
    assert "a dict of arrays by name" in (caught.value.hint or "")
    assert not kept.artifacts


@pytest.mark.parametrize(
    ("name", "model", "said"),
    [
        ("model.pt", {}, "expected a name in .safetensors"),
        ("model", {}, "expected a name in .safetensors"),
        ("../model.safetensors", {}, "expected a relative path without `..`"),
        ("/model.safetensors", {}, "expected a relative path without `..`"),
        ("model.safetensors", 5, "int is no dict of tensors by name"),
        ("model.safetensors", "absent.safetensors", "expected a file, found nothing"),
        ("model.safetensors", {"w": [1, 2]}, "tensor 'w' has the type list, expected one of: bfloat16, bool"),
        ("model.safetensors", {"w": numpy.array([None])}, "tensor 'w' has the type object"),
        ("model.safetensors", {"__metadata__": numpy.zeros(1)}, "which the format keeps for itself"),
        ("model.safetensors", {"": numpy.zeros(1)}, "the name of a tensor is empty"),
    ],
)
def test_wrong_calls_are_refused(name: str, model: Any, said: str, run: Run, kept: MemoryStorage) -> None:
    with pytest.raises(UsageError) as caught:
        run.log_model(name, model)
    assert said in caught.value.message
    assert not kept.artifacts


def test_a_bypass_needs_a_study_and_a_file(run: Run, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="a bypass needs a study"):
        run.log_model("model.pt", tmp_path / "model.pt", bypass=tmp_path / "statement.json")
