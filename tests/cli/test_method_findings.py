"""What cannot be meant in the configuration of a method is said where the run is shown."""

from __future__ import annotations

from pathlib import Path

from tests.conftest import World

SCRIPT = """\
import entrenar_research as er

with er.start_run("lora-rank", params={"method": "lora", "lora_config": {"rank": 0, "alpha": 32}}):
    pass
"""


def test_an_impossible_rank_is_named(tiny: Path, world: World) -> None:
    world.run("python", "-c", SCRIPT, cwd=tiny)
    shown = world.tool("runs", "show", "lora-rank", cwd=tiny).stdout
    assert [line for line in shown.splitlines() if line.startswith("warning: ") and "rank" in line], shown


def test_a_run_with_such_parameters_says_so(tiny: Path, world: World) -> None:
    params = tiny / "experiments/line/params.yaml"
    params.write_text(params.read_text() + "method: lora\nlora_config: {rank: 0}\n")
    said = world.tool("run", "line", cwd=tiny).stdout
    assert [line for line in said.splitlines() if line.startswith("warning: ") and "rank" in line], said
