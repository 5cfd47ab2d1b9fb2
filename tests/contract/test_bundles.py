"""What every bundle format promises. A new file in `bundles/` is found and held to it."""

import importlib
import pkgutil
import re
from pathlib import Path

import msgspec
import pytest

from entrenar_research import bundles
from entrenar_research.bundles.port import BundleFormat, Member, Written
from entrenar_research.errors import IntegrityError, StorageError
from entrenar_research.models.verdict import Verdict
from tests.unit.bundles import sample

MEMBERS = sorted(module.name for module in pkgutil.iter_modules(bundles.__path__) if module.name != "port")


@pytest.fixture(params=MEMBERS)
def bundle_format(request: pytest.FixtureRequest) -> BundleFormat:
    found: BundleFormat = importlib.import_module(f"entrenar_research.bundles.{request.param}").FORMAT
    assert found.name == request.param.replace("_", "-")
    return found


@pytest.fixture
def written(bundle_format: BundleFormat, tmp_path: Path) -> Written:
    target = tmp_path / f"study{bundle_format.suffix}"
    return bundle_format.write(sample.content(tmp_path / "study"), target)


def test_there_is_a_format() -> None:
    assert MEMBERS


def test_a_bundle_is_described_as_it_is(bundle_format: BundleFormat, written: Written) -> None:
    assert written.size == len(written.path.read_bytes())
    assert re.fullmatch(r"sha256:[0-9a-f]{64}", written.digest)
    assert written.files >= len(sample.FILES)
    assert bundle_format.suffix.startswith(".")


def test_the_same_content_gives_the_same_bytes(bundle_format: BundleFormat, written: Written, tmp_path: Path) -> None:
    content = sample.content(tmp_path / "elsewhere")
    again = bundle_format.write(content, tmp_path / f"other{bundle_format.suffix}")
    assert again.digest == written.digest
    assert again.path.read_bytes() == written.path.read_bytes()


def test_nothing_of_this_machine_is_in_a_bundle(written: Written, tmp_path: Path) -> None:
    assert str(tmp_path).encode() not in written.path.read_bytes()


def test_a_whole_bundle_has_one_good_finding(bundle_format: BundleFormat, written: Written) -> None:
    (finding,) = bundle_format.inspect(written.path)
    assert finding.verdict is Verdict.IDENTICAL
    assert finding.area == "bundle"
    assert finding.subject == written.path.name


def test_unpacking_gives_the_files_back(bundle_format: BundleFormat, written: Written, tmp_path: Path) -> None:
    out = tmp_path / "out"
    bundle_format.extract(written.path, out)
    for path, data in sample.FILES.items():
        assert (out / path).read_bytes() == data


@pytest.mark.parametrize("path", ["data/digits.csv", "runs/20240102T000000000Z-train-new1/run.yaml"])
def test_a_changed_file_is_named(path: str, bundle_format: BundleFormat, written: Written, tmp_path: Path) -> None:
    data = bytearray(written.path.read_bytes())
    place = data.rindex(sample.FILES[path])
    data[place] ^= 1
    written.path.write_bytes(data)
    assert path in {item.subject for item in bundle_format.inspect(written.path) if item.verdict.wanting}
    with pytest.raises(IntegrityError, match=path):
        bundle_format.extract(written.path, tmp_path / "out")


def test_inspection_never_raises_for_damage(bundle_format: BundleFormat, written: Written) -> None:
    whole = written.path.read_bytes()
    for damaged in (b"", whole[: len(whole) // 2], whole[100:], whole + b"more", b"PK" * 1000):
        written.path.write_bytes(damaged)
        assert any(item.verdict.wanting for item in bundle_format.inspect(written.path))
    written.path.unlink()
    assert any(item.verdict.wanting for item in bundle_format.inspect(written.path))


def test_a_path_that_leaves_the_bundle_is_refused(bundle_format: BundleFormat, tmp_path: Path) -> None:
    target = tmp_path / f"bad{bundle_format.suffix}"
    content = msgspec.structs.replace(sample.small(), members=(Member(path="../evil", source=b""),))
    with pytest.raises(IntegrityError, match=r"\.\./evil"):
        bundle_format.write(content, target)
    assert not list(tmp_path.iterdir())


def test_an_old_bundle_survives_a_failure(bundle_format: BundleFormat, written: Written, tmp_path: Path) -> None:
    before = written.path.read_bytes()
    content = msgspec.structs.replace(sample.small(), members=(Member(path="gone", source=tmp_path / "gone"),))
    with pytest.raises(StorageError, match="gone"):
        bundle_format.write(content, written.path)
    assert written.path.read_bytes() == before


def test_progress_ends_with_all_of_it(bundle_format: BundleFormat, tmp_path: Path) -> None:
    told: list[tuple[int, int]] = []
    target = tmp_path / f"a{bundle_format.suffix}"
    bundle_format.write(sample.small(a=b"1"), target, progress=lambda done, total: told.append((done, total)))
    assert told[-1][0] == told[-1][1]
