"""Packing: the last commit with its history, the data of the chosen experiments, and all that Nix needs for them."""

from __future__ import annotations

import datetime
import os
import re
import shutil
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

import msgspec

from entrenar_research.actions.airgap import data, hermetic, instructions, layout, signing, trial
from entrenar_research.actions.running import conclusion
from entrenar_research.errors import UsageError
from entrenar_research.models.airgap import Manifest, PackedFile, PackedNix
from entrenar_research.signers.port import Signer
from entrenar_research.store import files, hashing, part_directories
from entrenar_research.store.study_files import StudyFiles
from entrenar_research.tools import apart, nix
from entrenar_research.tools.git import Git

_NOT_IN_A_NAME = re.compile(r"[^a-z0-9]+")


class Means(msgspec.Struct, frozen=True, kw_only=True):
    """What packs are made with.

    `nix` is None for a pack without hermetic runs, `nix_key` the file of the key that signs store paths; without
    `test` the pack is not tried. `step` is told what is being done.
    """

    tool: str
    now: datetime.datetime
    signer: Signer
    key: Path
    nix: nix.Nix | None
    nix_key: Path
    test: bool = True
    step: Callable[[str], None] = lambda words: None


class Packed(msgspec.Struct, frozen=True, kw_only=True):
    """A pack that was written. `size` and `written` in bytes, `written` counts what is new.

    `never_run` were left out; `untracked` are files that no commit holds; `differing` are experiments of which Nix
    makes another result than the one that lies in the study. `tested` is None if that was not possible here.
    """

    manifest: Manifest
    size: int
    written: int
    never_run: tuple[str, ...] = ()
    untracked: tuple[str, ...] = ()
    differing: tuple[str, ...] = ()
    tested: bool | None = False


class Chosen(msgspec.Struct, frozen=True, kw_only=True):
    """What is to be packed: experiments, and the author who signs for it."""

    names: tuple[str, ...]
    everything: bool
    never_run: tuple[str, ...]
    author: signing.Author


def pack(study: StudyFiles, git: Git, names: Sequence[str], target: Path, means: Means) -> Packed:
    """Writes the last commit, the data of `names` (all that were run if there are none) and Nix' means to `target`.

    Raises:
        UsageError: if something is not committed, was never run, or is missing; or there is something at `target`.
        IntegrityError: if the pack does not stand its test. Nothing is left at `target` then.
    """
    place = target.resolve()
    part_directories.refuse(place)
    if place.is_relative_to(study.root.resolve()):
        raise UsageError(f"{target} lies inside the study", hint="choose a place outside of it")
    chosen = choose(study, git, names, means)
    with part_directories.growing(place) as part:
        manifest, differing = _fill(part, study, git, chosen, means)
        tested = attempt(part, manifest, means)
    size = sum(item.size for item in manifest.files)
    return Packed(
        manifest=manifest, size=size, written=size, never_run=chosen.never_run, untracked=git.untracked(),
        differing=differing, tested=tested,
    )  # fmt: skip


def choose(study: StudyFiles, git: Git, names: Sequence[str], means: Means) -> Chosen:
    """Which experiments, if the study is in a state to be packed.

    Raises:
        UsageError: if not.
    """
    conclusion.recover(study)
    if not git.exists() or git.head() is None:
        raise UsageError(f"{study.root}: nothing is committed; a pack is a commit with its data and history")
    changed = git.changed()
    if changed:
        shown = ", ".join(changed[:4]) + (f" and {len(changed) - 4} more" if len(changed) > 4 else "")
        raise UsageError(
            f"{len(changed)} files differ from the last commit: {shown}",
            hint="seal what changed (`entrenar-research seal experiment NAME -m ...`) or commit it with Git",
        )
    if git.is_shallow():
        raise UsageError("the history is cut off (a shallow clone)", hint="git fetch --unshallow")
    known = [study.experiment(name).name for name in dict.fromkeys(names)] or list(study.experiment_names())
    done, never_run = data.run_once(study.root, known)
    if never_run and names:
        raise UsageError(
            f"{never_run[0]} was never run, so there is no result to carry",
            hint=f"`entrenar-research run {never_run[0]}`, then seal it",
        )
    if not done:
        raise UsageError("no experiment of this study was ever run, so there is nothing to carry")
    author = signing.author(study, means.signer, means.key, means.now)
    return Chosen(names=done, everything=not names, never_run=never_run, author=author)


