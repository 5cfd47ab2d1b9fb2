"""What all parts of a run's record have in common."""

from __future__ import annotations

import msgspec


class Recorded(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A part of a record that the tool writes: fields of later versions are read over."""
