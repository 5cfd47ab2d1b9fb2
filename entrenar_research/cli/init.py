"""Make a new study: a Git and DVC repository with its description, experiments and data."""

from __future__ import annotations

import argparse
import re
import shlex
import unicodedata
from pathlib import Path

import msgspec

from entrenar_research import workspace
from entrenar_research.actions import init as action
from entrenar_research.cli import asking
from entrenar_research.core.citing import licences, orcid, person_names, ror
from entrenar_research.errors import UsageError
from entrenar_research.models.study import Affiliation, Person, Study
from entrenar_research.store import templates
from entrenar_research.views.terminal.screen import Screen

_UNPRINTABLE = ("Cc", "Cs", "Zl", "Zp")  # control characters, broken UTF-8, line separators
EXAMPLES = (
    "init study",
    'init study --title "A line through points" --author "Ada Lovelace" --license MIT',
    'init demo --template digits --title "Handwritten digits" --author "Ada Lovelace" --license MIT',
)


def configure(parser: argparse.ArgumentParser) -> None:
    """Adds the options of `init`."""
    add = parser.add_argument
    add("directory", metavar="DIR", help="where the study is to be: new, empty, or a Git repository")
    add("--title", metavar="TEXT", help="the study's title")
    add("--author", action="append", metavar="NAME", help='"Given Family" or "Family, Given"; repeat for each author')
    add("--orcid", action="append", default=[], metavar="ID", help="ORCID of the authors, in their order")
    add(
        "--affiliation", action="append", default=[], metavar="NAME", help="affiliations of the authors, in their order"
    )
    add("--ror", action="append", default=[], metavar="ID", help="ROR of the affiliations, in their order")
    add("--license", metavar="SPDX", help="the study's licence: an SPDX expression such as MIT or CC-BY-4.0")
    add("--description", metavar="TEXT", help="a sentence or two on what it is about")
    add("--keyword", action="append", default=[], metavar="WORD", help="a keyword; repeat for each")
    add(
        "--template",
        default="empty",
        metavar="NAME",
        help="what to begin with: empty (default); digits, three experiments on handwritten digits; or operations, six"
        " small scripts with golden traces",
    )


def execute(args: argparse.Namespace) -> int:
    """Makes the study and says what to do next."""
    if not args.directory:
        raise UsageError("DIR is empty: expected the name of a directory", hint="`.` is the one you are in")
    directory = Path(args.directory)
    action.check_place(directory)
    root = workspace.templates()
    template = templates.load(root, args.template)
    study = _study(args)
    made = action.init(
        directory,
        study,
        template=args.template,
        templates_root=root,
        citation=workspace.citation("cff"),
        identity=_identity(directory),
    )
    screen = Screen()
    screen.line(f"made the study {study.title!r} in {args.directory} (commit {made.commit[:10]})", "good")
    if made.inside is not None:
        screen.line(f"note: it lies inside the Git repository {made.inside}; let that one ignore it", "doubt")
    if made.experiments:
        screen.line(f"experiments: {', '.join(made.experiments)}")
    for program, names in made.left_out.items():
        screen.line(f"note: {program} is not installed, so {', '.join(names)} were left out", "doubt")
    step = f"run {made.experiments[-1]}" if made.experiments else "experiment add NAME -- COMMAND"
    change = "" if made.root == Path.cwd() else f"cd {shlex.quote(args.directory)} && "
    screen.line(f"next: {change}entrenar-research {step}")
    if "Makefile" in template.files:
        screen.line("later: `make golden` checks golden traces, `make hermetic` has Nix build everything", "quiet")
    return 0


def _study(args: argparse.Namespace) -> Study:
    """The description of the study, from options and, on a terminal, answers."""
    return Study(
        title=_given(args.title, "title", "Title of the study", "give --title 'My study'"),
        authors=_authors(args),
        license=_licence(args.license),
        description=_text("description", args.description, lines=True) if args.description else None,
        keywords=tuple(_text("keyword", word) for word in args.keyword),
    )


