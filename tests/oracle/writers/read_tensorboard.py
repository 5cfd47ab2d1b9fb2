# mypy: ignore-errors
"""What TensorBoard's own EventAccumulator reads in a run directory, as JSON: [tag, step, value, wall time]."""

import json
import sys

from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboard.util import tensor_util

read = EventAccumulator(sys.argv[1], size_guidance={"scalars": 0, "tensors": 0}, purge_orphaned_data=False)
read.Reload()
points = [[tag, p.step, repr(p.value), p.wall_time] for tag in read.Tags()["scalars"] for p in read.Scalars(tag)]
for tag in read.Tags()["tensors"]:
    for point in read.Tensors(tag):
        value = tensor_util.make_ndarray(point.tensor_proto)
        if value.shape == () and value.dtype != object and not tag.startswith("_hparams_"):
            points.append([tag, point.step, repr(float(value)), point.wall_time])
sys.stdout.write(json.dumps(points) + "\n")
