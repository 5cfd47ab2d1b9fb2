"""The runner nix: an experiment built as a derivation, from what is declared and the toolchain of the lock alone."""

from __future__ import annotations

import json
import os
import re
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import msgspec

from entrenar_research.errors import MissingToolError, ToolError, UsageError
from entrenar_research.models.hermetic import HermeticJobs
from entrenar_research.models.proof import Hermetic, StorePath
from entrenar_research.models.run import Usage
from entrenar_research.runners.port import Ended, Job, Runner, Sealed
from entrenar_research.store import closure_file, files
from entrenar_research.tools import execution, nix, processor

FILES: Final = "nix"
INSIDE: Final = "/build/study"
"""Where the study lies in the sandbox."""
_KEPT: Final = re.compile(r"keeping build directory '([^']+)'")
_BUILDER: Final = re.compile(r"builder for '[^']+' failed with exit code (\d+)")
_KILLED: Final = re.compile(r"builder for '[^']+' failed due to signal (\d+)")
_NO_SANDBOX: Final = re.compile(
    r"setgroups failed|unable to start build process|mounting|unshare|namespace", re.IGNORECASE
)


class NixRunner:
    """Builds jobs: no network, no file of the host, nothing but what is declared and what the lock names."""

    name = "nix"
    seals = True

    def unavailable(self, environment: Mapping[str, str]) -> str | None:
        """Why nothing can be built here, or None."""
        try:
            nix.require()
        except MissingToolError as error:
            return error.message
        return None

    def execute(self, job: Job) -> Ended:
        """Builds the job with its evidence, and puts result, streams, trace and what was logged where they belong.

        Raises:
            MissingToolError: if Nix is absent or too old.
            UsageError: if the study has no lock, or the store lacks files of it.
            ToolError: if Nix cannot build here at all.
        """
        nix.require()
        sealed = job.sealed
        if sealed is None:
            raise UsageError("the runner nix builds what an experiment declares, and nothing else")
        processor.require(closure_file.read(job.directory).floor)
        tool = nix.Nix(sealed.state / "nix", nix.default_store(job.environment))
        toolchain = self._toolchain(tool, job.directory)
        self._seed(tool, job.directory, sealed)
        said = sealed.scratch / "nix.log"
        outcome = self._build(tool, job, sealed, said)
        text = files.read_text(said)
        paths = (sealed.scratch / "nix.out").read_text(encoding="utf-8").split()
        evidence = tool.physical(paths[1]) if outcome.exit_status == 0 else _kept(text)
        ended = _take(evidence, job, sealed)
        if outcome.exit_status == 0:
            _copy(tool.physical(paths[0]), sealed.result)
            return _ended(outcome, ended, hermetic=_described(tool, job.directory, toolchain, paths[0]))
        if evidence is not None:
            shutil.rmtree(evidence.parent, ignore_errors=True)
        if not (outcome.interrupted or outcome.halted or ended):
            _explain(text)
        return _ended(outcome, ended, status=_status(text, outcome.exit_status))

    def _toolchain(self, tool: nix.Nix, root: Path) -> str:
        """Builds what the lock names, unless it is there: its store path."""
        done = tool.run(
            ["nix-build", str(root / FILES), "--no-out-link", "--keep-going", "--quiet", "-A", "toolchain.environment"],
            check=False,
            timeout=None,
        )
        if done.status != 0:
            _explain(done.stderr.decode("utf-8", "replace"))
            raise ToolError(
                "Nix cannot build the toolchain: see what it says with `nix-build nix -A toolchain.environment`"
            )
        return done.text

    def _seed(self, tool: nix.Nix, root: Path, sealed: Sealed) -> None:
        """Puts the data of the job into the store: the derivation knows it by its digest."""
        for item in sealed.job.data:
            add = tool.add_file if item.nar is None else tool.add_directory
            add(item.store, root / item.path)

    def _build(self, tool: nix.Nix, job: Job, sealed: Sealed, said: Path) -> execution.Outcome:
        written = sealed.scratch / "jobs.json"
        jobs = HermeticJobs(schema=1, experiments={sealed.name: sealed.job})
        files.write_atomically(written, msgspec.json.encode(jobs))
        attribute = f"traced.{sealed.level}.{sealed.name}"
        argv = tool.command(
            [
                "nix-build", str(job.directory / FILES), "--no-out-link", "--keep-failed", "--keep-going", "--quiet",
                "--arg", "jobs", f"builtins.fromJSON (builtins.readFile {json.dumps(str(written))})",
                "--argstr", "run", sealed.run_id, "--argstr", "parent", sealed.parent or "",
                "-A", f"{attribute}.out", "-A", f"{attribute}.trace",
            ]
        )  # fmt: skip
        return execution.execute(
            argv,
            cwd=job.directory,
            env={**tool.environment(), "TMPDIR": str(sealed.scratch)},
            stdout=sealed.scratch / "nix.out",
            stderr=said,
            echo=job.echo,
            halt=job.halt,
        )


