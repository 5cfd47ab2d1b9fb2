"""What is hashed of an environment, what kinds of machines there are, what materials are called."""

from __future__ import annotations

import hashlib
import itertools

import msgspec
import pytest

from entrenar_research.core.proofs import environments, hardware, materials
from entrenar_research.models.proof import Hermetic, StorePath
from entrenar_research.models.run import Environment, FileDigest, Hardware, RunRecord

A, B = (f"sha256:{letter * 64}" for letter in "ab")
WORLD = Hermetic(
    system="x86_64-linux",
    derivation="/nix/store/d.drv",
    out_path="/nix/store/o",
    nar_hash=A,
    nix_version="2.8.0",
    settings={"sandbox": "true", "sandbox-fallback": "false", "system-features": "kvm"},
    pins={"TZ": "UTC"},
    closure=(StorePath(path="/nix/store/p", hash=A, size=7), StorePath(path="/nix/store/q", hash=B, size=8)),
)


def test_the_hash_of_a_sealed_world_is_that_of_its_text() -> None:
    text = (
        "kind\tnix\n"
        f"path\t/nix/store/p\t{A}\t7\n"
        f"path\t/nix/store/q\t{B}\t8\n"
        "pin\tTZ\tUTC\n"
        "setting\tsandbox\ttrue\n"
        "setting\tsandbox-fallback\tfalse\n"
        "system\tx86_64-linux\n"
    )
    assert environments.of_hermetic(WORLD) == "sha256:" + hashlib.sha256(text.encode()).hexdigest()


def test_what_differs_between_stores_is_not_in_it() -> None:
    other = msgspec.structs.replace(
        WORLD,
        nix_version="2.26.3",
        derivation="/nix/store/e.drv",
        closure=WORLD.closure[::-1],
        settings={**WORLD.settings, "system-features": ""},
    )
    assert environments.of_hermetic(other) == environments.of_hermetic(WORLD)


@pytest.mark.parametrize(
    "change",
    [
        {"system": "aarch64-linux"},
        {"pins": {"TZ": "CET"}},
        {"settings": {"sandbox": "relaxed", "sandbox-fallback": "false"}},
        {"closure": WORLD.closure[:1]},
        {"closure": (StorePath(path="/nix/store/p", hash=A, size=8), WORLD.closure[1])},
        {"closure": (StorePath(path="/nix/store/p", hash=B, size=7), WORLD.closure[1])},
    ],
)
def test_what_is_inside_is_in_it(change: dict[str, object]) -> None:
    assert environments.of_hermetic(msgspec.structs.replace(WORLD, **change)) != environments.of_hermetic(WORLD)


@pytest.mark.parametrize(
    ("settings", "sealed"),
    [
        ({"sandbox": "true", "sandbox-fallback": "false"}, True),
        ({"sandbox": "true", "sandbox-fallback": "false", "sandbox-paths": ""}, True),
        ({"sandbox": "true", "sandbox-fallback": "false", "sandbox-paths": "/bin/sh=/usr/bin/bash-static"}, False),
        ({"sandbox": "true", "sandbox-fallback": "true"}, False),
        ({"sandbox": "relaxed", "sandbox-fallback": "false"}, False),
        ({"sandbox": "false", "sandbox-fallback": "false"}, False),
        ({"sandbox": "true"}, False),
        ({}, False),
    ],
)
def test_a_sandbox_that_could_be_left_out_seals_nothing(settings: dict[str, str], sealed: bool) -> None:
    assert environments.sealed(msgspec.structs.replace(WORLD, settings=settings)) is sealed


def test_the_hash_of_a_host_is_that_of_its_text() -> None:
    used = Environment(program="python", python="3.11.2", packages={"numpy": "2.0", "a": "1"}, variables={"TZ": "UTC"})
    text = "kind\thost\npackage\ta\t1\npackage\tnumpy\t2.0\npython\t3.11.2\nsystem\tx86_64-linux\nvariable\tTZ\tUTC\n"
    expected = "sha256:" + hashlib.sha256(text.encode()).hexdigest()
    assert environments.of_host(used, "x86_64-linux") == expected
    named = msgspec.structs.replace(used, program="/somewhere/else/python3")
    assert environments.of_host(named, "x86_64-linux") == expected


