"""Proofs and attestations of a real study: made, made again, carried away and back, and every way to spoil them."""

from __future__ import annotations

import base64
import datetime
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from entrenar_research import workspace
from entrenar_research.actions.proving import prove as proving
from entrenar_research.actions.proving import vouching
from entrenar_research.actions.proving.vouching import Pen
from entrenar_research.actions.verifying import proofs
from entrenar_research.core.proofs import envelopes, statements
from entrenar_research.core.proofs.envelopes import Envelope
from entrenar_research.core.proofs.statements import NewerStatement
from entrenar_research.errors import IntegrityError, ResearchError, UsageError
from entrenar_research.models.statement import ProofStatement
from entrenar_research.models.verdict import Verdict
from entrenar_research.store.run_files import RunFiles
from entrenar_research.store.study_files import StudyFiles
from tests.conftest import World
from tests.integration.checking import Flipped, check, flips, names, passes, verdicts

Told = dict[str, Any]


@pytest.fixture(autouse=True)
def _environment(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in world.environment.items():
        monkeypatch.setenv(name, value)


@pytest.fixture
def proven(tiny: Path, world: World) -> Path:
    """The study with a proof of its one run."""
    world.tool("prove", "line", cwd=tiny)
    return tiny


@pytest.fixture
def grace(tmp_path: Path, world: World) -> Path:
    """The key of somebody whom the study does not know."""
    key = tmp_path / "grace"
    world.run("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "grace@example.org", "-f", key, cwd=tmp_path)
    return key


def proof_of(study: Path) -> Path:
    return next(study.glob("runs/*/proof.intoto.jsonl"))


def lines(study: Path) -> list[bytes]:
    return proof_of(study).read_bytes().splitlines()


def stated(line: bytes) -> Told:
    found: Told = json.loads(base64.b64decode(json.loads(line)["payload"]))
    return found


def answer(world: World, *words: str | Path, cwd: Path, status: int = 0) -> Any:
    return json.loads(world.tool(*words, "--format", "json", cwd=cwd, status=status).stdout)


def pen(key: Path | None = None, now: datetime.datetime | None = None) -> Pen:
    private = key or workspace.key_path()
    signer = workspace.signer()

    def refuse(question: str) -> str:
        raise UsageError(question)

    moment = now or workspace.now()
    return Pen(signer=signer, private=private, public=signer.read(private), ask=refuse, now=moment, tool="test")


def prove(study: Path, with_: Pen) -> proving.Proven:
    files = StudyFiles(study)
    return proving.prove(files, RunFiles(study).resolve("line"), with_)


def forged(study: Path, change: Callable[[Told], object], key: Path | None = None) -> bytes:
    """The last line of the proof with another content, signed by whoever has the key."""
    value = stated(lines(study)[-1])
    writer = pen(key)
    value["predicate"]["signed"]["key"] = " ".join(writer.public.line.split()[:2])
    change(value)
    payload = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()
    envelope = Envelope(payload=payload, keyid=writer.public.fingerprint, signature=b"")
    signature = writer.signer.sign(writer.private, envelope.message, ask=writer.ask)
    return envelopes.encode(Envelope(payload=payload, keyid=writer.public.fingerprint, signature=signature))


def write(study: Path, *found: bytes) -> None:
    proof_of(study).write_bytes(b"".join(line + b"\n" for line in found))


def findings(study: Path, trusted: Path | None = None) -> dict[str, tuple[Verdict, str]]:
    every = proofs.check_proofs(StudyFiles(study), workspace.signer(), trusted=trusted)
    return {f"{item.area} {item.subject.rpartition('/')[2]}": (item.verdict, item.detail) for item in every}


def complaint(study: Path) -> str:
    verdict, detail = findings(study)["proofs proof.intoto.jsonl"]
    assert verdict is Verdict.BROKEN or verdict is Verdict.DIFFERENT
    assert names(check(study), "proof.intoto.jsonl")
    return detail


# --- made ---


def test_a_proof_states_what_the_record_says(tiny: Path, world: World) -> None:
    said = answer(world, "prove", "line", cwd=tiny)
    assert said["written"] is True
    record = RunFiles(tiny).resolve("line")
    (line,) = lines(tiny)
    value = stated(line)
    assert value == said["statement"]
    assert value["_type"] == "https://in-toto.io/Statement/v1"
    assert {item["name"]: f"sha256:{item['digest']['sha256']}" for item in value["subject"]} == RunFiles(tiny).manifest(
        record.id, "outputs.sha256"
    )
    claim, evidence = value["predicate"]["claim"], value["predicate"]["evidence"]
    assert (claim["recipe"], claim["result"], claim["metrics"]) == (record.recipe, record.result, record.metrics)
    assert {item["name"]: item["kind"] for item in claim["materials"]} == {
        "data/points.csv": "dataset",
        "experiments/line/params.yaml": "configuration",
        "experiments/line/slope.py": "code",
        "experiments/line/train.py": "code",
    }
    for item in claim["materials"]:
        data = (tiny / item["name"]).read_bytes()
        assert (f"sha256:{item['digest']['sha256']}", item["size"]) == (envelopes.digest(data), len(data))
    assert claim["world"]["hermetic"] is False
    assert [item["kind"] for item in evidence["impurities"]] == ["runner"]
    assert evidence["trace_id"] == record.trace.digest
    assert [(item["golden"], item["score"]) for item in evidence["behaviour"]] == [("line", 1.0)]
    text = json.dumps(value)
    for private in (str(tiny), str(world.home), record.started, record.ended or "?"):
        assert private not in text


def test_again_there_is_nothing_to_do(proven: Path, world: World) -> None:
    before = proof_of(proven).read_bytes()
    assert answer(world, "prove", "line", cwd=proven)["written"] is False
    assert proof_of(proven).read_bytes() == before


def test_a_new_line_names_what_it_states_otherwise_and_the_line_before(proven: Path, world: World) -> None:
    file = proven / "experiments/line/experiment.yaml"
    file.write_text(file.read_text() + 'dois: {data/points.csv: "10.5281/zenodo.1234"}\n')
    said = answer(world, "prove", "line", cwd=proven)
    assert said["changed"] == ["materials"]
    first, second = lines(proven)
    assert stated(second)["predicate"]["chain"] == {"sequence": 2, "previous": envelopes.digest(first)}
    assert stated(second)["predicate"]["claim"]["materials"][0]["doi"] == "10.5281/zenodo.1234"
    assert answer(world, "prove", "line", cwd=proven)["written"] is False


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ('{data/other.csv: "10.5281/zenodo.1"}', "'data/other.csv' is neither among `code` nor among `inputs`"),
        ('{data/points.csv: "zenodo 1"}', "expected a prefix and a name"),
        ('{data/points.csv: "doi:10.5281/zenodo.1"}', "expected it bare: 10.5281/zenodo.1"),
    ],
)
def test_a_doi_that_is_none_is_refused(text: str, complaint: str, tiny: Path, world: World) -> None:
    file = tiny / "experiments/line/experiment.yaml"
    file.write_text(file.read_text() + f"dois: {text}\n")
    assert complaint in world.tool("run", "line", cwd=tiny, status=2).stderr


