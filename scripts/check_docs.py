"""Check what the documents promise about this checkout: links to files and headings, and `make` targets.

Usage: python scripts/check_docs.py     from anywhere; exits 1 after naming every broken promise as file:line.
"""

from __future__ import annotations

import re
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
LINK = re.compile(r"\[[^\]]*\]\(<?([^)\s>]+)>?[^)]*\)")
HEADING = re.compile(r"#{1,6}\s+(.+?)\s*#*$")
INLINE_CODE = re.compile(r"`([^`]+)`")
MAKE = re.compile(r"^(?:\$ )?make ([a-z]+)\b")
TARGET = re.compile(r"^([a-z]+):", re.MULTILINE)
ELSEWHERE = re.compile(r"[a-z][a-z0-9+.-]*:")


def documents(root: Path) -> list[Path]:
    """Return the Markdown files at the top of `root` and below its docs/."""
    return [*sorted(root.glob("*.md")), *sorted(root.glob("docs/**/*.md"))]


def numbered_lines(text: str) -> Iterator[tuple[int, str, bool]]:
    """Yield each line with its number, and whether it is inside a fenced block."""
    fence = ""
    for number, line in enumerate(text.splitlines(), start=1):
        mark = line.lstrip()[:3]
        if mark in {"```", "~~~"} and fence in {"", mark}:
            fence = "" if fence else mark
            continue
        yield number, line, bool(fence)


def anchors(text: str) -> set[str]:
    """Return what a link into this document may name: its headings, as code forges write them in links."""
    found: set[str] = set()
    seen: Counter[str] = Counter()
    for _, line, fenced in numbered_lines(text):
        heading = HEADING.match(line)
        if heading and not fenced:
            name = re.sub(r"[^\w\- ]", "", heading[1].lower()).replace(" ", "-")
            found.add(f"{name}-{seen[name]}" if seen[name] else name)
            seen[name] += 1
    return found


def broken_link(document: Path, target: str) -> str | None:
    """Return what is wrong with a link from `document` to `target`, or nothing."""
    if ELSEWHERE.match(target):
        return None
    name, _, anchor = target.partition("#")
    path = document.parent / name if name else document
    if not path.exists():
        return f"links to {name}, which is not there"
    if anchor and path.suffix == ".md" and anchor not in anchors(path.read_text(encoding="utf-8")):
        return f"links to #{anchor}, but {path.name} has no such heading"
    return None


def broken_promises(document: Path, targets: set[str]) -> Iterator[tuple[int, str]]:
    """Yield line and fault of each link and `make` command in `document` that leads nowhere."""
    for number, line, fenced in numbered_lines(document.read_text(encoding="utf-8")):
        if not fenced:
            for link in LINK.finditer(INLINE_CODE.sub("", line)):
                fault = broken_link(document, link[1])
                if fault:
                    yield number, fault
        commands = [line] if fenced else INLINE_CODE.findall(line)
        for command in commands:
            target = MAKE.match(command.strip())
            if target and target[1] not in targets:
                yield number, f"says `make {target[1]}`, which the Makefile does not have"


def main() -> int:
    """Check all documents; return the exit code."""
    makefiles = [ROOT / "Makefile", *sorted(ROOT.glob("templates/*/Makefile"))]  # a study's own has others
    targets = {name for path in makefiles for name in TARGET.findall(path.read_text(encoding="utf-8"))}
    found = documents(ROOT)
    faults = 0
    for document in found:
        for number, fault in broken_promises(document, targets):
            print(f"{document.relative_to(ROOT)}:{number}: {fault}")
            faults += 1
    print(f"{len(found)} documents, {faults} broken promises")
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
