from __future__ import annotations

import shlex
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from entrenar_research.core import inference, recipe
from entrenar_research.core.inference import Inferred, Seen
from entrenar_research.models.experiment import Collected, Metric, Plot

CODE = Seen(code=("train.py", "lib/model.py"))
CURVE = b"epoch,loss,val_loss,acc\n0,1.5,2,0.1\n1,0.5,1,0.2\n"


def infer(command: str, seen: Seen = CODE) -> Inferred:
    return inference.infer("e", shlex.split(command), seen)


@pytest.mark.parametrize(
    ("command", "inferred", "params", "seed"),
    [
        ("python train.py --lr 0.1", "python train.py --lr ${params.lr}", {"lr": 0.1}, None),
        ("python train.py --lr=0.1", "python train.py --lr=${params.lr}", {"lr": 0.1}, None),
        ("python ./train.py -n 5", "python ./train.py -n ${params.n}", {"n": 5}, None),
        ("python train.py --shift -0.5", "python train.py --shift ${params.shift}", {"shift": -0.5}, None),
        ("python train.py --lr 1e-4", "python train.py --lr ${params.lr}", {"lr": 1e-4}, None),
        ("python train.py --top-k 32", "python train.py --top-k ${params.top_k}", {"top_k": 32}, None),
        ("python train.py --seed 3", "python train.py --seed ${seed}", {}, 3),
        ("python train.py --seed=3 --n 4", "python train.py --seed=${seed} --n ${params.n}", {"n": 4}, 3),
        ("python train.py --seed none", "python train.py --seed ${params.seed}", {"seed": "none"}, None),
        ("python train.py --opt adam", "python train.py --opt ${params.opt}", {"opt": "adam"}, None),
        ("python train.py --name 'a b'", "python train.py --name ${params.name}", {"name": "a b"}, None),
        ("python train.py --fast true", "python train.py --fast ${params.fast}", {"fast": True}, None),
        ("python train.py --fast True", "python train.py --fast ${params.fast}", {"fast": "True"}, None),
        ("python train.py --id 007", "python train.py --id ${params.id}", {"id": "007"}, None),
        ("python train.py --plus +5", "python train.py --plus ${params.plus}", {"plus": "+5"}, None),
        ("python train.py --huge 1e999", "python train.py --huge ${params.huge}", {"huge": "1e999"}, None),
        ("python train.py --verbose", "python train.py --verbose", {}, None),
        ("python train.py --verbose --lr 1", "python train.py --verbose --lr ${params.lr}", {"lr": 1}, None),
        ("python train.py --out results/x", "python train.py --out results/x", {}, None),
        ("python train.py --data points.csv", "python train.py --data points.csv", {}, None),
        ("python train.py --empty ''", "python train.py --empty ''", {}, None),
        ("python train.py --layer 10 --layer 20", "python train.py --layer 10 --layer 20", {}, None),
        ("python train.py --a-b 1 --a_b 2", "python train.py --a-b 1 --a_b 2", {}, None),
        ("python train.py -- --lr 1", "python train.py -- --lr ${params.lr}", {"lr": 1}, None),
        ("python train.py positional 5", "python train.py positional 5", {}, None),
        ("python train.py --out '${result}' --n 1", "python train.py --out ${result} --n ${params.n}", {"n": 1}, None),
        ("python train.py '--out=${result}/m x'", "python train.py '--out=${result}/m x'", {}, None),
        ("python -m lib.model --lr 0.1", "python -m lib.model --lr ${params.lr}", {"lr": 0.1}, None),
        ("python3.11 -X dev -u train.py --n 1", "python3.11 -X dev -u train.py --n ${params.n}", {"n": 1}, None),
        ("python -c 'print(1)' --n 1", "python -c 'print(1)' --n ${params.n}", {"n": 1}, None),
        ("python -m timeit -n 5", "python -m timeit -n ${params.n}", {"n": 5}, None),
        ("./fit -n 5", "./fit -n ${params.n}", {"n": 5}, None),
        ("sh -e lib/model.py", "sh -e lib/model.py", {}, None),
        ("train", "train", {}, None),
    ],
)  # fmt: skip
def test_flags_with_plain_values_become_parameters(
    command: str, inferred: str, params: dict[str, Any], seed: int | None
) -> None:
    found = infer(command)
    assert (found.declaration.command, found.params, found.declaration.seed) == (inferred, params, seed)
    assert [type(value) for value in found.params.values()] == [type(value) for value in params.values()]
    assert found.declaration.params == ("experiments/e/params.yaml" if params else None)


