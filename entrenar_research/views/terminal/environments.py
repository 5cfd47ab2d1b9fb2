"""The closure lock for people."""

from __future__ import annotations

from collections.abc import Sequence

from entrenar_research.actions.environments.build_files import BuildFile
from entrenar_research.actions.environments.locking import Locked
from entrenar_research.actions.environments.looking import Finding, Shown
from entrenar_research.actions.environments.seeding import Seeded
from entrenar_research.core.nix.closure_changes import Change
from entrenar_research.views.terminal.screen import Screen, counted, size

_SIGNS = {"added": "+", "removed": "-", "changed": "~"}
_LOOKS = {"added": "good", "removed": "bad", "changed": "doubt"}


def draw_locked(screen: Screen, locked: Locked) -> None:
    """What `env lock` did."""
    closure = locked.closure
    total = size(sum(blob.size for blob in closure.blobs))
    state = "written" if locked.changed else "as it was"
    words = f"{counted(len(closure.debs), 'package')}, {counted(len(closure.wheels), 'wheel')} and 3 tools, {total}"
    screen.line(f"{locked.lock}: {state}: Python {closure.python}, {words}", "good")
    for wheel in closure.wheels:
        screen.line(f"  {wheel.name} {wheel.version}")
    screen.line(f"files: in {locked.kept}")
    for note in locked.notes:
        screen.line(f"note: {note}", "doubt")
    draw_build_files(screen, [item for item in locked.build_files if item.state != "same"])


def draw_build_files(screen: Screen, found: Sequence[BuildFile]) -> None:
    """What became of the files that Nix builds by."""
    for item in found:
        if item.state == "changed":
            screen.line(f"{item.path}: differs from this version's and was left alone", "doubt")
        else:
            screen.line(f"{item.path}: {item.state}")
    if any(item.state == "changed" for item in found):
        screen.line("to have this version's: `entrenar-research env lock --build-files`")


def draw_seeded(screen: Screen, done: Seeded, *, stored: bool) -> None:
    """What `env seed` did, with a line for everything that is missing."""
    for item in done.missing:
        screen.line(f"missing: {item.file} ({'; '.join(item.looked)})", "bad")
    if not stored:
        screen.line(f"{counted(len(done.present), 'file')} at hand, {len(done.missing)} missing")
        return
    added, present = len(done.added), len(done.present)
    screen.line(f"{counted(added, 'path')} added to the store, {present} there already, {len(done.missing)} missing")
    if done.missing:
        screen.line("to have them: `env seed --from DIR`, `mirror` or `packages`; `dvc pull` if they are under DVC")


def draw_shown(screen: Screen, shown: Shown) -> None:
    """What is in the lock."""
    rows = [
        (row.kind, row.name, row.version, size(row.size), "yes" if row.cached else "no", "yes" if row.stored else "no")
        for row in shown.files
    ]
    screen.table(["kind", "name", "version", "size", "cache", "store"], rows, right=(3,))
    screen.line()
    screen.fields([
        ("system", shown.system),
        ("python", shown.python),
        ("processor", f"{shown.floor} or better"),
        ("requirements", shown.requirements or "what the last runs loaded"),
        ("files", f"{len(shown.files)}, {size(shown.size)}"),
        *((f"pin {name}", value) for name, value in shown.pins.items()),
    ])  # fmt: skip


def draw_changes(screen: Screen, found: Sequence[Change]) -> None:
    """What changed between two locks."""
    for item in found:
        values = " -> ".join(value for value in (item.old, item.new) if value is not None)
        screen.line(f"{_SIGNS[item.what]} {item.kind} {item.name}: {values}", _LOOKS[item.what])
    if not found:
        screen.line("the same")


def draw_findings(screen: Screen, found: Sequence[Finding]) -> None:
    """What `env verify` found: every fault, and how many are good."""
    faults = [item for item in found if item.state != "good"]
    for item in faults:
        screen.line(f"{item.state}: {item.subject}: {item.detail}", "bad")
    if any(item.area == "build file" for item in faults):
        screen.line("to have this version's: `entrenar-research env lock --build-files`")
    good = len(found) - len(faults)
    screen.line(f"{good} of {len(found)} as they should be", "good" if not faults else "bad")
