"""Drawing builds of the tool itself: what was signed, and who agrees."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from entrenar_research.actions.building.attest import Attested, Imported
from entrenar_research.actions.building.consensus import Found
from entrenar_research.views.terminal.proofs import draw_voices
from entrenar_research.views.terminal.screen import Screen, counted


def draw_attested(screen: Screen, made: Attested, output: Path | None) -> None:
    """What was built and signed, and where that is."""
    claim, evidence = made.statement.predicate.claim, made.statement.predicate.evidence
    screen.line(f"{claim.name} {claim.version}: {claim.nar_hash}", "good")
    screen.fields(
        [
            ["output", claim.output],
            ["sources", claim.source],
            ["closure lock", claim.lock],
            ["built now", _names(evidence.built)],
            ["built again", _names(evidence.rebuilt)],
            ["hardware", str(evidence.hardware)],
        ]
    )
    screen.line(f"{output or made.path}: {made.standing}", None if made.known else "doubt")


def draw_imported(screen: Screen, found: Iterable[Imported]) -> None:
    """What was taken in, and whose it is."""
    for item in found:
        what = "taken in" if item.fresh else "there already"
        says = "the same build as here" if item.same else f"another build than here: {item.nar_hash}"
        screen.line(f"{item.path}: {what}, {says}", "good" if item.same else "bad")
        screen.line(item.standing, None if item.known else "doubt")


def draw_consensus(screen: Screen, found: Found) -> None:
    """Everybody who signed a build of these sources, then whether this one is theirs."""
    result = found.consensus
    draw_voices(screen, result)
    for words in found.elsewhere:
        screen.line(f"not counted: {words}", "doubt")
    for words in found.damaged:
        screen.line(f"damaged: {words}", "bad")
    here = f"{found.here.name} {found.here.version}: this build ({found.here.nar_hash})"
    builders = counted(len(result.keys), "independent builder")
    on = counted(len(result.hardware), "hardware class", "hardware classes")
    if found.common is None:
        screen.line(f"{here} has no builder who counts", "bad")
    elif not found.same:
        screen.line(f"{here} differs from the consensus hash of {builders}: {found.common.nar_hash}", "bad")
    elif found.reached:
        screen.line(f"{here} matches the consensus hash of {builders}, on {on}", "good")
    else:
        screen.line(f"{here} is what {builders} on {on} came to", "doubt")
    why = [*result.lacking, *(["something that is signed is damaged"] if found.damaged else [])]
    if why:
        screen.line(f"no consensus: {'; '.join(why)}", "bad")


def _names(paths: Iterable[str]) -> str:
    return ", ".join(path.rpartition("/")[2].partition("-")[2] for path in paths) or "nothing"
