"""Drawing sweeps: their trials in a table, one that is being carried out, a list of them."""

from __future__ import annotations

import contextlib
import datetime
import json
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from entrenar_research.actions.sweeps.sitting import Overview
from entrenar_research.core.sweeps.standing import best
from entrenar_research.models.sweep import OPEN_AGAIN, Sweep, TrialRecord
from entrenar_research.views.terminal.screen import Screen, counted, seconds, visible
from entrenar_research.views.terminal.tables import Table
from entrenar_research.views.terminal.widths import cut

TRIAL_STYLES = {
    "completed": "good",
    "failed": "bad",
    "lost": "bad",
    "pruned": "quiet",
    "cancelled": "doubt",
    "running": "strong",
}
_AROUND = 7
_SEVERAL = 3


def number(value: float | None) -> str:
    """A value of the objective as people read it."""
    return "" if value is None else f"{value:.6g}"


def shown(value: Any) -> str:
    """A parameter as people read it."""
    if isinstance(value, float):
        return f"{value:.6g}"
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def assigned(params: Mapping[str, Any]) -> str:
    """Parameters in one line."""
    return " ".join(f"{name}={shown(value)}" for name, value in params.items())


def trial_line(sweep: Sweep, trial: TrialRecord) -> str:
    """A finished trial in one line."""
    worth = f"{sweep.metric} {number(trial.value)}" if trial.value is not None else ""
    took = seconds(trial.seconds) if trial.seconds is not None else ""
    why = "" if trial.value is not None else (trial.reason or "").split("\n")[0]
    parts = (f"trial {trial.number}", trial.status, worth, assigned(trial.params), took, why)
    return "  ".join(part for part in parts if part)


def progress(now: Overview) -> str:
    """How far a sweep is, in words: `5 of 8 trials: 4 completed, 1 failed`."""
    done = now.standing.concluded
    counts = {status: sum(trial.status == status for trial in done) for status in ("completed", "pruned", "failed")}
    parts = [f"{count} {status}" for status, count in counts.items() if count]
    running, waiting = len(now.standing.running), len(now.standing.open)
    again = sum(trial.retry_of is not None for trial in now.standing.trials)
    if now.workers and running:
        parts.append(f"{running} running")
    if waiting:
        parts.append(f"{waiting} cut off")
    if again:
        parts.append(f"{again} tried again")
    limit = max(now.limit or 0, len(done))
    of = f" of {limit}" if limit > len(done) else ""
    noun = "trial" if limit == 1 else "trials"
    return f"{len(done)}{of} {noun}" + (f": {', '.join(parts)}" if parts else "")


def aim(sweep: Sweep) -> str:
    """What a sweep searches for, in words."""
    how = {"grid": "a grid", "random": "a random search", "tpe": "a TPE search"}[sweep.declaration.strategy]
    pruning = ", pruned by Hyperband" if sweep.declaration.pruning is not None else ""
    over = f" of {sweep.declaration.experiment}" if sweep.declaration.experiment else ""
    direction = "highest" if sweep.goal == "maximize" else "lowest"
    return f"{how}{over} for the {direction} {sweep.metric}{pruning}, seed {sweep.declaration.seed}"


def draw(screen: Screen, now: Overview, importance: Mapping[str, float], top: int | None) -> None:
    """A sweep with its trials, or the `top` best of them."""
    sweep, trials = now.sweep, now.standing.trials
    screen.line(f"{sweep.name}: {aim(sweep)}", "strong")
    if sweep.declaration.description:
        screen.line(sweep.declaration.description)
    if not trials:
        screen.line(f"no trials yet: `entrenar-research sweep run {sweep.name}` begins")
        return
    listed = trials if top is None else _best_first(sweep, trials)[:top]
    _draw_table(screen, sweep, listed, best(sweep, trials))
    screen.line(progress(now) + (f"; {counted(now.workers, 'worker')} at work" if now.workers else ""))
    if importance:
        parts = ", ".join(f"{name} {100 * share:.0f} %" for name, share in importance.items())
        screen.line(f"what makes the difference: {parts}")
    bases = {trial.base for trial in trials if trial.base is not None}
    if len(bases) > 1:
        screen.line(
            f"warning: code, inputs, environment or other parameters changed while it ran ({len(bases)} versions): "
            "its trials cannot simply be compared",
            "doubt",
        )
    draw_end(screen, now)


