"""One result whatever the processor: the three experiments, and arithmetic that would differ if nothing were pinned.

Other processors are emulated. Haswell and EPYC-Rome can do just what the lock asks for (AVX2), and libraries that
choose by vendor see an Intel and an AMD in them; a Nehalem is below it.
"""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from entrenar_research.store.yaml_text import Document
from tests import emulated, hermetic
from tests.conftest import World

pytestmark = [pytest.mark.nix, pytest.mark.slow]
ROOT = Path(__file__).resolve().parents[2]
EXPERIMENTS = ("training_loop", "model_io", "lora_finetune")
KINDS = ("Haswell", "EPYC-Rome")
BELOW = "Nehalem"
PRODUCT = """\
import sys
from pathlib import Path

import numpy as np

left, right = np.random.default_rng(1).random((2, 96, 96), dtype=np.float32) - np.float32(0.5)
Path(sys.argv[1], "product.txt").write_text((left @ right).tobytes().hex() + np.tanh(left).tobytes().hex())
"""


@pytest.fixture(scope="session")
def store() -> Path:
    emulated.require()
    return hermetic.store()


@pytest.fixture
def experiments(store: Path, tmp_path: Path) -> emulated.Builder:
    """The repository's own, with their data out of the storage that lies in it."""
    jobs: dict[str, Any] = json.loads((ROOT / "nix" / "experiments.json").read_text())["experiments"]
    builder = emulated.Builder(tmp_path, store, ROOT, jobs)
    for item in {item["path"]: item for job in jobs.values() for item in job["data"]}.values():
        pointer = Document((ROOT / f"{item['path']}.dvc").read_text(), item["path"]).convert(dict[str, Any])
        digest = pointer["outs"][0]["md5"]
        builder.tool.add_file(item["store"], ROOT / "dvc-storage" / "files" / "md5" / digest[:2] / digest[2:])
    return builder


@pytest.fixture
def product(store: Path, tmp_path: Path) -> emulated.Builder:
    """A product of matrices and a function of their elements, where libraries choose their code by the processor."""
    root = tmp_path / "root"
    root.mkdir()
    (root / "product.py").write_text(PRODUCT)
    job = {"command": ["python", "product.py", "result"], "result": "result", "files": ["product.py"]}
    return emulated.Builder(tmp_path, store, root, {"product": {**job, "outputs": ["product.txt"]}})


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", EXPERIMENTS)
def test_an_experiment_has_one_result_on_every_processor(name: str, kind: str, experiments: emulated.Builder) -> None:
    assert experiments.build(name, kind) == experiments.build(name)


def test_the_pins_are_what_makes_it_one(product: emulated.Builder) -> None:
    here = product.build("product")
    assert {product.build("product", kind) for kind in (*KINDS, "max")} == {here}
    # The floor's own code is what is pinned; a lesser processor chooses other code if it may.
    assert product.build("product", "Haswell", emulated.UNPINNED) == here
    assert product.build("product", BELOW, emulated.UNPINNED) != here


def test_a_processor_below_the_floor_gives_no_result_rather_than_another(product: emulated.Builder) -> None:
    done = product.attempt("product", BELOW)
    assert done.status != 0
    assert "failed" in done.stderr.decode()


def test_and_the_tool_says_so_before_it_builds(store: Path, tiny: Path, world: World, tmp_path: Path) -> None:
    if shutil.which("bwrap") is None:
        hermetic.lacking("bwrap is not installed")
    world.environment["ENTRENAR_NIX_STORE"] = str(store)
    hermetic.equip(tiny)
    (tmp_path / "cpuinfo").write_text("processor\t: 0\nflags\t\t: fpu sse sse2 pni cx16 ssse3 sse4_1 sse4_2 popcnt\n")
    inside = ["bwrap", "--dev-bind", "/", "/", "--ro-bind", str(tmp_path / "cpuinfo"), "/proc/cpuinfo"]
    done = world.run(*inside, hermetic.TOOL, "run", "line", "--runner", "nix", cwd=tiny, status=3)
    assert "this processor is below x86-64-v3, which the closure lock asks for: it lacks" in done.stderr
    assert "avx2" in done.stderr
    assert "--runner host" in done.stderr
