"""Rebuilding and signing it, in a study and from a bundle; what came back; and who agrees in the end."""

from __future__ import annotations

import base64
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from entrenar_research import workspace
from entrenar_research.actions.verifying import proofs
from entrenar_research.core.proofs import envelopes
from entrenar_research.core.proofs.envelopes import Envelope
from entrenar_research.models.verdict import Verdict
from entrenar_research.store.run_files import RunFiles
from entrenar_research.store.study_files import StudyFiles
from tests.conftest import World
from tests.integration.checking import Flipped, check, flips, names, passes

Told = dict[str, Any]


@pytest.fixture(autouse=True)
def _environment(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in world.environment.items():
        monkeypatch.setenv(name, value)


@pytest.fixture
def keys(tmp_path: Path, world: World) -> dict[str, Path]:
    """Keys of people besides Ada."""
    found = {name: tmp_path / name for name in ("grace", "alan")}
    for name, key in found.items():
        world.run("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", name, "-f", key, cwd=tmp_path)
    return found


@pytest.fixture
def attested(tiny: Path, world: World) -> Path:
    """The study with an attestation by Ada herself."""
    world.tool("attest", "line", "--notes", "At home", cwd=tiny)
    return tiny


def answer(world: World, *words: str | Path, cwd: Path, status: int = 0) -> Any:
    return json.loads(world.tool(*words, "--format", "json", cwd=cwd, status=status).stdout)


def stated(line: bytes) -> Told:
    found: Told = json.loads(base64.b64decode(json.loads(line)["payload"]))
    return found


def file_of(study: Path) -> Path:
    return next(study.glob("runs/*/attestations/*"))


def signed_anew(line: bytes, key: Path, change: Callable[[Told], object] = lambda value: None) -> bytes:
    """An attestation with another content, as whoever has `key` could sign it."""
    value = stated(line)
    signer = workspace.signer()
    public = signer.read(key)
    value["predicate"]["signed"]["key"] = " ".join(public.line.split()[:2])
    change(value)
    payload = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()
    envelope = Envelope(payload=payload, keyid=public.fingerprint, signature=b"")
    signature = signer.sign(key, envelope.message, ask=str)
    return envelopes.encode(Envelope(payload=payload, keyid=public.fingerprint, signature=signature))


def on(hardware: str, time: str = "2026-12-01T00:00:00Z") -> Callable[[Told], None]:
    def change(value: Told) -> None:
        value["predicate"]["evidence"]["hardware"] = {"architecture": "x86_64", "level": hardware, "vendor": "X"}
        value["predicate"]["signed"]["time"] = time

    return change


def different(value: Told) -> None:
    claim = value["predicate"]["claim"]
    claim.update(same=False, verdict="different")
    claim["outputs"][0].update(verdict="different", digest="sha256:" + "0" * 64, detail="other numbers")


def take_in(world: World, study: Path, *lines: bytes, status: int = 0) -> Any:
    file = study.parent / "sent.intoto.jsonl"
    file.write_bytes(b"".join(line + b"\n" for line in lines))
    done = world.tool("attest", "--import", file, "--format", "json", cwd=study, status=status)
    return json.loads(done.stdout) if status == 0 else done.stderr


def allow(world: World, study: Path, key: Path, *words: str) -> None:
    world.tool("keys", "allow", f"{key}.pub", "--as", f"{key.name}@example.org", *words, cwd=study)


def consensus(world: World, study: Path, status: int, *words: str | Path) -> Any:
    return answer(world, "consensus", "line", *words, cwd=study, status=status)


def found(study: Path) -> list[tuple[str, Verdict, str]]:
    every = proofs.check_proofs(StudyFiles(study), workspace.signer())
    return [(item.area, item.verdict, item.detail) for item in every]


# --- in a study ---


def test_an_attestation_says_what_came_out(attested: Path, world: World) -> None:
    value = stated(file_of(attested).read_bytes())
    record = RunFiles(attested).resolve("line")
    claim, evidence = value["predicate"]["claim"], value["predicate"]["evidence"]
    assert (claim["run"], claim["verdict"], claim["same"]) == (record.id, "identical", True)
    recorded = RunFiles(attested).manifest(record.id, "outputs.sha256")
    assert {item["name"]: item["digest"] for item in claim["outputs"]} == recorded
    assert {item["name"] for item in claim["metrics"]} == {"loss", "weight"}
    assert (evidence["author"], evidence["notes"]) == ({"name": "Ada Lovelace", "email": "ada@example.org"}, "At home")
    assert evidence["hardware"]["architecture"] == "x86_64"
    assert record.hardware is not None
    assert evidence["hardware"]["level"] == record.hardware.level
    proof = world.tool("prove", "line", "--format", "json", cwd=attested).stdout
    assert claim["world"] == json.loads(proof)["statement"]["predicate"]["claim"]["world"]
    assert str(attested) not in json.dumps(value)
    assert passes(check(attested))


def test_it_names_the_proof_that_it_was_held_against(tiny: Path, world: World) -> None:
    digest = answer(world, "prove", "line", cwd=tiny)["digest"]
    (said,) = answer(world, "attest", "line", cwd=tiny)
    assert said["statement"]["predicate"]["evidence"]["proof"] == digest
    again = answer(world, "attest", "line", cwd=tiny)
    assert [said["path"][-15:], again[0]["path"][-15:]] == ["-1.intoto.jsonl", "-2.intoto.jsonl"]


def test_what_comes_out_otherwise_is_signed_as_such(tiny: Path, world: World) -> None:
    """Code that is not repeatable: what it writes depends on the time."""
    train = tiny / "experiments/line/train.py"
    train.write_text(train.read_text() + "open(os.path.join(out, 'when'), 'w').write(str(__import__('time').time()))\n")
    world.tool("run", "line", "--quiet", cwd=tiny)
    refused = world.tool("attest", "line", "--verdict", "within", cwd=tiny, status=1)
    assert "rebuilt here is different, expected within or better: nothing was signed" in refused.stderr
    assert not list(tiny.glob("runs/*/attestations"))
    (said,) = answer(world, "attest", "line", cwd=tiny, status=1)
    assert (said["same"], said["verdict"]) == (False, "different")
    rungs = {item["name"][24:]: item["verdict"] for item in said["statement"]["predicate"]["claim"]["outputs"]}
    assert rungs == {"curve.csv": "identical", "metrics.json": "identical", "when": "different"}
    world.tool("prove", "line", cwd=tiny)
    report = consensus(world, tiny, 1)
    assert [item["verdict"] for item in report["disagreeing"]] == ["different"]


def test_a_key_that_the_study_does_not_know_is_said_and_unknown(
    tiny: Path, world: World, keys: dict[str, Path]
) -> None:
    (said,) = answer(world, "attest", "line", "--key", keys["grace"], "--author", "Grace", cwd=tiny)
    assert said["known"] is False
    assert said["statement"]["predicate"]["evidence"]["author"] == {"name": "Grace"}
    assert [item[:2] for item in found(tiny)] == [("proofs", Verdict.IDENTICAL), ("signatures", Verdict.UNKNOWN)]
    assert passes(check(tiny))
    assert consensus(world, tiny, 1)["keys"] == []
    allow(world, tiny, keys["grace"])
    assert [item[1] for item in found(tiny)] == [Verdict.IDENTICAL, Verdict.IDENTICAL]
    assert consensus(world, tiny, 1)["keys"] == [said["key"]]


def test_a_key_that_is_listed_for_seals_alone_attests_nothing(tiny: Path, world: World, keys: dict[str, Path]) -> None:
    allow(world, tiny, keys["grace"], "--for", "seals")
    said = world.tool("attest", "line", "--key", keys["grace"], cwd=tiny, status=2).stderr
    assert "which is not listed for attestation@entrenar-research" in said
    assert not list(tiny.glob("runs/*/attestations"))


def test_what_is_not_here_cannot_be_rebuilt_and_is_not_signed(tiny: Path, world: World, tmp_path: Path) -> None:
    for path in ("train.py", "result/curve.csv"):
        shutil.copyfile(tiny / "experiments/line" / path, tmp_path / "kept")
        (tiny / "experiments/line" / path).unlink()
        assert path in world.tool("attest", "line", cwd=tiny, status=1).stderr
        shutil.copyfile(tmp_path / "kept", tiny / "experiments/line" / path)
    assert not list(tiny.glob("runs/*/attestations"))


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        ((), "expected a run or a bundle to rebuild, or --import FILE"),
        (("line", "--import", "x"), "expected a run or a bundle to rebuild, or --import FILE"),
        (("--import", "x", "--notes", "y"), "it has no use for --notes"),
        (("--import", "x", "--replay"), "it has no use for --replay"),
        (("--import", "none"), "none: no such file"),
        (("nothing",), "nothing"),
        (("line", "--author", " "), "--author: expected a name, found nothing"),
        (("line", "--key", "none"), "none lies inside the study"),
        (("line", "-o", "none/x"), "there is no directory"),
    ],
)
def test_requests_that_make_no_sense(words: tuple[str, ...], complaint: str, tiny: Path, world: World) -> None:
    said = world.tool("attest", *words, cwd=tiny, status=2).stderr
    assert complaint in said
    assert not list(tiny.glob("runs/*/attestations"))


