"""Carries out one experiment in the sandbox of Nix: a study with what is declared, the command, the result as $out.

With an output `trace` its streams, what it logged, how it ended and, unless $level is `none`, its system calls are kept
as well. A command that fails leaves the same in `evidence` of the build directory, for whoever asked Nix to keep that.
The command is told of its run by the variables that `entrenar-research run` tells it by.
"""

import ctypes
import json
import os
import resource
import shutil
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any, BinaryIO

OBSERVED = "%file,%process,%network,fchdir,?open_by_handle_at,?io_uring_setup"
BUILD = Path.cwd()
STUDY, EVIDENCE = BUILD / "study", BUILD / "evidence"


def main() -> int:
    """Lays everything out, runs the command, keeps what it made: its exit status."""
    job = json.loads(os.environ["job"])
    lay_out(json.loads(os.environ["places"]), os.environ["sources"].split())
    ctypes.CDLL(None).prctl(1, 9)  # PR_SET_PDEATHSIG: a build whose Nix was killed is of no use to anybody
    run = STUDY / "runs" / os.environ.get("run", "here")
    for directory in (EVIDENCE, run, STUDY / job["result"]):
        directory.mkdir(parents=True, exist_ok=True)
    told = {"ENTRENAR_STUDY": str(STUDY), "ENTRENAR_RUN": f"runs/{run.name}", "ENTRENAR_RESULT": job["result"]}
    if "parent" in os.environ:
        told["TRACEPARENT"] = os.environ["parent"]
    level = os.environ.get("level", "none")
    status = execute(traced(job["command"], level), environment(job) | told)
    shutil.copytree(run, EVIDENCE / "run")
    if status != 0:
        return status
    collect(job)
    shutil.copytree(STUDY / job["result"], os.environ["out"], symlinks=True)
    if "trace" in os.environ:
        shutil.copytree(EVIDENCE, os.environ["trace"])
    return 0


def lay_out(places: list[str], sources: list[str]) -> None:
    """The declared files where the study has them, writable for nobody."""
    for place, source in zip(places, sources, strict=True):
        target = STUDY / place
        target.parent.mkdir(parents=True, exist_ok=True)
        if Path(source).is_dir():
            shutil.copytree(source, target, symlinks=True)
        else:
            shutil.copyfile(source, target)
            target.chmod(0o444)


def environment(job: dict[str, Any]) -> dict[str, str]:
    """What the command finds in its environment: the pins, what is declared, and where to log."""
    tools, home = BUILD / "tools", BUILD / "home"
    tools.mkdir()
    home.mkdir()
    subprocess.run([f"{os.environ['busybox']}/bin/busybox", "--install", "-s", str(tools)], check=True)
    found = {name: os.environ[name] for name in os.environ["pins"].split()}
    found |= {"PATH": f"{os.environ['PATH']}:{tools}", "HOME": str(home), "TMPDIR": str(BUILD), "USER": "nobody"}
    found |= job["environment"]
    return found


def traced(command: list[str], level: str) -> list[str]:
    """The command under strace, whose log is for people who want to know what happened here."""
    if level == "none":
        return command
    form = ["-f", "-ttt", "-T", "-y", "-o", str(EVIDENCE / "trace.log")]
    how = ["-s", "256"] if level == "full" else ["--seccomp-bpf", "-e", f"trace={OBSERVED}"]
    return [f"{os.environ['python']}/bin/strace", *form, *how, "--", *command]


def execute(command: list[str], variables: dict[str, str]) -> int:
    """Runs the command with its streams kept and shown; its status, 128 + n if signal n killed it."""
    began = time.monotonic()
    try:
        child = subprocess.Popen(
            command, cwd=STUDY, env=variables, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE
        )
    except OSError as error:
        print(f"cannot execute {command[0]}: {error.strerror}", file=sys.stderr)
        return 127
    streams = [(child.stdout, sys.stdout.buffer, "stdout.txt"), (child.stderr, sys.stderr.buffer, "stderr.txt")]
    copiers = [threading.Thread(target=copy, args=(stream, shown, EVIDENCE / name)) for stream, shown, name in streams]
    for copier in copiers:
        copier.start()
    for copier in copiers:
        copier.join()
    status = child.wait()
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    ended = {
        "status": status,
        "seconds": time.monotonic() - began,
        "user_seconds": used.ru_utime,
        "system_seconds": used.ru_stime,
        "peak_memory": used.ru_maxrss * 1024,
    }
    (EVIDENCE / "ended.json").write_text(json.dumps(ended))
    return status if status >= 0 else 128 - status


def copy(stream: BinaryIO, shown: BinaryIO, path: Path) -> None:
    """Passes a stream on as it comes and keeps it."""
    with path.open("wb") as kept:
        while piece := stream.read1(1 << 16):  # type: ignore[attr-defined]
            kept.write(piece)
            shown.write(piece)
            shown.flush()


def collect(job: dict[str, Any]) -> None:
    """Moves outputs that the command wrote elsewhere into the result, and refuses a result that is not as declared."""
    result = STUDY / job["result"]
    for output in job["outputs"]:
        path = output if isinstance(output, str) else output["path"]
        if not isinstance(output, str) and (STUDY / output["from"]).exists():
            (result / path).parent.mkdir(parents=True, exist_ok=True)
            shutil.move(STUDY / output["from"], result / path)
        if not (result / path).exists():
            sys.exit(f"the command ended well but did not write its output {path}")


sys.exit(main())
