"""The front door: which command, its options, and what becomes of errors."""

from __future__ import annotations

import argparse
import importlib
import os
import signal
import sys
from collections.abc import Sequence
from types import FrameType
from typing import NoReturn

from entrenar_research import __version__
from entrenar_research.errors import EXIT_INTERRUPTED, EXIT_USAGE, EXIT_WANTING, ResearchError

COMMANDS: dict[str, str] = {
    "init": "make a new study",
    "experiment": "declare experiments: add, list, show, sync",
    "run": "run an experiment and record everything about it",
    "runs": "look at recorded runs: list, show, compare",
    "status": "a quick look: what is up to date, what is not, and why",
    "golden": "golden traces: promote, check, list",
    "keys": "the signing key: new, show",
    "seal": "commit an experiment or golden trace and sign a tag",
    "verify": "check every digest and signature, then replay",
    "cite": "write CITATION.cff or BibTeX",
    "bundle": "write the study as one checkable file",
    "doctor": "what is installed here, and what each is for",
    "completion": "print a shell completion script",
}

EPILOGUE = """\
exit codes: 0 done, 1 checked and found wanting, 2 usage, 3 a program is missing, 4 a remote failed, 130 interrupted
"""


class Parser(argparse.ArgumentParser):
    """argparse with our manners: one line that says what is wrong, one that says where to look."""

    def error(self, message: str) -> NoReturn:
        """Prints the complaint and leaves with exit code 2."""
        sys.stderr.write(f"error: {message}\nhint: see `{self.prog} --help`\n")
        raise SystemExit(EXIT_USAGE)


def top_parser() -> Parser:
    """The parser of the first word, with every command listed."""
    parser = Parser(
        prog="entrenar-research",
        description="Make a computational study checkable by a stranger.",
        epilog=EPILOGUE,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        usage="entrenar-research [-h] [-V] [-C DIR] COMMAND ...",
        allow_abbrev=False,
    )
    parser.add_argument("-V", "--version", action="version", version=f"entrenar-research {__version__}")
    parser.add_argument("-C", dest="directory", metavar="DIR", default=".", help="act as if started in DIR")
    commands = parser.add_argument_group("commands")
    for name, words in COMMANDS.items():
        commands.add_argument(f"_{name}", nargs="?", metavar=name, help=words)
    return parser


def command_parser(name: str) -> Parser:
    """The whole parser of one command."""
    module = importlib.import_module(f"entrenar_research.cli.{name}")
    parser = Parser(
        prog=f"entrenar-research {name}",
        description=module.__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    module.configure(parser)
    return parser


def enter(arguments: Sequence[str]) -> int:
    """Runs one command; every `ResearchError` becomes a message, a hint and its exit code."""
    signal.signal(signal.SIGTERM, _stop)
    try:
        return _dispatch(list(arguments))
    except ResearchError as error:
        sys.stdout.flush()
        sys.stderr.write(f"error: {error.message}\n" + (f"hint: {error.hint}\n" if error.hint else ""))
        return error.exit_code
    except KeyboardInterrupt:
        sys.stderr.write("error: interrupted\n")
        return EXIT_INTERRUPTED
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return EXIT_WANTING
    except SystemExit as leaving:
        return leaving.code if isinstance(leaving.code, int) else EXIT_USAGE
    except (OSError, MemoryError, RecursionError) as error:
        if os.environ.get("ENTRENAR_DEBUG"):
            raise
        where = f" ({error.filename})" if isinstance(error, OSError) and error.filename else ""
        sys.stderr.write(f"error: {error}{where}\nhint: set ENTRENAR_DEBUG=1 to see where it happened\n")
        return EXIT_WANTING


def _stop(number: int, frame: FrameType | None) -> None:
    raise KeyboardInterrupt


def _dispatch(arguments: list[str]) -> int:
    directory = None
    while arguments and arguments[0].startswith("-"):
        if arguments[0] == "-C" and len(arguments) > 1:
            directory, arguments = arguments[1], arguments[2:]
            continue
        top_parser().parse_args(arguments[:1])
        break
    if not arguments:
        sys.stderr.write(top_parser().format_help())
        return EXIT_USAGE
    name, rest = arguments[0], arguments[1:]
    if name not in COMMANDS:
        from entrenar_research.core import suggest

        raise suggest.unknown("command", name, COMMANDS)
    if directory is not None:
        try:
            os.chdir(directory)
        except OSError as error:
            sys.stderr.write(f"error: -C {directory}: {error.strerror}\n")
            return EXIT_USAGE
    words: list[str] = []
    if "--" in rest:
        words = rest[rest.index("--") + 1 :]
        rest = rest[: rest.index("--")]
    parser = command_parser(name)
    parsed = parser.parse_args(rest)
    if words and not hasattr(parsed, "words"):
        parser.error(f"`{name}` takes no command after `--`; found: {' '.join(words)}")
    parsed.words = words
    module = importlib.import_module(f"entrenar_research.cli.{name}")
    return int(module.execute(parsed))
