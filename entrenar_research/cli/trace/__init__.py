"""System calls of any command, in a study or not: recorded, summed up, compared, checked and exported."""

from __future__ import annotations

from entrenar_research.cli.verbs import Verbs

VERBS: dict[str, str] = {
    "record": "run a command and write down its system calls",
    "summary": "how often each call was made, failed, and how long it took; or what spans came to",
    "show": "the calls of a trace: all, or those of a name, process or span, or that failed",
    "compare": "how alike two traces are, and where they part first",
    "check": "hold a trace against the assertions of renacer.toml, and look for anti-patterns",
    "export": "write a trace for other viewers, or send it to a receiver of OpenTelemetry",
}

_VERBS = Verbs(__name__, VERBS)
configure, configure_for, execute = _VERBS.configure, _VERBS.configure_for, _VERBS.execute
