"""Reading Debian packages without dpkg: what dpkg-deb made, and what is no package."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from entrenar_research.errors import InvalidFileError
from entrenar_research.store import debian_packages
from tests.closures import deb

FILES = {"usr/bin/program": b"#!/bin/sh\n", "usr/share/text": b"word\n" * 1000}


def test_what_dpkg_made_is_read_and_unpacked_as_dpkg_does(tmp_path: Path) -> None:
    path = deb(tmp_path, "some", FILES, version="1:2-3", depends="libc6 (>= 2)")
    package = debian_packages.read(path)
    assert (package.name, package.version, package.stanza["depends"]) == ("some", "1:2-3", "libc6 (>= 2)")
    assert sorted(debian_packages.unpack(package, tmp_path / "ours")) == sorted(FILES)
    subprocess.run(["dpkg-deb", "-x", path, tmp_path / "theirs"], check=True)
    assert subprocess.run(["diff", "-r", tmp_path / "ours", tmp_path / "theirs"], check=False).returncode == 0
    assert (tmp_path / "ours/usr/bin/program").stat().st_mode & 0o777 == 0o755
    assert debian_packages.member(package, "usr/share/text") == FILES["usr/share/text"]
    assert debian_packages.member(package, "usr/share/other") is None


def test_links_stay_links_and_hard_links_become_files(tmp_path: Path) -> None:
    tree = tmp_path / "tree"
    (tree / "DEBIAN").mkdir(parents=True)
    (tree / "DEBIAN/control").write_text(
        "Package: l\nVersion: 1\nArchitecture: amd64\nMaintainer: A <a@example.org>\nDescription: d\n"
    )
    (tree / "lib").mkdir()
    (tree / "lib/a").write_text("text")
    (tree / "lib/b").hardlink_to(tree / "lib/a")
    (tree / "lib/c").symlink_to("/nowhere/at/all")
    subprocess.run(["dpkg-deb", "-Zxz", "--root-owner-group", "-b", tree, tmp_path / "l.deb"], check=True)
    debian_packages.unpack(debian_packages.read(tmp_path / "l.deb"), tmp_path / "out")
    assert (tmp_path / "out/lib/b").read_text() == "text"
    assert str((tmp_path / "out/lib/c").readlink()) == "/nowhere/at/all"


def test_a_link_does_not_lead_out(tmp_path: Path) -> None:
    (tmp_path / "outside").mkdir()
    package = debian_packages.read(deb(tmp_path, "some", {"lib/file": b"x"}))
    (tmp_path / "out").mkdir()
    (tmp_path / "out/lib").symlink_to(tmp_path / "outside")
    with pytest.raises(InvalidFileError, match=r"'\./lib/file' leads out of the package"):
        debian_packages.unpack(package, tmp_path / "out")
    assert list((tmp_path / "outside").iterdir()) == []


@pytest.mark.parametrize(("compression", "name"), [("zstd", "data.tar.zst"), ("gzip", "data.tar.gz")])
def test_other_compressions_are_refused_with_words(compression: str, name: str, tmp_path: Path) -> None:
    if compression == "zstd" and "zstd" not in subprocess.run(
        ["dpkg-deb", "--help"], capture_output=True, text=True, check=True
    ).stdout:  # fmt: skip
        pytest.skip("this dpkg-deb does not know zstd")
    path = deb(tmp_path, "some", FILES, compression=compression)
    with pytest.raises(InvalidFileError, match=f"its data are {name}, expected data.tar.xz"):
        debian_packages.read(path)


def test_two_versions_of_one_package_are_named(tmp_path: Path) -> None:
    deb(tmp_path, "some", FILES, version="1")
    deb(tmp_path, "some", FILES, version="2")
    with pytest.raises(InvalidFileError, match=r"some is there twice: some_1_amd64\.deb and some_2_amd64\.deb"):
        debian_packages.find(tmp_path)


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    return deb(tmp_path_factory.mktemp("sound"), "some", FILES).read_bytes()


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60)
@given(data=st.data())
def test_damage_is_told_and_nothing_else_happens(data: st.DataObject, sound: bytes, tmp_path: Path) -> None:
    at = data.draw(st.integers(0, len(sound) - 1))
    what = data.draw(st.sampled_from(["cut", "flip"]))
    damaged = sound[:at] if what == "cut" else sound[:at] + bytes([sound[at] ^ 1]) + sound[at + 1 :]
    path, out = tmp_path / "some.deb", tmp_path / "out"
    path.write_bytes(damaged)
    shutil.rmtree(out, ignore_errors=True)
    out.mkdir()
    try:
        debian_packages.unpack(debian_packages.read(path), out)
    except InvalidFileError as error:
        assert "some.deb" in error.message  # noqa: PT017 - both ways are right
    assert sorted(path.name for path in tmp_path.iterdir()) == ["out", "some.deb"]
