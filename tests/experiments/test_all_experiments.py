"""What holds for every experiment, whatever it studies."""

import csv
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

np = pytest.importorskip("numpy")
yaml = pytest.importorskip("yaml")

SCRIPTS = {"training_loop": "train.py", "model_io": "model_io.py", "lora_finetune": "train.py"}
KEYS = ["description", "command", "params", "seed", "code", "inputs", "outputs", "metrics", "plots", "plan", "trace"]
Results = dict[tuple[str, str], Path]
Script = Callable[[str], ModuleType]


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_a_repetition_on_a_simpler_processor_gives_the_same_bytes(name: str, results: Results) -> None:
    assert contents(results[name, "first"]) == contents(results[name, "second"])


def test_the_declaration_names_what_there_is(
    name: str, declared: dict[str, Any], study: Path, results: Results, metrics: Callable[[str], dict[str, Any]]
) -> None:
    assert list(declared) == KEYS
    folder = results[name, "first"]
    assert sorted(declared["outputs"]) == sorted(contents(folder))
    for path in (declared["params"], *declared["code"], *declared["inputs"]):
        assert (study / path).is_file()
    for metric, entry in declared["metrics"].items():
        assert list(entry) == ["file", "goal", "tolerance"]
        assert isinstance(metrics(name)[metric], int | float)
    for plot in declared["plots"]:
        with (folder / plot["file"]).open() as stream:
            assert {plot["x"], *plot["y"]} <= set(next(csv.reader(stream)))


def test_the_results_tell_nothing_of_where_they_were_made(name: str, study: Path, results: Results) -> None:
    for data in contents(results[name, "first"]).values():
        assert str(study).encode() not in data
        assert sys.prefix.encode() not in data


def test_metrics_are_sorted_and_end_in_a_newline(name: str, results: Results) -> None:
    text = (results[name, "first"] / "metrics.json").read_text()
    keys = [line.split('"')[1] for line in text.splitlines()[1:-1]]
    assert keys == sorted(keys)
    assert text.endswith("}\n")


@pytest.fixture
def refused(
    name: str,
    script: Script,
    study: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> Callable[..., str]:
    """Runs the script with some arguments replaced and returns the line with which it refuses."""

    def run(**changes: object) -> str:
        out = tmp_path / "out"
        out.mkdir()
        arguments: dict[str, object] = {
            "data": study / "data" / "digits.csv",
            "params": study / "experiments" / name / "params.yaml",
            "seed": 42,
            "out": out,
        }
        words = [f"--{key}={value}" for key, value in (arguments | changes).items()]
        monkeypatch.setattr(sys, "argv", [SCRIPTS[name], *words])
        with pytest.raises(SystemExit) as stopped:
            script(name).main()
        assert stopped.value.code == 2
        assert list(out.iterdir()) == []
        message = capsys.readouterr().err
        assert message.count("\n") == 1
        assert message.startswith(f"{SCRIPTS[name]}: error: ")
        return message

    return run


def test_missing_data(refused: Callable[..., str], tmp_path: Path) -> None:
    assert "none.csv" in refused(data=tmp_path / "none.csv")


def test_missing_params(refused: Callable[..., str], tmp_path: Path) -> None:
    assert "none.yaml" in refused(params=tmp_path / "none.yaml")


def test_missing_out(refused: Callable[..., str], tmp_path: Path) -> None:
    assert "no such folder" in refused(out=tmp_path / "none")


def test_negative_seed(refused: Callable[..., str]) -> None:
    assert "--seed -1" in refused(seed=-1)


@pytest.mark.parametrize(
    ("row", "message"),
    [
        (",".join(["0"] * 64), "every row must have 65 columns"),
        (",".join(["0"] * 66), "every row must have 65 columns"),
        (",".join(["0"] * 64 + ["10"]), "row 4: not pixels (0-16) and a digit"),
        (",".join(["17"] + ["0"] * 64), "row 4: not pixels (0-16) and a digit"),
        (",".join(["nan"] + ["0"] * 64), "row 4: not pixels (0-16) and a digit"),
        (",".join(["x"] + ["0"] * 64), "row 4: not pixels (0-16) and a digit"),
    ],
)
def test_bad_row(refused: Callable[..., str], study: Path, tmp_path: Path, row: str, message: str) -> None:
    lines = (study / "data" / "digits.csv").read_text().splitlines()
    lines[3] = row
    (tmp_path / "bad.csv").write_text("\n".join(lines) + "\n")
    assert f"bad.csv{',' if 'row 4' in message else ':'} {message}" in refused(data=tmp_path / "bad.csv")


@pytest.mark.parametrize("rows", [0, 1, 2])
def test_too_few_rows(refused: Callable[..., str], tmp_path: Path, rows: int) -> None:
    (tmp_path / "few.csv").write_text((",".join(["0"] * 65) + "\n") * rows)
    assert ("every row" if rows == 0 else "leaves no rows") in refused(data=tmp_path / "few.csv")


def test_data_that_is_not_text(refused: Callable[..., str], tmp_path: Path) -> None:
    (tmp_path / "bad.csv").write_bytes(b"\xff\xfe\x00")
    assert "utf-8" in refused(data=tmp_path / "bad.csv")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ("learning_rte: 0.1", "unknown or missing: learning_rte"),
        ("learning_rate: 1e-2", "learning_rate must be a number from 0, not '1e-2'"),
        ("learning_rate: fast", "learning_rate must be a number from 0, not 'fast'"),
        ("learning_rate: true", "learning_rate must be a number from 0, not True"),
        ("learning_rate: -0.1", "learning_rate must be a number from 0, not -0.1"),
        ("learning_rate: .nan", "learning_rate must be a number from 0, not nan"),
        ("test_share: 1", "leaves no rows"),
        ("'", "while scanning a quoted scalar"),
    ],
)
def test_bad_params(
    refused: Callable[..., str], study: Path, name: str, tmp_path: Path, change: str, message: str
) -> None:
    text = (study / "experiments" / name / "params.yaml").read_text()
    (tmp_path / "bad.yaml").write_text(f"{text}\n{change}\n")
    assert message in refused(params=tmp_path / "bad.yaml")


