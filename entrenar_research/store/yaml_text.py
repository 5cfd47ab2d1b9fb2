"""YAML in and out: YAML 1.2 scalars (as DVC reads them), errors with file, line, key and expectation.

PyYAML's C parser resolves YAML 1.1 scalars (`on` is true, `1e-4` is text, `010` is eight). The resolver here is
that of the YAML 1.2 core schema, https://yaml.org/spec/1.2.2/#103-core-schema, with what DVC's reader takes for
numbers besides (`1_000`, `0b11`). Files named `.json` are read as JSON, which YAML cannot quite do.
"""

from __future__ import annotations

import datetime
import difflib
import json
import re
import types
import typing
from collections.abc import Callable
from typing import Any, ClassVar, TypeVar

import msgspec
import yaml

from entrenar_research.errors import InvalidFileError

T = TypeVar("T")
_FIRST = list("-+0123456789.")
_NODES = 1_000_000
_DEPTH = 200
_WIDTH = 1 << 30
_Loader: type[Any] = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_Dumper: type[Any] = getattr(yaml, "CSafeDumper", yaml.SafeDumper)


class _Core(_Loader):  # type: ignore[misc]
    """PyYAML's safe loader with the core schema's implicit types."""

    yaml_implicit_resolvers: ClassVar[dict[str | None, Any]] = {}

    def construct_integer(self, node: yaml.ScalarNode) -> int:
        text = str(self.construct_scalar(node)).replace("_", "")
        digits = text.lstrip("+-")
        return int(text, 0) if digits.startswith(("0b", "0o", "0x")) else int(text, 10)

    def construct_number(self, node: yaml.ScalarNode) -> float:
        text = str(self.construct_scalar(node)).replace("_", "").lower()
        return float(text.replace(".inf", "inf").replace(".nan", "nan"))


class _Dated(_Core):
    """As `_Core`, with plain dates as dates: what DVC sees in a params file."""

    yaml_implicit_resolvers: ClassVar[dict[str | None, Any]] = {}


_DECIMAL = r"[-+]?[0-9][0-9_]*(\.[0-9_]*([eE][-+]?[0-9]+)?|[eE][-+]?[0-9]+)|[-+]?\.[0-9][0-9_]*([eE][-+][0-9]+)?"
_IMPLICIT: tuple[tuple[str, str, list[str | None]], ...] = (
    ("null", r"~|null|Null|NULL|", ["~", "n", "N", ""]),
    ("bool", r"true|True|TRUE|false|False|FALSE", list("tTfF")),
    ("int", r"[-+]?(0b[01][01_]*|0o[0-7][0-7_]*|0x[0-9a-fA-F][0-9a-fA-F_]*|[0-9][0-9_]*)", list(_FIRST)),
    (
        "float",
        rf"{_DECIMAL}|[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)",
        list(_FIRST),
    ),
    ("merge", r"<<", ["<"]),
    ("timestamp", r"[0-9]{4}-[0-9]{2}-[0-9]{2}", list("0123456789")),
)
for _tag, _pattern, _start in _IMPLICIT:
    for _reader in (_Core, _Dated) if _tag != "timestamp" else (_Dated,):
        _reader.add_implicit_resolver(f"tag:yaml.org,2002:{_tag}", re.compile(rf"^(?:{_pattern})$"), _start)
for _reader in (_Core, _Dated):
    _reader.add_constructor("tag:yaml.org,2002:int", _Core.construct_integer)
    _reader.add_constructor("tag:yaml.org,2002:float", _Core.construct_number)


class Document:
    """A parsed YAML text that remembers where everything stood; JSON where `name` says so.

    With `dates`, plain `2001-02-03` is a date, otherwise text.

    Raises:
        InvalidFileError: if it cannot be parsed, names a key twice, or refers to itself without end.
    """

    def __init__(self, text: str, name: str, *, dates: bool = False) -> None:
        self.name = name
        self.node: yaml.Node | None = None
        if name.endswith(".json"):
            self.value: Any = _json(text, name)
            return
        try:
            _refuse_depth(text, name)
            loader = (_Dated if dates else _Core)(text)
        except yaml.YAMLError as error:
            raise InvalidFileError(_syntax(error, name, text)) from error
        except UnicodeEncodeError as error:
            raise InvalidFileError(f"{name}: not UTF-8 text") from error
        try:
            self.node = loader.get_single_node()
            _survey(self.node, name, {})
            self.value = None if self.node is None else loader.construct_document(self.node)
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
        if where.startswith("`key`"):
            owner = f" of `{_dotted(path)}`" if path else ""
            return f"{self.name}, line {self.line(path)}: a key{owner} is not text, expected text: quote it"
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
            name = step
            if step == "..." and isinstance(value, dict):
                name = next((key for key, item in value.items() if not _fits(item, hint)), step)
            found.append(name)
            try:
                value = value[name]
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
    for part in typing.get_args(hint) if typing.get_origin(hint) in (typing.Union, types.UnionType) else (hint,):
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