def test_another_key_adds_a_line_of_its_own(proven: Path, world: World, grace: Path) -> None:
    with pytest.raises(UsageError, match=r"would not accept this signature: .* not in the list of signers"):
        prove(proven, pen(grace))
    world.tool("keys", "allow", f"{grace}.pub", "--as", "grace@example.org", "--for", "proofs", cwd=proven)
    assert prove(proven, pen(grace)).changed == ("key",)
    found = findings(proven)
    assert found["proofs proof.intoto.jsonl"][0] is Verdict.IDENTICAL
    assert "signed by ada@example.org" in found["signatures proof.intoto.jsonl, line 1"][1]
    assert "signed by grace@example.org" in found["signatures proof.intoto.jsonl, line 2"][1]


def test_verify_has_integrity_and_who_vouches_in_lines_of_their_own(proven: Path) -> None:
    report = check(proven)
    assert passes(report)
    subject = proof_of(proven).relative_to(proven).as_posix()
    assert verdicts(report, "proofs") == {subject: Verdict.IDENTICAL}
    assert verdicts(report, "signatures")[f"{subject}, line 1"] is Verdict.IDENTICAL


def test_a_proof_may_come_after_the_seal_and_grow(proven: Path, world: World) -> None:
    commit(world, proven)
    assert passes(check(proven))
    world.tool("seal", "experiment", "line", "-m", "With its proof", cwd=proven)
    file = proven / "study.yaml"
    file.write_text(file.read_text() + "doi: 10.5281/zenodo.99\n")
    assert answer(world, "prove", "line", cwd=proven)["changed"] == ["doi"]
    commit(world, proven)
    assert passes(check(proven))


def test_a_sealed_line_that_is_gone_from_the_last_commit_is_found(proven: Path, world: World) -> None:
    (line,) = lines(proven)
    file = proven / "study.yaml"
    file.write_text(file.read_text() + "doi: 10.5281/zenodo.99\n")
    world.tool("prove", "line", cwd=proven)
    world.tool("seal", "experiment", "line", "-m", "With its proof", cwd=proven)
    assert passes(check(proven))
    write(proven, line)
    commit(world, proven)
    report = check(proven)
    assert verdicts(report, "signatures")[proof_of(proven).relative_to(proven).as_posix()] is Verdict.DIFFERENT


