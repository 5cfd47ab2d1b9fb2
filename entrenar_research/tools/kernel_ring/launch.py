"""The program that starts a command, traces it into a log and ends as the command ended.

It is started by `command_line` of this package. What it is given of streams, environment, directory, signals and limits
goes on to the command as it came: its own descriptors are closed on exec, and it undoes what Python does to signals and
to the environment at its start.
"""

from __future__ import annotations

import errno
import gc
import os
import resource
import time

from entrenar_research.tools.kernel_ring import libc, log, numbers, seccomp, signatures
from entrenar_research.tools.kernel_ring.stops import Tracing

TYPE_CHECKING = False
if TYPE_CHECKING:
    import signal
    from collections.abc import Sequence
    from typing import Final

    from entrenar_research.tools.kernel_ring.stops import Sink
else:
    import _signal as signal  # a third of the launcher's start would go into the enumerations of `signal`

CANNOT_TRACE: Final = 125
"""The status when tracing is impossible: the command was not started."""
_CANNOT_EXECUTE: Final = 126
_NOT_FOUND: Final = 127
# What reaches the whole group is the command's to act upon; the trace goes on until the command has ended.
_LEFT_TO_THE_COMMAND: Final = (
    signal.SIGINT, signal.SIGQUIT, signal.SIGTERM, signal.SIGHUP,
    signal.SIGTSTP, signal.SIGTTIN, signal.SIGTTOU, signal.SIGPIPE, signal.SIGUSR1, signal.SIGUSR2,
)  # fmt: skip
# What Python ignores from its start on.
_OF_PYTHON: Final = (signal.SIGPIPE, signal.SIGXFSZ)
_SAMPLES: Final = 5


def launch(level: str, known: str, path: str, words: Sequence[str]) -> None:
    """Runs the command `words` traced at `level` into the log `path`. It does not return.

    `known` are the numbers of the events for `full`, `ENTER,EXIT`, or nothing where they are to be looked up. The
    process ends with the command's status or by its signal; with 125 if nothing can be traced, 126 if the command
    cannot be executed, 127 if it is not found.
    """
    gc.disable()  # nothing here refers to itself
    _fill_closed_streams()
    environment = _environment()
    program = _find(os.fsencode(words[0]), environment)
    if program is None:
        _give_up(_NOT_FOUND, f"{words[0]}: no such command")
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, _LEFT_TO_THE_COMMAND)
    try:
        launcher = _Launcher(level, tuple(map(int, known.split(","))) if known else (), path)
        status = launcher.run(program, [os.fsencode(word) for word in words], environment, before)
    except OSError as error:
        _give_up(CANNOT_TRACE, f"cannot trace: {error.strerror or error}")
        return
    _end_as(status)


def _give_up(status: int, message: str) -> None:
    os.write(2, f"entrenar-research: {message}\n".encode("utf-8", "surrogateescape"))
    os._exit(status)


