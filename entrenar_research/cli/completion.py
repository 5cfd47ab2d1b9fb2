"""Print a script that completes commands, options and files in your shell."""

from __future__ import annotations

import argparse
import sys

from entrenar_research.cli import front

EXAMPLES = ("completion bash > ~/.local/share/bash-completion/completions/entrenar-research",)


def configure(parser: argparse.ArgumentParser) -> None:
    """Adds the options of `completion`."""
    parser.add_argument("shell", metavar="SHELL", choices=("bash", "zsh", "tcsh"), help="bash, zsh or tcsh")


def execute(args: argparse.Namespace) -> int:
    """Builds the whole parser and prints the script."""
    import shtab  # needed here only

    parser = front.top_parser()
    commands = parser.add_subparsers()
    for name, words in front.COMMANDS.items():
        built = front.command_parser(name)
        commands.add_parser(name, parents=[built], add_help=False, help=words)
    sys.stdout.write(shtab.complete(parser, shell=args.shell))
    return 0
