"""Which packages and wheels belong to a toolchain, and what numpy must leave alone."""

from __future__ import annotations

import tomllib
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from entrenar_research.core import pins
from entrenar_research.core.nix import cpu_features, debian_control, python_locks
from entrenar_research.core.nix.python_locks import Pin
from entrenar_research.errors import InvalidFileError
from entrenar_research.tools import processor

CONTROL = """\
Package: python3
Version: 1:3-1
Architecture: amd64
Pre-Depends: libc6 (>= 2.36)
Depends: debconf (>= 0.5) | debconf-2.0, libssl3:any (>= 3),
 virtual | libz [amd64]
Description: one
 more
 .
 Package: not-this

Package: libc6
Version: 2
Architecture: amd64

Package: libssl3
Version: 3
Architecture: amd64
Depends: libc6, debconf

Package: libz
Version: 4
Architecture: amd64

Package: debconf
Version: 5
Architecture: all
Depends: perl
"""
MARKERS = python_locks.markers("3.11.2")
HEX = "ab" * 32


def known() -> dict[str, debian_control.Stanza | None]:
    return {stanza["package"]: stanza for stanza in debian_control.stanzas(CONTROL)} | {
        "virtual": None, "debconf-2.0": None,
    }  # fmt: skip


def test_fields_are_read() -> None:
    first = debian_control.stanzas(CONTROL)[0]
    assert debian_control.file_name(first) == "python3_1%3a3-1_amd64.deb"
    assert debian_control.needs(first) == (("libc6",), ("debconf", "debconf-2.0"), ("libssl3",), ("virtual", "libz"))


def test_what_is_needed_is_followed_and_what_is_for_all_architectures_is_not() -> None:
    taken, asked = debian_control.closure(["python3"], known())
    assert (taken, asked) == (("libc6", "libssl3", "libz", "python3"), frozenset())
    assert debian_control.unmet(taken, known()) == ()


def test_what_is_not_known_is_asked_for() -> None:
    some = known()
    del some["libssl3"], some["virtual"]
    assert debian_control.closure(["python3", "strace"], some)[1] == {"libssl3", "virtual", "strace"}
    some["libssl3"] = None
    assert debian_control.unmet(["python3"], some) == (("python3", "libssl3"),)
    some["other"] = {"package": "other", "provides": "x, libssl3 (= 3)"}
    assert debian_control.unmet(["python3"], some) == ()


@given(st.text())
def test_any_text_is_read_as_some_packages(text: str) -> None:
    for stanza in debian_control.stanzas(text):
        debian_control.needs(stanza)


def test_numpy_keeps_what_the_floor_has() -> None:
    assert cpu_features.beyond_floor(["X86_V3", "X86_V4", "AVX512_ICL", "AVX512_SPR"]) == (
        "X86_V4", "AVX512_ICL", "AVX512_SPR",
    )  # fmt: skip
    older = ["SSSE3", "SSE41", "POPCNT", "SSE42", "AVX", "F16C", "FMA3", "AVX2", "AVX512F", "AVX512CD", "AVX512_SKX"]
    assert cpu_features.beyond_floor(older) == ("AVX512F", "AVX512CD", "AVX512_SKX")
    found = pins.hermetic(cpu_features.beyond_floor(older))
    assert found["NPY_DISABLE_CPU_FEATURES"] == "AVX512F AVX512CD AVX512_SKX"
    assert pins.pinned(1).items() <= found.items()
    assert "NPY_DISABLE_CPU_FEATURES" not in pins.hermetic(())


def test_a_processor_below_the_floor_is_told_what_it_lacks(monkeypatch: pytest.MonkeyPatch, tmp_path: Any) -> None:
    haswell = "fma avx avx2 bmi1 bmi2 f16c abm movbe xsave cx16 lahf_lm popcnt pni sse4_1 sse4_2 ssse3"
    file = tmp_path / "cpuinfo"
    monkeypatch.setattr(processor, "_CPUINFO", file)
    file.write_text(f"processor : 0\nflags\t\t: fpu {haswell}\n\nprocessor : 1\nflags : fpu\n")
    processor.require("x86-64-v3")
    file.write_text(f"flags\t\t: fpu {haswell.replace('avx2 ', '').replace('fma ', '')}\n")
    with pytest.raises(Exception, match="below x86-64-v3, which the closure lock asks for: it lacks avx2, fma"):
        processor.require("x86-64-v3")
    file.unlink()
    processor.require("x86-64-v3")
    monkeypatch.setattr("platform.machine", lambda: "aarch64")
    with pytest.raises(Exception, match="this machine is aarch64"):
        processor.require("x86-64-v3")