# --- spoilt ---


def test_every_byte_of_an_attestation_matters(attested: Path) -> None:
    path = file_of(attested)
    subject = path.relative_to(attested).as_posix()
    for number, mask in flips(path.read_bytes(), 150, "attestation"):
        with Flipped(path, number, mask):
            assert [item[1] for item in found(attested)] == [Verdict.BROKEN], (number, mask)
    for number, mask in flips(path.read_bytes(), 6, "again"):
        with Flipped(path, number, mask):
            assert names(check(attested), subject)


def test_an_attestation_in_the_wrong_place_is_found(attested: Path) -> None:
    path = file_of(attested)
    for name in ("0123456789abcdef-1.intoto.jsonl", "mine.jsonl", f"{path.name[:16]}-2.intoto.jsonl"):
        shutil.copyfile(path, path.with_name(name))
        assert Verdict.BROKEN in [item[1] for item in found(attested)], name
        path.with_name(name).unlink()
    path.with_name(".half.part").write_text("")  # of a process that died
    assert passes(check(attested))


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda v: v["predicate"]["claim"].update(verdict="equal"), "it says equal, its lowest verdict is identical"),
        (lambda v: v["predicate"]["claim"].update(same=False), "its lowest verdict is identical"),
        (lambda v: v["predicate"]["claim"]["outputs"].pop(), "it says nothing of experiments/line/result/metrics.json"),
        (lambda v: v["predicate"]["claim"]["outputs"][0].update(digest="sha256:0"), "which its digests contradict"),
        (lambda v: v["predicate"]["claim"].update(run="other"), "it is about run other"),
        (lambda v: v["predicate"]["claim"].update(result="sha256:0"), "its experiment, recipe or result is not"),
    ],
)
def test_an_attestation_that_contradicts_itself_or_the_run_is_found(
    change: Callable[[Told], object], words: str, attested: Path, world: World
) -> None:
    path = file_of(attested)
    line = signed_anew(path.read_bytes(), workspace.key_path(), change)
    path.unlink()
    said = take_in(world, attested, line, status=2 if "run other" in words else 1)
    assert words in said or "which this study does not have" in said
    path.write_bytes(line + b"\n")
    assert [words in item[2] for item in found(attested)] == [True]
    assert consensus(world, attested, 1)["damaged"]


