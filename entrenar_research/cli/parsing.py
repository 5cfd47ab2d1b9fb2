"""argparse with our manners: readable help, and errors that say what was found, what was expected, what was meant."""

from __future__ import annotations

import argparse
import os
import re
import sys
from collections.abc import Generator, Mapping, Sequence

from entrenar_research.core.sweeps import suggest
from entrenar_research.errors import EXIT_USAGE

TYPE_CHECKING = False
if TYPE_CHECKING:  # every command imports this module, and what it imports: no more than it needs
    from typing import Any, NoReturn

PROGRAM = "entrenar-research"
_WIDEST = 100
_MISSING = "the following arguments are required: "
_NUMBER = re.compile(r"-\d+(\.\d*)?|-\.\d+")


class _Formatter(argparse.HelpFormatter):
    """Help in two columns, no wider than people read; the verbs of a command without a heading of their own."""

    def __init__(self, prog: str, **settings: Any) -> None:
        columns = min(_terminal_columns() - 2, _WIDEST)
        super().__init__(prog, **{**settings, "max_help_position": 28, "width": max(columns, 40)})

    def _fill_text(self, text: str, width: int, indent: str) -> str:
        """Paragraphs are filled; one with an indented line (examples) stays as it is."""
        import textwrap  # needed for help texts only

        paragraphs = [part.strip("\n") for part in text.split("\n\n")]
        return "\n\n".join(
            part if "\n " in part else textwrap.fill(part, width, break_long_words=False) for part in paragraphs
        )

    def _format_action(self, action: argparse.Action) -> str:
        text = super()._format_action(action)
        return text.partition("\n")[2] if action.nargs == argparse.PARSER else text

    def _iter_indented_subactions(self, action: argparse.Action) -> Generator[argparse.Action, None, None]:
        yield from getattr(action, "_get_subactions", tuple)()


def _terminal_columns() -> int:
    """As shutil has it: the variable COLUMNS, the terminal's width, or 80."""
    given = os.environ.get("COLUMNS", "")
    if given.isdecimal() and int(given):
        return int(given)
    try:
        return os.get_terminal_size(sys.__stdout__.fileno() if sys.__stdout__ else 1).columns or 80
    except (OSError, ValueError):
        return 80


class Parser(argparse.ArgumentParser):
    """One line that says what is wrong, one that says what to do, exit code 2."""

    def __init__(self, **settings: Any) -> None:
        manners: dict[str, Any] = {"formatter_class": _Formatter, "allow_abbrev": False, **settings}
        super().__init__(**{**manners, "add_help": False})
        if settings.get("add_help", True):
            self.add_argument("-h", "--help", action="help", help="show this help")
        self._positionals.title = "arguments"
        self._given: list[str] = []

    def add_subparsers(self, **settings: Any) -> Any:
        """As argparse has it, with the list of verbs before the options in the help."""
        verbs = super().add_subparsers(**settings)
        self._action_groups.insert(0, self._action_groups.pop())
        return verbs

    def parse_known_args(self, args: Any = None, namespace: Any = None) -> Any:
        """Parses all of `args`: a word that has no place is refused by the parser that it was given to."""
        self._given = list(args or ())
        parsed, extra = super().parse_known_args(args, namespace)
        if extra:
            self._refuse_unknown_options(self._given)
            self.complain(f"`{self._called}` takes no further words; found {' '.join(map(repr, extra))}")
        return parsed, extra

    def error(self, message: str) -> NoReturn:
        """Refuses what argparse complains about; a mistyped option is named before what is missing."""
        if message.startswith(_MISSING):
            self._refuse_unknown_options(self._given)
            self.complain(f"`{self._called}` needs {message.removeprefix(_MISSING)}", self._how_to_call())
        name, _, rest = message.removeprefix("argument ").partition(": ")
        if rest == "expected one argument":
            self.complain(f"`{self._called}`: {name} needs a value", self._how_to_join(name.split("/")))
        self.complain(f"`{self._called}`: {message.removeprefix('argument ')}")

    def complain(self, message: str, hint: str | None = None) -> NoReturn:
        """Prints what is wrong and what to do, and leaves."""
        sys.stderr.write(f"error: {message}\nhint: {hint or f'see `{self.prog} --help`'}\n")
        raise SystemExit(EXIT_USAGE)

    @property
    def _called(self) -> str:
        return self.prog.removeprefix(f"{PROGRAM} ")

    def _how_to_call(self) -> str | None:
        for action in self._actions:
            if action.nargs == argparse.PARSER and action.choices is not None:
                return f"{action.metavar} is {_either(list(action.choices))}; see `{self.prog} --help`"
        usage = " ".join(self.format_usage().split())
        return usage if len(usage) <= _WIDEST else None

    def _how_to_join(self, names: Sequence[str]) -> str | None:
        """How to give a value that looks like an option, if that is what was tried."""
        places = [place for place, word in enumerate(self._given[:-1]) if word in names]
        value = self._given[places[-1] + 1] if places else ""
        if not value.startswith("-") or not names[-1].startswith("--"):
            return None
        return f"if {value} is meant as the value, write it as `{names[-1]}={value}`"

    def _refuse_unknown_options(self, words: Sequence[str]) -> None:
        known = self._option_string_actions
        for word in words:
            name = word.partition("=")[0]
            if not name.startswith("-") or not name.strip("-") or _NUMBER.fullmatch(name):
                continue
            if name not in known and (name.startswith("--") or name[:2] not in known):
                close = suggest.closest(name.lstrip("-"), [item[2:] for item in known if item.startswith("--")])
                meant = " or ".join(f"`--{item}`" for item in close)
                self.complain(f"`{self._called}` has no option {name}", f"did you mean {meant}?" if meant else None)

    def _check_value(self, action: argparse.Action, value: Any) -> None:
        if action.choices is None or value in action.choices:
            return
        if action.nargs == argparse.PARSER:
            self._refuse_unknown_options(self._given[: self._given.index(value)])
        choices = [str(item) for item in action.choices]
        name = action.option_strings[-1] if action.option_strings else str(action.metavar or action.dest)
        close = suggest.closest(str(value), choices)
        self.complain(
            f"`{self._called}`: {name}: found {value!r}, expected {_either(choices)}",
            f"did you mean `{close[0]}`?" if close else None,
        )


