from __future__ import annotations

from pathlib import Path

import pytest

from entrenar_research.errors import InvalidFileError, NotAStudyError, UsageError
from entrenar_research.models.experiment import Collected, Declaration, Experiment, Metric, Plan, Plot, Tolerance
from entrenar_research.models.golden import GoldenRecord
from entrenar_research.models.study import Person, Study
from entrenar_research.store import study_files, sums
from entrenar_research.store.golden_files import GoldenFiles
from entrenar_research.store.study_files import StudyFiles

FULL = Declaration(
    command="python a.py ${result}",
    description="All there is: yes",
    params="params.yaml",
    seed=3,
    code=("a.py",),
    inputs=("data",),
    outputs=("m.json", Collected(path="b", source="out/b")),
    metrics={"loss": Metric(file="m.json", key="deep.loss", goal="minimize", tolerance=Tolerance(absolute=1e-4))},
    plots=(Plot(file="b", x="step", y=("loss", "on")),),
    plan=Plan(cpus=2, memory="1GiB", time="1h"),
    trace="full",
)


@pytest.fixture
def study(tmp_path: Path) -> StudyFiles:
    (tmp_path / "study.yaml").write_text("title: T\nlicense: MIT\nauthors: [{family: A}]\n")
    return StudyFiles(tmp_path)


def declare(study: StudyFiles, text: str, name: str = "e") -> Experiment:
    place = study.root / "experiments" / name
    place.mkdir(parents=True, exist_ok=True)
    (place / "experiment.yaml").write_text(text)
    return study.experiment(name)


def test_what_is_written_is_read_back(study: StudyFiles) -> None:
    study.write_declaration(Experiment(name="e", declaration=FULL))
    assert study.experiment("e").declaration == FULL
    assert (study.root / "experiments/e/experiment.yaml").read_text().startswith("description: ")
    described = Study(title="On: yes", license="MIT", authors=(Person(family="Ng"),), released="2025-01-01")
    study.write_study(described)
    assert study.study() == described


def test_paths_are_read_as_dvc_writes_them(study: StudyFiles) -> None:
    found = declare(
        study,
        "command: x\nparams: ./p.yaml\ncode: [./a.py]\ninputs: [data/, 'b//c']\n"
        "outputs: [m/, {path: ./n, from: out//n}]\nmetrics: {loss: {file: ./m/x.json}}\nplots: [{file: m//y.csv}]\n",
    ).declaration
    assert (found.params, found.code, found.inputs) == ("p.yaml", ("a.py",), ("data", "b/c"))
    assert found.outputs == ("m", Collected(path="n", source="out/n"))
    assert (found.metrics["loss"].file, found.plots[0].file) == ("m/x.json", "m/y.csv")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("code: [/etc/passwd]", "line 2: '/etc/passwd': expected a path inside the study, relative to it"),
        ("inputs:\n- a\n- ../b", "line 4: '../b': expected a path inside the study"),
        ("inputs: ['']", "line 2: '': expected a path inside the study"),
        ("inputs: ['.']", "line 2: '.': expected a path inside the study"),
        ("inputs: [' a']", "line 2: ' a': expected a path inside the study"),
        ("params: ../p.yaml", "line 2: '../p.yaml': expected a path inside the study"),
        ("outputs: [../x]", "line 2: '../x': expected a path inside the study"),
        ("outputs: [{path: x, from: ../x}]", "line 2: '../x': expected a path inside the study"),
        ("outputs: [{path: ../x, from: x}]", "line 2: '../x': expected a path inside the study"),
        ("metrics: {loss: {file: ../../m.json}}", "line 2: '../../m.json': expected a path inside the study"),
        ("plots: [{file: /x.csv}]", "line 2: '/x.csv': expected a path inside the study"),
        ("inputs: [experiments/e/result/m]", "line 2: 'experiments/e/result/m': an experiment cannot read its own"),
        ("code: [./experiments/e/result]", "line 2: './experiments/e/result': an experiment cannot read its own"),
        (
            "outputs: [a, b]\nmetrics:\n  loss: {file: c.json}",
            "line 4: the metric `loss` is read from 'c.json', which is not among the outputs (a, b)",
        ),
        (
            "outputs: [a]\nplots:\n- file: ab/c.csv",
            "line 4: the plot is drawn from 'ab/c.csv', which is not among the outputs (a)",
        ),
    ],
)  # fmt: skip
def test_what_a_declaration_may_not_name_is_said_with_its_line(study: StudyFiles, text: str, words: str) -> None:
    with pytest.raises(InvalidFileError) as caught:
        declare(study, f"command: x\n{text}\n")
    assert caught.value.message.startswith(f"experiments/e/experiment.yaml, {words}")


