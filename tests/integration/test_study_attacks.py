"""Changes by somebody who knows how a study is checked: lists recomputed, commits made, tags moved, keys added."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest

from entrenar_research.core import recipe
from entrenar_research.models.run import RunRecord
from entrenar_research.models.verdict import Verdict
from entrenar_research.store import hashing, run_files, sums
from entrenar_research.store.run_files import RunFiles
from tests.conftest import World
from tests.integration.checking import check, names, passes, verdicts

RESULT = "experiments/line/result"
TAG = "experiment/line/v1"
LIAR = """\
#!/bin/sh
case "$*" in *"-Y verify"*) cat >/dev/null ;; esac
echo 'Good "git" signature for ada@example.org with ED25519 key SHA256:x'
"""


@pytest.fixture(autouse=True)
def _environment(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in world.environment.items():
        monkeypatch.setenv(name, value)


@pytest.fixture
def git(tiny: Path, world: World) -> Callable[..., str]:
    """Git in the study."""
    return lambda *words: world.run("git", *words, cwd=tiny).stdout.strip()


@pytest.fixture
def record(tiny: Path) -> RunRecord:
    """The record of the sealed run."""
    found = RunFiles(tiny).latest("line")
    assert found is not None
    return found


@pytest.fixture
def mallory(world: World, tiny: Path) -> Path:
    """The private key of somebody whom the study does not list."""
    key = tiny.parent / "mallory"
    world.run("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "mallory@example.org", "-f", key, cwd=tiny)
    return key


def record_anew(study: Path, record: RunRecord, manifest: str) -> None:
    """Puts the bytes that are there now into a run's manifest and closes the run again."""
    path = study / "runs" / record.id / manifest
    lines = [line.split("  ", 1)[1] for line in path.read_text().splitlines()]
    hashes = hashing.hash_files(lines, md5=False, root=study)
    path.write_text("".join(f"{item.sha256}  {line}\n" for item, line in zip(hashes, lines, strict=True)))
    sums.close(study / "runs" / record.id)


def exchange(study: Path) -> None:
    one, other = study / RESULT / "curve.csv", study / RESULT / "metrics.json"
    first, second = one.read_bytes(), other.read_bytes()
    one.write_bytes(second)
    other.write_bytes(first)


def test_two_results_exchanged(tiny: Path) -> None:
    exchange(tiny)
    report = check(tiny)
    assert names(report, f"{RESULT}/curve.csv")
    assert names(report, f"{RESULT}/metrics.json")


def test_two_results_exchanged_and_the_lists_recomputed(tiny: Path, record: RunRecord) -> None:
    exchange(tiny)
    record_anew(tiny, record, run_files.OUTPUTS)
    report = check(tiny)
    assert verdicts(report, "data")["line"] is Verdict.IDENTICAL
    assert verdicts(report, "history")[f"runs/{record.id}/outputs.sha256"] is Verdict.DIFFERENT
    assert verdicts(report, "evidence")[f"runs/{record.id}/run.yaml"] is Verdict.DIFFERENT


def test_the_same_without_git_is_found_by_the_record_alone(tiny: Path, record: RunRecord) -> None:
    shutil.rmtree(tiny / ".git")
    exchange(tiny)
    record_anew(tiny, record, run_files.OUTPUTS)
    assert names(check(tiny), f"runs/{record.id}/run.yaml")


def test_and_committed(tiny: Path, record: RunRecord, git: Callable[..., str]) -> None:
    exchange(tiny)
    record_anew(tiny, record, run_files.OUTPUTS)
    git("commit", "-q", "-a", "-m", "Nothing to see here")
    report = check(tiny)
    assert verdicts(report, "history") == {"HEAD": Verdict.IDENTICAL}
    assert verdicts(report, "signatures")[f"runs/{record.id}/outputs.sha256"] is Verdict.DIFFERENT


@pytest.mark.parametrize("manifest", [run_files.INPUTS, run_files.OUTPUTS])
def test_a_replaced_file_with_everything_recomputed_but_the_recipe(
    manifest: str, tiny: Path, record: RunRecord
) -> None:
    path = tiny / ("data/points.csv" if manifest == run_files.INPUTS else f"{RESULT}/curve.csv")
    path.write_text(path.read_text() + "9,9\n")
    shutil.rmtree(tiny / ".git")
    record_anew(tiny, record, manifest)
    report = check(tiny)
    assert any("gives sha256:" in item.detail for item in report.wanting if "run.yaml" in item.subject)


@pytest.mark.parametrize(
    "change",
    [
        {"metrics": {"loss": 0.0, "weight": 2.0}},
        {"params": {"rate": 0.05, "steps": 21}},
        {"command": "python other.py"},
        {"result": "sha256:" + "0" * 64},
        {"recipe": "sha256:" + "0" * 64},
    ],
)
def test_a_record_that_contradicts_itself(change: dict[str, object], tiny: Path, record: RunRecord) -> None:
    shutil.rmtree(tiny / ".git")
    RunFiles(tiny).close(msgspec.structs.replace(record, **change))
    assert names(check(tiny), f"runs/{record.id}/run.yaml")