def _kept(text: str) -> Path | None:
    """The evidence of a build that failed: Nix keeps its directory."""
    found = _KEPT.search(text)
    if found is None:
        return None
    for place in (Path(found[1]), Path(found[1]) / "build"):
        if (place / "evidence").is_dir():
            return place / "evidence"
    return None


def _take(evidence: Path | None, job: Job, sealed: Sealed) -> dict[str, Any]:
    """Brings streams, trace and what was logged to their places: how the command ended, as far as is known."""
    for stream in (job.stdout, job.stderr):
        stream.write_bytes(b"")
    if evidence is None:
        return {}
    for name, target in (("stdout.txt", job.stdout), ("stderr.txt", job.stderr)):
        if (evidence / name).is_file():
            shutil.copyfile(evidence / name, target)
    if (evidence / "trace.log").is_file():
        text = (evidence / "trace.log").read_bytes()
        sealed.log.write_bytes(_at_home(text, job.directory, sealed))
    if (evidence / "run").is_dir():
        _copy(evidence / "run", sealed.run)
    try:
        found: dict[str, Any] = json.loads((evidence / "ended.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return found


def _at_home(log: bytes, root: Path, sealed: Sealed) -> bytes:
    """The log with the places of the sandbox as the study has them."""
    places = {
        f"{INSIDE}/{sealed.job.result}": sealed.result,
        f"{INSIDE}/runs/{sealed.run_id}": sealed.run,
        INSIDE: root,
    }
    for inside, place in places.items():
        log = re.sub(re.escape(inside.encode()) + rb"(?=[\"/>\\])", _in_a_log(place), log)
    staged = _in_a_log(sealed.result.relative_to(root))
    return re.sub(rb'"' + re.escape(sealed.job.result.encode()) + rb'(?=["/])', b'"' + staged, log)


def _in_a_log(place: Path) -> bytes:
    """A path as strace writes it: octal where it is not plain ASCII; doubled for `re.sub`."""
    plain = b"".join(
        bytes([byte]) if 32 <= byte < 127 and byte not in b'"\\' else b"\\%o" % byte for byte in os.fsencode(place)
    )
    return plain.replace(b"\\", b"\\\\")


def _copy(source: Path, target: Path) -> None:
    """The content of a directory, writable as our own files are."""
    with files.refusals(f"cannot copy what was built to {target.name}"):
        shutil.copytree(source, target, symlinks=True, dirs_exist_ok=True, copy_function=shutil.copyfile)
        for directory, _, _ in os.walk(target):
            Path(directory).chmod(0o755)


def _described(tool: nix.Nix, root: Path, toolchain: str, out: str) -> Hermetic:
    lock = closure_file.read(root)
    info = tool.info([out])[out]
    whole = tool.info([toolchain], recursive=True)
    return Hermetic(
        system=lock.system,
        derivation=info["deriver"],
        out_path=out,
        nar_hash=nix.hex_digest(info["narHash"]),
        nix_version=nix.version() or "",
        settings=dict(tool.settings()),
        pins=lock.pins,
        closure=tuple(
            StorePath(path=path, hash=nix.hex_digest(item["narHash"]), size=item["narSize"])
            for path, item in sorted(whole.items())
        ),
    )


def _status(text: str, otherwise: int) -> int:
    if found := _BUILDER.search(text):
        return int(found[1])
    if found := _KILLED.search(text):
        return 128 + int(found[1])
    return otherwise


def _explain(text: str) -> None:
    """Says why nothing was executed, where Nix did not come to it."""
    lacking = nix.lacking(text)
    if lacking is not None:
        raise UsageError(lacking, hint="put them there with `entrenar-research env seed`")
    words = [line.removeprefix("error: ") for line in text.splitlines() if line.startswith(("error:", "       "))]
    last = "; ".join(word.strip() for word in words if word.strip())[:600] or "it said nothing"
    if _NO_SANDBOX.search(last):
        raise ToolError(
            f"Nix cannot make its sandbox here, and without it nothing is built: {last}",
            hint="it needs user namespaces (kernel.unprivileged_userns_clone, user.max_user_namespaces), or root",
        )
    if _BUILDER.search(text) or _KILLED.search(text):
        return
    raise ToolError(f"Nix cannot build: {last}")


def _ended(
    outcome: execution.Outcome, ended: Mapping[str, Any], *, status: int = 0, hermetic: Hermetic | None = None
) -> Ended:
    """How the command ended in the sandbox; of one that we know nothing of, how Nix did."""
    killed = -ended["status"] if ended.get("status", 0) < 0 else None
    usage = outcome.usage
    if ended:
        usage = Usage(
            user_seconds=ended["user_seconds"],
            system_seconds=ended["system_seconds"],
            peak_memory=ended["peak_memory"],
        )
    return Ended(
        exit_status=128 + killed if killed else ended.get("status", status),
        signal=_signal(killed) if killed else outcome.signal,
        usage=usage,
        seconds=ended.get("seconds", outcome.seconds),
        interrupted=outcome.interrupted,
        processes=outcome.processes,
        halted=outcome.halted,
        hermetic=hermetic,
    )


def _signal(number: int) -> str:
    import signal  # a command that is killed is rare

    return signal.Signals(number).name


RUNNER: Runner = NixRunner()
