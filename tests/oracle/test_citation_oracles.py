"""Citation files before judges that are not ours: cffconvert, the CFF schema, biber, BibTeX, pybtex, bibtexparser."""

import json
import re
import subprocess
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import msgspec
import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from entrenar_research.citations.bibtex import FORMAT as BIBTEX
from entrenar_research.citations.cff import FORMAT as CFF
from entrenar_research.core.citing.cff_licences import CFF_LICENCES
from entrenar_research.core.citing.latex import escape_latex
from entrenar_research.core.citing.licences import licence_url, parse_licence
from entrenar_research.core.citing.orcid import parse_orcid
from entrenar_research.errors import UsageError
from entrenar_research.models.study import Affiliation, Person, Study
from tests.oracle.judges import DATA, program, python_with, without_data

pytestmark = pytest.mark.oracle


CARBERRY = Person(given="Josiah", family="Carberry", orcid="0000-0002-1825-0097")
PLAIN = Study(title="Softmax on digits", authors=(CARBERRY,), license="MIT")
FULL = Study(
    title='100% of $x_i$ & "more": {braces} \\ back~slash^ #1 <a|b> -- dash',
    authors=(
        msgspec.structs.replace(
            CARBERRY,
            suffix="Jr.",
            email="josiah@example.org",
            affiliations=(
                Affiliation(name="Brown University", ror="https://ror.org/05gq02987"),
                Affiliation(name="ACME: & Co"),
            ),
        ),
        Person(given="Élise", particle="van der", family="Ørsted"),
        Person(given="Gabriel", family="García Márquez"),
        Person(given="泽东", family="毛"),
        Person(given="Bob", particle="Van der", family="Berg"),
        Person(family="Institute of Softmax & Friends"),
    ),
    license="MIT OR Apache-2.0",
    version="1.0.0",
    description="One: line.\n\n- another # line\n🧪",
    keywords=("digits", "yes", "1.0", "a: b"),
    released="2026-03-04",
    url="https://example.org/a_b%20c?d=e&f=g#h",
    doi="10.5281/zenodo.123_4",
)
STUDIES = {
    "plain": PLAIN,
    "full": FULL,
    "mononym": msgspec.structs.replace(PLAIN, authors=(Person(family="Plato"), CARBERRY)),
    "released": msgspec.structs.replace(PLAIN, released="2024-02-29"),
    "doi": msgspec.structs.replace(PLAIN, doi="10.1016/S0140-6736(05)71146-6"),
    "later licence": msgspec.structs.replace(PLAIN, license="BSD-2-Clause-Darwin"),
    "licences together": msgspec.structs.replace(PLAIN, license="MIT AND CC-BY-4.0"),
    "licence with exception": msgspec.structs.replace(PLAIN, license="GPL-2.0-only WITH Classpath-exception-2.0"),
    "own licence": msgspec.structs.replace(PLAIN, license="LicenseRef-lab"),
    "no ASCII": msgspec.structs.replace(PLAIN, title="数字", authors=(Person(given="Пётр", family="Капица"),)),
}

# Not "^": biber hands on another character, U+02C6.
WORD = st.text(st.sampled_from("abxyzABXYZéÉøØşŞ毛Яя'.-=&%_#~\\$"), min_size=1, max_size=6).filter(
    lambda word: any(character.isalpha() for character in word)
)
WORDS = st.lists(WORD | st.sampled_from(["and", "de", "Y", "y", "al-Rahman", "d'Or"]), min_size=1, max_size=3).map(
    " ".join
)
# Not "'t": biber counts a word that begins with an apostrophe as part of the family name.
PARTICLES = st.sampled_from(["van", "van der", "de la", "dos", "von und zu"])
NAMES = st.one_of(
    st.builds(
        Person,
        given=WORDS,
        family=WORDS,
        particle=st.none() | PARTICLES,
        suffix=st.none() | st.sampled_from(["Jr.", "III"]),
    ),
    st.builds(Person, family=WORDS, particle=st.none() | PARTICLES),
)
STUDIES_BY_CHANCE = st.builds(
    Study,
    title=st.text(st.characters(codec="utf-8", exclude_categories=["C", "Z"]), min_size=1),
    authors=st.lists(NAMES, min_size=1, max_size=12, unique_by=lambda person: person.name).map(tuple),
    license=st.sampled_from(["MIT", "MIT OR ISC", "MIT AND ISC", "LicenseRef-x"]),
    version=st.text(st.characters(codec="utf-8", exclude_categories=["C", "Z"]), min_size=1),
    description=st.none() | st.text(st.sampled_from("ab :#-\n'\"\\é"), min_size=1),
    keywords=st.lists(st.text(st.sampled_from("abyes01 :#é"), min_size=1).filter(str.strip), max_size=3).map(tuple),
    released=st.none() | st.dates().map(str),
)

