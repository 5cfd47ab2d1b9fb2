"""Tracebacks as Python itself writes them, and texts that are none."""

from __future__ import annotations

import subprocess
import sys
import traceback
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from entrenar_research.core.failures import tracebacks
from entrenar_research.core.failures.tracebacks import Traceback

POOL = """\
import concurrent.futures as futures, multiprocessing
def work(x):
    return 1 / x
if __name__ == "__main__":
    with futures.ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("fork")) as pool:
        list(pool.map(work, [0]))
"""
THREAD = """\
import threading
thread = threading.Thread(target=lambda: 1 / 0, name="worker")
thread.start(); thread.join()
raise SystemExit(1)
"""
IGNORED = "class A:\n    def __del__(self): 1 / 0\na = A(); del a\nraise SystemExit(1)"
LOGGED = "import logging\ntry: 1 / 0\nexcept Exception: logging.exception('went on')\nraise SystemExit(1)"
GROUP = """\
def raised():
    raise MemoryError("too much")
kept = [ValueError("never raised")]
try: raised()
except MemoryError as error: kept.append(error)
raise ExceptionGroup("two", kept)
"""


def written(tmp_path: Path, source: str, *options: str) -> str:
    """What Python writes to stderr as it ends after `source`."""
    (tmp_path / "script.py").write_text(source)
    done = subprocess.run(
        [sys.executable, *options, "script.py"], cwd=tmp_path, capture_output=True, text=True, check=False, timeout=60
    )
    assert done.returncode != 0
    return done.stderr


def read(text: str) -> Traceback:
    found = tracebacks.last(text)
    assert found is not None, text
    return found


def told(found: Traceback) -> list[tuple[str, str, str]]:
    return [(item.exception, item.message, item.link) for item in found.chain]


def test_frames_type_and_message(tmp_path: Path) -> None:
    found = read(written(tmp_path, "def inner():\n    raise ValueError('some information')\ninner()"))
    assert told(found) == [("ValueError", "some information", "")]
    assert [(Path(frame.file).name, frame.line, frame.function) for frame in found.chain[0].frames] == [
        ("script.py", 3, "<module>"),
        ("script.py", 2, "inner"),
    ]
    assert (found.final, found.place) == (True, "main")
    assert found.text.startswith("Traceback (most recent call last):\n")
    assert found.text.endswith("\nValueError: some information")


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("raise KeyError", [("KeyError", "", "")]),
        (
            "try: open('nowhere')\nexcept OSError as error: raise RuntimeError('no data') from error",
            [
                ("RuntimeError", "no data", ""),
                ("FileNotFoundError", "[Errno 2] No such file or directory: 'nowhere'", "cause"),
            ],
        ),
        (
            "try: {}['a']\nexcept KeyError: 1 / 0",
            [("ZeroDivisionError", "division by zero", ""), ("KeyError", "'a'", "context")],
        ),
        (
            GROUP,
            [
                ("ExceptionGroup", "two (2 sub-exceptions)", ""),
                ("ValueError", "never raised", "part"),
                ("MemoryError", "too much", "part"),
            ],
        ),
        (
            "raise ExceptionGroup('a', [ExceptionGroup('b', [KeyError('k')]), TypeError('t')])",
            [
                ("ExceptionGroup", "a (2 sub-exceptions)", ""),
                ("ExceptionGroup", "b (1 sub-exception)", "part"),
                ("KeyError", "'k'", "part"),
                ("TypeError", "t", "part"),
            ],
        ),
        (
            "e = ValueError('one\\ntwo\\n\\nthree'); e.add_note('a note'); raise e",
            [("ValueError", "one\ntwo\n\nthree\na note", "")],
        ),
        (
            "def f():\n    class Own(Exception): pass\n    raise Own('x')\nf()",
            [("f.<locals>.Own", "x", "")],
        ),
        ("x = = 1", [("SyntaxError", "invalid syntax", "")]),
        ("def f(): f()\nf()", [("RecursionError", "maximum recursion depth exceeded", "")]),
        ("import json; json.loads('{')", [("json.decoder.JSONDecodeError", None, "")]),
    ],
)
def test_forms_of_python(tmp_path: Path, source: str, expected: list[tuple[str, str | None, str]]) -> None:
    found = told(read(written(tmp_path, source)))
    assert [(kind, link) for kind, _, link in found] == [(kind, link) for kind, _, link in expected]
    for (_, message, _), (_, wanted, _) in zip(found, expected, strict=True):
        assert wanted is None or message.removesuffix(" in comparison") == wanted


def test_error_of_a_worker_process(tmp_path: Path) -> None:
    found = read(written(tmp_path, POOL))
    assert [(item.exception, item.link) for item in found.chain] == [
        ("ZeroDivisionError", ""),
        ("ZeroDivisionError", "cause"),
    ]
    assert "work" in [frame.function for frame in found.chain[1].frames]


def test_a_thread_counts_only_where_the_main_one_is_silent(tmp_path: Path) -> None:
    assert read(written(tmp_path, THREAD)).place == "worker"
    found = read(written(tmp_path, THREAD.replace("raise SystemExit(1)", "raise KeyError('main')")))
    assert (found.place, found.chain[0].exception) == ("main", "KeyError")


