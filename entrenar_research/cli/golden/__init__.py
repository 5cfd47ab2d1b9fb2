"""Golden traces: the behaviour of an experiment, promoted from a run, that later runs are held against."""

from __future__ import annotations

from entrenar_research.cli.verbs import Verbs

VERBS: dict[str, str] = {
    "promote": "make the trace of a run golden, if every gate lets it pass",
    "check": "trace the experiment anew and compare; exit 1 at the first divergence",
    "list": "the golden traces of this study",
    "show": "one golden trace: record, gates, noise, most frequent calls",
    "diff": "where two traces part: golden ones, or those of runs",
    "retire": "remove a golden trace and note why",
    "ci": "have them checked on every change: files for GitHub, GitLab, pre-commit and Git",
}

_VERBS = Verbs(__name__, VERBS)
configure, configure_for, execute = _VERBS.configure, _VERBS.configure_for, _VERBS.execute
