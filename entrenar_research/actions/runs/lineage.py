"""The lineage of a study's runs: read from their records, looked at, checked, and added to while a run is open."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Callable, Iterable, Iterator

import msgspec

from entrenar_research.core.lineage import graph as rules
from entrenar_research.core.lineage.graph import Dag, Fault
from entrenar_research.errors import UsageError
from entrenar_research.models.run import RunRecord
from entrenar_research.models.tracking import Lineage, Parent
from entrenar_research.store import locks, run_notes
from entrenar_research.store.catalogue.catalogue import Catalogue
from entrenar_research.store.logged import log
from entrenar_research.store.run_files import RunFiles
from entrenar_research.store.study_files import StudyFiles

Progress = Callable[[int, int], None]
_STAMP = re.compile(r"^\d{8}T\d{9}Z-(?=.)")


class Relative(msgspec.Struct, frozen=True, kw_only=True):
    """What the lineage and a merge need of a run's record. `lineage` is what it states, None without parents."""

    id: str
    experiment: str
    status: str
    started: str = ""
    lineage: Lineage | None = None
    result: str | None = None
    result_md5: str | None = None


class Family(msgspec.Struct, frozen=True, kw_only=True):
    """Runs and the graph that their parents make. A parent that is not in the study is not among `members`.

    `names` has a short name of each, `<experiment>-<4 random>`, where no other run has the same, else its id.
    """

    dag: Dag
    members: dict[str, Relative]
    names: dict[str, str]

    def around(self, run: str) -> Family:
        """The run, what it comes from and what comes from it."""
        return self.only({run, *self.dag.ancestors(run), *self.dag.descendants(run)})

    def related(self) -> Family:
        """The runs that have a parent or a child."""
        return self.only(run for run in self.dag.links if self.dag.parents[run] or self.dag.children[run])

    def only(self, runs: Iterable[str]) -> Family:
        """The drawing of these runs; what they state of their parents stays."""
        return msgspec.structs.replace(self, dag=self.dag.narrowed(runs))

    def parents(self, run: str) -> tuple[Parent, ...]:
        """Every parent that the run states, drawn or not."""
        member = self.members.get(run)
        return member.lineage.parents if member is not None and member.lineage is not None else ()


def relative(record: RunRecord) -> Relative:
    """A run as the lineage sees it."""
    return Relative(
        id=record.id,
        experiment=record.experiment,
        status=record.status,
        started=record.started,
        lineage=record.lineage,
        result=record.result,
        result_md5=record.result_md5,
    )


def family(relatives: Iterable[Relative]) -> Family:
    """The graph of some runs."""
    members = {item.id: item for item in relatives}
    dag = Dag({run: item.lineage.parents if item.lineage else () for run, item in members.items()})
    short = {run: _STAMP.sub("", run) for run in dag.links}
    times: dict[str, int] = {}
    for name in short.values():
        times[name] = times.get(name, 0) + 1
    names = {run: name if times[name] == 1 else run for run, name in short.items()}
    return Family(dag=dag, members=members, names=names)


def load(study: StudyFiles, progress: Progress = lambda done, total: None) -> Family:
    """The lineage of every run of a study; of an open run with the parents that it has logged so far."""
    catalogue = Catalogue(study.root)
    with contextlib.closing(catalogue):
        catalogue.refresh(progress)
        return family(_decoded(catalogue.documents()))


def _decoded(documents: Iterable[tuple[str, bytes]]) -> Iterator[Relative]:
    """Records as far as they concern us; one of a later version that says something else is left out."""
    decoder = msgspec.json.Decoder(Relative)
    for _, document in documents:
        with contextlib.suppress(msgspec.ValidationError):
            yield decoder.decode(document)


def check(study: StudyFiles, found: Family) -> tuple[Fault, ...]:
    """Cycles, missing parents, and Lamport times that the records of closed runs state wrongly."""
    runs = RunFiles(study.root)
    closed = {run: item.lineage for run, item in found.members.items() if item.lineage is not None and runs.closed(run)}
    return rules.faults(found.dag, closed)


def add(study: StudyFiles, found: Family, run: str, link: Parent) -> None:
    """Adds a parent to an open run, which need not be alive.

    Raises:
        UsageError: if the run is closed, has the parent already, or would come from itself; or if a closed run states
            a Lamport time that would no longer be right.
        StorageError: if the file system refuses.
    """
    if link.role is not None and (not link.role.strip() or not link.role.isprintable()):
        raise UsageError(f"role {link.role!r}: expected a word or two without control characters")
    if any((item.run, item.relationship, item.role) == (link.run, link.relationship, link.role)
           for item in found.parents(run)):  # fmt: skip
        raise UsageError(f"{run} has that parent already, with the same relationship and role")
    with locks.exclusive(study.state):
        _refuse_closed(study, run)
        grown = Dag({**found.dag.links, run: (*found.dag.links[run], link)})
        cycles = grown.cycles()
        if cycles and not found.dag.cycles():
            raise UsageError(f"{run} would come from itself: {' -> '.join(cycles[0])}")
        runs = RunFiles(study.root)
        closed = sorted(item for item in found.dag.descendants(run) if runs.closed(item))
        if closed and grown.times.get(run) != found.dag.times.get(run):
            raise UsageError(
                f"{closed[0]} comes from {run} and is closed; the Lamport time that it states would become wrong",
                hint="say what a run comes from before other runs that come from it are closed",
            )
        fields = {"run": link.run, "relationship": link.relationship, "role": link.role}
        run_notes.add(runs.directory(run), "parent", {key: item for key, item in fields.items() if item is not None})


def _refuse_closed(study: StudyFiles, run: str) -> None:
    runs = RunFiles(study.root)
    if runs.closed(run) or log.is_sealed(runs.directory(run)):
        raise UsageError(
            f"{run} is closed, and a closed run is never changed",
            hint="say what a run comes from while it is made: er.start_run(..., parents=...) or run.add_parent(...)",
        )
