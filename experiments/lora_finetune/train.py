"""Teach a network new digits through low-rank adapters, its own weights frozen.

A base network learns to read the digits 0 to 4. Then every weight W of it is frozen
and gets an adapter: its layer computes with W + alpha / rank * B A, and only the slender
A and B learn (LoRA, Hu et al., 2021). The new task is to read all ten digits.

The same seed is to give the same bytes on every processor. NumPy's ``@`` and ``exp`` do
not promise that: how they add and round depends on the processor's instructions.
``matmul`` and ``exp`` below use elementwise arithmetic only, whose every bit
IEEE 754 fixes.
"""

import argparse
import csv
import hashlib
import json
import math
from collections.abc import Iterator
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
Metrics = dict[str, float | str]

PIXELS, CLASSES, OLD = 64, 10, 5
LAYERS = ("layer1", "layer2", "layer3")
HISTORY = ("step", "learning_rate", "loss", "new_task_accuracy")
HISTORY_EVERY = 25  # steps


@dataclass(frozen=True)
class Params:
    """The settings in params.yaml, which says what each one means."""

    hidden: int
    base_steps: int
    base_batch_size: int
    base_learning_rate: float
    rank: int
    alpha: float
    epochs: int
    steps_per_epoch: int
    batch_size: int
    learning_rate: float
    final_learning_rate: float
    weight_decay: float
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


@dataclass(frozen=True)
class Network:
    """Linear layers with ReLU between them, with adapters or with none."""

    base: Tensors
    adapters: Tensors
    scale: float  # alpha / rank

    def forward(self, images: Array) -> tuple[list[Array], Array]:
        """Return what enters each layer, and the logits."""
        inputs: list[Array] = []
        out = images
        for layer in LAYERS:
            inputs.append(np.maximum(out, 0))
            out = matmul(inputs[-1], self.base[f"{layer}.weight"].T)
            out += self.base[f"{layer}.bias"]
            if self.adapters:
                narrow = matmul(inputs[-1], self.adapters[f"{layer}.a"].T)
                out += self.scale * matmul(narrow, self.adapters[f"{layer}.b"].T)
        return inputs, out

    def gradients(self, digits: Digits) -> tuple[float, Tensors]:
        """Return the mean cross entropy and its slopes by all that may learn."""
        images, labels = digits
        own = np.arange(len(labels)), labels
        inputs, logits = self.forward(images)
        logits -= logits.max(axis=1, keepdims=True)
        odds = exp(logits)
        loss = float(np.mean(np.log(odds.sum(axis=1)) - logits[own]))
        delta = odds / odds.sum(axis=1, keepdims=True)
        delta[own] -= 1
        delta /= len(labels)
        slopes = {}
        for layer, x in zip(LAYERS[::-1], inputs[::-1], strict=True):
            below = matmul(delta, self.base[f"{layer}.weight"])
            if self.adapters:
                a, b = self.adapters[f"{layer}.a"], self.adapters[f"{layer}.b"]
                narrow = self.scale * matmul(delta, b)
                slopes[f"{layer}.a"] = matmul(narrow.T, x)
                slopes[f"{layer}.b"] = self.scale * matmul(delta.T, matmul(x, a.T))
                below += matmul(narrow, a)
            else:
                slopes[f"{layer}.weight"] = matmul(delta.T, x)
                slopes[f"{layer}.bias"] = delta.sum(axis=0)
            delta = below * (x > 0)
        return loss, slopes

    def merged(self) -> "Network":
        """Return a network without adapters that computes the same."""
        base = dict(self.base)
        for layer in LAYERS:
            update = matmul(self.adapters[f"{layer}.b"], self.adapters[f"{layer}.a"])
            base[f"{layer}.weight"] = base[f"{layer}.weight"] + self.scale * update
        return Network(base, {}, self.scale)

    def accuracy(self, digits: Digits) -> float:
        """Return the share of digits that the network reads correctly."""
        images, labels = digits
        _, logits = self.forward(images)
        return round(float(np.mean(logits.argmax(axis=1) == labels)), 6)


def learn(
    network: Network, digits: Digits, rates: list[float], batch_size: int, weight_decay: float, rng: np.random.Generator
) -> Iterator[float]:
    """Take one step of AdamW for each rate; yield the loss before each.

    The steps move the adapters, in place, or the base if there are no adapters.
    """
    images, labels = digits
    tensors = network.adapters or network.base
    mean = {name: np.zeros_like(tensor) for name, tensor in tensors.items()}
    square = {name: np.zeros_like(tensor) for name, tensor in tensors.items()}
    decay1 = decay2 = 1.0
    for rate in rates:
        rows = rng.integers(len(labels), size=batch_size)
        loss, slopes = network.gradients((images[rows], labels[rows]))
        if not math.isfinite(loss):
            raise SystemExit("training diverged")
        decay1, decay2 = decay1 * 0.9, decay2 * 0.999
        for name, slope in slopes.items():
            mean[name] = 0.9 * mean[name] + 0.1 * slope
            square[name] = 0.999 * square[name] + 0.001 * slope * slope
            root = np.sqrt(square[name] / (1 - decay2)) + 1e-8
            step = mean[name] / (1 - decay1) / root + weight_decay * tensors[name]
            tensors[name] -= rate * step
        yield loss


def as_stored(tensors: Tensors) -> Tensors:
    """Round to single precision, as in the files, so that these tell all there is."""
    return {n: t.astype(np.float32).astype(np.float64) for n, t in tensors.items()}


def digest(tensors: Tensors) -> str:
    """Return the SHA-256 of the tensors' double precision bytes, in order of name."""
    data = b"".join(tensors[name].tobytes() for name in sorted(tensors))
    return hashlib.sha256(data).hexdigest()


