"""Hold the `--help` texts pasted into the documents against what the commands print.

Usage: python scripts/help_blocks.py            names every block that differs and exits 1
       python scripts/help_blocks.py --write    puts the present texts in

A block is fenced text below a line `<!-- help: run -->` (or `<!-- help: -->` for the command itself).
"""

from __future__ import annotations

import os
import re
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
BLOCK = re.compile(r"(?P<head><!-- help:(?P<words>[a-z ]*)-->\n```text\n)(?P<text>.*?)(?P<foot>```\n)", re.DOTALL)


def documents() -> list[Path]:
    """The Markdown files at the top and below docs/."""
    return [*sorted(ROOT.glob("*.md")), *sorted(ROOT.glob("docs/**/*.md"))]


def help_text(words: list[str]) -> str:
    """What `entrenar-research WORDS --help` prints at a width of 100 columns."""
    os.environ["COLUMNS"] = "100"
    from entrenar_research.cli import front  # argparse reads COLUMNS when a parser is made

    return front.command_parser(words[0]).format_help() if words else front.top_parser().format_help()


def main() -> int:
    """Check or write all blocks; return the exit code."""
    write = sys.argv[1:] == ["--write"]
    blocks = faults = 0
    for document in documents():
        text = document.read_text(encoding="utf-8")
        fresh = BLOCK.sub(lambda m: m["head"] + help_text(m["words"].split()) + m["foot"], text)
        blocks += len(BLOCK.findall(text))
        if fresh != text and write:
            document.write_text(fresh, encoding="utf-8")
        elif fresh != text:
            faults += 1
            print(f"{document.relative_to(ROOT)}: a help text is not what the command prints: make fix")
    print(f"{blocks} help texts, {faults} documents with stale ones")
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
