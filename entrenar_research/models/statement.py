"""Signed statements about a run: the proof by who made it, and the attestation by who made it again.

Both are in-toto statements (https://github.com/in-toto/attestation/blob/main/spec/v1/statement.md) whose subject are
the files of the result. `claim` is what two people who do the same have in common; what differs honestly from machine
to machine and from day to day is in `evidence` and `signed`.
"""

from __future__ import annotations

from typing import Final, Literal

from entrenar_research.models.recorded import Recorded

STATEMENT: Final = "https://in-toto.io/Statement/v1"
PROOF: Final = "urn:x-entrenar-research:proof:v1"
ATTESTATION: Final = "urn:x-entrenar-research:attestation:v1"

MaterialKind = Literal["code", "configuration", "dataset", "model", "checkpoint"]
Agreement = Literal["identical", "equal", "within", "different"]
"""The rungs of the verdict ladder that a rebuilt result can stand on."""
EnvironmentKind = Literal["nix", "host"]


class Subject(Recorded, frozen=True, kw_only=True):
    """A file by its path in the study, and its digests in hex by algorithm."""

    name: str
    digest: dict[str, str]


class Material(Recorded, frozen=True, kw_only=True):
    """Something that went in: `size` in bytes, `files` the number of files where it is a directory.

    Of a directory `digest` has `sha256-manifest`: that of the list of its files, as `sha256sum` prints it.
    """

    name: str
    kind: MaterialKind
    digest: dict[str, str]
    size: int
    files: int | None = None
    doi: str | None = None


class HardwareClass(Recorded, frozen=True, kw_only=True):
    """A kind of machine, without what would name the one: `level` is x86-64-v1 to v4 (x86-64 psABI)."""

    architecture: str
    level: str | None = None
    vendor: str | None = None

    def __str__(self) -> str:
        """As people read it: `x86_64, x86-64-v3, AuthenticAMD`."""
        return ", ".join(part for part in (self.architecture, self.level, self.vendor) if part)


class Impurity(Recorded, frozen=True, kw_only=True):
    """Something that the result may depend on and that no digest of ours covers, or one that nothing pins."""

    kind: Literal["runner", "gpu-driver"]
    detail: str
    version: str | None = None
    digest: str | None = None


class Behaviour(Recorded, frozen=True, kw_only=True):
    """The trace of the run held against a golden one: `score` in 0..1, where it could be found."""

    golden: str
    trace_id: str
    score: float | None = None
    verdict: str | None = None


class NixFacts(Recorded, frozen=True, kw_only=True):
    """What Nix called it and how Nix was set up: two builders may differ in that and still build the same.

    `output` is the store path of the result: of a traced run it is another each time, for the run's id goes into it.
    """

    nix_derivation: str
    output: str
    nix_version: str
    settings: dict[str, str] = {}


class World(Recorded, frozen=True, kw_only=True):
    """What a result was made in. `environment_hash` is `sha256:<hex>` as docs/proofs.md defines it for its kind.

    `system` is as Nix names it (`x86_64-linux`); `nar_hash` is the digest of the result as Nix has it (`sha256:<hex>`),
    `settings` are the effective ones of the sandbox, where there was one.
    """

    runner: str
    hermetic: bool
    environment_kind: EnvironmentKind
    environment_hash: str
    system: str
    nar_hash: str | None = None
    settings: dict[str, str] = {}
    pins: dict[str, str] = {}


class ProofClaim(Recorded, frozen=True, kw_only=True):
    """What was done and what came out. Metrics that JSON has no number for are text."""

    experiment: str
    recipe: str
    result: str
    command: str
    world: World
    seed: int | None = None
    materials: tuple[Material, ...] = ()
    metrics: dict[str, float | str] = {}


class ProofEvidence(Recorded, frozen=True, kw_only=True):
    """What belongs to this one run: `tool` made it, `commit` is what it started from."""

    run: str
    tool: str
    commit: str | None = None
    dirty: bool = False
    nix: NixFacts | None = None
    hardware: HardwareClass | None = None
    impurities: tuple[Impurity, ...] = ()
    trace_id: str | None = None
    tracer: str | None = None
    behaviour: tuple[Behaviour, ...] = ()
    study: str | None = None
    doi: str | None = None


class Link(Recorded, frozen=True, kw_only=True):
    """The place of a statement among those about a run: numbered from 1, with the digest of the line before it."""

    sequence: int
    previous: str | None = None


class Signed(Recorded, frozen=True, kw_only=True):
    """By whom and when, in their own words: `key` is the public key in OpenSSH's format, `time` is in UTC."""

    key: str
    time: str
    tool: str


class Proof(Recorded, frozen=True, kw_only=True):
    """The predicate of a proof."""

    claim: ProofClaim
    evidence: ProofEvidence
    chain: Link
    signed: Signed


class Rebuilt(Recorded, frozen=True, kw_only=True):
    """One output as it came out again: `digest` is `sha256:<hex>`, None if it was not written."""

    name: str
    verdict: Agreement
    digest: str | None = None
    detail: str | None = None


class RebuiltMetric(Recorded, frozen=True, kw_only=True):
    """One metric against the recorded one."""

    name: str
    verdict: Agreement
    detail: str | None = None


class AttestationClaim(Recorded, frozen=True, kw_only=True):
    """What was rebuilt, in what, and how it compares: `verdict` is the lowest of all outputs and metrics."""

    run: str
    experiment: str
    recipe: str
    result: str
    same: bool
    verdict: Agreement
    world: World
    outputs: tuple[Rebuilt, ...] = ()
    metrics: tuple[RebuiltMetric, ...] = ()


class Author(Recorded, frozen=True, kw_only=True):
    """Who did it, as they want to be named."""

    name: str
    email: str | None = None


class AttestationEvidence(Recorded, frozen=True, kw_only=True):
    """Where it was done and by whom: `environment` in words, `proof` the digest of the statement it was held against.

    `seconds` is what the rebuilding took.
    """

    author: Author
    environment: str
    hardware: HardwareClass
    notes: str | None = None
    proof: str | None = None
    seconds: float | None = None
    nix: NixFacts | None = None
    impurities: tuple[Impurity, ...] = ()


class Attestation(Recorded, frozen=True, kw_only=True):
    """The predicate of an attestation."""

    claim: AttestationClaim
    evidence: AttestationEvidence
    signed: Signed


class ProofStatement(Recorded, frozen=True, kw_only=True, rename={"type": "_type", "predicate_type": "predicateType"}):
    """An in-toto statement with a proof."""

    type: Literal["https://in-toto.io/Statement/v1"]
    subject: tuple[Subject, ...]
    predicate_type: Literal["urn:x-entrenar-research:proof:v1"]
    predicate: Proof


class AttestationStatement(
    Recorded, frozen=True, kw_only=True, rename={"type": "_type", "predicate_type": "predicateType"}
):
    """An in-toto statement with an attestation."""

    type: Literal["https://in-toto.io/Statement/v1"]
    subject: tuple[Subject, ...]
    predicate_type: Literal["urn:x-entrenar-research:attestation:v1"]
    predicate: Attestation


class ConsensusPolicy(Recorded, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What has to come together: distinct keys, distinct hardware classes, which verdicts count as agreement.

    With `hermetic` only what was built in a sealed world counts; at most `disagreements` may be known.
    """

    keys: int = 2
    hardware_classes: int = 1
    verdicts: tuple[Agreement, ...] = ("identical", "equal", "within")
    hermetic: bool = False
    disagreements: int = 0