def test_a_metric_in_an_output_directory_is_among_the_outputs(study: StudyFiles) -> None:
    found = declare(study, "command: x\noutputs: [a]\nmetrics: {loss: {file: a/m.json}}\n")
    assert found.declaration.metrics["loss"].file == "a/m.json"


def test_the_study_is_found_from_below_and_not_from_outside(
    study: StudyFiles, tmp_path_factory: pytest.TempPathFactory
) -> None:
    below = study.root / "a/b"
    below.mkdir(parents=True)
    assert study_files.find_root(below) == study.root.resolve()
    with pytest.raises(NotAStudyError, match="not inside a study"):
        study_files.find_root(tmp_path_factory.mktemp("outside"))
    with pytest.raises(NotAStudyError, match=r"there is no study\.yaml"):
        StudyFiles(below).study()


def test_a_study_without_authors_is_refused(study: StudyFiles) -> None:
    (study.root / "study.yaml").write_text("title: T\nlicense: MIT\nauthors: []\n")
    with pytest.raises(InvalidFileError, match=r"study\.yaml: `authors` is empty: expected at least one"):
        study.study()


@pytest.mark.parametrize("name", ["", "-a", "a b", "a/b", "..", "a.b", "é", "x" * 65, "a\n"])
def test_a_name_that_is_no_stage_tag_and_directory_at_once_is_refused(name: str) -> None:
    with pytest.raises(UsageError, match="expected letters, digits"):
        study_files.check_name(name, "experiment")


def test_an_unknown_experiment_is_answered_with_the_nearest(study: StudyFiles) -> None:
    declare(study, "command: x\n", "train")
    with pytest.raises(UsageError, match="no experiment named 'trian'") as caught:
        study.experiment("trian")
    assert "train" in (caught.value.hint or "")
    with pytest.raises(UsageError, match=r"no experiment named '\.\./experiments/train'"):
        study.experiment("../experiments/train")
    assert [item.name for item in study.experiments()] == ["train"]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("- a\n", "p.yaml, line 1: expected mapping, got list"),
        ("a: 1\n2: b\n", "p.yaml, line 1: a key is not text, expected text: quote it"),
        ("a: [\n", "p.yaml, line 2, column 1: did not find expected node content (the file ends here)"),
        (b"a: \xff\n", "p.yaml: not UTF-8 text (byte 3)"),
        (None, "p.yaml: no such file; experiments/e/experiment.yaml declares it as the params file"),
    ],
)
def test_a_wrong_params_file_is_named(study: StudyFiles, text: str | bytes | None, words: str) -> None:
    if text is not None:
        (study.root / "p.yaml").write_bytes(text.encode() if isinstance(text, str) else text)
    with pytest.raises(UsageError) as caught:
        study.params(declare(study, "command: x\nparams: p.yaml\n"))
    assert caught.value.message == words


def test_params_may_be_empty_absent_or_json(study: StudyFiles) -> None:
    assert study.params(declare(study, "command: x\n")) == {}
    (study.root / "p.yaml").write_text("# nothing\n")
    assert study.params(declare(study, "command: x\nparams: p.yaml\n")) == {}
    (study.root / "p.json").write_text('{"a": "\\ud83d\\ude00", "b": 1e-4}')
    assert study.params(declare(study, "command: x\nparams: p.json\n")) == {"a": "\U0001f600", "b": 1e-4}


def test_golden_traces_are_written_closed_and_read_back(tmp_path: Path) -> None:
    golden = GoldenFiles(tmp_path)
    record = GoldenRecord(
        name="g", experiment="e", run="r", promoted="2025-01-01", tool="t", tracer="s", trace_id="sha256:0",
        total=3, calls={"read": 2, "write": 1},
    )  # fmt: skip
    golden.write(record, b"{}", "summary\n")
    assert golden.names() == ("g",)
    assert golden.load("g") == record
    assert golden.document("g").read_bytes() == b"{}"
    (found,) = sums.check(golden.directory("g"), golden.relative("g"), area="evidence")
    assert found.verdict.value == "identical"
    with pytest.raises(UsageError, match="no golden trace named 'h'"):
        golden.load("h")
    (golden.directory("g") / "golden.yaml").write_text("name: g\n")
    with pytest.raises(
        InvalidFileError, match=r"golden_traces/g/golden\.yaml, line 1: the key `experiment` is missing"
    ):
        golden.load("g")