@pytest.mark.parametrize("change", [{"started": "2020-01-01T00:00:00.000Z"}, {"tool": "entrenar-research 9"}])
def test_a_record_edited_recomputed_and_committed_is_not_the_sealed_one(
    change: dict[str, object], tiny: Path, record: RunRecord, git: Callable[..., str]
) -> None:
    RunFiles(tiny).close(msgspec.structs.replace(record, **change))
    git("commit", "-q", "-a", "-m", "Better")
    report = check(tiny)
    assert verdicts(report, "history") == {"HEAD": Verdict.IDENTICAL}
    found = verdicts(report, "signatures")
    assert found[f"runs/{record.id}/run.yaml"] is Verdict.DIFFERENT
    assert found[f"runs/{record.id}/SHA256SUMS"] is Verdict.DIFFERENT


def test_a_recipe_edited_with_all_that_depends_on_it_disagrees_with_the_seal(
    tiny: Path, record: RunRecord, git: Callable[..., str]
) -> None:
    forged = msgspec.structs.replace(record, seed=7)
    forged = msgspec.structs.replace(forged, recipe=recipe.digest(forged))
    RunFiles(tiny).close(forged)
    git("commit", "-q", "-a", "-m", "Seven")
    assert any(f"is not the one that {TAG} seals" in item.detail for item in check(tiny).wanting)


def test_a_list_of_digests_that_is_gone_is_missed_without_git(tiny: Path, record: RunRecord) -> None:
    shutil.rmtree(tiny / ".git")
    for place in (f"runs/{record.id}/SHA256SUMS", "golden_traces/line/SHA256SUMS"):
        (tiny / place).unlink()
        assert names(check(tiny), place)


def test_a_golden_trace_promoted_anew_is_not_sealed(tiny: Path, world: World, git: Callable[..., str]) -> None:
    world.tool("run", "line", "--force", "--quiet", cwd=tiny)
    world.tool("golden", "promote", "line", "--as", "line", "--replace", "--repeat", "2", cwd=tiny)
    git("add", "-A")
    git("commit", "-q", "-m", "Again")
    report = check(tiny)
    assert passes(report)
    assert verdicts(report, "signatures")["tag golden/line/v1"] is not Verdict.BROKEN
    details = [item.detail for item in report.findings if item.verdict is Verdict.UNKNOWN]
    assert any("promoted anew and is not sealed" in item for item in details)
    assert any("is not sealed" in item and "last good run" in item for item in details)


def sign(world: World, study: Path, key: Path, name: str = TAG, commit: str = "HEAD") -> None:
    message = world.run("git", "cat-file", "-p", TAG, cwd=study).stdout.split("\n\n", 1)[1]
    settings = ("-c", "gpg.format=ssh", "-c", f"user.signingkey={key}")
    text = message.split("-----BEGIN")[0]
    world.run("git", *settings, "tag", "-f", "-s", "-m", text, name, commit, cwd=study)


def test_a_tag_signed_by_somebody_else(tiny: Path, world: World, mallory: Path) -> None:
    sign(world, tiny, mallory)
    assert verdicts(check(tiny), "signatures")[f"tag {TAG}"] is Verdict.BROKEN


def listed(mallory: Path, options: str = 'namespaces="git"') -> str:
    material = " ".join(mallory.with_suffix(".pub").read_text().split()[:2])
    return f"mallory@example.org {options} {material}\n"


def test_a_forger_who_lists_himself(tiny: Path, world: World, mallory: Path, git: Callable[..., str]) -> None:
    """Uncommitted, Git tells. Committed, only the reader's own list does: the study's list is the study's."""
    mine = tiny.parent / "mine"
    signers = tiny / "keys/allowed_signers"
    mine.write_bytes(signers.read_bytes())
    assert passes(check(tiny, trusted=mine))
    sign(world, tiny, mallory)
    signers.write_text(signers.read_text() + listed(mallory))
    assert names(check(tiny), "keys/allowed_signers")
    git("commit", "-q", "-a", "-m", "Trust me")
    report = check(tiny)
    assert passes(report)
    by = [item.detail for item in report.findings if item.subject == f"tag {TAG}"]
    assert "mallory@example.org" in by[0]
    assert "listed by the study itself" in by[0]
    assert verdicts(check(tiny, trusted=mine), "signatures")[f"tag {TAG}"] is Verdict.BROKEN
    done = world.tool("verify", "--no-replay", "--allowed-signers", mine, cwd=tiny, status=1)
    assert f"tag {TAG}" in done.stdout


@pytest.mark.parametrize(
    ("period", "good"),
    [
        ('valid-after="20200101",valid-before="20201231"', False),
        ('valid-after="20990101"', False),
        ('valid-after="20200101",valid-before="20991231"', True),
    ],
)
def test_a_key_counts_only_in_its_period(period: str, good: bool, tiny: Path, world: World, mallory: Path) -> None:
    sign(world, tiny, mallory)
    list_of_mine = tiny.parent / "mine"
    list_of_mine.write_text((tiny / "keys/allowed_signers").read_text() + listed(mallory, f'namespaces="git",{period}'))
    expected = Verdict.IDENTICAL if good else Verdict.BROKEN
    assert verdicts(check(tiny, trusted=list_of_mine), "signatures")[f"tag {TAG}"] is expected