def _given(value: str | None, what: str, question: str, hint: str) -> str:
    if value is not None:
        return _text(what, value)
    return asking.ask(question, lambda answer: _text(what, answer), missing=f"a study needs a {what}", hint=hint)


def _text(what: str, value: str, *, lines: bool = False) -> str:
    """`value` without outer blanks, if it is text that every format can hold.

    Raises:
        UsageError: if it is empty, not UTF-8, or holds control characters (line breaks too, unless `lines`).
    """
    text = value.strip()
    if not text:
        raise UsageError(f"{what} {value!r} is empty: expected some text")
    for letter in text:
        if unicodedata.category(letter) in _UNPRINTABLE and not (lines and letter == "\n"):
            kind = (
                "a byte that is not UTF-8" if "\udc80" <= letter <= "\udcff" else f"the character U+{ord(letter):04X}"
            )
            raise UsageError(f"{what} {value!r} holds {kind}: expected {'text' if lines else 'one line of text'}")
    return text


def _licence(value: str | None) -> str:
    if value is not None:
        return licences.parse_licence(value)
    hint = "give --license, for example --license MIT"
    return asking.ask(
        "Licence (SPDX)", licences.parse_licence, missing="a study needs a licence", hint=hint, default="MIT"
    )


def _authors(args: argparse.Namespace) -> tuple[Person, ...]:
    for option, values, more in (("--orcid", args.orcid, "--author"), ("--affiliation", args.affiliation, "--author")):
        if len(values) > max(len(args.author or ()), 1):
            raise UsageError(
                f"{option} is given {len(values)} times, {more} {len(args.author or ())} times",
                hint=f"give one {option} for each author, in their order; '' stands for none",
            )
    if len(args.ror) > len(args.affiliation):
        raise UsageError(
            f"--ror is given {len(args.ror)} times, --affiliation {len(args.affiliation)} times",
            hint="give one --ror for each affiliation, in their order; '' stands for none",
        )
    people = _people(args.author)
    columns = [[*values, *[""] * (len(people) - len(values))] for values in (args.orcid, args.affiliation, args.ror)]
    people = [_person(person, *row) for person, *row in zip(people, *columns, strict=True)]
    identifiers = [person.orcid for person in people if person.orcid]
    for identifier in identifiers:
        if identifiers.count(identifier) > 1:
            raise UsageError(f"ORCID {identifier} is given for two authors: it names one person")
    return tuple(people)


def _people(names: list[str] | None) -> list[Person]:
    if names:
        return [person_names.parse_author(_text("author", name)) for name in names]
    hint = 'give --author "Given Family"'
    question = "Author (Given Family)"
    return [asking.ask(question, person_names.parse_author, missing="a study needs an author", hint=hint)]


def _person(person: Person, identifier: str, organisation: str, ror_id: str) -> Person:
    if identifier:
        person = msgspec.structs.replace(person, orcid=orcid.parse_orcid(identifier))
    if organisation:
        name = _text("affiliation", organisation)
        place = Affiliation(name=name, ror=ror.parse_ror(ror_id) if ror_id else None)
        person = msgspec.structs.replace(person, affiliations=(place,))
    return person


def _identity(directory: Path) -> action.Identity | None:
    """The identity to write into the new repository: None where Git has one already."""
    if action.check_identity(directory) is not None:
        return None
    hint = "git config --global user.name 'Your Name'; git config --global user.email you@example.org"
    missing = "Git does not know who you are, and the first commit needs a name and an e-mail address"
    name = asking.ask("Your name, for Git commits", lambda text: _text("name", text), missing=missing, hint=hint)
    email = asking.ask("Your e-mail, for Git commits", _address, missing=missing, hint=hint)
    return action.Identity(name=name, email=email)


def _address(text: str) -> str:
    if not re.fullmatch(r"[^@\s<>]+@[^@\s<>]+", text):
        raise UsageError(f"{text!r}: expected an e-mail address such as you@example.org")
    return text
