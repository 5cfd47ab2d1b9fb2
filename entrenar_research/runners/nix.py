"""The runner nix: an experiment built as a derivation, from what is declared and the toolchain of the lock alone."""

from __future__ import annotations

import os
import re
import shutil
import signal
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Final

import msgspec

from entrenar_research.core import digests
from entrenar_research.core.nix import closure_lock, sandbox, store_paths, strings
from entrenar_research.errors import MissingToolError, ToolError, UsageError
from entrenar_research.models.hermetic import HermeticJobs
from entrenar_research.models.proof import Hermetic, StorePath
from entrenar_research.models.run import Usage
from entrenar_research.runners.port import Ended, Job, Runner, Sealed
from entrenar_research.store import closure_file, files
from entrenar_research.tools import execution, nix, processor

FILES: Final = "nix"
_KEPT: Final = re.compile(r"""^note: keeping build directory ['"](.+)['"]$""", re.MULTILINE)
"""What Nix says at its end. The last of these is its own: before that, whoever it builds for is heard as well."""
_FAILED: Final = re.compile(
    r"(?:builder for|Cannot build) '(?P<what>[^']+)'(?:\.\s+Reason: builder)? failed "
    r"(?:with exit code|due to signal) (?P<number>\d+)"
)
"""In the words of Nix until 2.30, and of later ones."""
_LOG_BYTES: Final = 1 << 20
_NO_SANDBOX: Final = re.compile(
    r"setgroups failed|unable to start build process|mounting|unshare|namespace", re.IGNORECASE
)


class _Told(msgspec.Struct, frozen=True, kw_only=True):
    """How the command ended, as the builder tells it: nothing of one that could not be started.

    The command may have written it. `refused` says why its result cannot be taken out.
    """

    status: Annotated[int, msgspec.Meta(gt=-65, lt=256)] | None = None
    seconds: Annotated[float, msgspec.Meta(ge=0)] = 0.0
    user_seconds: Annotated[float, msgspec.Meta(ge=0)] = 0.0
    system_seconds: Annotated[float, msgspec.Meta(ge=0)] = 0.0
    peak_memory: Annotated[int, msgspec.Meta(ge=0)] = 0
    refused: str | None = None


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
        self._toolchain(tool, job.directory, sealed)
        self._seed(tool, job.directory, sealed)
        said = sealed.scratch / "nix.log"
        outcome = self._build(tool, job, sealed, said)
        text = _end(said)
        if outcome.exit_status == 0:
            toolchain, out, evidence = (sealed.scratch / "nix.out").read_text(encoding="utf-8").split()
            ended = _take(tool.physical(evidence), job, sealed)
            _copy(tool.physical(out), sealed.result)
            return _ended(outcome, ended, hermetic=_described(tool, job.directory, toolchain, out))
        kept = _kept(text, None if outcome.signal is None else sealed.scratch)
        ended = _take(kept, job, sealed)
        if kept is not None:
            shutil.rmtree(kept.parent.parent if kept.parent.name == "build" else kept.parent, ignore_errors=True)
        if ended.refused is not None and ended.status == 0:
            raise UsageError(f"{ended.refused}; what the sandbox cannot give away is no result")
        if not (outcome.interrupted or outcome.halted or ended.status is not None):
            _explain(text, sealed, outcome.signal)
        if ended.status == 0 and not sealed.job.outputs:  # nothing was missing: the command did not say how it ended
            ended = _Told()
        return _ended(outcome, ended, status=_status(text, outcome.exit_status))

    def _toolchain(self, tool: nix.Nix, root: Path, sealed: Sealed) -> None:
        """Builds what the lock names, unless that was done before and is there still: then Nix itself looks again."""
        memo = sealed.state / "nix" / "toolchain"
        lock = digests.sha256(files.read_text(root / closure_lock.FILE).encode())
        known = memo.read_text(encoding="utf-8").split() if memo.is_file() else []
        if known[:1] == [lock] and tool.physical(known[-1]).exists():
            return
        done = tool.run(
            ["nix-build", str(root / FILES), "--no-out-link", "--keep-going", "--quiet", "-A", "toolchain.environment"],
            check=False,
            timeout=None,
        )
        if done.status == 0:
            files.write_atomically(memo, f"{lock} {done.text}\n".encode())
        else:
            said = done.stderr.decode("utf-8", "replace")
            _explain(said, sealed, _signal(-done.status) if done.status < 0 else None)

    def _seed(self, tool: nix.Nix, root: Path, sealed: Sealed) -> None:
        """Puts the data of the job into the store, unless it is there: the derivation knows it by its digest."""
        for item in sealed.job.data:
            if not tool.physical(store_paths.data_path(item)).exists():
                add = tool.add_file if item.nar is None else tool.add_directory
                add(item.store, root / item.path)

    def _build(self, tool: nix.Nix, job: Job, sealed: Sealed, said: Path) -> execution.Outcome:
        """Builds the toolchain, unless it is there, the result and its evidence: Nix prints these three paths."""
        written = sealed.scratch / "jobs.json"
        jobs = HermeticJobs(schema=1, experiments={sealed.name: sealed.job})
        files.write_atomically(written, msgspec.json.encode(jobs))
        attribute = f"traced.{sealed.level}.{sealed.name}"
        argv = tool.command(
            [
                "nix-build", str(job.directory / FILES), "--no-out-link", "--keep-failed", "--keep-going", "--quiet",
                "--arg", "jobs", f"builtins.fromJSON (builtins.readFile {strings.literal(str(written))})",
                "--argstr", "run", sealed.run_id, "--argstr", "parent", sealed.parent or "",
                "-A", "toolchain.environment", "-A", f"{attribute}.out", "-A", f"{attribute}.trace",
            ]
        )  # fmt: skip
        return execution.execute(
            argv,
            cwd=job.directory,
            env={**tool.environment(), "TMPDIR": str(sealed.scratch)},
            stdout=sealed.scratch / "nix.out",
            stderr=said,
            echo="stderr" if job.echo else False,  # what Nix prints are the paths
            halt=job.halt,
        )