def test_the_name_of_a_directory_that_was_touched_is_a_path() -> None:
    seen = Seen(code=("train.py",), inputs=("data/x.csv",), writes={"out/sub/m.json": None})
    for value in ("out", "data", "train.py"):
        assert infer(f"python train.py --where {value}", seen).params == {}
    assert infer("python train.py --where elsewhere", seen).params == {"where": "elsewhere"}


WORDS = st.one_of(
    st.from_regex(r"--?[a-z][a-z_-]{0,3}(=[a-z0-9.+-]{0,4})?", fullmatch=True),
    st.from_regex(r"[-+]?[0-9]{0,3}\.?[0-9]{0,2}(e-?[0-9])?", fullmatch=True),
    st.sampled_from(["train.py", "true", "False", "-m", "a b", "it's", "\\", "$x", "out/x", "--seed", "3", "٣"]),
    st.text(st.characters(exclude_categories=["Cs"]), max_size=6),
)


@settings(deadline=None)
@given(st.lists(WORDS, max_size=8))
def test_the_inferred_command_runs_what_was_run(words: list[str]) -> None:
    words = ["python", "train.py", *(word.replace("${", "") for word in words)]
    found = inference.infer("e", words, CODE)
    again = recipe.expand(
        found.declaration.command,
        result="r",
        params_file=found.declaration.params,
        seed=found.declaration.seed,
        params=recipe.dotted(found.params),
    )
    assert len(again) == len(words)
    for new, old in zip(again, words, strict=True):
        assert new == old or float(new.rpartition("=")[2]) == float(old.rpartition("=")[2])


@pytest.mark.parametrize(
    ("command", "settings_", "chosen"),
    [
        ("python train.py", ("conf/params.yaml",), "conf/params.yaml"),
        ("python train.py", ("conf/config.yml", "x.yaml"), "conf/config.yml"),
        ("python train.py", ("hparams_a.yaml",), "hparams_a.yaml"),
        ("python train.py", ("labels.yaml",), None),
        ("python train.py labels.yaml --lr 1", ("labels.yaml",), "labels.yaml"),
        ("python train.py --config=labels.yaml", ("labels.yaml",), "labels.yaml"),
    ],
)
def test_a_params_file_that_is_read_is_the_params_file(
    command: str, settings_: tuple[str, ...], chosen: str | None
) -> None:
    found = infer(command, Seen(code=("train.py",), inputs=("data.csv", *settings_), settings=settings_))
    assert found.declaration.params == chosen
    assert found.declaration.inputs == tuple(sorted({"data.csv", *settings_} - {chosen}))
    if chosen is not None:
        assert found.declaration.command == command
        assert found.params == {}


def test_where_the_params_file_would_be_taken_flags_stay() -> None:
    found = inference.infer("e", ["python", "train.py", "--lr", "1"], CODE, params_taken=True)
    assert (found.declaration.command, found.declaration.params) == ("python train.py --lr 1", None)


@pytest.mark.parametrize(
    ("writes", "staged", "outputs"),
    [
        (["out/m.json"], [], [("m.json", "out/m.json")]),
        (["b/m.json", "a/m.json"], [], [("a/m.json", "a/m.json"), ("b/m.json", "b/m.json")]),
        (["out/m.json"], ["m.json"], ["m.json", ("out/m.json", "out/m.json")]),
        (["x/model"], ["model/w"], ["model/w", ("x/model", "x/model")]),
        (["a/b", "c/a"], [], [("b", "a/b"), ("c/a", "c/a")]),
        ([], ["z", "a/b"], ["a/b", "z"]),
        ([], [], []),
    ],
)
def test_outputs_have_names_that_do_not_stand_in_each_others_way(
    writes: list[str], staged: list[str], outputs: list[Any]
) -> None:
    found = infer("x", Seen(writes=dict.fromkeys(writes), staged=dict.fromkeys(staged))).declaration.outputs
    assert [item if isinstance(item, str) else (item.path, item.source) for item in found] == outputs