def _fill(part: Path, study: StudyFiles, git: Git, chosen: Chosen, means: Means) -> tuple[Manifest, tuple[str, ...]]:
    means.step("history and data")
    git.write_bundle(part / layout.BUNDLE)
    items = data.held(study.root, chosen.names, everything=chosen.everything)
    data.carry(items, data.cache_of(study.root), part / layout.DATA)
    (part / "keys").mkdir()
    shutil.copyfile(study.allowed_signers, part / layout.SIGNERS)
    described, differing = add_cache(part, study, chosen.names, means)
    if described is not None:
        (part / layout.NIX_KEY).write_text(described.key + "\n", encoding="utf-8")
    manifest = describe(study, git, chosen, means, bundles=(layout.BUNDLE,), described=described)
    (part / layout.README).write_text(instructions.text(manifest), encoding="utf-8")
    means.step("digests")
    manifest = msgspec.structs.replace(manifest, files=digests(part, layout.members(part)))
    raw = layout.encode(manifest)
    (part / layout.SIGNATURE).write_text(signing.sign(raw, chosen.author), encoding="utf-8")
    (part / layout.MANIFEST).write_bytes(raw)
    flush([part / layout.SIGNATURE, part / layout.MANIFEST])
    return manifest, differing


def add_cache(
    directory: Path, study: StudyFiles, names: Sequence[str], means: Means
) -> tuple[PackedNix | None, tuple[str, ...]]:
    """Builds the experiments and puts what that takes into the cache of a pack.

    Also names the experiments that came out otherwise than they are recorded.

    Raises:
        MissingToolError, UsageError, ToolError: as `hermetic.build`.
    """
    if means.nix is None:
        return None, ()
    means.step("building with Nix")
    with tempfile.TemporaryDirectory(prefix="entrenar-airgap-") as scratch:
        built = hermetic.build(study, names, means.nix, Path(scratch))
    key = hermetic.secret_key(means.nix_key, f"{directory_name(study)}-1", means.nix)
    means.step("binary cache")
    means.nix.copy_to(directory / layout.CACHE, built.paths, means.nix_key)
    described = PackedNix(
        system=built.system, version=nix.version() or "", key=key, paths=built.paths, builds=built.builds
    )
    return described, built.differing


def describe(
    study: StudyFiles, git: Git, chosen: Chosen, means: Means, *, bundles: tuple[str, ...], described: PackedNix | None
) -> Manifest:
    """The manifest of a pack, still without its files."""
    said = study.study()
    return Manifest(
        type="entrenar-research/airgap/v1",
        name=directory_name(study),
        title=_on_one_line(said.title),
        version=_on_one_line(said.version),
        commit=git.head() or "",
        branch=git.branch(),
        references={name: object_id for name, (_, object_id) in git.references().items() if _is_carried(name)},
        experiments=chosen.names,
        everything=chosen.everything,
        bundles=bundles,
        nix=described,
        tool=means.tool,
        time=means.now.astimezone(datetime.UTC).strftime(signing.TIME),
        signer=chosen.author.address,
        key=chosen.author.fingerprint,
        files=(),
    )


def _on_one_line(text: str) -> str:
    return " ".join("".join(letter if letter.isprintable() else " " for letter in text).split())


def _is_carried(reference: str) -> bool:
    return reference.startswith(("refs/heads/", "refs/tags/", "refs/notes/"))


def directory_name(study: StudyFiles) -> str:
    """What to call the study's directory elsewhere: its title in lower case, joined by hyphens."""
    return _NOT_IN_A_NAME.sub("-", study.study().title.lower()).strip("-")[:60].rstrip("-") or "study"


def digests(directory: Path, paths: Sequence[str]) -> tuple[PackedFile, ...]:
    """Every file with its digest, flushed to disk: what is carried away is complete.

    Raises:
        StorageError: if the file system refuses.
    """
    flush([directory / path for path in paths])
    hashes = hashing.hash_files(paths, md5=False, root=directory)
    return tuple(
        PackedFile(path=path, sha256=item.sha256, size=item.size) for path, item in zip(paths, hashes, strict=True)
    )


def flush(paths: Sequence[Path]) -> None:
    """Waits until files are on the disk.

    Raises:
        StorageError: if the file system refuses.
    """
    with files.refusals("cannot write the pack"):
        for path in paths:
            descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
            try:
                os.fsync(descriptor)
            finally:
                os.close(descriptor)


def attempt(directory: Path, manifest: Manifest, means: Means) -> bool | None:
    """Tries the pack, unless that is not wanted (False) or not possible here (None).

    Raises:
        IntegrityError: if it does not stand the test.
    """
    if not means.test:
        return False
    within = apart.words()
    if within is None:
        return None
    means.step("trying it without network")
    trial.carry_out(directory, manifest, within)
    return True
