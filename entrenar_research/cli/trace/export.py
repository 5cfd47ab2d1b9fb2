"""`trace export`: a trace for other people's viewers, as files or as OpenTelemetry spans."""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path

from entrenar_research import __version__, workspace
from entrenar_research.actions.traces import exporting as action
from entrenar_research.actions.traces import reading
from entrenar_research.actions.traces.exporting import Sent
from entrenar_research.errors import EXIT_DONE, EXIT_REMOTE, UsageError
from entrenar_research.store import output_files, policy_file
from entrenar_research.views.terminal.screen import Screen, size
from entrenar_research.workspace import Workspace

MORE = (
    "Several of them can be asked for at once; FILE is - for standard output. Nothing is sent anywhere without --otlp: "
    "its spans go to URL, or to the endpoint in [otlp] of renacer.toml where that is enabled; headers such as a token "
    "are taken from OTEL_EXPORTER_OTLP_HEADERS, and ENTRENAR_OFFLINE=1 forbids it."
)
EXAMPLES = (
    "trace export line --perfetto line.pftrace",
    "trace export train.json --flamegraph train.folded",
    "trace export line --otlp http://localhost:4318",
)
_FORMATS = {
    "chrome": "Trace Event Format, for chrome://tracing and ui.perfetto.dev",
    "perfetto": "Perfetto's own format, smaller, for ui.perfetto.dev and trace_processor",
    "flamegraph": "folded stacks with microseconds, for flamegraph.pl, inferno and speedscope",
    "csv": "a row a call",
    "pack": "our own packed form, without loss, compressed as [compression] of renacer.toml says",
}


def configure(parser: argparse.ArgumentParser) -> None:
    """Adds the options of `trace export`."""
    parser.add_argument("what", metavar="WHAT", help="a trace file, a run, or a golden trace")
    for name in action.FORMATS:
        parser.add_argument(f"--{name}", metavar="FILE", help=_FORMATS[name])
    parser.add_argument("--otlp", nargs="?", const="", metavar="URL", help="send it to a receiver of OpenTelemetry")


def execute(args: argparse.Namespace) -> int:
    """Exports."""
    wanted = {form: getattr(args, form) for form in action.FORMATS if getattr(args, form) is not None}
    if not wanted and args.otlp is None:
        expected = ", ".join(f"--{form} FILE" for form in action.FORMATS)
        raise UsageError("nothing was asked for", hint=f"give one or more of {expected}, --otlp [URL]")
    if list(wanted.values()).count("-") > 1:
        raise UsageError("only one export can go to standard output")
    for target in wanted.values():
        if target != "-":
            output_files.refuse(Path(target))
    here = Workspace.maybe()
    root = here.root if here is not None else None
    policy = policy_file.load(root or Path.cwd())
    url = action.address(args.otlp, policy.otlp) if args.otlp is not None else None
    found = reading.load(args.what, study=here.files if here is not None else None)
    places = action.places(found, args.what, root) if url or "flamegraph" in wanted else {}
    screen = Screen(sys.stderr if "-" in wanted.values() else None)
    for form, target in wanted.items():
        written = action.write(form, found.document, policy.compression, places)
        if target == "-":
            sys.stdout.buffer.write(written.data)
            sys.stdout.buffer.flush()
            continue
        action.save(Path(target), written.data, args.what)
        note = f" ({written.note})" if written.note else ""
        screen.line(f"wrote {target}: {len(found.document.calls)} calls, {size(len(written.data))}{note}", "good")
    if url is None:
        return EXIT_DONE
    sender = action.Sender(
        service=policy.otlp.service_name, version=__version__, environment=dict(os.environ), now=workspace.now()
    )
    with screen.progress("sending") as update:
        record = action.record_of(found, args.what, root)
        sent = action.send(found.document, url, sender, record=record, places=places, progress=update)
    return _told(sent, screen)


def _told(sent: Sent, screen: Screen) -> int:
    screen.line(
        f"sent {sent.spans - sent.refused} of {sent.spans} spans to {sent.address}: trace {sent.trace}",
        "bad" if sent.refused else "good",
    )
    for reason in sent.reasons:
        screen.line(f"the receiver says: {reason}", "doubt")
    if sent.assumed_time:
        screen.line("the trace does not say when it was made: it was sent as if it ended now", "quiet")
    return EXIT_REMOTE if sent.refused else EXIT_DONE