# Shrinking would start each validator hundreds of times.
BY_CHANCE = settings(max_examples=12, deadline=None, phases=[Phase.explicit, Phase.reuse, Phase.generate])

# Both libraries' view of all authors of a file: given, particle, family, suffix, in plain text.
READ_AUTHORS = """
import json, sys
import bibtexparser
from bibtexparser.middlewares import SeparateCoAuthors, SplitNameParts
from pybtex.database import parse_string
from pylatexenc.latex2text import LatexNodes2Text

text = sys.stdin.read()
entry, = parse_string(text, "bibtex").entries.values()
pybtex = [
    [p.first_names + p.middle_names, p.prelast_names, p.last_names, p.lineage_names] for p in entry.persons["author"]
]
library = bibtexparser.parse_string(text, append_middleware=[SeparateCoAuthors(), SplitNameParts()])
assert not library.failed_blocks, library.failed_blocks
entry, = library.entries
parsed = [[n.first, n.von, n.last, n.jr] for n in entry["author"]]
plain = LatexNodes2Text().latex_to_text
found = {"pybtex": pybtex, "bibtexparser": parsed}
json.dump({k: [[plain(" ".join(part)) for part in name] for name in v] for k, v in found.items()}, sys.stdout)
"""
READ_LATEX = """
import json, sys
from pylatexenc.latex2text import LatexNodes2Text
json.dump([[LatexNodes2Text().latex_to_text(part) for part in name] for name in json.load(sys.stdin)], sys.stdout)
"""


def cff_schema() -> dict[str, Any]:
    path = DATA / "cff" / "schema-1.2.0.json"
    if not path.is_file():
        without_data("the CFF schema")
    schema: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return schema


