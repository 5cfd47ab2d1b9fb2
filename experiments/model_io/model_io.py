"""Write a model in three formats, read each back, and check that nothing changed.

A softmax classifier learns to read handwritten digits. It is stored as JSON, YAML
and SafeTensors; each file must give back the same bits, the same metadata and the
same predictions, and a SafeTensors file cut short must be refused.

The same seed is to give the same bytes on every processor. NumPy's ``@`` and ``exp`` do
not promise that: how they add and round depends on the processor's instructions.
``matmul`` and ``exp`` below use elementwise arithmetic only, whose every bit
IEEE 754 fixes.
"""

import argparse
import json
import math
import shutil
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import yaml
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save

Array = npt.NDArray[np.float64]
Labels = npt.NDArray[np.int64]
Digits = tuple[Array, Labels]  # images, one a row with pixels from 0 to 1; their digits

PIXELS, CLASSES = 64, 10
FORMATS = ("json", "yaml", "safetensors")


@dataclass(frozen=True)
class Params:
    """The settings in params.yaml, which says what each one means."""

    steps: int
    learning_rate: float
    test_share: float


@dataclass(frozen=True)
class Metadata:
    """What a reader must know of a model besides its numbers."""

    name: str = "digits"
    architecture: str = "linear"
    version: str = "1.0"
    input_dim: int = PIXELS
    output_dim: int = CLASSES
    activation: str = "softmax"


@dataclass(frozen=True)
class Model:
    """A linear classifier as it is stored."""

    metadata: Metadata
    tensors: dict[str, npt.NDArray[np.float32]]

    def predict(self, images: Array) -> Labels:
        """Return the likeliest digit for each image."""
        weight = self.tensors["weight"].astype(np.float64)
        logits = matmul(weight, images.T).T + self.tensors["bias"]
        digits: Labels = np.argmax(logits, axis=1)
        return digits

    def accuracy(self, digits: Digits) -> float:
        """Return the share of digits that the model reads correctly."""
        images, labels = digits
        return round(float(np.mean(self.predict(images) == labels)), 6)


def load_params(path: Path) -> Params:
    """Read the settings: all of them, nothing else, each of its own type."""
    with path.open(encoding="utf-8") as stream:
        values = yaml.safe_load(stream)
    kinds = {field.name: field.type for field in fields(Params)}
    if not isinstance(values, dict):
        raise ValueError(f"{path}: expected lines of the form 'name: value'")
    if wrong := sorted(map(str, values.keys() ^ kinds.keys())):
        raise ValueError(f"{path}: unknown or missing: {', '.join(wrong)}")
    for name, kind in kinds.items():
        value, whole = values[name], kind is int
        if type(value) not in (int, kind) or not int(whole) <= value < math.inf:
            wanted = "a whole number from 1" if whole else "a number from 0"
            raise ValueError(f"{path}: {name} must be {wanted}, not {value!r}")
    return Params(**values)


def load_digits(path: Path, test_share: float, rng: np.random.Generator) -> tuple[Digits, Digits]:
    """Read rows of 64 pixels (0 to 16) and a digit; draw a training and a test set."""
    rows = [line.split(",") for line in path.read_text(encoding="utf-8").splitlines()]
    if {len(row) for row in rows} != {PIXELS + 1}:
        raise ValueError(f"{path}: every row must have {PIXELS + 1} columns")
    legal = [str(number) for number in range(17)]
    for number, row in enumerate(rows, start=1):
        if not set(row) <= set(legal) or row[PIXELS] not in legal[:CLASSES]:
            raise ValueError(f"{path}, row {number}: not pixels (0-16) and a digit")
    tests = round(test_share * len(rows))
    if not 0 < tests < len(rows):
        raise ValueError(f"test_share {test_share} leaves no rows to learn or to test")
    table = np.array(rows, dtype=np.int64)[rng.permutation(len(rows))]
    images, labels = table[:, :PIXELS] / 16, table[:, PIXELS]
    return (images[tests:], labels[tests:]), (images[:tests], labels[:tests])


