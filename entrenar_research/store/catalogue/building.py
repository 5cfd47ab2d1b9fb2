"""Reading many run directories: some at a time, by several processes where there are many."""

from __future__ import annotations

import concurrent.futures
import contextlib
import os
from collections.abc import Iterable, Iterator
from concurrent.futures.process import BrokenProcessPool

from entrenar_research.store import workers
from entrenar_research.store.catalogue import reading as catalogue_reading
from entrenar_research.store.catalogue.reading import Reading

_PARALLEL_RUNS = 400
_PROCESSES = 8

Chunk = list[str]


def readings(root: str, wanted: Iterable[str], now: int, size: int) -> Iterator[tuple[Chunk, list[Reading]]]:
    """The runs in `wanted`, `size` at a time; some may turn out to have no record.

    `now` is what time the file system has.
    """
    ids = sorted(wanted)
    chunks = [ids[start : start + size] for start in range(0, len(ids), size)]
    processes = min(len(os.sched_getaffinity(0)), _PROCESSES)
    if len(ids) >= _PARALLEL_RUNS and processes > 1:
        with contextlib.suppress(BrokenProcessPool, OSError):  # no room for processes: it is done without
            yield from _in_parallel(root, chunks, now, processes)
    while chunks:
        chunk = chunks.pop()
        yield chunk, _read(root, chunk, now)


def _in_parallel(root: str, chunks: list[Chunk], now: int, processes: int) -> Iterator[tuple[Chunk, list[Reading]]]:
    """Takes out of `chunks` what it has read."""
    with workers.pool(processes) as pool:
        try:
            pending = {pool.submit(_read, root, chunk, now): chunk for chunk in chunks}
            for done in concurrent.futures.as_completed(pending):
                found = done.result()
                chunks.remove(pending[done])
                yield pending[done], found
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise


def _read(root: str, chunk: Chunk, now: int) -> list[Reading]:
    found = (catalogue_reading.read(root, run_id, now) for run_id in chunk)
    return [reading for reading in found if reading is not None]