def test_a_key_for_another_purpose_does_not_sign_tags(tiny: Path, world: World, mallory: Path) -> None:
    sign(world, tiny, mallory)
    mine = tiny.parent / "mine"
    mine.write_text(listed(mallory, 'namespaces="file"'))
    assert verdicts(check(tiny, trusted=mine), "signatures")[f"tag {TAG}"] is Verdict.BROKEN


def test_a_program_that_calls_every_signature_good_is_not_asked(
    tiny: Path, world: World, mallory: Path, git: Callable[..., str]
) -> None:
    """A study that is handed over as a directory brings its own `.git/config`."""
    sign(world, tiny, mallory)
    liar = tiny.parent / "liar"
    liar.write_text(LIAR)
    liar.chmod(0o755)
    git("config", "gpg.ssh.program", str(liar))
    assert (
        "Good"
        in world.run("git", "-c", "gpg.ssh.allowedSignersFile=keys/allowed_signers", "verify-tag", TAG, cwd=tiny).stderr
    )
    assert verdicts(check(tiny), "signatures")[f"tag {TAG}"] is Verdict.BROKEN


def test_a_tag_moved_to_another_commit(tiny: Path, git: Callable[..., str]) -> None:
    git("commit", "-q", "--allow-empty", "-m", "Later")
    git("update-ref", f"refs/tags/{TAG}", "HEAD")
    report = check(tiny)
    assert verdicts(report, "signatures")[f"tag {TAG}"] is Verdict.BROKEN


@pytest.mark.parametrize("name", ["golden/line/v1", "experiment/line/v2"])
def test_a_good_tag_under_another_name(name: str, tiny: Path, git: Callable[..., str]) -> None:
    git("update-ref", f"refs/tags/{name}", git("rev-parse", f"refs/tags/{TAG}"))
    assert verdicts(check(tiny), "signatures")[f"tag {name}"] is Verdict.BROKEN


def test_a_tag_beside_the_tags(tiny: Path, git: Callable[..., str]) -> None:
    git("update-ref", "refs/other/v1", git("rev-parse", f"refs/tags/{TAG}"))
    assert names(check(tiny), "refs/other/v1")


def test_a_commit_amended_after_it_was_sealed(tiny: Path, git: Callable[..., str]) -> None:
    """With the same files it is a remark; with a sealed file changed it is found wanting."""
    git("commit", "-q", "--amend", "--allow-empty", "-m", "Other words")
    git("reset", "-q", "--soft", git("commit-tree", "HEAD^{tree}", "-m", "Without a past"))
    report = check(tiny)
    assert passes(report)
    remarks = [item for item in report.findings if item.verdict is Verdict.UNKNOWN and TAG in item.subject]
    assert ["not in the history" in item.detail for item in remarks] == [True]
    stdout = next(tiny.glob("runs/*/stdout.txt"))
    stdout.write_text("weight 3.000\n")
    sums.close(stdout.parent)
    git("commit", "-q", "-a", "--amend", "-m", "Other words again")
    assert names(check(tiny), stdout.relative_to(tiny).as_posix())


def test_replaced_objects_are_not_shown(tiny: Path, git: Callable[..., str]) -> None:
    path = tiny / "README.md"
    path.write_text("Something else\n")
    blob = git("hash-object", "-w", "README.md")
    git("replace", git("rev-parse", "HEAD:README.md"), blob)
    assert git("show", "HEAD:README.md") == "Something else"
    assert verdicts(check(tiny), "history")["README.md"] is Verdict.DIFFERENT


def test_conversions_of_git_do_not_hide_a_changed_file(tiny: Path) -> None:
    """Told to, Git takes other line ends for the same text: that is said, not passed over."""
    readme = tiny / "README.md"
    readme.write_bytes(readme.read_bytes().replace(b"\n", b"\r\n"))
    assert verdicts(check(tiny), "history")["README.md"] is Verdict.DIFFERENT
    (tiny / ".git/info/attributes").write_text("README.md text\n")
    report = check(tiny)
    assert verdicts(report, "history")["README.md"] is Verdict.EQUAL


def test_a_changed_mode_is_a_change(tiny: Path) -> None:
    (tiny / "experiments/line/train.py").chmod(0o755)
    assert names(check(tiny), "experiments/line/train.py")


def test_verification_inside_a_hook_looks_at_the_study_and_not_at_the_hooks_repository(
    tiny: Path, world: World, tmp_path: Path
) -> None:
    """Git calls hooks with GIT_DIR and GIT_INDEX_FILE set."""
    other = tmp_path / "other"
    other.mkdir()
    world.run("git", "init", "-q", cwd=other)
    around = {"GIT_DIR": str(other / ".git"), "GIT_INDEX_FILE": str(other / ".git/index")}
    report = json.loads(world.tool("verify", "--no-replay", "--format", "json", cwd=tiny, env=around).stdout)
    assert {item["verdict"] for item in report["findings"] if item["area"] == "signatures"} == {"identical"}
