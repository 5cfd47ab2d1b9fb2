from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from entrenar_research.core.tracking import methods

SPEC = {
    "method": "lora",
    "lora_config": {"rank": 16, "alpha": 32, "targets": ["q_proj", "v_proj"], "dropout": 0.05},
}


def lora(**changes: Any) -> dict[str, Any]:
    config = {**SPEC["lora_config"], **changes}  # type: ignore[dict-item]
    return {"method": "lora", "lora_config": {key: value for key, value in config.items() if value is not ...}}


def test_the_spec_sample_is_in_order_and_has_dotted_names() -> None:
    assert methods.findings(SPEC) == ()
    assert methods.flat(SPEC) == {
        "method": "lora",
        "lora_config.rank": 16,
        "lora_config.alpha": 32,
        "lora_config.targets": ["q_proj", "v_proj"],
        "lora_config.dropout": 0.05,
    }


@pytest.mark.parametrize(
    ("params", "told"),
    [
        (lora(rank=0), "lora_config.rank: found 0, expected a whole number, at least 1"),
        (lora(rank=8.0), "lora_config.rank: found 8.0, expected a whole number, at least 1"),
        (lora(rank=True), "lora_config.rank: found true, expected a whole number, at least 1"),
        (lora(rank="16"), "lora_config.rank: found '16', expected a whole number, at least 1"),
        (lora(rank=...), "lora_config.rank: not there; lora needs it"),
        (lora(alpha=0), "lora_config.alpha: found 0, expected a number, greater than 0"),
        (lora(alpha=float("nan")), "lora_config.alpha: found nan, expected a number, greater than 0"),
        (lora(dropout=1.5), "lora_config.dropout: found 1.5, expected a number, at least 0 and less than 1"),
        (lora(dropout=-0.1), "lora_config.dropout: found -0.1, expected a number, at least 0 and less than 1"),
        (lora(targets="q_proj"), "lora_config.targets: found 'q_proj', expected a list of names"),
        (lora(targets=[]), "lora_config.targets: found [], expected a list of names"),
        (
            lora(targets=["q", "k", "q"]),
            "lora_config.targets: found ['q', 'k', 'q'], expected each name once, 'q' stands in it several times",
        ),
        (lora(bias="some"), "lora_config.bias: found 'some', expected one of: none, all, lora_only"),
        (lora(rslora=1), "lora_config.rslora: found 1, expected true or false"),
        (lora(dropuot=0.1, dropout=...), "lora_config.dropuot: not a known setting of lora; did you mean dropout?"),
        ({"method": "lora"}, "method: found lora without lora_config; expected its settings there, at least rank"),
        ({"method": "lora", "lora_config": 16}, "lora_config: found 16, expected a mapping of settings"),
        (
            {"method": "full", "lora_config": {"rank": 1}},
            "lora_config: the method is full, so nothing reads it; expected full_config",
        ),
        (
            {"method": "qlora", "qlora_config": {"rank": 4, "bits": 1}},
            "qlora_config.bits: found 1, expected a whole number, at least 2 and at most 8",
        ),
        (
            {"method": "distillation", "distillation_config": {"alpha": 2}},
            "distillation_config.alpha: found 2, expected a number, at least 0 and at most 1",
        ),
        (
            {"method": "prefix", "prefix_config": {"tokens": -3}},
            "prefix_config.tokens: found -3, expected a whole number, at least 1",
        ),
    ],
)
def test_what_cannot_be_meant_is_named(params: dict[str, Any], told: str) -> None:
    assert methods.findings(params) == (told,)


@pytest.mark.parametrize(
    "params",
    [
        {},
        {"method": 3},
        {"method": "my-own", "my-own_config": {"rank": 0}, "lora_config": 3},
        {"lora_config": {"rank": 0}},
        {"method": "full"},
        {"method": "adapter"},
        lora(variant="anything that is not like a known setting"),
        {"method": "ia3", "ia3_config": {"targets": ["k"], "feedforward": ["down"]}},
    ],
)
def test_nothing_is_said_of_what_is_not_known(params: dict[str, Any]) -> None:
    assert methods.findings(params) == ()


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)


@given(st.sampled_from([*methods.METHODS]), st.data())
def test_any_value_is_judged_without_an_accident(method: str, data: st.DataObject) -> None:
    settings = st.dictionaries(st.sampled_from([*methods.METHODS[method], "other"]), VALUES, max_size=4)
    params = {"method": method, f"{method}_config": data.draw(settings | VALUES)}
    assert all(words.startswith((f"{method}_config", "method: ")) for words in methods.findings(params))
