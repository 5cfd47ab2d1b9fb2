"""Packs without Nix and without signatures: what a manifest may name, which file it means, histories in parts."""

from __future__ import annotations

import hashlib
import os
import subprocess
import tempfile
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from entrenar_research.actions.airgap import data, instructions, layout, unpacking, updating
from entrenar_research.actions.airgap.data import Held
from entrenar_research.errors import IntegrityError, ResearchError, StorageError, UsageError
from entrenar_research.models.airgap import Manifest, PackedFile, PackedNix
from entrenar_research.store import part_directories
from entrenar_research.tools.git import Git, bundled


def manifest(**more: Any) -> Manifest:
    base: dict[str, Any] = {
        "type": "entrenar-research/airgap/v1", "name": "line", "title": "A line", "version": "1", "commit": "0" * 40,
        "branch": "main", "references": {}, "experiments": ("line",), "everything": True,
        "bundles": (layout.BUNDLE,), "nix": None, "tool": "t", "time": "2026-11-21T08:00:00Z",
        "signer": "ada@example.org", "key": "SHA256:x", "files": (),
    }  # fmt: skip
    return Manifest(**{**base, **more})


def listed(path: str, content: bytes = b"") -> PackedFile:
    return PackedFile(path=path, sha256=hashlib.sha256(content).hexdigest(), size=len(content))


def write(directory: Path, said: Manifest, contents: dict[str, bytes]) -> Path:
    """A pack with these files and that manifest; the signature is none."""
    for path, content in contents.items():
        (directory / path).parent.mkdir(parents=True, exist_ok=True)
        (directory / path).write_bytes(content)
    (directory / layout.MANIFEST).write_bytes(layout.encode(said))
    (directory / layout.SIGNATURE).write_text("none")
    return directory


NEEDED = {layout.BUNDLE: b"bundle", layout.SIGNERS: b"signers"}
FILES = tuple(listed(path, content) for path, content in NEEDED.items())


@given(st.binary(max_size=200) | st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
).map(msgspec.json.encode))  # fmt: skip
def test_any_manifest_is_read_or_refused(raw: bytes) -> None:
    with tempfile.TemporaryDirectory() as directory:
        (Path(directory) / layout.MANIFEST).write_bytes(raw)
        with pytest.raises(ResearchError):
            layout.read(Path(directory))


@given(st.text(st.characters(codec="utf-8"), max_size=12))
def test_no_name_leads_out_of_a_pack(path: str) -> None:
    with tempfile.TemporaryDirectory() as directory:
        place = write(Path(directory), manifest(files=(*FILES, listed(path))), {})
        try:
            layout.read(place)
        except IntegrityError:
            return
    assert Path(os.path.normpath(place / path)).is_relative_to(place)
    assert os.path.normpath(path) == path


@pytest.mark.parametrize(
    "path", ["../x", "/etc/passwd", "a//b", "./a", "a/../b", "a/", "manifest.json", "manifest.json.sig", "", "a\nb"]
)
def test_a_manifest_that_names_something_else_is_refused(path: str, tmp_path: Path) -> None:
    with pytest.raises(IntegrityError, match="names"):
        layout.read(write(tmp_path, manifest(files=(*FILES, listed(path))), {}))


@pytest.mark.parametrize("name", ["..", ".", "/", "a/b", ""])
def test_a_name_that_no_study_can_have(name: str, tmp_path: Path) -> None:
    with pytest.raises(IntegrityError):
        layout.read(write(tmp_path, manifest(files=FILES, name=name), {}))


@pytest.mark.parametrize("change", [{"title": "\x1b[2Jgood"}, {"signer": "a\rb"}, {"commit": "--force"}, {"key": "\n"}])
def test_what_people_are_shown_cannot_command_their_terminal(change: dict[str, str], tmp_path: Path) -> None:
    with pytest.raises(IntegrityError):
        layout.read(write(tmp_path, manifest(files=FILES, **change), {}))


def test_what_every_pack_needs(tmp_path: Path) -> None:
    nix = PackedNix(system="x", version="2.8", key="k:1", paths=(), builds={})
    for said in (manifest(files=FILES[:1]), manifest(files=FILES[1:]), manifest(files=FILES, nix=nix),
                 manifest(files=(*FILES, FILES[0])), manifest(files=FILES, bundles=())):  # fmt: skip
        with pytest.raises(IntegrityError):
            layout.read(write(tmp_path, said, {}))
    assert layout.read(write(tmp_path, manifest(files=FILES), {})).manifest == manifest(files=FILES)