# --- there and back ---


def test_a_bundle_is_rebuilt_by_a_stranger_and_the_attestation_taken_in(
    tiny: Path, world: World, keys: dict[str, Path], tmp_path: Path
) -> None:
    world.tool("prove", "line", cwd=tiny)
    world.tool("seal", "experiment", "line", "-m", "With its proof", cwd=tiny)
    bundle = tmp_path / "tiny.crate.zip"
    world.tool("bundle", "-o", bundle, cwd=tiny)
    assert passes_bundle(world, bundle)
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    words = ("attest", bundle, "--key", keys["grace"], "--author", "Grace Hopper", "-o", "mine.intoto.jsonl")
    assert "needs -o FILE" in world.tool("attest", bundle, cwd=elsewhere, status=2).stderr
    assert "no consent" in world.tool(*words, cwd=elsewhere, status=2).stderr
    assert not list(elsewhere.iterdir())
    (said,) = answer(world, *words, "--replay", cwd=elsewhere)
    assert (said["same"], said["path"]) == (True, "mine.intoto.jsonl")
    assert [item.name for item in elsewhere.iterdir()] == ["mine.intoto.jsonl"]
    allow(world, tiny, keys["grace"])
    taken = ("attest", "--import", elsewhere / "mine.intoto.jsonl")
    (first,) = answer(world, *taken, cwd=tiny)
    assert (first["fresh"], first["known"], first["verdict"]) == (True, True, "identical")
    (second,) = answer(world, *taken, cwd=tiny)
    assert (second["fresh"], second["path"]) == (False, first["path"])
    report = consensus(world, tiny, 0)
    assert (report["reached"], len(report["keys"]), len(report["hardware_classes"])) == (True, 2, 1)


def passes_bundle(world: World, bundle: Path) -> bool:
    done = world.tool("verify", bundle, "--no-replay", "--all", cwd=bundle.parent)
    return "proof.intoto.jsonl" in done.stdout


