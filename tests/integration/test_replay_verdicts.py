"""Every rung of the ladder, by replaying a script that behaves otherwise when a variable nobody records says so."""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Mapping
from pathlib import Path

import msgspec
import pytest

from entrenar_research.models.verdict import Repetition, Verdict
from tests.conftest import World
from tests.integration.checking import check, verdicts

IDENTICAL, EQUAL, WITHIN, DIFFERENT = Verdict.IDENTICAL, Verdict.EQUAL, Verdict.WITHIN, Verdict.DIFFERENT
SCRIPT = """\
import json, os, pathlib, struct, sys, zipfile

out, how = pathlib.Path(os.environ["ENTRENAR_RESULT"]), os.environ.get("HOW", "")
report = {"loss": 0.25, "deep": {"error": 4.0, "label": "m"}, "steps": 20, "note": "fine"}
rows = [["step", "loss"], ["0", "1.5"], ["1", "0.25"]]
tensors = {"a": b"\\x00\\x00\\x80\\x3f", "b": b"\\x00\\x00\\x00\\x40"}
order, method, header = sorted(tensors), zipfile.ZIP_STORED, {}
if how == "near":
    report["loss"] += 0.0009
    report["deep"]["error"] *= 1.009
if how == "far":
    report["loss"] += 0.0011
if how == "near but other":
    report["loss"] += 0.0001
    report["note"] = "bad"
if how == "near but more":
    report["loss"] += 0.0001
    report["more"] = 1
if how == "near but another kind":
    report["loss"] += 0.0001
    report["steps"] = 20.0
if how == "nothing":
    report["loss"] = float("nan")
if how == "no number":
    report["loss"] = "low"
if how == "gone":
    del report["loss"]
if how == "other content":
    report["steps"], rows[1][1], tensors["a"] = 21, "1.6", b"1234"
if how == "other bytes":
    order, method = order[::-1], zipfile.ZIP_DEFLATED
if how == "fails":
    sys.exit("no such luck")
if how.startswith("link to "):
    (out / "more.json").symlink_to(how.removeprefix("link to "))
if how != "forgets":
    indent = 2 if how == "other bytes" else None
    (out / "report.json").write_text(json.dumps(report, indent=indent, sort_keys=how != "other bytes"))
if how == "invents":
    (out / "more.txt").write_text("more")
quote = '"' if how == "other bytes" else ""
(out / "rows.csv").write_text("".join(",".join(f"{quote}{cell}{quote}" for cell in row) + "\\n" for row in rows))
with zipfile.ZipFile(out / "arrays.npz", "w", method) as archive:
    for name in order:
        archive.writestr(zipfile.ZipInfo(f"{name}.npy", (1980 + len(how), 1, 1, 0, 0, 0)), tensors[name] * 99, method)
for place, name in enumerate(sorted(tensors)):
    header[name] = {"dtype": "F32", "shape": [1], "data_offsets": [4 * place, 4 * place + 4]}
text = json.dumps({name: header[name] for name in order}).encode()
body = b"".join(tensors[name] for name in sorted(tensors))
(out / "weights.safetensors").write_bytes(struct.pack("<Q", len(text)) + text + body)
(out / "words.txt").write_text("words" + (" " if how == "other bytes" else ""))
"""
DECLARATION = """\
command: python experiments/moods/moods.py
code: [experiments/moods/moods.py]
outputs: [report.json, rows.csv, arrays.npz, weights.safetensors, words.txt]
metrics:
  loss: {file: report.json, tolerance: {absolute: 0.001}}
  error: {file: report.json, key: deep.error, tolerance: {relative: 0.01}}
"""
OUTPUTS = ("arrays.npz", "report.json", "rows.csv", "weights.safetensors", "words.txt")
ALL_IDENTICAL = dict.fromkeys((*OUTPUTS, "loss", "error"), IDENTICAL)


