"""The notation of decoded calls."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from entrenar_research.core.traces.syntax import (
    descriptor,
    end_of_arguments,
    first_descriptor,
    internet_addresses,
    split_arguments,
    unquote,
)


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("", []),
        ("3", ["3"]),
        ('3</a, b>, "c, d", 0', ["3</a, b>", '"c, d"', "0"]),
        ('AT_FDCWD</d(>, "x", O_RDONLY', ["AT_FDCWD</d(>", '"x"', "O_RDONLY"]),
        ('[{a=1, b="]"}, 2], makedev(0x1, 0x3)', ['[{a=1, b="]"}, 2]', "makedev(0x1, 0x3)"]),
        ("{effective=1<<CAP_CHOWN|1<<CAP_KILL, x=2}, 3", ["{effective=1<<CAP_CHOWN|1<<CAP_KILL, x=2}", "3"]),
        (r'"a\", b", 2', [r'"a\", b"', "2"]),
        ('"long"..., 4096', ['"long"...', "4096"]),
    ],
)
def test_arguments_are_split_at_their_own_commas(text: str, parts: list[str]) -> None:
    assert split_arguments(text) == parts


@pytest.mark.parametrize(
    ("text", "content"),
    [
        (r'"a\"b\\c\n"', 'a"b\\c\n'),
        (r'"\303\251t\303\251"', "été"),
        (r'"\xff\x41"', r"\xffA"),
        (r'"\0\012"', "\0\n"),
        ('"cut"...', "cut"),
        ("NULL", None),
    ],
)
def test_strings_are_read(text: str, content: str | None) -> None:
    assert unquote(text) == content


@given(st.binary())
def test_escaped_bytes_come_back(content: bytes) -> None:
    octal = "".join(f"\\{byte:03o}" for byte in content)
    assert unquote(f'"{octal}"') == content.decode("utf-8", "backslashreplace")


def test_descriptors_show_number_and_path() -> None:
    assert descriptor(r"3</a\74b\76>(deleted)") == (3, "/a<b>")
    assert descriptor("AT_FDCWD</home>") == (None, "/home")
    assert descriptor("3") is None
    assert first_descriptor('NULL, 4096, "<5</x>", 3</f>') == (3, "/f")
    assert first_descriptor("1, 2") is None


def test_the_closing_parenthesis_is_found_past_strings_and_paths() -> None:
    text = '3</a) = 1>, ") = 2", htons(80)) = 5</b) = 4>'
    assert text[: end_of_arguments(text)] == '3</a) = 1>, ") = 2", htons(80)'
    assert end_of_arguments('"open') is None


def test_addresses_of_both_families_are_found() -> None:
    both = (
        '4, [{sa_family=AF_INET, sin_port=htons(80), sin_addr=inet_addr("192.0.2.1")}, {sa_family=AF_INET6, '
        'sin6_port=htons(53), sin6_flowinfo=htonl(0), inet_pton(AF_INET6, "::1", &sin6_addr), sin6_scope_id=0}]'
    )
    assert internet_addresses(both) == ["192.0.2.1:80", "[::1]:53"]
    assert internet_addresses('3, {sa_family=AF_UNIX, sun_path="/run/x"}, 110') == []
