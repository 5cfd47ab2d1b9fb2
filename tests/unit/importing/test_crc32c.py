import pytest
from hypothesis import given
from hypothesis import strategies as st

from entrenar_research.core.foreign.crc32c import crc32c, crc32c_each, masked
from tests.unit.importing.foreign import mask, slow_crc32c

# RFC 3720, appendix B.4, and the check value of the catalogue of parametrised CRC algorithms.
VECTORS = [
    (b"", 0),
    (bytes(32), 0x8A9136AA),
    (b"\xff" * 32, 0x62A8AB43),
    (bytes(range(32)), 0x46DD794E),
    (bytes(range(31, -1, -1)), 0x113FDB5C),
    (b"123456789", 0xE3069283),
]


@pytest.mark.parametrize(("data", "expected"), VECTORS)
def test_published_values(data: bytes, expected: int) -> None:
    assert crc32c(data) == expected
    assert crc32c_each([data] * 9) == [expected] * 9


@given(st.binary(max_size=200))
def test_it_is_the_sum_by_definition(data: bytes) -> None:
    assert crc32c(data) == slow_crc32c(data)
    assert masked(crc32c(data)) == mask(slow_crc32c(data))


@given(st.integers(0, 600).flatmap(lambda size: st.lists(st.binary(min_size=size, max_size=size), max_size=20)))
def test_many_at_once_are_as_one_by_one(records: list[bytes]) -> None:
    assert crc32c_each(records) == [crc32c(record) for record in records]


def test_records_of_several_lengths_are_refused() -> None:
    with pytest.raises(ValueError, match="one length"):
        crc32c_each([b"a", b"ab"])
