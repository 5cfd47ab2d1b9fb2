"""The signing key, and the list of those whose signatures a study accepts."""

from __future__ import annotations

import datetime
import os
import re
from pathlib import Path

import msgspec

from entrenar_research.errors import UsageError
from entrenar_research.signers.port import PublicKey, Signer
from entrenar_research.store import files
from entrenar_research.store.study_files import StudyFiles
from entrenar_research.tools.git import Git

VALID_YEARS = 2
_PERIOD = re.compile(r"(\d+)([ymd])")


class Key(msgspec.Struct, frozen=True, kw_only=True):
    """A signing key: `source` says why this one is used, `listed` whether the study accepts it."""

    path: Path
    public: PublicKey
    source: str
    listed: bool = False
    made: bool = False


def locate(git: Git | None, default: Path, explicit: Path | None = None) -> tuple[Path, str]:
    """Which key signs: the one named, the one of the Git configuration, or the tool's own.

    Raises:
        UsageError: if Git is configured for a key of another kind than SSH.
    """
    if explicit is not None:
        return explicit, "given with --key"
    if git is not None and (configured := git.setting("user.signingkey")):
        if git.setting("gpg.format") != "ssh":
            raise UsageError(
                "Git is configured to sign with OpenPGP; seals are signed with SSH keys (Ed25519)",
                hint="give --key FILE, or set gpg.format=ssh and user.signingkey to an SSH key",
            )
        path = Path(configured).expanduser()
        private = path.with_suffix("") if path.suffix == ".pub" else path
        if not private.is_file():
            raise UsageError(
                f"user.signingkey of the Git configuration names {configured}: there is no private key file there",
                hint="correct it, or give --key FILE",
            )
        return private, "user.signingkey of the Git configuration"
    return default, "made by entrenar-research"


def period(text: str | None, now: datetime.datetime) -> tuple[str, str]:
    """The first and last day (`YYYYMMDDZ`) of a period such as `2y`, `6m` or `30d` that begins today.

    Raises:
        UsageError: if it is not of that form.
    """
    match = _PERIOD.fullmatch(text or f"{VALID_YEARS}y")
    if match is None or int(match.group(1)) == 0:
        raise UsageError(f"validity {text!r}: expected a number and y, m or d, for example 2y")
    days = int(match.group(1)) * {"y": 365, "m": 30, "d": 1}[match.group(2)]
    first = now.astimezone(datetime.UTC)
    return first.strftime("%Y%m%dZ"), (first + datetime.timedelta(days=days)).strftime("%Y%m%dZ")


def outside(path: Path, study: StudyFiles | None) -> None:
    """Refuses a private key inside a study.

    Raises:
        UsageError: if `path` lies in the study.
    """
    if study is not None and Path(os.path.realpath(path)).is_relative_to(os.path.realpath(study.root)):
        raise UsageError(f"{path} lies inside the study", hint="private keys never belong into a repository")


def new(
    signer: Signer,
    path: Path,
    *,
    study: StudyFiles | None,
    identity: str | None,
    validity: tuple[str, str],
    passphrase: bool,
) -> Key:
    """Makes a key unless there is one, and lists it in the study, if we are in one.

    Raises:
        UsageError: if the key would lie in the study, or nobody's e-mail is known for the list.
    """
    outside(path, study)
    made = not path.exists()
    if made:
        public = signer.generate(path, comment=identity or "entrenar-research", passphrase=passphrase)
    else:
        public = signer.read(path)
    listed = False
    if study is not None:
        listed = allow(study, public, identity=identity, validity=validity)
    return Key(path=path, public=public, source="made by entrenar-research", listed=listed, made=made)


def is_listed(study: StudyFiles, public: PublicKey) -> bool:
    """Whether the study accepts signatures of this key."""
    if not study.allowed_signers.is_file():
        return False
    material = " ".join(public.line.split()[:2])
    return any(material in line for line in study.allowed_signers.read_text(encoding="utf-8").splitlines())


def allow(study: StudyFiles, public: PublicKey, *, identity: str | None, validity: tuple[str, str]) -> bool:
    """Lists a key in `keys/allowed_signers` with its period of validity; true if it was not there.

    Raises:
        UsageError: if no e-mail is known under which to list it.
    """
    if is_listed(study, public):
        return True
    if identity is None:
        raise UsageError(
            "the key has to be listed under an e-mail address, and Git knows none",
            hint="git config --global user.email you@example.org",
        )
    present = files.read_text(study.allowed_signers) if study.allowed_signers.is_file() else ""
    material = " ".join(public.line.split()[:2])
    line = (
        f'{identity} namespaces="git",valid-after="{validity[0]}",valid-before="{validity[1]}" {material}\n'
    )
    files.write_atomically(study.allowed_signers, present + line)
    return True