def commit(world: World, study: Path) -> None:
    world.run("git", "add", "-A", cwd=study)
    world.run("git", "commit", "-q", "-m", "More", cwd=study)


# --- refused ---


def test_a_run_that_failed_cannot_be_proven(tiny: Path, world: World) -> None:
    (tiny / "experiments/line/train.py").write_text("raise SystemExit(3)\n")
    world.tool("run", "line", "--quiet", cwd=tiny, status=1)
    failed = RunFiles(tiny).ids()[-1]
    said = world.tool("prove", failed, cwd=tiny, status=2)
    assert f"run {failed} cannot be vouched for: it is failed, expected a completed one" in said.stderr
    assert not list(tiny.glob("runs/*/proof*"))


@pytest.mark.parametrize(
    "path",
    ["experiments/line/result/metrics.json", "data/points.csv", "experiments/line/train.py",
     "experiments/line/params.yaml", "runs/*/stdout.txt", "runs/*/run.yaml", "runs/*/outputs.sha256"],
)  # fmt: skip
def test_a_run_whose_files_changed_cannot_be_proven(path: str, tiny: Path, world: World) -> None:
    (file,) = tiny.glob(path)
    with Flipped(file, file.stat().st_size // 2):
        for words in (("prove", "line"), ("attest", "line")):
            said = world.tool(*words, cwd=tiny, status=1)
            assert file.name in said.stderr, said.stderr
    assert not [*tiny.glob("runs/*/proof*"), *tiny.glob("runs/*/attestations")]
    world.tool("prove", "line", cwd=tiny)


def test_a_result_with_a_file_too_many_or_too_few_cannot_be_proven(tiny: Path, world: World) -> None:
    result = tiny / "experiments/line/result"
    (result / "extra").write_text("")
    assert "result/extra: run" in world.tool("prove", "line", cwd=tiny, status=1).stderr
    (result / "extra").unlink()
    (result / "curve.csv").unlink()
    assert "result/curve.csv" in world.tool("prove", "line", cwd=tiny, status=1).stderr


def test_an_older_run_whose_result_is_gone_cannot_be_proven(tiny: Path, world: World) -> None:
    old = RunFiles(tiny).resolve("line").id
    world.tool("run", "line", "--quiet", "--set", "steps=9", cwd=tiny)
    said = world.tool("prove", old, cwd=tiny, status=1).stderr
    assert "take the newest run of line" in said
    world.tool("prove", "line", cwd=tiny)


@pytest.mark.parametrize("period", [("20190101Z", "20210101Z"), ("20990101Z", "21000101Z")])
def test_a_key_signs_only_in_its_time(period: tuple[str, str], tiny: Path, world: World) -> None:
    listed = tiny / "keys/allowed_signers"
    (line,) = listed.read_text().splitlines()
    who, _, *material = line.split(" ")
    options = f'namespaces="proof@entrenar-research",valid-after="{period[0]}",valid-before="{period[1]}"'
    listed.write_text(f"{who} {options} {' '.join(material)}\n")
    said = world.tool("prove", "line", cwd=tiny, status=2).stderr
    assert "was not accepted at" in said
    assert f"only from {period[0]} to {period[1]}" in said


def test_a_key_that_is_listed_for_seals_alone_proves_nothing(tiny: Path, world: World) -> None:
    listed = tiny / "keys/allowed_signers"
    listed.write_text(listed.read_text().replace("proof@entrenar-research,", ""))
    said = world.tool("prove", "line", cwd=tiny, status=2).stderr
    assert "which is not listed for proof@entrenar-research" in said
    assert "`entrenar-research keys new` lists your key" in said
    world.tool("keys", "new", cwd=tiny)
    world.tool("prove", "line", cwd=tiny)
    assert passes(check(tiny)) is False  # the list is not the committed one
    assert findings(tiny)["signatures proof.intoto.jsonl, line 1"][0] is Verdict.IDENTICAL


# --- spoilt ---


def test_every_byte_of_a_proof_matters(proven: Path) -> None:
    """Every byte of the line; a dozen of them through all of `verify`."""
    path = proof_of(proven)
    (data,) = lines(proven)
    signer = workspace.signer()
    assert vouching.opened(data, "x", ProofStatement, signer).line == data
    for number in range(len(data)):
        changed = data[:number] + bytes([data[number] ^ (1, 2, 4, 0x20)[number % 4]]) + data[number + 1 :]
        with pytest.raises(IntegrityError) as caught:
            vouching.opened(changed, "x", ProofStatement, signer)
        assert not isinstance(caught.value, NewerStatement), number
    for number, mask in flips(path.read_bytes(), 12, "proof"):
        with Flipped(path, number, mask):
            assert names(check(proven), path.relative_to(proven).as_posix())
    assert passes(check(proven))


def test_a_cut_off_or_empty_proof_is_found(proven: Path) -> None:
    data = proof_of(proven).read_bytes()
    for spoilt in (b"", data[:-1], data + b"\n", data + data[:20]):
        proof_of(proven).write_bytes(spoilt)
        assert complaint(proven)
    proof_of(proven).unlink()
    proof_of_link = next(proven.glob("runs/*")) / "proof.intoto.jsonl"
    proof_of_link.symlink_to(proven / "study.yaml")
    assert "expected a file, found a link" in complaint(proven)


def test_an_older_statement_again_is_recognised(proven: Path, world: World) -> None:
    file = proven / "study.yaml"
    file.write_text(file.read_text() + "doi: 10.5281/zenodo.99\n")
    world.tool("prove", "line", cwd=proven)
    first, second = lines(proven)
    write(proven, first, second, first)
    assert "line 3: an older statement again: the same as line 1" in complaint(proven)
    write(proven, second)
    assert "line 1: an older statement again, or lines are missing: it is number 2" in complaint(proven)
    write(proven, second, first)
    assert "line 1: " in complaint(proven)
    write(proven, first, first)
    assert "line 2: an older statement again" in complaint(proven)
    for words in (("prove", "line"), ("attest", "line")):
        assert "an older statement again" in world.tool(*words, cwd=proven, status=1).stderr
    assert answer(world, "consensus", "line", cwd=proven, status=1)["damaged"]
    write(proven, first, second)
    assert findings(proven)["proofs proof.intoto.jsonl"][0] is Verdict.IDENTICAL


def test_a_line_that_does_not_follow_is_found(proven: Path) -> None:
    def pretend(value: Told) -> None:
        value["predicate"]["chain"] = {"sequence": 2, "previous": "sha256:" + "0" * 64}

    write(proven, *lines(proven), forged(proven, pretend))
    assert "line 2: it follows the line sha256:0000" in complaint(proven)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda v: v["subject"][0]["digest"].update(sha256="0" * 64), "its subject differs from what the run recorded"),
        (lambda v: v["subject"].pop(), "its subject differs"),
        (lambda v: v["subject"].clear(), "its subject is empty"),
        (lambda v: v["predicate"]["evidence"].update(run="another"), "it is about run another"),
        (lambda v: v["predicate"]["claim"].update(recipe="sha256:0"), "its experiment, recipe or result is not"),
        (lambda v: v["predicate"]["claim"]["metrics"].update(loss=0.1), "it states another metric than the record"),
        (lambda v: v["predicate"]["claim"]["world"].update(hermetic=True), "it states another environment"),
        (lambda v: v["predicate"]["claim"]["materials"].pop(), "it states another material"),
        (lambda v: v["predicate"]["claim"].update(command="true"), "it states another command"),
        (lambda v: v["predicate"]["signed"].update(time="yesterday"), "time 'yesterday': expected one such as"),
        (lambda v: v["predicate"].pop("chain"), "not a statement of the kind"),
        (lambda v: v.update(_type="https://in-toto.io/Statement/v0"), "not a statement of the kind"),
        (lambda v: v.update(predicateType="https://slsa.dev/provenance/v1"), "expected a statement of the kind"),
    ],
)
def test_a_well_signed_proof_of_something_else_is_found(
    change: Callable[[Told], object], words: str, proven: Path
) -> None:
    write(proven, forged(proven, change))
    assert words in complaint(proven)


