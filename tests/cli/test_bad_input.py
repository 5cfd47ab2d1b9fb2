"""Bad input: a message that names thing, found, expected and next step; the right exit code; nothing lost."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.cli.conftest import Door, tree
from tests.conftest import World

DECLARATION = "experiments/line/experiment.yaml"
PARAMS = "experiments/line/params.yaml"
Edit = Callable[[Path], object]


def replace(file: str, old: str, new: str) -> Edit:
    def edit(study: Path) -> None:
        text = (study / file).read_text()
        assert old in text
        (study / file).write_text(text.replace(old, new))

    return edit


def write(file: str, text: str) -> Edit:
    return lambda study: (study / file).write_text(text)


def command(text: str) -> Edit:
    return replace(
        DECLARATION, "command: python experiments/line/train.py data/points.csv ${params} ${result}", f"command: {text}"
    )


@pytest.mark.parametrize(
    ("edit", "message"),
    [
        (command(""), "line 2: `command`: expected str, got null"),
        (command('""'), "line 2: `command`: '' is empty; expected a program and its arguments"),
        (command("it's"), ("line 2: `command`: \"it's\" cannot be split into words (no closing quotation); "
                           "expected a program and its arguments")),
        (command("[python, x]"), "line 2: `command`: expected str, got list"),
        (command("false"), "line 2: `command`: expected str, got bool"),
        (replace(DECLARATION, "command:", "comand:"), "line 2: unknown key `comand`; did you mean `command`?"),
        (replace(DECLARATION, "trace: full", "trace: ful"),
         "line 12: `trace`: invalid value 'ful', expected one of: full, none, observe"),
        (replace(DECLARATION, "[data/points.csv]", "data/points.csv"), "line 5: `inputs`: expected list, got str"),
        (replace(DECLARATION, "[data/points.csv]", "[3]"), "line 5: `inputs[0]`: expected str, got int"),
        (replace(DECLARATION, "[data/points.csv]", "[../points.csv]"),
         "line 5: '../points.csv': expected a path inside the study, relative to it"),
        (replace(DECLARATION, "[data/points.csv]", "[/etc/passwd]"),
         "line 5: '/etc/passwd': expected a path inside the study, relative to it"),
        (replace(DECLARATION, "[data/points.csv]", "[data/points.csv"),
         "line 6, column 8: did not find expected ',' or ']'\n  outputs: [curve.csv, metrics.json]\n         ^"),
        (replace(DECLARATION, "trace: full\n", "trace: full\n\tx: 1\n"),
         "line 13, column 1: found a tab character that violates indentation\n  \tx: 1\n  ^"),
        (replace(DECLARATION, "trace: full", "trace: full\ntrace: none"),
         "line 13: the key `trace` stands a second time (first: line 12)"),
        (replace(DECLARATION, "goal: minimize", "goal: minimise"),
         "line 8: `metrics.loss.goal`: invalid value 'minimise', expected one of: maximize, minimize, none"),
        (replace(DECLARATION, "absolute: 0.001", "absolute: lots"),
         "line 8: `metrics.loss.tolerance.absolute`: expected float, got str"),
        (replace(DECLARATION, "absolute: 0.001", "absolute: -1"),
         "line 8: `metrics.loss.tolerance.absolute`: found -1, expected a number that is zero or greater"),
        (replace(DECLARATION, "relative: 0.01", "relative: .nan"),
         "line 9: `metrics.weight.tolerance.relative`: found nan, expected a number that is zero or greater"),
        (replace(DECLARATION, "file: metrics.json, goal", "file: other.json, goal"),
         ("line 8: the metric `loss` is read from 'other.json', which is not among the outputs "
          "(curve.csv, metrics.json)")),
        (write(DECLARATION, "- a\n"), "line 1: expected mapping, got list"),
        (write(DECLARATION, "hello\n"), "line 1: expected mapping, got str"),
        (write(DECLARATION, ""), "line 1: the key `command` is missing"),
    ],
)  # fmt: skip
def test_a_wrong_declaration(edit: Edit, message: str, door: Door, tiny: Path) -> None:
    edit(tiny)
    before = tree(tiny)
    joint = "" if message.startswith(":") else ", "
    for words in (("run", "line"), ("experiment", "show", "line")):
        said = door(*words, cwd=tiny)
        assert (said.status, said.out) == (2, "")
        assert said.complaint[0] == f"{DECLARATION}{joint}{message}"
    assert tree(tiny) == before


@pytest.mark.parametrize(
    ("edit", "status", "message", "hint"),
    [
        (lambda s: (s / "data/points.csv").unlink(), 2,
         "missing input: data/points.csv (declared in experiments/line/experiment.yaml)", "`dvc pull data/points.csv`"),
        (lambda s: (s / "experiments/line/slope.py").unlink(), 2,
         "missing code file: experiments/line/slope.py (declared in experiments/line/experiment.yaml)",
         "put the file there, or correct the path in the declaration"),
        (lambda s: (s / PARAMS).unlink(), 2,
         f"{PARAMS}: no such file; {DECLARATION} declares it as the params file", ""),
        (write(PARAMS, "rate: [\n"), 2, f"{PARAMS}, line 2, column 1: ", ""),
        (write(PARAMS, "- 1\n"), 2, f"{PARAMS}, line 1: expected mapping, got list", ""),
        (command("pythn x.py"), 2, "command not found: pythn", "PATH was searched"),
        (replace(DECLARATION, "${params}", "${parms}"), 2, "no placeholder named 'parms'", "did you mean `params`"),
        (lambda s: (s / DECLARATION).write_bytes(b"\xff\xfe"), 2, f"{DECLARATION}: not UTF-8 text (byte 0)", ""),
        (write("dvc.yaml", "{"), 2, "dvc.yaml, line 2, column 1: ", ""),
        (write("study.yaml", "title: A line\n"), 0, "", ""),
    ],
)  # fmt: skip
def test_what_a_run_needs(edit: Edit, status: int, message: str, hint: str, door: Door, tiny: Path) -> None:
    edit(tiny)
    before = tree(tiny)
    said = door("run", "line", cwd=tiny)
    assert said.status == status, said
    if status:
        assert message in said.complaint[0]
        assert hint in said.complaint[1]
        assert said.out == ""
    assert tree(tiny) == before


def test_an_input_that_leads_out_of_the_study(door: Door, tiny: Path, tmp_path: Path) -> None:
    outside = tmp_path / "secret.csv"
    outside.write_text("1,2\n")
    (tiny / "data/points.csv").unlink()
    (tiny / "data/points.csv").symlink_to(outside)
    before = tree(tiny)
    said = door("run", "line", cwd=tiny)
    assert said.status == 2
    assert said.complaint == (
        f"input 'data/points.csv' is, or lies behind, a symbolic link that leaves the study (to {outside})",
        "copy the file into the study: a stranger does not have what lies outside",
    )
    assert tree(tiny) == before


def test_a_directory_without_declaration(door: Door, tiny: Path) -> None:
    (tiny / "experiments/other").mkdir()
    said = door("run", "other", cwd=tiny)
    assert said.status == 2
    assert said.complaint == (
        "experiments/other: expected a file experiment.yaml in it, found none",
        "declare one with `entrenar-research experiment add NAME -- COMMAND`",
    )
    (tiny / DECLARATION).unlink()
    (tiny / DECLARATION).mkdir()
    said = door("run", "line", cwd=tiny)
    assert (
        said.complaint[0] == "experiments/line: expected a file experiment.yaml in it, found a directory of that name"
    )
    assert door("experiment", "list", cwd=tiny).out.startswith("no experiments yet")


@pytest.mark.parametrize(
    "words",
    ["run x", "status", "runs list", "golden list", "seal experiment x -m y", "cite", "verify", "experiment list",
     "bundle -o x.crate.zip"],
)  # fmt: skip
def test_not_in_a_study(words: str, door: Door, tmp_path: Path) -> None:
    said = door(*words.split(), cwd=tmp_path)
    assert said.status == 2
    assert said.complaint == (
        f"{tmp_path}: not inside a study: there is no study.yaml here or in a directory above",
        "make one with `entrenar-research init DIR`, or change into one",
    )


@pytest.mark.parametrize("words", ["status", "run line", "runs list", "golden list", "verify --no-replay"])
def test_from_below_and_by_name(words: str, door: Door, tiny: Path) -> None:
    here = door(*words.split(), cwd=tiny)
    assert here.status == 0
    assert door(*words.split(), cwd=tiny / "experiments/line") == here
    assert door("-C", str(tiny / "data"), *words.split(), cwd=tiny.parent) == here


@pytest.mark.parametrize(
    ("edit", "message"),
    [
        (write("study.yaml", "title: T\n"), "study.yaml, line 1: the key `authors` is missing"),
        (replace("study.yaml", "license:", "licence:"), "unknown key `licence`; did you mean `license`?"),
        (replace("study.yaml", "title: A line", "title: 3"), "study.yaml, line 1: `title`: expected str, got int"),
        (replace("study.yaml", "title: A line", "title: {"), "study.yaml, line 3, column 1: "),
        (
            replace("study.yaml", "authors:\n- family: Lovelace\n  given: Ada", "authors: []"),
            "`authors` is empty: expected at least one",
        ),
    ],
)
def test_a_wrong_study_file(edit: Edit, message: str, door: Door, tiny: Path) -> None:
    edit(tiny)
    for words in ("status", "cite"):
        said = door(*words.split(), cwd=tiny)
        assert (said.status, said.out) == (2, "")
        assert message in said.complaint[0]


def test_a_licence_that_is_none_is_found_when_citing(door: Door, tiny: Path) -> None:
    replace("study.yaml", "license: MIT", "license: MITT")(tiny)
    said = door("cite", cwd=tiny)
    assert said.status == 2
    assert said.complaint[0] == "study.yaml: license: licence 'MITT' is not an SPDX id"
    assert "MIT" in said.complaint[1]


def test_a_failing_command(door: Door, tiny: Path) -> None:
    result = tree(tiny / "experiments/line/result")
    replace("experiments/line/train.py", 'print(f"weight', 'sys.exit("no luck")\nprint(f"weight')(tiny)
    said = door("run", "line", "--quiet", cwd=tiny)
    assert said.status == 1
    message, hint = said.complaint
    assert message == ("the command of line ended with exit status 1; the last good result is untouched\n  no luck")
    failed = Path(hint.removeprefix("its output is in "))
    assert (tiny / failed / "stderr.txt").read_text() == "no luck\n"
    assert tree(tiny / "experiments/line/result") == result
    shown = door("runs", "list", cwd=tiny).out.splitlines()
    assert [line.split()[2] for line in shown[1:]] == ["completed", "failed"]


def test_no_git_identity(door: Door, tiny: Path, tmp_path: Path) -> None:
    home = tmp_path / "nobody"
    shutil.copytree(tmp_path, home, ignore=shutil.ignore_patterns("*"))
    said = door("seal", "experiment", "line", "-m", "x", cwd=tiny, env={"HOME": str(home)})
    assert said.status == 2
    assert "there is no key" in said.complaint[0]
    door("keys", "new", cwd=home)
    said = door("seal", "experiment", "line", "-m", "x", cwd=tiny)
    assert said.status == 2
    assert said.complaint == (
        "Git does not know who you are; a seal names its author",
        "git config --global user.name 'Your Name'; git config --global user.email you@example.org",
    )


def test_no_signing_key(door: Door, tiny: Path, tmp_path: Path) -> None:
    before = tree(tiny)
    said = door("seal", "experiment", "line", "-m", "x", cwd=tiny, env={"XDG_CONFIG_HOME": str(tmp_path / "c")})
    assert said.status == 2
    assert said.complaint == (
        f"{tmp_path}/c/entrenar-research/keys/id_ed25519: there is no key",
        "make one with `entrenar-research keys new`",
    )
    assert tree(tiny) == before
    assert not (tmp_path / "c").exists()


def test_without_a_repository(door: Door, tiny: Path) -> None:
    shutil.rmtree(tiny / ".git")
    said = door("status", cwd=tiny)
    assert said.status == 0
    assert said.out.startswith("A line (no Git repository)\n")
    assert "in no commit" not in said.out
    assert door("run", "line", cwd=tiny).status == 0
    said = door("seal", "experiment", "line", "-m", "x", cwd=tiny)
    assert said.status == 2
    assert said.complaint[0] == f"{tiny}: there is no Git repository, so there are no commits and no tags"


def test_somebody_elses_study(world: World, tiny: Path, nobody: list[str], tmp_path: Path) -> None:
    home = tmp_path / "other"
    home.mkdir(mode=0o777)
    home.chmod(0o777)
    before = tree(tiny)
    call = [*nobody, "env", f"HOME={home}", "entrenar-research"]
    done = world.run(*call, "status", cwd=tiny, status=2)
    assert done.stderr == (
        f"error: Git refuses {tiny}: it belongs to another user\n"
        f"hint: copy the study, or run `git config --global --add safe.directory {tiny}`\n"
    )
    done = world.run(*call, "cite", "--write", cwd=tiny, status=1)
    assert "cannot write CITATION.cff: Permission denied" in done.stderr
    done = world.run(*call, "run", "line", "--force", cwd=tiny, status=1)
    assert "Permission denied" in done.stderr
    assert "hint: " in done.stderr
    assert tree(tiny) == before


@pytest.mark.parametrize("place", ["keys", "nowhere/x.crate.zip"])
def test_a_bundle_has_to_be_a_new_file_in_a_directory(place: str, door: Door, tiny: Path) -> None:
    target = f"{place}/x.crate.zip" if place == "keys" else place
    (tiny / "keys/x.crate.zip").mkdir()
    said = door("bundle", "-o", target, cwd=tiny)
    assert said.status == 2
    wanted = {"keys": "is a directory; expected the name of the file to write", "nowhere/x.crate.zip": "no directory"}
    assert wanted[place] in said.complaint[0]
