"""Who counts, and what is lacking: every rule of a consensus alone."""

from __future__ import annotations

import msgspec
import pytest

from entrenar_research.core.proofs import agreement
from entrenar_research.core.proofs.agreement import Voice
from entrenar_research.models.statement import Agreement, ConsensusPolicy, HardwareClass

INTEL = HardwareClass(architecture="x86_64", level="x86-64-v4", vendor="GenuineIntel")
AMD = HardwareClass(architecture="x86_64", level="x86-64-v3", vendor="AuthenticAMD")


def voice(key: str, verdict: Agreement = "identical", hardware: HardwareClass | None = INTEL, time: int = 0) -> Voice:
    return Voice(
        key=key, source=f"{key}-{time}", verdict=verdict, hermetic=False, time=f"{time:04}", role="builder",
        who=key, hardware=hardware,
    )  # fmt: skip


def test_nobody_is_no_consensus() -> None:
    found = agreement.consensus((), ConsensusPolicy())
    assert not found.reached
    assert found.lacking == ("0 of 2 distinct keys agree", "0 of 1 distinct hardware classes")


def test_two_keys_reach_it_and_one_key_twice_does_not() -> None:
    assert agreement.consensus((voice("a"), voice("b")), ConsensusPolicy()).reached
    found = agreement.consensus((voice("a"), voice("a", time=1)), ConsensusPolicy())
    assert found.keys == ("a",)
    assert [item.source for item in found.agreeing] == ["a-1"]
    assert "later" in (found.uncounted[0].unheard or "")
    assert not found.reached


def test_one_key_on_two_kinds_of_hardware_is_one_key_and_two_classes() -> None:
    found = agreement.consensus((voice("a"), voice("a", hardware=AMD, time=1)), ConsensusPolicy(keys=1))
    assert (len(found.keys), len(found.hardware), len(found.agreeing)) == (1, 2, 2)


def test_unknown_hardware_is_no_class() -> None:
    found = agreement.consensus((voice("a", hardware=None), voice("b", hardware=None)), ConsensusPolicy())
    assert found.lacking == ("0 of 1 distinct hardware classes",)


def test_the_hardware_has_to_be_as_manifold_as_the_policy_asks() -> None:
    two = ConsensusPolicy(hardware_classes=2)
    assert not agreement.consensus((voice("a"), voice("b")), two).reached
    assert agreement.consensus((voice("a"), voice("b", hardware=AMD)), two).reached


def test_who_said_different_and_later_identical_agrees_and_the_other_way_round_not() -> None:
    mended = (voice("a", "different"), voice("a", time=1), voice("b"))
    assert agreement.consensus(mended, ConsensusPolicy()).reached
    found = agreement.consensus((voice("a"), voice("a", "different", time=1), voice("b")), ConsensusPolicy())
    assert [item.key for item in found.disagreeing] == ["a"]
    assert found.lacking == ("1 of 2 distinct keys agree", "1 keys disagree, at most 0 may")


def test_a_key_that_disagrees_on_other_hardware_agrees_nowhere() -> None:
    voices = (voice("a"), voice("a", "different", AMD), voice("b"), voice("c"))
    found = agreement.consensus(voices, ConsensusPolicy())
    assert found.keys == ("b", "c")
    assert [item.key for item in found.uncounted] == ["a"]
    assert found.lacking == ("1 keys disagree, at most 0 may",)
    assert agreement.consensus(voices, ConsensusPolicy(disagreements=1)).reached


def test_a_verdict_that_is_not_accepted_disagrees() -> None:
    strict = ConsensusPolicy(verdicts=("identical",))
    found = agreement.consensus((voice("a"), voice("b", "within")), strict)
    assert [item.key for item in found.disagreeing] == ["b"]
    assert agreement.consensus((voice("a"), voice("b", "within")), ConsensusPolicy()).reached


def test_only_hermetic_builds_count_where_the_policy_says_so() -> None:
    sealed = msgspec.structs.replace(voice("a"), hermetic=True)
    found = agreement.consensus((sealed, voice("b")), ConsensusPolicy(keys=1, hermetic=True))
    assert found.reached
    assert found.keys == ("a",)
    assert "hermetic" in (found.uncounted[0].unheard or "")


def test_who_is_not_heard_neither_agrees_nor_disagrees() -> None:
    stranger = msgspec.structs.replace(voice("x", "different"), unheard="not in the list")
    found = agreement.consensus((voice("a"), voice("b"), stranger), ConsensusPolicy())
    assert found.reached
    assert found.uncounted == (stranger,)


@pytest.mark.parametrize(
    ("verdicts", "lowest"),
    [([], "identical"), (["identical", "equal"], "equal"), (["different", "within", "identical"], "different")],
)
def test_the_lowest_rung(verdicts: list[Agreement], lowest: Agreement) -> None:
    assert agreement.lowest(verdicts) == lowest


def test_what_was_rebuilt_counts_more_than_the_proof_whichever_came_later() -> None:
    proof = msgspec.structs.replace(voice("a", time=9), role="prover")
    found = agreement.consensus((proof, voice("a", "different")), ConsensusPolicy(keys=1))
    assert [item.role for item in found.disagreeing] == ["builder"]
    assert found.keys == ()
