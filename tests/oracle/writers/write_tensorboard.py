# mypy: ignore-errors
"""Writes event files with tensorboardX and TensorBoard's own writer; what was logged as JSON to standard output."""

import json
import math
import random
import struct
import sys
from pathlib import Path

import numpy as np
from tensorboard.compat.proto.event_pb2 import Event
from tensorboard.compat.proto.summary_pb2 import Summary, SummaryMetadata
from tensorboard.plugins.hparams import api_pb2, plugin_data_pb2
from tensorboard.plugins.scalar import metadata
from tensorboard.summary.writer.event_file_writer import EventFileWriter
from tensorboard.util import tensor_util
from tensorboardX import SummaryWriter

place, count = Path(sys.argv[1]), int(sys.argv[2])
random.seed(7)
logged = {"plain": [], "tensors": []}


def single(value: float) -> float:
    """The number as 32 bits hold it."""
    return struct.unpack("<f", struct.pack("<f", value))[0]


with SummaryWriter(str(place / "plain")) as writer:
    for step in random.sample(range(count), count):
        writer.add_scalar("loss/train", step / 7, step, walltime=1.7e9 + step * 1.1)
        logged["plain"].append(["loss/train", step, repr(single(step / 7)), 1.7e9 + step * 1.1])
    for index, value in enumerate([math.nan, math.inf, -math.inf, -0.0, 1e-45, 3e38]):
        writer.add_scalar("odd", value, index, walltime=1.7e9 + index)
        logged["plain"].append(["odd", index, repr(single(value)), 1.7e9 + index])
    for index in range(200):
        writer.add_scalar(f"key_{index}", index, 1 << 40, walltime=1.7e9)
        logged["plain"].append([f"key_{index}", 1 << 40, repr(float(index)), 1.7e9])
    writer.add_text("words", "hello", 1)
    writer.add_histogram("histogram", np.arange(10), 1)
    writer.add_image("image", np.zeros((3, 4, 4)), 1)
    writer.add_hparams({"lr": 0.1, "name": "x", "flag": True}, {"final": 0.5}, name="session")

own = EventFileWriter(str(place / "tensors"))
with_plugin = metadata.create_summary_metadata("", "")
for kind in ("float32", "float64", "float16", "int64", "int32", "uint8", "bool"):
    for step in range(20):
        value = np.array(step % 2 if kind == "bool" else step / 4, dtype=kind)
        tensor = tensor_util.make_tensor_proto(value)
        own.add_event(
            Event(
                wall_time=1.6e9 + step / 3, step=step,
                summary=Summary(value=[Summary.Value(tag=kind, tensor=tensor, metadata=None if step else with_plugin)]),
            )
        )  # fmt: skip
        logged["tensors"].append([kind, step, repr(float(value)), 1.6e9 + step / 3])
own.add_event(Event(wall_time=1.6e9, step=-5, summary=Summary(value=[Summary.Value(tag="early", simple_value=2.5)])))
logged["tensors"].append(["early", -5, "2.5", 1.6e9])


def session(tag: str, **content: object) -> Summary:
    """A value of the HParams plugin."""
    data = plugin_data_pb2.HParamsPluginData(version=0, **content).SerializeToString()
    plugin = SummaryMetadata.PluginData(plugin_name="hparams", content=data)
    return Summary(value=[Summary.Value(tag=f"_hparams_/{tag}", metadata=SummaryMetadata(plugin_data=plugin))])


start = plugin_data_pb2.SessionStartInfo(group_name="g", start_time_secs=1.6e9)
start.hparams["rate"].number_value = 0.5
start.hparams["name"].string_value = "x"
start.hparams["flag"].bool_value = False
end = plugin_data_pb2.SessionEndInfo(status=api_pb2.STATUS_FAILURE, end_time_secs=1.6e9 + 100)
own.add_event(Event(wall_time=1.6e9, summary=session("session_start_info", session_start_info=start)))
own.add_event(Event(wall_time=1.7e9, summary=session("session_end_info", session_end_info=end)))
own.close()
sys.stdout.write(json.dumps(logged) + "\n")
