"""Plain values as text: JSON for the log and YAML for `run.yaml`.

Importing json, re or a YAML library costs more than everything else that a training script waits for.
"""

from __future__ import annotations

try:
    from _json import encode_basestring_ascii as _quoted
except ImportError:  # another Python than CPython
    from json.encoder import py_encode_basestring_ascii as _quoted

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

_LETTERS = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz")
_PLAIN = _LETTERS | frozenset("0123456789_-./ ")
_WORDS = frozenset({"y", "n", "yes", "no", "on", "off", "true", "false", "null"})
_ESCAPES = {'"': '\\"', "\\": "\\\\", "\n": "\\n", "\t": "\\t", "\r": "\\r"}
_INFINITY = float("inf")


def json_text(value: Any) -> str:
    """A plain value (see `values.plain`) as JSON in ASCII; NaN and infinities as Python writes them."""
    if isinstance(value, str):
        return str(_quoted(value))
    if isinstance(value, dict):
        return "{" + ", ".join(f"{_quoted(key)}: {json_text(item)}" for key, item in value.items()) + "}"
    if isinstance(value, list | tuple):
        return "[" + ", ".join(map(json_text, value)) + "]"
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    if isinstance(value, float):
        return _float(value, "NaN", "Infinity")
    return str(int(value))


def yaml_text(value: dict[str, Any]) -> str:
    """A mapping of plain values as YAML 1.2 in block style, which reads the same under YAML 1.1."""
    return "".join(line + "\n" for line in _mapping(value, ""))


def _mapping(value: dict[str, Any], indent: str) -> list[str]:
    lines = []
    for key, item in value.items():
        lines += _entry(f"{indent}{_scalar(key)}:", item, indent)
    return lines


def _entry(head: str, item: Any, indent: str) -> list[str]:
    """One key or dash with what belongs to it."""
    if isinstance(item, dict) and item:
        return [head, *_mapping(item, indent + "  ")]
    if isinstance(item, list | tuple) and item:
        return [head, *(line for part in item for line in _listed(part, indent + "  "))]
    return [f"{head} {_scalar(item)}"]


def _listed(part: Any, indent: str) -> list[str]:
    """One item of a list; a mapping begins on the line of its dash."""
    if isinstance(part, dict) and part:
        first, *others = _mapping(part, indent + "  ")
        return [f"{indent}- {first.lstrip(' ')}", *others]
    return _entry(f"{indent}-", part, indent)


def _scalar(value: Any) -> str:
    if isinstance(value, str):
        return _text(value)
    if isinstance(value, float):
        return _float(value, ".nan", ".inf")
    return json_text(value)


def _float(value: float, nan: str, infinity: str) -> str:
    if value != value:  # noqa: PLR0124 - this is what NaN is
        return nan
    if value in (_INFINITY, -_INFINITY):
        return infinity if value > 0 else "-" + infinity
    found = float.__repr__(value)
    # YAML 1.1 takes 1e-05 for text: its numbers have a point.
    return found if "." in found or "e" not in found else found.replace("e", ".0e")


def _text(value: str) -> str:
    """Text, quoted unless nothing could take it for anything else."""
    if value and value[0] in _LETTERS and value[-1] != " " and _PLAIN.issuperset(value) and value.lower() not in _WORDS:
        return value
    return '"' + "".join(map(_escaped, value)) + '"'


def _escaped(character: str) -> str:
    if character in _ESCAPES:
        return _ESCAPES[character]
    if character.isprintable():
        return character
    number = ord(character)
    return f"\\x{number:02x}" if number < 256 else f"\\u{number:04x}" if number < 65536 else f"\\U{number:08x}"
