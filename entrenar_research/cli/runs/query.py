"""`runs query`."""

from __future__ import annotations

import argparse
import sys

from entrenar_research.errors import UsageError
from entrenar_research.workspace import Workspace

MORE = """\
The statement asks views such as runs, params, metrics (every point), summaries, failures and lineage; `--schema` lists
them. It may only read. Times are in UTC. Needs the extra `query` (DuckDB).
"""
EXAMPLES = (
    "runs query \"SELECT run_id, params->>'rate' AS rate, metrics['loss'] AS loss FROM runs ORDER BY loss\"",
    "runs query \"SELECT step, avg(value) FROM metrics WHERE name = 'loss' GROUP BY step\" --format csv",
    "runs query --schema",
)
_ROWS = 1000


def configure(parser: argparse.ArgumentParser) -> None:
    """Adds the options of `runs query`."""
    parser.add_argument("sql", metavar="SQL", nargs="?", help="one SELECT; - reads it from the standard input")
    parser.add_argument("--schema", action="store_true", help="list the views and their columns")
    parser.add_argument(
        "--format",
        choices=("text", "table", "json", "csv"),
        default="text",
        help="text for people (default), table (always in a box), json or csv for programs",
    )
    parser.add_argument(
        "--limit", type=int, metavar="N", help=f"at most N rows, 0: all (default: {_ROWS} of text, all of json and csv)"
    )


def execute(args: argparse.Namespace) -> int:
    """Carries out one statement over the runs of this study."""
    from entrenar_research.actions.runs import querying
    from entrenar_research.core.querying.views import VIEWS
    from entrenar_research.views import answers
    from entrenar_research.views.terminal import answers as view
    from entrenar_research.views.terminal.screen import Screen

    screen, notes = Screen(), Screen(sys.stderr)
    if args.schema:
        if args.format == "json":
            screen.json(VIEWS)
        else:
            view.draw_schema(screen)
        return 0
    if args.sql is None:
        raise UsageError("`runs query` needs SQL", hint='runs query "SELECT * FROM runs"; --schema lists the views')
    if args.limit is not None and args.limit < 0:
        raise UsageError(f"--limit: found {args.limit}, expected 0 (all) or more")
    sql = sys.stdin.read() if args.sql == "-" else args.sql
    with notes.progress("reading runs") as progress:
        answer, unread = querying.ask(Workspace().root, sql, progress)
    if args.format in ("json", "csv"):
        write = answers.write_json if args.format == "json" else answers.write_csv
        write(sys.stdout, answer.first(args.limit) if args.limit else answer)
    else:
        limit = _ROWS if args.limit is None else args.limit
        if view.draw(screen, answer, limit, boxed=args.format == "table" or screen.terminal):
            notes.line(f"only the first {limit} rows are shown: `--limit 0` shows all", "quiet")
    for words in unread:
        notes.line(f"warning: {words}", "doubt")
    return 0
