"""Drawing proofs, attestations, and who agrees."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

from entrenar_research.actions.proving.attest import Attested, Imported
from entrenar_research.actions.proving.consensus import Found
from entrenar_research.actions.proving.prove import Proven
from entrenar_research.core.proofs.agreement import Consensus, Voice
from entrenar_research.models.statement import ConsensusPolicy, World
from entrenar_research.views.terminal.screen import Screen, counted

_STYLES = {"identical": "good", "equal": "good", "within": "good", "different": "bad"}


def draw_proven(screen: Screen, proven: Proven) -> None:
    """What a proof states, and whether it was written just now."""
    predicate = proven.statement.predicate
    claim, evidence, number = predicate.claim, predicate.evidence, predicate.chain.sequence
    if proven.written:
        what = f"statement {number}, since it states another {', '.join(proven.changed)}" if number > 1 else "proven"
        screen.line(f"{proven.path}: {what}", "good")
    else:
        screen.line(f"{proven.path}: nothing to do, statement {number} says the same", "good")
    rows = [
        ["signed with", proven.keyid],
        ["result", f"{claim.result}, {counted(len(proven.statement.subject), 'file')}"],
        ["recipe", f"{claim.recipe}, {counted(len(claim.materials), 'material')}"],
        ["environment", f"{claim.world.environment_hash} ({claim.world.environment_kind}, {claim.world.system})"],
        ["hermetic", _hermetic(claim.world)],
        *(["impurity", _impurity(item.detail, item.version)] for item in evidence.impurities),
    ]
    rows += [["hardware", str(evidence.hardware)]] if evidence.hardware else []
    rows += [["trace", evidence.trace_id]] if evidence.trace_id else []
    rows += [
        ["behaviour", f"golden trace {item.golden}: {'not comparable' if item.score is None else f'{item.score:.4f}'}"]
        for item in evidence.behaviour
    ]
    screen.fields(rows)


def draw_attested(screen: Screen, made: Sequence[Attested], output: Path | None) -> None:
    """How each run compares, and where the attestation is."""
    for item in made:
        claim = item.statement.predicate.claim
        screen.line(f"{item.run}: {claim.verdict} with {claim.world.runner}", _STYLES[claim.verdict])
        rows = [[found.verdict, found.name, found.detail or ""] for found in claim.outputs]
        rows += [[found.verdict, found.name, found.detail or ""] for found in claim.metrics]
        screen.table(["verdict", "what", "detail"], rows, styles=[_STYLES[row[0]] for row in rows])
        screen.line(f"{output or item.path}: {item.standing}", None if item.known else "doubt")


def draw_imported(screen: Screen, found: Iterable[Imported]) -> None:
    """What was taken in, and whose it is."""
    for item in found:
        what = "taken in" if item.fresh else "there already"
        screen.line(f"{item.path}: {what}, {item.verdict}", _STYLES[item.verdict])
        screen.line(item.standing, None if item.known else "doubt")


def draw_consensus(screen: Screen, found: Found) -> None:
    """Everybody who signed something, then whether they agree."""
    result = found.consensus
    draw_voices(screen, result)
    for words in found.damaged:
        screen.line(f"damaged: {words}", "bad")
    keys = counted(len(result.keys), "key")
    hardware = counted(len(result.hardware), "hardware class", "hardware classes")
    told = f"{found.run}: {keys} and {hardware} agree on {found.result[:19]}..."
    if found.reached:
        screen.line(f"{told}: consensus", "good")
    else:
        why = "; ".join((*result.lacking, *(("something that is signed is damaged",) if found.damaged else ())))
        screen.line(f"{told}: no consensus: {why}", "bad")


def draw_voices(screen: Screen, result: Consensus) -> None:
    """Everybody who signed something, by whether they agree."""
    groups = (("agrees", result.agreeing), ("disagrees", result.disagreeing), ("not counted", result.uncounted))
    rows, styles = [], []
    for name, voices in groups:
        for voice in voices:
            said = [voice.who or voice.key, str(voice.hardware or "unknown"), _told(voice)]
            rows.append([name, voice.verdict, *(" ".join(text.split()) for text in said)])  # no lines of their own
            styles.append({"agrees": "good", "disagrees": "bad"}.get(name, "doubt"))
    if rows:
        screen.table(["voice", "verdict", "who", "hardware", "detail"], rows, styles=styles)


def plain_policy(policy: ConsensusPolicy) -> dict[str, object]:
    """A policy with all that it says, the defaults too."""
    return {name: getattr(policy, name) for name in policy.__struct_fields__}


def _told(voice: Voice) -> str:
    parts = [voice.role, voice.unheard, voice.detail, voice.notes]
    return "; ".join(part for part in parts if part)


def _hermetic(world: World) -> str:
    return f"yes, with {world.runner}" if world.hermetic else f"no: runner {world.runner}"


def _impurity(detail: str, version: str | None) -> str:
    return f"{detail}, {version}" if version else detail
