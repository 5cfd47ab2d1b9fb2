"""Whether several people agree that a run reproduces: distinct keys, on distinct kinds of hardware."""

from __future__ import annotations

from typing import Literal

import msgspec

from entrenar_research.models.statement import Agreement, ConsensusPolicy, HardwareClass

_AGAIN = "the same key said something else, or later, on the same kind of hardware"
LADDER: tuple[Agreement, ...] = ("identical", "equal", "within", "different")


class Voice(msgspec.Struct, frozen=True, kw_only=True):
    """What one key says about a run, on one kind of hardware: `source` is the file, `role` is prover or builder.

    `who` is its name in the list of signers, None if the list does not have it; `unheard` says why it does not count.
    """

    key: str
    source: str
    verdict: Agreement
    hermetic: bool
    time: str
    role: Literal["prover", "builder"]
    who: str | None = None
    hardware: HardwareClass | None = None
    unheard: str | None = None
    notes: str | None = None
    detail: str | None = None


class Consensus(msgspec.Struct, frozen=True, kw_only=True):
    """What came together: the `keys` and `hardware` classes that agree, and the voices that count, disagree or not.

    `lacking` says in words what the policy asks for besides; without any it is reached.
    """

    keys: tuple[str, ...]
    hardware: tuple[str, ...]
    agreeing: tuple[Voice, ...]
    disagreeing: tuple[Voice, ...]
    uncounted: tuple[Voice, ...]
    lacking: tuple[str, ...]

    @property
    def reached(self) -> bool:
        """Whether the policy is satisfied."""
        return not self.lacking


def lowest(verdicts: list[Agreement]) -> Agreement:
    """The lowest rung of several; `identical` of none."""
    return max(verdicts, key=LADDER.index, default="identical")


def consensus(voices: tuple[Voice, ...], policy: ConsensusPolicy) -> Consensus:
    """Holds voices against a policy.

    Of one key only what it said last on each kind of hardware counts, having rebuilt more than having proven; and a
    key that disagrees anywhere agrees nowhere.
    """
    uncounted = [voice for voice in voices if voice.unheard is not None]
    last: dict[tuple[str, str], Voice] = {}
    heard = [item for item in voices if item.unheard is None]
    for voice in sorted(heard, key=lambda item: (item.role != "prover", item.time)):
        place = (voice.key, str(voice.hardware))
        if place in last:
            uncounted.append(_silenced(last[place], _AGAIN))
        last[place] = voice
    counted = []
    for voice in last.values():
        if policy.hermetic and not voice.hermetic:
            uncounted.append(_silenced(voice, "not hermetic, which the policy asks for"))
        else:
            counted.append(voice)
    disagreeing = [voice for voice in counted if voice.verdict not in policy.verdicts]
    opposed = {voice.key for voice in disagreeing}
    agreeing = [voice for voice in counted if voice.key not in opposed]
    uncounted += [
        _silenced(voice, "the same key disagrees on other hardware")
        for voice in counted
        if voice.key in opposed and voice not in disagreeing
    ]
    keys = tuple(sorted({voice.key for voice in agreeing}))
    hardware = tuple(sorted({str(voice.hardware) for voice in agreeing if voice.hardware is not None}))
    return Consensus(
        keys=keys,
        hardware=hardware,
        agreeing=tuple(agreeing),
        disagreeing=tuple(disagreeing),
        uncounted=tuple(uncounted),
        lacking=_lacking(policy, len(keys), len(hardware), len(opposed)),
    )


def _silenced(voice: Voice, why: str) -> Voice:
    return msgspec.structs.replace(voice, unheard=why)


def _lacking(policy: ConsensusPolicy, keys: int, hardware: int, opposed: int) -> tuple[str, ...]:
    words = []
    if keys < policy.keys:
        words.append(f"{keys} of {policy.keys} distinct keys agree")
    if hardware < policy.hardware_classes:
        words.append(f"{hardware} of {policy.hardware_classes} distinct hardware classes")
    if opposed > policy.disagreements:
        words.append(f"{opposed} keys disagree, at most {policy.disagreements} may")
    return tuple(words)
