r"""What a rebuilt Python program gets as `sitecustomize`: it holds still or varies one thing, and notes who asks.

A copy of this file stands in a directory of its own at the head of PYTHONPATH. `ENTRENAR_REPRODUCE` has the settings as
JSON: `clock` (`hold`, or seconds to add), `random` (`hold`), `order` (`reverse`, `mixed`), `threads` (`hold`), and
`notes`, a file for lines `<what>\t<file>:<line>`: where in the study's own code a program asked for time, randomness, a
listing, the host name, a temporary name, a thread. It then gives way to the `sitecustomize` that would have been found
without it.

What programs in C ask the system for is out of its reach; so is a Python that is started with -I, -E or -S.
"""

# It stands alone and runs on every Python since 3.8:
# ruff: noqa: PTH100, PTH120, PYI034, SLF001, UP037, UP045

import importlib.machinery
import importlib.util
import json
import os
import sys
import time
import zlib

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from types import FrameType
    from typing import Any, Optional

VARIABLE = "ENTRENAR_REPRODUCE"
SETTINGS = json.loads(os.environ.get(VARIABLE) or "{}")
_STUDY = os.environ.get("ENTRENAR_STUDY", "\0") + os.sep
_EPOCH = 1_000_000_000.0
_TICK = 0.001
ON_IMPORT = " on import"
_known: "set[tuple[str, str]]" = set()


def note(what: str) -> None:
    """Writes down the nearest line of the study's own code that this is called from, each once.

    What happens while a module is imported is the module's own affair.
    """
    frame: "Optional[FrameType]" = sys._getframe(1)
    place = "-"
    while frame is not None:
        name = frame.f_code.co_filename
        if name.startswith("<frozen importlib") and not what.endswith(ON_IMPORT):
            what += ON_IMPORT
        if what == "random" and name.endswith("/tempfile.py"):
            what = "temporary"
        if name in ("<string>", "<stdin>"):
            place = f"{name}:{frame.f_lineno}"
            break
        if not name.startswith("<") and os.path.abspath(name).startswith(_STUDY):
            place = f"{os.path.abspath(name)[len(_STUDY) :]}:{frame.f_lineno}"
            break
        frame = frame.f_back
    write_down(what, place)


