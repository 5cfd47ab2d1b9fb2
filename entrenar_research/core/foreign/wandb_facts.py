"""What W&B records about a run beside its points, without the names of people, accounts, machines and directories."""

from __future__ import annotations

import json
from typing import Any

from entrenar_research.core.foreign import wandb_records as records
from entrenar_research.core.foreign.protobuf_wire import Message

_INTERNAL = "_wandb"
_PERSONAL_METADATA = {
    "host": "host name",
    "username": "user name",
    "email": "e-mail address",
    "executable": "path of the interpreter",
    "root": "directory of the run",
    "args": "arguments of the command (they may hold paths and secrets)",
    "docker": "name of the container image",
    "disk": "mount points of disks",
    "slurm": "Slurm's variables",
}
_PERSONAL_ENVIRONMENT = {
    4: "docker", 5: "args", 10: "email", 11: "root", 12: "host", 13: "username", 14: "executable", 20: "disk",
    27: "slurm",
}  # fmt: skip


class Facts:
    """Collected from record to record; later ones win."""

    def __init__(self) -> None:
        self.run_id = ""
        self.project = ""
        self.name = ""
        self.config: dict[str, Any] = {}
        self._summary: dict[tuple[str, ...], records.Item] = {}
        self.personal: set[str] = set()
        self.internal = False
        self.started: int | None = None
        self.ended: int | None = None
        self.exit_status: int | None = None
        self.program = ""
        self.python: str | None = None
        self.commit: str | None = None
        self.system = ""
        self.cpu = ""
        self.cores = 0
        self.memory = 0
        self.gpus: list[str] = []
        self._labels: dict[str, str] = {}
        self._tags: list[str] = []

    def take(self, kind: int, data: bytes) -> None:
        """A record of one of the kinds that say something about the run; others are passed over.

        Raises:
            WireError: if it is none.
        """
        if kind == records.CONFIG:
            self.configure(data)
        elif kind == records.RUN:
            self.run(Message(data))
        elif kind == records.EXIT:
            self.exit(Message(data))
        elif kind == records.ENVIRONMENT:
            self.environment(Message(data))

    def run(self, message: Message) -> None:
        """A RunRecord."""
        self.run_id = message.text(1) or self.run_id
        self.project = message.text(3) or self.project
        self.name = message.text(8) or self.name
        for field, key in ((6, "group"), (7, "job_type"), (9, "notes"), (12, "sweep")):
            if message.text(field):
                self._labels[key] = message.text(field)
        self._tags = message.texts(10) or self._tags
        if message.text(2):
            self.personal.add("account (entity)")
        if message.text(13):
            self.personal.add("host name")
        if self.started is None:
            self.started = records.timestamp(message.message(17))
        self._git(message.message(21))
        config = message.every(4)
        if config:
            self.configure(config[-1])

    def configure(self, data: bytes) -> None:
        """A ConfigRecord."""
        records.apply(self.config, *records.changes(data))
        self.internal = self.config.pop(_INTERNAL, None) is not None or self.internal

    def summarise(self, data: bytes) -> None:
        """A SummaryRecord: one comes with nearly every row, so their values are parsed at the end."""
        entries, removed = records.changes(data)
        for entry in entries:
            self._summary.pop(entry.path, None)
            self._summary[entry.path] = entry
        for entry in removed:
            self._summary.pop(entry.path, None)

    def exit(self, message: Message) -> None:
        """A RunExitRecord."""
        self.exit_status = message.number(1)
        runtime = message.number(2)
        if runtime and self.started is not None:
            self.ended = self.started + runtime * 1_000_000_000

    def environment(self, message: Message) -> None:
        """An EnvironmentRecord; it may come in several parts."""
        self.system = message.text(1) or self.system
        self._interpreter(message.text(2))
        self._program(message.text(7), message.text(6))
        for field, key in _PERSONAL_ENVIRONMENT.items():
            if message.every(field):
                self.personal.add(_PERSONAL_METADATA[key])
        self.cores = message.number(16) or self.cores
        memory, cpu = message.message(21), message.message(22)
        self.memory = memory.number(1) if memory is not None else self.memory
        self.cpu = cpu.text(1) if cpu is not None else self.cpu
        found = [part.text(1) for part in message.messages(24)]
        self.gpus = found or self.gpus or [message.text(18)] * (message.number(19) or bool(message.text(18)))
        self._git(message.message(9))

    def config_file(self, value: Any) -> None:
        """`config.yaml`: {key: {desc, value}}, for what no record says."""
        if not isinstance(value, dict):
            return
        for key, entry in value.items():
            if key == _INTERNAL:
                self.internal = True
            elif key != "wandb_version":
                self.config.setdefault(str(key), entry.get("value") if isinstance(entry, dict) else entry)

    def metadata_file(self, value: Any) -> None:
        """`wandb-metadata.json`, for what no record says."""
        if not isinstance(value, dict):
            return
        self.personal |= {words for key, words in _PERSONAL_METADATA.items() if value.get(key)}
        self.system = self.system or str(value.get("os", ""))
        if self.python is None:
            self._interpreter(str(value.get("python", "")))
        if not self.program:
            self._program(str(value.get("codePath", "")), str(value.get("program", "")))
        self.cores = self.cores or _whole(value.get("cpu_count"))
        name = value.get("gpu")
        self.gpus = self.gpus or ([name] * max(_whole(value.get("gpu_count")), 1) if isinstance(name, str) else [])
        memory, git = value.get("memory"), value.get("git")
        if isinstance(memory, dict) and isinstance(memory.get("total"), float | int):
            total = memory["total"]
            self.memory = self.memory or int(total * (1 << 30 if total < 1 << 20 else 1))  # older ones: GiB
        if isinstance(git, dict):
            self.commit = self.commit or str(git.get("commit") or "") or None
            if git.get("remote"):
                self.personal.add("address of the repository")

    def _git(self, message: Message | None) -> None:
        if message is not None:
            self.commit = message.text(2) or self.commit
            if message.text(1):
                self.personal.add("address of the repository")

    def _interpreter(self, text: str) -> None:
        if text:
            self.python = text.rsplit(maxsplit=1)[-1]

    def _program(self, relative: str, full: str) -> None:
        """The script: its path in the repository, or its name without the directory."""
        inside = relative if relative and not relative.startswith(("/", "..")) else ""
        self.program = inside or full.replace("\\", "/").rpartition("/")[2] or self.program
        if "/" in full:
            self.personal.add("directory of the script")

    def tags(self) -> list[str]:
        """Tags of the run: `name=...`, what it was filed under, and its own."""
        found = [f"name={self.name}"] if self.name else []
        return list(dict.fromkeys([*found, *(f"{key}={text}" for key, text in self._labels.items()), *self._tags]))

    def final(self, logged: set[str]) -> tuple[dict[str, float], int]:
        """The numbers of the summary that no row of the history had, and how many entries are no numbers."""
        numbers: dict[str, float] = {}
        others = 0
        summary: dict[str, Any] = {}
        others += len(records.apply(summary, list(self._summary.values()), []))
        for name, value in _flat(summary, ()):
            if name in logged or name.startswith("_"):
                continue
            number = records.scalar(json.dumps(value))
            if number is None:
                others += 1
            else:
                numbers[name] = number
        return numbers, others


def _flat(value: dict[str, Any], path: tuple[str, ...]) -> list[tuple[str, Any]]:
    found: list[tuple[str, Any]] = []
    for key, inner in value.items():
        if isinstance(inner, dict):
            if records.TYPE not in inner:
                found += _flat(inner, (*path, key))
        else:
            found.append((".".join((*path, key)), inner))
    return found


def _whole(value: Any) -> int:
    return value if isinstance(value, int) else 0
