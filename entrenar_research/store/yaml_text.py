"""YAML in and out: YAML 1.2 scalars (as DVC reads them), errors with file, line, key and expectation.

PyYAML's C parser resolves YAML 1.1 scalars (`on` is true, `1e-4` is text, `010` is eight). The resolver here is
that of the YAML 1.2 core schema, https://yaml.org/spec/1.2.2/#103-core-schema.
"""

from __future__ import annotations

import difflib
import re
import types
import typing
from collections.abc import Callable
from typing import Any, TypeVar

import msgspec
import yaml

from entrenar_research.errors import InvalidFileError

T = TypeVar("T")
_FIRST = list("-+0123456789.")
_Loader: type[Any] = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_Dumper: type[Any] = getattr(yaml, "CSafeDumper", yaml.SafeDumper)


class _Core(_Loader):  # type: ignore[misc]
    """PyYAML's safe loader with the core schema's implicit types."""

    yaml_implicit_resolvers: dict[str | None, Any] = {}

    def construct_integer(self, node: yaml.ScalarNode) -> int:
        text = str(self.construct_scalar(node))
        return int(text, 0) if text.startswith(("0x", "0o")) else int(text, 10)

    def construct_number(self, node: yaml.ScalarNode) -> float:
        return float(str(self.construct_scalar(node)).lower().replace(".inf", "inf").replace(".nan", "nan"))


