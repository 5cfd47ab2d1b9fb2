"""The catalogue: a cache over the run directories, so that thousands of runs are listed in milliseconds.

The files are the truth. What is kept in `.entrenar/catalogue.sqlite` can be deleted at any time and comes back; where
it cannot be written, a catalogue in memory is used. A run that was closed is read once, an open one is looked at
each time. Imports little: it is on the way of `runs list`.
"""

# ruff: noqa: S608 - the names of tables and columns in queries are ours, values are bound

from __future__ import annotations

import contextlib
import os
import sqlite3
from collections.abc import Callable, Collection, Iterator, Sequence

from entrenar_research.store.catalogue import database, looks, search
from entrenar_research.store.catalogue.filter import Request
from entrenar_research.store.catalogue.search import Listing

TYPE_CHECKING = False
if TYPE_CHECKING:  # what these import costs more than the whole listing
    from typing import Any, TypeVar

    from entrenar_research.store.catalogue.reading import Reading

    T = TypeVar("T")

Progress = Callable[[int, int], None]
_CHUNK = 250
_VERIFIED_ROWS = 1000
_TRIES = 3
_WRITE = {
    table: f"INSERT OR REPLACE INTO {table} VALUES ({', '.join('?' * count)})"
    for table, count in (("entries", len(database.ENTRY_COLUMNS)), ("params", 4), ("metrics", 7), ("documents", 2))
}