def test_a_statement_of_a_newer_version_is_unknown(proven: Path) -> None:
    write(proven, forged(proven, lambda v: v.update(predicateType="urn:x-entrenar-research:proof:v2")))
    verdict, words = findings(proven)["proofs proof.intoto.jsonl"]
    assert (verdict, "a newer version made" in words) == (Verdict.UNKNOWN, True)


def test_the_signature_of_another_is_broken_and_an_unknown_key_is_unknown(proven: Path, grace: Path) -> None:
    mine = lines(proven)[-1]
    theirs = forged(proven, lambda value: None, grace)
    write(proven, theirs)
    found = findings(proven)
    assert found["proofs proof.intoto.jsonl"][0] is Verdict.IDENTICAL
    assert found["signatures proof.intoto.jsonl, line 1"][0] is Verdict.UNKNOWN
    swapped = envelopes.decode(mine, "x")
    other = envelopes.decode(theirs, "x")
    for envelope in (
        Envelope(payload=swapped.payload, keyid=swapped.keyid, signature=other.signature),
        Envelope(payload=swapped.payload, keyid=other.keyid, signature=other.signature),
        Envelope(payload=other.payload, keyid=other.keyid, signature=swapped.signature),
    ):
        write(proven, envelopes.encode(envelope))
        assert complaint(proven)


