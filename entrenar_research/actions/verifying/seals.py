"""Checking the seals of a study: every tag's signature, and what it states and holds against what is here."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

import msgspec

from entrenar_research.actions import seal
from entrenar_research.errors import ResearchError
from entrenar_research.models.run import RunRecord
from entrenar_research.models.verdict import Finding, Verdict
from entrenar_research.store import git_files, proof_files
from entrenar_research.store.golden_files import GoldenFiles
from entrenar_research.store.study_files import StudyFiles
from entrenar_research.store.sweeps.declared import SweepFiles
from entrenar_research.tools.git import Git

AREA = "signatures"
_OURS = re.compile(r"(experiment|golden|sweep|prereg)/[^/]+")
_BEGIN = "-----BEGIN SSH SIGNATURE-----"


class Tag(msgspec.Struct, frozen=True, kw_only=True):
    """A readable tag object of ours: its name, the commit it names, what its message states."""

    name: str
    commit: str
    stated: dict[str, str]


def check_tags(
    study: StudyFiles, git: Git, latest: Mapping[str, RunRecord], *, trusted: Path | None = None
) -> tuple[Finding, ...]:
    """Every tag's signature, and what seals hold; `trusted` names the signers to accept, else the study's own list.

    With `trusted` somebody has to vouch: what no seal holds is then `broken`, not `unknown`.
    """
    known = git.tags()
    findings = _check_references(git, known)
    signers = trusted or study.allowed_signers
    whose = "accepted by the list you gave" if trusted else "listed by the study itself"
    for name in sorted(known):
        findings.append(_check_tag(git, name, signers, whose))
    ours = {name: tag for name in sorted(known) if (tag := _read(git, name)) is not None}
    missing = Verdict.BROKEN if trusted else Verdict.UNKNOWN
    for tag in ours.values():
        findings += _check_runs(git, tag)
    findings += _check_experiments(git, ours, latest, missing)
    findings += _check_golden(study, git, ours, missing)
    findings += _check_sweeps(study, git, ours, missing)
    return tuple(findings)


def nobody(trusted: Path | None) -> Finding:
    """What to say of files without any history."""
    verdict = Verdict.BROKEN if trusted else Verdict.UNKNOWN
    detail = "there is no Git history: nobody vouches for these files"
    return Finding(area=AREA, subject="history", verdict=verdict, detail=detail)


def _tag(name: str, verdict: Verdict, detail: str) -> Finding:
    return Finding(area=AREA, subject=f"tag {name}", verdict=verdict, detail=detail)


def _check_references(git: Git, known: Mapping[str, str]) -> list[Finding]:
    """The files that hold the references, and tags that are not where tags are."""
    directory = git.common_directory()
    if directory is None:
        return []
    written = git_files.references(directory)
    findings = [
        Finding(area=AREA, subject=subject, verdict=Verdict.BROKEN, detail=detail) for subject, detail in written.odd
    ]
    for name in sorted(written.tags - set(known)):
        findings.append(_tag(name, Verdict.BROKEN, "its reference leads nowhere"))
    for name, peeled in written.peeled.items():
        if name.removeprefix(git_files.TAGS) in known and git.peeled(name) != peeled:
            detail = f"{git_files.PACKED} says that it leads to {peeled[:10]}, it does not"
            findings.append(_tag(name.removeprefix(git_files.TAGS), Verdict.BROKEN, detail))
    for name, (kind, object_id) in git.references().items():
        if kind == "tag" and not name.startswith(git_files.TAGS):
            findings.append(_tag(name, Verdict.BROKEN, f"a tag ({object_id[:10]}) outside of {git_files.TAGS}"))
        for part in (object_id, git.peeled(name)) if kind == "tag" else ():
            if part is not None and git_files.padded_oddly(directory, part):
                detail = f"the object {part} was changed: its padding is not zero"
                findings.append(_tag(name.removeprefix(git_files.TAGS), Verdict.BROKEN, detail))
    return findings


def _check_tag(git: Git, name: str, signers: Path, whose: str) -> Finding:
    shown = git.call("cat-file", "-p", f"refs/tags/{name}", check=False)
    if shown.status != 0:
        return _tag(name, Verdict.BROKEN, shown.stderr.decode("utf-8", "replace").strip().replace("\n", "; "))
    called = _header(shown.text).get("tag")
    if called is not None and called != name:
        return _tag(name, Verdict.BROKEN, f"the tag itself says that its name is {called}")
    if called is None or _BEGIN not in shown.text:
        if not _OURS.match(name):
            return _tag(name, Verdict.UNKNOWN, "an unsigned tag")
        return _tag(name, Verdict.BROKEN, "not signed: expected a tag that is signed with an SSH key")
    return _check_signature(git, name, signers, whose)


def _check_signature(git: Git, name: str, signers: Path, whose: str) -> Finding:
    if not signers.is_file():
        return _tag(name, Verdict.BROKEN, "signed, but there is no keys/allowed_signers that says by whom")
    check = git.verify_tag(name, signers)
    if not check.good:
        return _tag(name, Verdict.BROKEN, check.message or "no good signature")
    return _tag(name, Verdict.IDENTICAL, f"signed by {check.signer} with {check.fingerprint}, {whose}")


def _header(text: str) -> dict[str, str]:
    lines = text.partition("\n\n")[0].splitlines()
    return dict(line.split(" ", 1) for line in lines if " " in line)


def _read(git: Git, name: str) -> Tag | None:
    """A tag of ours that can be read, under its own name; of the others `_check_tag` speaks."""
    if not _OURS.match(name):
        return None
    shown = git.call("cat-file", "-p", f"refs/tags/{name}", check=False)
    header = _header(shown.text)
    if shown.status != 0 or header.get("tag") != name or header.get("type") != "commit":
        return None
    return Tag(name=name, commit=header["object"], stated=seal.statement(shown.text))


def _check_runs(git: Git, tag: Tag) -> list[Finding]:
    """A finished run never changes: what a seal holds of it is what the last commit holds, if it is still there.

    Proofs and attestations may come later, and a proof may grow.
    """
    run = tag.stated.get("run")
    if run is None or "/" in run:
        return []
    place = f"runs/{run}"
    return _compare(git, tag, place, later=(f"{place}/{proof_files.PROOF}", f"{place}/{proof_files.ATTESTATIONS}/"))


def _grown(git: Git, path: str, then: str, now: str) -> bool:
    """Whether a file only became longer, by whole lines."""
    old, new = (git.call("cat-file", "blob", blob, check=False).stdout for blob in (then, now))
    return path.endswith(proof_files.PROOF) and old.endswith(b"\n") and new.startswith(old)


def _compare(git: Git, tag: Tag, place: str, *, later: tuple[str, ...] = ()) -> list[Finding]:
    """The files at `place` in the sealed commit against those in the last one; some may have come `later`."""
    try:
        then = {entry.path: entry for entry in git.tree(tag.commit, place)}
        now = {entry.path: entry for entry in git.tree("HEAD", place)}
    except ResearchError:
        return []  # check_tree and check_objects name what cannot be read
    if not now:
        return []
    findings = []
    for path in sorted({*then, *now}):
        added = path.startswith(later) and path in now
        if added and (path not in then or _grown(git, path, then[path].blob, now[path].blob)):
            continue
        if then.get(path) != now.get(path):
            was = "is not in the last commit" if path not in now else "came later" if path not in then else "differs"
            detail = f"{was}; {tag.name} seals it as in commit {tag.commit[:10]}"
            findings.append(Finding(area=AREA, subject=path, verdict=Verdict.DIFFERENT, detail=detail))
    return findings


def _check_experiments(
    git: Git, ours: Mapping[str, Tag], latest: Mapping[str, RunRecord], missing: Verdict
) -> list[Finding]:
    """What the newest seal of each experiment states, against the record of the last good run."""
    findings = []
    for name, record in latest.items():
        newest = seal.newest(dict.fromkeys(ours, ""), "experiment", name)
        if newest is None:
            detail = "not sealed: nobody vouches for it"
            findings.append(Finding(area=AREA, subject=name, verdict=missing, detail=detail))
            continue
        tag = ours[newest]
        if tag.stated.get("run") != record.id:
            detail = f"seals run {tag.stated.get('run')}; the last good run {record.id} is not sealed"
            findings.append(_tag(newest, missing, detail))
        elif (tag.stated.get("recipe"), tag.stated.get("result")) != (record.recipe, record.result):
            subject = f"runs/{record.id}/run.yaml"
            detail = f"its recipe or result digest is not the one that {newest} seals"
            findings.append(Finding(area=AREA, subject=subject, verdict=Verdict.DIFFERENT, detail=detail))
        if not git.is_ancestor(tag.commit):
            detail = f"names commit {tag.commit[:10]}, which is not in the history of the last commit"
            findings.append(_tag(newest, missing, detail))
    return findings


def _check_sweeps(study: StudyFiles, git: Git, ours: Mapping[str, Tag], missing: Verdict) -> list[Finding]:
    """Every sweep with trials against its newest seal: it may go on afterwards, but nobody vouches for that."""
    places = SweepFiles(study)
    findings = []
    for name in (name for name in places.names() if places.journal(name).is_file()):
        newest = seal.newest(dict.fromkeys(ours, ""), "sweep", name)
        place = f"sweeps/{name}"
        if newest is None:
            detail = "not sealed: nobody vouches for it"
            findings.append(Finding(area=AREA, subject=place, verdict=missing, detail=detail))
        elif changed := _compare(git, ours[newest], place):
            paths = ", ".join(item.subject.removeprefix(f"{place}/") for item in changed[:3])
            detail = f"seals {place} as in commit {ours[newest].commit[:10]}; {paths} changed since and is not sealed"
            findings.append(_tag(newest, missing, detail))
    return findings


def _check_golden(study: StudyFiles, git: Git, ours: Mapping[str, Tag], missing: Verdict) -> list[Finding]:
    """Every golden trace against its newest seal; one that was promoted anew since is not sealed."""
    golden = GoldenFiles(study.root)
    findings = []
    for name in golden.names():
        newest = seal.newest(dict.fromkeys(ours, ""), "golden", name)
        subject = golden.relative(name)
        if newest is None:
            detail = "not sealed: nobody vouches for it"
            findings.append(Finding(area=AREA, subject=subject, verdict=missing, detail=detail))
            continue
        tag = ours[newest]
        try:
            record = golden.load(name)
        except ResearchError as error:
            detail = error.message
            findings.append(Finding(area=AREA, subject=subject, verdict=Verdict.BROKEN, detail=detail))
            continue
        if (tag.stated.get("run"), tag.stated.get("trace")) == (record.run, record.trace_id):
            findings += _compare(git, tag, subject)
        else:
            detail = f"seals the trace of run {tag.stated.get('run')}; {subject} was promoted anew and is not sealed"
            findings.append(_tag(newest, missing, detail))
    return findings