class TopParser(Parser):
    """The parser of the first word: its help lists the commands, grouped in the order of work."""

    groups: Mapping[str, Mapping[str, str]]

    def format_help(self) -> str:
        """Usage, the commands in their groups, the options."""
        lines = [self.format_usage(), f"{self.description}\n"]
        for title, commands in self.groups.items():
            lines.append(f"{title}:")
            lines += [f"  {name:<12} {words}" for name, words in commands.items()]
            lines.append("")
        formatter = self._get_formatter()
        formatter.start_section("options")
        formatter.add_arguments(self._actions)
        formatter.end_section()
        return "\n".join(lines) + f"\n{formatter.format_help()}\n{self.epilog}"


def add_format(parser: argparse.ArgumentParser) -> None:
    """Adds `--format`, the same for every command that shows something."""
    parser.add_argument(
        "--format", choices=("text", "json"), default="text", help="text for people (default) or json for programs"
    )


def add_tracer(parser: argparse.ArgumentParser, words: str = "default: strace, where it does not work kernel") -> None:
    """Adds `--tracer`, the same for every command that traces."""
    parser.add_argument("--tracer", metavar="TRACER", help=f"what to trace with ({words})")


def add_runner(parser: argparse.ArgumentParser, words: str = "default: $ENTRENAR_RUNNER, else host") -> None:
    """Adds `--runner`, the same for every command that carries out experiments."""
    parser.add_argument(
        "--runner",
        metavar="RUNNER",
        help="where to run: host (as this machine is), bwrap (the same, without network and read-only), "
        f"nix (hermetic: the toolchain of the lock, and what is declared); {words}",
    )


def add_verbs(parser: argparse.ArgumentParser) -> Any:
    """The place of a command's verbs; `add_verb` adds one."""
    return parser.add_subparsers(dest="verb", required=True, metavar="VERB", title="verbs")


def add_verb(verbs: Any, name: str, words: str, *, more: str = "", examples: Sequence[str] = ()) -> Parser:
    """One verb of a command: `words` in the list of verbs, also `more` and `examples` in its own help."""
    description = f"{words[0].upper()}{words[1:]}." + (f"\n\n{more}" if more else "")
    parser: Parser = verbs.add_parser(name, help=words, description=description, epilog=example_text(examples))
    return parser


def example_text(examples: Sequence[str]) -> str | None:
    """The examples that end a help text; None without any."""
    return "\n".join(["examples:", *(f"  {PROGRAM} {line}" for line in examples)]) if examples else None


def _either(choices: Sequence[str]) -> str:
    return " or ".join(part for part in (", ".join(choices[:-1]), choices[-1]) if part)
