"""A study as people have them: two authors, three experiments, runs that went well, failed, are outdated."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import msgspec

from entrenar_research.bundles.port import Content, Member
from entrenar_research.core import digests
from entrenar_research.models.experiment import Declaration, Experiment
from entrenar_research.models.run import Environment, FileDigest, GitState, RunRecord
from entrenar_research.models.study import Affiliation, Person, Study
from entrenar_research.models.verdict import Finding

BROWN = Affiliation(name="Brown University", ror="https://ror.org/05gq02987")
STUDY = Study(
    title="Softmax on digits: <b>100 %</b> & more",
    authors=(
        Person(
            given="Josiah",
            family="Carberry",
            orcid="0000-0002-1825-0097",
            affiliations=(BROWN, Affiliation(name="Institute of Psychoceramics")),
        ),
        Person(given="Élise", particle="van der", family="Ørsted", affiliations=(BROWN,)),
    ),
    license="MIT OR Apache-2.0",
    description="How well does it learn?",
    keywords=("digits", "softmax"),
    doi="10.5281/zenodo.123",
)
LEAST = Study(title="Softmax", authors=(Person(family="Plato"),), license="MIT")
EXPERIMENTS = tuple(
    Experiment(name=name, declaration=Declaration(command="python train.py", description=text))
    for name, text in (
        ("train", "Trains a model."),
        ("analyse", None),
        ("größe", "Names need not be English."),
    )
)
FILES = {
    "LICENSE": b"MIT\n",
    "README.md": "# Größe\n".encode(),
    "study.yaml": b"title: Softmax\n",
    "empty.txt": b"",
    "data/digits.csv": b"a,b\n1,2\n" * 1000,
    "data/résumé 100%.txt": b"caf\xc3\xa9",
    "data/日本語/データ#1.bin": bytes(range(256)) * 300,
    "experiments/train/experiment.yaml": b"command: python train.py\n",
    "experiments/train/params.yaml": b"lr: 0.1\n",
    "experiments/train/train.py": b"print('hello')\n",
    "experiments/train/result/metrics.json": b'{"accuracy": 0.75}\n',
    "experiments/train/result/model/weights.npz": b"weights",
    "experiments/train/result/model/shape.json": b"[8, 8]",
    "experiments/analyse/analyse.py": b"import sys\n",
    "experiments/größe/run it.sh": b"echo\n",
    "runs/20240102T000000000Z-train-new1/run.yaml": b"id: new1\n",
    "runs/20240102T000000000Z-train-new1/stdout.txt": b"hello\n",
    **{f"parts/part{number:03d}.dat": b"x" * number for number in range(300)},
}


def digest(path: str) -> FileDigest:
    """A file of the study as a run records it."""
    data = FILES[path]
    return FileDigest(path=path, digest=digests.sha256(data), md5="0" * 32, size=len(data))


def directory_digest(path: str) -> FileDigest:
    """A directory of the study as a run records it."""
    inside = {name: data for name, data in FILES.items() if name.startswith(f"{path}/")}
    listing = digests.manifest(
        (name[len(path) + 1 :], hashlib.sha256(data).hexdigest()) for name, data in inside.items()
    )
    size = sum(len(data) for data in inside.values())
    return FileDigest(path=path, digest=digests.sha256(listing.encode()), md5="0.dir", size=size, files=len(inside))


GOOD = RunRecord(
    id="20240102T000000000Z-train-new1",
    experiment="train",
    status="completed",
    tool="entrenar-research 0.1.0",
    runner="host",
    started="2024-01-02T00:00:00Z",
    ended="2024-01-02T00:00:03.250Z",
    command="python train.py --lr ${params.lr}",
    argv=("python", "train.py", "--lr", "0.1"),
    seed=7,
    params={
        "lr": 0.1,
        "layers": [8, 4],
        "optimiser": {"name": "sgd", "momentum": None},
        "limit": float("inf"),
    },
    code=(digest("experiments/train/train.py"),),
    inputs=(digest("data/digits.csv"), digest("experiments/train/params.yaml"), directory_digest("parts")),
    outputs=(
        digest("experiments/train/result/metrics.json"),
        directory_digest("experiments/train/result/model"),
    ),
    metrics={"accuracy": 0.75, "loss": float("nan")},
    git=GitState(commit="0" * 40, dirty=True),
    environment=Environment(program="python", python="3.11.2", variables={"OMP_NUM_THREADS": "1"}),
)
OUTDATED = msgspec.structs.replace(
    GOOD,
    id="20240101T000000000Z-train-old1",
    started="2024-01-01T00:00:00Z",
    code=(msgspec.structs.replace(digest("experiments/train/train.py"), digest="sha256:" + "1" * 64),),
    inputs=(
        digest("data/digits.csv"),
        msgspec.structs.replace(directory_digest("parts"), digest="sha256:" + "2" * 64),
    ),
    outputs=(
        msgspec.structs.replace(digest("experiments/train/result/metrics.json"), digest="sha256:" + "3" * 64),
        msgspec.structs.replace(digest("LICENSE"), path="experiments/train/result/gone.bin"),
    ),
)
FAILED = RunRecord(
    id="20240103T000000000Z-größe-bad1",
    experiment="größe",
    status="failed",
    tool="entrenar-research 0.1.0",
    runner="host",
    started="2024-01-03T00:00:00Z",
    ended="2024-01-03T00:00:01Z",
    exit_status=2,
    failure="the command failed",
    reasons=("no such file",),
    command="sh 'run it.sh'",
    argv=("sh", "run it.sh"),
    code=(digest("experiments/größe/run it.sh"),),
)
PLAIN = RunRecord(
    id="20240104T000000000Z-analyse-pln1",
    experiment="analyse",
    status="completed",
    tool="entrenar-research 0.1.0",
    runner="host",
    started="2024-01-04T00:00:00+00:00",
    ended="2024-01-04T00:00:01+00:00",
    command="true",
)
RUNS = (GOOD, OUTDATED, FAILED, PLAIN)


def content(root: Path) -> Content:
    """The study, its files below `root`; the LICENSE is given as bytes, the README with its digest."""
    members = [Member(path="LICENSE", source=FILES["LICENSE"])]
    for path, data in FILES.items():
        if path == "LICENSE":
            continue
        place = root / path
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(data)
        known = digests.sha256(data) if path == "README.md" else None
        members.append(Member(path=path, source=place, digest=known))
    return Content(
        study=STUDY,
        experiments=EXPERIMENTS,
        runs=RUNS,
        members=tuple(members),
        date="2024-01-04T00:00:01Z",
        tool="entrenar-research 0.1.0",
    )


def small(**members: bytes) -> Content:
    """The least study, with members from memory; `__` in a name stands for a point."""
    return Content(
        study=LEAST,
        experiments=(),
        runs=(),
        members=tuple(Member(path=name.replace("__", "."), source=data) for name, data in members.items()),
        date="2024-01-01",
        tool="entrenar-research 0.1.0",
    )


def entities(metadata: bytes) -> dict[str, dict[str, object]]:
    """The entities of a metadata file by identifier."""
    return {item["@id"]: item for item in json.loads(metadata)["@graph"]}


def wanting(findings: tuple[Finding, ...]) -> list[Finding]:
    """The findings that make a check fail."""
    return [finding for finding in findings if finding.verdict.wanting]


def files_below(directory: Path) -> dict[str, bytes]:
    """Every file below a directory by its path."""
    return {str(path.relative_to(directory)): path.read_bytes() for path in directory.rglob("*") if path.is_file()}
