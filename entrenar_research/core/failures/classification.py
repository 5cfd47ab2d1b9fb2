"""From evidence to a failure: a code, its category, what happened and what to do about it (spec section 20).

The strongest evidence decides, in this order: a person or the tool stopped it; the tool itself found something
missing; the kernel says that it killed it for memory; a fatal signal; the exception that a client or a traceback
names; what another runtime says last; the exit status. What decided is always named in `evidence`.
"""

from __future__ import annotations

import re
import signal
from collections.abc import Callable, Iterable
from typing import Final

import msgspec

from entrenar_research.core.failures import exception_codes, runtime_errors, tracebacks
from entrenar_research.core.failures.codes import CODES
from entrenar_research.models.tracking import Failure

_SIGNALS: Final = {
    "SIGABRT": "ABORTED",
    "SIGBUS": "BUS_ERROR",
    "SIGFPE": "ARITHMETIC_FAULT",
    "SIGHUP": "TERMINATED",
    "SIGILL": "ILLEGAL_INSTRUCTION",
    "SIGINT": "CANCELLED",
    "SIGKILL": "KILLED",
    "SIGPIPE": "BROKEN_PIPE",
    "SIGQUIT": "TERMINATED",
    "SIGSEGV": "SEGFAULT",
    "SIGSYS": "CALL_REFUSED",
    "SIGTERM": "TERMINATED",
    "SIGXCPU": "CPU_TIME_LIMIT",
    "SIGXFSZ": "FILE_SIZE_LIMIT",
}
_INSTALLED = re.compile(r'File "[^"\n]*/(site-packages|dist-packages|python3\.\d+)/')
_HARDLY_ANY = 64 << 10
_STACK = 16_000
_SAID = 600
_OVER_MEMORY = ("WORKER_DIED", "KILLED", "EXIT_STATUS", "SUBPROCESS_FAILED")


class Evidence(msgspec.Struct, frozen=True, kw_only=True):
    """Everything that is known of an end. All of it is optional.

    `exception` is the full name of a type, `bases` what it descends from (nearest first), `stack` its traceback.
    `stderr` is the end of what the command wrote, `program` the first word of the command. `cgroup_kills` and
    `machine_kills` say by how much the kernel's counters of processes killed for memory rose meanwhile, in the
    command's own memory group and on the whole machine; `kernel` has what the kernel's log said of its processes.
    `free` is the space left on the study's disk in bytes. `interrupted` with `said`: the tool stopped it, and why;
    without: a person did. `found` is a code that the tool itself decided on, `said` its words. `hidden` maps
    directories to what is written instead of them, so that no record has absolute paths.
    """

    exception: str | None = None
    bases: tuple[str, ...] = ()
    message: str = ""
    errno: int | None = None
    stack: str | None = None
    exit_status: int | None = None
    signal: str | None = None
    interrupted: bool = False
    program: str | None = None
    stderr: str = ""
    cgroup_kills: int = 0
    machine_kills: int = 0
    kernel: tuple[str, ...] = ()
    free: int | None = None
    found: str | None = None
    said: str = ""
    hidden: tuple[tuple[str, str], ...] = ()


class _Cause(msgspec.Struct, frozen=True, kw_only=True):
    code: str
    diagnostic: str
    by: tuple[str, ...]
    exception: str | None = None
    stack: str | None = None


def classify(evidence: Evidence) -> Failure:
    """The failure that the evidence amounts to; `UNKNOWN` where there is none."""
    rules: tuple[Callable[[Evidence], _Cause | None], ...] = (
        _interrupted, _found, _signalled, _reported, _traced, _spoken, _exited,
    )  # fmt: skip
    found = next((cause for rule in rules if (cause := rule(evidence))), None)
    cause = found or _Cause(code="UNKNOWN", diagnostic=evidence.said or "nothing is known of how it ended", by=())
    cause = _starved(evidence, cause)
    known = CODES[cause.code]
    context = [f"exit status {evidence.exit_status}"] if evidence.exit_status and not evidence.signal else []
    return Failure(
        code=cause.code,
        category=known.category,
        diagnostic=_clean(cause.diagnostic, evidence)[:_SAID],
        remediation=known.remediation,
        exception=cause.exception,
        stack=_clean(cause.stack, evidence)[-_STACK:] if cause.stack else None,
        evidence=tuple(dict.fromkeys(_clean(words, evidence) for words in (*cause.by, *context, *_pressure(evidence)))),
    )


