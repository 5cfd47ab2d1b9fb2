"""What nothing pins: the runner's world, and the driver of a card that was used."""

from __future__ import annotations

import hashlib
from pathlib import Path

import msgspec
import pytest

from entrenar_research.actions.proving import impurities, stating
from entrenar_research.core.proofs import environments
from entrenar_research.models.proof import Hermetic, StorePath
from entrenar_research.models.run import Hardware, RunRecord, Usage
from entrenar_research.store.yaml_text import Document, dump

USAGE = Usage(user_seconds=1.0, system_seconds=0.1, peak_memory=1 << 20)
CARDS = ("NVIDIA H200, 570.1", "NVIDIA H200, 570.1", "Other, with comma, 1.2")
RECORD = RunRecord(
    id="r", experiment="e", status="completed", tool="t", runner="host", started="", usage=USAGE,
    hardware=Hardware(architecture="x86_64", system="Linux", gpus=CARDS),
)  # fmt: skip
WORLD = Hermetic(
    system="x86_64-linux", derivation="/nix/store/d.drv", out_path="/nix/store/o", nar_hash="sha256:" + "a" * 64,
    nix_version="2.8.0", settings={"sandbox": "true", "sandbox-fallback": "false", "substitute": "false"},
    pins={"TZ": "UTC"}, closure=(StorePath(path="/nix/store/p", hash="sha256:" + "b" * 64, size=7),),
)  # fmt: skip


def kinds(record: RunRecord) -> list[tuple[str, str | None]]:
    return [(item.kind, item.version) for item in impurities.of_run(record)]


def test_a_runner_that_seals_nothing_is_one() -> None:
    for runner in ("host", "bwrap", "other"):
        (found,) = impurities.of_run(msgspec.structs.replace(RECORD, runner=runner))
        assert found.detail.startswith(f"{runner}: ")


def test_a_sealed_world_is_none_and_one_that_could_be_left_out_is() -> None:
    assert kinds(msgspec.structs.replace(RECORD, runner="nix", hermetic=WORLD)) == []
    open_world = msgspec.structs.replace(WORLD, settings={"sandbox": "true", "sandbox-fallback": "true"})
    assert kinds(msgspec.structs.replace(RECORD, runner="nix", hermetic=open_world)) == [("runner", None)]


def test_a_card_counts_only_where_it_was_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "libcuda.so.570.1").write_bytes(b"driver")
    monkeypatch.setattr(impurities, "_PLACES", (str(tmp_path / "none"), str(tmp_path)))
    assert kinds(RECORD) == [("runner", None)]
    used = msgspec.structs.replace(RECORD, usage=msgspec.structs.replace(USAGE, gpu_memory=1 << 30))
    _, first, second = impurities.of_run(used)
    assert (first.detail, first.version) == ("NVIDIA H200", "570.1")
    assert first.digest == "sha256:" + hashlib.sha256(b"driver").hexdigest()
    assert (second.detail, second.version, second.digest) == ("Other, with comma", "1.2", None)


def test_the_world_of_a_build_by_nix() -> None:
    world = stating.world("nix", WORLD, None, RECORD.hardware)
    assert (world.hermetic, world.environment_kind, world.system) == (True, "nix", "x86_64-linux")
    assert world.environment_hash == environments.of_hermetic(WORLD)
    assert world.nar_hash == WORLD.nar_hash
    assert world.settings == {"sandbox": "true", "sandbox-fallback": "false"}
    facts = stating.nix_facts(WORLD)
    assert facts is not None
    assert (facts.nix_derivation, facts.output, facts.settings) == (WORLD.derivation, WORLD.out_path, WORLD.settings)
    assert stating.nix_facts(None) is None


def test_a_record_keeps_its_sealed_world_and_an_old_one_reads_as_it_did() -> None:
    record = msgspec.structs.replace(RECORD, runner="nix", hermetic=WORLD)
    assert Document(dump(record), "run.yaml").convert(RunRecord) == record
    assert "hermetic" not in dump(RECORD)
    assert Document(dump(RECORD), "run.yaml").convert(RunRecord).hermetic is None
