"""Bringing a pack up to date: what is in it already stays where it is, and only what is new is written."""

from __future__ import annotations

from pathlib import Path

import msgspec

from entrenar_research.actions.airgap import data, hermetic, instructions, layout, packing, signing
from entrenar_research.actions.airgap.layout import NEXT, Checked
from entrenar_research.actions.airgap.packing import Chosen, Means, Packed
from entrenar_research.errors import ToolError, UsageError
from entrenar_research.models.airgap import Manifest
from entrenar_research.store import files
from entrenar_research.store.study_files import StudyFiles
from entrenar_research.tools.git import Git, bundled

SMALL = 4 << 20
"""Histories up to this size, in bytes, are written whole."""


def update(study: StudyFiles, git: Git, directory: Path, means: Means) -> Packed:
    """Brings the pack at `directory` to the last commit. It stays whole at every moment, the old one or the new one.

    Raises:
        UsageError: if it is a pack of something else, or the study is not in a state to be packed.
        IntegrityError: if the pack is not as it was signed, or does not stand its test.
    """
    pack = layout.read(directory.absolute())
    means.step("checking the pack")
    signing.accept(pack, signing.Trust(signers=study.allowed_signers))
    checked = layout.check(pack)
    before = checked.manifest
    _refuse_another(git, before)
    chosen = packing.choose(study, git, () if before.everything else before.experiments, means)
    _tidy(checked)
    _refuse_other_key(study, before, means)
    fresh, differing = _add(checked, study, git, chosen, means)
    written = 0
    if _says_the_same(before, fresh):
        fresh = before
    else:
        written = _put_in_place(checked, fresh, chosen)
    tested = packing.attempt(checked.directory, fresh, means) if written else False
    return Packed(
        manifest=fresh, size=sum(item.size for item in fresh.files), written=written, never_run=chosen.never_run,
        untracked=git.untracked(), differing=differing, tested=tested,
    )  # fmt: skip


def _refuse_another(git: Git, before: Manifest) -> None:
    if git.peeled(before.commit) is None:
        raise UsageError("the pack holds a commit that this study does not have: another study, or a later state of it")
    if not git.is_ancestor(before.commit):
        raise UsageError(
            f"this study does not lead on from {before.commit[:10]}, which the pack holds",
            hint="make a new pack with `entrenar-research airgap pack -o DIR`",
        )


def _refuse_other_key(study: StudyFiles, before: Manifest, means: Means) -> None:
    if means.nix is None or before.nix is None:
        return
    key = hermetic.secret_key(means.nix_key, f"{packing.directory_name(study)}-1", means.nix)
    if key != before.nix.key:
        raise UsageError(
            f"the pack's cache was signed with the Nix key {before.nix.key.partition(':')[0]}, and {means.nix_key} is "
            "another one",
            hint="give the same key with --nix-key FILE, or make a new pack",
        )


def _tidy(checked: Checked) -> None:
    """Finishes what an update that was killed had left to do, and removes what it had not come to use."""
    with files.refusals("cannot tidy up the pack"):
        for path, place in checked.places.items():
            if place.name.endswith(NEXT) and not path.endswith(NEXT):
                place.replace(checked.directory / path)
        for path in checked.unlisted:
            ours = path.startswith((f"{layout.CACHE}/", f"{layout.DATA}/", "study-")) or path.endswith(NEXT)
            if ours:
                (checked.directory / path).unlink(missing_ok=True)
        signature = checked.directory / (layout.SIGNATURE + NEXT)
        if signature.exists():
            signature.replace(checked.directory / layout.SIGNATURE)


def _add(
    checked: Checked, study: StudyFiles, git: Git, chosen: Chosen, means: Means
) -> tuple[Manifest, tuple[str, ...]]:
    """Writes what is new beside what is there; the manifest that has both."""
    place, before = checked.directory, checked.manifest
    means.step("history and data")
    items = data.held(study.root, chosen.names, everything=chosen.everything)
    data.carry(items, data.cache_of(study.root), place / layout.DATA)
    described, differing = packing.add_cache(place, study, chosen.names, means)
    fresh = packing.describe(study, git, chosen, means, bundles=before.bundles, described=described)
    fresh = _with_history(place, git, before, fresh)
    replaced = {
        layout.SIGNERS: files.read_text(study.allowed_signers),
        layout.README: instructions.text(fresh),
    }
    for path, text in replaced.items():
        if checked.text(path) != text:
            files.write_atomically(place / (path + NEXT), text)
    return _with_files(checked, fresh), differing


def _with_history(place: Path, git: Git, before: Manifest, fresh: Manifest) -> Manifest:
    """The manifest with the bundles that hold the history: the ones that are there, one more, or a new one."""
    moved = {name for name, object_id in fresh.references.items() if before.references.get(name) != object_id}
    if not moved and fresh.commit == before.commit:
        return fresh
    present = sum(item.size for item in before.files if item.path in before.bundles)
    if present > SMALL:
        more = f"study-{len(before.bundles) + 1}.bundle"
        try:
            git.write_bundle(place / more, without=tuple(dict.fromkeys(before.references.values())))
            if moved <= bundled(place / more).keys():
                return msgspec.structs.replace(fresh, bundles=(*before.bundles, more))
        except ToolError:  # nothing but references to what is there
            pass
        (place / more).unlink(missing_ok=True)
    git.write_bundle(place / (layout.BUNDLE + NEXT))
    return msgspec.structs.replace(fresh, bundles=(layout.BUNDLE,))


def _with_files(checked: Checked, fresh: Manifest) -> Manifest:
    """The manifest with every file: those that were listed, and those that are new or about to take their place."""
    place = checked.directory
    obsolete = set(checked.manifest.bundles) - set(fresh.bundles)
    known = {item.path: item for item in checked.manifest.files if item.path not in obsolete}
    own = (f"{layout.CACHE}/", f"{layout.DATA}/")
    new = [
        path
        for path in layout.members(place)
        if path not in known and (path.startswith(own) or path in fresh.bundles or path.endswith(NEXT))
    ]
    for item in packing.digests(place, new):
        path = item.path.removesuffix(NEXT)
        known[path] = msgspec.structs.replace(item, path=path)
    return msgspec.structs.replace(fresh, files=tuple(known[path] for path in sorted(known)))


def _says_the_same(before: Manifest, fresh: Manifest) -> bool:
    aside = {"time": "", "tool": "", "key": "", "signer": ""}
    return msgspec.structs.replace(before, **aside) == msgspec.structs.replace(fresh, **aside)


def _put_in_place(checked: Checked, fresh: Manifest, chosen: Chosen) -> int:
    """Replaces the manifest, then the files that it now means; how many bytes of the pack are new."""
    place = checked.directory
    raw = layout.encode(fresh)
    signature = signing.sign(raw, chosen.author)
    before = set(checked.manifest.files)
    files.write_atomically(place / (layout.SIGNATURE + NEXT), signature)
    files.write_atomically(place / layout.MANIFEST, raw)
    with files.refusals("cannot bring the pack up to date"):
        for name in (*(item.path for item in fresh.files), layout.SIGNATURE):
            if (place / (name + NEXT)).is_file():
                (place / (name + NEXT)).replace(place / name)
        for name in set(checked.manifest.bundles) - set(fresh.bundles):
            (place / name).unlink(missing_ok=True)
    return sum(item.size for item in fresh.files if item not in before) + len(raw) + len(signature)
