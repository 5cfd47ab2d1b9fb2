"""What an inquiry works with: something that rebuilds, in a world that can be changed a little."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Protocol

import msgspec

from entrenar_research.core.reproducing.clues import Circumstances
from entrenar_research.core.reproducing.factors import Alteration, Here
from entrenar_research.models.reproduction import Rebuild

LOADED = "loaded"
"""What the hook notes first of all."""


class Note(msgspec.Struct, frozen=True):
    """What the hook noted: who asked for time, randomness and so on, and where in the study's own code (`-`: not)."""

    what: str
    place: str


class Built(msgspec.Struct, frozen=True, kw_only=True):
    """A rebuild that was carried out: its result, if it has one, its circumstances, and what the hook noted."""

    rebuild: Rebuild
    circumstances: Circumstances
    result: Path | None = None
    notes: frozenset[Note] = frozenset()


class Workshop(Protocol):
    """Rebuilds one experiment as often as one likes; results stay until it is closed.

    Where it `tells`, what the hook notes comes out of it.
    """

    runner: str
    tells: bool
    here: Here

    def refuses(self, alteration: Alteration) -> str | None:
        """Why this cannot be altered here, or None."""
        ...

    def rebuild(
        self, name: str, alteration: Alteration, changed: Iterable[str] = (), *, watched: bool = False
    ) -> Built:
        """Executes the experiment; with `watched`, programs in Python note what they ask for.

        Raises:
            KeyboardInterrupt: if the person stops it.
        """
        ...
