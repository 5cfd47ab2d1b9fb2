"""Worker processes for hashing that do not outlive the process they work for."""

from __future__ import annotations

import concurrent.futures
import ctypes
import multiprocessing
import os
import signal

_PR_SET_PDEATHSIG = 1


def pool(processes: int) -> concurrent.futures.ProcessPoolExecutor:
    """Workers forked from this process; the kernel kills them when it dies, however it dies.

    A worker that stayed behind would wait for work for ever and keep every lock this process held (flock(2)
    belongs to the open file, which a fork shares). Ctrl-C is for this process; it ends the pool itself.
    """
    return concurrent.futures.ProcessPoolExecutor(
        processes,
        mp_context=multiprocessing.get_context("fork"),
        initializer=_die_with_parent,
        initargs=(os.getpid(),),
    )


def _die_with_parent(parent: int) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    prctl = getattr(ctypes.CDLL(None), "prctl", None)  # Linux has it
    if prctl is not None:
        prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:  # it died before we could ask for that
        os._exit(1)