UV = f"""
version = 1
[[package]]
name = "mine"
version = "0.1"
source = {{ virtual = "." }}
dependencies = [
  {{ name = "numpy" }},
  {{ name = "tomli", marker = "python_full_version < '3.11'" }},
  {{ name = "rich", extra = ["jupyter"] }},
]
[[package]]
name = "numpy"
version = "2.4.6"
source = {{ registry = "somewhere" }}
wheels = [{{ url = "x", hash = "sha256:{HEX}", size = 3 }}, {{ url = "y", hash = "sha256:{HEX[::-1]}" }}]
[[package]]
name = "rich"
version = "13"
source = {{ registry = "somewhere" }}
dependencies = [{{ name = "numpy" }}]
wheels = [{{ url = "x", hash = "sha256:{HEX}" }}]
[package.optional-dependencies]
jupyter = [{{ name = "Ipy.widgets" }}]
[[package]]
name = "Ipy.widgets"
version = "8"
source = {{ registry = "somewhere" }}
wheels = [{{ url = "x", hash = "sha256:{HEX}" }}]
[[package]]
name = "tomli"
version = "1"
source = {{ registry = "somewhere" }}
sdist = {{ url = "x", hash = "sha256:{HEX}" }}
[[package]]
name = "unneeded"
version = "1"
source = {{ git = "somewhere" }}
"""
PYLOCK = f"""
lock-version = "1.0"
created-by = "test"
[[packages]]
name = "numpy"
version = "2.4.6"
wheels = [{{ name = "n.whl", hashes = {{ sha256 = "{HEX}" }} }}]
[[packages]]
name = "pywin32"
version = "1"
marker = "sys_platform == 'win32'"
[[packages]]
name = "pytest"
version = "9"
marker = "'dev' in dependency_groups"
"""


def test_pins_of_uv() -> None:
    found = python_locks.uv(tomllib.loads(UV), "uv.lock", MARKERS)
    assert [(pin.name, pin.version) for pin in found] == [("ipy-widgets", "8"), ("numpy", "2.4.6"), ("rich", "13")]
    assert found[1].line == f"numpy==2.4.6 --hash=sha256:{HEX} --hash=sha256:{HEX[::-1]}"


def test_pins_of_pylock() -> None:
    found = python_locks.pylock(tomllib.loads(PYLOCK), "pylock.toml", MARKERS)
    assert found == (Pin(name="numpy", version="2.4.6", sha256=(HEX,)),)


@pytest.mark.parametrize(
    ("read", "text", "said"),
    [
        (python_locks.uv, UV.replace("< '3.11'", "< '3.12'"), "tomli: the lock has only a source distribution"),
        (python_locks.uv, UV.replace("version = 1\n[[", "version = 9\n[[", 1), "version: found 9"),
        (python_locks.uv, UV.replace("python_full_version <", "python_full version <"), "cannot be read"),
        (python_locks.uv, UV.replace(f"sha256:{HEX}", "sha256:12"), "found '12', expected 64 hex digits"),
        (python_locks.uv, UV.replace(f', hash = "sha256:{HEX}", size = 3', ""), "`hash`"),
        (python_locks.uv, "version = 1\npackage = 3\n", "expected a list of packages"),
        (python_locks.pylock, "", "lock-version: found None"),
        (python_locks.pylock, PYLOCK.replace("== 'win32'", "== 'linux'"), "pywin32: there is no wheel of it"),
        (python_locks.pylock, PYLOCK.replace("sha256 = ", "md5 = "), "`sha256`"),
    ],
)
def test_what_is_wrong_in_another_lock_is_named(read: Any, text: str, said: str) -> None:
    with pytest.raises(InvalidFileError) as caught:
        read(tomllib.loads(text), "some.lock", MARKERS)
    assert said in caught.value.message
    assert caught.value.message.startswith("some.lock: ")


JSON = st.recursive(
    st.none() | st.integers() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                ["name", "version", "wheels", "hashes", "sha256", "hash", "marker", "source", "dependencies"]
            ),
            inner,
            max_size=4,
        )
    ),
    max_leaves=20,
)


@given(st.lists(JSON, max_size=3))
def test_any_other_lock_is_read_or_refused(packages: list[Any]) -> None:
    for read, document in (
        (python_locks.uv, {"version": 1, "package": packages}),
        (python_locks.pylock, {"lock-version": "1.0", "packages": packages}),
    ):
        try:
            read(document, "some.lock", MARKERS)
        except InvalidFileError as error:
            assert error.message.startswith("some.lock: ")  # noqa: PT017 - both ways are right


@pytest.mark.parametrize(
    ("text", "bare"),
    [
        ("numpy\npyyaml\n", ()),
        (f"numpy==1 \\\n    --hash=sha256:{HEX}\n# a comment\npyyaml==2  # no hash\n", ("pyyaml==2",)),
        (f"-r other.txt\nnumpy==1 --hash=sha256:{HEX}\n\n", ()),
        ("", ()),
    ],
)
def test_a_requirement_without_a_hash_among_others_with_one(text: str, bare: tuple[str, ...]) -> None:
    assert python_locks.without_hash(text) == bare
