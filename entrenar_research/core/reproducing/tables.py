"""Where two tables differ: by row and column."""

from __future__ import annotations

import csv
import io
from collections import Counter
from collections.abc import Callable, Iterator

from entrenar_research.core.reproducing import documents
from entrenar_research.models.reproduction import Difference


def table(delimiter: str) -> Callable[[str, bytes, bytes], Iterator[Difference]]:
    """A reader of tables; rows are counted as a person counts lines, the first is 1 and names the columns."""

    def read(file: str, one: bytes, other: bytes) -> Iterator[Difference]:
        first, second = _rows(one, delimiter), _rows(other, delimiter)
        if first == second:
            return
        if Counter(map(tuple, first)) == Counter(map(tuple, second)):
            at = documents.first_unlike(first, second)
            detail = f"the same {len(first)} rows in another order"
            rows = {"one": delimiter.join(first[at]), "other": delimiter.join(second[at])}
            yield Difference(file=file, place=f"row {at + 1}", kind="order", detail=detail, **rows)
            return
        for index, (a, b) in enumerate(zip(first, second, strict=False)):
            if a != b:
                yield from _cells(file, index, (a, b), first[0])
        if len(first) != len(second):
            detail = f"{len(first)} rows and {len(second)} rows"
            yield Difference(file=file, place="", kind="value", detail=detail)

    return read


def _rows(data: bytes, delimiter: str) -> list[list[str]]:
    return list(csv.reader(io.StringIO(data.decode("utf-8"), newline=""), strict=True, delimiter=delimiter))


def _cells(file: str, index: int, rows: tuple[list[str], list[str]], names: list[str]) -> Iterator[Difference]:
    one, other = rows
    if len(one) != len(other):
        detail = f"{len(one)} cells and {len(other)} cells"
        yield Difference(file=file, place=f"row {index + 1}", kind="value", detail=detail)
        return
    for column, (a, b) in enumerate(zip(one, other, strict=True)):
        if a != b:
            name = names[column] if index and column < len(names) else str(column + 1)
            yield documents.worded(file, f"row {index + 1}, column {name}", a, b)
