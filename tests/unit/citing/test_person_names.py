import string

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from entrenar_research.core.citing.person_names import format_bibtex_name, parse_author
from entrenar_research.errors import UsageError
from entrenar_research.models.study import Person

LETTERS = "abcxyzABCXYZéÉøØłŁşŞßçÀ毛泽東Яя'\u2019.-ñ" + "and"
WORD = st.text(st.sampled_from(LETTERS), min_size=1, max_size=7)
SEVERAL = st.lists(WORD, min_size=1, max_size=3).map(" ".join)
LOWER = st.lists(
    st.sampled_from(["van", "der", "de", "la", "'t", "dos", "von", "zu", "şu"]), min_size=1, max_size=3
).map(" ".join)
PEOPLE = st.builds(
    Person,
    family=SEVERAL,
    given=st.none() | SEVERAL,
    particle=st.none() | LOWER,
    suffix=st.none() | st.sampled_from(["Jr.", "III"]),
)


@pytest.mark.parametrize(
    ("written", "person"),
    [
        ("Josiah Carberry", Person(given="Josiah", family="Carberry")),
        ("Carberry, Josiah", Person(given="Josiah", family="Carberry")),
        ("  Josiah   Stinkney \t Carberry ", Person(given="Josiah Stinkney", family="Carberry")),
        ("Plato", Person(family="Plato")),
        ("King, Jr., Martin Luther", Person(given="Martin Luther", family="King", suffix="Jr.")),
        ("Ludwig van Beethoven", Person(given="Ludwig", particle="van", family="Beethoven")),
        ("Anna van der Berg", Person(given="Anna", particle="van der", family="Berg")),
        ("van der Berg, Anna", Person(given="Anna", particle="van der", family="Berg")),
        ("van der Berg", Person(particle="van der", family="Berg")),
        ("von Neumann, Sr., John", Person(given="John", particle="von", family="Neumann", suffix="Sr.")),
        ("Ana Maria dos Santos", Person(given="Ana Maria", particle="dos", family="Santos")),
        ("Jean de La Fontaine", Person(given="Jean", particle="de", family="La Fontaine")),
        ("Gerard 't Hooft", Person(given="Gerard", particle="'t", family="Hooft")),
        ("Jean d'Alembert", Person(given="Jean", family="d'Alembert")),
        ("Santiago Ramón y Cajal", Person(given="Santiago", family="Ramón y Cajal")),
        ("Ramón y Cajal, Santiago", Person(given="Santiago", family="Ramón y Cajal")),
        ("Ana de Souza e Silva", Person(given="Ana", particle="de", family="Souza e Silva")),
        ("García Márquez, Gabriel", Person(given="Gabriel", family="García Márquez")),
        ("Gabriel García Márquez", Person(given="Gabriel García", family="Márquez")),
        ("bell hooks", Person(given="bell", family="hooks")),
        ("danah de boyd", Person(given="danah", particle="de", family="boyd")),
        ("hooks, bell", Person(given="bell", family="hooks")),
        ("毛, 泽东", Person(given="泽东", family="毛")),
        ("山田太郎", Person(family="山田太郎")),
        ("Пётр Капица", Person(given="Пётр", family="Капица")),
        ("{Institute of Applied Softmax}", Person(family="Institute of Applied Softmax")),
        ("{Rock and Roll}, A.", Person(given="A.", family="Rock and Roll")),
        ("{Smith, Jones}, A.", Person(given="A.", family="Smith, Jones")),
    ],
)
def test_names_fall_into_their_parts(written: str, person: Person) -> None:
    assert parse_author(written) == person


@pytest.mark.parametrize("space", ["", " ", "  "])
def test_an_email_address_may_follow(space: str) -> None:
    person = parse_author(f"van der Berg, Anna{space}<anna@example.org> ")
    assert person == Person(given="Anna", particle="van der", family="Berg", email="anna@example.org")


