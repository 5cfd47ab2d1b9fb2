"""A small study with the experiments, and what each of them gives when it is run.

Every experiment runs twice, as its experiment.yaml says, the second time with the processor pretending to be
a simpler one.
"""

import importlib
import importlib.util
import json
import os
import platform
import shlex
import shutil
import subprocess
import sys
import zlib
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

EXPERIMENTS = Path(__file__).parents[2] / "experiments"
SCRIPTS = {"training_loop": "train.py", "model_io": "model_io.py", "lora_finetune": "train.py"}


@pytest.fixture(scope="session")
def study(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The experiments beside the digits, which come from scikit-learn's wheel."""
    wheel = importlib.util.find_spec("sklearn")
    if wheel is None or wheel.origin is None:
        pytest.skip("the digits are in scikit-learn's wheel, which is not installed")
    root = tmp_path_factory.mktemp("study")
    shutil.copytree(EXPERIMENTS, root / "experiments", ignore=shutil.ignore_patterns("result", "__pycache__"))
    (root / "data").mkdir()
    packed = (Path(wheel.origin).parent / "datasets" / "data" / "digits.csv.gz").read_bytes()
    (root / "data" / "digits.csv").write_bytes(zlib.decompress(packed, wbits=31))
    return root


def declaration(name: str) -> dict[str, Any]:
    """What the experiment's experiment.yaml says."""
    import yaml

    text = (EXPERIMENTS / name / "experiment.yaml").read_text(encoding="utf-8")
    loaded: dict[str, Any] = yaml.safe_load(text)
    return loaded


def simpler_processor() -> dict[str, str]:
    """Settings that keep NumPy and OpenBLAS from using what this processor has and others lack."""
    import numpy as np

    home = "numpy._core" if np.lib.NumpyVersion(np.__version__) >= "2.0.0" else "numpy.core"
    core = importlib.import_module(f"{home}._multiarray_umath")
    features = [name for name in core.__cpu_dispatch__ if core.__cpu_features__.get(name)]
    settings = {"NPY_DISABLE_CPU_FEATURES": ",".join(features)}
    return settings | ({"OPENBLAS_CORETYPE": "Prescott"} if platform.machine() == "x86_64" else {})


@pytest.fixture(scope="session")
def results(study: Path) -> dict[tuple[str, str], Path]:
    """The result folder of each experiment's run, by the names of the two."""
    kinds = {"first": {}, "second": simpler_processor()}

    def run(job: tuple[str, str]) -> Path:
        name, kind = job
        out = study / "results" / name / kind
        out.mkdir(parents=True)
        values = declaration(name)
        command = values["command"].replace("${params}", values["params"])
        command = command.replace("${seed}", str(values["seed"])).replace("${result}", str(out))
        program, *words = shlex.split(command)
        assert program == "python"
        environment = {**os.environ, "OPENBLAS_NUM_THREADS": "1", **kinds[kind]}
        done = subprocess.run(
            [sys.executable, *words], cwd=study, env=environment, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr
        assert done.stderr == ""
        return out

    jobs = [(name, kind) for kind in kinds for name in reversed(SCRIPTS)]
    with ThreadPoolExecutor(2) as pool:
        return dict(zip(jobs, pool.map(run, jobs), strict=True))


@pytest.fixture(params=list(SCRIPTS))
def name(request: pytest.FixtureRequest) -> str:
    """Each experiment's name in turn."""
    return str(request.param)


@pytest.fixture
def declared(name: str) -> dict[str, Any]:
    """What this experiment declares."""
    return declaration(name)


@pytest.fixture(scope="session")
def script() -> Callable[[str], ModuleType]:
    """Imports an experiment's script by its name."""

    def load(name: str) -> ModuleType:
        unique = f"experiment_{name}"
        if unique not in sys.modules:
            spec = importlib.util.spec_from_file_location(unique, EXPERIMENTS / name / SCRIPTS[name])
            assert spec is not None
            assert spec.loader is not None
            sys.modules[unique] = importlib.util.module_from_spec(spec)
            with pytest.MonkeyPatch.context() as patch:
                patch.setattr(sys, "dont_write_bytecode", True)  # an experiment's folder is the study's
                spec.loader.exec_module(sys.modules[unique])
        return sys.modules[unique]

    return load


@pytest.fixture(scope="session")
def metrics(results: dict[tuple[str, str], Path]) -> Callable[[str], dict[str, Any]]:
    """Reads an experiment's metrics.json."""

    def read(name: str) -> dict[str, Any]:
        loaded: dict[str, Any] = json.loads((results[name, "first"] / "metrics.json").read_text())
        return loaded

    return read


@pytest.fixture(scope="session")
def halves(study: Path) -> tuple[Any, Any]:
    """The training and the test digits, each images and labels, that the seed 42 draws."""
    import numpy as np

    table = np.loadtxt(study / "data" / "digits.csv", delimiter=",")
    table = table[np.random.Generator(np.random.PCG64(42)).permutation(len(table))]
    test, train = table[:359], table[359:]
    return (train[:, :64] / 16, train[:, 64]), (test[:, :64] / 16, test[:, 64])