def only(digits: Digits, first: int, end: int) -> Digits:
    """Return the digits from first up to, but not including, end."""
    images, labels = digits
    chosen = (first <= labels) & (labels < end)
    return images[chosen], labels[chosen]


def train_base(train: Digits, params: Params, rng: np.random.Generator) -> Tensors:
    """Train a network on the old digits, from He's uniform weights and zero biases."""
    sizes, base = (PIXELS, params.hidden, params.hidden, CLASSES), {}
    for layer, inputs, outputs in zip(LAYERS, sizes, sizes[1:], strict=False):
        bound = math.sqrt(6 / inputs)
        base[f"{layer}.weight"] = rng.uniform(-bound, bound, (outputs, inputs))
        base[f"{layer}.bias"] = np.zeros(outputs)
    network, old = Network(base, {}, 0), only(train, 0, OLD)
    rates = [params.base_learning_rate] * params.base_steps
    losses = list(learn(network, old, rates, params.base_batch_size, 0, rng))
    print(f"base     loss {losses[-1]:.4f}")
    return as_stored(base)


def add_adapters(base: Tensors, params: Params, rng: np.random.Generator) -> Network:
    """Give each weight an adapter that changes nothing yet: A is normal, B zero."""
    adapters = {}
    for layer in LAYERS:
        outputs, inputs = base[f"{layer}.weight"].shape
        adapters[f"{layer}.a"] = rng.standard_normal((params.rank, inputs))
        adapters[f"{layer}.b"] = np.zeros((outputs, params.rank))
    return Network(base, adapters, params.alpha / params.rank)


def adapt(network: Network, train: Digits, test: Digits, params: Params, rng: np.random.Generator) -> list[list[str]]:
    """Train the adapters on all digits and return rows of history."""
    steps, each = params.epochs * params.steps_per_epoch, params.steps_per_epoch
    low = params.final_learning_rate
    height = (params.learning_rate - low) / 2
    turns = [math.pi * step / max(steps - 1, 1) for step in range(steps)]
    rates = [round(low + height * (1 + math.cos(turn)), 12) for turn in turns]
    decay, losses, history = params.weight_decay, [0.0], []
    for loss in learn(network, train, rates, params.batch_size, decay, rng):
        step = len(losses)
        losses.append(loss)
        if step % HISTORY_EVERY == 0:
            recent = sum(losses[-HISTORY_EVERY:]) / HISTORY_EVERY
            numbers = f"{recent:.6f}", f"{network.accuracy(test):.6f}"
            history.append([str(step), f"{rates[step - 1]:.9f}", *numbers])
        if step % each == 0:
            print(f"epoch {step // each}  loss {sum(losses[-each:]) / each:.4f}")
    return history


def compare(before: Network, after: Network, test: Digits) -> Metrics:
    """Compare what the network can read before and after it was adapted."""
    kinds = {"": (0, CLASSES), "old_digits_": (0, OLD), "new_digits_": (OLD, CLASSES)}
    metrics: Metrics = {}
    for kind, bounds in kinds.items():
        digits = only(test, *bounds)
        metrics[f"{kind}accuracy_before"] = before.accuracy(digits)
        metrics[f"{kind}accuracy_after"] = after.accuracy(digits)
    trainable = sum(tensor.size for tensor in after.adapters.values())
    total = trainable + sum(tensor.size for tensor in after.base.values())
    metrics["trainable_parameters"] = trainable
    metrics["total_parameters"] = total
    metrics["trainable_share"] = round(trainable / total, 6)
    return metrics


def verify(network: Network, base_sha256: str, images: Array) -> Metrics:
    """Check that the base is untouched and that merging the adapters is harmless."""
    sha256 = digest(network.base)
    if sha256 != base_sha256:
        raise SystemExit("the base weights have changed")
    (_, apart), (_, merged) = network.forward(images), network.merged().forward(images)
    if not np.array_equal(apart.argmax(axis=1), merged.argmax(axis=1)):
        raise SystemExit("merging the adapters changes what the network reads")
    return {
        "base_sha256_after": sha256,
        "base_sha256_before": base_sha256,
        "merged_max_abs_difference": float(f"{abs(apart - merged).max():.2e}"),
    }


def write(out: Path, network: Network, history: list[list[str]], metrics: Metrics) -> None:
    """Write the base, its adapters, the history of their training and the metrics."""
    for name, tensors in ("base", network.base), ("adapters", network.adapters):
        data = save({n: tensor.astype(np.float32) for n, tensor in tensors.items()})
        (out / f"{name}.safetensors").write_bytes(data)
    with (out / "history.csv").open("w", encoding="utf-8", newline="") as stream:
        csv.writer(stream, lineterminator="\n").writerows([HISTORY, *history])
    text = json.dumps(metrics, indent=2, sort_keys=True, allow_nan=False)
    (out / "metrics.json").write_text(text + "\n", encoding="utf-8")


def main() -> None:
    """Run the experiment that the command line describes."""
    parser = argparse.ArgumentParser(description="Teach a network new digits.")
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
        if any(set(labels < OLD) != {True, False} for _, labels in (train, test)):
            raise ValueError(f"{args.data}: too few digits below {OLD}, or above")
    except (OSError, ValueError, yaml.YAMLError) as error:
        parser.exit(2, f"{parser.prog}: error: {' '.join(str(error).split())}\n")
    base = train_base(train, params, rng)
    sha256 = digest(base)
    network = add_adapters(base, params, rng)
    history = adapt(network, train, test, params, rng)
    network = Network(base, as_stored(network.adapters), network.scale)
    metrics = verify(network, sha256, test[0])
    metrics |= compare(Network(base, {}, 0), network, test)
    write(args.out, network, history, metrics)


if __name__ == "__main__":
    main()
