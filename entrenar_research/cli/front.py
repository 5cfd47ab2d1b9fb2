"""The front door: which command, its options, and what becomes of errors."""

from __future__ import annotations

import errno
import importlib
import keyword
import os
import signal
import sys
from collections.abc import Sequence
from types import FrameType, ModuleType

from entrenar_research import __version__
from entrenar_research.cli.parsing import PROGRAM, Parser, TopParser, example_text
from entrenar_research.core.sweeps import suggest
from entrenar_research.errors import (
    EXIT_DONE,
    EXIT_INTERRUPTED,
    EXIT_USAGE,
    EXIT_WANTING,
    ResearchError,
    UsageError,
)
from entrenar_research.views.terminal.widths import visible

GROUPS: dict[str, dict[str, str]] = {
    "begin": {
        "doctor": "what is installed here, and what each is for",
        "init": "make a new study",
        "keys": "the signing key: new, show, allow",
    },
    "work": {
        "experiment": "declare experiments: add, list, show, sync",
        "env": "what hermetic runs are made of: lock, seed, show, diff, verify",
        "run": "run an experiment and record everything about it",
        "status": "a quick look: what is up to date, what is not, and why",
        "sweep": "search for good parameters: new, run, show, best, list",
        "runs": "recorded runs: list, show, compare, query, plot, recover",
        "trace": "system calls of any command: record, summary, show, compare, check, export",
        "golden": "golden traces: promote, check, list, show, diff, retire, ci",
        "lineage": "where runs come from; merging another copy of the study",
        "models": "look into model files; sign for one that can run code",
        "import": "bring in runs that MLflow, W&B or TensorBoard recorded",
    },
    "hand over": {
        "seal": "commit an experiment, golden trace or sweep, and sign a tag",
        "reproduce": "rebuild an experiment, compare byte for byte, say why not",
        "prove": "sign what a run is: its result, what went in, in what world",
        "attest": "rebuild a run or a bundle, and sign how it compares",
        "consensus": "how many keys and kinds of hardware agree about a run",
        "verify": "check every digest and signature, then replay",
        "cite": "write CITATION.cff or BibTeX",
        "bundle": "write the study as one checkable file",
        "airgap": "carry a study to where there is no network: pack, unpack, update",
    },
    "besides": {"completion": "print a shell completion script"},
}
COMMANDS: dict[str, str] = {name: words for group in GROUPS.values() for name, words in group.items()}

EPILOGUE = f"""\
`{PROGRAM} help COMMAND` tells more about one of them.

exit codes: 0 done, 1 checked and found wanting, 2 usage,
            3 a program is missing, 4 a remote failed, 130 interrupted
"""
EXIT_BROKEN_PIPE = 128 + signal.SIGPIPE
_REMEDIES = {
    errno.EACCES: "check the owner and the mode of the file and of its directory",
    errno.EPERM: "check the owner and the mode of the file and of its directory",
    errno.EROFS: "the file system is mounted read-only",
    errno.ENOSPC: "free some space, then run the same command again",
}


def top_parser() -> TopParser:
    """The parser of the first word, with every command listed."""
    parser = TopParser(
        prog=PROGRAM,
        description="Make a computational study checkable by a stranger.",
        epilog=EPILOGUE,
        usage=f"{PROGRAM} [-C DIR] COMMAND ...",
    )
    parser.groups = GROUPS
    parser.add_argument(
        "-V", "--version", action="version", version=f"{PROGRAM} {__version__}", help="show the version"
    )
    parser.add_argument("-C", dest="directory", metavar="DIR", default=".", help="act as if started in DIR")
    return parser


def _module(name: str) -> ModuleType:
    """The file of a command; `import`, which Python keeps for itself, is in `import_.py`."""
    return importlib.import_module(f"entrenar_research.cli.{name}{'_' if keyword.iskeyword(name) else ''}")


def command_parser(name: str, words: Sequence[str] | None = None) -> Parser:
    """The whole parser of one command; with `words`, as much of it as a command line of these words needs."""
    module = _module(name)
    parser = Parser(
        prog=f"{PROGRAM} {name}",
        description=module.__doc__,
        epilog=example_text(getattr(module, "EXAMPLES", ())),
    )
    if words is not None and hasattr(module, "configure_for"):
        module.configure_for(parser, words)
    else:
        module.configure(parser)
    return parser