def _end(log: Path) -> str:
    """The end of what Nix said, and with it the command, which may say anything, and any amount of it."""
    with log.open("rb") as stream:
        stream.seek(max(0, log.stat().st_size - _LOG_BYTES))
        return stream.read().decode("utf-8", "replace")


def _kept(text: str, below: Path | None) -> Path | None:
    """The evidence of a build that failed: Nix keeps its directory.

    Of a Nix that was killed the last word may be the command's: then only a place `below` that directory is taken.
    """
    found = _KEPT.findall(text)
    if not found or not found[-1].removesuffix("/build").rpartition("/")[2].startswith("nix-"):
        return None
    if below is not None and not Path(found[-1]).resolve().is_relative_to(below.resolve()):
        return None
    for place in (Path(found[-1]), Path(found[-1]) / "build"):
        if (place / "evidence").is_dir() and not (place / "evidence").is_symlink():
            return place / "evidence"
    return None


def _take(evidence: Path | None, job: Job, sealed: Sealed) -> _Told:
    """Brings streams, trace and what was logged to their places: how the command ended, as far as is known.

    Of a build that failed the command may have put links there, which would be followed here: those are left out.
    """
    for stream in (job.stdout, job.stderr):
        stream.write_bytes(b"")
    if evidence is None:
        return _Told()
    for name, target in (("stdout.txt", job.stdout), ("stderr.txt", job.stderr)):
        if _is_file(evidence / name):
            shutil.copyfile(evidence / name, target)
    if _is_file(evidence / "trace.log"):
        text = (evidence / "trace.log").read_bytes()
        sealed.log.write_bytes(_at_home(text, job.directory, sealed))
    # Of a build that was stopped, what was logged lies where the command put it.
    for logged in (evidence / "run", evidence.parent / "study" / "runs" / sealed.run_id):
        if logged.is_dir() and _is_plain(logged):
            _copy(logged, sealed.run, links=False)
            break
    if not _is_file(evidence / "ended.json"):
        return _Told()
    try:
        return msgspec.json.decode((evidence / "ended.json").read_bytes(), type=_Told)
    except (OSError, msgspec.MsgspecError, UnicodeDecodeError):
        return _Told()


def _is_file(path: Path) -> bool:
    return path.is_file() and not path.is_symlink()


def _is_plain(path: Path) -> bool:
    return (path.is_file() or path.is_dir()) and not path.is_symlink()


