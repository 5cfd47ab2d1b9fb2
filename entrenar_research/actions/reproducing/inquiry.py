"""The inquiry: rebuild, compare, and on a difference find out why by changing one thing at a time.

First nothing is varied. If that differs, the cause is time, randomness, threads, or something that has a new name each
time: content tells, or holding one of them still. If it does not, everything chosen is varied at once, and if that
differs one by one. A cause is named only with its evidence.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Final

import msgspec

from entrenar_research.actions.reproducing import comparing
from entrenar_research.actions.reproducing.port import LOADED, Built, Note, Workshop
from entrenar_research.core.reproducing import causes, clues, factors, suspects
from entrenar_research.core.reproducing.factors import Alteration
from entrenar_research.errors import RunFailedError, UsageError
from entrenar_research.models.reproduction import Cause, Difference, Explained, Outcome, Rebuild, Reproduction, Sure

_NOTED: Final = {
    causes.CLOCK: ("clock",),
    causes.RANDOMNESS: ("random",),
    causes.DIRECTORY_ORDER: ("order",),
    causes.THREADS: ("threads",),
    causes.HOST: ("host",),
    causes.TEMPORARY: ("temporary",),
    causes.PROCESS: ("process",),
}
"""What the hook notes where a program asks for what may be the cause."""
_PROMPTS: Final = {causes.CLOCK: ("clock",), causes.RANDOMNESS: ("random", "random on import", "temporary")}
"""Without any of these notes the cause is ruled out, if the hook was there."""
_HELD_TIMES: Final = 2
_HELD_AMONG_THREADS: Final = 5
"""Where threads are at work, two that agree may be chance."""

Key = tuple[str, str]
Progress = Callable[[int, int], None]


class Asked(msgspec.Struct, frozen=True, kw_only=True):
    """What a person asks for: how many plain rebuilds, which factors to vary (None: all, if the plain ones agree).

    With `explain` each factor is varied by itself, although all at once make no difference.
    """

    times: int = 2
    vary: tuple[str, ...] | None = None
    explain: bool = False


class Recorded(msgspec.Struct, frozen=True, kw_only=True):
    """The result of a run that was made in the same way, from the same files."""

    run: str
    result: Path
    circumstances: clues.Circumstances


def key(difference: Difference) -> Key:
    """The place of a difference; one byte of a file stands for all of it."""
    return difference.file, "" if difference.place.startswith("byte ") else difference.place


class Inquiry:
    """One experiment, rebuilt until it is known whether it reproduces, and why not."""

    def __init__(
        self, workshop: Workshop, experiment: str, asked: Asked, progress: Progress, recorded: Recorded | None = None
    ) -> None:
        self._workshop, self._experiment, self._asked, self._progress = workshop, experiment, asked, progress
        self._recorded = recorded
        self._rebuilds: list[Rebuild] = []
        self._findings: list[Explained] = []
        self._notes: list[str] = []
        self._planned = asked.times
        self._failing: set[str] = set()
        self._usual: Built

    def carry_out(self) -> Reproduction:
        """Everything, in its order.

        Raises:
            RunFailedError: if the command fails as it is.
            KeyboardInterrupt: if the person stops it.
        """
        self._usual = self._plain(1)
        if self._usual.result is None:
            raise RunFailedError(f"{self._experiment} cannot be rebuilt: {self._usual.rebuild.detail}")
        unlike: dict[Key, tuple[Difference, Built]] = {}
        for number in range(2, self._asked.times + 1):
            built = self._plain(number)
            if built.result is None:
                words = "it went well before, with nothing varied"
                self._find(_nothing(built), causes.UNKNOWN, "not found", words, built.rebuild.name)
            for difference in self._against(built):
                unlike.setdefault(key(difference), (difference, built))
        if unlike:
            self._why(unlike)
        failed = any(item.outcome == "failed" for item in self._rebuilds)
        wanted = self._asked.vary if self._asked.vary is not None else factors.GROUPS["all"]
        if wanted and (self._asked.vary is not None or self._asked.explain or not (unlike or failed)):
            self._vary(wanted, frozenset(unlike))
        elif unlike and wanted:
            self._notes.append("nothing was varied: rebuilds differ as they are, which is to be mended first")
        if self._recorded is not None:
            self._remember(self._recorded, self._usual)
        return Reproduction(
            experiment=self._experiment,
            runner=self._workshop.runner,
            rebuilds=tuple(self._rebuilds),
            findings=tuple(self._findings),
            notes=tuple(self._notes),
        )

    def _plain(self, number: int) -> Built:
        return self._rebuild(f"rebuild {number}", Alteration())

    def _rebuild(
        self, name: str, alteration: Alteration, changed: Iterable[str] = (), *, watched: bool = False
    ) -> Built:
        self._planned = max(self._planned, len(self._rebuilds) + 1)
        self._progress(len(self._rebuilds), self._planned)
        reason = self._workshop.refuses(alteration)
        if reason is not None:
            left_out = Rebuild(name=name, outcome="left out", changed=tuple(changed), detail=reason)
            self._rebuilds.append(left_out)
            return Built(rebuild=left_out, circumstances=clues.Circumstances(began=0, ended=0))
        built = self._workshop.rebuild(name, alteration, changed, watched=watched)
        self._rebuilds.append(built.rebuild)
        return built

    def _against(self, built: Built, reference: Built | None = None) -> tuple[Difference, ...]:
        """Where a rebuild differs from the first one; notes what became of it."""
        first = (reference or self._usual).result
        if built.result is None or first is None:
            return ()
        found = comparing.differences(first, built.result)
        outcome: Outcome = "different" if found else "identical"
        at = self._rebuilds.index(built.rebuild)
        detail = "" if reference is None else f"compared with {reference.rebuild.name}"
        self._rebuilds[at] = msgspec.structs.replace(built.rebuild, outcome=outcome, detail=detail)
        return found

    def _find(self, difference: Difference, cause: str, sure: Sure, evidence: str, rebuild: str) -> None:
        named = Cause(name=cause, sure=sure, evidence=evidence, fix=causes.FIXES[cause])
        self._findings.append(Explained(difference=difference, cause=named, rebuild=rebuild))

    # --- rebuilds that differ with nothing varied ---------------------------------------------------------------

    def _why(self, unlike: Mapping[Key, tuple[Difference, Built]]) -> None:
        """Why rebuilds differ that are alike: what a difference looks like tells, or holding one thing still."""
        if self._workshop.tells:
            watched = self._rebuild("watched", Alteration(), watched=True)
            self._against(watched)
        else:
            watched = self._usual
        rest: dict[Key, tuple[Difference, Built]] = {}
        for place, (difference, built) in unlike.items():
            clue = clues.clue(difference, self._usual.circumstances, built.circumstances)
            if clue is None:
                rest[place] = (difference, built)
            else:
                evidence = clue.evidence + _where(watched.notes, clue.cause)
                self._find(difference, clue.cause, "seen", evidence, built.rebuild.name)
        tried = [cause for cause in factors.HELD if rest and not self._ruled_out(cause, watched)]
        for cause in tried:
            self._hold(cause, watched, rest)
        for difference, built in rest.values():
            told = LOADED in {note.what for note in watched.notes} or not self._workshop.tells
            words = _searched(tried, told=told)
            self._find(difference, causes.UNKNOWN, "not found", words, built.rebuild.name)

    def _ruled_out(self, cause: str, watched: Built) -> bool:
        """Whether nobody asked for what may be the cause, as far as the hook saw, or it was not there to hold it."""
        if cause not in _PROMPTS or not self._workshop.tells:
            return False
        asked = {note.what for note in watched.notes}
        if LOADED not in asked:
            return cause == causes.CLOCK
        return asked.isdisjoint(_PROMPTS[cause])

    def _hold(self, cause: str, watched: Built, rest: dict[Key, tuple[Difference, Built]]) -> None:
        """Rebuilds with one thing held still; what differs no more has that cause, and is taken out of `rest`."""
        if not rest:
            return
        threads = any(note.what.startswith("threads") for note in watched.notes)
        times = _HELD_AMONG_THREADS if threads or cause == causes.THREADS else _HELD_TIMES
        alteration = factors.held(cause, self._workshop.here)
        word, how = factors.HELD[cause]
        first: Built | None = None
        still: set[Key] = set()
        files: set[str] = set()
        for number in range(1, times + 1):
            built = self._rebuild(f"{word} held still, {number}", alteration, (cause,), watched=bool(alteration.hook))
            if built.result is None:
                return
            if first is None:
                first = built
                continue
            found = self._against(built, first)
            still |= {key(difference) for difference in found}
            files |= {difference.file for difference in found}
            if still.issuperset(rest):
                return
        for place in [place for place in rest if place not in still and not (place[1] == "" and place[0] in files)]:
            difference, built = rest.pop(place)
            evidence = f"the same in {times} rebuilds once {how}{_where(watched.notes, cause)}"
            named = causes.HASH_ORDER if cause == causes.ADDRESS and difference.kind == "order" else cause
            self._find(difference, named, "shown", evidence, built.rebuild.name)

    def _remember(self, recorded: Recorded, usual: Built) -> None:
        """The recorded result against the first rebuild: what differs in other places than was found already."""
        if usual.result is None:
            return
        found = comparing.differences(recorded.result, usual.result)
        outcome: Outcome = "different" if found else "identical"
        self._rebuilds.append(Rebuild(name="recorded result", outcome=outcome, detail=f"of run {recorded.run}"))
        known = {key(item.difference) for item in self._findings}
        for difference in found:
            if key(difference) in known:
                continue
            clue = clues.clue(difference, recorded.circumstances, usual.circumstances)
            if clue is not None:
                self._find(difference, clue.cause, "seen", clue.evidence, "recorded result")
                continue
            words = "the rebuilds agree with each other: the run had another machine, environment or program"
            self._find(difference, causes.UNKNOWN, "not found", words, "recorded result")

    # --- rebuilds with something varied ---------------------------------------------------------------------------

    def _vary(self, wanted: tuple[str, ...], known: frozenset[Key]) -> None:
        """All factors at once, in each of their ways; where that makes a difference, or to explain, one by one."""
        if len(wanted) == 1 or self._asked.explain:
            self._planned += len(wanted)
            for name in wanted:
                for number in range(factors.ROUNDS):
                    if self._one(name, number, known):
                        break
            return
        self._planned += factors.ROUNDS
        explained: set[Key] = set()
        for number in range(factors.ROUNDS):
            built = self._everything(wanted, number)
            unlike = [item for item in self._against(built) if key(item) not in known]
            failed = built.rebuild.outcome == "failed"
            for name in suspects.ranked(wanted, unlike, number, self._workshop.here):
                if not failed and explained.issuperset(map(key, unlike)):
                    break
                explained |= self._one(name, number, known)
            self._unexplained(built, unlike, explained)

    def _unexplained(self, built: Built, unlike: list[Difference], explained: set[Key]) -> None:
        """What differs, or fails, only when everything is varied at once."""
        files = {file for file, _ in explained}
        words = "it differs when everything is varied at once, but not when one thing is"
        for difference in unlike:
            if key(difference) not in explained and difference.file not in files:
                self._find(difference, causes.UNKNOWN, "not found", words, built.rebuild.name)
        if built.rebuild.outcome == "failed" and not any(item.difference.file == "" for item in self._findings):
            words = "it fails when everything is varied at once, but not when one thing is"
            self._find(_nothing(built), causes.UNKNOWN, "not found", words, built.rebuild.name)

    def _everything(self, wanted: tuple[str, ...], number: int) -> Built:
        each = [(name, factors.varied(name, number, self._workshop.here)) for name in wanted]
        possible = [(name, item) for name, item in each if self._workshop.refuses(item) is None]
        names = tuple(name for name, _ in possible)
        return self._rebuild(f"all varied, {number + 1}", factors.together(item for _, item in possible), names)

    def _one(self, name: str, number: int, known: frozenset[Key]) -> set[Key]:
        """One factor varied by itself: the places that it changes."""
        if name in self._failing:
            return set()
        alteration = factors.varied(name, number, self._workshop.here)
        built = self._rebuild(f"{name} varied, {number + 1}", alteration, (name,))
        if built.rebuild.outcome == "failed":
            self._failing.add(name)
            self._failed_for(name, built)
        found = [item for item in self._against(built) if key(item) not in known]
        if found:
            self._confirmed(name, alteration, built, found)
        return {key(item) for item in found}

    def _failed_for(self, name: str, built: Built) -> None:
        factor = factors.BY_NAME[name]
        self._find(
            _nothing(built), factor.cause, "shown", f"it fails with {factor.words}, and only then", built.rebuild.name
        )

    def _confirmed(self, name: str, alteration: Alteration, built: Built, found: list[Difference]) -> None:
        """Once more, watched: whether it is the same difference again, and who asked for what was varied."""
        factor = factors.BY_NAME[name]
        again = self._rebuild(f"{name} varied, again", alteration, (name,), watched=True)
        unsteady = {key(item) for item in self._against(again, built)}
        for difference in found:
            cause = _named(factor.cause, difference)
            evidence = f"another with {factor.words}, and with nothing else varied{_where(again.notes, cause)}"
            if again.result is None:
                evidence += f"; it could not be confirmed: {again.rebuild.detail}"
            elif key(difference) in unsteady and cause != causes.THREADS:
                words = f"another now and then: in one of two rebuilds with {factor.words}, so that proves nothing"
                self._find(difference, causes.UNKNOWN, "not found", words, built.rebuild.name)
                continue
            self._find(difference, cause, "shown", evidence, built.rebuild.name)


def _nothing(built: Built) -> Difference:
    """A rebuild that failed has no result to differ in any place."""
    return Difference(file="", place="", kind="absent", detail=built.rebuild.detail)


def _searched(tried: Iterable[str], *, told: bool) -> str:
    """What was done to find a cause that was not found."""
    words = f"no clue in the content; still different with {', '.join(factors.HELD[cause][0] for cause in tried)} held"
    return words if told else f"{words}; no program in Python that could be looked into"


def _named(cause: str, difference: Difference) -> str:
    """The cause that a factor stands for, more closely for what has modification times in it."""
    inside = difference.kind == "bytecode" or difference.file.endswith(".pyc") or ".pyc: " in difference.place
    return causes.BYTECODE if cause == causes.STAMPS and inside else cause


def _where(notes: frozenset[Note], cause: str) -> str:
    """Where in the study's own code a program asked for it."""
    places = sorted({note.place for note in notes if note.what in _NOTED.get(cause, ()) and note.place != "-"})
    return f"; asked for at {', '.join(places[:4])}" if places else ""


def refuse(asked: Asked) -> None:
    """Refuses numbers that make no sense.

    Raises:
        UsageError: if fewer than two rebuilds are wanted.
    """
    if asked.times < 2:
        raise UsageError(f"--times: found {asked.times}, expected 2 or more: one result has nothing beside it")
