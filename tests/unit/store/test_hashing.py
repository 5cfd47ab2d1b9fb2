from __future__ import annotations

import hashlib
import json
import os
import random
import subprocess
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from entrenar_research.core import digests
from entrenar_research.errors import StorageError, UsageError
from entrenar_research.store import hashing
from entrenar_research.store.hashing import FileHash, Hasher

LONG_AGO = 1_000_000_000
# To sha256sum a file called - is its standard input.
NAMES = st.text(
    alphabet=st.characters(exclude_characters="/\0", exclude_categories=["Cs"]), min_size=1, max_size=12
).filter(lambda name: name not in (".", "..", "-") and len(name.encode()) < 200)
PATHS = st.lists(NAMES, min_size=1, max_size=3).map("/".join)
TREES = st.dictionaries(PATHS, st.binary(max_size=40), min_size=1, max_size=8)


def plant(root: Path, tree: dict[str, bytes]) -> dict[str, bytes]:
    """Writes the files that do not stand in each other's way, and says which these are."""
    written = {}
    for path, data in tree.items():
        place = root / path
        if place.is_dir() or any(parent.is_file() for parent in place.parents) or (set(path.split("/")) & SKIPPED):
            continue
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(data)
        written[path] = data
    return written


SKIPPED = hashing.SKIPPED_DIRECTORIES


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=30, deadline=None)
@given(tree=TREES)
def test_trees_are_hashed_as_by_hashlib_and_sha256sum_and_md5sum(
    tree: dict[str, bytes], tmp_path_factory: pytest.TempPathFactory
) -> None:
    root = tmp_path_factory.mktemp("tree")
    tree = plant(root / "d", tree)
    whole, every = Hasher(root).describe("d")
    assert every == {
        f"d/{path}": FileHash(
            hashlib.sha256(data).hexdigest(), hashlib.md5(data, usedforsecurity=False).hexdigest(), len(data)
        )
        for path, data in tree.items()
    }
    assert (whole.files, whole.size) == (len(tree), sum(map(len, tree.values())))
    manifest = digests.manifest((path, every[f"d/{path}"].sha256) for path in tree)
    assert whole.digest == digests.sha256(manifest.encode())
    assert digests.parse_manifest(manifest, "m") == {path: "sha256:" + every[f"d/{path}"].sha256 for path in tree}
    (root / "SHA256SUMS").write_bytes(manifest.encode())
    subprocess.run(["sha256sum", "--check", "--strict", "--quiet", "../SHA256SUMS"], cwd=root / "d", check=True)
    (root / "MD5SUMS").write_bytes(digests.manifest((path, every[f"d/{path}"].md5) for path in tree).encode())
    subprocess.run(["md5sum", "--check", "--strict", "--quiet", "../MD5SUMS"], cwd=root / "d", check=True)


@pytest.mark.parametrize(
    "name", ["a\nb", "a\\nb", "a\\", "\\", "\\n", "a\rb", " a ", "-a", "größe", "*a", "a\tb", "\\\\n"]
)
def test_odd_names_pass_through_a_manifest(name: str, tmp_path: Path) -> None:
    (tmp_path / name).write_bytes(b"x")
    text = digests.manifest([(name, hashlib.sha256(b"x").hexdigest())])
    assert list(digests.parse_manifest(text, "m")) == [name]
    (tmp_path / "SHA256SUMS").write_bytes(text.encode())
    subprocess.run(["sha256sum", "--check", "--strict", "--quiet", "SHA256SUMS"], cwd=tmp_path, check=True)


def test_a_directory_has_one_digest_whatever_the_order_of_its_making(tmp_path: Path) -> None:
    paths = ["a/b", "a-b", "a.b", "ab", "a/b-c/d", "z", "ä"]
    found = set()
    for seed in range(4):
        random.Random(seed).shuffle(paths)
        plant(tmp_path / str(seed) / "d", {path: path.encode() for path in paths})
        found.add(Hasher(tmp_path / str(seed)).describe("d")[0])
    assert len(found) == 1


