import hashlib
import json
from typing import Any

import msgspec
import pytest

from entrenar_research.core.crates import checking, metadata, preview
from entrenar_research.core.crates.files import FileFacts
from entrenar_research.models.run import RunRecord
from tests.unit.bundles import sample

FACTS = {path: FileFacts(len(data), hashlib.sha256(data).hexdigest()) for path, data in sample.FILES.items()}


def build(**changes: Any) -> bytes:
    parts: dict[str, Any] = {
        "study": sample.STUDY,
        "experiments": sample.EXPERIMENTS,
        "runs": sample.RUNS,
        "facts": FACTS,
    } | changes
    return metadata.build(**parts, date="2024-01-04T00:00:01Z")


@pytest.fixture(scope="module")
def found() -> dict[str, Any]:
    return sample.entities(build())


def ids(value: Any) -> list[str]:
    return [item["@id"] for item in (value if isinstance(value, list) else [value])]


def action(found: dict[str, Any], record: RunRecord) -> dict[str, Any]:
    (entity,) = [item for item in found.values() if item.get("name", "").startswith(f"Run {record.id} ")]
    assert entity["@type"] == "CreateAction"
    return dict(entity)


def values(found: dict[str, Any], links: Any) -> dict[str, Any]:
    linked = [found[identifier] for identifier in ids(links)]
    return {item["name"]: item["value"] for item in linked if item["@type"] == "PropertyValue"}


def test_it_passes_our_own_check() -> None:
    crate = checking.read_crate(build())
    assert crate.problems == ()
    assert checking.check_members(crate, FACTS) == []


def test_the_same_facts_give_the_same_bytes() -> None:
    assert build() == build(facts=dict(reversed(FACTS.items())), runs=tuple(reversed(sample.RUNS)))


def test_the_root_says_who_what_and_under_which_licence(found: dict[str, Any]) -> None:
    root = found["./"]
    assert root["name"] == sample.STUDY.title
    assert root["datePublished"] == "2024-01-04T00:00:01Z"
    assert ids(root["author"]) == ["https://orcid.org/0000-0002-1825-0097", "#person-2"]
    assert found["#person-2"]["familyName"] == "van der Ørsted"
    assert ids(found["#person-2"]["affiliation"]) == ["https://ror.org/05gq02987"]
    assert found[root["license"]["@id"]]["name"] == "MIT OR Apache-2.0"
    assert len(ids(root["mentions"])) == len(sample.RUNS)


def test_a_plain_licence_links_to_its_page() -> None:
    found = sample.entities(build(study=sample.LEAST, runs=(), experiments=()))
    assert found["./"]["license"] == {"@id": "https://spdx.org/licenses/MIT"}
    assert found["./"]["description"]
    assert "mentions" not in found["./"]


def test_every_file_has_size_digest_and_type(found: dict[str, Any]) -> None:
    entity = found["data/%E6%97%A5%E6%9C%AC%E8%AA%9E/%E3%83%87%E3%83%BC%E3%82%BF%231.bin"]
    assert entity["contentSize"] == str(256 * 300)
    assert entity["sha256"] == FACTS["data/日本語/データ#1.bin"].sha256
    assert entity["name"] == "data/日本語/データ#1.bin"
    assert found["data/digits.csv"]["encodingFormat"] == "text/csv"
    assert found["LICENSE"]["encodingFormat"] == "text/plain"
    assert "encodingFormat" not in sample.entities(build(facts={"a.unheard": FileFacts(1, "0" * 64)}))["a.unheard"]


def test_directories_that_mean_something_are_nested(found: dict[str, Any]) -> None:
    assert "experiments/train/" in ids(found["./"]["hasPart"])
    assert "experiments/train/train.py" not in ids(found["./"]["hasPart"])
    assert "experiments/train/result/model/" in ids(found["experiments/train/"]["hasPart"])
    assert len(found["parts/"]["hasPart"]) == 300
    assert found["experiments/gr%C3%B6%C3%9Fe/"]["description"] == "Names need not be English."
    evidence = found[f"runs/{sample.GOOD.id}/"]
    assert found[evidence["about"]["@id"]]["@type"] == "CreateAction"


def test_a_run_claims_what_it_used_and_made(found: dict[str, Any]) -> None:
    entity = action(found, sample.GOOD)
    assert entity["description"] == "Command: python train.py --lr 0.1"
    assert (entity["startTime"], entity["endTime"]) == (
        "2024-01-02T00:00:00+00:00",
        "2024-01-02T00:00:03.250+00:00",
    )
    assert entity["actionStatus"] == "http://schema.org/CompletedActionStatus"
    assert entity["agent"] == {"@id": "https://orcid.org/0000-0002-1825-0097"}
    assert {"data/digits.csv", "experiments/train/params.yaml", "parts/"} <= set(ids(entity["object"]))
    assert {"experiments/train/result/metrics.json", "experiments/train/result/model/"} <= set(ids(entity["result"]))
    assert values(found, entity["object"]) == {
        "lr": 0.1,
        "layers": "[8, 4]",
        "optimiser.name": "sgd",
        "optimiser.momentum": "null",
        "limit": "inf",
        "seed": 7,
        "git commit": "0" * 40 + " with uncommitted changes",
    }
    assert values(found, entity["result"]) == {"accuracy": 0.75, "loss": "nan"}
    assert values(found, entity["environment"]) == {"OMP_NUM_THREADS": "1"}


