"""The signing key, and the list of those whose signatures a study accepts."""

from __future__ import annotations

import datetime
import fnmatch
import os
import re
from pathlib import Path

import msgspec

from entrenar_research.errors import UsageError
from entrenar_research.signers.port import PublicKey, Signer
from entrenar_research.store import files
from entrenar_research.store.study_files import StudyFiles
from entrenar_research.tools import process
from entrenar_research.tools.git import Git

VALID_YEARS = 2
SEALS = "git"
MODEL_BYPASS = "model-bypass@entrenar-research"
PROOF = "proof@entrenar-research"
ATTESTATION = "attestation@entrenar-research"
AIRGAP = "airgap@entrenar-research"
NAMESPACES = (SEALS, MODEL_BYPASS, PROOF, ATTESTATION, AIRGAP)
"""What a key is listed for: a signature made for one thing cannot be used as one for another."""
PURPOSES = {"seals": SEALS, "models": MODEL_BYPASS, "proofs": PROOF, "attestations": ATTESTATION, "packs": AIRGAP}
"""What people call the namespaces."""
_NAME = re.compile(r"[^\s,\"*?!#]+")
_PERIOD = re.compile(r"(\d{1,6})([ymd])")
_LITERAL = ("key::", "ssh-", "sk-ssh-", "ecdsa-")
_ENTRY = re.compile(
    r"(?P<who>\S+)\s+(?P<options>(?:\S*\"[^\"]*\"\S*|\S+)\s+)?(?P<material>(?:sk-)?(?:ssh|ecdsa)-\S+\s+\S+)"
)


class Key(msgspec.Struct, frozen=True, kw_only=True):
    """A signing key: `source` says why this one is used, `listed` and `made` whether that has just been done."""

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
        if configured.startswith(_LITERAL):
            raise UsageError(
                f"user.signingkey of the Git configuration is a public key ({configured[:32]}...), not a file",
                hint="give --key FILE, or set user.signingkey to the file of the private key",
            )
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
    match = _PERIOD.fullmatch(f"{VALID_YEARS}y" if text is None else text)
    if match is None or int(match.group(1)) == 0:
        raise UsageError(f"validity {text!r}: expected a number and y, m or d, for example 2y or 6m")
    days = int(match.group(1)) * {"y": 365, "m": 30, "d": 1}[match.group(2)]
    first = now.astimezone(datetime.UTC)
    try:
        last = first + datetime.timedelta(days=days)
    except OverflowError as error:
        raise UsageError(f"validity {text!r} ends after the year 9999: expected a shorter one") from error
    return first.strftime("%Y%m%dZ"), last.strftime("%Y%m%dZ")


def outside(path: Path, study: StudyFiles | None) -> None:
    """Refuses a private key inside a study.

    Raises:
        UsageError: if `path` lies in the study.
    """
    if study is not None and Path(os.path.realpath(path)).is_relative_to(os.path.realpath(study.root)):
        raise UsageError(f"{path} lies inside the study", hint="private keys never belong into a repository")


def outside_repositories(path: Path) -> None:
    """Refuses a place for a private key from where it could get into a commit.

    Raises:
        UsageError: if `path` lies in a Git repository that does not ignore it.
    """
    real = Path(os.path.realpath(path))
    around = next((place for place in real.parents if (place / ".git").exists()), None)
    if around is None or process.which("git") is None:
        return
    if Git(around).call("check-ignore", "--quiet", str(real), check=False).status == 1:
        raise UsageError(
            f"{path} lies inside the Git repository {around}",
            hint="private keys never belong into a repository: choose a place outside, or none for the usual one",
        )


class Period(msgspec.Struct, frozen=True, kw_only=True):
    """When a study accepts a key: the days `after` and `before` as allowed_signers has them, None where open."""

    after: str | None = None
    before: str | None = None

    def holds(self, now: datetime.datetime) -> bool:
        """Whether `now` lies in it. Days without Z are meant in local time; here they are taken for UTC."""
        stamp = now.astimezone(datetime.UTC).strftime("%Y%m%d%H%M%S")
        begun = self.after is None or _stamp(self.after) <= stamp
        return begun and (self.before is None or stamp < _stamp(self.before))


class Listing(msgspec.Struct, frozen=True, kw_only=True):
    """A line of `keys/allowed_signers`: for whom, when, and for what (None: everything)."""

    who: str
    period: Period
    namespaces: tuple[str, ...] | None = None

    def permits(self, namespace: str) -> bool:
        """Whether signatures for this are accepted."""
        return self.namespaces is None or any(fnmatch.fnmatchcase(namespace, item) for item in self.namespaces)


