"""What may be logged: names, numbers, steps and structured values; everything else is refused where it is said.

These functions run when something is said for the first time, or was refused by the fast path of `log_metric`.
"""

from __future__ import annotations

import os
from _operator import index as _index  # operator itself is written in Python

from entrenar_research.errors import UsageError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

NAME_LIMIT = 250
TEXT_LIMIT = 1 << 16
STEP_LIMIT = 1 << 63
_DEPTH = 50
_EXPERIMENT = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_-")
_SHORT = 60


def _shown(value: object) -> str:
    """A value as an error message has it: its beginning, and its type where that is not plain."""
    text = repr(value)
    text = text if len(text) <= _SHORT else text[: _SHORT - 3] + "..."
    return text if isinstance(value, str) else f"{text} ({type(value).__name__})"


def _forbidden(character: str) -> bool:
    number = ord(character)
    return number < 32 or 127 <= number < 160 or 0xD800 <= number < 0xE000 or number in (0x2028, 0x2029)


def name(given: object, what: str) -> str:
    """`given`, if it can be a name: 1 to 250 characters without line breaks and other control characters.

    Raises:
        UsageError: if not; `what` says what it is, for instance `name of a metric`.
    """
    wanted = f"1 to {NAME_LIMIT} characters without line breaks and other control characters"
    if not isinstance(given, str):
        raise UsageError(f"the {what} is {_shown(given)}, expected text", hint="give it as a string")
    if not given or len(given) > NAME_LIMIT:
        found = f"{_shown(given)} has {len(given)} characters" if given else "is empty"
        raise UsageError(f"the {what} {found}, expected {wanted}", hint="give it a short name")
    for place, character in enumerate(given):
        if _forbidden(character):
            raise UsageError(
                f"the {what}, {_shown(given)}, has {character!a} at {place}, expected {wanted}",
                hint="leave it out, for instance with name.strip()",
            )
    return str.__str__(given)


def text(given: object, what: str) -> str:
    """`given`, if it is text that can be written: up to 65536 characters, no lone surrogates.

    Raises:
        UsageError: if not.
    """
    if not isinstance(given, str):
        raise UsageError(f"{what} is {_shown(given)}, expected text", hint="give it as a string")
    if len(given) > TEXT_LIMIT:
        raise UsageError(
            f"{what} has {len(given)} characters, expected at most {TEXT_LIMIT}", hint="keep it as an artifact"
        )
    return writable(given)


def writable(given: str) -> str:
    """`given` with what cannot be UTF-8 (odd bytes of file names) written out as an escape."""
    return str.__str__(given).encode("utf-8", "backslashreplace").decode("utf-8")


def number(given: object, what: str) -> float:
    """`given` as a 64-bit float: an int, a float, NaN, an infinity, or anything with `__float__` or `__index__`.

    Raises:
        UsageError: if it is no number, or one too large.
    """
    if isinstance(given, str | bytes | bytearray):
        raise UsageError(f"{what} is {_shown(given)}, expected a number", hint="convert it with float(...)")
    try:
        return float(given)  # type: ignore[arg-type]
    except OverflowError as error:
        raise UsageError(f"{what} is {_shown(given)}, too large for a 64-bit float", hint="log its log") from error
    except Exception as error:  # whatever a foreign __float__ raises
        hint = "give one number, for instance with .item() or .mean()"
        raise UsageError(f"{what} is {_shown(given)}, expected a number: {error}", hint=hint) from error


def step(given: object, what: str) -> int:
    """`given` as a step: a whole number from 0 to 2^63 - 1.

    Raises:
        UsageError: if it is not.
    """
    try:
        found = _index(given)  # type: ignore[arg-type]
    except Exception as error:  # whatever a foreign __index__ raises
        hint = "give a whole number, for instance with int(...), or leave it out to count up"
        raise UsageError(f"the step of {what} is {_shown(given)}, expected a whole number", hint=hint) from error
    if not 0 <= found < STEP_LIMIT:
        raise UsageError(f"the step of {what} is {_shown(found)}, expected 0 to 2^63 - 1", hint="count steps from 0")
    return found


def experiment(given: object) -> str:
    """`given`, if it can be the name of an experiment: a directory, a DVC stage and a part of a tag at once.

    Raises:
        UsageError: if not.
    """
    good = isinstance(given, str) and 0 < len(given) <= 64 and given[0] not in "-_" and set(given) <= _EXPERIMENT
    if not good:
        raise UsageError(
            f"experiment name {given!r}: expected letters, digits, `-` and `_`, beginning with a letter or digit, "
            "64 characters at most",
            hint="for instance lora-rank",
        )
    return str(given)


def plain(given: Any, what: str, depth: int = 0) -> Any:
    """`given` in the terms of JSON: dict, list, text, number, truth value or None; NumPy's scalars become numbers.

    Raises:
        UsageError: if something in it cannot be written so.
    """
    if given is None or isinstance(given, bool | int | float):
        return _builtin(given)
    if isinstance(given, str):
        return text(given, what)
    if depth > _DEPTH:
        raise UsageError(f"{what} is nested more than {_DEPTH} levels deep", hint="make it flatter")
    if isinstance(given, dict):
        return {name(key, f"key in {what}"): plain(item, f"{what}.{key}", depth + 1) for key, item in given.items()}
    if isinstance(given, list | tuple):
        return [plain(item, f"{what}[{index}]", depth + 1) for index, item in enumerate(given)]
    if isinstance(given, os.PathLike):
        return plain(os.fspath(given), what)
    return _foreign(given, what, depth)


def _builtin(given: float | None) -> bool | int | float | None:
    """An enumeration's member or other subclass as what it is a kind of."""
    if given is None or isinstance(given, bool):
        return given
    return int(given) if isinstance(given, int) else float(given)


def _foreign(given: Any, what: str, depth: int) -> Any:
    """A number, mapping or array of another package."""
    if hasattr(given, "keys") and hasattr(given, "__getitem__"):
        return plain({key: given[key] for key in given.keys()}, what, depth)  # noqa: SIM118 - not all of them iterate
    if hasattr(given, "tolist"):  # NumPy and PyTorch: of a scalar, the number
        return plain(given.tolist(), what, depth + 1)
    if hasattr(given, "__index__"):
        return _index(given)
    if hasattr(given, "__float__"):
        return float(given)
    raise _refused(given, what)


def ended(run: str) -> UsageError:
    """The error of logging to a run that has ended."""
    return UsageError(f"the run {run} has ended: nothing can be logged to it", hint="log before finish()")


def _refused(given: object, what: str) -> UsageError:
    return UsageError(
        f"{what} is {_shown(given)}, expected text, a number, a truth value, None, or a list or dict of those",
        hint="convert it, for instance with str(...) or vars(...)",
    )