def test_the_digest_says_which_of_two_files_is_meant(tmp_path: Path) -> None:
    said = manifest(files=FILES)
    place = write(tmp_path, said, {**NEEDED, f"{layout.BUNDLE}.new": b"newer"})
    assert layout.check(layout.read(place)).places[layout.BUNDLE] == place / layout.BUNDLE
    (place / layout.BUNDLE).replace(place / "aside")
    (place / f"{layout.BUNDLE}.new").replace(place / layout.BUNDLE)
    (place / "aside").replace(place / f"{layout.BUNDLE}.new")
    found = layout.check(layout.read(place))
    assert found.places[layout.BUNDLE] == place / f"{layout.BUNDLE}.new"
    assert found.unlisted == (layout.BUNDLE,)


def test_a_link_is_no_file_of_a_pack(tmp_path: Path) -> None:
    place = write(tmp_path / "pack", manifest(files=FILES), NEEDED)
    (tmp_path / "elsewhere").write_bytes(NEEDED[layout.SIGNERS])
    (place / layout.SIGNERS).unlink()
    (place / layout.SIGNERS).symlink_to(tmp_path / "elsewhere")
    with pytest.raises(IntegrityError, match="symbolic link"):
        layout.check(layout.read(place))


def test_a_directory_behind_a_link_is_none_either(tmp_path: Path) -> None:
    place = write(tmp_path / "pack", manifest(files=FILES), NEEDED)
    (place / "keys").rename(tmp_path / "keys")
    (place / "keys").symlink_to(tmp_path / "keys")
    with pytest.raises(IntegrityError, match="symbolic link"):
        layout.check(layout.read(place))


# --- histories in parts -------------------------------------------------------------------------------------------


@pytest.fixture
def repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Git:
    for name in ("AUTHOR", "COMMITTER"):
        monkeypatch.setenv(f"GIT_{name}_NAME", "A")
        monkeypatch.setenv(f"GIT_{name}_EMAIL", "a@example.org")
    (tmp_path / "work").mkdir()
    git = Git(tmp_path / "work")
    git.initialise()
    grow(git, "one")
    return git


def grow(git: Git, name: str) -> None:
    (git.root / name).write_text(name)
    git.commit(name, [name])


def references(git: Git) -> dict[str, str]:
    return {name: object_id for name, (_, object_id) in git.references().items()}


def described(git: Git, place: Path, **more: Any) -> Manifest:
    said = manifest(commit=git.head(), references=references(git), **more)
    sizes = [PackedFile(path=name, sha256="", size=(place / name).stat().st_size) for name in said.bundles]
    return msgspec.structs.replace(said, files=tuple(sizes))


def cloned(place: Path, said: Manifest, target: Path) -> Git:
    target.mkdir()
    places = {name: place / name for name in said.bundles}
    return unpacking.clone(layout.Checked(directory=place, manifest=said, places=places, unlisted=()), target)