def test_no_two_hosts_have_the_same_text() -> None:
    """Not even one with tabs and line ends in its variables."""
    hosts = [
        None,
        Environment(program="sh"),
        Environment(program="bash"),
        Environment(program="sh", variables={"A": "1"}),
        Environment(program="sh", variables={"A": "1\nvariable\tB\t2"}),
        Environment(program="sh", variables={"A": "1", "B": "2"}),
        Environment(program="sh", variables={"A": "1\\nvariable\\tB\\t2"}),
        Environment(program="sh", python="3.11.2"),
        Environment(program="sh", python="3.11.2", packages={"A": "1"}),
    ]
    for one, other in itertools.combinations(hosts, 2):
        assert environments.of_host(one, "x") != environments.of_host(other, "x"), (one, other)


V2 = {"cx16", "lahf_lm", "popcnt", "pni", "sse4_1", "sse4_2", "ssse3"}
V3 = V2 | {"avx", "avx2", "bmi1", "bmi2", "f16c", "fma", "abm", "movbe", "xsave"}
V4 = V3 | {"avx512f", "avx512bw", "avx512cd", "avx512dq", "avx512vl"}


@pytest.mark.parametrize(
    ("flags", "level"), [({"sse2"}, 1), (V2, 2), (V2 - {"popcnt"}, 1), (V3, 3), (V3 - {"fma"}, 2), (V4, 4),
                         (V4 - {"avx512vl"}, 3), (V4 - {"ssse3"}, 1)]
)  # fmt: skip
def test_levels_of_processors(flags: set[str], level: int) -> None:
    assert hardware.level("x86_64", flags) == f"x86-64-v{level}"


def test_of_other_processors_and_without_flags_no_level_is_known() -> None:
    assert hardware.level("aarch64", V4) is None
    assert hardware.level("x86_64", ()) is None


def test_a_vendor_is_found_and_a_machine_without_any_is_no_class() -> None:
    assert hardware.vendor("processor\t: 0\nvendor_id\t: AuthenticAMD\nmodel name\t: x\n") == "AuthenticAMD"
    assert hardware.vendor("CPU implementer\t: 0x41\n") == "0x41"
    assert hardware.vendor("") is None
    old = Hardware(architecture="x86_64", system="Linux 6.1", cpu="Some Processor")
    assert hardware.of_record(old) is None
    assert hardware.of_record(None) is None
    known = hardware.of_record(msgspec.structs.replace(old, vendor="GenuineIntel", level="x86-64-v3"))
    assert str(known) == "x86_64, x86-64-v3, GenuineIntel"


@pytest.mark.parametrize(
    ("path", "kind"),
    [
        ("data/points.csv", "dataset"),
        ("data", "dataset"),
        ("models/base.safetensors", "model"),
        ("models/BASE.PT", "model"),
        ("runs/checkpoints/3.safetensors", "checkpoint"),
        ("x/model-ckpt-3.bin", "checkpoint"),
        ("conf/model.yaml", "configuration"),
    ],
)
def test_kinds_of_inputs(path: str, kind: str) -> None:
    assert materials.kind_of(path) == kind


def test_materials_of_a_record() -> None:
    def item(path: str, files: int | None = None) -> FileDigest:
        return FileDigest(path=path, digest=A, md5="", size=3, files=files)

    record = RunRecord(
        id="r", experiment="e", status="completed", tool="t", runner="host", started="",
        code=(item("train.py"), item("shared")), inputs=(item("data", 2), item("train.py")),
    )  # fmt: skip
    files = {"train.py": (A, 3), "data/a": (B, 1), "data/b": (B, 2), "shared": (A, 3), "params.json": (B, 9)}
    found = materials.materials(record, files, {"data": "10.5281/zenodo.1"})
    assert [(m.name, m.kind, m.size, m.files, m.doi) for m in found] == [
        ("data", "dataset", 3, 2, "10.5281/zenodo.1"),
        ("params.json", "configuration", 9, None, None),
        ("shared", "code", 3, None, None),
        ("train.py", "code", 3, None, None),
    ]
    assert found[0].digest == {"sha256-manifest": "a" * 64}
    assert found[1].digest == {"sha256": "b" * 64}