_IMPLICIT: tuple[tuple[str, str, list[str | None]], ...] = (
    ("null", r"~|null|Null|NULL|", ["~", "n", "N", ""]),
    ("bool", r"true|True|TRUE|false|False|FALSE", list("tTfF")),
    ("int", r"[-+]?[0-9]+|0o[0-7]+|0x[0-9a-fA-F]+", list(_FIRST)),
    ("float", r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?|[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)", list(_FIRST)),
    ("merge", r"<<", ["<"]),
)  # fmt: skip
for _tag, _pattern, _start in _IMPLICIT:
    _Core.add_implicit_resolver(f"tag:yaml.org,2002:{_tag}", re.compile(rf"^(?:{_pattern})$"), _start)
_Core.add_constructor("tag:yaml.org,2002:int", _Core.construct_integer)
_Core.add_constructor("tag:yaml.org,2002:float", _Core.construct_number)


class Document:
    """A parsed YAML text that remembers where everything stood."""

    def __init__(self, text: str, name: str) -> None:
        self.name = name
        loader = _Core(text)
        try:
            self.node: yaml.Node | None = loader.get_single_node()
            _refuse_twins(self.node, name)
            self.value: Any = None if self.node is None else loader.construct_document(self.node)
        except yaml.YAMLError as error:
            raise InvalidFileError(_syntax(error, name, text)) from error
        except ValueError as error:
            raise InvalidFileError(f"{name}: {error}") from error
        finally:
            loader.dispose()

    def line(self, path: list[str | int]) -> int:
        """The line (from 1) of the entry at `path`, or of its nearest ancestor that exists."""
        node, line = self.node, 1
        for step in path:
            found = _child(node, step)
            if found is None:
                break
            node, line = found
        return line

    def convert(self, kind: type[T], decode: Callable[[type, Any], Any] | None = None) -> T:
        """The document as a typed record.

        Raises:
            InvalidFileError: naming file, line, key, what was found and what was expected.
        """
        value = {} if self.value is None else self.value
        try:
            return msgspec.convert(value, kind, dec_hook=decode)
        except msgspec.ValidationError as error:
            raise InvalidFileError(self._explain(str(error), kind)) from error

    def _explain(self, complaint: str, kind: type) -> str:
        text, _, where = complaint.partition(" - at ")
        path = self._resolved(_steps(where.strip("`")), kind)
        known = _Known(kind, path)
        unknown = re.search(r"unknown field `([^`]+)`", text)
        if unknown:
            key = unknown.group(1)
            close = difflib.get_close_matches(key, known.fields, 1)
            advice = f"did you mean `{close[0]}`?" if close else f"known: {', '.join(known.fields)}"
            return f"{self.name}, line {self.line([*path, key])}: unknown key `{_dotted([*path, key])}`; {advice}"
        missing = re.search(r"missing required field `([^`]+)`", text)
        if missing:
            return f"{self.name}, line {self.line(path)}: the key `{_dotted([*path, missing.group(1)])}` is missing"
        if known.values:
            text += f", expected one of: {', '.join(known.values)}"
        said = (text[:1].lower() + text[1:]).replace("`", "").replace("enum ", "")
        key = f"`{_dotted(path)}`: " if path else ""
        return f"{self.name}, line {self.line(path)}: {key}{said.replace('object', 'mapping').replace('array', 'list')}"

    def _resolved(self, path: list[str | int], kind: type) -> list[str | int]:
        """`path` with each `...` (msgspec's word for some key of a mapping) replaced by the key at fault."""
        value, hint, found = self.value, kind, list[str | int]()
        for step in path:
            hint = _hint(hint, step)
            if step == "..." and isinstance(value, dict):
                step = next((key for key, item in value.items() if not _fits(item, hint)), step)
            found.append(step)
            try:
                value = value[step]
            except (KeyError, IndexError, TypeError):
                value = None
        return found


class _Known:
    """What a record of `kind` may hold at `path`: the names of its keys, or its permitted values."""

    def __init__(self, kind: type, path: list[str | int]) -> None:
        hint: Any = kind
        for step in path:
            hint = _hint(hint, step)
        inside = msgspec.inspect.type_info(hint)
        parts = getattr(inside, "types", (inside,))
        self.fields = [field.encode_name for part in parts for field in getattr(part, "fields", ())]
        self.values = [str(value) for part in parts for value in getattr(part, "values", ())]


def _fits(value: Any, hint: Any) -> bool:
    try:
        msgspec.convert(value, hint)
    except msgspec.ValidationError:
        return False
    return True


def _hint(hint: Any, step: str | int) -> Any:
    """The type annotation one step further into a record, mapping or list."""
    for part in (
        typing.get_args(hint) if typing.get_origin(hint) in (typing.Union, types.UnionType) else (hint,)
    ):
        origin, arguments = typing.get_origin(part), typing.get_args(part)
        if origin is dict:
            return arguments[1]
        if origin in (tuple, list):
            return arguments[0]
        if isinstance(part, type) and issubclass(part, msgspec.Struct):
            for field in msgspec.structs.fields(part):
                if step == field.encode_name:
                    return field.type
    return Any


def _refuse_twins(node: yaml.Node | None, name: str) -> None:
    """Raises if a mapping names one key twice: YAML forbids it, PyYAML would keep the last."""
    if isinstance(node, yaml.MappingNode):
        seen: dict[str, int] = {}
        for key, value in node.value:
            if isinstance(key, yaml.ScalarNode):
                line = key.start_mark.line + 1
                if key.value in seen and key.value != "<<":
                    raise InvalidFileError(
                        f"{name}, line {line}: the key `{key.value}` stands a second time (first: line {seen[key.value]})"
                    )
                seen[key.value] = line
            _refuse_twins(value, name)
    elif isinstance(node, yaml.SequenceNode):
        for item in node.value:
            _refuse_twins(item, name)


def _child(node: yaml.Node | None, step: str | int) -> tuple[yaml.Node, int] | None:
    if isinstance(node, yaml.MappingNode):
        for key, value in node.value:
            if key.value == str(step):
                return value, key.start_mark.line + 1
    if isinstance(node, yaml.SequenceNode) and isinstance(step, int) and step < len(node.value):
        item = node.value[step]
        return item, item.start_mark.line + 1
    return None


def _steps(where: str) -> list[str | int]:
    steps: list[str | int] = []
    for name, index in re.findall(r"\.([^.\[\]]+)|\[(\d+|\.\.\.)\]", where):
        steps.append(name or (int(index) if index.isdigit() else "..."))
    return steps


def _dotted(path: list[str | int]) -> str:
    text = ""
    for step in path:
        text += f"[{step}]" if isinstance(step, int) else (f".{step}" if text else str(step))
    return text


def _syntax(error: yaml.YAMLError, name: str, text: str) -> str:
    mark = getattr(error, "problem_mark", None)
    if mark is None:
        return f"{name}: not YAML: {error}"
    lines = text.splitlines()
    problem = getattr(error, "problem", None) or "cannot be parsed"
    where = f"{name}, line {mark.line + 1}, column {mark.column + 1}: {problem}"
    if mark.line >= len(lines):
        return f"{where} (the file ends here)"
    return f"{where}\n  {lines[mark.line]}\n  {' ' * mark.column}^"


def _text(dumper: Any, text: str) -> Any:
    """Quotes what YAML 1.1 or 1.2 could take for a number, a date or a truth value."""
    ambiguous = re.match(r"[-+.\d]|(?i:y|n|yes|no|on|off|true|false|null|~|<<|=)$", text)
    style = '"' if ambiguous or not text or text != text.strip() else None
    if "\n" in text and text.isprintable() is False and "\t" not in text:
        style = "|" if text.replace("\n", "").isprintable() else '"'
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style=style)


class _Plain(_Dumper):  # type: ignore[misc]
    """PyYAML's safe dumper whose text reads the same under YAML 1.1 and 1.2."""


_Plain.add_representer(str, _text)


def dump(value: Any) -> str:
    """Block-style YAML of builtins or a msgspec record, keys in their own order, ending in a newline."""
    plain = msgspec.to_builtins(value)
    return str(
        yaml.dump(
            plain, Dumper=_Plain, sort_keys=False, allow_unicode=True, width=4096, default_flow_style=False
        )
    )
