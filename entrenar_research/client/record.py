"""`run.yaml` of a run that a script started by itself: written when it begins and when it ends."""

from __future__ import annotations

import errno
import os
import sys

from entrenar_research.client import liveness, places, texts

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from entrenar_research.client.slots import SlotLog

_SCHEMA = 1
_PACKAGE = __name__.partition(".")[0]


def begin(directory: str, run_id: str, experiment: str, began: int, trace: str) -> dict[str, Any]:
    """The record of a run that begins, and everything in it that will not change; `_` keys are not written."""
    return {
        "schema": _SCHEMA,
        "id": run_id,
        "experiment": experiment,
        "status": "running",
        "tool": f"entrenar-research {sys.modules[_PACKAGE].__version__}",
        "runner": "script",
        "started": places.moment(began),
        "trace_id": trace,
        "holder": {"machine": liveness.machine(), "process": os.getpid()},
        "_directory": directory,
        "_began": began,
    }


def open_record(fields: dict[str, Any], said: dict[str, Any]) -> None:
    """Writes the record of a run that begins. It is not waited for: after a power failure there is no such run.

    Raises:
        OSError: if the file system refuses.
    """
    places.write_record(fields["_directory"], texts.yaml_text(_present(fields, said)), durable=False)


def close(
    fields: dict[str, Any],
    said: dict[str, Any],
    log: SlotLog,
    status: str,
    failure: str | None,
    duration: float,
    points: int,
) -> None:
    """Writes the final record. `duration` (s) was taken with a clock that never jumps, and `ended` follows from it.

    Raises:
        OSError: if the file system refuses.
    """
    final = {key: value for key, value in fields.items() if key != "holder"}
    final["status"] = status
    final["ended"] = places.moment(fields["_began"] + round(duration * 1e9))
    final["duration"] = round(duration, 6)
    if failure is not None:
        final["failure"] = failure
    telemetry: dict[str, Any] = {"points": points, "spans": log.spans, "processes": 1}
    if log.lost:
        telemetry["lost"] = log.lost
        telemetry["reason"] = os.strerror(log.lost_errno or errno.ENOSPC)
    final["telemetry"] = telemetry
    text = texts.yaml_text(_present(final, said))
    try:
        places.write_record(fields["_directory"], text, durable=True)
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EDQUOT):
            raise
        places.overwrite_record(fields["_directory"], text)


def _present(fields: dict[str, Any], said: dict[str, Any]) -> dict[str, Any]:
    """What is written: the fields, and of what was said whatever is not empty."""
    found = {key: value for key, value in fields.items() if not key.startswith("_")}
    found |= {key: said[key] for key in ("params", "tags", "warnings") if said[key]}
    if said["artifacts"]:
        found["artifacts"] = [
            {"kind" if key == "artifact_kind" else key: value for key, value in note.items()}
            for _, note in sorted(said["artifacts"].items())
        ]
    if said["parents"]:
        found["lineage"] = {"parents": said["parents"]}
    return found