def _at_home(log: bytes, root: Path, sealed: Sealed) -> bytes:
    """The log with the places of the sandbox as the study has them."""
    places = {
        f"{sandbox.STUDY}/{sealed.job.result}": sealed.result,
        f"{sandbox.STUDY}/runs/{sealed.run_id}": sealed.run,
        sandbox.STUDY: root,
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


def _copy(source: Path, target: Path, *, links: bool = True) -> None:
    """The content of a directory, writable and as new as our own files are.

    Links stay as they are; without `links` only files and directories are taken.
    """

    def copied(file: str, to: str) -> str:
        shutil.copyfile(file, to)
        if os.access(file, os.X_OK):
            Path(to).chmod(0o755)
        return to

    def odd(directory: str, names: list[str]) -> list[str]:
        plain = {name for name in names if links or _is_plain(Path(directory, name))}
        return [name for name in names if name not in plain]

    with files.refusals(f"cannot copy what was built to {target.name}"):
        shutil.copytree(source, target, symlinks=True, dirs_exist_ok=True, copy_function=copied, ignore=odd)
        for directory, _, _ in os.walk(target):
            Path(directory).chmod(0o755)
            os.utime(directory)


def _described(tool: nix.Nix, root: Path, toolchain: str, out: str) -> Hermetic:
    lock = closure_file.read(root)
    known = tool.info([toolchain, out], recursive=True)
    return Hermetic(
        system=lock.system,
        derivation=known[out]["deriver"],
        out_path=out,
        nar_hash=nix.hex_digest(known[out]["narHash"]),
        nix_version=nix.version() or "",
        settings=dict(tool.settings()),
        pins=lock.pins,
        closure=tuple(
            StorePath(path=path, hash=nix.hex_digest(known[path]["narHash"]), size=known[path]["narSize"])
            for path in sorted(_closure(known, toolchain))
        ),
    )


def _closure(known: Mapping[str, Any], path: str) -> set[str]:
    """A store path and all that it refers to, and so on."""
    found, waiting = {path}, [path]
    while waiting:
        new = set(known[waiting.pop()]["references"]) - found
        found |= new
        waiting += new
    return found


def _status(text: str, otherwise: int) -> int:
    """How Nix says that the builder ended: its exit status, -n if signal n killed it; it did not end well."""
    found = _failed(text)
    if found is None or not 0 < int(found["number"]) < 256:
        return otherwise
    return int(found["number"]) * (-1 if "due to signal" in found[0] else 1)


def _failed(text: str) -> re.Match[str] | None:
    """The last that Nix says of a failed builder: before that the command may say the same."""
    return next(iter([*_FAILED.finditer(text)][::-1]), None)


def _explain(text: str, sealed: Sealed, killed: str | None) -> None:
    """Says why nothing was executed, where Nix did not come to it; `killed` is the signal that ended Nix itself."""
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
    failed = _failed(text)
    if failed is None and killed is not None:
        hint = "nothing is lost: run the same command again"
        raise ToolError(f"Nix was killed by {killed} while it built", hint=hint)
    if failed is None:
        raise ToolError(f"Nix cannot build: {last}", hint=nix.place_hint(last))
    if not failed["what"].endswith(f"-{sealed.name}-{sealed.level}.drv"):
        hint = "see what it says with `nix-build nix -A toolchain.environment`"
        raise ToolError(f"Nix cannot build the toolchain: {last}", hint=hint)


def _ended(outcome: execution.Outcome, ended: _Told, *, status: int = 0, hermetic: Hermetic | None = None) -> Ended:
    """How the command ended in the sandbox; of one that we know nothing of, how the builder or Nix did."""
    found = status if ended.status is None else ended.status
    killed = -found if found < 0 else None
    usage = outcome.usage
    if ended.status is not None:
        usage = Usage(
            user_seconds=ended.user_seconds, system_seconds=ended.system_seconds, peak_memory=ended.peak_memory
        )
    return Ended(
        exit_status=128 + killed if killed else found,
        signal=_signal(killed) if killed else outcome.signal,
        usage=usage,
        seconds=outcome.seconds if ended.status is None else ended.seconds,
        interrupted=outcome.interrupted,
        processes=outcome.processes,
        halted=outcome.halted,
        hermetic=hermetic,
    )


def _signal(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:  # a real-time signal
        return f"signal {number}"


RUNNER: Runner = NixRunner()
