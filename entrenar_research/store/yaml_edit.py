"""Changing single entries of a YAML text: comments, layout and every other byte stay as they are.

The parser says where each entry stands; the new text is put there and the whole is read again. Where that does not
give what was meant (an anchor used in two places), nothing is changed and the person is told.
"""

from __future__ import annotations

import copy
import json
import textwrap
from collections.abc import Sequence
from typing import Any

import yaml

from entrenar_research.errors import InvalidFileError
from entrenar_research.store.yaml_text import Document, dump

Place = Sequence[str | int]


def put(text: str, name: str, path: Place, value: Any) -> str:
    """The text with the mapping entry at `path` (keys, at least one) set to `value`, made where it is absent.

    Raises:
        InvalidFileError: if the text is malformed, or the entry cannot be changed on its own.
    """
    found = Document(text, name, dates=True)
    before = {} if found.value is None else found.value
    expected = _with(before, path, value)
    if _same(expected, before):
        return text
    if name.endswith(".json"):
        return json.dumps(expected, indent=2, ensure_ascii=False) + "\n"
    mark, body = text[: text.startswith("\ufeff")], text.removeprefix("\ufeff")
    if not isinstance(found.node, yaml.MappingNode):
        changed = _ended(body) + dump(_nested(path, value)) if found.value is None else body
    else:
        changed = _put(body, found.node, before, path, value)
    return mark + _checked(changed, name, path, expected)


def drop(text: str, name: str, path: Place) -> str:
    """The text without the entry or list item at `path`, with its lines; as it was if there is none.

    Raises:
        InvalidFileError: if the text is malformed, or the entry cannot be removed on its own.
    """
    found = Document(text, name, dates=True)
    owner, value = found.node, copy.deepcopy(found.value)
    here = value
    for step in path[:-1]:
        pair = _find(owner, step)
        if pair is None:
            return text
        owner, here = pair[1], here[step]
    pair = _find(owner, path[-1])
    if pair is None:
        return text
    if isinstance(owner, yaml.CollectionNode) and owner.flow_style:
        kept = copy.copy(here)
        del kept[path[-1]]
        return put(text, name, path[:-1], kept)
    del here[path[-1]]
    mark, body = text[: text.startswith("\ufeff")], text.removeprefix("\ufeff")
    changed = body[: _line_start(body, pair[0].start_mark.index)] + body[_line_end(body, _last(*pair)) :]
    if here or len(path) == 1:
        return mark + _checked(changed, name, path, value)
    return drop(text, name, path[:-1])


def _put(text: str, owner: yaml.MappingNode, current: Any, path: Place, value: Any) -> str:
    """As `put`, below one mapping. `current` is its value."""
    key, rest = path[0], path[1:]
    if owner.flow_style:
        return _replaced(text, owner, _flow(_with(current, path, value)))
    pair = _find(owner, key)
    if pair is None:
        first, at = owner.value[0][0], _line_end(text, _last(owner))
        return _ended(text[:at]) + _indented(_nested(path, value), first.start_mark.column) + text[at:]
    node = pair[1]
    if rest and isinstance(node, yaml.MappingNode) and node.value and not node.flow_style:
        return _put(text, node, current[key], rest, value)
    new = _with(current.get(key), rest, value) if rest else value
    return _replace_value(text, pair, {key: current.get(key)}, {key: new})


def _replace_value(
    text: str, pair: tuple[yaml.Node, yaml.Node], before: dict[str | int, Any], after: dict[str | int, Any]
) -> str:
    """The text with another value in one entry: in its place, by adding lines to a list, or the whole entry anew."""
    (name, node), (old,), (new,) = pair, before.values(), after.values()
    if isinstance(node, yaml.ScalarNode) and node.style not in ("|", ">") and _short(new):
        blank = " " if node.start_mark.index == node.end_mark.index and text[node.start_mark.index - 1] == ":" else ""
        return _replaced(text, node, blank + _flow(new))
    if isinstance(node, yaml.CollectionNode) and node.flow_style and new and node.value:
        return _replaced(text, node, _flow(new))
    if isinstance(node, yaml.SequenceNode) and isinstance(new, list) and _extends(new, old):
        at = _line_end(text, _last(node))
        return _ended(text[:at]) + _indented(new[len(old) :], node.start_mark.column) + text[at:]
    start = _line_start(text, name.start_mark.index)
    entry = _indented(after, name.start_mark.column)
    return text[:start] + entry + text[_line_end(text, _last(name, node)) :]


def _checked(text: str, name: str, path: Place, expected: Any) -> str:
    try:
        read = Document(text, name, dates=True).value
    except InvalidFileError:
        read = None
    if not _same({} if read is None else read, {} if expected is None else expected):
        where = ".".join(str(step) for step in path)
        raise InvalidFileError(
            f"{name}: `{where}` cannot be changed on its own: it shares an anchor or is laid out unusually",
            hint="edit the file by hand",
        )
    return text


def _same(one: Any, other: Any) -> bool:
    """Equality that tells 1 from 1.0 and true, and keeps the order of keys out of it."""
    if isinstance(one, dict) and isinstance(other, dict):
        return one.keys() == other.keys() and all(_same(item, other[key]) for key, item in one.items())
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(map(_same, one, other))
    return type(one) is type(other) and repr(one) == repr(other)


def _with(value: Any, path: Place, new: Any) -> Any:
    if not path:
        return new
    inside = value.get(path[0]) if isinstance(value, dict) else None
    return {**(value if isinstance(value, dict) else {}), path[0]: _with(inside, path[1:], new)}


def _nested(path: Place, value: Any) -> Any:
    for step in reversed(path):
        value = {step: value}
    return value


def _short(value: Any) -> bool:
    return not isinstance(value, dict | list) and "\n" not in str(value)


def _extends(new: list[Any], old: list[Any]) -> bool:
    return bool(old) and len(new) > len(old) and _same(new[: len(old)], old)


def _find(node: yaml.Node | None, step: str | int) -> tuple[yaml.Node, yaml.Node] | None:
    """The key and value nodes of an entry; of a list item twice the item."""
    if isinstance(node, yaml.MappingNode):
        return next(((key, value) for key, value in node.value if key.value == str(step)), None)
    if isinstance(node, yaml.SequenceNode) and isinstance(step, int) and step < len(node.value):
        return node.value[step], node.value[step]
    return None


def _last(*nodes: yaml.Node) -> int:
    """Where the last thing of these nodes ends that is not a comment."""
    ends = []
    for node in nodes:
        if isinstance(node, yaml.CollectionNode) and not node.flow_style and node.value:
            inside = (
                [part for pair in node.value for part in pair] if isinstance(node, yaml.MappingNode) else node.value
            )
            ends.append(_last(*inside))
        else:
            ends.append(node.end_mark.index)
    return max(ends)


def _line_start(text: str, index: int) -> int:
    return text.rfind("\n", 0, index) + 1


def _line_end(text: str, index: int) -> int:
    """Behind the line break that follows the last thing before `index`."""
    end = text.find("\n", len(text[:index].rstrip()))
    return len(text) if end < 0 else end + 1


def _ended(text: str) -> str:
    return text if not text or text.endswith("\n") else text + "\n"


def _indented(value: Any, column: int) -> str:
    return textwrap.indent(dump(value), " " * column)


def _replaced(text: str, node: yaml.Node, new: str) -> str:
    return text[: node.start_mark.index] + new + text[node.end_mark.index :]


def _flow(value: Any) -> str:
    return dump(value, flow=True)
