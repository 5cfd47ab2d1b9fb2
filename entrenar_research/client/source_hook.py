r"""What a traced Python program writes down of where its system calls come from: put before it as `sitecustomize`.

A copy of this file stands in a directory of its own, `hook/`, at the head of PYTHONPATH; what it writes goes to
`marks/` beside it. It installs an audit hook (https://peps.python.org/pep-0578/) that notes time, thread, event and
place in the code before each act that leads to system calls, takes itself off `sys.path`, and gives way to the
`sitecustomize` that would have been found without it. Whatever goes wrong here is kept from the program.

It imports only what every interpreter since 3.8 has built in: loading any other module would be seen in the trace. So
it writes marks with write(2) instead of into a map, one call each, which survives a kill as well. The file is kept
under a high number, so that those of the program stay what they are, and looked at before each write: a program that
closes everything may have given the number to a file of its own.

    L <number> <file> <line> <function> [<file> <line> <function> of the nearest frame outside the interpreter's own]
    M <ns since 1970> <thread> <event> <detail> <number>

One a line, fields divided by tabs; `\`, tab and newline within a field are `\\`, `\t`, `\n`.
"""

# Nothing may be imported here that is not built in, `__future__` included, and everything must run on Python 3.8:
# ruff: noqa: BLE001, S110, SIM905, SLF001, UP037
import _frozen_importlib
import _frozen_importlib_external
import posix
import sys
import time
from _thread import _local, get_native_id

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import FrameType
    from typing import Any

    Place = tuple[str, int, str]
    Places = tuple[Place, ...]

EVENTS = frozenset(
    "_thread.start_new_thread ctypes.dlopen fcntl.fcntl fcntl.flock fcntl.ioctl fcntl.lockf import mmap.__new__ open "
    "os.chdir os.chmod os.chown os.exec os.fork os.forkpty os.getxattr os.kill os.killpg os.link os.listdir "
    "os.listxattr os.lockf os.mkdir os.posix_spawn os.remove os.removexattr os.rename os.rmdir os.scandir "
    "os.setxattr os.spawn os.symlink os.system os.truncate os.utime resource.prlimit resource.setrlimit "
    "signal.pthread_kill socket.__new__ socket.bind socket.connect socket.getaddrinfo socket.gethostbyaddr "
    "socket.gethostbyname socket.gethostname socket.getnameinfo socket.sendmsg socket.sendto sqlite3.connect "
    "subprocess.Popen time.sleep".split()
)
_HIGH = (1000, 999, 998, 250, 249, 248)
_DEPTH = 100
_OURS = __file__
_HOOK = _OURS.rpartition("/")[0]
_OWN = tuple({prefix + "/lib" for prefix in (sys.prefix, sys.base_prefix, sys.exec_prefix) if prefix}) + ("<",)  # noqa: RUF005 - 3.8


class _Marks:
    """The file that this process writes its marks to: opened with the first one."""

    def __init__(self) -> None:
        self.forget()

    def forget(self) -> None:
        """The state of a process that has not written yet: `descriptor` is -1 then, and -2 when it cannot."""
        self.descriptor = -1
        self.identity = (0, 0)
        self.known: "dict[Places, int]" = {}
        self.threads = _local()

    def write(self, event: str, detail: str, places: "Places") -> None:
        """Notes one act."""
        moment = time.time_ns()
        try:
            thread = self.threads.number
        except AttributeError:
            thread = self.threads.number = get_native_id()
        if not self._ready():
            return
        number = self.known.get(places)
        text = ""
        if number is None:
            number = self.known[places] = len(self.known)
            text = f"L\t{number}\t" + "\t".join(_field(part) for place in places for part in place) + "\n"
        text += f"M\t{moment}\t{thread}\t{event}\t{_field(detail)}\t{number}\n"
        posix.write(self.descriptor, text.encode("utf-8", "surrogateescape"))

    def _ready(self) -> bool:
        if self.descriptor == -2:
            return False
        if self.descriptor >= 0:
            try:
                found = posix.fstat(self.descriptor)
                if (found.st_dev, found.st_ino) == self.identity:
                    return True
            except OSError:
                pass
        self.descriptor, self.known = -2, {}
        name = f"{_HOOK.rpartition('/')[0]}/marks/{posix.getpid()}-{time.time_ns()}"
        fresh = posix.O_WRONLY | posix.O_CREAT | posix.O_EXCL | posix.O_APPEND | posix.O_CLOEXEC
        descriptor = _moved(posix.open(name, fresh, 0o644))
        found = posix.fstat(descriptor)
        self.identity = (found.st_dev, found.st_ino)
        self.descriptor = descriptor
        return True


def _moved(low: int) -> int:
    """The same file under a high number that is free; where there is none, under the one it has."""
    for high in _HIGH:
        try:
            posix.fstat(high)
        except OSError:
            try:
                posix.dup2(low, high, False)
            except OSError:
                continue
            posix.close(low)
            return high
    return low


def _field(value: object) -> str:
    return str(value).replace("\\", "\\\\").replace("\t", "\\t").replace("\n", "\\n")


def _place(frame: "FrameType") -> "Place":
    code = frame.f_code
    return (code.co_filename, frame.f_lineno or 0, getattr(code, "co_qualname", code.co_name))


def _places(frame: "FrameType | None") -> "Places":
    """Where the code stands, and the nearest place around that outside of the interpreter's own library."""
    first: "Place | None" = None
    for _ in range(_DEPTH):
        if frame is None:
            break
        name = frame.f_code.co_filename
        if not name.startswith("<frozen importlib") and name != _OURS:
            if first is None:
                first = _place(frame)
            if not name.startswith(_OWN):
                found = _place(frame)
                return (first,) if found == first else (first, found)
        frame = frame.f_back
    return () if first is None else (first,)


def _install() -> None:
    marks, getframe, events = _Marks(), sys._getframe, EVENTS

    def hook(event: str, arguments: "tuple[Any, ...]") -> None:
        if event in events:
            try:
                places = _places(getframe(1))
                if places:
                    marks.write(event, arguments[0] if event == "import" else "", places)
            except Exception:
                pass

    posix.register_at_fork(after_in_child=marks.forget)
    sys.addaudithook(hook)


def _give_way() -> None:
    """Runs the `sitecustomize` that is next on the path; raises as its absence does where there is none."""
    sys.path[:] = [entry for entry in sys.path if entry != _HOOK]
    spec = _frozen_importlib_external.PathFinder.find_spec("sitecustomize")
    if spec is None or spec.loader is None:
        raise ImportError("No module named 'sitecustomize'", name="sitecustomize")
    module = _frozen_importlib.module_from_spec(spec)
    sys.modules["sitecustomize"] = module
    spec.loader.exec_module(module)


if __name__ == "sitecustomize":
    _install()
    _give_way()
