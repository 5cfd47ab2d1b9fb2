"""The kinds of effects that two traces are compared in: what of a difference is noise, and what is essential."""

from __future__ import annotations

from typing import Final, Literal

import msgspec

Importance = Literal["always", "presence", "never"]
AXES: Final = ("transfers", "files", "outputs", "processes and network", "effort", "memory")


class Kind(msgspec.Struct, frozen=True, kw_only=True):
    """A kind of quantity: its axis, how it is told, what of a difference is noise and what is essential.

    Two numbers count as the same if they differ by at most `absolute`, or the greater is at most `factor` times the
    smaller; with `more_only` also if the found one is smaller. `essential` is a difference `always`, if one of the
    two is zero (`presence`), or `never`. `words` has places for the subject, the expected and the found number.
    """

    axis: str
    words: str
    essential: Importance = "never"
    absolute: float = 0.0
    factor: float = 1.0
    more_only: bool = False

    def same(self, expected: float, found: float) -> bool:
        """Whether the two numbers count as the same."""
        low, high = sorted((expected, found))
        return high - low <= self.absolute or high <= self.factor * low or (self.more_only and found < expected)

    def likeness(self, expected: float, found: float) -> float:
        """1 for what counts as the same, else the smaller number over the greater."""
        return 1.0 if self.same(expected, found) else min(expected, found) / max(expected, found)

    def is_essential(self, expected: float, found: float) -> bool:
        """Whether the difference, beyond noise, is one that others can see."""
        return self.essential == "always" or (self.essential == "presence" and not (expected and found))

    def tell(self, subject: str, expected: float, found: float) -> str:
        """A difference in words, with the command as their subject."""
        return self.words.format(
            subject=subject,
            found=f"{found:,.0f}",
            expected=f"{expected:,.0f}",
            found_times=_times(found),
            expected_times=_times(expected),
        )


def _times(number: float) -> str:
    return {0: "never", 1: "once", 2: "twice"}.get(round(number), f"{number:,.0f} times")


_TIMES: Final = "{subject} {found_times}, {expected_times} before"
_PIECES: Final = "{subject} in {found} calls, {expected} before"
_OUTSIDE: Final = "processes and network"


def _effort(words: str, absolute: float, factor: float) -> Kind:
    return Kind(axis="effort", absolute=absolute, factor=factor, more_only=True, words=words)


def _memory(words: str, absolute: float) -> Kind:
    return Kind(axis="memory", absolute=absolute, factor=1.25, more_only=True, words=words)


KINDS: Final[dict[str, Kind]] = {
    # What was moved from and to files, and made to last.
    "read": Kind(axis="transfers", words="reads {found} bytes from {subject}, {expected} before"),
    "written": Kind(axis="transfers", essential="always", words="writes {found} bytes to {subject}, {expected} before"),
    "synced": Kind(axis="transfers", essential="always", words=f"syncs {_TIMES}"),
    # What was done with files; `loaded` are those outside of the study, and code.
    "opened to read": Kind(axis="files", essential="presence", words=f"opens to read {_TIMES}"),
    "opened to write": Kind(axis="files", essential="presence", words=f"opens to write {_TIMES}"),
    "loaded": Kind(axis="files", words=f"loads {_TIMES}"),
    "closed": Kind(axis="files", words=f"closes {_TIMES}"),
    "changed": Kind(axis="files", essential="presence", words=f"calls {_TIMES}"),
    # What came out.
    "through": Kind(
        axis="outputs", absolute=256, factor=1.1, words="moves {found} bytes through {subject}, {expected} before"
    ),
    "content": Kind(axis="outputs", essential="always", words="leaves {subject} with another content than before"),
    # Whom it talks to and what it starts.
    "contacted": Kind(axis=_OUTSIDE, essential="always", words=f"contacts the network by {_TIMES}"),
    "executed": Kind(axis=_OUTSIDE, essential="always", words=f"executes {_TIMES}"),
    "created": Kind(axis=_OUTSIDE, essential="always", words="starts {found} {subject}, {expected} before"),
    "ended": Kind(axis=_OUTSIDE, essential="always", words=f"has {_TIMES}"),
    # In how many calls; fewer is no fault.
    "pieces read": _effort(f"reads {_PIECES}", 64, 8),
    "pieces written": _effort(f"writes {_PIECES}", 64, 8),
    "waits": _effort(f"calls {_TIMES}", 256, 4),
    "waits of threads": _effort(f"calls {_TIMES}", 4096, 16),
    "quiet": _effort(f"calls {_TIMES}", 64, 1.5),
    # Memory asked of the kernel; less is no fault.
    "bytes asked": _memory("asks for {found} bytes of memory by {subject}, {expected} before", 1 << 20),
    "allocations": _memory(f"asks for memory by {_TIMES}", 32),
    "peak": _memory("holds up to {found} bytes of {subject}, {expected} before", 1 << 20),
}