def write_down(what: str, place: str) -> None:
    """One line of the notes, each once."""
    if (what, place) not in _known and SETTINGS.get("notes"):
        _known.add((what, place))
        descriptor = os.open(SETTINGS["notes"], os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        os.write(descriptor, f"{what}\t{place}\n".encode("utf-8", "surrogateescape"))
        os.close(descriptor)


def noted(what: str, function: "Callable[..., Any]") -> "Callable[..., Any]":
    """The function, with a note of who calls it."""

    def call(*args: "Any", **named: "Any") -> "Any":
        note(what)
        return function(*args, **named)

    call.__name__, call.__doc__ = getattr(function, "__name__", what), getattr(function, "__doc__", None)
    return call


class Clock:
    """A wall clock that counts how often it is asked (`hold`), or is some seconds ahead."""

    def __init__(self, setting: "str | None") -> None:
        self.held = setting == "hold"
        self.ahead = float(setting) if setting and not self.held else 0.0
        self.now = _EPOCH
        self.real = time.time
        self.slept = time.sleep

    def time(self) -> float:
        """Seconds since 1970."""
        note("clock")
        return self.tick() if self.held else self.real() + self.ahead

    def tick(self) -> float:
        """The next moment of the clock that is held."""
        self.now += _TICK
        return self.now

    def sleep(self, seconds: float) -> None:
        """Sleeping takes the clock on as well."""
        self.now += seconds
        self.slept(seconds)

    def install(self) -> None:
        """Puts it in the place of the clocks of `time` and `datetime`."""
        local, universal, formatted, ascii_time = time.localtime, time.gmtime, time.strftime, time.asctime
        time.time = self.time
        time.time_ns = lambda: int(self.time() * 1e9)
        time.localtime = lambda secs=None: local(self.time() if secs is None else secs)
        time.gmtime = lambda secs=None: universal(self.time() if secs is None else secs)
        time.ctime = lambda secs=None: ascii_time(local(self.time() if secs is None else secs))
        time.asctime = lambda *t: ascii_time(*(t or (time.localtime(),)))
        time.strftime = lambda form, *t: formatted(form, *(t or (time.localtime(),)))
        for name in ("perf_counter", "process_time", "thread_time"):
            own, own_ns = getattr(time, name), getattr(time, f"{name}_ns")
            setattr(time, name, self._ticking(own, 1) if self.held else noted("clock", own))
            setattr(time, f"{name}_ns", self._ticking(own_ns, 10**9) if self.held else noted("clock", own_ns))
        # Left as they go, for deadlines are waited for by them.
        time.monotonic = noted("clock", time.monotonic)
        time.monotonic_ns = noted("clock", time.monotonic_ns)
        if self.held:
            time.sleep = self.sleep  # type: ignore[assignment]
        self._dates()

    def _ticking(self, function: "Callable[[], Any]", factor: int) -> "Callable[[], Any]":
        def ticks() -> "Any":
            note("clock")
            return type(function())((self.tick() - _EPOCH) * factor)

        return ticks

    def _dates(self) -> None:
        import datetime

        clock: Clock = self
        real: Any = datetime.datetime
        date: Any = datetime.date

        class _Same(type):
            def __instancecheck__(cls, item: "Any") -> bool:
                return isinstance(item, cls.__mro__[1])

            def __subclasscheck__(cls, item: "Any") -> bool:
                return issubclass(item, cls.__mro__[1])

        class _DateTime(real, metaclass=_Same):  # type: ignore[misc]
            @classmethod
            def now(cls, tz: "Any" = None) -> "Any":
                return real.fromtimestamp(clock.time(), tz)

            @classmethod
            def utcnow(cls) -> "Any":
                return real.utcfromtimestamp(clock.time())

            @classmethod
            def today(cls) -> "Any":
                return real.fromtimestamp(clock.time())

        class _Date(date, metaclass=_Same):  # type: ignore[misc]
            @classmethod
            def today(cls) -> "Any":
                return date.fromtimestamp(clock.time())

        for ours, theirs in ((_DateTime, "datetime"), (_Date, "date")):
            ours.__module__, ours.__name__, ours.__qualname__ = "datetime", theirs, theirs
        datetime.datetime, datetime.date = _DateTime, _Date  # type: ignore[misc]


class Entropy:
    """Random bytes: the system's, or with `hold` a stream that is always the same."""

    def __init__(self, setting: "str | None") -> None:
        self.held = setting == "hold"
        self.real = os.urandom
        self.count = 0

    def bytes(self, size: int) -> bytes:
        """As os.urandom has them."""
        note("random")
        if not self.held:
            return self.real(size)
        import hashlib

        found = b""
        while len(found) < size:
            found += hashlib.sha256(b"%d" % self.count).digest()
            self.count += 1
        return found[:size]

    def install(self) -> None:
        """Puts it in the place of os.urandom, and of seeds that nobody gave."""
        os.urandom = self.bytes
        if hasattr(os, "getrandom"):
            os.getrandom = lambda size, flags=0: self.bytes(size)
        import random

        entropy, seed = self, random.Random.seed
        random._urandom = self.bytes  # type: ignore[attr-defined]

        def seeded(generator: "Any", a: "Any" = None, version: int = 2) -> None:
            if a is None and not isinstance(generator, random.SystemRandom):
                note("random")
                a = int.from_bytes(entropy.bytes(16), "big") if entropy.held else None
            seed(generator, a, version)

        random.Random.seed = seeded  # type: ignore[assignment, method-assign]
        self._module(random)

    def _module(self, random: "Any") -> None:
        """The generator that the functions of `random` share: unseeded until somebody seeds it."""
        shared, given = random._inst, [False]
        if self.held:
            shared.seed(0)

        def seed(a: "Any" = None, version: int = 2) -> None:
            given[0] = a is not None
            shared.seed(a, version)

        def drawing(function: "Callable[..., Any]") -> "Callable[..., Any]":
            def draw(*args: "Any", **named: "Any") -> "Any":
                if not given[0]:
                    note("random")
                return function(*args, **named)

            return draw

        for name in random.__all__:
            function = getattr(random, name)
            if getattr(function, "__self__", None) is shared and name not in ("seed", "getstate", "setstate"):
                setattr(random, name, drawing(function))
        random.seed = seed


class _Scanned:
    """What os.scandir gives, in an order of ours."""

    def __init__(self, entries: "list[Any]") -> None:
        self._entries = iter(entries)

    def __iter__(self) -> "_Scanned":
        return self

    def __next__(self) -> "Any":
        return next(self._entries)

    def __enter__(self) -> "_Scanned":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Nothing is open."""
        self._entries = iter(())


def listings(setting: "str | None") -> None:
    """Directories in another order than the file system has them in."""
    listdir, scandir = os.listdir, os.scandir

    def arranged(items: "list[Any]", key: "Callable[[Any], Any]") -> "list[Any]":
        if setting == "reverse":
            return sorted(items, key=key, reverse=True)
        if setting == "mixed":
            return sorted(items, key=lambda item: zlib.crc32(os.fsencode(key(item))))
        return items

    def listed(path: "Any" = None) -> "list[Any]":
        note("order")
        return arranged(listdir(path), lambda name: name)

    def scanned(path: "Any" = None) -> "Any":
        note("order")
        if setting is None:
            return scandir(path)
        with scandir(path) as entries:
            return _Scanned(arranged(list(entries), lambda entry: entry.name))

    os.listdir, os.scandir = listed, scanned


def threads(setting: "str | None") -> None:
    """Each thread runs until it ends or waits for a second, before the next begins; pools have one worker."""
    import threading

    start = threading.Thread.start

    def started(thread: "Any") -> None:
        note("threads")
        start(thread)
        if setting == "hold" and not thread.daemon:
            thread.join(1)

    threading.Thread.start = started  # type: ignore[assignment, method-assign]
    if setting != "hold":
        return
    sys.setswitchinterval(100)
    from concurrent.futures import ThreadPoolExecutor

    begin = ThreadPoolExecutor.__init__

    def alone(pool: "Any", _: "Any" = None, *args: "Any", **named: "Any") -> None:
        named.pop("max_workers", None)
        begin(pool, 1, *args, **named)

    ThreadPoolExecutor.__init__ = alone  # type: ignore[assignment, method-assign]


def names() -> None:
    """Notes who asks for the host name and the process id, and who reads random bytes from a device."""

    def opened(event: str, arguments: "Any") -> None:
        if event == "open" and arguments[0] in ("/dev/urandom", "/dev/random"):
            note("random")

    sys.addaudithook(opened)
    os.uname = noted("host", os.uname)
    os.getpid = noted("process", os.getpid)
    import socket

    socket.gethostname = noted("host", socket.gethostname)
    socket.getfqdn = noted("host", socket.getfqdn)


def give_way() -> None:
    """Runs the `sitecustomize` that this one hides; raises as its absence does where there is none."""
    here = os.path.dirname(os.path.abspath(__file__))
    sys.path[:] = [item for item in sys.path if os.path.abspath(item) != here]
    spec = importlib.machinery.PathFinder.find_spec("sitecustomize")
    if spec is None or spec.loader is None:
        raise ImportError("No module named 'sitecustomize'", name="sitecustomize")
    module = importlib.util.module_from_spec(spec)
    sys.modules["sitecustomize"] = module
    spec.loader.exec_module(module)


def install() -> None:
    """Everything that the settings ask for; with `notes`, everything is at least watched."""
    write_down("loaded", "-")
    watched = bool(SETTINGS.get("notes"))
    every: "tuple[tuple[str, Callable[[], None]], ...]" = (
        ("order", lambda: listings(SETTINGS.get("order"))),
        ("threads", lambda: threads(SETTINGS.get("threads"))),
        ("names", names),
        ("random", Entropy(SETTINGS.get("random")).install),
        ("clock", Clock(SETTINGS.get("clock")).install),
    )
    for name, begin in every:
        if name in SETTINGS or watched:
            begin()


if __name__ == "sitecustomize":
    install()
    give_way()
