"""A study that the commands made, before judges that are not ours."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from tests.conftest import World
from tests.oracle.judges import crate_issues, program, run, seeded_cache

pytestmark = pytest.mark.oracle


@pytest.fixture
def unzipped(tiny_bundle: Path, tmp_path: Path) -> Path:
    """The bundle as `unzip` unpacks it."""
    out = tmp_path / "unzipped"
    done = run(program("unzip"), "-q", tiny_bundle, "-d", out)
    assert done.returncode == 0, done.stdout + done.stderr
    return out


@pytest.mark.slow
@pytest.mark.parametrize("profile", ["ro-crate-1.1", "process-run-crate"])
def test_rocrate_validator_accepts_the_bundle(profile: str, unzipped: Path, tmp_path: Path) -> None:
    assert crate_issues(unzipped, profile, seeded_cache(tmp_path), tmp_path / "report.json") == []


@pytest.mark.slow
def test_runcrate_reports_the_run(unzipped: Path) -> None:
    done = run(program("runcrate"), "report", unzipped)
    assert done.returncode == 0, done.stderr
    for word in ("action:", "line", "experiments/line/result/metrics.json", "data/points.csv"):
        assert word in done.stdout, done.stdout


def test_zip_tools_accept_the_bundle(tiny_bundle: Path) -> None:
    done = run(program("unzip"), "-t", tiny_bundle)
    assert done.returncode == 0, done.stdout
    assert "No errors detected" in done.stdout


def test_cffconvert_accepts_the_citation(tiny: Path) -> None:
    done = run(program("cffconvert"), "--validate", "-i", tiny / "CITATION.cff")
    assert done.returncode == 0, done.stdout + done.stderr


def test_biber_accepts_the_bibtex(world: World, tiny: Path, tmp_path: Path) -> None:
    with (tiny / "study.yaml").open("a") as stream:
        stream.write('released: "2026-01-02"\n')
    world.tool("cite", "--format", "bibtex", "-o", tmp_path / "refs.bib", cwd=tiny)
    done = run(program("biber"), "--tool", "--validate-datamodel", "--output-file=o.bib", "refs.bib", cwd=tmp_path)
    assert done.returncode == 0, done.stdout
    assert "WARN" not in done.stdout, done.stdout


def test_git_and_ssh_keygen_accept_the_seals(tiny: Path, tmp_path: Path) -> None:
    signers = f"gpg.ssh.allowedSignersFile={tiny / 'keys' / 'allowed_signers'}"
    for tag in ("experiment/line/v1", "golden/line/v1"):
        done = run("git", "-c", signers, "verify-tag", tag, cwd=tiny)
        assert done.returncode == 0, done.stderr
        whole = run("git", "cat-file", "tag", tag, cwd=tiny).stdout
        payload, mark, signature = whole.partition("-----BEGIN SSH SIGNATURE-----")
        (tmp_path / "sig").write_text(mark + signature)
        checked = subprocess.run(
            ["ssh-keygen", "-Y", "verify", "-f", tiny / "keys/allowed_signers", "-I", "ada@example.org", "-n", "git",
             "-s", tmp_path / "sig"],
            input=payload, capture_output=True, text=True, check=False,
        )  # fmt: skip
        assert checked.returncode == 0, checked.stdout + checked.stderr


def test_sha256sum_accepts_our_manifests(tiny: Path) -> None:
    for path in sorted(tiny.glob("runs/*/SHA256SUMS")):
        assert run("sha256sum", "--strict", "-c", "SHA256SUMS", cwd=path.parent).returncode == 0
    for path in sorted(tiny.glob("runs/*/*.sha256")):
        assert run("sha256sum", "--strict", "-c", path, cwd=tiny).returncode == 0