def test_a_damaged_bundle_is_not_rebuilt(tiny_bundle: Path, world: World) -> None:
    with Flipped(tiny_bundle, tiny_bundle.stat().st_size // 2):
        words = ("attest", tiny_bundle, "--replay", "-o", "mine")
        said = world.tool(*words, cwd=tiny_bundle.parent, status=1).stderr
    assert "is damaged: " in said
    assert "nothing was run" in said
    assert not (tiny_bundle.parent / "mine").exists()


def test_all_or_none_is_taken_in(attested: Path, world: World, keys: dict[str, Path]) -> None:
    path = file_of(attested)
    line = path.read_bytes().rstrip()
    good = signed_anew(line, keys["grace"])
    broken = signed_anew(line, keys["alan"]).replace(b'"sig":"A', b'"sig":"B').replace(b'"sig":"', b'"sig":"A')
    before = sorted(item.name for item in path.parent.iterdir())
    assert "sent.intoto.jsonl, line 2: " in take_in(world, attested, good, broken, status=1)
    assert sorted(item.name for item in path.parent.iterdir()) == before
    (said,) = take_in(world, attested, good)
    assert (said["fresh"], said["known"]) == (True, False)


def test_an_attestation_of_another_copy_or_by_an_expired_key_is_not_taken_in(
    attested: Path, world: World, keys: dict[str, Path]
) -> None:
    line = file_of(attested).read_bytes().rstrip()
    other = signed_anew(line, keys["grace"], lambda v: v["subject"][0]["digest"].update(sha256="0" * 64))
    assert "contradict" in take_in(world, attested, other, status=1)
    allow(world, attested, keys["grace"], "--valid-for", "30d")
    late = signed_anew(line, keys["grace"], on("x86-64-v1", "2050-01-01T00:00:00Z"))
    assert "was not accepted at 2050-01-01T00:00:00Z" in take_in(world, attested, late, status=1)


# --- who agrees ---


def test_who_agrees_and_who_does_not(attested: Path, world: World, keys: dict[str, Path], tmp_path: Path) -> None:
    line = file_of(attested).read_bytes().rstrip()
    for key in keys.values():
        allow(world, attested, key)
    now = stated(line)["predicate"]["signed"]["time"]
    take_in(world, attested, signed_anew(line, keys["grace"], on("x86-64-v2", now)))
    report = consensus(world, attested, 0)
    assert (len(report["keys"]), len(report["hardware_classes"])) == (2, 2)
    take_in(world, attested, signed_anew(line, keys["alan"], different))
    report = consensus(world, attested, 1)
    assert report["lacking"] == ["1 keys disagree, at most 0 may"]
    assert [(item["who"], item["detail"]) for item in report["disagreeing"]] == [
        ("alan@example.org", "experiments/line/result/curve.csv: other numbers")
    ]
    policy = tmp_path / "policy.toml"
    policy.write_text('disagreements = 1\nhardware_classes = 2\nverdicts = ["identical"]\n')
    assert consensus(world, attested, 0, "--policy", policy)["policy"]["keys"] == 2
    policy.write_text("disagreements = 1\nhermetic = true\n")
    report = consensus(world, attested, 1, "--policy", policy)
    assert report["lacking"][0] == "0 of 2 distinct keys agree"
    told = world.tool("consensus", "line", cwd=attested, status=1).stdout
    assert "no consensus: 1 keys disagree" in told


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("keys = 0", "keys is 0, expected 1 or more"),
        ("hardware_classes = -1", "hardware_classes is -1, expected 0 or more"),
        ('verdicts = ["different"]', "expected one or more of identical, equal and within"),
        ("verdicts = []", "expected one or more of identical, equal and within"),
        ('verdicts = ["sure"]', "sure"),
        ("kees = 2", "kees"),
        ('keys = "two"', "keys"),
        ("keys", "policy.toml: "),
    ],
)
def test_a_policy_that_is_none(text: str, complaint: str, tiny: Path, world: World, tmp_path: Path) -> None:
    (tmp_path / "policy.toml").write_text(text)
    said = world.tool("consensus", "line", "--policy", tmp_path / "policy.toml", cwd=tiny, status=2).stderr
    assert complaint in said


def test_a_run_that_nobody_signed_anything_about(tiny: Path, world: World) -> None:
    report = consensus(world, tiny, 1)
    assert (report["keys"], report["reached"], report["damaged"]) == ([], False, [])
