"""The runs of a crate: one CreateAction each, with what it used and made (Process Run Crate 0.5).

A file is claimed as a run's input or output only if the bytes in the crate are those the run recorded. Where
they are not, or the file is not in the crate, the action links a PropertyValue with the recorded digest.
"""

from __future__ import annotations

import json
import math
import posixpath
import shlex
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any
from urllib.parse import quote

from entrenar_research.core.crates import paths
from entrenar_research.core.crates.files import CrateFiles
from entrenar_research.core.crates.people import Entity, references
from entrenar_research.models.run import FileDigest, RunRecord

_COMPLETED = "http://schema.org/CompletedActionStatus"
_FAILED = "http://schema.org/FailedActionStatus"


def run_id(record: RunRecord) -> str:
    """The identifier of a run's action."""
    return f"#run-{quote(record.id, safe='')}"


def normal(path: str) -> str:
    """A recorded path in its shortest form."""
    return posixpath.normpath(path)


class Runs:
    """Builds the actions; collects what they refer to: `values` (PropertyValues), `software` and `scripts`.

    `scripts` maps the path of each file that a run executed to the software it needed.
    """

    def __init__(self, files: CrateFiles, agent: str | None) -> None:
        self.files = files
        self.agent = agent
        self.values: dict[str, Entity] = {}
        self.software: dict[str, Entity] = {}
        self.scripts: dict[str, set[str]] = {}

    def action(self, record: RunRecord) -> Entity:
        """The CreateAction of one run."""
        script = self._script(record)
        instrument = self._instrument(record, script)
        used = [item for item in (*record.inputs, *record.code) if normal(item.path) != script]
        given = [*self._claims(record, used, "used"), *self._parameters(record)]
        made = [*self._claims(record, record.outputs, "made"), *self._metrics(record)]
        entity: Entity = {
            "@id": run_id(record),
            "@type": "CreateAction",
            "name": f"Run {record.id} of experiment {record.experiment}",
            "description": f"Command: {shlex.join(record.argv) if record.argv else record.command}",
            "instrument": {"@id": instrument},
            "startTime": timestamp(record.started),
        }
        entity |= {key: references(ids) for key, ids in (("object", given), ("result", made)) if ids}
        if self.agent is not None:
            entity["agent"] = {"@id": self.agent}
        if record.ended is not None:
            entity["endTime"] = timestamp(record.ended)
        if record.environment is not None and record.environment.variables:
            variables = sorted(record.environment.variables.items())
            entity["environment"] = references([self._value(record, "variable", *item) for item in variables])
        return entity | _status(record)

    def _claims(self, record: RunRecord, items: Iterable[FileDigest], kind: str) -> list[str]:
        """The entities of what was used or made: the files themselves, or what was recorded of them."""
        found: dict[str, None] = {}
        for item in items:
            state = self.files.compare(item)
            path = normal(item.path)
            if state is None:
                found[paths.to_id(path, directory=item.files is not None)] = None
                continue
            detail = f"{kind} by the run with this digest; {state}"
            found[self._value(record, f"recorded-{kind}", path, item.digest, description=detail)] = None
        return list(found)

    def _parameters(self, record: RunRecord) -> list[str]:
        found = [self._value(record, "param", *item) for item in flatten(record.params)]
        if record.seed is not None:
            found.append(self._value(record, "setting", "seed", record.seed))
        if record.git.commit is not None:
            state = " with uncommitted changes" if record.git.dirty else ""
            found.append(self._value(record, "setting", "git commit", record.git.commit + state))
        return found

    def _metrics(self, record: RunRecord) -> list[str]:
        return [self._value(record, "metric", *item) for item in sorted(record.metrics.items())]

    def _value(self, record: RunRecord, kind: str, name: str, value: Any, *, description: str | None = None) -> str:
        identifier = f"#{kind}-{quote(record.id, safe='')}/{quote(name, safe='')}"
        entity: Entity = {"@id": identifier, "@type": "PropertyValue", "name": name, "value": plain(value)}
        if description is not None:
            entity["description"] = description
        self.values.setdefault(identifier, entity)
        return identifier

    def _script(self, record: RunRecord) -> str | None:
        """The path of the code file that the command names, or of the only one there is."""
        files = [normal(item.path) for item in record.code if item.files is None]
        below = tuple(f"{normal(item.path)}/" for item in record.code if item.files is not None)
        for word in record.argv:
            for path in (normal(word), normal(f"experiments/{record.experiment}/{word}")):
                if path in files or (path.startswith(below) and path in self.files):
                    return path
        return files[0] if len(files) == 1 else None

    def _instrument(self, record: RunRecord, script: str | None) -> str:
        """The file that was executed if the crate has it as it was then, else an entity that describes it."""
        needs = self._platform(record)
        if script is None:
            program = record.environment.program if record.environment else (*record.argv, record.command)[0]
            return self._software(f"#program-{quote(program, safe='')}", name=program, needs=needs)
        holders = [item for item in record.code if f"{script}/".startswith(f"{normal(item.path)}/")]
        if any(self.files.compare(item) is None for item in holders):
            self.scripts.setdefault(script, set()).update(needs)
            return paths.to_id(script)
        digest = next((item.digest for item in holders if normal(item.path) == script), record.id)
        identifier = f"#script-{quote(script, safe='')}/{quote(digest, safe='')}"
        detail = f"{script} as it was when the run used it: {digest}; not in this crate in that state"
        return self._software(identifier, name=script, needs=needs, description=detail)

    def _platform(self, record: RunRecord) -> list[str]:
        """The tool and the Python that a run used."""
        found = []
        if record.tool:
            name, _, version = record.tool.rpartition(" ")
            name, version = (name, version) if name else (version, "")
            found.append(self._software(f"#tool-{quote(record.tool, safe='')}", name=name, version=version))
        if record.environment is not None and record.environment.python:
            python = record.environment.python
            found.append(self._software(f"#python-{quote(python, safe='')}", name="Python", version=python))
        return found

    def _software(
        self,
        identifier: str,
        *,
        name: str,
        version: str = "",
        needs: Sequence[str] = (),
        description: str = "",
    ) -> str:
        entity = self.software.setdefault(identifier, {"@id": identifier, "@type": "SoftwareApplication", "name": name})
        if version:
            entity["softwareVersion"] = version
        if description:
            entity["description"] = description
        if needs:
            known = {item["@id"] for item in entity.get("softwareRequirements", [])}
            entity["softwareRequirements"] = references(sorted(known | set(needs)))
        return identifier


def _status(record: RunRecord) -> Entity:
    if record.status == "running":
        return {}
    if record.status == "completed":
        return {"actionStatus": _COMPLETED}
    said = [record.failure or "", *record.reasons]
    if record.signal:
        said.append(f"killed by {record.signal}")
    if record.exit_status:
        said.append(f"exit status {record.exit_status}")
    return {"actionStatus": _FAILED, "error": f"{record.status}: " + "; ".join(item for item in said if item)}


def timestamp(text: str) -> str:
    """An ISO 8601 time with its offset written out, as the Process Run Crate profile recommends."""
    return f"{text[:-1]}+00:00" if text.endswith("Z") else text


def flatten(params: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Parameters as dotted names with plain values, sorted."""
    for key in sorted(params):
        value = params[key]
        if isinstance(value, Mapping) and value:
            yield from flatten(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value


def plain(value: Any) -> str | int | float | bool:
    """A value that JSON-LD can hold flat: lists and nulls become JSON text, NaN and infinities words."""
    if isinstance(value, str | bool | int):
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else str(value)
    return json.dumps(value, sort_keys=True, ensure_ascii=False, default=str)
