"""The archive's digest and the store paths: what Nix says of the same files."""

from __future__ import annotations

import hashlib
import os
import shutil
import socket
import subprocess
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from entrenar_research.core.nix import nar as archive
from entrenar_research.core.nix import store_paths
from entrenar_research.errors import StorageError
from entrenar_research.store import nar

Tree = dict[str, "bytes | Tree | str"]
NAMES = st.text(st.characters(exclude_characters="/\0", exclude_categories=["Cs"]), min_size=1, max_size=8).filter(
    lambda name: name not in (".", "..")
)
TREES: st.SearchStrategy[Tree] = st.recursive(
    st.dictionaries(NAMES, st.binary(max_size=40), max_size=4),
    lambda inner: st.dictionaries(NAMES, inner | st.binary(max_size=9) | st.just("../target"), max_size=3),
    max_leaves=8,
)


def grow(place: Path, tree: Tree) -> None:
    place.mkdir()
    for name, node in tree.items():
        if isinstance(node, bytes):
            (place / name).write_bytes(node)
            (place / name).chmod(0o755 if len(node) % 2 else 0o644)
        elif isinstance(node, str):
            (place / name).symlink_to(node)
        else:
            grow(place / name, node)


def encoded(tree: Tree) -> bytes:
    nodes = {}
    for name, node in tree.items():
        if isinstance(node, bytes):
            nodes[os.fsencode(name)] = archive.file(node, executable=bool(len(node) % 2))
        elif isinstance(node, str):
            nodes[os.fsencode(name)] = archive.symlink(node.encode())
        else:
            nodes[os.fsencode(name)] = encoded(node)
    return archive.directory(nodes)


@pytest.fixture(scope="module")
def configuration(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    if shutil.which("nix") is None:
        pytest.skip("needs nix")
    place = tmp_path_factory.mktemp("nix")
    (place / "nix.conf").write_text("experimental-features = nix-command\nsandbox = false\nbuild-users-group =\n")
    return {**os.environ, "NIX_CONF_DIR": str(place), "NIX_USER_CONF_FILES": ""}


def asked(words: list[str], environment: dict[str, str]) -> str:
    return subprocess.run(words, env=environment, check=True, capture_output=True, text=True).stdout.strip()


@given(tree=TREES)
def test_walking_a_tree_is_encoding_it(tree: Tree, tmp_path_factory: pytest.TempPathFactory) -> None:
    place = tmp_path_factory.mktemp("tree") / "tree"
    grow(place, tree)
    whole = archive.MAGIC + encoded(tree)
    assert nar.digest(place) == (hashlib.sha256(whole).hexdigest(), len(whole))


def test_times_owners_and_groups_rights_do_not_count(tmp_path: Path) -> None:
    grow(tmp_path / "one", {"a": b"12", "b": {"c": b"1"}})
    before = nar.directory_hash(tmp_path / "one")
    os.utime(tmp_path / "one" / "a", (1, 1))
    (tmp_path / "one" / "a").chmod(0o600)
    assert nar.directory_hash(tmp_path / "one") == before
    (tmp_path / "one" / "a").chmod(0o700)
    assert nar.directory_hash(tmp_path / "one") != before


def test_a_socket_is_refused(tmp_path: Path) -> None:
    (tmp_path / "d").mkdir()
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(tmp_path / "d" / "s"))
        with pytest.raises(StorageError, match="found a pipe, socket or device"):
            nar.digest(tmp_path / "d")


def test_what_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(StorageError, match="nowhere: No such file"):
        nar.digest(tmp_path / "nowhere")


@pytest.mark.nix
@pytest.mark.parametrize(
    "tree",
    [
        {},
        {"a": b"", "b": b"x" * 8, "c": b"x" * 9},
        {"empty": {}, "é": b"1", "Z": b"2", "a.b": "../c", "a": {"deep": {"er": b"\0" * 4097}}},
    ],
)
def test_nix_hashes_alike(tree: Tree, tmp_path: Path, configuration: dict[str, str]) -> None:
    grow(tmp_path / "t", tree)
    said = asked(["nix", "hash", "path", "--base16", str(tmp_path / "t")], configuration)
    assert nar.directory_hash(tmp_path / "t") == said.removeprefix("sha256:")


@pytest.mark.nix
@pytest.mark.parametrize("name", ["a", "numpy-2.4.6-cp311.whl", "_x=1?y+z"])
def test_nix_names_alike(name: str, tmp_path: Path, configuration: dict[str, str]) -> None:
    data = name.encode() * 100
    (tmp_path / "f").write_bytes(data)
    (tmp_path / "d").mkdir()
    (tmp_path / "d" / "f").write_bytes(data)
    store = ["--store", str(tmp_path / "store"), "--name", name]
    assert store_paths.file_path(name, hashlib.sha256(data).hexdigest()) == asked(
        ["nix", "store", "add-file", *store, str(tmp_path / "f")], configuration
    )
    assert store_paths.tree_path(name, nar.directory_hash(tmp_path / "d")) == asked(
        ["nix", "store", "add-path", *store, str(tmp_path / "d")], configuration
    )


def test_base_32_is_that_of_nix() -> None:
    # `nix hash to-base32` of the SHA-256 of nothing
    empty = hashlib.sha256(b"").digest()
    assert store_paths.base32(empty) == "0mdqa9w1p6cmli6976v4wi0sw9r4p5prkj7lzfd1877wk11c9c73"


@given(st.text(min_size=1, max_size=300))
def test_every_file_name_has_a_name_in_the_store(text: str) -> None:
    assert store_paths.is_name(store_paths.name_for(text))


@pytest.mark.parametrize("text", ["", ".a", "a/b", "a b", "a~b", "a%3ab", "x" * 212])
def test_what_a_store_does_not_know(text: str) -> None:
    assert not store_paths.is_name(text)
