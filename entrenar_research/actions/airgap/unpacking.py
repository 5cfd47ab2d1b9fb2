"""Unpacking: everything checked first, then a new study with its data, or what is new for one that is here already."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from pathlib import Path

import msgspec

from entrenar_research.actions.airgap import continuing, data, layout, signing
from entrenar_research.actions.airgap.layout import Checked
from entrenar_research.bundles.port import Progress
from entrenar_research.errors import IntegrityError, MissingToolError, ToolError
from entrenar_research.models.airgap import Manifest
from entrenar_research.store import part_directories
from entrenar_research.store.study_files import StudyFiles
from entrenar_research.tools import git as git_tool
from entrenar_research.tools import nix
from entrenar_research.tools.git import Git


class Means(msgspec.Struct, frozen=True, kw_only=True):
    """What packs are unpacked with: who is trusted, the Nix store (None: the machine's own), or no Nix at all."""

    trust: signing.Trust
    store: Path | None
    hermetic: bool = True
    step: Callable[[str], None] = lambda words: None
    progress: Progress = lambda done, total: None


class Unpacked(msgspec.Struct, frozen=True, kw_only=True):
    """A pack that was unpacked at `study`. `before` is the commit that was there (None: a new study).

    `written` counts files of data, `paths` those in the store; `hermetic` says whether Nix has all that it needs,
    `unlisted` are files in the pack that were not read.
    """

    study: Path
    manifest: Manifest
    fingerprint: str
    before: str | None
    after: str
    written: int
    paths: int
    hermetic: bool
    unlisted: tuple[str, ...]


def unpack(directory: Path, target: Path | None, means: Means) -> Unpacked:
    """Checks the pack at `directory` and makes a study of it at `target`, by default one of its name here.

    A study that is there already is moved forward to the commit of the pack.

    Raises:
        UsageError: if there is no pack, nobody trusts its author, or the place is taken.
        IntegrityError: if a signature or a digest is not right; nothing has been written then.
        MissingToolError: if the pack holds a binary cache and Nix is absent.
    """
    pack = layout.read(directory.absolute())
    place = Path(target or pack.manifest.name).resolve()
    known = place.is_dir() and any(place.iterdir())
    if not known:
        part_directories.refuse(place)
    means.step("checking the pack")
    fingerprint = signing.accept(pack, _trust(means, place if known else None))
    checked = layout.check(pack, means.progress)
    hermetic = pack.manifest.nix is not None and means.hermetic
    if hermetic:
        _require_nix()
    if known:
        continuing.refuse_another(place, checked)
        paths = _seed(checked, means) if hermetic else 0
        means.step("study and data")
        before, written = continuing.move_forward(place, checked, clone)
    else:
        before = None
        with part_directories.growing(place) as part:
            means.step("study and data")
            clone(checked, part)
            written = _fill(part, checked)
            paths = _seed(checked, means) if hermetic else 0
    return Unpacked(
        study=place, manifest=pack.manifest, fingerprint=fingerprint, before=before, after=Git(place).head() or "",
        written=written, paths=paths, hermetic=hermetic, unlisted=checked.unlisted,
    )  # fmt: skip


def _trust(means: Means, known: Path | None) -> signing.Trust:
    """Who is trusted: those that were named, or, by a study that is here already, those that it lists."""
    if means.trust.signers is None and known is not None and StudyFiles(known).allowed_signers.is_file():
        return signing.Trust(signers=StudyFiles(known).allowed_signers)
    return means.trust


def _require_nix() -> None:
    try:
        nix.require()
    except MissingToolError as error:
        hint = "install it; or give --without-nix: study and data alone, no hermetic runs"
        raise MissingToolError(error.message, hint=hint) from error


def clone(checked: Checked, target: Path) -> Git:
    """The study at the pack's commit, out of its Git bundles, in the empty directory `target`.

    Raises:
        IntegrityError: if the bundles are damaged or do not hold the commit.
    """
    said = checked.manifest
    first, *later = (checked.places[name] for name in said.bundles)
    try:
        git = git_tool.clone(first, target)
        for bundle in later:
            git.fetch(bundle)
        git.call("remote", "set-url", "origin", str(checked.directory / said.bundles[0]))
        branch = ["--detach"] if said.branch is None else ["-B", said.branch]
        git.call("checkout", "--quiet", *branch, said.commit)
    except ToolError as error:
        raise IntegrityError(f"the history in the pack cannot be read: {error.message}") from error
    if git.head() != said.commit:
        raise IntegrityError(f"the history in the pack is at {git.head()}; its manifest names {said.commit}")
    return git


def _fill(part: Path, checked: Checked) -> int:
    """Data and results of a study that was just cloned; how many files that was."""
    said = checked.manifest
    if not (part / ".dvc").is_dir():
        return 0
    items = data.held(part, said.experiments, everything=said.everything)
    cache = data.cache_of(part)
    data.carry(items, checked.directory / layout.DATA, cache, listed=frozenset(checked.places))
    data.connect(part, checked.directory / layout.DATA)
    return data.check_out(part, items, cache)


def _seed(checked: Checked, means: Means) -> int:
    """Copies the binary cache into the store; only what the pack's key signed gets in."""
    said = checked.manifest.nix
    if said is None:
        return 0
    if checked.text(layout.NIX_KEY).strip() != said.key:
        raise IntegrityError(f"{layout.NIX_KEY} is not the key that the manifest names ({said.key.partition(':')[0]})")
    means.step("Nix store")
    with tempfile.TemporaryDirectory(prefix="entrenar-airgap-") as scratch:
        tool = nix.Nix(Path(scratch), means.store, trusted_keys=(said.key,))
        try:
            tool.copy_from(checked.directory / layout.CACHE, said.paths)
        except ToolError as error:
            if "No space left" in error.message:
                raise
            raise IntegrityError(
                f"Nix does not take what is in the pack's cache: {error.message}",
                hint="what has no signature by the pack's own key does not get into the store",
            ) from error
    return len(said.paths)
