"""Making small stores of other trackers by hand: their framings and messages, from the descriptions of the formats."""

from __future__ import annotations

import json
import struct
import zlib
from collections.abc import Iterable
from pathlib import Path
from typing import Any

HOST, USER = "lovelace-laptop", "ada.lovelace"
START = 1_700_000_000


def varint(number: int) -> bytes:
    """A number in two's complement of 64 bits, seven bits a byte."""
    number &= (1 << 64) - 1
    out = bytearray()
    while number > 127:
        out.append(number & 127 | 128)
        number >>= 7
    out.append(number)
    return bytes(out)


def field(number: int, value: float | bytes | str) -> bytes:
    """A field: a varint, a double, or bytes with their length."""
    if isinstance(value, int):
        return varint(number << 3) + varint(value)
    if isinstance(value, float):
        return varint(number << 3 | 1) + struct.pack("<d", value)
    raw = value.encode() if isinstance(value, str) else value
    return varint(number << 3 | 2) + varint(len(raw)) + raw


def single(number: int, value: float) -> bytes:
    """A field of type float."""
    return varint(number << 3 | 5) + struct.pack("<f", value)


def slow_crc32c(data: bytes) -> int:
    """The checksum bit by bit, as RFC 3720 defines it."""
    state = 0xFFFFFFFF
    for byte in data:
        state ^= byte
        for _ in range(8):
            state = state >> 1 ^ (0x82F63B78 if state & 1 else 0)
    return state ^ 0xFFFFFFFF


def mask(checksum: int) -> int:
    """LevelDB's mask."""
    return ((checksum >> 15 | checksum << 17) + 0xA282EAD8) & 0xFFFFFFFF


def tf_record(data: bytes) -> bytes:
    """One record of an event file."""
    length = struct.pack("<Q", len(data))
    return length + struct.pack("<I", mask(slow_crc32c(length))) + data + struct.pack("<I", mask(slow_crc32c(data)))


def scalar(tag: str, step: int, value: float, wall: float) -> bytes:
    """An event with one scalar."""
    return field(1, wall) + field(2, step) + field(5, field(1, field(1, tag) + single(2, value)))


def write_events(path: Path, events: Iterable[bytes], *, wall: float = START) -> Path:
    """An event file that begins as all do."""
    path.parent.mkdir(parents=True, exist_ok=True)
    first = field(1, float(wall)) + field(3, "brain.Event:2")
    path.write_bytes(b"".join(map(tf_record, (first, *events))))
    return path


def wandb_log(records: Iterable[bytes]) -> bytes:
    """A W&B log: chunks in blocks of 32 KiB behind the file's header."""
    out = bytearray(b":W&B\xe1\xbe\x00")
    for record in records:
        rest, first = record, True
        while first or rest:
            left = 32768 - len(out) % 32768
            if left < 7:
                out += bytes(left)
                continue
            part, rest = rest[: left - 7], rest[left - 7 :]
            kind = (1 if not rest else 2) if first else (4 if not rest else 3)
            out += struct.pack("<IHB", zlib.crc32(bytes([kind]) + part), len(part), kind) + part
            first = False
    return bytes(out)


def wandb_item(name: str, value: Any) -> bytes:
    """One entry: a key, or several joined by `/` as nested ones."""
    keys = name.split("/")
    path = field(1, keys[0]) if len(keys) == 1 else b"".join(field(2, key) for key in keys)
    return path + field(16, json.dumps(value))


def wandb_row(step: int, values: dict[str, Any]) -> bytes:
    """A record with one row of the history."""
    items = b"".join(field(1, wandb_item(name, value)) for name, value in values.items())
    return field(1, step + 10) + field(2, items + field(2, field(1, step)))


def wandb_run(run_id: str = "abcd1234", project: str = "demo") -> bytes:
    """A record that says what the run is called, with a host name in it."""
    config = field(4, field(1, wandb_item("lr", 0.1)))
    start = field(17, field(1, START))
    return field(
        17, field(1, run_id) + field(2, USER) + field(3, project) + config + field(8, "brave") + field(13, HOST) + start
    )


def wandb_environment() -> bytes:
    """A record with everything personal that W&B collects."""
    home = f"/home/{USER}"
    texts = {
        2: "CPython 3.11.2",
        5: f"--data={home}",
        6: f"{home}/train.py",
        10: f"{USER}@x.org",
        11: home,
        12: HOST,
        13: USER,
        14: f"{home}/bin/python",
    }
    return field(26, b"".join(field(number, text) for number, text in texts.items()))


def wandb_exit(status: int) -> bytes:
    """A record of the end."""
    return field(18, field(1, status) + field(2, 60))


def write_tensorboard(place: Path) -> Path:
    """A run `one` with three points."""
    events = [scalar("loss", step, 1 / (step + 1), float(START + step)) for step in range(3)]
    write_events(place / "one" / f"events.out.tfevents.{START}.{HOST}.1.0", events)
    return place


def write_wandb(place: Path) -> Path:
    """An offline run with three points."""
    rows = [wandb_row(step, {"loss": 1 / (step + 1), "_timestamp": START + step, "_step": step}) for step in range(3)]
    directory = place / "wandb" / "offline-run-20231114_221320-abcd1234"
    directory.mkdir(parents=True)
    records = [wandb_run(), wandb_environment(), *rows, wandb_exit(0)]
    (directory / "run-abcd1234.wandb").write_bytes(wandb_log(records))
    return place


def write_mlflow(place: Path, run_id: str = "0123abcd", lines: Iterable[str] | None = None) -> Path:
    """A run of the file store with three points."""
    experiment = place / "mlruns" / "7"
    run = experiment / run_id
    texts = {
        experiment / "meta.yaml": "experiment_id: '7'\nname: demo\nlifecycle_stage: active\n",
        run / "meta.yaml": (
            f"run_id: {run_id}\nrun_name: brave\nstatus: 3\nstart_time: {START}000\nend_time: {START}500\n"
            f"lifecycle_stage: active\nuser_id: {USER}\nartifact_uri: file:///home/{USER}/mlruns/7/{run_id}/artifacts\n"
        ),
        run / "metrics" / "loss": "".join(lines or (f"{START + s}000 {1 / (s + 1)!r} {s}\n" for s in range(3))),
        run / "params" / "lr": "0.1",
        run / "tags" / "mlflow.user": USER,
        run / "tags" / "mlflow.source.name": f"/home/{USER}/train.py",
        run / "tags" / "mlflow.source.git.repoURL": f"https://example.org/{USER}/repo",
    }
    for path, text in texts.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return place


WRITERS = {"mlflow": write_mlflow, "tensorboard": write_tensorboard, "wandb": write_wandb}
