"""What statements about builds of the tool say, alone and together."""

from __future__ import annotations

import msgspec
import pytest

from entrenar_research.core.proofs import builds
from entrenar_research.core.proofs.envelopes import Envelope
from entrenar_research.core.proofs.statements import Opened
from entrenar_research.models.building import NAR, Build, BuildClaim, BuildEvidence, BuildStatement
from entrenar_research.models.proof import StorePath
from entrenar_research.models.statement import Author, HardwareClass, NixFacts, Signed, Subject

PYTHON, TOOL = "/nix/store/0-python-3.11", "/nix/store/1-entrenar-research-0.1.0"


def claim(tool: str = "a", python: str = "p") -> BuildClaim:
    return BuildClaim(
        name="entrenar-research", version="0.1.0", system="x86_64-linux", source="sha256:s", lock="sha256:l",
        output=TOOL, nar_hash=f"sha256:{tool}", settings={"sandbox": "true", "sandbox-fallback": "false"},
        closure=(
            StorePath(path=PYTHON, hash=f"sha256:{python}", size=1), StorePath(path=TOOL, hash=f"sha256:{tool}", size=1)
        ),
    )  # fmt: skip


def opened(said: BuildClaim) -> Opened[BuildStatement]:
    nix = NixFacts(nix_derivation="d", output=TOOL, nix_version="2.8.0")
    evidence = BuildEvidence(author=Author(name="A"), hardware=HardwareClass(architecture="x86_64"), nix=nix)
    signed = Signed(key="ssh-ed25519 AAAA", time="2026-11-21T08:00:00Z", tool="t")
    statement = builds.statement(Build(claim=said, evidence=evidence, signed=signed))
    return Opened(line=b"", envelope=Envelope(payload=b"", keyid="", signature=b""), statement=statement)


def test_a_statement_has_the_output_for_its_subject() -> None:
    found = opened(claim())
    assert found.statement.subject == (Subject(name="entrenar-research-0.1.0", digest={NAR: "a"}),)
    assert builds.contradictions(found) == []


def test_a_statement_cannot_claim_two_things() -> None:
    good = opened(claim())
    other = msgspec.structs.replace(good.statement, subject=(Subject(name="x", digest={NAR: "a"}),))
    assert "subject" in builds.contradictions(msgspec.structs.replace(good, statement=other))[0]
    assert "closure" in builds.contradictions(opened(msgspec.structs.replace(claim(), closure=())))[0]
    assert len(builds.contradictions(opened(msgspec.structs.replace(claim(), nar_hash="sha256:b")))) == 1


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"source": "sha256:t"}, "other sources"),
        ({"lock": "sha256:t"}, "another closure lock"),
        ({"output": "/nix/store/2-entrenar-research-0.1.0"}, "other rules"),
        ({"nar_hash": "sha256:b"}, None),
        ({"settings": {}}, None),
    ],
)
def test_what_a_statement_is_about(change: dict[str, object], words: str | None) -> None:
    found = builds.elsewhere(msgspec.structs.replace(claim(), **change), claim())
    assert (found is None) == (words is None)
    assert words is None or words in (found or "")


@pytest.mark.parametrize(
    ("settings", "sealed"),
    [
        ({"sandbox": "true", "sandbox-fallback": "false"}, True),
        ({"sandbox": "true", "sandbox-fallback": "true"}, False),
        ({"sandbox": "relaxed", "sandbox-fallback": "false"}, False),
        ({}, False),
    ],
)
def test_only_a_sandbox_seals(settings: dict[str, str], *, sealed: bool) -> None:
    assert builds.sealed(msgspec.structs.replace(claim(), settings=settings)) is sealed


def test_most_keys_decide_and_a_key_counts_once() -> None:
    one, other = claim("a"), claim("b")
    assert builds.most_common((("1", one), ("2", other), ("3", other)), one) == other
    assert builds.most_common((("1", one), ("1", one), ("2", other), ("3", other)), one) == other
    assert builds.most_common((), one) is None


def test_where_as_many_came_to_either_it_is_ours() -> None:
    one, other = claim("a"), claim("b")
    said = (("1", one), ("2", other))
    assert builds.most_common(said, one) == one
    assert builds.most_common(said, other) == other


def test_a_toolchain_that_differs_is_another_build_though_the_tool_is_the_same() -> None:
    one, other = claim("a", "p"), claim("a", "q")
    assert builds.differing(one, one) == ()
    assert builds.differing(one, other) == ("python-3.11 is sha256:p..., not sha256:q...",)
    assert builds.most_common((("1", one), ("2", other), ("3", other)), one) == other


def test_who_names_more_or_less_than_another_came_to_another_build() -> None:
    whole = claim()
    tool_alone = msgspec.structs.replace(whole, closure=whole.closure[1:])
    assert builds.differing(tool_alone, whole) == ("python-3.11 is not among what it needs",)
    assert builds.differing(whole, tool_alone) == ("python-3.11 is sha256:p..., not there",)
    twice = msgspec.structs.replace(whole, closure=(*whole.closure, whole.closure[0]))
    assert builds.differing(twice, whole) == builds.differing(whole, twice) == ("it names something twice",)