def test_with_a_list_of_ones_own_a_proof_by_somebody_else_is_broken(proven: Path, grace: Path, tmp_path: Path) -> None:
    public = Path(f"{grace}.pub").read_text()
    (tmp_path / "mine").write_text(f"grace@example.org {public}")
    found = findings(proven, trusted=tmp_path / "mine")
    assert found["signatures proof.intoto.jsonl, line 1"][0] is Verdict.BROKEN
    write(proven, forged(proven, lambda value: None, grace))
    words = findings(proven, trusted=tmp_path / "mine")["signatures proof.intoto.jsonl, line 1"]
    assert (words[0], "accepted by the list you gave" in words[1]) == (Verdict.IDENTICAL, True)


def test_a_proof_signed_after_the_key_expired_is_broken_and_one_from_before_is_not(proven: Path) -> None:
    listed = proven / "keys/allowed_signers"
    text = listed.read_text()
    write(proven, forged(proven, lambda value: value["predicate"]["signed"].update(time="2050-01-01T00:00:00Z")))
    verdict, words = findings(proven)["signatures proof.intoto.jsonl, line 1"]
    assert (verdict, "was not accepted at 2050-01-01T00:00:00Z" in words) == (Verdict.BROKEN, True)
    assert not passes(check(proven))
    before = text.split("valid-before=")[1][1:10]
    listed.write_text(text.replace(before, "20510101Z"))
    assert findings(proven)["signatures proof.intoto.jsonl, line 1"][0] is Verdict.IDENTICAL


def test_a_proof_of_a_failed_run_is_broken(proven: Path, world: World) -> None:
    (proven / "experiments/line/train.py").write_text("raise SystemExit(3)\n")
    world.tool("run", "line", "--quiet", cwd=proven, status=1)
    failed = RunFiles(proven).ids()[-1]
    shutil.copyfile(proof_of(proven), proven / "runs" / failed / "proof.intoto.jsonl")
    verdict = verdicts(check(proven), "proofs")[f"runs/{failed}/proof.intoto.jsonl"]
    assert verdict is Verdict.BROKEN


def test_the_list_of_digests_still_finds_what_else_is_added(proven: Path) -> None:
    (directory,) = proven.glob("runs/*")
    for name in ("more.intoto.jsonl", "attestations.txt", "trace/proof.intoto.jsonl", "attestations/a/b"):
        (directory / name).parent.mkdir(exist_ok=True, parents=True)
        (directory / name).write_text("")
        assert names(check(proven), name), name
        (directory / name).unlink()
    shutil.rmtree(directory / "attestations")
    golden = proven / "golden_traces/line/proof.intoto.jsonl"
    golden.write_text("")
    assert names(check(proven), "golden_traces/line/proof.intoto.jsonl")


def test_a_signature_that_cannot_be_checked_is_no_crash(proven: Path) -> None:
    def pretend(value: Told) -> None:
        value["predicate"]["signed"]["key"] = "ssh-rsa AAAA"

    value = stated(lines(proven)[-1])
    pretend(value)
    payload = json.dumps(value, sort_keys=True, separators=(",", ":")).encode()
    keyid = envelopes.fingerprint("ssh-rsa AAAA")
    write(proven, envelopes.encode(Envelope(payload=payload, keyid=keyid, signature=b"x" * 64)))
    assert "expected the line of an Ed25519 key" in complaint(proven)
    with pytest.raises(ResearchError):
        statements.opened(b"{}", "x", ProofStatement)


def test_nothing_is_left_of_a_proof_that_could_not_be_written(tiny: Path, world: World) -> None:
    """No file may be longer than a kibibyte: as good as a full disk."""
    done = world.run("bash", "-c", "ulimit -f 1; exec entrenar-research prove line", cwd=tiny, status=1)
    assert "cannot write proof.intoto.jsonl: File too large" in done.stderr
    assert not [*tiny.glob("runs/*/proof*"), *tiny.glob("runs/*/.*.part")]
    world.tool("prove", "line", cwd=tiny)
    assert passes(check(tiny))