def cffconvert(directory: Path, text: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    path = directory / "CITATION.cff"
    path.write_text(text, encoding="utf-8")
    command = [program("cffconvert"), "-i", str(path), *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def biber(directory: Path, text: str, *arguments: str) -> tuple[str, str]:
    """What biber says about the file, and the file it writes."""
    (directory / "a.bib").write_text(text, encoding="utf-8")
    command = [program("biber"), "--tool", "--validate-datamodel", *arguments, "--output-file=b.out", "a.bib"]
    done = subprocess.run(command, cwd=directory, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout
    return done.stdout, (directory / "b.out").read_text(encoding="utf-8")


def read(script: str, modules: list[str], text: str) -> Any:
    """What `script` prints, as JSON, for `text` under an interpreter that has these modules."""
    command = [python_with(*modules), "-X", "utf8", "-c", script]
    done = subprocess.run(command, input=text, capture_output=True, text=True, encoding="utf-8", check=False)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def expected_author(person: Person) -> list[str]:
    """Given, particle, family and suffix; what BibTeX has no place for belongs to the family name."""
    if not person.given:
        return ["", "", person.name, ""]
    if person.particle == "Van der":
        return [person.given, "", f"Van der {person.family}", person.suffix or ""]
    return [person.given, person.particle or "", person.family, person.suffix or ""]


def warnings(said: str) -> list[str]:
    """What biber finds fault with. A study that is not released has no date, and that is as it should be."""
    found = re.findall("^(?:WARN|ERROR).*", said, re.MULTILINE)
    return [line for line in found if "Missing mandatory field - one of 'date, year'" not in line]


@pytest.mark.parametrize("name", STUDIES)
def test_cffconvert_accepts_every_study(name: str, tmp_path: Path) -> None:
    done = cffconvert(tmp_path, CFF.render(STUDIES[name]), "--validate")
    assert done.returncode == 0, done.stderr[-2000:]


def test_cffconvert_refuses_a_broken_file(tmp_path: Path) -> None:
    broken = CFF.render(PLAIN).replace("license: MIT", "license: MITT")
    assert cffconvert(tmp_path, broken, "--validate").returncode == 1


def test_cffconvert_finds_the_same_fields(tmp_path: Path) -> None:
    done = cffconvert(tmp_path, CFF.render(FULL), "-f", "zenodo")
    assert done.returncode == 0, done.stderr[-2000:]
    found = json.loads(done.stdout)
    assert found["title"] == FULL.title
    assert found["version"] == FULL.version
    assert found["publication_date"] == FULL.released
    assert found["keywords"] == list(FULL.keywords)
    assert found["description"] == FULL.description
    assert found["creators"][0] == {
        "affiliation": "Brown University; ACME: & Co",
        "name": "Carberry Jr., Josiah",
        "orcid": "0000-0002-1825-0097",
    }
    assert [creator["name"] for creator in found["creators"][1:3]] == [
        "van der Ørsted, Élise",
        "García Márquez, Gabriel",
    ]


VALIDATE = """
import json, sys
from jsonschema import Draft7Validator, FormatChecker
schema, documents = json.load(sys.stdin)
validator = Draft7Validator(schema, format_checker=FormatChecker())
json.dump([[error.message for error in validator.iter_errors(document)] for document in documents], sys.stdout)
"""
LOAD = """
import json, sys
from ruamel.yaml import YAML
json.dump([YAML(typ="safe", pure=True).load(text) for text in json.load(sys.stdin)], sys.stdout)
"""


def schema_errors(texts: list[str]) -> list[list[str]]:
    documents = read(LOAD, ["ruamel.yaml"], json.dumps(texts))
    errors: list[list[str]] = read(VALIDATE, ["jsonschema"], json.dumps([cff_schema(), documents]))
    return errors


def test_the_schema_accepts_every_study_and_licence() -> None:
    licences = [msgspec.structs.replace(PLAIN, license=licence) for licence in sorted(CFF_LICENCES)]
    studies = [*STUDIES.values(), *licences]
    assert schema_errors([CFF.render(study) for study in studies]) == [[]] * len(studies)


@BY_CHANCE
@given(st.lists(STUDIES_BY_CHANCE, min_size=10, max_size=20))
def test_the_schema_accepts_studies_by_chance(studies: list[Study]) -> None:
    assert schema_errors([CFF.render(study) for study in studies]) == [[]] * len(studies)


def test_the_schema_refuses_what_is_wrong() -> None:
    right = CFF.render(FULL)
    wrong = [
        right.replace("type: software", "type: article"),
        right.replace("MIT\n", "MITT\n"),
        right.replace("title:", "titel:"),
    ]
    assert all(schema_errors(wrong))


def test_our_list_of_licences_is_the_schemas_without_the_deprecated_ones() -> None:
    listed = set(cff_schema()["definitions"]["license-enum"]["enum"])
    assert listed >= CFF_LICENCES
    for licence in sorted(listed - CFF_LICENCES):
        with pytest.raises(UsageError):
            parse_licence(licence)
    assert len(listed) == 459


@pytest.mark.parametrize("name", STUDIES)
def test_biber_has_nothing_to_warn_about(name: str, tmp_path: Path) -> None:
    said, _ = biber(tmp_path, BIBTEX.render(STUDIES[name]))
    assert not warnings(said)


def test_biber_warns_about_a_field_of_another_type(tmp_path: Path) -> None:
    said, _ = biber(tmp_path, BIBTEX.render(PLAIN).replace("note =", "journaltitle ="))
    assert warnings(said)


def test_biber_puts_the_date_together(tmp_path: Path) -> None:
    _, written = biber(tmp_path, BIBTEX.render(FULL))
    assert "DATE = {2026-03-04}" in written


@BY_CHANCE
@given(people=st.lists(NAMES, min_size=1, max_size=20))
def test_biber_splits_the_names_as_we_do(people: list[Person], tmp_path_factory: pytest.TempPathFactory) -> None:
    text = BIBTEX.render(msgspec.structs.replace(PLAIN, authors=tuple(people)))
    said, written = biber(tmp_path_factory.mktemp("biber"), text, "--output-format=biblatexml")
    assert not warnings(said)
    tag = "{http://biblatex-biber.sourceforge.net/biblatexml}"
    found = []
    for name in ET.fromstring(written).iter(f"{tag}name"):  # noqa: S314 (biber wrote it)
        parts = {
            part.get("type"): " ".join("".join(part.itertext()).split()) for part in name.findall(f"{tag}namepart")
        }
        found.append([parts.get(kind, "") for kind in ("given", "prefix", "family", "suffix")])
    plain = read(READ_LATEX, ["pylatexenc"], json.dumps(found))
    differing = [pair for pair in zip(plain, map(expected_author, people), strict=True) if pair[0] != pair[1]]
    assert not differing


@BY_CHANCE
@given(st.lists(NAMES, min_size=1, max_size=30))
def test_pybtex_and_bibtexparser_split_the_names_as_we_do(people: list[Person]) -> None:
    text = BIBTEX.render(msgspec.structs.replace(PLAIN, authors=tuple(people)))
    found = read(READ_AUTHORS, ["bibtexparser", "pybtex", "pylatexenc"], text)
    expected = [expected_author(person) for person in people]
    for library, names in found.items():
        assert not [pair for pair in zip(names, expected, strict=True) if pair[0] != pair[1]], library


@BY_CHANCE
@given(study=STUDIES_BY_CHANCE)
def test_biber_reads_studies_by_chance(study: Study, tmp_path_factory: pytest.TempPathFactory) -> None:
    said, _ = biber(tmp_path_factory.mktemp("biber"), BIBTEX.render(study))
    assert not warnings(said)


@pytest.mark.parametrize("style", ["plain", "alpha", "abbrv", "unsrt"])
def test_the_styles_of_classic_bibtex_have_nothing_to_warn_about(style: str, tmp_path: Path) -> None:
    for number, study in enumerate(STUDIES.values()):
        directory = tmp_path / str(number)
        directory.mkdir()
        (directory / "refs.bib").write_text(BIBTEX.render(study), encoding="utf-8")
        aux = f"\\relax\n\\citation{{*}}\n\\bibstyle{{{style}}}\n\\bibdata{{refs}}\n"
        (directory / "t.aux").write_text(aux, encoding="utf-8")
        done = subprocess.run([program("bibtex"), "t"], cwd=directory, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout
        assert "Warning--" not in done.stdout, done.stdout


def test_classic_bibtex_keeps_case_initials_and_family_names_together(tmp_path: Path) -> None:
    latin = tuple(person for person in FULL.authors if person.family != "毛")
    text = BIBTEX.render(msgspec.structs.replace(FULL, authors=latin))
    (tmp_path / "refs.bib").write_text(text, encoding="utf-8")
    (tmp_path / "t.aux").write_text("\\relax\n\\citation{*}\n\\bibstyle{abbrv}\n\\bibdata{refs}\n", encoding="utf-8")
    done = subprocess.run([program("bibtex"), "t"], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout
    written = " ".join((tmp_path / "t.bbl").read_text(encoding="utf-8").split())
    for name in (
        "J.~Carberry, Jr.",
        "{\\'{E}}.~van~der {\\O}rsted",
        "G.~Garc{\\'{i}}a",
        "{Van der Berg}",
        "{Institute of Softmax \\& Friends}",
    ):
        assert name in written
    assert escape_latex(FULL.title) in written


IDUTILS = "import json, sys, idutils; json.dump([bool(idutils.is_orcid(x)) for x in json.load(sys.stdin)], sys.stdout)"


def test_idutils_agrees_about_orcids() -> None:
    edges = [14_999_999, 15_000_000, 15_000_001, 35_000_000, 35_000_001, 2 * 10**7, 10**8]
    edges += [899_999_999_999, 900_000_000_000, 900_000_000_001, 900_100_000_000, 900_100_000_001]
    digits = [f"{number:015d}" for number in edges]
    written = [f"{text}{character}" for text in digits for character in "0123456789X"]
    written = ["-".join(text[start : start + 4] for start in range(0, 16, 4)) for text in written]
    written += ["0000-0002-1825-0097", "0000-0001-2345-6789", "0000-0000-0000-0000", "0000-0002-1825-009"]
    assert [accepts(text) for text in written] == read(IDUTILS, ["idutils"], json.dumps(written))
    assert sum(map(accepts, written)) == 8


def accepts(text: str) -> bool:
    try:
        parse_orcid(text)
    except UsageError:
        return False
    return True


def test_a_licence_outside_the_schema_still_has_its_page() -> None:
    assert licence_url("BSD-2-Clause-Darwin") in CFF.render(STUDIES["later licence"])
