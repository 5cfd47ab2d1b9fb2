"""Hooks of Git: for the framework pre-commit (https://pre-commit.com), and as a plain script."""

from __future__ import annotations

from typing import Final

PATH: Final = ".pre-commit-config.yaml"
HOOK: Final = "pre-commit"
"""The name of the plain script in Git's directory of hooks."""

# Git tells its hooks which index and which repository; what a check runs is to find its own.
_CHECK: Final = "unset $(git rev-parse --local-env-vars); exec entrenar-research golden check"


def document() -> str:
    """The framework's configuration: one local hook, which runs on every commit, whatever was changed."""
    return f"""\
repos:
  - repo: local
    hooks:
      - id: golden-traces
        name: golden traces
        entry: sh -c '{_CHECK}'
        language: system
        always_run: true
        pass_filenames: false
        require_serial: true
        verbose: true
        stages: [pre-commit]
"""


def script() -> str:
    """The plain hook: refuses the commit where a golden trace does not hold."""
    return f"""\
#!/bin/sh
# Checks the golden traces of what is checked out before each commit; `git commit --no-verify` goes without.
cd "$(git rev-parse --show-toplevel)" || exit
{_CHECK}
"""
