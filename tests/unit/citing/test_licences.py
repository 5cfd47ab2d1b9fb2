import itertools

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from packaging.licenses import InvalidLicenseExpression, canonicalize_license_expression

from entrenar_research.core.citing.cff_licences import CFF_LICENCES
from entrenar_research.core.citing.licences import licence_alternatives, licence_url, parse_licence
from entrenar_research.errors import UsageError

IDS = st.sampled_from(
    ["MIT", "Apache-2.0", "BSD-3-Clause", "CC-BY-4.0", "GPL-3.0-or-later", "0BSD", "LicenseRef-lab.1"]
)
WITH = st.sampled_from(["GPL-2.0-only WITH Classpath-exception-2.0", "Apache-2.0 WITH LLVM-exception"])
EXPRESSIONS = st.recursive(
    IDS | WITH,
    lambda inner: st.tuples(inner, st.sampled_from(["AND", "OR"]), inner).map(
        lambda part: f"({part[0]} {part[1]} {part[2]})"
    ),
    max_leaves=6,
)
PIECES = st.lists(
    st.sampled_from(["MIT", "mit", "AND", "or", "WITH", "(", ")", "()", "Classpath-exception-2.0", "+", "GPL", " "]),
    max_size=9,
)


@pytest.mark.parametrize(
    ("written", "normal"),
    [
        ("mit", "MIT"),
        (" Apache-2.0\n", "Apache-2.0"),
        ("mit or apache-2.0", "MIT OR Apache-2.0"),
        ("(mit OR apache-2.0) and bsd-3-clause", "(MIT OR Apache-2.0) AND BSD-3-Clause"),
        ("gpl-2.0-only with classpath-exception-2.0", "GPL-2.0-only WITH Classpath-exception-2.0"),
        ("epl-1.0+", "EPL-1.0+"),
        ("mpl-2.0-no-copyleft-exception", "MPL-2.0-no-copyleft-exception"),
        ("LicenseRef-Our-Lab OR MIT", "LicenseRef-Our-Lab OR MIT"),
        ("DocumentRef-doc.1:LicenseRef-x", "DocumentRef-doc.1:LicenseRef-x"),
    ],
)
def test_expressions_get_their_normal_form(written: str, normal: str) -> None:
    assert parse_licence(written) == normal
    assert parse_licence(normal) == normal


@given(EXPRESSIONS)
def test_agrees_with_another_reader_of_spdx(expression: str) -> None:
    ours = parse_licence(expression.lower().replace("licenseref-", "LicenseRef-"))
    alphabet_only = str.maketrans("", "", "() ")
    assert ours.translate(alphabet_only) == expression.translate(alphabet_only)
    assert canonicalize_license_expression(ours) == ours
    assert parse_licence(ours) == ours


@given(PIECES.map(" ".join) | st.text())
def test_any_text_is_parsed_as_by_another_reader_or_refused(text: str) -> None:
    try:
        ours = parse_licence(text)
    except UsageError:
        return
    assert canonicalize_license_expression(ours)


@settings(max_examples=20)
@given(PIECES.map(" ".join))
def test_what_another_reader_refuses_is_refused(text: str) -> None:
    try:
        canonicalize_license_expression(text)
    except InvalidLicenseExpression:
        with pytest.raises(UsageError):
            parse_licence(text)


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("apache 2.0", "Apache-2.0"),
        ("Apache-2", "Apache-2.0"),
        ("CC-BY 4.0", "CC-BY-4.0"),
        ("BSD", "BSD-3-Clause"),
        ("GPL", "GPL-3.0-only"),
        ("MIT OR Apache2.0", "Apache-2.0"),
        ("MITT", "MIT"),
    ],
)
def test_an_unknown_id_is_answered_with_the_likely_ones(written: str, meant: str) -> None:
    with pytest.raises(UsageError, match="is not an SPDX id") as caught:
        parse_licence(written)
    assert caught.value.hint is not None
    assert meant in caught.value.hint


@pytest.mark.parametrize(
    ("written", "remedy"),
    [
        ("GPL-2.0", "Write GPL-2.0-only or GPL-2.0-or-later"),
        ("lgpl-2.1+", "Write LGPL-2.1-or-later"),
        ("BSD-2-Clause-FreeBSD", "Write BSD-2-Clause-Views"),
        ("GPL-2.0-with-classpath-exception", "GPL-2.0-only WITH Classpath-exception-2.0"),
        ("wxWindows", "apart"),
    ],
)
def test_a_deprecated_id_is_refused_with_what_to_write(written: str, remedy: str) -> None:
    with pytest.raises(UsageError, match="not an SPDX id in force") as caught:
        parse_licence(f"MIT OR {written}")
    assert remedy in (caught.value.hint or "")


@pytest.mark.parametrize(
    "text",
    [
        "LicenseRef-scancode-public-domain",
        "LicenseRef-",
        "LicenseRef-a_b",
        "public-domain",
        "NONE",
        "MIT/Apache-2.0",
        "MIT,",
    ],
)
def test_ids_that_are_not_of_spdx_are_refused(text: str) -> None:
    with pytest.raises(UsageError, match="is not an SPDX id"):
        parse_licence(text)


@pytest.mark.parametrize("text", ["", " ", "()"])
def test_nothing_is_no_licence(text: str) -> None:
    with pytest.raises(UsageError, match="names no licence"):
        parse_licence(text)


@pytest.mark.parametrize(
    "text",
    [
        "MIT AND",
        "AND MIT",
        "MIT MIT",
        "(MIT",
        "MIT)",
        "()MIT",
        "MIT WITH",
        "WITH",
        "Classpath-exception-2.0",
        "GPL-2.0-only WITH MIT",
        "MIT OR OR MIT",
    ],
)
def test_malformed_expressions_are_refused(text: str) -> None:
    with pytest.raises(UsageError, match="is no SPDX expression"):
        parse_licence(text)


@pytest.mark.parametrize(
    ("written", "ids"),
    [
        ("mit", ("MIT",)),
        ("MIT OR Apache-2.0", ("MIT", "Apache-2.0")),
        ("MIT OR (Apache-2.0 OR MIT)", ("MIT", "Apache-2.0")),
        ("MIT AND Apache-2.0", ()),
        ("MIT OR (Apache-2.0 AND ISC)", ()),
        ("Apache-2.0 WITH LLVM-exception", ()),
        ("EPL-1.0+", ()),
        ("MIT OR LicenseRef-x", ()),
    ],
)
def test_alternatives_are_the_ids_of_which_one_suffices(written: str, ids: tuple[str, ...]) -> None:
    assert licence_alternatives(written) == ids


def test_a_single_licence_has_a_page() -> None:
    assert licence_url("apache-2.0") == "https://spdx.org/licenses/Apache-2.0"


@pytest.mark.parametrize("text", ["MIT OR ISC", "MIT AND ISC", "LicenseRef-x", "EPL-1.0+"])
def test_anything_but_a_single_listed_licence_has_none(text: str) -> None:
    with pytest.raises(UsageError, match="no single page"):
        licence_url(text)


def test_all_licences_of_cff_are_in_force() -> None:
    assert [parse_licence(licence) for licence in sorted(CFF_LICENCES)] == sorted(CFF_LICENCES)
    assert not [pair for pair in itertools.pairwise(sorted(CFF_LICENCES)) if pair[0].lower() == pair[1].lower()]
