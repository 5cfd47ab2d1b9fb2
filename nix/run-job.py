"""Carries out one experiment in the sandbox of Nix: a study with what is declared, the command, the result as $out.

With an output `trace` its streams, what it logged, how it ended and, unless $level is `none`, its system calls are kept
as well. A command that fails, or whose result cannot be taken out, leaves the same in `evidence` of the build
directory, for whoever asked Nix to keep that.
The command is told of its run by the variables that `entrenar-research run` tells it by.
"""

import contextlib
import ctypes
import json
import os
import resource
import shutil
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any, BinaryIO

OBSERVED = "%file,%process,%network,fchdir,?open_by_handle_at,?io_uring_setup"
BUILD = Path.cwd()
STUDY, EVIDENCE = BUILD / "study", BUILD / "evidence"
LEFT_SECONDS = 20.0


class Refused(Exception):
    """What was written cannot leave the sandbox; the message says why."""


def main() -> int:
    """Lays everything out, runs the command, keeps what it made: its exit status."""
    job = json.loads(os.environ["job"])
    lay_out(json.loads(os.environ["places"]), os.environ["sources"].split())
    ctypes.CDLL(None).prctl(1, 9)  # PR_SET_PDEATHSIG: a build whose Nix was killed is of no use to anybody
    run = STUDY / "runs" / os.environ.get("run", "here")
    elsewhere = [(STUDY / item["from"]).parent for item in job["outputs"] if not isinstance(item, str)]
    for directory in (EVIDENCE, run, STUDY / job["result"], *elsewhere):
        directory.mkdir(parents=True, exist_ok=True)
    told = {"ENTRENAR_STUDY": str(STUDY), "ENTRENAR_RUN": f"runs/{run.name}", "ENTRENAR_RESULT": job["result"]}
    if "parent" in os.environ:
        told["TRACEPARENT"] = os.environ["parent"]
    level = os.environ.get("level", "none")
    ended = execute(traced(job["command"], level), environment(job) | told)
    status: int = ended.get("status", 127)
    try:
        take(run, EVIDENCE / "run")
        if status == 0 and (missing := collect(job)):
            print(f"the command ended well but did not write its output {missing}", file=sys.stderr)
            status = 1
        elif status == 0:
            take(STUDY / job["result"], Path(os.environ["out"]))
    except Refused as refused:
        print(refused, file=sys.stderr)
        ended["refused"], status = str(refused), status or 1
    (EVIDENCE / "ended.json").write_text(json.dumps(ended))
    if status == 0 and "trace" in os.environ:
        shutil.copytree(EVIDENCE, os.environ["trace"])
    return status if status >= 0 else 128 - status


def lay_out(places: list[str], sources: list[str]) -> None:
    """The declared files where the study has them, writable for nobody."""
    for place, source in zip(places, sources, strict=True):
        target = STUDY / place
        target.parent.mkdir(parents=True, exist_ok=True)
        if Path(source).is_dir():
            shutil.copytree(source, target, symlinks=True)
        else:
            shutil.copyfile(source, target)
            target.chmod(0o555 if os.access(source, os.X_OK) else 0o444)


def environment(job: dict[str, Any]) -> dict[str, str]:
    """What the command finds in its environment: the pins, what is declared, and where to log."""
    home = BUILD / "home"
    home.mkdir()
    found = {name: os.environ[name] for name in os.environ["pins"].split()}
    found |= {"PATH": os.environ["PATH"], "HOME": str(home), "TMPDIR": str(BUILD), "USER": "nobody"}
    found |= job["environment"]
    return found


def traced(command: list[str], level: str) -> list[str]:
    """The command under strace, whose log is for people who want to know what happened here."""
    if level == "none":
        return command
    form = ["-f", "-ttt", "-T", "-y", "-o", str(EVIDENCE / "trace.log")]
    how = ["-s", "256"] if level == "full" else ["--seccomp-bpf", "-e", f"trace={OBSERVED}"]
    return [f"{os.environ['python']}/bin/strace", *form, *how, "--", *command]


def execute(command: list[str], variables: dict[str, str]) -> dict[str, Any]:
    """Runs the command with its streams kept and shown: how it ended, nothing if it could not be started.

    What it has left running is stopped.
    """
    began = time.monotonic()
    try:
        child = subprocess.Popen(
            command, cwd=STUDY, env=variables, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
            start_new_session=True,
        )  # fmt: skip
    except OSError as error:
        print(f"cannot execute {command[0]}: {error.strerror}", file=sys.stderr)
        return {}
    streams = [(child.stdout, sys.stdout.buffer, "stdout.txt"), (child.stderr, sys.stderr.buffer, "stderr.txt")]
    copiers = [
        threading.Thread(target=copy, args=(stream, shown, EVIDENCE / name), daemon=True)
        for stream, shown, name in streams
    ]
    for copier in copiers:
        copier.start()
    status, seconds = child.wait(), time.monotonic() - began
    with contextlib.suppress(ProcessLookupError):
        os.killpg(child.pid, signal.SIGKILL)
    for copier in copiers:
        copier.join(LEFT_SECONDS)  # one that has left the group still holds it: it ends with the sandbox
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return {
        "status": status,
        "seconds": seconds,
        "user_seconds": used.ru_utime,
        "system_seconds": used.ru_stime,
        "peak_memory": used.ru_maxrss * 1024,
    }


def copy(stream: BinaryIO, shown: BinaryIO, path: Path) -> None:
    """Passes a stream on as it comes and keeps it."""
    with path.open("wb") as kept:
        while piece := stream.read1(1 << 16):  # type: ignore[attr-defined]
            kept.write(piece)
            shown.write(piece)
            shown.flush()


def take(source: Path, target: Path) -> None:
    """Copies a directory with the files, directories and links in it, those included that nobody may read."""
    target.mkdir()
    source.chmod(0o700)
    for entry in sorted(os.scandir(source), key=lambda item: item.name):
        place = target / entry.name
        if entry.is_symlink():
            place.symlink_to(os.readlink(entry.path))  # noqa: PTH115 - as it is there
        elif entry.is_dir():
            take(Path(entry.path), place)
        elif entry.is_file():
            mode = 0o755 if entry.stat().st_mode & 0o100 else 0o644
            Path(entry.path).chmod(0o600)
            shutil.copyfile(entry.path, place)
            place.chmod(mode)
        else:
            shown = Path(entry.path).relative_to(STUDY)
            raise Refused(f"{shown}: expected a file or directory, found a device, pipe or socket")


def collect(job: dict[str, Any]) -> str | None:
    """Moves outputs that the command wrote elsewhere into the result: one that it did not write, if there is one."""
    result = STUDY / job["result"]
    if not result.is_dir():
        raise Refused(f"{job['result']} is no directory any more: the command has removed or replaced it")
    for output in job["outputs"]:
        path = output if isinstance(output, str) else output["path"]
        if not isinstance(output, str) and (STUDY / output["from"]).exists():
            (result / path).parent.mkdir(parents=True, exist_ok=True)
            shutil.move(STUDY / output["from"], result / path)
        if not (result / path).exists():
            return str(path)
    return None


sys.exit(main())
