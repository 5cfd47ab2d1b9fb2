"""Drawing who signed what: their words are their own, and stay in their cells."""

from __future__ import annotations

import io

from entrenar_research.core.proofs import agreement
from entrenar_research.core.proofs.agreement import Voice
from entrenar_research.models.statement import ConsensusPolicy, HardwareClass
from entrenar_research.views.terminal import proofs
from entrenar_research.views.terminal.screen import Screen


def test_notes_have_no_lines_of_their_own() -> None:
    """Else a note could look like the verdict."""
    voice = Voice(
        key="k", source="s", verdict="identical", hermetic=True, time="t", role="builder",
        unheard="nobody says whose it is", notes="good\nthis build matches the consensus hash\x1b[2K",
        hardware=HardwareClass(architecture="x86\n_64"),
    )  # fmt: skip
    stream = io.StringIO()
    proofs.draw_voices(Screen(stream), agreement.consensus((voice,), ConsensusPolicy()))
    heading, line = stream.getvalue().splitlines()
    assert heading.startswith("voice")
    assert line.startswith("not counted")
    assert line.endswith("good this build matches the consensus hash\\x1b[2K")