def _clean(text: str, evidence: Evidence) -> str:
    """The text without absolute paths of the study, the person's home and the packages' places."""
    for directory, instead in sorted(evidence.hidden, key=lambda item: -len(item[0])):
        text = text.replace(f"{directory}/", instead)
    return _INSTALLED.sub(r'File "\1/', text)


def _pressure(evidence: Evidence) -> Iterable[str]:
    """What the kernel counted, beside what decided."""
    if evidence.cgroup_kills:
        yield f"memory group: oom_kill rose by {evidence.cgroup_kills}"
    elif evidence.machine_kills:
        yield f"machine: oom_kill rose by {evidence.machine_kills}"
    yield from (f"kernel log: {words}" for words in evidence.kernel)
    if evidence.free is not None and evidence.free < _HARDLY_ANY:
        yield f"disk: {evidence.free} bytes free"


def _interrupted(evidence: Evidence) -> _Cause | None:
    if not evidence.interrupted:
        return None
    if evidence.said:
        return _Cause(code="CANCELLED", diagnostic=evidence.said, by=("stopped by entrenar-research",))
    return _Cause(code="CANCELLED", diagnostic="a person stopped it", by=("interrupted by a person",))


def _found(evidence: Evidence) -> _Cause | None:
    if evidence.found is None:
        return None
    number = evidence.errno
    if number is not None and exception_codes.ERRNOS.get(number) == "DISK_FULL":
        why = f"errno {number} ({runtime_errors.error_name(number)})"
        return _Cause(code="DISK_FULL", diagnostic=evidence.said, by=(why,))
    return _Cause(code=evidence.found, diagnostic=evidence.said, by=("found by entrenar-research",))


def _signal_name(evidence: Evidence) -> tuple[str, str] | None:
    """The signal that ended it, and how that is known; a shell gives 128 + n as its exit status."""
    if evidence.signal is not None:
        return evidence.signal, f"signal {evidence.signal}"
    status = evidence.exit_status or 0
    if not 128 < status < 128 + signal.NSIG:
        return None
    try:
        name = signal.Signals(status - 128).name
    except ValueError:
        return None
    return (name, f"exit status {status}, as a shell gives it for {name}") if name in _SIGNALS else None


def _signalled(evidence: Evidence) -> _Cause | None:
    ended = _signal_name(evidence)
    if ended is None:
        return None
    name, by = ended
    diagnostic = f"it was killed by {name}"
    if name == "SIGKILL" and _out_of_memory(evidence):
        return _Cause(code="OOM_HOST", diagnostic="the kernel killed it because memory ran out", by=(by,))
    if name == "SIGKILL" and evidence.machine_kills:
        diagnostic += "; the kernel killed for memory on this machine meanwhile, though not known to be this one"
    code = _SIGNALS.get(name, "SIGNAL")
    if name == "SIGBUS" and evidence.free is not None and evidence.free < _HARDLY_ANY:
        return _Cause(code="DISK_FULL", diagnostic=f"{diagnostic}: a mapped file found no space on the disk", by=(by,))
    crash = tracebacks.last(evidence.stderr)
    crash = crash if crash and crash.chain[0].exception == "Fatal Python error" else None
    spoken = runtime_errors.last_words(evidence.stderr) if name == "SIGABRT" else None
    if spoken is not None:
        words = f"{spoken.exception or spoken.runtime}: {spoken.message}".rstrip(": ")
        named = f"{spoken.runtime}'s last words"
        code = code if spoken.code == "PROGRAM_ERROR" else spoken.code
        return _Cause(code=code, diagnostic=f"{diagnostic}: {words}", by=(by, named), exception=spoken.exception)
    if crash is None:
        return _Cause(code=code, diagnostic=diagnostic, by=(by,))
    said = crash.chain[0].message.partition("\n")[0]
    return _Cause(code=code, diagnostic=f"{diagnostic} ({said})", by=(by, "faulthandler"), stack=crash.text)


def _out_of_memory(evidence: Evidence) -> bool:
    return bool(evidence.cgroup_kills) or any(words.startswith("out of memory: ") for words in evidence.kernel)


def _reported(evidence: Evidence) -> _Cause | None:
    """What the client wrote down as the exception left the run."""
    if evidence.exception is None:
        return None
    own = tracebacks.Raised(exception=evidence.exception, message=evidence.message)
    found = tracebacks.last(evidence.stack) if evidence.stack else None
    chain = (own, *(found.chain[1:] if found else ()))
    frames = found.chain[0].frames if found else ()
    chain = (msgspec.structs.replace(own, frames=frames), *chain[1:])
    return _by_exception(chain, evidence.stack, "", bases=evidence.bases, number=evidence.errno)


