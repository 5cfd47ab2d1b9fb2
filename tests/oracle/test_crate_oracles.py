"""Crates before judges that are not ours: rocrate-validator, runcrate, ro-crate-py, unzip, Python's zipfile."""

import copy
import json
import shutil
import sys
import zipfile
from pathlib import Path

import msgspec
import pytest

from entrenar_research.bundles.port import Content
from entrenar_research.bundles.ro_crate import FORMAT
from entrenar_research.core.crates.paths import METADATA, to_id
from tests.oracle.judges import crate_issues, program, run, seeded_cache
from tests.unit.bundles import sample

pytestmark = pytest.mark.oracle

PROFILES = ("ro-crate-1.1", "process-run-crate")


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The validator's cache, filled so that it needs no network."""
    return seeded_cache(tmp_path_factory.mktemp("cache"))


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("bundle")
    target = directory / "study.crate.zip"
    FORMAT.write(sample.content(directory / "study"), target)
    return target


@pytest.fixture(scope="module")
def unzipped(bundle: Path) -> Path:
    """The bundle as `unzip` unpacks it."""
    out = bundle.parent / "unzipped"
    done = run(program("unzip"), "-q", bundle, "-d", out)
    assert done.returncode == 0, done.stdout + done.stderr
    return out


@pytest.mark.slow
@pytest.mark.parametrize("profile", PROFILES)
def test_the_validator_finds_nothing(profile: str, unzipped: Path, cache: Path, tmp_path: Path) -> None:
    assert crate_issues(unzipped, profile, cache, tmp_path / "report.json") == []


@pytest.mark.slow
@pytest.mark.parametrize(
    "content",
    [
        pytest.param(sample.small(a__txt=b"1"), id="least"),
        pytest.param(sample.small(), id="nothing"),
        pytest.param(
            msgspec.structs.replace(
                sample.small(), runs=(msgspec.structs.replace(sample.PLAIN, status="running", ended=None),)
            ),
            id="running",
        ),
    ],
)
def test_the_validator_finds_nothing_in_small_crates(content: Content, cache: Path, tmp_path: Path) -> None:
    FORMAT.write(content, tmp_path / "a.crate.zip")
    FORMAT.extract(tmp_path / "a.crate.zip", tmp_path / "out")
    for profile in PROFILES:
        assert crate_issues(tmp_path / "out", profile, cache, tmp_path / "report.json") == []


@pytest.mark.slow
def test_the_validator_does_find_what_is_wrong(unzipped: Path, cache: Path, tmp_path: Path) -> None:
    """The control: without it, a validator that sees nothing would pass every test above."""
    spoilt = tmp_path / "spoilt"
    shutil.copytree(unzipped, spoilt)
    document = json.loads((spoilt / METADATA).read_text())
    worse = copy.deepcopy(document)
    for entity in worse["@graph"]:
        if entity["@id"] == "./":
            del entity["name"]
        if entity["@type"] == "CreateAction":
            entity.pop("instrument")
    (spoilt / METADATA).write_text(json.dumps(worse))
    assert crate_issues(spoilt, "ro-crate-1.1", cache, tmp_path / "report1.json")
    assert crate_issues(spoilt, "process-run-crate", cache, tmp_path / "report2.json")


def test_runcrate_reports_every_action(unzipped: Path) -> None:
    done = run(program("runcrate"), "report", unzipped)
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("action: ") == len(sample.RUNS)
    blocks = {block.splitlines()[0]: block for block in done.stdout.split("action: ") if block}
    good = blocks[f"#run-{sample.GOOD.id}"]
    assert "instrument: experiments/train/train.py" in good
    for path in ("data/digits.csv", "parts/", "experiments/train/result/metrics.json", "0.75"):
        assert f"    {path}\n" in good
    outdated = blocks[f"#run-{sample.OUTDATED.id}"]
    assert "    experiments/train/result/metrics.json\n" not in outdated
    assert "sha256:" + "3" * 64 in outdated


READ = """
import json, sys
from rocrate.rocrate import ROCrate
crate = ROCrate(sys.argv[1])
print(json.dumps({
    "name": crate.name,
    "files": sorted(item.id for item in crate.data_entities if "File" in item.type),
    "authors": [item["name"] for item in crate.root_dataset["author"]],
    "actions": sum(item.type == "CreateAction" for item in crate.contextual_entities),
}))
"""


@pytest.mark.parametrize("packed", [True, False])
def test_ro_crate_py_reads_it(packed: bool, bundle: Path, unzipped: Path) -> None:
    python = Path(program("runcrate")).parent / "python"
    done = run(python, "-c", READ, bundle if packed else unzipped)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == {
        "name": sample.STUDY.title,
        "files": sorted(to_id(path) for path in sample.FILES),
        "authors": ["Josiah Carberry", "Élise van der Ørsted"],
        "actions": len(sample.RUNS),
    }


def test_unzip_finds_no_error(bundle: Path, unzipped: Path) -> None:
    done = run(program("unzip"), "-t", bundle)
    assert done.returncode == 0, done.stdout
    assert "No errors detected" in done.stdout
    for path, data in sample.FILES.items():
        assert (unzipped / path).read_bytes() == data


def test_zipinfo_shows_a_plain_archive(bundle: Path) -> None:
    lines = run(program("zipinfo"), bundle).stdout.splitlines()[2:-1]
    assert len(lines) == len(sample.FILES) + 2
    assert all(line.startswith("-rw-r--r--  2.0 unx") and " stor 80-Jan-01 00:00 " in line for line in lines)


def test_python_finds_no_error(bundle: Path) -> None:
    with zipfile.ZipFile(bundle) as archive:
        assert archive.testzip() is None
    done = run(sys.executable, "-m", "zipfile", "-t", bundle)
    assert done.returncode == 0