class Catalogue:
    """The runs of the study at `root`, as they were at the last `refresh`.

    `connection` is the SQLite database behind it: tables `runs`, `params(run, key, value, number)` and
    `metrics(run, key, points, last, last_step, lowest, highest)`. A metric of which the last value is no number is
    there with NULL. Of a metric that was logged and is declared as well, `last` is the declared value.
    """

    def __init__(self, root: str | os.PathLike[str]) -> None:
        self.root = os.fspath(root)
        self._runs = f"{self.root}/runs"
        self._in_memory = not os.path.isdir(self._runs)
        if self._in_memory:
            self.connection = database.in_memory(self.root)
            return
        try:
            self.connection = database.opened(self.root)
        except database.UnusableError:
            self._in_memory = True
            self.connection = database.in_memory(self.root)

    def close(self) -> None:
        """Lets go of the database."""
        self.connection.close()

    def refresh(self, progress: Progress = lambda done, total: None) -> None:
        """Brings the catalogue up to what is in `runs/`; `progress(done, total)` is told of runs that are read."""
        self._persistently(lambda: self._refresh(progress))

    def select(self, request: Request) -> Listing:
        """The runs that were asked for; they are compared with their files once more before they are handed out.

        Raises:
            UsageError: if a column is unknown or a condition makes no sense.
        """
        return self._persistently(lambda: self._select(request))

    def widened(self, listing: Listing) -> Listing:
        """The same runs with every parameter and every metric that any of them has."""
        return self._persistently(lambda: search.widened(self.connection, listing))

    def whole(self, ids: Sequence[str]) -> list[tuple[str, dict[str, object], str]]:
        """For each of these runs its id, what the catalogue has of it by name, and its record as JSON."""
        return self._persistently(lambda: list(search.whole(self.connection, ids)))

    def documents(self, experiment: str | None = None, status: str | None = None) -> Iterator[tuple[str, bytes]]:
        """Ids and whole records (JSON) of all runs whose record can be read, oldest first.

        `status` in them is as it really is (`lost` where nobody holds an open run any more). What JSON has no
        number for is text: `NaN`, `Infinity`, `-Infinity`. Records of a newer schema are handed out as they are.
        """
        query = "SELECT id, document FROM runs WHERE shown != 'damaged'"
        values: list[str] = []
        if experiment is not None:
            query, values = f"{query} AND experiment = ?", [*values, experiment]
        if status is not None:
            query, values = f"{query} AND ? IN (status, shown)", [*values, status]
        rows = self._persistently(lambda: self.connection.execute(f"{query} ORDER BY id", values).fetchall())
        for run_id, document in rows:
            yield run_id, document.encode()

    def cut_off(self) -> tuple[int, int]:
        """How many runs lost their process before they were sealed, and how many ended but were never sealed."""
        query = (
            "SELECT count(*) FILTER (WHERE status = 'lost'), "
            "count(*) FILTER (WHERE status IN ('completed', 'failed', 'cancelled')) "
            "FROM entries WHERE settled = 0 AND sealed = 0 AND alive = 0 AND damage IS NULL"
        )
        lost, ended = self._persistently(lambda: self.connection.execute(query).fetchone())
        return int(lost), int(ended)

    def experiments(self) -> list[str]:
        """The experiments that have runs, sorted."""
        query = "SELECT DISTINCT experiment FROM entries ORDER BY experiment"
        return [name for (name,) in self._persistently(lambda: self.connection.execute(query).fetchall()) if name]

    # --- keeping up with the files

    def _refresh(self, progress: Progress) -> None:
        seen, seen_before = looks.print_of(self._runs), self._seen()
        wanted, gone = self._open_ones(), set[str]()
        if not seen or seen != seen_before:
            # What is known before what is there: a run that somebody else brings in meanwhile is not taken for removed.
            query = "SELECT id, place, looked, settled FROM entries"
            known = {run_id: rest for run_id, *rest in self.connection.execute(query).fetchall()}
            empty = {run_id for (run_id,) in self.connection.execute("SELECT id FROM empty").fetchall()}
            present = looks.listing(self._runs)
            gone = (known.keys() | empty) - present.keys()
            wanted |= present.keys() - known.keys() - empty
            wanted |= self._replaced(known, present)
            if not looks.certain(seen, self._clock()):
                seen = ""
        self._bring_in(wanted, gone, seen, seen_before, progress)

    def _clock(self) -> int:
        return looks.clock(f"{self.root}/.entrenar")

    def _seen(self) -> str:
        return str(self.connection.execute("SELECT runs FROM seen").fetchone()[0])

    def _replaced(self, known: dict[str, list[Any]], present: dict[str, str]) -> set[str]:
        """The settled runs whose directory is not what it was, unless it is a faithful copy."""
        replaced = set()
        copied = []
        for run_id, (place, looked, settled) in known.items():
            if not settled or present.get(run_id, place) == place:
                continue
            look = looks.look(f"{self._runs}/{run_id}")
            if look is not None and look.sealed and looked.startswith(f"{look.rough}:"):
                copied.append((present[run_id], look.mark, run_id))
            else:
                replaced.add(run_id)
        if copied:  # the whole study was copied or mounted anew: the runs are what they were
            with contextlib.suppress(sqlite3.OperationalError), self._transaction():
                self.connection.executemany("UPDATE entries SET place = ?, looked = ? WHERE id = ?", copied)
        return replaced

    def _open_ones(self) -> set[str]:
        """The runs that are not settled and have changed, and those that may be changing now."""
        wanted = set()
        ended = []
        query = "SELECT id, place, looked, resting, sealed, alive, status FROM entries WHERE settled = 0"
        for run_id, place, looked, resting, sealed, alive, status in self.connection.execute(query).fetchall():
            directory = f"{self._runs}/{run_id}"
            seen = looks.print_of(directory)
            if resting and seen == place:
                continue
            look = looks.look(directory)
            if look is None or look.mark != looked or alive or (not sealed and looks.alive(self.root, run_id)):
                wanted.add(run_id)
            elif not sealed and status in ("completed", "failed", "cancelled"):
                ended.append((seen, run_id))
        for (run_id,) in self.connection.execute("SELECT id FROM empty").fetchall():
            if looks.look(f"{self._runs}/{run_id}") is not None:
                wanted.add(run_id)
        self._let_rest(ended)
        return wanted

    def _let_rest(self, ended: Sequence[tuple[str, str]]) -> None:
        """Notes what the directories of runs looked like that ended unsealed: nothing is looked at while they do."""
        now = self._clock() if ended else 0
        resting = [(seen, run_id) for seen, run_id in ended if looks.certain(seen, now)]
        if resting:
            with contextlib.suppress(sqlite3.OperationalError), self._transaction():
                self.connection.executemany("UPDATE entries SET place = ?, resting = 1 WHERE id = ?", resting)

    def _bring_in(
        self, wanted: Collection[str], gone: set[str], seen: str, seen_before: str, progress: Progress
    ) -> None:
        """Reads what is wanted and writes it down in short transactions; the last one says what `runs/` looked like."""
        state = seen_before
        for readings, empty in self._read(wanted, progress):
            state = self._write(readings, empty, set(), "", state)
        if gone:
            self._write([], [], gone, seen, state)
        elif state != seen:
            with contextlib.suppress(sqlite3.OperationalError):  # a study that may only be read: listed again next time
                self._write([], [], set(), seen, state)

    def _read(self, wanted: Collection[str], progress: Progress) -> Iterator[tuple[list[Reading], list[str]]]:
        """What was read, some runs at a time, and which directories had no record."""
        if not wanted:
            return
        from entrenar_research.store.catalogue import building  # only where there is something to read

        done = 0
        for chunk, readings in building.readings(self.root, wanted, self._clock(), _CHUNK):
            found = {reading.entry["id"] for reading in readings}
            yield readings, [run_id for run_id in chunk if run_id not in found]
            done += len(chunk)
            progress(done, len(wanted))

    def _write(
        self, readings: Sequence[Reading], empty: Sequence[str], gone: set[str], seen: str, seen_before: str
    ) -> str:
        """One transaction; returns what is now noted of `runs/`.

        Other processes may have read and written the same runs since we looked: what is written is held against the
        files once more. If somebody has noted something else of `runs/` meanwhile, then nothing is certain, and the
        next refresh lists it again.
        """
        connection = self.connection
        with self._transaction():
            if self._seen() != seen_before:
                seen = ""
            readings = [reading for reading in readings if self._is_news(reading)]
            absent = {run_id for run_id in (*gone, *empty) if looks.look(f"{self._runs}/{run_id}") is None}
            self._forget([*absent, *(reading.entry["id"] for reading in readings)])
            rows = [(run_id, run_id) for run_id in empty]
            unknown = "SELECT ? WHERE NOT EXISTS (SELECT 1 FROM entries WHERE id = ?)"
            connection.executemany(f"INSERT OR REPLACE INTO empty {unknown}", rows)
            entries = [[reading.entry[name] for name in database.ENTRY_COLUMNS] for reading in readings]
            connection.executemany(_WRITE["entries"], entries)
            connection.executemany(_WRITE["documents"], [(item.entry["id"], item.document) for item in readings])
            connection.executemany(_WRITE["params"], (row for reading in readings for row in reading.params))
            connection.executemany(_WRITE["metrics"], (row for reading in readings for row in reading.metrics))
            connection.execute("UPDATE seen SET runs = ?", (seen,))
        return seen

    def _is_news(self, reading: Reading) -> bool:
        """Not if the run was removed meanwhile, or somebody has read a later state of it."""
        look = looks.look(f"{self._runs}/{reading.entry['id']}")
        if look is None or look.mark == reading.entry["looked"]:
            return look is not None
        query = "SELECT looked FROM entries WHERE id = ?"
        had = self.connection.execute(query, (reading.entry["id"],)).fetchone()
        return had is None or had[0] != look.mark

    def _forget(self, ids: Sequence[str]) -> None:
        keys = [(run_id,) for run_id in ids]
        for table in ("entries", "empty", "documents", "params", "metrics"):
            key = "id" if table in ("entries", "empty") else "run"
            self.connection.executemany(f"DELETE FROM {table} WHERE {key} = ?", keys)

    @contextlib.contextmanager
    def _transaction(self) -> Iterator[None]:
        # IMMEDIATE: a reader that becomes a writer half-way cannot wait for its turn.
        self.connection.execute("BEGIN IMMEDIATE")
        try:
            yield
            self.connection.execute("COMMIT")
        except BaseException:
            with contextlib.suppress(sqlite3.Error):
                self.connection.execute("ROLLBACK")
            raise

    # --- answering

    def _select(self, request: Request) -> Listing:
        for _ in range(_TRIES):
            listing = search.run(self.connection, request)
            stale = self._stale(listing)
            if not stale:
                return listing
            seen = self._seen()
            self._bring_in(stale, set(), seen, seen, lambda done, total: None)
        return search.run(self.connection, request)

    def _stale(self, listing: Listing) -> set[str]:
        """Of these runs, those whose files were changed or removed although they were closed."""
        if len(listing.ids) > _VERIFIED_ROWS:
            return set()
        return {run_id for run_id, looked in listing.looked.items() if not looks.same(f"{self._runs}/{run_id}", looked)}

    # --- where the file is of no use

    def _persistently(self, action: Callable[[], T]) -> T:
        """Does it, if need be with a new file, if need be with none: a cache is no reason to fail."""
        attempt = 0
        while True:
            try:
                if attempt:
                    self._refresh(lambda done, total: None)
                return action()
            except sqlite3.DatabaseError as error:
                if self._in_memory:
                    raise
                attempt += 1
                self._start_again(error, attempt)

    def _start_again(self, error: sqlite3.DatabaseError, attempt: int) -> None:
        """Opens the file anew if it was removed or is ruined; else, or if that goes on and on, does without."""
        self.connection.close()
        ruined = database.ruined(error)
        if attempt <= _TRIES and (ruined or database.removed(error)):
            if ruined:
                database.discard(self.root)
            with contextlib.suppress(database.UnusableError):
                self.connection = database.opened(self.root)
                return
        self._in_memory = True
        self.connection = database.in_memory(self.root)
