"""The SQLite file of the catalogue: its tables, opening it, and what is done where it cannot be used.

Imports little: it is on the way of `runs list`.
"""

# ruff: noqa: PTH103,PTH108,PTH113,PTH120 - pathlib costs milliseconds, and so would a Path for each of thousands of runs

from __future__ import annotations

import contextlib
import os
import sqlite3

# Another number whenever tables or what is put in them change: a file with a different one is made anew.
VERSION = 1
NAME = "catalogue.sqlite"
_WAIT_SECONDS = 5.0
_TRIES = 3
# What says that the file is not what it should be.
_RUINED = (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_SCHEMA, sqlite3.SQLITE_FORMAT)

ENTRY_COLUMNS = (
    *("id", "place", "looked", "resting", "settled", "sealed", "alive", "experiment", "recorded", "status", "shown"),
    *("started", "ended", "duration", "runner", "exit_status", "failure", "seed", "recipe", "result", "code_commit"),
    *("trace_id", "sweep", "trial", "tags", "warnings", "points", "lost_points", "recovered", "imported", "damage"),
    "written_by",
)
_TABLES = """
CREATE TABLE entries (
  id TEXT PRIMARY KEY,
  place TEXT NOT NULL,         -- what the directory itself looked like then
  looked TEXT NOT NULL,        -- what its files looked like when they were read
  resting INTEGER NOT NULL,    -- ended unsealed, not looked into while the directory looks as it did
  settled INTEGER NOT NULL,    -- closed and whole, not looked at again while the directory is there
  sealed INTEGER NOT NULL,     -- has SHA256SUMS
  alive INTEGER NOT NULL,      -- somebody writes it
  experiment TEXT NOT NULL,
  recorded TEXT NOT NULL,      -- the status in the record
  status TEXT NOT NULL,        -- the status as it really is
  shown TEXT NOT NULL,         -- as `status`, and recovered, damaged
  started TEXT, ended TEXT, duration REAL, runner TEXT, exit_status INTEGER, failure TEXT, seed INTEGER,
  recipe TEXT, result TEXT, code_commit TEXT, trace_id TEXT, sweep TEXT, trial INTEGER,
  tags TEXT,                   -- a line each, ended by a newline
  warnings INTEGER, points INTEGER, lost_points INTEGER, recovered TEXT, imported TEXT,
  damage TEXT,                 -- why the record could not be read, or not all of it
  written_by INTEGER           -- the version of the record's schema
) WITHOUT ROWID;
CREATE INDEX entries_open ON entries(settled, sealed, alive, status, damage) WHERE settled = 0;
CREATE INDEX entries_experiment ON entries(experiment);
CREATE INDEX entries_shown ON entries(shown);
CREATE INDEX entries_damaged ON entries(id, damage, written_by, shown) WHERE damage IS NOT NULL;
CREATE TABLE documents (run TEXT PRIMARY KEY, document TEXT NOT NULL);
CREATE TABLE params (run TEXT, key TEXT, value TEXT, number REAL, PRIMARY KEY (run, key)) WITHOUT ROWID;
CREATE INDEX params_key ON params(key, number, run);
CREATE TABLE metrics (
  run TEXT, key TEXT, points INTEGER, last REAL, last_step INTEGER, lowest REAL, highest REAL,
  PRIMARY KEY (run, key)
) WITHOUT ROWID;
CREATE INDEX metrics_key ON metrics(key, last, run);
-- Directories without a record.
CREATE TABLE empty (id TEXT PRIMARY KEY) WITHOUT ROWID;
-- What `runs/` looked like when it was listed, '' if that is not certain.
CREATE TABLE seen (runs TEXT NOT NULL);
INSERT INTO seen VALUES ('');
CREATE VIEW runs AS
  SELECT entries.*, documents.document AS document FROM entries LEFT JOIN documents ON documents.run = entries.id;
"""


class UnusableError(Exception):
    """The catalogue's file can be neither used nor made here."""


def opened(root: str) -> sqlite3.Connection:
    """The catalogue of the study at `root`, made if it is not there, or is of another version, or is ruined.

    Raises:
        UnusableError: if it can be neither read nor written.
    """
    path = os.path.join(root, ".entrenar", NAME)
    try:
        os.makedirs(os.path.dirname(path), exist_ok=True)
    except OSError as error:
        raise UnusableError from error
    for _ in range(_TRIES):
        try:
            return _connected(path)
        except sqlite3.DatabaseError as error:
            if ruined(error):
                discard(root)
            elif not removed(error):
                raise UnusableError from error
    raise UnusableError


def in_memory(root: str) -> sqlite3.Connection:
    """A catalogue that is forgotten: a copy of the study's where that can be read, otherwise an empty one."""
    path = os.path.join(root, ".entrenar", NAME)
    connection = sqlite3.connect(":memory:", isolation_level=None)
    if os.path.isfile(path):
        with contextlib.suppress(sqlite3.Error):
            source = sqlite3.connect(path, timeout=_WAIT_SECONDS, isolation_level=None)
            with contextlib.closing(source):
                if _version(source) == VERSION:
                    source.backup(connection)
                    return connection
    connection.close()
    connection = sqlite3.connect(":memory:", isolation_level=None)
    _make(connection)
    return connection


def discard(root: str) -> None:
    """Removes the catalogue's file; what other processes have open stays with them."""
    path = os.path.join(root, ".entrenar", NAME)
    for name in (path, f"{path}-journal"):
        with contextlib.suppress(OSError):
            os.unlink(name)


def ruined(error: sqlite3.DatabaseError) -> bool:
    """Whether the error says that the file is not what it should be, rather than that it cannot be used now."""
    code = getattr(error, "sqlite_errorcode", None)
    if code is None:  # raised by the module itself
        return not isinstance(error, sqlite3.OperationalError)
    return (code & 0xFF) in _RUINED or (code & 0xFF) == sqlite3.SQLITE_ERROR  # ERROR: a table is missing


def removed(error: sqlite3.DatabaseError) -> bool:
    """Whether the error says that somebody has taken the file away while it was open."""
    code = getattr(error, "sqlite_errorcode", None)
    return code in (sqlite3.SQLITE_READONLY_DBMOVED, sqlite3.SQLITE_IOERR_DELETE_NOENT)


def _connected(path: str) -> sqlite3.Connection:
    connection = sqlite3.connect(path, timeout=_WAIT_SECONDS, isolation_level=None)
    try:
        if _version(connection) != VERSION:
            connection.execute("PRAGMA synchronous=NORMAL")
            _replace(connection)
    except BaseException:
        connection.close()
        raise
    return connection


def _version(connection: sqlite3.Connection) -> int:
    return int(connection.execute("PRAGMA user_version").fetchone()[0])


def _replace(connection: sqlite3.Connection) -> None:
    """Makes the tables, in place of those of another version."""
    connection.execute("BEGIN IMMEDIATE")
    try:
        if _version(connection) != VERSION:  # nobody else has done it meanwhile
            names = connection.execute(
                "SELECT type, name FROM sqlite_schema WHERE type IN ('table', 'view')"
            ).fetchall()
            for kind, name in names:
                connection.execute(f'DROP {kind} IF EXISTS "{name}"')
            _make(connection)
        connection.execute("COMMIT")
    except BaseException:
        with contextlib.suppress(sqlite3.Error):
            connection.execute("ROLLBACK")
        raise


def _make(connection: sqlite3.Connection) -> None:
    for statement in _TABLES.split(";\n"):
        connection.execute(statement)
    connection.execute(f"PRAGMA user_version = {VERSION}")
