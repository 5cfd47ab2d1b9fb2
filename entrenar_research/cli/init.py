"""Make a new study: a Git and DVC repository with its description, experiments and data."""

from __future__ import annotations

import argparse
import itertools
from pathlib import Path

import msgspec

from entrenar_research import workspace
from entrenar_research.actions import init as action
from entrenar_research.cli import asking
from entrenar_research.core import licences, orcid, person_names, ror
from entrenar_research.errors import UsageError
from entrenar_research.models.study import Affiliation, Person, Study
from entrenar_research.store import templates
from entrenar_research.views.terminal.screen import Screen


def configure(parser: argparse.ArgumentParser) -> None:
    """Adds the options of `init`."""
    parser.add_argument(
        "directory", metavar="DIR", help="where the study is to be: new, empty, or a Git repository"
    )
    parser.add_argument("--title", help="the study's title")
    parser.add_argument(
        "--author",
        action="append",
        metavar='"Given Family"',
        help="an author; repeat for each; 'Family, Given' also works",
    )
    parser.add_argument(
        "--orcid", action="append", default=[], metavar="ID", help="ORCID of the authors, in their order"
    )
    parser.add_argument(
        "--affiliation",
        action="append",
        default=[],
        metavar="NAME",
        help="affiliation of the authors, in their order",
    )
    parser.add_argument(
        "--ror", action="append", default=[], metavar="ID", help="ROR of the affiliations, in their order"
    )
    parser.add_argument(
        "--license", metavar="SPDX", help="licence of the study, an SPDX expression such as MIT"
    )
    parser.add_argument("--description", help="a sentence or two on what it is about")
    parser.add_argument(
        "--keyword", action="append", default=[], metavar="WORD", help="a keyword; repeat for each"
    )
    parser.add_argument(
        "--template", default="empty", metavar="NAME", help="digits or empty (default: empty)"
    )


def execute(args: argparse.Namespace) -> int:
    """Makes the study and says what to do next."""
    directory = Path(args.directory)
    action.check_place(directory)
    root = workspace.templates()
    templates.load(root, args.template)
    study = Study(
        title=args.title
        or asking.ask("Title of the study", missing="a study needs a title", hint="give --title 'My study'"),
        authors=_authors(args),
        license=licences.parse_licence(
            args.license
            or asking.ask(
                "Licence (SPDX)",
                missing="a study needs a licence",
                hint="give --license, for example MIT",
                default="MIT",
            )
        ),
        description=args.description,
        keywords=tuple(args.keyword),
    )
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
    if made.experiments:
        screen.line(f"experiments: {', '.join(made.experiments)}")
        screen.line(f"next: cd {args.directory} && entrenar-research run {made.experiments[-1]}")
    else:
        screen.line(f"next: cd {args.directory} && entrenar-research experiment add NAME -- COMMAND")
    return 0


def _authors(args: argparse.Namespace) -> tuple[Person, ...]:
    names = args.author or [
        asking.ask(
            "Author (Given Family)", missing="a study needs an author", hint='give --author "Given Family"'
        )
    ]
    for option, values in (("--orcid", args.orcid), ("--affiliation", args.affiliation)):
        if len(values) > len(names):
            raise UsageError(
                f"{len(values)} times {option} for {len(names)} author(s)",
                hint="one for each author, in order",
            )
    if len(args.ror) > len(args.affiliation):
        raise UsageError(f"{len(args.ror)} times --ror for {len(args.affiliation)} affiliation(s)")
    people = []
    for name, identifier, organisation, ror_id in itertools.zip_longest(
        names, args.orcid, args.affiliation, args.ror
    ):
        person = person_names.parse_author(name)
        if identifier:
            person = msgspec.structs.replace(person, orcid=orcid.parse_orcid(identifier))
        if organisation:
            place = Affiliation(name=organisation, ror=ror.parse_ror(ror_id) if ror_id else None)
            person = msgspec.structs.replace(person, affiliations=(place,))
        people.append(person)
    return tuple(people)


def _identity(directory: Path) -> action.Identity | None:
    """The identity to write into the new repository: None where Git has one already."""
    if action.check_identity(directory) is not None:
        return None
    hint = "git config --global user.name 'Your Name'; git config --global user.email you@example.org"
    missing = "Git does not know who you are, and the first commit needs a name and an e-mail address"
    name = asking.ask("Your name, for Git commits", missing=missing, hint=hint)
    return action.Identity(
        name=name, email=asking.ask("Your e-mail, for Git commits", missing=missing, hint=hint)
    )