def _refuse_depth(text: str, name: str) -> None:
    """Raises if the text is nested so deeply that the C parser, which recurses, would crash."""
    within_lines = text.count("[") + text.count("{")
    if within_lines + max(map(len, re.findall(r"^[- ?:\t]+", text, re.MULTILINE)), default=0) < _DEPTH:
        return
    depth = 0
    for event in yaml.parse(text, Loader=_Loader):
        depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
        if depth > _DEPTH:
            line = event.start_mark.line + 1 if event.start_mark is not None else 1
            raise InvalidFileError(f"{name}, line {line}: nested more than {_DEPTH} levels deep")


def _survey(node: yaml.Node | None, name: str, known: dict[int, int]) -> int:
    """The number of nodes with every alias written out. `known` has the sizes of nodes seen, 0 while inside one.

    Raises:
        InvalidFileError: if a mapping names one key twice (YAML forbids it, PyYAML would keep the last), if an
            alias stands inside of what it stands for, or if written out the text would be enormous.
    """
    if not isinstance(node, yaml.CollectionNode):
        return 1
    line = node.start_mark.line + 1
    if id(node) in known:
        if not known[id(node)]:
            raise InvalidFileError(f"{name}, line {line}: an alias stands inside of what it stands for")
        return known[id(node)]
    known[id(node)] = 0
    if isinstance(node, yaml.MappingNode):
        _refuse_twins(node, name)
    parts = [part for pair in node.value for part in pair] if isinstance(node, yaml.MappingNode) else node.value
    size = 1 + sum(_survey(part, name, known) for part in parts)
    if size > _NODES:
        raise InvalidFileError(f"{name}, line {line}: more than {_NODES} entries with all aliases written out")
    known[id(node)] = size
    return size


def _refuse_twins(node: yaml.MappingNode, name: str) -> None:
    seen: dict[str, int] = {}
    for key, _ in node.value:
        if isinstance(key, yaml.ScalarNode):
            line = key.start_mark.line + 1
            if key.value in seen and key.value != "<<":
                raise InvalidFileError(
                    f"{name}, line {line}: the key `{key.value}` stands a second time (first: line {seen[key.value]})"
                )
            seen[key.value] = line


def _json(text: str, name: str) -> Any:
    def pairs(items: list[tuple[str, Any]]) -> dict[str, Any]:
        found = dict(items)
        if len(found) < len(items):
            twice = next(key for key in found if [item[0] for item in items].count(key) > 1)
            raise InvalidFileError(f"{name}: the key `{twice}` stands a second time in one object")
        return found

    try:
        return json.loads(text.removeprefix("\ufeff"), object_pairs_hook=pairs)
    except json.JSONDecodeError as error:
        raise InvalidFileError(f"{name}, line {error.lineno}, column {error.colno}: {error.msg}") from error
    except RecursionError as error:
        raise InvalidFileError(f"{name}: nested too deeply") from error
    except ValueError as error:
        raise InvalidFileError(f"{name}: {error}") from error


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
    if isinstance(error, yaml.reader.ReaderError):
        # The C parser counts bytes.
        line = text.encode("utf-8", "surrogatepass").count(b"\n", 0, error.position) + 1
        return f"{name}, line {line}: {error.reason}"
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


def dump(value: Any, *, flow: bool = False) -> str:
    """Block-style YAML of builtins or a msgspec record, keys in their own order, ending in a newline.

    With `flow`, on one line that has no end: `[1, 2]`, `text`.
    """
    plain = msgspec.to_builtins(value, builtin_types=(datetime.date,))
    text = yaml.dump(plain, Dumper=_Plain, sort_keys=False, allow_unicode=True, width=_WIDTH, default_flow_style=flow)
    return str(text).removesuffix("...\n").rstrip("\n") if flow else str(text)
