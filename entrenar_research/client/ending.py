"""How a script ends, where it does not say so itself: by running out, by an exception, by `sys.exit`.

The first run that is opened puts hooks around `sys.excepthook` and `sys.exit`; when the last one is finished they are
taken out again, unless somebody has put another hook around ours.
"""

from __future__ import annotations

import atexit
import os
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from types import TracebackType
    from typing import Any

    from entrenar_research.client.handle import Run

_STACK_LIMIT = 1 << 15
_open: list[Run] = []
_code: list[object] = [None]
_before: list[Callable[..., Any]] = [sys.excepthook, sys.exit]


def opened(run: Run) -> None:
    """Takes note of a run that is to be finished when the script ends."""
    if not _open:
        _code[0] = None
    if sys.excepthook is not _uncaught and sys.exit is not _leaving:
        _before[:] = sys.excepthook, sys.exit
        sys.excepthook, sys.exit = _uncaught, _leaving
    _open.append(run)
    util = sys.modules.get("multiprocessing.util")
    if util is not None and sys.modules["multiprocessing.process"].parent_process() is not None:
        _finalize(util)


def finished(run: Run) -> None:
    """Forgets a run."""
    if run in _open:
        _open.remove(run)
    if not _open and sys.excepthook is _uncaught and sys.exit is _leaving:
        sys.excepthook, sys.exit = _before


def current() -> Run | None:
    """The run that was opened last and is still open in this process."""
    return _open[-1] if _open else None


def owned(directory: str) -> bool:
    """Whether this process itself has started the run in that directory."""
    return any(run.owns(directory) for run in _open)


def _uncaught(kind: type[BaseException], error: BaseException, stack: TracebackType | None) -> None:
    """An exception that nobody caught: every open run failed of it, and then it is shown as it would have been."""
    for run in reversed(tuple(_open)):
        run.fail(error)
    _before[0](kind, error, stack)


def _leaving(status: object = None, /) -> Any:
    """`sys.exit`, with the status remembered: Python does not tell it to those who tidy up."""
    if _in_main_thread():  # in another thread it only ends that thread
        _code[0] = status
    return _before[1](status)


def _in_main_thread() -> bool:
    threading = sys.modules.get("threading")
    return threading is None or threading.current_thread() is threading.main_thread()


def _at_exit() -> None:
    """The script has come to its end without finishing its runs."""
    status = _code[0]
    for run in reversed(tuple(_open)):
        if status in (None, 0, False):
            run.finish()
        else:
            run.abandon(f"the script ended with exit status {status if isinstance(status, int) else 1}")


def _in_child() -> None:
    """In a process that was just forked: its runs are its parent's, and it has logs of its own for them."""
    _code[0] = None
    for run in _open:
        run.forked()
    util = sys.modules.get("multiprocessing.util")
    if util is not None and _open:
        util.register_after_fork(_finalize, lambda _: _finalize(util))


def _finalize(util: Any) -> None:
    """Has runs closed when a process of multiprocessing ends, which leaves without the interpreter's exit functions."""
    util.Finalize(None, _at_exit, exitpriority=0)


atexit.register(_at_exit)
os.register_at_fork(after_in_child=_in_child)


def stack_text(error: BaseException, study: str | None) -> str:
    """The stack of an exception as Python prints it, with file names that are the same on every machine."""
    import traceback  # loads tokenize and re, which only a failure needs

    found = traceback.TracebackException.from_exception(error)
    seen: set[int] = set()
    pending = [found]
    while pending:
        part = pending.pop()
        if id(part) in seen:
            continue
        seen.add(id(part))
        for frame in part.stack:
            frame.line  # noqa: B018 - reads the source while the name still says where it is
            frame.filename = _short(frame.filename, study)
        pending += [cause for cause in (part.__cause__, part.__context__) if cause is not None]
    text = "".join(found.format())
    if study is not None:
        text = text.replace(study + os.sep, "")
    if len(text) > _STACK_LIMIT:
        text = f"{text[: _STACK_LIMIT // 4]}\n[...]\n{text[-_STACK_LIMIT * 3 // 4 :]}"
    return text


def _short(name: str, study: str | None) -> str:
    """A source file relative to the study, to site-packages or to Python's library; else only its own name."""
    if study is not None and name.startswith(study + os.sep) and f"{os.sep}site-packages{os.sep}" not in name:
        return name[len(study) + 1 :]
    for mark in ("site-packages", "dist-packages", f"python{sys.version_info[0]}.{sys.version_info[1]}"):
        _, found, after = name.rpartition(f"{os.sep}{mark}{os.sep}")
        if found:
            return after
    return os.path.basename(name)  # noqa: PTH119