@pytest.fixture(scope="module")
def _made(_shared: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The tiny study with one experiment more, made once."""
    study = tmp_path_factory.mktemp("ladder") / "study"
    shutil.copytree(_shared / "tiny", study, symlinks=True)
    place = study / "experiments/moods"
    place.mkdir()
    (place / "moods.py").write_text(SCRIPT)
    (place / "experiment.yaml").write_text(DECLARATION)
    (place / ".gitignore").write_text("/result\n")
    world = World(_shared / "home")
    world.tool("experiment", "sync", "moods", cwd=study)
    world.tool("run", "moods", "--quiet", cwd=study)
    shutil.rmtree(study / "experiments/line")
    return study


@pytest.fixture
def study(_made: Path, world: World, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name, value in world.environment.items():
        monkeypatch.setenv(name, value)
    return _made


def replay(study: Path, how: str, monkeypatch: pytest.MonkeyPatch) -> tuple[dict[str, Verdict], dict[str, str]]:
    """Verdicts and words of a replay in that mood, by output or metric."""
    monkeypatch.setenv("HOW", how)
    report = check(study, replay=True)
    found = [item for item in report.findings if item.area == "replay"]
    names = [item.subject.removeprefix("experiments/moods/result/").removeprefix("moods: ") for item in found]
    verdict = {name: item.verdict for name, item in zip(names, found, strict=True)}
    return verdict, {name: item.detail for name, item in zip(names, found, strict=True)}


def test_the_same_again_is_identical(study: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert replay(study, "", monkeypatch)[0] == ALL_IDENTICAL


def test_other_bytes_of_the_same_content_are_equal(study: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """JSON indented, CSV quoted, zip compressed and dated, a header in another order; plain text has only bytes."""
    found, _ = replay(study, "other bytes", monkeypatch)
    assert found == {**dict.fromkeys(OUTPUTS, EQUAL), "words.txt": DIFFERENT, "loss": IDENTICAL, "error": IDENTICAL}


def test_metrics_inside_their_tolerances_are_within(study: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found, words = replay(study, "near", monkeypatch)
    archives = {"arrays.npz": EQUAL}  # dated by the mood
    assert found == {**ALL_IDENTICAL, **archives, "report.json": WITHIN, "loss": WITHIN, "error": WITHIN}
    assert words["loss"] == "0.25 -> 0.2509, off by 0.0009, allowed 0.001"
    assert words["error"] == "4 -> 4.036, off by 0.036, allowed 0.04"
    assert words["report.json"] == "its metrics lie within their tolerances, the rest is equal: loss, error"


def test_what_lies_behind_a_link_out_of_the_copy_was_not_made_again(
    study: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for target in ("/etc/passwd", str(study / "experiments/moods/result/report.json"), str(tmp_path)):
        found, words = replay(study, f"link to {target}", monkeypatch)
        assert found == {"moods": DIFFERENT}
        assert "experiments/moods/result/more.json" in words["moods"]
        assert "symbolic link that leaves the study" in words["moods"]


@pytest.mark.parametrize("started", ["yesterday", "2026-11-21T99:00:00Z", "0001-01-01T00:00:00"])
def test_a_record_without_a_time_is_replayed_and_told(
    study: Path, started: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    copy = tmp_path / "study"
    shutil.copytree(study, copy, symlinks=True)
    record = next(path for path in copy.glob("runs/*/run.yaml") if "experiment: moods" in path.read_text())
    record.write_text(re.sub("^started: .*$", f'started: "{started}"', record.read_text(), flags=re.MULTILINE))
    found, _ = replay(copy, "far", monkeypatch)
    assert (found["report.json"], found["loss"]) == (DIFFERENT, DIFFERENT)


def test_a_metric_outside_its_tolerance_is_different(study: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found, words = replay(study, "far", monkeypatch)
    assert (found["report.json"], found["loss"], found["error"]) == (DIFFERENT, DIFFERENT, IDENTICAL)
    assert words["loss"] == "0.25 -> 0.2511, off by 0.0011, allowed 0.001"


@pytest.mark.parametrize("how", ["near but other", "near but more", "near but another kind"])
def test_a_tolerance_covers_its_metric_and_nothing_beside_it(
    how: str, study: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found, words = replay(study, how, monkeypatch)
    assert (found["report.json"], found["loss"]) == (DIFFERENT, WITHIN)
    said = "its metrics (loss, error) lie within their tolerances, the rest of it differs; "
    assert words["report.json"].startswith(said)
    place = {"near but other": "note: 'fine' and 'bad'", "near but more": "more: ", "near but another kind": "steps: "}
    assert place[how] in words["report.json"]


@pytest.mark.parametrize(
    ("how", "words"), [("no number", "is 'low', expected a number"), ("gone", "the metric `loss` is missing")]
)
def test_a_metric_that_is_no_number_any_more_is_different(
    how: str, words: str, study: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found, said = replay(study, how, monkeypatch)
    assert (found["report.json"], found["metrics"]) == (DIFFERENT, DIFFERENT)
    assert words in said["metrics"]


def test_not_a_number_is_not_near_anything(study: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found, _ = replay(study, "nothing", monkeypatch)
    assert DIFFERENT in (found.get("loss"), found.get("metrics"))
    assert found["report.json"] is DIFFERENT


def test_other_content_is_different_in_every_format(study: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found, _ = replay(study, "other content", monkeypatch)
    assert found == {
        **dict.fromkeys(OUTPUTS, DIFFERENT), "words.txt": IDENTICAL, "loss": IDENTICAL, "error": IDENTICAL,
    }  # fmt: skip


def test_outputs_that_are_not_written_or_not_known_are_different(study: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found, words = replay(study, "forgets", monkeypatch)
    assert (found["report.json"], words["report.json"]) == (DIFFERENT, "the replay did not write it")
    found, words = replay(study, "invents", monkeypatch)
    assert (found["more.txt"], words["more.txt"]) == (DIFFERENT, "only the replay wrote it")


def test_a_command_that_fails_is_different_and_its_words_are_told(study: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found, words = replay(study, "fails", monkeypatch)
    assert found == {"moods": DIFFERENT}
    assert words["moods"] == "the command ended with exit status 1: no such luck"


def again(study: Path, how: str, monkeypatch: pytest.MonkeyPatch) -> Repetition:
    """How it went as a whole with the experiment in that mood."""
    monkeypatch.setenv("HOW", how)
    (found,) = check(study, replay=True).repetitions
    assert (found.area, found.experiment, found.then.runner, found.now.runner) == ("replay", "moods", "host", "host")
    return found


@pytest.mark.parametrize(
    ("how", "verdict"),
    [("", IDENTICAL), ("other bytes", DIFFERENT), ("near", WITHIN), ("far", DIFFERENT), ("fails", DIFFERENT)],
)
def test_the_whole_stands_on_its_lowest_rung(
    how: str, verdict: Verdict, study: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = again(study, how, monkeypatch)
    assert found.verdict is verdict
    assert found.then.hardware == found.now.hardware is not None
    assert found.hints == ()


def test_what_the_content_tells_is_a_cause_that_was_seen(tiny: Path, world: World) -> None:
    """A time in the result: of nothing else it is said that it may be the cause."""
    place = tiny / "experiments/dated"
    place.mkdir()
    script = "import datetime, os, pathlib\n"
    script += "pathlib.Path(os.environ['ENTRENAR_RESULT'], 'o.txt').write_text(f'{datetime.datetime.now()}\\n')\n"
    (place / "dated.py").write_text(script)
    code = "command: python experiments/dated/dated.py\ncode: [experiments/dated/dated.py]\noutputs: [o.txt]\n"
    (place / "experiment.yaml").write_text(code)
    world.tool("experiment", "sync", "dated", cwd=tiny)
    world.tool("run", "dated", "--quiet", cwd=tiny, env={"TZ": "UTC"})
    done = world.tool("verify", "--format", "json", cwd=tiny, status=1, env={"TZ": "UTC"})
    found = {item["experiment"]: item for item in msgspec.json.decode(done.stdout)["repetitions"]}
    assert (found["line"]["verdict"], found["line"]["hints"]) == ("identical", [])
    (hint,) = found["dated"]["hints"]
    assert (hint["cause"], hint["sure"]) == ("clock", "seen")
    assert hint["evidence"].startswith("o.txt line 1: ")
    said = world.tool("verify", cwd=tiny, status=1, env={"TZ": "UTC"}).stdout
    assert "clock: leave the time out of the result" in said
    assert "reproduce dated" not in said


def record_with(study: Path, changes: Mapping[str, object]) -> Path:
    """The run's record as another machine would have written it: lines by how they begin, indented or not."""
    (path,) = (study / "runs").glob("*-moods-*/run.yaml")
    text = path.read_text()
    for key, value in changes.items():
        text, count = re.subn(rf"(?m)^({key}:).*$", rf"\1 {value}", text)
        assert count == 1, key
    path.write_text(text)
    return path


@pytest.mark.parametrize(
    ("changes", "cause", "words"),
    [
        ({"  vendor": "AnotherVendor"}, "CPU dispatch", "AnotherVendor, here "),
        ({"runner": "bwrap"}, "another runner", "run by bwrap, now by host"),
        ({"    OMP_NUM_THREADS": "'7'"}, None, ""),  # a replay has what was recorded
    ],
)
def test_what_is_not_as_it_was_is_a_possible_cause(
    changes: dict[str, object], cause: str | None, words: str, study: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (path,) = (study / "runs").glob("*-moods-*/run.yaml")
    before = path.read_text()
    try:
        record_with(study, changes)
        monkeypatch.setenv("HOW", "far")
        (found,) = check(study, replay=True).repetitions
        assert found.verdict is DIFFERENT
        assert {item.cause: item.sure for item in found.hints} == ({cause: "possible"} if cause else {})
        assert all(words in item.evidence for item in found.hints)
        monkeypatch.setenv("HOW", "")
        (found,) = check(study, replay=True).repetitions
        assert (found.verdict, found.hints) == (IDENTICAL, ())
        if cause == "CPU dispatch":
            assert found.then.hardware != found.now.hardware
    finally:
        path.write_text(before)


def test_code_that_changed_since_is_told_first(study: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    script = study / "experiments/moods/moods.py"
    before = script.read_text()
    try:
        script.write_text(before.replace('"loss": 0.25', '"loss": 0.75'))
        first, *_ = again(study, "", monkeypatch).hints
        assert (first.cause, first.sure) == ("other code or data", "possible")
        assert first.evidence.startswith("code experiments/moods/moods.py: ")
    finally:
        script.write_text(before)


def test_integrity_and_who_vouches_are_lines_of_their_own(study: Path, world: World) -> None:
    lines = world.tool("verify", "--no-replay", cwd=study, status=None).stdout.splitlines()
    (integrity,) = [line for line in lines if line.startswith("integrity: ")]
    assert "identical" in integrity
    assert [line for line in lines if line.startswith("who vouches: ")]
    summary = msgspec.json.decode(world.tool("verify", "--format", "json", cwd=study, status=None).stdout)["summary"]
    assert set(summary) == {"integrity", "who_vouches", "replay"}
    assert summary["replay"] == {"passed": True, "counts": {"identical": 7}}


def test_the_exit_code_follows_the_lowest_rung(study: Path, world: World) -> None:
    """The study itself was changed after its seal here, so only what `replay` says counts."""
    for how, counted in (("near", "within"), ("far", "different")):
        done = world.tool("verify", "--format", "json", cwd=study, status=None, env={"HOW": how})
        report = msgspec.json.decode(done.stdout)
        assert counted in {item["verdict"] for item in report["findings"] if item["area"] == "replay"}
        wanting = [item for item in report["findings"] if item["area"] == "replay" and item["verdict"] == "different"]
        assert bool(wanting) is (how == "far")


def test_a_replay_leaves_nothing_behind(study: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    before = sorted(str(path) for path in study.rglob("*"))
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(scratch))
    for how in ("", "fails"):
        replay(study, how, monkeypatch)
    assert os.listdir(scratch) == []
    assert sorted(str(path) for path in study.rglob("*")) == before


def test_a_damaged_result_does_not_become_the_measure(study: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The replay is held against what was recorded, not against what lies there now."""
    path = study / "experiments/moods/result/report.json"
    data = path.read_bytes()
    try:
        path.write_bytes(data.replace(b"fine", b"fake"))
        found, _ = replay(study, "", monkeypatch)
        assert found == ALL_IDENTICAL
        assert verdicts(check(study), "data")["experiments/moods/result/report.json"] is DIFFERENT
    finally:
        path.write_bytes(data)
