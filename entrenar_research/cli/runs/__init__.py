"""Look at recorded runs. A run is named by its id, a unique part of it, or an experiment (its last good run)."""

from __future__ import annotations

from entrenar_research.cli.verbs import Verbs

VERBS: dict[str, str] = {
    "list": "the runs, filtered, sorted, with the columns you ask for",
    "show": "one run in full",
    "watch": "follow a run while it is under way",
    "compare": "runs side by side: what differs, every metric, their curves",
    "query": "SQL over runs, parameters, metrics, failures and all else that is recorded",
    "plot": "curves of logged metrics: in the terminal, or as SVG, PNG or HTML",
    "failures": "how often what went wrong, and why one run failed",
    "recover": "seal what a crash left open, and what scripts finished by themselves",
    "remove": "delete runs that nothing stands on",
}

_VERBS = Verbs(__name__, VERBS)
configure, configure_for, execute = _VERBS.configure, _VERBS.configure_for, _VERBS.execute
