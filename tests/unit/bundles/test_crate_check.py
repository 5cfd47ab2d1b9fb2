import copy
import hashlib
import json
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from entrenar_research.core.crates import checking, metadata
from entrenar_research.core.crates.files import FileFacts
from tests.unit.bundles import sample

FACTS = {
    "a.txt": FileFacts(1, hashlib.sha256(b"a").hexdigest()),
    "b/c.txt": FileFacts(0, hashlib.sha256(b"").hexdigest()),
}
DOCUMENT = json.loads(metadata.build(sample.STUDY, (), (sample.PLAIN,), FACTS, date="2024-01-01"))
ORCID = "https://orcid.org/0000-0002-1825-0097"


def problems(document: Any) -> list[str]:
    crate = checking.read_crate(json.dumps(document).encode())
    found = [*crate.problems, *checking.check_members(crate, FACTS)]
    return [f"{item.subject}: {item.detail}" for item in found]


def entity(document: Any, identifier: str) -> dict[str, Any]:
    (found,) = [item for item in document["@graph"] if item["@id"] == identifier]
    changeable: dict[str, Any] = found
    return changeable


def test_a_good_crate_has_no_problems() -> None:
    assert problems(DOCUMENT) == []


def _drop(identifier: str) -> Callable[[Any], None]:
    def change(document: Any) -> None:
        document["@graph"] = [item for item in document["@graph"] if item["@id"] != identifier]

    return change


def _set(identifier: str, key: str, value: Any) -> Callable[[Any], None]:
    def change(document: Any) -> None:
        entity(document, identifier)[key] = value

    return change


def _rename(old: str, new: str) -> Callable[[Any], None]:
    def change(document: Any) -> None:
        text = json.dumps(document["@graph"]).replace(json.dumps(old), json.dumps(new))
        document["@graph"] = json.loads(text)

    return change


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (_drop("ro-crate-metadata.json"), "does not describe itself"),
        (_drop("./"), "there is no root"),
        (_drop("a.txt"), "a.txt: not listed"),
        (_drop("#licence"), "#licence, which is not described"),
        (_drop(ORCID), f"links {ORCID}, which is not described"),
        (_drop("#person-2"), "#person-2, which is not described"),
        (_set("./", "author", {"@id": None}), "`author`: a link without an @id"),
        (_set("./", "author", None), "expected a value, found null"),
        (_set("./", "author", "Josiah Carberry"), "expected `author` to link an entity"),
        (_set("./", "license", "MIT"), "expected `license` to link an entity"),
        (_set("./", "license", {"@id": ORCID}), "expected a CreativeWork with a name"),
        (_set("./", "name", ""), "expected `name`"),
        (_set("./", "description", 3), "expected `description`"),
        (_set("./", "datePublished", "yesterday"), "expected an ISO 8601 date, found 'yesterday'"),
        (_set("./", "datePublished", 2024), "expected an ISO 8601 date"),
        (_set("./", "conformsTo", []), "expected `conformsTo` to link https://w3id.org/ro/wfrun/process/0.5"),
        (_set("./", "keywords", [["a"]]), "a list in a list"),
        (_set("./", "publisher", {"name": "x"}), "a nested entity"),
        (_set("./", "hasPart", []), "a.txt: no `hasPart` leads from the root to it"),
        (_set("ro-crate-metadata.json", "about", {"@id": "a.txt"}), "expected `about` to link ./"),
        (
            _set("ro-crate-metadata.json", "conformsTo", {"@id": "x"}),
            "expected `conformsTo` to link https://w3id.org/ro/crate/1.1",
        ),
        (_set("a.txt", "contentSize", "2"), "a.txt: found 1 bytes, expected 2"),
        (_set("a.txt", "contentSize", "-1"), "`contentSize`: expected a number of bytes, found '-1'"),
        (_set("a.txt", "contentSize", True), "`contentSize`"),
        (_set("a.txt", "contentSize", "9" * 19), "`contentSize`"),
        (_set("a.txt", "sha256", "0" * 64), "a.txt: its bytes were changed"),
        (_set("a.txt", "sha256", "A" * 64), "`sha256`: expected 64 hex digits"),
        (_set("a.txt", "@type", []), "expected an @type"),
        (_rename(ORCID, "https://orcid.org/0000-0002-1825-0098"), "expected an ORCID"),
        (_rename(ORCID, "http://orcid.org/0000-0002-1825-0097"), "expected an ORCID"),
        (_rename(ORCID, "https://orcid.org/0000-0001-2345-6789"), "expected an ORCID"),
        (_rename("a.txt", "../a.txt"), "../a.txt: the path has `..`"),
        (_rename("a.txt", "/a.txt"), "/a.txt: the path is absolute"),
        (_rename("a.txt", "%2E%2E/a.txt"), "../a.txt: the path has `..`"),
        (_rename("a.txt", "a%00.txt"), "control character"),
        (_rename("a.txt", "./ro-crate-metadata.json"), "a file cannot have this @id"),
        (_rename("a.txt", "./b/c.txt"), "b/c.txt: there are two members of this name"),
        (_rename("a.txt", "b"), "b: it is both a file and a directory"),
        (_rename("a.txt", "b/c.txt"), "two entities have this @id"),
        (lambda document: document["@graph"].append({"@type": "Person"}), "an entity without an @id"),
        (lambda document: document["@graph"].append("text"), "an entity without an @id"),
        (lambda document: document.pop("@context"), "as @context"),
        (lambda document: document.pop("@graph"), "a list `@graph`"),
    ],
)
def test_what_is_wrong_is_named(change: Callable[[Any], None], said: str) -> None:
    document = copy.deepcopy(DOCUMENT)
    change(document)
    assert any(said in problem for problem in problems(document)), problems(document)


def test_a_missing_file_is_named() -> None:
    crate = checking.read_crate(json.dumps(DOCUMENT).encode())
    (problem,) = checking.check_members(crate, {"a.txt": FACTS["a.txt"]})
    assert (problem.subject, problem.detail) == ("b/c.txt", "listed in the metadata, and missing")


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\xff\xfe",
        b"{",
        b"[" * 100_000,
        b'{"@graph": ' * 50_000,
        b"null",
        b"3",
        b'{"@graph": {}}',
        b'{"@graph": []}',
        b'{"@graph": [{"@id": "\\ud800", "@type": "File"}]}',
        b'{"@graph": [{"@id": "a", "@type": "File", "contentSize": 1' + b"0" * 5000 + b"}]}",
    ],
)
def test_bytes_that_are_no_crate_are_a_problem(data: bytes) -> None:
    assert checking.read_crate(data).problems


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)
KEYS = st.sampled_from(
    ["@type", "hasPart", "license", "author", "about", "conformsTo", "contentSize", "sha256", "startTime"]
)


@settings(max_examples=300)
@given(st.sampled_from(["./", "ro-crate-metadata.json", "a.txt", ORCID]), KEYS, JSON)
def test_whatever_the_values_are_the_check_ends(identifier: str, key: str, value: Any) -> None:
    document = copy.deepcopy(DOCUMENT)
    entity(document, identifier)[key] = value
    assert isinstance(problems(document), list)


@given(JSON)
def test_whatever_the_document_is_the_check_ends(value: Any) -> None:
    assert checking.read_crate(json.dumps({"@graph": value}).encode()).problems
