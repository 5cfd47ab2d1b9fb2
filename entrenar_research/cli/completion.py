"""Print a completion script for your shell, for example:
entrenar-research completion bash > ~/.local/share/bash-completion/completions/entrenar-research
"""

from __future__ import annotations

import argparse
import sys

from entrenar_research.cli import front


def configure(parser: argparse.ArgumentParser) -> None:
    """Adds the options of `completion`."""
    parser.add_argument("shell", choices=("bash", "zsh", "tcsh"))


def execute(args: argparse.Namespace) -> int:
    """Builds the whole parser and prints the script."""
    import shtab  # needed here only

    parser = argparse.ArgumentParser(prog="entrenar-research", description="Make a study checkable.")
    commands = parser.add_subparsers()
    for name, words in front.COMMANDS.items():
        built = front.command_parser(name)
        commands.add_parser(name, parents=[built], add_help=False, help=words)
    sys.stdout.write(shtab.complete(parser, shell=args.shell))
    return 0