def matmul(a: Array, b: Array) -> Array:
    """Multiply two matrices, adding up each entry's terms from first to last."""
    b = np.ascontiguousarray(b)
    if a.shape[0] < a.shape[1]:  # take the shorter of two loops to the same sums
        return np.stack([(row[:, None] * b).sum(axis=0) for row in a])
    result = np.zeros((a.shape[0], b.shape[1]))
    for column, row in zip(a.T, b, strict=True):
        result += column[:, None] * row
    return result


def exp(x: Array) -> Array:
    """Raise e to x: a whole power of two times a power series in what is left."""
    power = np.rint(x / math.log(2))
    rest = x - power * math.log(2)
    series = np.ones_like(x)
    for n in range(14, 0, -1):
        series = 1 + rest / n * series
    return np.ldexp(series, power.astype(np.int32))


def fit(digits: Digits, params: Params) -> Model:
    """Train the classifier by gradient descent on the mean cross entropy."""
    images, labels = digits
    truth = np.eye(CLASSES)[labels]
    weight, bias = np.zeros((CLASSES, PIXELS)), np.zeros(CLASSES)
    for _ in range(params.steps):
        logits = matmul(weight, images.T).T + bias
        odds = exp(logits - logits.max(axis=1, keepdims=True))
        delta = (odds / odds.sum(axis=1, keepdims=True) - truth) / len(labels)
        weight -= params.learning_rate * matmul(delta.T, images)
        bias -= params.learning_rate * delta.sum(axis=0)
    if not np.isfinite(weight).all():
        raise SystemExit("training diverged")
    tensors = {"bias": bias.astype(np.float32), "weight": weight.astype(np.float32)}
    return Model(Metadata(), tensors)


def to_plain(model: Model) -> dict[str, Any]:
    """Lay a model out in mappings, lists, strings and numbers."""
    tensors = {name: tensor.tolist() for name, tensor in model.tensors.items()}
    return {"metadata": asdict(model.metadata), "tensors": tensors}


def from_plain(plain: dict[str, Any]) -> Model:
    """Build the model that ``to_plain`` laid out."""
    tensors = {name: np.array(values, dtype=np.float32) for name, values in plain["tensors"].items()}
    return Model(Metadata(**plain["metadata"]), tensors)


def to_safetensors(model: Model) -> bytes:
    """Encode a model, with its metadata as strings.

    The library orders metadata differently in every run, so sort the header again.
    """
    strings = {name: str(value) for name, value in asdict(model.metadata).items()}
    data = save(model.tensors, metadata=strings)
    start = 8 + int.from_bytes(data[:8], "little")
    header = json.dumps(json.loads(data[8:start]), sort_keys=True).encode()
    header += b" " * (-len(header) % 8)
    return len(header).to_bytes(8, "little") + header + data[start:]


def write_model(model: Model, path: Path) -> None:
    """Write a model in the format that the file's suffix names."""
    if path.suffix == ".safetensors":
        path.write_bytes(to_safetensors(model))
    elif path.suffix == ".json":
        write_json(to_plain(model), path)
    else:
        path.write_text(yaml.safe_dump(to_plain(model)), encoding="utf-8")


def write_json(value: object, path: Path) -> None:
    """Write a value as JSON; Python's floats come out exact."""
    text = json.dumps(value, indent=1, sort_keys=True, allow_nan=False)
    path.write_text(text + "\n", encoding="utf-8")


def read_model(path: Path) -> Model:
    """Read a model in the format that the file's suffix names."""
    if path.suffix == ".json":
        return from_plain(json.loads(path.read_text(encoding="utf-8")))
    if path.suffix == ".yaml":
        return from_plain(yaml.safe_load(path.read_text(encoding="utf-8")))
    with safe_open(path, framework="numpy") as file:
        strings = file.metadata()
        tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    for dimension in ("input_dim", "output_dim"):
        strings[dimension] = int(strings[dimension])
    return Model(Metadata(**strings), tensors)


