"""The files for continuous integration: what they install, run, keep and never show."""

from __future__ import annotations

import re
import shlex
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from ruamel.yaml import YAML

from entrenar_research.core.ci import github, gitlab, marking, pre_commit

CHECK = "entrenar-research golden check --junit golden.xml --markdown golden.md"


def loaded(text: str) -> Any:
    """As YAML 1.2 has it: `on` is a word there."""
    return YAML(typ="safe", pure=True).load(text)


@pytest.mark.parametrize("packages", [None, "requirements.txt"])
def test_the_workflow_of_github(packages: str | None) -> None:
    text = github.document(version="1.2.3", python="3.12", packages=packages)
    found = loaded(text)
    assert found["on"].keys() == {"push", "pull_request", "workflow_dispatch"}
    assert found["permissions"] == {"contents": "read"}
    (job,) = found["jobs"].values()
    steps = job["steps"]
    uses = [step["uses"] for step in steps if "uses" in step]
    assert all(re.fullmatch(r"actions/[a-z-]+@[0-9a-f]{40}", name) for name in uses)
    assert steps[0]["with"]["persist-credentials"] is False
    assert steps[1]["with"]["python-version"] == "3.12"
    scripts = [step["run"] for step in steps if "run" in step]
    wanted = 'pip install "entrenar-research==1.2.3"' + (" -r requirements.txt" if packages else "")
    assert "install -y -q --no-install-recommends strace" in scripts[0]
    assert scripts[0].rstrip().endswith(wanted)
    assert scripts[1:] == [
        'if [ -n "$(dvc remote list)" ]; then dvc pull; fi\n',
        CHECK,
        'if [ -f golden.md ]; then cat golden.md >> "$GITHUB_STEP_SUMMARY"; fi\n',
    ]
    after = steps[[step.get("run") for step in steps].index(CHECK) + 1 :]
    assert len(after) == 2
    assert all(step["if"] == "${{ !cancelled() }}" for step in after), "reports are kept when the check fails"
    assert after[1]["with"]["path"].split() == ["golden.xml", "golden.md"]
    assert "${{ secrets" not in text


@pytest.mark.parametrize("packages", [None, "requirements.txt"])
def test_the_pipeline_of_gitlab(packages: str | None) -> None:
    (job,) = loaded(gitlab.document(version="1.2.3", python="3.12", packages=packages)).values()
    assert job["image"] == "python:3.12-slim-bookworm"
    assert job["script"] == [CHECK]
    assert any("strace" in line for line in job["before_script"])
    assert 'if [ -n "$(dvc remote list)" ]; then dvc pull; fi' in job["before_script"]
    assert any(line.endswith(" -r requirements.txt") for line in job["before_script"]) is (packages is not None)
    assert job["artifacts"]["when"] == "always"
    assert job["artifacts"]["reports"] == {"junit": "golden.xml"}
    assert job["artifacts"]["paths"] == ["golden.md", "golden.xml"]


def test_the_configuration_of_pre_commit() -> None:
    ((repository,),) = loaded(pre_commit.document()).values()
    (hook,) = repository["hooks"]
    assert repository["repo"] == "local"
    assert (hook["language"], hook["always_run"], hook["pass_filenames"]) == ("system", True, False)
    shell, option, script = shlex.split(hook["entry"])
    assert (shell, option) == ("sh", "-c")
    assert script == "unset $(git rev-parse --local-env-vars); exec entrenar-research golden check"
    assert script in pre_commit.script()


@given(st.text(alphabet="abc#!\n ", max_size=30))
def test_the_mark_tells_what_was_changed(text: str) -> None:
    text += "\n"
    marked = marking.marked(text)
    assert marking.untouched(marked)
    assert not marking.untouched(text)
    assert marked.startswith("#!") == text.startswith("#!")
    assert not marking.untouched(marked + "x")
    assert not marking.untouched(marked.replace("sha256:", "sha256:0"))