def _traced(evidence: Evidence) -> _Cause | None:
    """The last traceback on stderr, if it says why the command ended: Python ends with 1 after an exception."""
    found = tracebacks.last(evidence.stderr) if evidence.stderr else None
    if found is None or not (evidence.exit_status == 1 or found.final):
        return None
    if found.chain[0].exception == "Fatal Python error":
        return None
    where = ", in a thread or worker" if found.place == "worker" else ""
    return _by_exception(found.chain, found.text, f"traceback on stderr{where}")


def _by_exception(
    chain: tuple[tracebacks.Raised, ...],
    stack: str | None,
    source: str,
    *,
    bases: tuple[str, ...] = (),
    number: int | None = None,
) -> _Cause:
    """The code of the exception, or else that of its parts and causes, nearest first."""
    own = chain[0]
    by = (source,) if source else ()
    for place, item in enumerate(chain):
        ancestors, known = (bases, number) if place == 0 else ((), None)
        decided = exception_codes.decide(item.exception, item.message, ancestors=ancestors, number=known)
        if decided is None:
            continue
        code, words = decided.code, decided.by
        if place:
            how = {"cause": "its cause: ", "context": "raised while handling: "}.get(item.link, "a part of it: ")
            words = f"{how}{words}"
        if code == "FILE_NOT_FOUND" and _starting(item.frames):
            code, words = "TOOL_MISSING", f"{words}, raised by subprocess as it started a program"
        diagnostic = own.headline if place == 0 else f"{own.headline} (from {item.headline})"
        return _Cause(code=code, diagnostic=diagnostic, by=(words, *by), exception=own.exception, stack=stack)
    words = f"exception {own.exception}, which says nothing more definite"
    return _Cause(code="PYTHON_ERROR", diagnostic=own.headline, by=(words, *by), exception=own.exception, stack=stack)


def _starting(frames: tuple[tracebacks.Frame, ...]) -> bool:
    return bool(frames) and re.search(r"[/\\]subprocess\.py$", frames[-1].file) is not None


def _spoken(evidence: Evidence) -> _Cause | None:
    """What a runtime other than Python, a shell or a parser of options said last."""
    missing = runtime_errors.missing_program(evidence.stderr) if evidence.exit_status == 127 else None
    if missing is not None:
        return _Cause(code="TOOL_MISSING", diagnostic=f"command not found: {missing}", by=("the shell's last words",))
    refused = runtime_errors.refused_program(evidence.stderr) if evidence.exit_status == 126 else None
    if refused is not None:
        said = f"cannot be executed: {refused}"
        return _Cause(code="NOT_EXECUTABLE", diagnostic=said, by=("the shell's last words",))
    complaint = runtime_errors.usage_error(evidence.stderr) if evidence.exit_status == 2 else None
    if complaint is not None:
        return _Cause(code="CONFIG_INVALID", diagnostic=complaint, by=("a usage error on stderr",))
    words = runtime_errors.last_words(evidence.stderr) if evidence.exit_status else None
    if words is None:
        return None
    said = f"{words.exception or words.runtime}: {words.message}".rstrip(": ")
    return _Cause(code=words.code, diagnostic=said, by=(f"{words.runtime}'s last words",), exception=words.exception)


def _exited(evidence: Evidence) -> _Cause | None:
    status = evidence.exit_status
    if not status:
        return None
    code, said = "EXIT_STATUS", f"it ended with exit status {status}"
    if status == 127:
        code, said = "TOOL_MISSING", "a program that it starts was not found (exit status 127)"
    elif status == 126:
        code, said = "NOT_EXECUTABLE", "a program that it starts cannot be executed (exit status 126)"
    elif status == 124 and (evidence.program or "").rpartition("/")[2] == "timeout":
        code, said = "TIMEOUT", "timeout(1) stopped it (exit status 124)"
    elif evidence.free is not None and evidence.free < _HARDLY_ANY:
        code, said = "DISK_FULL", f"{said}, with no space left on the disk"
    return _Cause(code=code, diagnostic=said, by=())


def _starved(evidence: Evidence, cause: _Cause) -> _Cause:
    """A worker that the kernel killed for memory explains a failure that says no more than that something died."""
    named = any(words.startswith("out of memory: ") for words in evidence.kernel)
    died = cause.code in _OVER_MEMORY if named else cause.code in ("WORKER_DIED", "KILLED") and evidence.cgroup_kills
    if not died:
        return cause
    said = f"{cause.diagnostic}; the kernel killed a process of it because memory ran out"
    return msgspec.structs.replace(cause, code="OOM_HOST", diagnostic=said)
