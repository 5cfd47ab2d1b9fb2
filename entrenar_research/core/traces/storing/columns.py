"""Columns of a trace as bytes that compress well: numbers as planes of bytes, texts as words and places among them.

A column is one or more *parts* (bytes) and a description of them that fits into a header. Whatever numbers and texts
go in come out again: what does not fit into 64 bits is kept as JSON.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Final

import msgspec
import numpy as np
from numpy.typing import NDArray

from entrenar_research.errors import IntegrityError

Numbers = NDArray[np.int64]
_LEAST: Final = -(2**63)
_MOST: Final = 2**63 - 1


class NumbersForm(msgspec.Struct, frozen=True, array_like=True, tag="n", forbid_unknown_fields=True):
    """How `count` numbers lie in their part: `offset + scale * unsigned` in `width` planes, least byte first.

    `differences`: each is what it adds to the one before it. `gaps`: packed bits before the planes say which places
    hold None. `width` -1: JSON, for numbers that 64 bits cannot hold.
    """

    count: int
    offset: int = 0
    scale: int = 1
    width: int = 0
    differences: bool = False
    gaps: bool = False


def pack_numbers(values: Sequence[int | None] | Numbers, *, differences: bool = False) -> tuple[NumbersForm, bytes]:
    """Numbers, some of them None, as one part."""
    if isinstance(values, np.ndarray):
        return _pack_array(values, b"", differences=differences)
    known = [value for value in values if value is not None]
    if known and (min(known) < _LEAST or max(known) > _MOST):
        return NumbersForm(len(values), width=-1), msgspec.json.encode([None if v is None else str(v) for v in values])
    array = np.array(known, dtype=np.int64)
    if len(known) == len(values):
        return _pack_array(array, b"", differences=differences)
    bits = np.packbits(np.array([value is None for value in values])).tobytes()
    form, planes = _pack_array(array, bits, differences=differences)
    return msgspec.structs.replace(form, count=len(values), gaps=True), planes


def _pack_array(array: Numbers, before: bytes, *, differences: bool) -> tuple[NumbersForm, bytes]:
    if not len(array):
        return NumbersForm(0, differences=differences), before
    if differences:  # modulo 2**64: what overflows here overflows back in the sums
        array = np.diff(array.view(np.uint64), prepend=np.uint64(0)).view(np.int64)
    offset = int(array.min())
    above = array.view(np.uint64) - np.uint64(offset % 2**64)
    scale = int(np.gcd.reduce(above)) or 1
    if scale > 1:
        above //= np.uint64(scale)
    width = (int(above.max()).bit_length() + 7) // 8
    planes = np.ascontiguousarray(above.astype("<u8", copy=False).view(np.uint8).reshape(-1, 8)[:, :width].T)
    return NumbersForm(len(array), offset, scale, width, differences), before + planes.tobytes()


def unpack_array(form: NumbersForm, part: bytes, name: str) -> tuple[Numbers, NDArray[np.bool_] | None]:
    """The numbers of a part, 0 for what is None, and which those are.

    Raises:
        IntegrityError: if the part is not as its form says, or holds numbers beyond 64 bits.
    """
    if form.width not in range(9):
        raise IntegrityError(f"{name}: a column that a trace cannot have: numbers of {form.width} bytes")
    missing, count, start = None, form.count, 0
    if form.gaps:
        start = -(-form.count // 8)
        missing = np.unpackbits(np.frombuffer(part[:start], dtype=np.uint8), count=form.count).astype(bool)
        count = int(form.count - missing.sum())
    if len(part) != start + form.width * count:
        raise IntegrityError(f"{name}: damaged: a column of {len(part)} bytes, expected {start + form.width * count}")
    planes = np.frombuffer(part, dtype=np.uint8, offset=start)
    found = np.zeros(count, dtype=np.uint64)
    for place in range(form.width):
        plane = planes[place * count : (place + 1) * count].astype(np.uint64)
        found = found | (plane << np.uint64(8 * place)) if place else plane
    if form.scale != 1:
        found *= np.uint64(form.scale)
    if form.offset:
        found += np.uint64(form.offset % 2**64)
    if form.differences:
        found = np.cumsum(found, dtype=np.uint64)
    if missing is None:
        return found.view(np.int64), None
    whole = np.zeros(form.count, dtype=np.int64)
    whole[~missing] = found.view(np.int64)
    return whole, missing


def unpack_numbers(form: NumbersForm, part: bytes, name: str, order: Numbers | None = None) -> list[int | None]:
    """What `pack_numbers` was given; with `order`, each at the place that this gives it.

    Raises:
        IntegrityError: if the part is not as its form says.
    """
    if form.width == -1:
        texts = msgspec.json.decode(part, type=list[str | None])
        numbers = np.array([None if text is None else int(text) for text in texts], dtype=object)
        return _listed(numbers, order)
    array, missing = unpack_array(form, part, name)
    found: list[int | None] = _listed(array, order)
    if missing is not None:
        places = np.flatnonzero(missing)
        for place in (places if order is None else order[places]).tolist():
            found[place] = None
    return found


def _listed(values: NDArray[Any], order: Numbers | None) -> list[Any]:
    return list((values if order is None else placed(values, order)).tolist())


def placed(values: NDArray[Any], order: Numbers) -> NDArray[Any]:
    """The values, each at the place that `order` gives it.

    Raises:
        ValueError: if there are more of them, or fewer, than places.
    """
    found = np.empty(len(order), dtype=values.dtype)
    found[order] = values
    return found


class WordsForm(msgspec.Struct, frozen=True, array_like=True, tag="w", forbid_unknown_fields=True):
    """How texts lie in three parts: the words, each once, without what separates them; their lengths; the places.

    A place counts back from the word that would be new: 0 is a new word, 1 the newest known one. None is a word too:
    the one numbered `none`, whose text is empty.
    """

    lengths: NumbersForm
    places: NumbersForm
    none: int | None = None


def pack_words(values: Sequence[str | None]) -> tuple[WordsForm, tuple[bytes, bytes, bytes]]:
    """Texts, some of them None, as three parts."""
    known: dict[str | None, int] = {}
    places = np.fromiter((known.setdefault(value, len(known)) for value in values), dtype=np.int64, count=len(values))
    words = [(word or "").encode() for word in known]
    lengths, lengths_part = pack_numbers(np.array([len(word) for word in words], dtype=np.int64))
    form, places_part = pack_numbers(_from_newest(places))
    return WordsForm(lengths, form, known.get(None)), (b"".join(words), lengths_part, places_part)


def _from_newest(places: Numbers) -> Numbers:
    if not len(places):
        return places
    before = np.concatenate(([0], np.maximum.accumulate(places)[:-1] + 1))
    return np.asarray(before - places, dtype=np.int64)


def unpack_places(form: NumbersForm, part: bytes, name: str, words: int) -> Numbers:
    """The numbers of the words, of which there are `words`.

    Raises:
        IntegrityError: if a number is that of no word.
    """
    back, _ = unpack_array(form, part, name)
    new = back == 0
    places = np.cumsum(new)
    places -= new
    places -= back
    if len(places) and (int(places.min()) < 0 or int(places.max()) >= words):
        raise IntegrityError(f"{name}: damaged: a place in a list of {words} words that it does not have")
    return np.asarray(places, dtype=np.int64)


def unpack_list(form: WordsForm, words: bytes, lengths: bytes, name: str) -> list[str | None]:
    """The words alone, each once.

    Raises:
        IntegrityError: if the parts are not as their form says.
    """
    sizes, _ = unpack_array(form.lengths, lengths, name)
    if len(sizes) and (int(sizes.min()) < 0 or int(sizes.sum()) != len(words)):
        raise IntegrityError(f"{name}: damaged: words of {int(sizes.sum())} bytes, found {len(words)}")
    found: list[str | None] = list(_pieces(words, sizes))
    if form.none is not None:
        found[form.none] = None
    return found


def _pieces(words: bytes, sizes: Numbers) -> Iterator[str]:
    ends = np.cumsum(sizes).tolist()
    if words.isascii():  # as many letters as bytes
        text, start = words.decode(), 0
        for end in ends:
            yield text[start:end]
            start = end
        return
    start = 0
    for end in ends:
        yield words[start:end].decode()
        start = end


def unpack_words(form: WordsForm, parts: Sequence[bytes], name: str, order: Numbers | None = None) -> list[str | None]:
    """What `pack_words` was given; with `order`, each at the place that this gives it.

    Raises:
        IntegrityError: if the parts are not as their form says.
    """
    words = unpack_list(form, parts[0], parts[1], name)
    return chosen(words, unpack_places(form.places, parts[2], name, len(words)), order)


def chosen(words: Sequence[str | None], places: Numbers, order: Numbers | None = None) -> list[Any]:
    """The words at these places; with `order`, each at the place that this gives it."""
    return list(np.array(words, dtype=object)[places if order is None else placed(places, order)].tolist())