def test_a_directory_is_listed_in_the_order_of_dvc(tmp_path: Path) -> None:
    plant(tmp_path / "d", dict.fromkeys(("a/b", "a-b", "a.b", "B", "é"), b""))
    whole, every = Hasher(tmp_path).describe("d")
    listing = digests.dvc_directory((path[2:], item.md5) for path, item in every.items())
    assert [item["relpath"] for item in json.loads(listing)] == ["B", "a-b", "a.b", "a/b", "é"]
    assert whole.md5 == hashlib.md5(listing, usedforsecurity=False).hexdigest() + ".dir"


def test_several_processes_find_what_one_finds(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    paths = [f"{number}" for number in range(120)]
    plant(tmp_path, {path: path.encode() * int(path) for path in paths})
    alone = hashing.hash_files(paths, root=tmp_path)
    monkeypatch.setattr(hashing, "_PARALLEL_FILES", 100)
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {0, 1, 2})
    assert hashing.hash_files(paths, root=tmp_path) == alone
    assert hashing.hash_files(paths, root=tmp_path, md5=False) == [FileHash(i.sha256, "", i.size) for i in alone]
    monkeypatch.setattr(hashing, "_PARALLEL_FILES", 1000)
    monkeypatch.setattr(hashing, "_PARALLEL_BYTES", 100)
    assert hashing.hash_files(paths, root=tmp_path) == alone


def test_a_large_file_is_read_in_pieces(tmp_path: Path) -> None:
    data = random.Random(1).randbytes((3 << 20) + 17)
    (tmp_path / "f").write_bytes(data)
    assert hashing.hash_file(tmp_path / "f").sha256 == hashlib.sha256(data).hexdigest()


