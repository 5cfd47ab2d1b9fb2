"""What stands beneath the table of calls: what was written is read, whatever was measured."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from entrenar_research.core.traces import figures
from entrenar_research.errors import IntegrityError
from entrenar_research.models.measured import Measured, Repetition
from tests.unit.traces.made import made

SECONDS = st.floats(0, 1e5, allow_nan=False)
REPETITIONS = st.builds(
    Repetition,
    wall=SECONDS,
    user=SECONDS,
    system=SECONDS,
    peak_memory=st.integers(0, 1 << 45),
    exit_status=st.integers(-64, 255),
)


def written(*repetitions: Repetition) -> str:
    return figures.summary("table\n", made(()), Measured(repetitions=repetitions))


def repetition(wall: float, peak_memory: int = 0) -> Repetition:
    return Repetition(wall=wall, user=0, system=0, peak_memory=peak_memory, exit_status=0)


@given(st.lists(REPETITIONS, min_size=1, max_size=8))
def test_repetitions_that_were_written_are_read(repetitions: list[Repetition]) -> None:
    found = figures.measured_of(written(*repetitions), "a_summary.txt")
    assert found is not None
    assert len(found.repetitions) == len(repetitions)
    for before, now in zip(repetitions, found.repetitions, strict=True):
        assert now.wall == pytest.approx(before.wall, abs=5e-7)
        assert now.peak_memory == before.peak_memory // 1024 * 1024
        assert now.exit_status == before.exit_status


@pytest.mark.parametrize("longer", [0.1000014, 0.1000034, 0.1000054, 0.1000074])
def test_the_median_of_an_even_number_is_that_of_what_is_written(longer: float) -> None:
    """Half a microsecond lost in each of the two in the middle is a whole one in their mean."""
    assert figures.measured_of(written(repetition(0.1000004), repetition(longer)), "a_summary.txt") is not None


def test_another_median_is_refused() -> None:
    text = written(repetition(0.25, 4096), repetition(0.75, 8192))
    assert "0.500000" in text
    with pytest.raises(IntegrityError, match="do not give the median"):
        figures.measured_of(text.replace("0.500000", "0.400000"), "a_summary.txt")