METRICS = b"""{"loss": 0.5, "val_accuracy": 1, "Test-F1": 0.2, "rmse": 3, "n": 4, "map": 0.1, "best_loss_score": 1,
"flag": true, "name": "x", "deep": {"loss": 1}, "none": null, "a.b": 1, "": 2, "nan": NaN, "inf": Infinity}"""


def test_numbers_at_the_top_of_a_json_output_are_metrics() -> None:
    found = infer("x", Seen(writes={"out/m.json": METRICS}, staged={"a.json": b'{"loss": 1}', "b.txt": b'{"c": 1}'}))
    assert {name: (item.file, item.goal) for name, item in found.declaration.metrics.items()} == {
        "loss": ("a.json", "minimize"),
        "val_accuracy": ("m.json", "maximize"),
        "Test-F1": ("m.json", "maximize"),
        "rmse": ("m.json", "minimize"),
        "n": ("m.json", "none"),
        "map": ("m.json", "maximize"),
        "best_loss_score": ("m.json", "minimize"),
    }


@pytest.mark.parametrize(
    "data", [b"", b"{", b"[1]", b"1", b"\xff\xfe", b"[" * 100_000, b'{"a": 1' + b"0" * 400 + b"}", b'{"a": "1"}', None]
)
def test_json_without_metrics_is_no_trouble(data: bytes | None) -> None:
    assert infer("x", Seen(staged={"m.json": data})).declaration.metrics == {}


@pytest.mark.parametrize(
    ("name", "data", "plots"),
    [
        ("c.csv", CURVE, (Plot(file="c.csv", x="epoch", y=("loss", "val_loss")),)),
        ("c.tsv", CURVE.replace(b",", b"\t"), (Plot(file="c.tsv", x="epoch", y=("loss", "val_loss")),)),
        ("c.csv", b"a,b\n1,2\n3,4\n", (Plot(file="c.csv", y=("a",)),)),
        ("c.csv", b"name,Step,v\nx,1,2\ny,2,3\n", (Plot(file="c.csv", x="Step", y=("v",)),)),
        ("c.csv", b",v\n0,2\n1,3\n", (Plot(file="c.csv", y=("v",)),)),
        ("c.csv", b"a\r\n1\r\n2\r\n", (Plot(file="c.csv", y=("a",)),)),
        ("c.csv", b"epoch\n1\n2\n", ()),
        ("c.csv", b"1,2\n3,4\n5,6\n", ()),
        ("c.csv", b"a,b\nx,y\nz,w\n", ()),
        ("c.csv", b"a,b\n1,2\n", ()),
        ("c.csv", b"\xff\n1\n2\n", ()),
        ("c.csv", b'"' + b"x" * 200_000, ()),
        ("c.csv", b"a,b\n\n\n", ()),
        ("c.csv", b"", ()),
        ("c.txt", CURVE, ()),
        ("c.csv", None, ()),
    ],
)
def test_tables_of_numbers_are_plots(name: str, data: bytes | None, plots: tuple[Plot, ...]) -> None:
    assert infer("x", Seen(staged={name: data})).declaration.plots == plots


def test_a_whole_declaration() -> None:
    seen = Seen(
        code=("train.py", "lib/model.py"),
        inputs=("data/x.csv",),
        writes={"results/metrics.json": b'{"loss": 1.0}', "results/curve.csv": CURVE},
        staged={"model.bin": None},
    )
    found = infer("python train.py --lr 0.1 --seed 7 --data data/x.csv", seen)
    assert found.params == {"lr": 0.1}
    declaration = found.declaration
    assert declaration.command == "python train.py --lr ${params.lr} --seed ${seed} --data data/x.csv"
    assert (declaration.code, declaration.inputs) == (("lib/model.py", "train.py"), ("data/x.csv",))
    assert declaration.outputs == (
        "model.bin",
        Collected(path="curve.csv", source="results/curve.csv"),
        Collected(path="metrics.json", source="results/metrics.json"),
    )
    assert declaration.metrics == {"loss": Metric(file="metrics.json", goal="minimize")}
    assert declaration.plots == (Plot(file="curve.csv", x="epoch", y=("loss", "val_loss")),)


def test_nothing_sensible_is_a_bare_command() -> None:
    found = inference.infer("e", ["true"], Seen())
    assert found.params == {}
    assert found.declaration == type(found.declaration)(command="true")
