import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from entrenar_research.bundles.port import Content, Written
from entrenar_research.bundles.ro_crate import FORMAT
from entrenar_research.core.crates import paths
from tests.unit.bundles import sample

METADATA, PREVIEW = paths.METADATA, paths.PREVIEW


@pytest.fixture(scope="module")
def crate(tmp_path_factory: pytest.TempPathFactory) -> tuple[Content, Path, Written]:
    """The sample study, bundled once."""
    directory = tmp_path_factory.mktemp("crate")
    content = sample.content(directory / "study")
    target = directory / "study.crate.zip"
    return content, target, FORMAT.write(content, target)


@pytest.fixture(scope="module")
def little(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A crate so small that all of it can be damaged."""
    target = tmp_path_factory.mktemp("little") / "little.crate.zip"
    FORMAT.write(sample.small(a__txt=b"hello", b__bin=b"\0\1", empty=b""), target)
    return target


@pytest.fixture
def tiny_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 200 kB."""
    place = tmp_path / "disk"
    place.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=200k", "tmpfs", str(place)]
    if os.geteuid() or subprocess.run(command, check=False, capture_output=True).returncode:
        pytest.skip("needs root and the right to mount a tmpfs")
    yield place
    subprocess.run(["umount", str(place)], check=True)
