"""What every signer promises, whatever it is: `signers/<name>.py` with a SIGNER."""

from __future__ import annotations

import importlib
import pkgutil
import stat
import subprocess
from pathlib import Path

import pytest

from entrenar_research import signers
from entrenar_research.errors import MissingToolError, ResearchError, UsageError
from entrenar_research.signers.port import Signer

NAMES = sorted(module.name for module in pkgutil.iter_modules(signers.__path__) if module.name != "port")


@pytest.fixture(params=NAMES)
def signer(request: pytest.FixtureRequest) -> Signer:
    found: Signer = importlib.import_module(f"entrenar_research.signers.{request.param}").SIGNER
    assert found.name == request.param
    return found


def test_there_are_signers() -> None:
    assert "ed25519" in NAMES


def test_a_new_key_is_private_and_read_back(signer: Signer, tmp_path: Path) -> None:
    private = tmp_path / "new" / "keys" / "id"
    made = signer.generate(private, comment="ada@example.org", passphrase=False)
    assert stat.S_IMODE(private.stat().st_mode) == 0o600
    assert stat.S_IMODE(private.parent.stat().st_mode) == 0o700
    assert signer.read(private) == made
    assert made.comment == "ada@example.org"
    assert made.line == private.with_name("id.pub").read_text().strip()
    shown = subprocess.run(["ssh-keygen", "-l", "-f", private], capture_output=True, text=True, check=True).stdout
    assert made.fingerprint == shown.split()[1]
    assert made.fingerprint.startswith("SHA256:")


def test_two_keys_are_two_keys(signer: Signer, tmp_path: Path) -> None:
    one, two = (signer.generate(tmp_path / name, comment="x", passphrase=False) for name in "ab")
    assert one.fingerprint != two.fingerprint


def test_a_key_is_never_overwritten(signer: Signer, tmp_path: Path) -> None:
    signer.generate(tmp_path / "id", comment="x", passphrase=False)
    before = (tmp_path / "id").read_bytes()
    with pytest.raises(UsageError, match="there is a key already"):
        signer.generate(tmp_path / "id", comment="x", passphrase=False)
    assert (tmp_path / "id").read_bytes() == before


@pytest.mark.parametrize("mode", [0o644, 0o640, 0o604, 0o622])
def test_a_key_that_others_can_use_is_refused(signer: Signer, tmp_path: Path, mode: int) -> None:
    signer.generate(tmp_path / "id", comment="x", passphrase=False)
    (tmp_path / "id").chmod(mode)
    with pytest.raises(ResearchError, match=f"mode {mode:04o} lets others read the private key; expected 0600"):
        signer.read(tmp_path / "id")


def test_the_public_half_is_that_of_the_private_one_whatever_lies_beside_it(signer: Signer, tmp_path: Path) -> None:
    made = signer.generate(tmp_path / "id", comment="x", passphrase=False)
    (tmp_path / "id.pub").write_text("ssh-ed25519 AAAA somebody@else\n")
    assert signer.read(tmp_path / "id").fingerprint == made.fingerprint
    (tmp_path / "id.pub").unlink()
    assert signer.read(tmp_path / "id").fingerprint == made.fingerprint


def test_a_key_with_a_passphrase_is_read_by_the_public_half_beside_it(signer: Signer, tmp_path: Path) -> None:
    made = signer.generate(tmp_path / "id", comment="x", passphrase=False)
    subprocess.run(["ssh-keygen", "-q", "-p", "-N", "secret", "-f", tmp_path / "id"], check=True, capture_output=True)
    assert signer.read(tmp_path / "id").fingerprint == made.fingerprint
    (tmp_path / "id.pub").unlink()
    with pytest.raises(ResearchError, match="passphrase"):
        signer.read(tmp_path / "id")


@pytest.mark.parametrize("content", ["", "no key\n", "-----BEGIN OPENSSH PRIVATE KEY-----\nAAAA\n"])
def test_what_is_no_key_is_refused(signer: Signer, tmp_path: Path, content: str) -> None:
    (tmp_path / "id").write_text(content)
    (tmp_path / "id").chmod(0o600)
    with pytest.raises(ResearchError):
        signer.read(tmp_path / "id")


def test_no_key_is_a_usage_error_with_the_next_step(signer: Signer, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="there is no key") as caught:
        signer.read(tmp_path / "id")
    assert "keys new" in (caught.value.hint or "")


def test_without_its_program_it_says_so(signer: Signer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(MissingToolError, match="is not installed or not on PATH"):
        signer.generate(tmp_path / "id", comment="x", passphrase=False)
