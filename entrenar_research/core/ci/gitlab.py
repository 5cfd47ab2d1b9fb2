"""A pipeline of GitLab CI/CD: https://docs.gitlab.com/ci/yaml/."""

from __future__ import annotations

from typing import Final

PATH: Final = ".gitlab-ci.yml"


def document(*, version: str, python: str, packages: str | None) -> str:
    """The pipeline: this `version` of the tool on this `python`, and the study's own `packages` (a requirements file).

    Test results appear in merge requests, and so does a link to the Markdown summary.
    """
    requirements = f" -r {packages}" if packages else ""
    return f"""\
golden traces:
  image: python:{python}-slim-bookworm
  timeout: 1 hour
  before_script:
    - apt-get update -q
    - apt-get install -y -q --no-install-recommends git strace
    - python -m pip install "entrenar-research=={version}"{requirements}
    # Credentials of the remote are masked variables of the project, which dvc reads from its environment.
    - if [ -n "$(dvc remote list)" ]; then dvc pull; fi
  script:
    - entrenar-research golden check --junit golden.xml --markdown golden.md
  after_script:
    - if [ -f golden.md ]; then cat golden.md; fi
  artifacts:
    when: always
    expose_as: golden traces
    paths:
      - golden.md
      - golden.xml
    reports:
      junit: golden.xml
"""
