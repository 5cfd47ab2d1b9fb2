"""What the kernel's log says about a process, in the forms that kernels have written."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from entrenar_research.core.failures import kernel_log

KILLED = "Memory cgroup out of memory: Killed process 42 (python) total-vm:9kB, anon-rss:512000kB, file-rss:1kB"
ODD = "Out of memory: Killed process 42 (a b) (c)) total-vm:1kB, anon-rss:7kB, file-rss:0kB"
OLD = "Out of memory: Kill process 42 (python) score 900 or sacrifice child"
FAULT = "python[42]: segfault at 0 ip 00007f21 sp 00007ffc error 4 in libc.so.6[16395a,7f214afb1000+156000]"
TRAP = "traps: python[42] general protection fault ip:7f46 sp:7ff error:0 in libc.so.6[d4404,7f4641ecb000+15]"
OPCODE = "traps: a.out[42] trap invalid opcode ip:4 sp:7 error:0 in a.out[400000+1000]"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (KILLED, "out of memory: killed python with 512000 kB of its own memory in its memory group"),
        (ODD, "out of memory: killed a b with 7 kB of its own memory"),
        (OLD, "out of memory: killed python"),
        (FAULT, "crash: segfault of python in libc.so.6"),
        (f"{FAULT} likely on CPU 0 (core 0, socket 0)", "crash: segfault of python in libc.so.6"),
        (TRAP, "crash: general protection fault of python in libc.so.6"),
        (OPCODE, "crash: invalid opcode of a.out in a.out"),
    ],
)
def test_forms(text: str, words: str) -> None:
    assert kernel_log.about([text], {42}) == (words,)
    assert kernel_log.about([text], {4, 2, 420}) == ()


def test_others_and_other_things_are_left_out() -> None:
    assert kernel_log.about(["oom_reaper: reaped process 42 (python)", "eth0: link up 42", ""], {42}) == ()
    assert kernel_log.about([KILLED, KILLED], {42}) == kernel_log.about([KILLED], {42})


def test_records() -> None:
    assert kernel_log.message("6,339,5140900,-;hello; world\n SUBSYSTEM=net\n") == (5.1409, "hello; world")
    assert kernel_log.message("no record") == (0.0, "no record")


@given(st.lists(st.text()), st.sets(st.integers()))
def test_no_text_makes_it_raise(texts: list[str], processes: set[int]) -> None:
    kernel_log.about([kernel_log.message(text)[1] for text in texts], processes)
