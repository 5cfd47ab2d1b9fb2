"""`run` of an up-to-date experiment, `status`, and what a run costs over the bare script."""

from __future__ import annotations

import tempfile
from pathlib import Path

from benchmarks import worlds
from benchmarks.measuring import command, in_turn, show_absolute


def main() -> None:
    """Prints seconds beside DVC's on the digits study."""
    with tempfile.TemporaryDirectory(prefix="entrenar-bench-") as name:
        base = Path(name)
        env = worlds.environment(base / "home")
        title = ("--title", "Bench", "--author", "A Bench", "--license", "MIT", "--template", "digits")
        worlds.call("entrenar-research", "init", "study", *title, cwd=base, env=env)
        study = base / "study"
        for experiment in ("training_loop", "model_io", "lora_finetune"):
            worlds.call("entrenar-research", "run", experiment, cwd=study, env=env)
        out = base / "out"
        out.mkdir()
        script = "experiments/model_io/model_io.py"
        bare = f"rm -rf {out}/* && python {script} --data data/digits.csv --seed 42 --out {out}"
        bare += " --params experiments/model_io/params.yaml"
        pins = {"OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1", "PYTHONDONTWRITEBYTECODE": "1"}
        tool = "entrenar-research"
        cases = in_turn(
            {
                "run, up to date": command([tool, "run", "model_io"], cwd=study, env=env),
                "status": command([tool, "status"], cwd=study, env=env),
                "dvc repro, up to date": command(["dvc", "repro", "model_io"], cwd=study, env=env),
                "dvc status": command(["dvc", "status"], cwd=study, env=env),
                "the bare script": command(["sh", "-c", bare], cwd=study, env={**env, **pins}),
                "run, untraced": command(
                    [tool, "run", "model_io", "--force", "--trace", "none", "--quiet"], cwd=study, env=env
                ),
                "run, observed": command(
                    [tool, "run", "model_io", "--force", "--trace", "observe", "--quiet"], cwd=study, env=env
                ),
                "run, fully traced": command(
                    [tool, "run", "model_io", "--force", "--trace", "full", "--quiet"], cwd=study, env=env
                ),
            },
            repetitions=5,
        )
        show_absolute("running", cases, {"run, up to date": 0.6, "status": 0.4})
        for how in ("untraced", "observed", "fully traced"):
            extra = cases[f"run, {how}"].median - cases["the bare script"].median
            limit = f"  (limit 1 s: {'kept' if extra <= 1 else 'MISSED'})" if how == "untraced" else ""
            print(f"  a run {how} costs over the bare script: {extra:.2f} s{limit}")


if __name__ == "__main__":
    main()
