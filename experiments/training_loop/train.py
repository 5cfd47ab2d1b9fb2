"""Train a small multilayer perceptron to read handwritten digits.

One hidden ReLU layer, softmax on top, trained by stochastic gradient descent with
momentum, a learning rate that falls in steps, and gradients clipped to a global norm.

The same seed is to give the same bytes on every processor. NumPy's ``@`` and ``exp`` do
not promise that: how they add and round depends on the processor's instructions.
``matmul`` and ``exp`` below use elementwise arithmetic only, whose every bit
IEEE 754 fixes.
"""

import argparse
import csv
import json
import math
from dataclasses import dataclass, fields
from pathlib import Path

import numpy as np
import numpy.typing as npt
import yaml
from safetensors.numpy import save

Array = npt.NDArray[np.float64]
Labels = npt.NDArray[np.int64]
Digits = tuple[Array, Labels]  # images, one a row with pixels from 0 to 1; their digits
Tensors = dict[str, Array]
Row = dict[str, float]

PIXELS, CLASSES = 64, 10
SCORES = ("train_loss", "test_loss", "train_accuracy", "test_accuracy")
HISTORY = ("epoch", "learning_rate", *SCORES, "gradient_norm", "clipped_share")


@dataclass(frozen=True)
class Params:
    """The settings in params.yaml, which says what each one means."""

    hidden: int
    epochs: int
    batch_size: int
    learning_rate: float
    decay_every: int
    decay_factor: float
    momentum: float
    clip_norm: float
    test_share: float


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


def initialise(hidden: int, rng: np.random.Generator) -> Tensors:
    """Draw weights uniformly, as He et al. scale them; biases start at zero."""
    net = {}
    for name, inputs, outputs in ("1", PIXELS, hidden), ("2", hidden, CLASSES):
        bound = math.sqrt(6 / inputs)
        net[f"layer{name}.weight"] = rng.uniform(-bound, bound, (outputs, inputs))
        net[f"layer{name}.bias"] = np.zeros(outputs)
    return net


def forward(net: Tensors, images: Array) -> tuple[Array, Array]:
    """Return what the hidden layer puts out and the logits."""
    hidden = matmul(images, net["layer1.weight"].T) + net["layer1.bias"]
    hidden = np.maximum(hidden, 0)
    return hidden, matmul(hidden, net["layer2.weight"].T) + net["layer2.bias"]


def evaluate(net: Tensors, digits: Digits) -> tuple[float, float]:
    """Return the mean cross entropy and the share of digits read correctly."""
    images, labels = digits
    _, logits = forward(net, images)
    logits -= logits.max(axis=1, keepdims=True)
    own = logits[np.arange(len(labels)), labels]
    loss = np.mean(np.log(exp(logits).sum(axis=1)) - own)
    return float(loss), float(np.mean(logits.argmax(axis=1) == labels))


def gradients(net: Tensors, digits: Digits) -> Tensors:
    """Differentiate the mean cross entropy by every weight and bias."""
    images, labels = digits
    hidden, logits = forward(net, images)
    odds = exp(logits - logits.max(axis=1, keepdims=True))
    delta = odds / odds.sum(axis=1, keepdims=True)
    delta[np.arange(len(labels)), labels] -= 1
    delta /= len(labels)
    below = matmul(delta, net["layer2.weight"]) * (hidden > 0)
    return {
        "layer1.weight": matmul(below.T, images),
        "layer1.bias": below.sum(axis=0),
        "layer2.weight": matmul(delta.T, hidden),
        "layer2.bias": delta.sum(axis=0),
    }


def descend(net: Tensors, velocity: Tensors, batch: Digits, rate: float, params: Params) -> float:
    """Take one step down the clipped gradient; return its norm before clipping."""
    slopes = gradients(net, batch)
    norm = math.sqrt(sum(float(np.sum(slope * slope)) for slope in slopes.values()))
    scale = params.clip_norm / max(norm, params.clip_norm)
    for name, slope in slopes.items():
        velocity[name] = params.momentum * velocity[name] + scale * slope
        net[name] -= rate * velocity[name]
    return norm


def learn(net: Tensors, train: Digits, test: Digits, params: Params, rng: np.random.Generator) -> list[Row]:
    """Train the network in place and return one row of history for each epoch."""
    images, labels = train
    velocity = {name: np.zeros_like(tensor) for name, tensor in net.items()}
    history: list[Row] = []
    for epoch in range(params.epochs):
        decay = params.decay_factor ** (epoch // params.decay_every)
        rate = round(params.learning_rate * decay, 12)
        order = rng.permutation(len(labels))
        norms = []
        for start in range(0, len(order), params.batch_size):
            rows = order[start : start + params.batch_size]
            batch = images[rows], labels[rows]
            norms.append(descend(net, velocity, batch, rate, params))
        row: Row = {"epoch": epoch + 1, "learning_rate": rate}
        row["train_loss"], row["train_accuracy"] = evaluate(net, train)
        row["test_loss"], row["test_accuracy"] = evaluate(net, test)
        row["gradient_norm"] = sum(norms) / len(norms)
        row["clipped_share"] = sum(n > params.clip_norm for n in norms) / len(norms)
        if not math.isfinite(row["train_loss"]):
            raise SystemExit(f"epoch {epoch + 1}: training diverged")
        history.append(row)
        print(
            "epoch {epoch:2}  learning rate {learning_rate:.4f}  test loss "
            "{test_loss:.4f}  test accuracy {test_accuracy:.4f}".format(**row)
        )
    return history


def write(out: Path, net: Tensors, history: list[Row]) -> None:
    """Write the model, the history of its training and the final metrics."""
    stored = {name: tensor.astype(np.float32) for name, tensor in net.items()}
    (out / "model.safetensors").write_bytes(save(stored))
    with (out / "history.csv").open("w", encoding="utf-8", newline="") as stream:
        writer = csv.DictWriter(stream, HISTORY, lineterminator="\n")
        writer.writeheader()
        for row in history:
            cells = {name: f"{value:.6f}" for name, value in row.items()}
            writer.writerow(cells | {"epoch": int(row["epoch"])})
    metrics: Row = {name: round(history[-1][name], 6) for name in SCORES}
    metrics["parameters"] = sum(tensor.size for tensor in net.values())
    text = json.dumps(metrics, indent=2, sort_keys=True, allow_nan=False)
    (out / "metrics.json").write_text(text + "\n", encoding="utf-8")


def main() -> None:
    """Run the experiment that the command line describes."""
    parser = argparse.ArgumentParser(description="Train a network to read digits.")
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
    net = initialise(params.hidden, rng)
    write(args.out, net, learn(net, train, test, params, rng))


if __name__ == "__main__":
    main()