def _best_first(sweep: Sweep, trials: Sequence[TrialRecord]) -> list[TrialRecord]:
    done = [trial for trial in trials if trial.status == "completed" and trial.value is not None]
    return sorted(done, key=lambda trial: (trial.value or 0.0) * (-1 if sweep.goal == "maximize" else 1))


def _draw_table(screen: Screen, sweep: Sweep, trials: Sequence[TrialRecord], first: TrialRecord | None) -> None:
    names = list(sweep.space)
    notes = [_note(trial, first) for trial in trials]
    rows = [
        [
            str(trial.number),
            trial.status,
            number(trial.value if trial.status != "pruned" else trial.intermediate),
            *(shown(trial.params[name]) if name in trial.params else "-" for name in names),
            "" if trial.seconds is None else seconds(trial.seconds),
            trial.run.rpartition("-")[2],
            *([note] if any(notes) else []),
        ]
        for trial, note in zip(trials, notes, strict=True)
    ]
    headings = ["trial", "status", sweep.metric, *names, "time", "run", *(["note"] if any(notes) else [])]
    right = [0, 2, *(3 + place for place, name in enumerate(names) if _numeric(trials, name)), 3 + len(names)]
    styles = [TRIAL_STYLES[trial.status] for trial in trials]
    table = Table(headings, rows, right=right, whole=(1,), styles=styles, styled=1)
    if not screen.terminal:
        for line in table.aligned():
            screen.line(line)
        return
    lines, left_out = table.boxed(shutil.get_terminal_size().columns, colour=screen.lively)
    screen.stream.write("\n".join(lines) + "\n")
    if left_out:
        screen.line(f"no room for: {', '.join(left_out)}", "quiet")


def _numeric(trials: Sequence[TrialRecord], name: str) -> bool:
    values = [trial.params[name] for trial in trials if name in trial.params]
    return bool(values) and all(isinstance(value, int | float) and not isinstance(value, bool) for value in values)


def _note(trial: TrialRecord, first: TrialRecord | None) -> str:
    if first is not None and trial.number == first.number:
        return "best"
    words = [f"again for {trial.retry_of}"] if trial.retry_of is not None else []
    if trial.status not in ("completed", "cancelled"):
        words += [(trial.reason or "").split("\n")[0]]
    return "; ".join(word for word in words if word)


def draw_end(screen: Screen, now: Overview) -> None:
    """What there is to say when a sitting ends: the best trial, and what to do next."""
    sweep, found = now.sweep, now.best
    if found is not None:
        screen.line(
            f"best: trial {found.number}, {sweep.metric} {number(found.value)} with {assigned(found.params)} "
            f"(run {found.run})",
            "good",
        )
    pruned_blindly = sweep.declaration.pruning is not None and all(trial.step is None for trial in now.standing.trials)
    if pruned_blindly and len(now.standing.concluded) >= _SEVERAL:
        words = f"nothing could be pruned: no trial logged {sweep.metric} with a step"
        screen.line(f"note: {words} (run.log_metric({sweep.metric!r}, value, step))", "doubt")
    if not now.over and not now.workers and sweep.declaration.experiment is not None:
        screen.line(f"hint: `entrenar-research sweep run {sweep.name} --resume` goes on with it")
    elif now.over and found is not None and sweep.declaration.experiment is not None:
        screen.line(f"hint: `entrenar-research sweep best {sweep.name} --apply` puts these into the params file")


def plain(now: Overview, importance: Mapping[str, float]) -> dict[str, Any]:
    """A sweep as JSON shows it."""
    sweep = now.sweep
    return {
        "name": sweep.name,
        "declaration": sweep.declaration,
        "goal": sweep.goal,
        "limit": now.limit,
        "done": len(now.standing.concluded),
        "over": now.over,
        "workers": now.workers,
        "best": now.best,
        "importance": dict(importance),
        "trials": now.standing.trials,
    }