class _Launcher:
    """One command's way from its start to its end."""

    def __init__(self, level: str, known: tuple[int, ...], path: str) -> None:
        self.machine = os.uname().machine
        if self.machine not in numbers.AUDIT_ARCHITECTURES:
            raise OSError(errno.ENOSYS, f"no table of system calls for {self.machine}")
        self.level = level
        self.known = known
        self.descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o666)

    def run(self, program: bytes, words: list[bytes], environment: dict[bytes, bytes], mask: set[int]) -> int:
        """Starts and follows the command: how it ended (wait(2))."""
        waiting, starting = os.pipe()
        failing, failed = os.pipe()
        root = os.fork()
        if root == 0:
            os.close(starting)
            self._become(program, words, environment, (waiting, failed, mask))
        os.close(waiting)
        os.close(failed)
        for number in _LEFT_TO_THE_COMMAND:
            signal.signal(number, signal.SIG_IGN)
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)
        libc.seize(root)
        reader = None
        if self.level == "full":
            # It takes time to load, and `observe` has no use for it.
            from entrenar_research.tools.kernel_ring.reader import Reader

            reader = Reader(root, self.known, self.machine, self.descriptor)
        names = numbers.names(self.machine)
        plans = signatures.plans(names, self.level)
        events = reader.ready() if reader is not None else (0, 0)
        sink: Sink = reader or log.Writer(self.descriptor)
        sink.write(log.HEAD, log.head(self.machine, self.level, _offset(), events, root))
        tracing = Tracing(sink, plans, names, self.machine, everything=reader is not None)
        os.write(starting, b".")
        os.close(starting)
        status = tracing.follow(root, reader.pid if reader is not None else None)
        sink.write(log.END, log.end(0))
        if reader is not None:
            reader.close()
        refused = os.read(failing, 16)
        if refused:
            reason = os.strerror(int(refused))
            _give_up(_CANNOT_EXECUTE, f"{os.fsdecode(words[0])}: cannot be executed: {reason}")
        return status

    def _become(
        self,
        program: bytes,
        words: list[bytes],
        environment: dict[bytes, bytes],
        ends: tuple[int, int, set[int]],
    ) -> None:
        """What the child does: waits until it is traced, then becomes the command.

        Parent and child both work out at what the filter stops, each while the other is at it.
        """
        waiting, failed, mask = ends
        plans = signatures.plans(numbers.names(self.machine), self.level)
        stopping = seccomp.program(plans, self.machine)
        if not os.read(waiting, 1):
            os._exit(CANNOT_TRACE)
        try:
            if self.level == "full":
                libc.fix_addresses()
            for number in _OF_PYTHON:
                signal.signal(number, signal.SIG_DFL)
            signal.pthread_sigmask(signal.SIG_SETMASK, mask)
            libc.install_filter(stopping, self.machine)
            os.execve(program, words, environment)  # noqa: S606 - this is what a launcher is for
        except OSError as error:
            os.write(failed, b"%d" % (error.errno or errno.EIO))
        os._exit(_CANNOT_EXECUTE)


def _fill_closed_streams() -> None:
    """Keeps our own files off the numbers of streams that were closed; the command finds them closed."""
    while (number := os.open(os.devnull, os.O_RDWR)) <= 2:
        pass
    os.close(number)


def _environment() -> dict[bytes, bytes]:
    """The environment as it was given: Python sets LC_CTYPE in its own where no language is chosen (PEP 538)."""
    with open("/proc/self/environ", "rb") as file:
        pairs = [entry.partition(b"=") for entry in file.read().split(b"\0") if b"=" in entry]
    return {name: value for name, _, value in pairs if name}


def _find(name: bytes, environment: dict[bytes, bytes]) -> bytes | None:
    """The file of a command, looked for along PATH as a shell does; None if there is none."""
    if b"/" in name:
        return name if os.path.exists(name) else None
    for directory in environment.get(b"PATH", os.fsencode(os.defpath)).split(b":"):
        path = os.path.join(directory or b".", name)
        if os.path.isfile(path) and os.access(path, os.X_OK):  # noqa: PTH113 - bytes
            return path
    return None


def _offset() -> int:
    """Nanoseconds from the clock of the records to the epoch: the closest of a few samples."""
    found = []
    for _ in range(_SAMPLES):
        before, epoch, after = time.monotonic_ns(), time.time_ns(), time.monotonic_ns()
        found.append((after - before, epoch - (before + after) // 2))
    return min(found)[1]


def _end_as(status: int) -> None:
    """Ends this process as the command ended, without a second core file."""
    if os.WIFSIGNALED(status):
        number = os.WTERMSIG(status)
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        if number not in (signal.SIGKILL, signal.SIGSTOP):
            signal.signal(number, signal.SIG_DFL)
            signal.pthread_sigmask(signal.SIG_UNBLOCK, [number])
        os.kill(os.getpid(), number)
    os._exit(os.WEXITSTATUS(status))