def test_a_long_history_is_sent_in_parts(repository: Git, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(updating, "SMALL", 0)
    repository.write_bundle(tmp_path / layout.BUNDLE)
    before = described(repository, tmp_path)
    assert updating._with_history(tmp_path, repository, before, before) == before
    for number, name in enumerate(("two", "three"), 2):
        grow(repository, name)
        repository.call("tag", "-a", "-m", name, name)
        fresh = manifest(commit=repository.head(), references=references(repository), bundles=before.bundles)
        after = updating._with_history(tmp_path, repository, before, fresh)
        assert after.bundles == (*before.bundles, f"study-{number}.bundle")
        assert set(bundled(tmp_path / after.bundles[-1])) == {"HEAD", "refs/heads/main", f"refs/tags/{name}"}
        before = described(repository, tmp_path, bundles=after.bundles)
    there = cloned(tmp_path, before, tmp_path / "there")
    assert there.head() == repository.head()
    assert (there.root / "three").read_text() == "three"
    assert there.tags() == repository.tags()
    assert there.branch() == "main"


@pytest.mark.parametrize("small", [0, updating.SMALL])
def test_a_reference_to_what_is_there_already(
    small: int, repository: Git, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Git leaves it out of a bundle in parts; then the whole history is written, beside the one that is meant."""
    monkeypatch.setattr(updating, "SMALL", small)
    repository.write_bundle(tmp_path / layout.BUNDLE)
    before = described(repository, tmp_path)
    repository.call("tag", "light")
    fresh = manifest(commit=repository.head(), references=references(repository))
    after = updating._with_history(tmp_path, repository, before, fresh)
    assert after.bundles == (layout.BUNDLE,)
    assert "refs/tags/light" in bundled(tmp_path / f"{layout.BUNDLE}.new")
    assert "refs/tags/light" not in bundled(tmp_path / layout.BUNDLE)
    assert not (tmp_path / "study-2.bundle").exists()


def test_a_history_that_does_not_hold_the_commit(repository: Git, tmp_path: Path) -> None:
    repository.write_bundle(tmp_path / layout.BUNDLE)
    grow(repository, "two")
    with pytest.raises(IntegrityError, match="cannot be read"):
        cloned(tmp_path, manifest(commit=repository.head()), tmp_path / "there")


def test_what_is_put_aside_is_not_carried(repository: Git, tmp_path: Path) -> None:
    (repository.root / "one").write_text("secret")
    repository.call("stash")
    repository.write_bundle(tmp_path / layout.BUNDLE)
    assert set(bundled(tmp_path / layout.BUNDLE)) == {"HEAD", "refs/heads/main"}


# --- data ---------------------------------------------------------------------------------------------------------


def stored(store: Path, content: bytes, name: str | None = None) -> str:
    name = name or hashlib.md5(content, usedforsecurity=False).hexdigest()
    place = store / "files/md5" / name[:2] / name[2:]
    place.parent.mkdir(parents=True, exist_ok=True)
    place.write_bytes(content)
    return name


def tree(store: Path, entries: dict[str, bytes]) -> str:
    listing = msgspec.json.encode([{"md5": stored(store, data), "relpath": path} for path, data in entries.items()])
    return stored(store, listing, hashlib.md5(listing, usedforsecurity=False).hexdigest() + ".dir")


def test_objects_are_copied_and_checked_out(tmp_path: Path) -> None:
    source, cache, root = tmp_path / "source", tmp_path / "cache", tmp_path / "root"
    items = (
        Held(path="data/x", name=stored(source, b"x"), executable=True),
        Held(path="out", name=tree(source, {"a/b": b"b", "c": b"c"})),
    )
    data.carry(items, source, cache)
    assert data.check_out(root, items, cache) == 3
    assert data.check_out(root, items, cache) == 0
    assert (root / "out/a/b").read_bytes() == b"b"
    assert os.access(root / "data/x", os.X_OK)
    assert not os.access(root / "out/c", os.X_OK)


def test_a_damaged_object_is_not_copied(tmp_path: Path) -> None:
    item = Held(path="data/x", name=stored(tmp_path / "source", b"y", "0" * 32))
    with pytest.raises(IntegrityError, match="data/x: an object in DVC's store is not what its name says"):
        data.carry((item,), tmp_path / "source", tmp_path / "cache")
    assert [path for path in (tmp_path / "cache").rglob("*") if path.is_file()] == []


def test_only_what_a_manifest_lists_is_taken(tmp_path: Path) -> None:
    store = tmp_path / "pack/dvc"
    name = tree(store, {"c": b"c"})
    one = f"dvc/files/md5/{name[:2]}/{name[2:]}"
    with pytest.raises(IntegrityError, match="the pack lacks the data of out"):
        data.carry((Held(path="out", name=name),), store, tmp_path / "cache", listed={one})
    with pytest.raises(IntegrityError, match="the pack lacks the data of out"):
        data.carry((Held(path="out", name=name),), store, tmp_path / "cache", listed=set())


@pytest.mark.parametrize("path", ["../x", "a/.git/hooks/y", "/x"])
def test_a_directory_does_not_reach_out_of_itself(path: str, tmp_path: Path) -> None:
    item = Held(path="out", name=tree(tmp_path / "source", {path: b"c"}))
    with pytest.raises(IntegrityError, match="expected a path of data inside the study"):
        data.carry((item,), tmp_path / "source", tmp_path / "cache")


@pytest.mark.parametrize("path", [".git/hooks/post-checkout", "../x", "/x", ".dvc/config", ".entrenar/x"])
def test_data_lies_where_data_may_lie(path: str, tmp_path: Path) -> None:
    (tmp_path / "dvc.lock").write_text(
        f"schema: '2.0'\nstages:\n  line:\n    cmd: x\n    outs:\n    - path: {path}\n      md5: {'a' * 32}\n"
    )
    with pytest.raises(IntegrityError, match="expected a path of data inside the study"):
        data.held(tmp_path, ("line",), everything=False)


LOCK = """\
schema: '2.0'
stages:
  first:
    deps: [{path: data/raw.csv, md5: x}]
    outs: [{path: experiments/first/result, md5: 11111111111111111111111111111111.dir}]
  second:
    deps: [{path: experiments/first/result/model, md5: x}]
    outs: [{path: experiments/second/result, md5: 22222222222222222222222222222222.dir}]
  third:
    deps: [{path: data/other.csv, md5: x}]
    outs: [{path: experiments/third/result, md5: 33333333333333333333333333333333.dir}]
"""


def test_what_belongs_to_an_experiment(tmp_path: Path) -> None:
    (tmp_path / "dvc.lock").write_text(LOCK)
    (tmp_path / "data").mkdir()
    for digit, name in enumerate(("raw", "other", "unused"), 4):
        (tmp_path / f"data/{name}.csv.dvc").write_text(f"outs:\n- md5: '{str(digit) * 32}'\n  path: {name}.csv\n")
    for name, experiment in (("gold", "second"), ("silver", "third")):
        (tmp_path / "golden_traces" / name).mkdir(parents=True)
        (tmp_path / "golden_traces" / name / "golden.yaml").write_text(f"schema: 2\nexperiment: {experiment}\n")
        pointer = tmp_path / "golden_traces" / name / f"{name}.json.dvc"
        pointer.write_text(f"outs:\n- md5: '{'a' * 32}'\n  path: {name}.json\n")
    found = {item.path for item in data.held(tmp_path, ("second",), everything=False)}
    results = {"experiments/first/result", "experiments/second/result"}
    assert found == {*results, "data/raw.csv", "golden_traces/gold/gold.json"}
    every = {item.path for item in data.held(tmp_path, ("second",), everything=True)}
    assert every - found == {
        "experiments/third/result", "data/other.csv", "data/unused.csv", "golden_traces/silver/silver.json",
    }  # fmt: skip


def test_work_is_what_no_store_of_dvc_has(tmp_path: Path) -> None:
    cache, pack, root = tmp_path / "cache", tmp_path / "pack", tmp_path / "root"
    root.mkdir()
    items = [Held(path=name, name=stored(pack, b"new " + name.encode())) for name in ("absent", "same", "old", "mine")]
    stored(cache, b"old")
    for name, content in (("same", b"new same"), ("old", b"old"), ("mine", b"mine")):
        (root / name).write_bytes(content)
    assert data.changed_here(root, items, cache, pack) == ("mine",)


# --- directories that grow ----------------------------------------------------------------------------------------


def test_a_directory_takes_its_place_when_whole(tmp_path: Path) -> None:
    with part_directories.growing(tmp_path / "x") as part:
        (part / "a").write_text("a")
        assert not (tmp_path / "x").exists()
    with pytest.raises(StorageError), part_directories.growing(tmp_path / "y") as part:
        (part / "absent" / "b").mkdir()
    assert [path.name for path in tmp_path.iterdir()] == ["x"]
    with pytest.raises(UsageError, match="not empty"), part_directories.growing(tmp_path / "x"):
        pass
    with pytest.raises(UsageError, match="there is no directory"), part_directories.growing(tmp_path / "no" / "x"):
        pass


def test_what_a_killed_process_left_goes_and_what_lives_stays(tmp_path: Path) -> None:
    for name in (".x.1.part", ".x.999999999.part", ".xy.1.part", ".x.1.part.d"):
        (tmp_path / name / "inner").mkdir(parents=True)
    held = subprocess.Popen(
        ["flock", str(tmp_path / ".x.1.part"), "sh", "-c", "echo; cat"],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE,
    )  # fmt: skip
    assert held.stdout is not None
    held.stdout.readline()
    with part_directories.growing(tmp_path / "x"):
        pass
    held.communicate()
    assert sorted(path.name for path in tmp_path.iterdir()) == [".x.1.part", ".x.1.part.d", ".xy.1.part", "x"]


def test_the_readme_names_the_experiments_of_a_pack_of_some() -> None:
    text = instructions.text(manifest(everything=False, experiments=("one", "two")))
    assert "    dvc pull one two\n" in text
    assert "There is no binary cache in this pack" in text
    assert "    dvc pull\n" in instructions.text(manifest())