@pytest.mark.parametrize(
    ("written", "reason"),
    [
        ("", "the name is empty"),
        (" \n", "the name is empty"),
        ("{ }", "the name is empty"),
        ("<a@example.org>", "the name is empty"),
        ("Carberry,", "one side of a comma"),
        (", Josiah", "one side of a comma"),
        ("Carberry, , Josiah", "one side of a comma"),
        ("Carberry, {}", "one side of a comma"),
        ("A, B, C, D", "more than two commas"),
        ("A B and C D", "separates two authors"),
        ("A, B AND C, D", "separates two authors"),
        ("A <b>", "'b' is no e-mail address"),
        ("A <b@c>", "'b@c' is no e-mail address"),
        ("A <b c@d.ef>", "'b c@d.ef' is no e-mail address"),
        ("A <b@c.de", "out of place"),
        ("A > B", "out of place"),
        ("A <b@c.de> C", "out of place"),
        ("A <b@c.de> <b@c.de>", "out of place"),
        ("{A", "a brace without its counterpart"),
        ("A}", "a brace without its counterpart"),
        ("}A{", "a brace without its counterpart"),
    ],
)
def test_what_is_no_name_is_refused_with_the_reason(written: str, reason: str) -> None:
    with pytest.raises(UsageError, match=reason) as caught:
        parse_author(written)
    assert caught.value.hint is not None


@given(st.text() | st.text(st.sampled_from("aAv ,{}<>@.")))
def test_any_text_is_parsed_or_refused(text: str) -> None:
    try:
        person = parse_author(text)
    except UsageError:
        return
    parts = [person.family, person.given, person.particle, person.suffix]
    assert person.family
    assert all(part is None or (part and part == " ".join(part.split())) for part in parts)
    assert not set("{}") & set("".join(part or "" for part in parts))


@given(PEOPLE)
def test_a_formatted_name_is_read_back_the_same(person: Person) -> None:
    assume(person.given is not None or not (person.particle or person.suffix))
    assert parse_author(format_bibtex_name(person)) == person


@given(PEOPLE)
def test_formatting_loses_no_letter_and_keeps_braces_balanced(person: Person) -> None:
    formatted = format_bibtex_name(person)
    assert formatted.count("{") == formatted.count("}")
    letters = str.maketrans("", "", string.whitespace + "{},")
    assert sorted(formatted.translate(letters)) == sorted(person.name.translate(letters))


@pytest.mark.parametrize(
    ("person", "formatted"),
    [
        (Person(given="Anna", particle="van der", family="Berg"), "van der Berg, Anna"),
        (Person(given="Martin", family="King", suffix="Jr."), "King, Jr., Martin"),
        (Person(family="Plato"), "{Plato}"),
        (Person(family="King", suffix="Jr."), "{King Jr.}"),
        (Person(family="Gogh", particle="van"), "{van Gogh}"),
        (Person(family="Institute of Softmax"), "{Institute of Softmax}"),
        (Person(given="Gabriel", family="García Márquez"), "García Márquez, Gabriel"),
        (Person(given="Ana", family="Ávila Torres"), "{Ávila Torres}, Ana"),
        (Person(given="Ana", family="de Souza"), "{de Souza}, Ana"),
        (Person(given="bell", family="hooks"), "{hooks}, bell"),
        (Person(given="Abd", family="al-Khwarizmi"), "{al-Khwarizmi}, Abd"),
        (Person(given="Bob", particle="Van der", family="Berg"), "{Van der Berg}, Bob"),
        (Person(given="Bob", particle="Van", family="Berg"), "Van Berg, Bob"),
        (Person(given="Rock and Roll", family="And"), "{And}, Rock {and} Roll"),
        (Person(given="a=b", family="X, Y"), "{X, Y}, {a=b}"),
    ],
)
def test_braces_stand_where_readers_would_split_wrongly(person: Person, formatted: str) -> None:
    assert format_bibtex_name(person) == formatted
