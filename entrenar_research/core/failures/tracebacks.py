"""Reading Python tracebacks out of what a program wrote to stderr, by their grammar, not by words in them.

The grammar is that of the standard library's `traceback.TracebackException.format`, also where every line carries
a prefix (`[rank0]: ` of torchrun, `  | ` of an exception group), and of `faulthandler`. A text that is cut off,
interleaved or no traceback at all is no error: what can be recognised is returned.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import Literal

import msgspec

Link = Literal["", "cause", "context", "part"]
Place = Literal["main", "worker", "ignored"]

_LINE = 2000
_LINES = 600
_MESSAGE_LINES = 40
_HEADERS = 64
_NEAR = 64
_COLOUR = re.compile(r"\x1b\[[0-9;]*[A-Za-z]")
_HEADER = re.compile(r"(.*?)(?:Exception Group )?Traceback \(most recent call last\):")
_FRAME = re.compile(r'  File "(.*)", line (\d+)(?:, in (.*))?')
_RAISED = re.compile(r"([^\W\d][\w<>]*(?:\.[\w<>]+)*)(?:: ?(.*))?")
_SEPARATOR = re.compile(r" *\+[-+]* (?:\d+|\.\.\.) -+")
_SYNTAX = re.compile(r"(SyntaxError|IndentationError|TabError): (.*)")
_FATAL = re.compile(r"Fatal Python error: (.*)")
_FATAL_THREAD = re.compile(r"Current thread 0x[0-9a-f]+ .*\(most recent call first\):")
_FATAL_FRAME = re.compile(r'  File "(.*)", line (\d+) in (.*)')
_CAUSE = "The above exception was the direct cause of the following exception:"
_CONTEXT = "During handling of the above exception, another exception occurred:"


class Frame(msgspec.Struct, frozen=True):
    """One call: `function` is empty where the file itself cannot be parsed (SyntaxError)."""

    file: str
    line: int
    function: str


class Raised(msgspec.Struct, frozen=True, kw_only=True):
    """One exception: its type as Python prints it (qualified, but for builtins and `__main__`) and its message.

    `message` has the first line and what may be more of it (notes, further lines). `frames` go from the outermost
    to the innermost call.
    """

    exception: str
    message: str
    frames: tuple[Frame, ...] = ()
    link: Link = ""

    @property
    def headline(self) -> str:
        """Type and the first line of the message that says something."""
        said = next((line.strip() for line in self.message.split("\n") if line.strip()), "")
        return f"{self.exception}: {said}" if said else self.exception


class Traceback(msgspec.Struct, frozen=True, kw_only=True):
    """The last traceback of a text.

    `chain` has the exception that came last, then the parts of its group or of its message, then what caused it
    (`cause`: raised from; `context`: raised while handling it). `text` is all of that as it stood there. `final`
    says that nothing follows its last line.
    """

    chain: tuple[Raised, ...]
    text: str
    final: bool
    place: Place = "main"


class _Block(msgspec.Struct, kw_only=True):
    start: int
    end: int
    raised: Raised
    place: Place


def last(text: str) -> Traceback | None:
    """The last traceback of `text` that was not merely reported as ignored; None if there is none.

    One of the main thread goes before those of other threads and processes.
    """
    lines = [_COLOUR.sub("", line.rstrip("\r"))[:_LINE] for line in text.split("\n")]
    blocks = [*_blocks(lines)]
    blocks += _unheaded(lines, blocks)
    blocks.sort(key=lambda block: block.start)
    for place in ("main", "worker"):
        for index in range(len(blocks) - 1, -1, -1):
            if blocks[index].place == place and blocks[index].raised.link != "part":
                return _chained(lines, blocks, index)
    return None


def _chained(lines: Sequence[str], blocks: Sequence[_Block], index: int) -> Traceback:
    """The block at `index` with its parts and its causes."""
    end = index + 1
    while end < len(blocks) and blocks[end].raised.link == "part":
        end += 1
    chain = [block.raised for block in blocks[index:end]]
    start = index
    while blocks[start].raised.link in ("cause", "context") and start > 0:
        link, start = blocks[start].raised.link, start - 1
        parts = []
        while blocks[start].raised.link == "part" and start > 0:
            parts.append(blocks[start].raised)
            start -= 1
        chain += [msgspec.structs.replace(item, link=link) for item in (blocks[start].raised, *reversed(parts))]
    stop = max(block.end for block in blocks[index:end])
    shown = "\n".join(lines[blocks[start].start : stop]).strip("\n")
    following = "".join(lines[blocks[end - 1].end :]).strip(" +-|")
    rest = blocks[end - 1].raised.message.partition("\n")[2].strip()
    own = msgspec.structs.replace(chain[0], link="")
    return Traceback(chain=(own, *chain[1:]), text=shown, final=not following and not rest, place=blocks[index].place)


def _blocks(lines: Sequence[str]) -> Iterator[_Block]:
    """Every traceback that has its header, in the order of the text."""
    headers = [(index, match) for index, line in enumerate(lines) if (match := _HEADER.fullmatch(line))]
    for index, match in headers[-_HEADERS:]:
        before = match[1]
        prefix = before.replace("+", "|")
        part = bool(before) and not any(line.startswith(f"{prefix}  ") for line in lines[index + 1 : index + _NEAR])
        if part:
            prefix = ""  # a message quotes it: `Original Traceback (most recent call last):`
        limit = next((at for at, _ in headers if at > index and lines[at].startswith(prefix)), len(lines))
        block = _block(lines, index, limit, prefix)
        if block is None:
            continue
        in_group = prefix.strip() == "|" and "+" not in before
        if part or in_group:
            block.raised = msgspec.structs.replace(block.raised, link="part")
        yield block
        if "+" in before:
            yield from _bare_parts(lines, block.end, limit)


def _block(lines: Sequence[str], index: int, limit: int, prefix: str) -> _Block | None:
    """The traceback whose header is at `index`; None if it does not come to an exception before `limit`."""
    place, link, start = _preface(lines, index, prefix)
    frames = []
    at = index
    for at in range(index + 1, min(limit, index + _LINES)):
        line = lines[at]
        if not line.startswith(prefix):
            continue  # another process wrote in between
        rest = line[len(prefix) :]
        frame = _FRAME.fullmatch(rest)
        if frame:
            frames.append(Frame(frame[1], int(frame[2][:9]), frame[3] or ""))
        elif not rest.startswith("  "):
            break
    else:
        return None
    raised = _RAISED.fullmatch(lines[at][len(prefix) :])
    if raised is None:
        return None
    message, end = _message(lines, at, limit, prefix, raised[2] or "")
    found = Raised(exception=raised[1], message=message, frames=tuple(frames), link=link)
    return _Block(start=start, end=end, raised=found, place=place)


def _message(lines: Sequence[str], at: int, limit: int, prefix: str, first: str) -> tuple[str, int]:
    """The message that begins in line `at`, and the line after it; other output may be taken for a part of it."""
    said, end = [first], at + 1
    for index in range(at + 1, min(limit, at + 1 + _MESSAGE_LINES)):
        line = lines[index]
        if prefix and not line.startswith(prefix):
            if _SEPARATOR.fullmatch(line):
                break
            continue
        rest = line[len(prefix) :]
        if rest in (_CAUSE, _CONTEXT) or rest.startswith(("Exception ignored ", "Exception in thread ")):
            break
        said.append(rest)
        end = index + 1
    text = "\n".join(said).rstrip()
    return text, end if prefix else at + 1 + text.count("\n")


def _preface(lines: Sequence[str], index: int, prefix: str) -> tuple[Place, Link, int]:
    """Whose traceback it is and how it is linked to the one before, by the lines above its header."""
    above = lines[index - 1] if index else ""
    above = above.removeprefix(prefix)
    if above.startswith("Exception ignored ") or above == "--- Logging error ---":
        return "ignored", "", index
    if above.startswith("Exception in thread ") or re.fullmatch(r"Process \S+:", above):
        return "worker", "", index
    linking = [line.removeprefix(prefix).strip() for line in lines[max(0, index - 3) : index]]
    if _CAUSE in linking:
        return "main", "cause", index
    return "main", "context" if _CONTEXT in linking else "", index


def _bare_parts(lines: Sequence[str], start: int, limit: int) -> Iterator[_Block]:
    """The parts of a group that were never raised: an exception line right below the separator."""
    for index in range(start, min(limit, start + _LINES, len(lines) - 1)):
        if not _SEPARATOR.fullmatch(lines[index]):
            continue
        bar = re.match(r" *\| ", lines[index + 1])
        raised = _RAISED.fullmatch(lines[index + 1][bar.end() :]) if bar else None
        if raised:
            part = Raised(exception=raised[1], message=raised[2] or "", link="part")
            yield _Block(start=index + 1, end=index + 2, raised=part, place="main")


def _unheaded(lines: Sequence[str], blocks: Sequence[_Block]) -> Iterator[_Block]:
    """What has no header: a syntax error of the script itself, a crash reported by faulthandler."""
    covered = [(block.start, block.end) for block in blocks]
    for index, line in enumerate(lines):
        syntax, fatal = _SYNTAX.fullmatch(line), _FATAL.fullmatch(line)
        if not (syntax or fatal) or any(start <= index < end for start, end in covered):
            continue
        if fatal:
            yield _fatal(lines, index, fatal[1])
        elif syntax:
            for above in range(index - 1, max(-1, index - 6), -1):
                frame = _FRAME.fullmatch(lines[above])
                if frame:
                    where = (Frame(frame[1], int(frame[2][:9]), ""),)
                    raised = Raised(exception=syntax[1], message=syntax[2], frames=where)
                    yield _Block(start=above, end=index + 1, raised=raised, place="main")
                    break


def _fatal(lines: Sequence[str], index: int, message: str) -> _Block:
    frames: list[Frame] = []
    reading, end = False, index + 1
    for at in range(index + 1, min(len(lines), index + _LINES)):
        frame = _FATAL_FRAME.fullmatch(lines[at]) if reading else None
        if frame:
            frames.insert(0, Frame(frame[1], int(frame[2][:9]), frame[3]))
            end = at + 1
        elif reading:
            break
        reading = reading or bool(_FATAL_THREAD.fullmatch(lines[at]))
    raised = Raised(exception="Fatal Python error", message=message, frames=tuple(frames))
    return _Block(start=index, end=end, raised=raised, place="main")