def test_a_missing_parameter_is_named(refused: Callable[..., str], study: Path, name: str, tmp_path: Path) -> None:
    values = yaml.safe_load((study / "experiments" / name / "params.yaml").read_text())
    del values["test_share"]
    (tmp_path / "bad.yaml").write_text(yaml.safe_dump(values))
    assert "unknown or missing: test_share" in refused(params=tmp_path / "bad.yaml")


@pytest.mark.parametrize(("kind", "given"), [("a whole number from 1", 2.5), ("a whole number from 1", 0)])
def test_a_count_is_a_whole_number(
    refused: Callable[..., str], study: Path, name: str, tmp_path: Path, kind: str, given: float
) -> None:
    values = yaml.safe_load((study / "experiments" / name / "params.yaml").read_text())
    count = next(key for key, value in values.items() if isinstance(value, int))
    (tmp_path / "bad.yaml").write_text(yaml.safe_dump(values | {count: given}))
    assert f"{count} must be {kind}, not {given}" in refused(params=tmp_path / "bad.yaml")


def test_params_that_are_a_list(refused: Callable[..., str], tmp_path: Path) -> None:
    (tmp_path / "bad.yaml").write_text("- 1\n")
    assert "'name: value'" in refused(params=tmp_path / "bad.yaml")


def test_a_refusal_is_one_line_and_status_2(name: str, study: Path, tmp_path: Path) -> None:
    script = study / "experiments" / name / SCRIPTS[name]
    words = ["--data=none.csv", f"--params={script.parent / 'params.yaml'}", "--seed=1", f"--out={tmp_path}"]
    done = subprocess.run([sys.executable, script, *words], capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert done.stderr == f"{SCRIPTS[name]}: error: [Errno 2] No such file or directory: 'none.csv'\n"


def test_matmul_and_exp_agree_with_numpy(name: str, script: Script) -> None:
    rng = np.random.default_rng(1)
    for shape in (3, 50, 4), (50, 3, 4), (7, 7, 7), (1, 9, 1):
        a, b = rng.standard_normal(shape[:2]), rng.standard_normal(shape[1:])
        np.testing.assert_allclose(script(name).matmul(a, b), a @ b, rtol=1e-12, atol=1e-12)
        turned = script(name).matmul(a.T.copy().T, b.T.copy().T)
        assert turned.tobytes() == script(name).matmul(a, b).tobytes()
    x = np.concatenate([np.linspace(-745, 709, 1001), rng.standard_normal(1001), [0.0, -1e9]])
    np.testing.assert_allclose(script(name).exp(x), np.exp(x), rtol=2e-13, atol=1e-300)
    assert script(name).exp(np.zeros(1))[0] == 1


def test_either_loop_of_matmul_gives_the_same_bits(name: str, script: Script) -> None:
    rng = np.random.default_rng(2)
    a, b = rng.standard_normal((20, 21)), rng.standard_normal((21, 5))
    wide, padded = script(name).matmul(a, b), script(name).matmul(np.vstack([a, a]), b)
    assert np.vstack([wide, wide]).tobytes() == padded.tobytes()