def enter(arguments: Sequence[str]) -> int:
    """Runs one command; every `ResearchError` becomes a message, a hint and its exit code."""
    signal.signal(signal.SIGTERM, _stop)
    if signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:  # nohup sets it aside
        signal.signal(signal.SIGHUP, _stop)
    _never_fail_to_encode()
    try:
        status = _status(list(arguments))
        sys.stdout.flush()
    except ResearchError as error:
        return _complain(error.message, error.hint, error.exit_code)
    except KeyboardInterrupt:
        return _complain("interrupted", None, EXIT_INTERRUPTED)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return EXIT_BROKEN_PIPE
    except Exception as error:
        if os.environ.get("ENTRENAR_DEBUG"):
            raise
        return _complain(*_unexpected(error), EXIT_WANTING)
    return status


def _status(arguments: list[str]) -> int:
    try:
        return _dispatch(arguments)
    except SystemExit as leaving:  # argparse, after --help or a complaint
        return leaving.code if isinstance(leaving.code, int) else EXIT_USAGE


def _never_fail_to_encode() -> None:
    """What the encoding of a stream has no place for is read and written as an escape."""
    for stream in (sys.stdin, sys.stdout, sys.stderr):
        reconfigure = getattr(stream, "reconfigure", None)
        if reconfigure is not None:
            reconfigure(errors="backslashreplace")


def _complain(message: str, hint: str | None, status: int) -> int:
    try:
        sys.stdout.flush()
    except OSError:  # nobody reads, or no space: the message on the other stream counts
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    sys.stderr.write(visible(f"error: {message}\n" + (f"hint: {hint}\n" if hint else "")))
    return status


def _unexpected(error: Exception) -> tuple[str, str]:
    """Message and hint for what no command foresaw."""
    if isinstance(error, OSError) and error.strerror:
        remedy = _REMEDIES.get(error.errno or 0, "set ENTRENAR_DEBUG=1 to see where it happened")
        return f"{error.filename or 'standard output'}: {error.strerror}", remedy
    if isinstance(error, MemoryError | RecursionError):
        return f"this is too large for the machine ({type(error).__name__})", "set ENTRENAR_DEBUG=1 to see where"
    return (
        f"a mistake of {PROGRAM} itself, not yours: {type(error).__name__}: {error}",
        "set ENTRENAR_DEBUG=1, run the same command again, and report what it prints",
    )


def _stop(number: int, frame: FrameType | None) -> None:
    del frame
    raise KeyboardInterrupt(signal.Signals(number))


def _dispatch(arguments: list[str]) -> int:
    directory, arguments = _leading_options(arguments)
    if not arguments:
        sys.stderr.write(top_parser().format_help())
        return EXIT_USAGE
    name, rest = arguments[0], arguments[1:]
    if name == "help":
        return _help(rest)
    if name not in COMMANDS:
        raise suggest.unknown("command", name, COMMANDS)
    if directory is not None:
        try:
            os.chdir(directory)
        except OSError as error:
            raise UsageError(f"-C {directory}: {error.strerror}; expected a directory") from error
    words: list[str] = []
    if "--" in rest:
        words = rest[rest.index("--") + 1 :]
        rest = rest[: rest.index("--")]
    parser = command_parser(name, rest)
    parsed = parser.parse_args(rest)
    if words and not hasattr(parsed, "words"):
        parser.complain(f"`{name}` takes no command after `--`; found {' '.join(words)}")
    parsed.words = words
    module = _module(name)
    return int(module.execute(parsed))


def _leading_options(arguments: list[str]) -> tuple[str | None, list[str]]:
    """What stands before the command: the directory of -C, and the words that are left."""
    directory = None
    while arguments and arguments[0].startswith("-"):
        if arguments[0] == "-C" and len(arguments) > 1:
            directory, arguments = arguments[1], arguments[2:]
        elif arguments[0] in ("-h", "--help"):
            return directory, ["help", *arguments[1:]]
        else:
            top_parser().parse_args(arguments[:1])
            arguments = arguments[1:]
    return directory, arguments


def _help(words: list[str]) -> int:
    """`help`, `help COMMAND` and `help COMMAND VERB`."""
    if not words:
        sys.stdout.write(top_parser().format_help())
        return EXIT_DONE
    if words[0] not in COMMANDS:
        raise suggest.unknown("command", words[0], COMMANDS)
    command_parser(words[0], words[1:]).parse_args([*words[1:], "--help"])
    return EXIT_DONE
