"""A workflow of GitHub Actions: https://docs.github.com/actions/reference/workflows-and-actions/workflow-syntax."""

from __future__ import annotations

from typing import Final

PATH: Final = ".github/workflows/golden.yml"

# Actions are named by commit, which nobody can move; the comment is the release that it is.
_CHECKOUT: Final = "actions/checkout@11bd71901bbe5b1630ceea73d27597364c9af683 # v4.2.2"
_PYTHON: Final = "actions/setup-python@a26af69be951a213d495a4c3e4e4022e16d87065 # v5.6.0"
_UPLOAD: Final = "actions/upload-artifact@ea165f8d65b6e75b540449e92b4886f43607fa02 # v4.6.2"

# Reports are shown and kept also where the check failed.
_REPORTS: Final = f"""\
      - name: Show the summary
        if: ${{{{ !cancelled() }}}}
        run: |
          if [ -f golden.md ]; then cat golden.md >> "$GITHUB_STEP_SUMMARY"; fi
      - name: Keep the reports
        if: ${{{{ !cancelled() }}}}
        uses: {_UPLOAD}
        with:
          name: golden-traces
          path: |
            golden.xml
            golden.md
          if-no-files-found: warn
"""


def document(*, version: str, python: str, packages: str | None) -> str:
    """The workflow: this `version` of the tool on this `python`, and the study's own `packages` (a requirements file).

    `dvc pull` is skipped where no remote is set. Where the remote needs credentials, give them to that step alone.
    """
    requirements = f" -r {packages}" if packages else ""
    return f"""\
name: golden traces

on:
  push:
  pull_request:
  workflow_dispatch:

permissions:
  contents: read

jobs:
  golden:
    runs-on: ubuntu-24.04
    timeout-minutes: 60
    steps:
      - uses: {_CHECKOUT}
        with:
          persist-credentials: false
      - uses: {_PYTHON}
        with:
          python-version: "{python}"
      - name: Install strace and the tool
        run: |
          sudo apt-get update -q
          sudo apt-get install -y -q --no-install-recommends strace
          python -m pip install "entrenar-research=={version}"{requirements}
      - name: Fetch the data
        # Credentials of the remote belong here: env, with values from secrets.
        run: |
          if [ -n "$(dvc remote list)" ]; then dvc pull; fi
      - name: Check the golden traces
        run: entrenar-research golden check --junit golden.xml --markdown golden.md
{_REPORTS}"""