class Lines:
    """Tells of every trial that ends, in a line of its own."""

    def __init__(self, screen: Screen, ended_before: Sequence[TrialRecord]) -> None:
        self._screen = screen
        self._told = {trial.number for trial in ended_before if trial.status != "running"}

    def __call__(self, now: Overview) -> None:
        """Tells what is new."""
        for trial in now.standing.trials:
            if trial.status != "running" and trial.number not in self._told:
                self._told.add(trial.number)
                self._screen.line(trial_line(now.sweep, trial), TRIAL_STYLES[trial.status])


@contextlib.contextmanager
def live(screen: Screen) -> Iterator[Callable[[Overview], None]]:
    """An overview on a lively terminal that changes as the sweep goes on, and goes when it ends."""
    began = datetime.datetime.now(datetime.UTC)
    with screen.redrawn() as show:

        def told(now: Overview) -> None:
            elapsed = (datetime.datetime.now(datetime.UTC) - began).total_seconds()
            show(lambda columns, lines: overview(now, columns, lines, elapsed))

        yield told


def overview(now: Overview, columns: int, lines: int, elapsed: float) -> list[tuple[str, str | None]]:
    """The lines of the overview, none wider than `columns` and together no more than `lines`, with their styles."""
    sweep, found = now.sweep, now.best
    done = len(now.standing.concluded)
    head: list[tuple[str, str | None]] = [(f"{sweep.name}: {aim(sweep)}", "strong")]
    if now.limit is not None:
        head.append((bar(done, now.limit, columns), "good"))
    head.append((f"{progress(now)}  {seconds(elapsed)}", None))
    if found is not None:
        best_words = f"best  trial {found.number}  {sweep.metric} {number(found.value)}  {assigned(found.params)}"
        head.append((best_words, "good"))
    running: list[tuple[str, str | None]] = [(_running_line(sweep, trial), None) for trial in now.standing.running]
    ended = [trial for trial in now.standing.trials if trial.status not in ("running", *OPEN_AGAIN)]
    room = max(lines - len(head) - 1, 1)
    if len(running) > room:
        left = len(running) - room + 1
        running = [*running[: room - 1], (f"and {left} more", "quiet")]
    recent = ended[::-1][: min(max(room - len(running), 0), _AROUND)]
    body = running + [(trial_line(sweep, trial), "doubt" if trial.status == "failed" else "quiet") for trial in recent]
    return [(cut(visible(line).replace("\n", " "), columns - 1), style) for line, style in [*head, *body]]


def _running_line(sweep: Sweep, trial: TrialRecord) -> str:
    began = datetime.datetime.fromisoformat(trial.started) if trial.started else None
    passed = "" if began is None else seconds(max(0.0, (datetime.datetime.now(datetime.UTC) - began).total_seconds()))
    so_far = "" if trial.intermediate is None else f"{sweep.metric} {number(trial.intermediate)} at {trial.step}  "
    return f"trial {trial.number}  running  {so_far}{assigned(trial.params)}  {passed}"


def bar(done: int, total: int, columns: int) -> str:
    """A bar of progress that fits."""
    words = f" {done}/{total}"
    room = max(min(columns - len(words) - 1, 60), 4)
    filled = room * min(done, total) // max(total, 1)
    return "━" * filled + "─" * (room - filled) + words


def draw_list(screen: Screen, overviews: Sequence[Overview]) -> None:
    """Every sweep in a line."""
    rows = []
    for now in overviews:
        done = len(now.standing.concluded)
        state = "at work" if now.workers else "done" if now.over else "begun" if now.standing.trials else "new"
        rows.append(
            [
                now.sweep.name,
                now.sweep.declaration.experiment or "-",
                now.sweep.declaration.strategy,
                str(done) if now.limit is None else f"{done}/{max(now.limit, done)}",
                state,
                f"{now.sweep.metric} {number(now.best.value)}" if now.best is not None else "",
            ]
        )
    screen.table(["sweep", "experiment", "strategy", "trials", "state", "best"], rows, right=(3,))