def test_what_python_ignores_is_no_end(tmp_path: Path) -> None:
    assert tracebacks.last(written(tmp_path, IGNORED)) is None


def test_what_follows_is_seen(tmp_path: Path) -> None:
    found = read(
        written(tmp_path, "import atexit, sys\natexit.register(sys.stderr.write, 'bye\\n')\nraise KeyError(1)")
    )
    assert (found.chain[0].exception, found.final) == ("KeyError", False)
    assert read(written(tmp_path, LOGGED)).chain[0].exception == "ZeroDivisionError"


def test_faulthandler(tmp_path: Path) -> None:
    crash = "import ctypes, resource\nresource.setrlimit(resource.RLIMIT_CORE, (0, 0))\n"
    found = read(written(tmp_path, crash + "def f(): ctypes.string_at(0)\nf()", "-X", "faulthandler"))
    assert (found.chain[0].exception, found.chain[0].message) == ("Fatal Python error", "Segmentation fault")
    assert [frame.function for frame in found.chain[0].frames][:2] == ["<module>", "f"]


def test_ranks_of_torchrun_that_write_at_once() -> None:
    text = (
        "[rank1]: Traceback (most recent call last):\n[rank0]: Traceback (most recent call last):\n"
        '[rank1]:   File "a.py", line 1, in one\n[rank0]:   File "a.py", line 2, in two\n[rank1]:     one()\n'
        "[rank0]:     two()\n[rank1]: ValueError: first\n[rank0]: torch.OutOfMemoryError: CUDA out of memory.\n"
    )
    found = read(text)
    assert found.chain[0].exception == "torch.OutOfMemoryError"
    assert [frame.function for frame in found.chain[0].frames] == ["two"]


def test_an_original_traceback_within_a_message() -> None:
    text = (
        'Traceback (most recent call last):\n  File "main.py", line 5, in <module>\n    for x in dl:\n'
        "KeyError: Caught KeyError in DataLoader worker process 0.\n"
        'Original Traceback (most recent call last):\n  File "data.py", line 3, in read\n    x[0]\n'
        "FileNotFoundError: [Errno 2] No such file or directory: 'a'\n"
    )
    found = read(text)
    assert [(item.exception, item.link) for item in found.chain] == [("KeyError", ""), ("FileNotFoundError", "part")]


@pytest.mark.parametrize(
    "text",
    [
        "",
        "Traceback (most recent call last):",
        'Traceback (most recent call last):\n  File "a", line 1, in f\n',
        "information about finance\nOOM in ROOM\n",
        "Traceback (most recent call last):\n  nothing\n\n",
    ],
)
def test_no_traceback(text: str) -> None:
    assert tracebacks.last(text) is None


PIECES = """\
Traceback (most recent call last):
  + Exception Group Traceback (most recent call last):
[rank0]: Traceback (most recent call last):
Original Traceback (most recent call last):
    | Traceback (most recent call last):
  File "a.py", line 1, in f
  File "a.py", line 99999999999999999999, in f
    |   File "b", line 2, in g
  File "a.py", line 3 in f
    x()
ValueError: x
  | E: x
    | KeyError: 'k'
  +-+---------------- 1 ----------------
  +----
SyntaxError: bad
Fatal Python error: Aborted
Current thread 0x00007f (most recent call first):
Process P-1:
The above exception was the direct cause of the following exception:
During handling of the above exception, another exception occurred:
""".splitlines()


@given(st.lists(st.sampled_from(PIECES) | st.text(max_size=20), max_size=30).map("\n".join))
def test_no_text_makes_it_raise(text: str) -> None:
    found = tracebacks.last(text)
    if found is not None:
        assert found.chain
        assert found.chain[0].link == ""
        assert all(item.exception for item in found.chain)


KINDS = [ValueError, KeyError, OSError, TypeError, RuntimeError, ZeroDivisionError]
PLAIN = st.text(st.characters(codec="utf-8", exclude_categories=["C", "Z"]), max_size=30)


@given(st.lists(st.tuples(st.sampled_from(KINDS), PLAIN, st.booleans()), min_size=1, max_size=4))
def test_what_the_standard_library_writes_is_read_back(links: list[tuple[type[Exception], str, bool]]) -> None:
    error: Exception | None = None
    for kind, message, explicit in links:
        try:
            if error is not None and explicit:
                raise kind(message) from error
            if error is not None:
                try:
                    raise error
                except Exception:  # noqa: BLE001 - its type does not matter
                    raise kind(message)  # noqa: B904 - a context, not a cause
            raise kind(message)
        except Exception as caught:  # noqa: BLE001
            error = caught
    assert error is not None
    found = read("noise\n" + "".join(traceback.format_exception(error)))
    assert [item.exception for item in found.chain] == [kind.__name__ for kind, _, _ in reversed(links)]
    ties = ["cause" if explicit else "context" for _, _, explicit in reversed(links)][:-1]
    assert [item.link for item in found.chain] == ["", *ties]
    assert found.text == "".join(traceback.format_exception(error)).strip("\n").rstrip()
    for item, (kind, message, _) in zip(found.chain, reversed(links), strict=True):
        assert item.message == str(kind(message)).strip()
