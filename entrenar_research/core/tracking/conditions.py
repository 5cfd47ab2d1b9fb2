"""What `--where` says of runs: one comparison, such as `metrics.loss<0.5`, `status!=failed`, `experiment~lora`."""

from __future__ import annotations

import re

from entrenar_research.errors import UsageError

OPERATORS = ("<=", ">=", "!=", "!~", "==", "=", "<", ">", "~")
_EXAMPLES = "expected NAME OPERATOR VALUE, for example metrics.loss<0.5, params.rate=0.1, experiment~lora"
_QUOTED = r"'(?:[^'\\]|\\.)*'|\"(?:[^\"\\]|\\.)*\""
_NAME = re.compile(rf"\s*((?:{_QUOTED}|[^\s<>=!~'\"])+)\s*", re.DOTALL)
_OPERATOR = re.compile(r"<=|>=|!=|!~|==|=|<|>|~")
_VALUE = re.compile(rf"\s*(?:({_QUOTED})|(.*?))\s*", re.DOTALL)
_ESCAPED = re.compile(r"\\(.)", re.DOTALL)
_NUMBER = re.compile(r"[-+]?(?:(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?|inf|nan)", re.IGNORECASE | re.ASCII)


class Condition:
    """One comparison: a column's `name`, an operator of `OPERATORS` (`==` is given as `=`), and a value as text.

    `number` is the value as a number, if it is one and was not quoted.
    """

    __slots__ = ("name", "number", "operator", "text", "value")

    def __init__(self, text: str, name: str, operator: str, value: str, *, quoted: bool) -> None:
        self.text = text
        self.name = name
        self.operator = operator
        self.value = value
        self.number = float(value) if not quoted and _NUMBER.fullmatch(value) else None


def parse(text: str) -> Condition:
    """The comparison that `text` states.

    Blanks around its parts do not count. A value in quotes is taken as text, whatever it looks like, a name may
    have quoted parts (`params."my rate"`); within quotes a backslash takes the next character as it is.

    Raises:
        UsageError: if it is none; the message shows how far it could be read.
    """
    name = _NAME.match(text)
    if name is None:
        raise UsageError(f"--where {text!r}: it begins without a name; {_EXAMPLES}")
    operator = _OPERATOR.match(text, name.end())
    if operator is None:
        rest = text[name.end() :]
        found = f"found {rest!r} after {name[1]!r}" if rest else f"nothing follows {name[1]!r}"
        raise UsageError(f"--where {text!r}: {found}; {_EXAMPLES}")
    value = _VALUE.fullmatch(text, operator.end())
    plain = "" if value is None else value[2]
    if value is None or (value[1] is None and (not plain or plain[0] in "\"'")):
        found = f"the quotes of {plain!r} do not match" if plain else f"there is no value after `{operator[0]}`"
        hint = None if plain else "an empty value is written ''"
        raise UsageError(f"--where {text!r}: {found}; {_EXAMPLES}", hint=hint)
    sign = "=" if operator[0] == "==" else operator[0]
    words = _unquoted(value[1]) if value[1] is not None else plain
    return Condition(text, _name(name[1]), sign, words, quoted=value[1] is not None)


def quoted(value: str) -> str:
    """The text in quotes, as `parse` takes it apart."""
    return '"' + value.replace("\\", "\\\\").replace('"', '\\"') + '"'


def _unquoted(text: str) -> str:
    return _ESCAPED.sub(r"\1", text[1:-1])


def _name(text: str) -> str:
    return re.sub(_QUOTED, lambda found: _unquoted(found[0]), text, flags=re.DOTALL)