def test_the_script_is_the_instrument_and_needs_tool_and_python(found: dict[str, Any]) -> None:
    assert action(found, sample.GOOD)["instrument"] == {"@id": "experiments/train/train.py"}
    script = found["experiments/train/train.py"]
    assert script["@type"] == ["File", "SoftwareSourceCode"]
    needs = [found[identifier] for identifier in ids(script["softwareRequirements"])]
    assert {(item["name"], item["softwareVersion"]) for item in needs} == {
        ("Python", "3.11.2"),
        ("entrenar-research", "0.1.0"),
    }
    assert action(found, sample.FAILED)["instrument"] == {"@id": "experiments/gr%C3%B6%C3%9Fe/run%20it.sh"}


def test_an_outdated_run_claims_only_what_is_still_there(found: dict[str, Any]) -> None:
    entity = action(found, sample.OUTDATED)
    linked = {*ids(entity["object"]), *ids(entity["result"])}
    assert "data/digits.csv" in linked
    assert not linked & {
        "parts/",
        "experiments/train/result/metrics.json",
        "experiments/train/result/gone.bin",
    }
    recorded = values(found, entity["object"]) | values(found, entity["result"])
    assert recorded["parts"] == "sha256:" + "2" * 64
    assert recorded["experiments/train/result/metrics.json"] == "sha256:" + "3" * 64
    assert recorded["experiments/train/result/gone.bin"].startswith("sha256:")
    instrument = found[entity["instrument"]["@id"]]
    assert instrument["@type"] == "SoftwareApplication"
    assert "1" * 64 in instrument["description"]


def test_a_failed_run_says_why(found: dict[str, Any]) -> None:
    entity = action(found, sample.FAILED)
    assert entity["actionStatus"] == "http://schema.org/FailedActionStatus"
    assert entity["error"] == "failed: the command failed; no such file; exit status 2"


def test_a_run_without_code_has_its_program_as_instrument(found: dict[str, Any]) -> None:
    assert found[action(found, sample.PLAIN)["instrument"]["@id"]]["name"] == "true"


def test_a_script_inside_a_code_directory_is_found() -> None:
    record = msgspec.structs.replace(
        sample.GOOD,
        code=(sample.directory_digest("experiments/analyse"),),
        argv=("python", "experiments/analyse/analyse.py"),
    )
    found = sample.entities(build(runs=(record,)))
    assert action(found, record)["instrument"] == {"@id": "experiments/analyse/analyse.py"}


def test_a_running_run_has_no_status() -> None:
    record = msgspec.structs.replace(sample.PLAIN, status="running", ended=None)
    found = sample.entities(build(runs=(record,)))
    assert not {"actionStatus", "error", "endTime"} & set(action(found, record))


def test_two_runs_of_one_id_are_found_by_the_check() -> None:
    crate = checking.read_crate(build(runs=(sample.PLAIN, sample.PLAIN)))
    assert any("two entities" in problem.detail for problem in crate.problems)


def test_the_preview_is_escaped_and_complete() -> None:
    files = [(path, facts.size) for path, facts in FACTS.items()]
    page = preview.page(sample.STUDY, sample.RUNS, files, date="2024-01-04", tool="<tool>").decode()
    assert "<b>100" not in page
    assert "&lt;b&gt;100 %&lt;/b&gt; &amp; more" in page
    assert "&lt;tool&gt;" in page
    assert "accuracy = 0.75" in page
    assert 'href="data/r%C3%A9sum%C3%A9%20100%25.txt"' in page
    assert page.count("<tr>") == 2 + len(FACTS) + len(sample.RUNS)
    assert "<script" not in page


def test_a_long_preview_says_how_much_it_leaves_out() -> None:
    files = [(f"{number:05d}", 1) for number in range(preview.MOST_ROWS + 5)]
    assert b"and 5 more" in preview.page(sample.LEAST, (), files, date="2024-01-04", tool="t")


def test_the_metadata_is_readable_text() -> None:
    text = build().decode()
    assert text.endswith("\n")
    assert "Größe" not in text or "\\u" not in text
    assert json.loads(text)["@context"][0] == "https://w3id.org/ro/crate/1.1/context"