class TestCache:
    @pytest.fixture
    def study(self, tmp_path: Path) -> Path:
        (tmp_path / "f").write_bytes(b"one")
        os.utime(tmp_path / "f", (LONG_AGO, LONG_AGO))
        return tmp_path

    def sum(self, study: Path) -> str:
        hasher = Hasher(study, cache=study / "cache.json")
        digest = hasher.describe("f")[0].digest
        hasher.save()
        return digest

    def test_an_unchanged_file_is_not_read_again(self, study: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        before = self.sum(study)

        def refuse(*_: object, **__: object) -> FileHash:
            raise AssertionError("it was read")

        monkeypatch.setattr(hashing, "hash_file", refuse)
        assert self.sum(study) == before

    def test_another_size_time_or_inode_is_noticed(self, study: Path) -> None:
        self.sum(study)
        (study / "f").write_bytes(b"three")
        os.utime(study / "f", (LONG_AGO, LONG_AGO))
        assert self.sum(study) == digests.sha256(b"three")
        (study / "f").write_bytes(b"TREES")
        os.utime(study / "f", (LONG_AGO, LONG_AGO + 1))
        assert self.sum(study) == digests.sha256(b"TREES")
        (study / "g").write_bytes(b"Frees")
        os.utime(study / "g", (LONG_AGO, LONG_AGO + 1))
        (study / "g").rename(study / "f")
        assert self.sum(study) == digests.sha256(b"Frees")

    def test_a_file_that_was_just_written_is_read_again(self, study: Path) -> None:
        (study / "f").write_bytes(b"two")
        status = (study / "f").stat()
        self.sum(study)
        (study / "f").write_bytes(b"TWO")
        os.utime(study / "f", ns=(status.st_atime_ns, status.st_mtime_ns))
        assert self.sum(study) == digests.sha256(b"TWO")

    @pytest.mark.parametrize("text", ["", "{", "[]", '{"f": 1}', '{"f": [1, 2, 3, "a"]}', "\xff"])
    def test_a_damaged_cache_is_no_cache(self, study: Path, text: str) -> None:
        (study / "cache.json").write_text(text, encoding="latin-1")
        assert self.sum(study) == digests.sha256(b"one")

    def test_a_cache_that_cannot_be_written_is_no_error(self, study: Path) -> None:
        hasher = Hasher(study, cache=study / "f" / "cache.json")
        assert hasher.describe("f")[0].digest == digests.sha256(b"one")
        hasher.save()


class TestWhatIsNoFile:
    def test_links_to_files_inside_are_followed(self, tmp_path: Path) -> None:
        plant(tmp_path, {"d/f": b"1", "g": b"2"})
        (tmp_path / "d/inside").symlink_to("f")
        (tmp_path / "d/beside").symlink_to("../g")
        assert {path: item.size for path, item in Hasher(tmp_path).describe("d")[1].items()} == {
            "d/beside": 1,
            "d/f": 1,
            "d/inside": 1,
        }

    def test_a_link_out_of_the_study_is_refused(self, tmp_path: Path) -> None:
        plant(tmp_path, {"study/d/f": b"1", "secret": b"2"})
        (tmp_path / "study/d/out").symlink_to("../../secret")
        for path in ("d", "d/out"):
            with pytest.raises(UsageError, match=r"symbolic link that leaves the study"):
                Hasher(tmp_path / "study").describe(path)

    def test_a_link_to_a_directory_is_refused_because_dvc_leaves_it_out(self, tmp_path: Path) -> None:
        plant(tmp_path, {"d/e/f": b"1"})
        (tmp_path / "d/loop").symlink_to(".")
        with pytest.raises(UsageError, match=r"d/loop: a link to a directory, which DVC passes over"):
            Hasher(tmp_path).describe("d")

    def test_a_dangling_link_is_refused(self, tmp_path: Path) -> None:
        plant(tmp_path, {"d/f": b"1"})
        (tmp_path / "d/gone").symlink_to("nowhere")
        with pytest.raises(UsageError, match=r"d/gone: expected a file or directory, found a .*dangling link"):
            Hasher(tmp_path).describe("d")

    @pytest.mark.parametrize("path", ["d", "d/pipe"])
    def test_a_pipe_is_refused_and_not_waited_for(self, tmp_path: Path, path: str) -> None:
        plant(tmp_path, {"d/f": b"1"})
        os.mkfifo(tmp_path / "d/pipe")
        with pytest.raises(UsageError, match=r"d/pipe: expected a file or directory, found a device, pipe"):
            Hasher(tmp_path).describe(path)
        with pytest.raises(StorageError, match=r"expected a regular file, found a pipe"):
            hashing.hash_file(tmp_path / "d/pipe")

    def test_a_name_that_is_not_utf8_is_refused(self, tmp_path: Path) -> None:
        (tmp_path / "d").mkdir()
        (tmp_path / "d/a\udcff").write_bytes(b"1")
        with pytest.raises(UsageError, match=r"'d/a\\udcff': the name is not UTF-8"):
            Hasher(tmp_path).describe("d")

    def test_a_missing_file_is_named(self, tmp_path: Path) -> None:
        with pytest.raises(StorageError, match="cannot read f: No such file or directory"):
            Hasher(tmp_path).describe("f")

    @pytest.mark.parametrize("path", ["/etc/passwd", "../x", "a/../../x", ""])
    def test_a_path_that_leads_out_is_refused(self, tmp_path: Path, path: str) -> None:
        with pytest.raises(UsageError, match="expected a path inside the study"):
            Hasher(tmp_path).describe(path)

    def test_version_control_and_caches_are_passed_over(self, tmp_path: Path) -> None:
        plant_all = [f"d/{name}/x" for name in SKIPPED]
        for path in plant_all:
            (tmp_path / path).parent.mkdir(parents=True)
            (tmp_path / path).touch()
        (tmp_path / "d/f").touch()
        assert list(Hasher(tmp_path).describe("d")[1]) == ["d/f"]


def test_only_the_owners_permission_makes_a_file_executable(tmp_path: Path) -> None:
    (tmp_path / "f").touch()
    for mode, expected in ((0o644, False), (0o744, True), (0o655, False)):
        (tmp_path / "f").chmod(mode)
        assert hashing.is_executable(tmp_path / "f") is expected