def _stamp(text: str) -> str:
    return text.rstrip("Z").ljust(14, "0")


def new(
    signer: Signer,
    path: Path,
    *,
    study: StudyFiles | None,
    identity: str | None,
    validity: tuple[str, str],
    passphrase: bool,
) -> Key:
    """Makes a key unless there is one, and lists it in the study, if we are in one and it is not listed yet.

    A key whose period is over is listed again, with a new period; so is one that is not listed for everything.

    Raises:
        UsageError: if the key would lie in a repository, or nobody's e-mail is known for the list.
    """
    outside(path, study)
    if study is not None and identity is None:
        raise UsageError(
            "the key has to be listed under an e-mail address, and Git knows none",
            hint="git config --global user.email you@example.org",
        )
    made = not path.exists()
    if made:
        outside_repositories(path)
        public = signer.generate(path, comment=identity or "entrenar-research", passphrase=passphrase)
    else:
        public = signer.read(path)
    listed = False
    if study is not None and identity is not None:
        now = datetime.datetime.strptime(validity[0], "%Y%m%dZ").replace(tzinfo=datetime.UTC)
        listed = not any(_serves(listing, now) for listing in listings(study, public))
        if listed:
            _list(study, public, identity, NAMESPACES, validity)
    return Key(path=path, public=public, source="made by entrenar-research", listed=listed, made=made)


def periods(study: StudyFiles, public: PublicKey) -> tuple[Period, ...]:
    """When the study accepts this key: one period for each line of `keys/allowed_signers` that holds it.

    Raises:
        UsageError: if the file cannot be read.
    """
    return tuple(dict.fromkeys(listing.period for listing in listings(study, public)))


def listings(study: StudyFiles, public: PublicKey) -> tuple[Listing, ...]:
    """The lines of the study's `keys/allowed_signers` that hold this key.

    Raises:
        UsageError: if the file cannot be read.
    """
    if not study.allowed_signers.is_file():
        return ()
    return listed(files.read_text(study.allowed_signers, shown="keys/allowed_signers"), public.line)


def listed(text: str, public: str) -> tuple[Listing, ...]:
    """The lines of a list of signers that hold the key of a public key line.

    The format is that of ssh-keygen(1), section ALLOWED SIGNERS.
    """
    material = public.split()[:2]
    found = []
    for line in text.splitlines():
        entry = _ENTRY.match(line.strip())
        if entry is not None and not line.lstrip().startswith("#") and entry["material"].split() == material:
            options = dict(re.findall(r'([a-z-]+)="([^"]*)"', entry["options"] or ""))
            period = Period(after=options.get("valid-after"), before=options.get("valid-before"))
            namespaces = tuple(options["namespaces"].split(",")) if "namespaces" in options else None
            found.append(Listing(who=entry["who"], period=period, namespaces=namespaces))
    return tuple(found)


def _serves(listing: Listing, now: datetime.datetime) -> bool:
    return listing.period.holds(now) and all(map(listing.permits, NAMESPACES))


def allow(
    study: StudyFiles, public: PublicKey, *, who: str, namespaces: tuple[str, ...], validity: tuple[str, str]
) -> bool:
    """Lists somebody's public key in the study, for what `namespaces` say; False if it is listed for all of it.

    Raises:
        UsageError: if `who` cannot be a name in the list.
    """
    if not _NAME.fullmatch(who):
        raise UsageError(f"name {who!r}: expected an e-mail address, without blanks, commas, quotes or wildcards")
    now = datetime.datetime.strptime(validity[0], "%Y%m%dZ").replace(tzinfo=datetime.UTC)
    known = [item for item in listings(study, public) if item.period.holds(now) and item.who == who]
    missing = tuple(name for name in namespaces if not any(item.permits(name) for item in known))
    if missing:
        _list(study, public, who, missing, validity)
    return bool(missing)


def _list(
    study: StudyFiles, public: PublicKey, identity: str, namespaces: tuple[str, ...], validity: tuple[str, str]
) -> None:
    shown = "keys/allowed_signers"
    present = files.read_text(study.allowed_signers, shown=shown) if study.allowed_signers.is_file() else ""
    joint = "" if not present or present.endswith("\n") else "\n"
    material = " ".join(public.line.split()[:2])
    options = f'namespaces="{",".join(namespaces)}",valid-after="{validity[0]}",valid-before="{validity[1]}"'
    line = f"{identity} {options} {material}\n"
    files.write_atomically(study.allowed_signers, present + joint + line)
