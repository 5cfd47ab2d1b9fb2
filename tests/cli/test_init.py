"""`init`: asks on a terminal, never in a pipe; takes only a place that is free; a failure leaves nothing."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from entrenar_research.store.yaml_text import Document
from tests.cli.conftest import Door, Terminal, tree
from tests.conftest import World

GIVEN = ("--title", "T", "--author", "Ada Lovelace", "--license", "MIT")
FILES = {".dvc", ".dvcignore", ".git", ".gitattributes", ".gitignore", "CITATION.cff", "README.md", "study.yaml"}
UNKNOWN = "Git does not know who you are, and the first commit needs a name and an e-mail address"
CONFIGURE = "git config --global user.name 'Your Name'; git config --global user.email you@example.org"


def described(study: Path) -> dict[str, object]:
    value = Document((study / "study.yaml").read_text(), "study.yaml").value
    assert isinstance(value, dict)
    return value


@pytest.mark.parametrize(
    ("words", "message", "hint"),
    [
        ((), "a study needs a title", "give --title 'My study'"),
        (("--title", "T"), "a study needs an author", 'give --author "Given Family"'),
        (GIVEN[:4], "a study needs a licence", "give --license, for example --license MIT"),
        (("--title", "  "), "title '  ' is empty: expected some text", ""),
        (("--title", "two\nlines"), "title 'two\\nlines' holds the character U+000A: expected one line of text", ""),
        (("--title", "\x1b[2J"), "title '\\x1b[2J' holds the character U+001B: expected one line of text", ""),
        (("--title", "x\udcff"), "title 'x\\udcff' holds a byte that is not UTF-8: expected one line of text", ""),
        ((*GIVEN, "--keyword", ""), "keyword '' is empty: expected some text", ""),
        (("--title", "T", "--author", ""), "author '' is empty: expected some text", ""),
        (("--title", "T", "--author", "A and B"), "author 'A and B': \"and\" separates two authors", None),
        ((*GIVEN, "--license", "MITT"), "licence 'MITT' is not an SPDX id", None),
        ((*GIVEN, "--license", ""), "licence '' names no licence", None),
        ((*GIVEN, "--orcid", "0000-0002-1825-0098"), (
            "ORCID 0000-0002-1825-0098: the last character should be 7 (ISO 7064 MOD 11-2), found 8; "
            "one of its characters is mistyped"
        ), "Copy the identifier from the person's page at https://orcid.org."),
        ((*GIVEN, "--orcid", "12"), (
            "ORCID '12': expected four groups of four digits such as 0000-0002-1825-0097, "
            "bare or after https://orcid.org/"
        ), None),
        ((*GIVEN, "--orcid", "", "--orcid", ""), "--orcid is given 2 times, --author 1 times",
         "give one --orcid for each author, in their order; '' stands for none"),
        ((*GIVEN, "--author", "B C", "--orcid", "0000-0002-1825-0097", "--orcid", "0000-0002-1825-0097"),
         "ORCID 0000-0002-1825-0097 is given for two authors: it names one person", ""),
        ((*GIVEN, "--ror", "x"), "--ror is given 1 times, --affiliation 0 times",
         "give one --ror for each affiliation, in their order; '' stands for none"),
        ((*GIVEN, "--template", "nope"), "no template named 'nope'", "there is: digits, empty, operations"),
    ],
)  # fmt: skip
def test_a_pipe_is_told_what_is_missing_or_wrong(
    words: tuple[str, ...], message: str, hint: str | None, door: Door, tmp_path: Path
) -> None:
    here = tmp_path / "here"
    here.mkdir()
    said = door("init", "new/study", *words, cwd=here)
    assert (said.status, said.out) == (2, "")
    assert said.complaint[0] == message
    assert hint is None or said.complaint[1] == hint
    assert os.listdir(here) == []


def test_a_terminal_is_asked_until_the_answers_will_do(terminal: Terminal, world: World, tmp_path: Path) -> None:
    answers = [
        ("Title of the study: ", "\n"),
        ("title '' is empty", "Eine Linie\n"),
        ("Author (Given Family): ", "Ada Lovelace, \n"),
        ("nothing stands on one side of a comma", "Ada Lovelace\n"),
        ("Licence (SPDX) [MIT]: ", "MITT\n"),
        ("Did you mean MIT", "\n"),
    ]
    said = terminal("entrenar-research", "init", "study", cwd=tmp_path, answers=answers)
    assert said.status == 0, said.out
    assert described(tmp_path / "study") == {
        "title": "Eine Linie", "authors": [{"family": "Lovelace", "given": "Ada"}], "license": "MIT",
    }  # fmt: skip
    log = world.run("git", "log", "--format=%an <%ae> %s", cwd=tmp_path / "study").stdout
    assert log == "Ada Lovelace <ada@example.org> Begin the study: Eine Linie\n"


def test_the_end_of_input_ends_the_questions(terminal: Terminal, tmp_path: Path) -> None:
    said = terminal("entrenar-research", "init", "study", cwd=tmp_path, answers=[("Title of the study: ", "\x04")])
    assert said.status == 2
    assert "error: a study needs a title\nhint: give --title 'My study'\n" in said.out
    assert os.listdir(tmp_path) == []


def test_an_identity_is_asked_for_and_never_invented(terminal: Terminal, door: Door, tmp_path: Path) -> None:
    home, here = tmp_path / "home", tmp_path / "here"
    home.mkdir()
    here.mkdir()
    said = door("init", "study", *GIVEN, cwd=here, env={"HOME": str(home)})
    assert said.status == 2
    assert said.complaint == (UNKNOWN, CONFIGURE)
    assert os.listdir(here) == []
    answers = [
        ("Your name, for Git commits: ", "Bo Ek\n"),
        ("Your e-mail, for Git commits: ", "bo\n"),
        ("'bo': expected an e-mail address such as you@example.org", "bo@example.org\n"),
    ]
    env = {"HOME": str(home)}
    done = terminal("entrenar-research", "init", "study", *GIVEN, cwd=here, env=env, answers=answers)
    assert done.status == 0, done.out
    config = subprocess.run(
        ["git", "config", "--file", here / "study/.git/config", "--get-regexp", "^user"],
        capture_output=True, text=True, check=True,
    ).stdout  # fmt: skip
    assert config == "user.name Bo Ek\nuser.email bo@example.org\n"
    assert not (home / ".gitconfig").exists()


def test_everything_given_is_described(door: Door, tmp_path: Path) -> None:
    said = door(
        "init", "mit Leerzeichen/日本", "--title", '中文: "quoted" # x', "--author", "山田, 太郎", "--author", "Bo Ek",
        "--orcid", "", "--orcid", "https://orcid.org/0000-0002-1825-0097", "--license", "mit or apache-2.0",
        "--keyword", "a", "--keyword", "b c", "--description", "two\nlines: yes", "--affiliation", "Akademie",
        cwd=tmp_path,
    )  # fmt: skip
    assert said.status == 0, said.err
    assert said.out.endswith("next: cd 'mit Leerzeichen/日本' && entrenar-research experiment add NAME -- COMMAND\n")
    study = tmp_path / "mit Leerzeichen/日本"
    assert described(study) == {
        "title": '中文: "quoted" # x',
        "authors": [
            {"family": "山田", "given": "太郎", "affiliations": [{"name": "Akademie"}]},
            {"family": "Ek", "given": "Bo", "orcid": "0000-0002-1825-0097"},
        ],
        "license": "MIT OR Apache-2.0",
        "description": "two\nlines: yes",
        "keywords": ["a", "b c"],
    }
    assert set(os.listdir(study)) == FILES
    assert door("status", cwd=study).out.startswith('中文: "quoted" # x (commit ')


@pytest.mark.parametrize("how", ["dot", "named", "link"])
def test_an_empty_directory_stays_the_same_directory(how: str, door: Door, tmp_path: Path) -> None:
    place = tmp_path / "place"
    place.mkdir()
    (tmp_path / "link").symlink_to("place")
    inode = place.stat().st_ino
    name, cwd = {"dot": (".", place), "named": ("place", tmp_path), "link": ("link", tmp_path)}[how]
    said = door("init", name, *GIVEN, cwd=cwd)
    assert said.status == 0, said.err
    assert said.out.splitlines()[1].startswith("next: entrenar" if how == "dot" else f"next: cd {name} && entrenar")
    assert (tmp_path / "link").is_symlink()
    assert place.stat().st_ino == inode
    assert set(os.listdir(place)) == FILES
    assert subprocess.run(["git", "status", "--short"], cwd=place, capture_output=True, check=True).stdout == b""


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("file", "file: expected a directory, found a file"),
        ("file/x/y", "{here}/file: expected a directory, found a file"),
        ("full", "full is not empty and not a Git repository"),
        (".", ". is not empty and not a Git repository"),
        ("bare.git", "bare.git is not empty and not a Git repository"),
        ("dangling", "dangling is a symbolic link that leads nowhere; expected a directory"),
        ("broken", "broken/.git is there, but Git does not take broken for a repository"),
        ("d\udcff", "'d\\udcff': expected a directory name of printable UTF-8 characters"),
        ("", "DIR is empty: expected the name of a directory"),
    ],
)
def test_a_place_that_will_not_do(name: str, message: str, door: Door, world: World, tmp_path: Path) -> None:
    here = tmp_path / "here"
    (here / "full").mkdir(parents=True)
    (here / "full/notes.txt").write_text("mine\n")
    (here / "file").write_text("mine\n")
    (here / "dangling").symlink_to("nowhere")
    (here / "broken/.git").mkdir(parents=True)
    world.run("git", "init", "-q", "--bare", "bare.git", cwd=here)
    before = tree(here)
    said = door("init", name, *GIVEN, cwd=here)
    assert (said.status, said.out) == (2, "")
    assert said.complaint[0] == message.format(here=here)
    assert tree(here) == before


def test_a_study_is_not_made_twice(door: Door, tiny: Path) -> None:
    before = tree(tiny)
    said = door("init", ".", *GIVEN, cwd=tiny)
    assert said.status == 2
    assert said.complaint == (". is a study already", "see `entrenar-research status` there")
    assert tree(tiny) == before


def test_inside_another_repository_is_said(door: Door, world: World, tmp_path: Path) -> None:
    world.run("git", "init", "-q", "outer", cwd=tmp_path)
    said = door("init", "outer/inner", *GIVEN, cwd=tmp_path)
    assert said.status == 0
    note = f"note: it lies inside the Git repository {tmp_path}/outer; let that one ignore it"
    assert said.out.splitlines()[1] == note
    log = world.run("git", "log", "--oneline", cwd=tmp_path / "outer", status=128)
    assert "does not have any commits" in log.stderr


@pytest.fixture
def repository(world: World, tmp_path: Path) -> Path:
    """A repository with a commit, a staged file, an untracked file, and settings of its own."""
    place = tmp_path / "repository"
    world.run("git", "init", "-q", place, cwd=tmp_path)
    (place / "README.md").write_text("Mine.\n")
    (place / ".gitignore").write_text("*.tmp")
    (place / ".gitattributes").write_text("*.txt text\n")
    world.run("git", "add", ".", cwd=place)
    world.run("git", "commit", "-qm", "Mine", cwd=place)
    (place / "staged").write_text("staged\n")
    (place / "loose").write_text("loose\n")
    world.run("git", "add", "staged", cwd=place)
    return place


def test_a_repository_keeps_what_it_has(door: Door, world: World, repository: Path) -> None:
    said = door("init", ".", *GIVEN, cwd=repository)
    assert said.status == 0, said.err
    assert world.run("git", "status", "--short", cwd=repository).stdout == "A  staged\n?? loose\n"
    changed = world.run("git", "show", "--name-only", "--format=%s", cwd=repository).stdout.split("\n\n")
    assert changed[0] == "Begin the study: T"
    assert changed[1].split() == [
        ".dvc/.gitignore", ".dvc/config", ".dvcignore", ".gitattributes", ".gitignore", "CITATION.cff", "study.yaml",
    ]  # fmt: skip
    assert (repository / "README.md").read_text() == "Mine.\n"
    assert (repository / ".gitignore").read_text().startswith("*.tmp\n.entrenar/\n")
    assert (repository / ".gitattributes").read_text().startswith("*.txt text\n# Every byte")


def test_no_file_is_overwritten(door: Door, repository: Path) -> None:
    (repository / "CITATION.cff").write_text("mine\n")
    before = tree(repository)
    said = door("init", ".", *GIVEN, cwd=repository)
    assert said.status == 2
    assert said.complaint == (
        f"{repository}: there already is CITATION.cff",
        "nothing was changed; move these files away, or make the study elsewhere",
    )
    assert tree(repository) == before


@pytest.mark.parametrize("template", ["empty", "digits"])
def test_a_failure_leaves_a_repository_as_it_was(template: str, door: Door, world: World, repository: Path) -> None:
    if template == "digits":
        pytest.importorskip("sklearn")
    hook = repository / ".git/hooks/pre-commit"
    hook.parent.mkdir(exist_ok=True)
    hook.write_text("#!/bin/sh\necho not today >&2\nexit 1\n")
    hook.chmod(0o755)
    before = tree(repository), world.run("git", "status", "--short", "--ignored", cwd=repository).stdout
    config = (repository / ".git/config").read_bytes()
    said = door("init", ".", *GIVEN, "--template", template, cwd=repository)
    assert said.status == 1
    assert "not today" in said.complaint[0]
    assert (tree(repository), world.run("git", "status", "--short", "--ignored", cwd=repository).stdout) == before
    assert (repository / ".git/config").read_bytes() == config
    assert not (repository / ".entrenar").exists()


@pytest.mark.parametrize("name", ["a/b/c", "new", "empty"])
def test_a_failure_leaves_no_directory(name: str, door: Door, world: World, tmp_path: Path) -> None:
    here, home = tmp_path / "here", tmp_path / "home"
    (here / "empty").mkdir(parents=True)
    home.mkdir()
    config = world.home.joinpath(".gitconfig").read_text()
    (home / ".gitconfig").write_text(config + "[commit]\ngpgsign = true\n[gpg]\nprogram = false\n")
    said = door("init", name, *GIVEN, cwd=here, env={"HOME": str(home)})
    assert said.status == 1
    assert "gpg failed to sign" in said.complaint[0]
    assert tree(here) == {"empty": b""}


@pytest.mark.parametrize("name", ["closed", "closed/new", "readable", "readable/new", "repo"])
def test_a_place_without_rights(name: str, world: World, nobody: list[str], tmp_path: Path) -> None:
    here = tmp_path / "here"
    for place, mode in (("closed", 0o700), ("readable", 0o755), ("repo", 0o755)):
        (here / place).mkdir(parents=True)
        (here / place).chmod(mode)
    world.run("git", "init", "-q", "repo", cwd=here)
    before = tree(here)
    done = world.run(*nobody, "entrenar-research", "init", name, *GIVEN, cwd=here, status=1)
    assert done.stderr.endswith("hint: check the owner and the mode of the directory\n")
    assert name.partition("/")[0] in done.stderr
    assert tree(here) == before