def round_trip(model: Model, path: Path, images: Array) -> dict[str, float]:
    """Write a model, read it back and compare the two."""
    write_model(model, path)
    copy = read_model(path)
    pairs = [(tensor, copy.tensors[name]) for name, tensor in model.tensors.items()]
    exact = copy.metadata == model.metadata and all(
        (a.dtype, a.shape, a.tobytes()) == (b.dtype, b.shape, b.tobytes()) for a, b in pairs
    )
    agree = np.array_equal(copy.predict(images), model.predict(images))
    kind = path.suffix[1:]
    report = {
        "bytes": path.stat().st_size,
        "max_abs_difference": max(float(abs(a - b).max()) for a, b in pairs),
        "round_trip_exact": int(exact and agree),
    }
    print(f"{kind:11}  " + "  ".join(f"{key} {value}" for key, value in report.items()))
    return {f"{kind}_{key}": value for key, value in report.items()}


def refuses(path: Path, data: bytes) -> bool:
    """Say whether a file that holds these bytes cannot be read as a model."""
    path.write_bytes(data)
    try:
        read_model(path)
    except SafetensorError:
        return True
    return False


def examine(model: Model, images: Array, out: Path) -> dict[str, float]:
    """Store the model in each format, by way of a scratch folder, and report."""
    before, results = set(out.iterdir()), {out / f"model.{kind}" for kind in FORMATS}
    metrics: dict[str, float] = {}
    scratch = out / "scratch"
    scratch.mkdir(exist_ok=True)
    try:
        for kind in FORMATS:
            path = scratch / f"model.{kind}"
            metrics |= round_trip(model, path, images)
            path.rename(out / path.name)
        whole = to_safetensors(model)
        cuts = (4, 100, len(whole) // 2, len(whole) - 1)
        cut = [refuses(scratch / f"{n}.safetensors", whole[:n]) for n in cuts]
    finally:
        shutil.rmtree(scratch)
    return metrics | {
        "round_trips_passed": sum(metrics[f"{f}_round_trip_exact"] for f in FORMATS),
        "truncated_files_accepted": cut.count(False),
        "truncated_files_refused": cut.count(True),
        "temporary_files_left": len(set(out.iterdir()) - before - results),
    }


def main() -> None:
    """Run the experiment that the command line describes."""
    parser = argparse.ArgumentParser(description="Store a model three ways.")
    parser.add_argument("--data", type=Path, required=True, help="digits, as CSV")
    parser.add_argument("--params", type=Path, required=True, help="settings, as YAML")
    parser.add_argument("--seed", type=int, required=True, help="whole number from 0")
    parser.add_argument("--out", type=Path, required=True, help="folder for results")
    args = parser.parse_args()
    try:
        if not args.out.is_dir():
            raise ValueError(f"--out {args.out}: no such folder")
        params = load_params(args.params)
        if args.seed < 0:
            raise ValueError(f"--seed {args.seed}: expected a whole number from 0")
        rng = np.random.Generator(np.random.PCG64(args.seed))
        train, test = load_digits(args.data, params.test_share, rng)
    except (OSError, ValueError, yaml.YAMLError) as error:
        parser.exit(2, f"{parser.prog}: error: {' '.join(str(error).split())}\n")
    model = fit(train, params)
    print(f"trained for {params.steps} steps: accuracy {model.accuracy(test)}")
    metrics = examine(model, test[0], args.out)
    metrics["train_accuracy"] = model.accuracy(train)
    metrics["test_accuracy"] = model.accuracy(test)
    write_json(metrics, args.out / "metrics.json")
    if metrics["round_trips_passed"] < len(FORMATS) or (
        metrics["truncated_files_accepted"] or metrics["temporary_files_left"]
    ):
        raise SystemExit("a check failed: see metrics.json")


if __name__ == "__main__":
    main()
