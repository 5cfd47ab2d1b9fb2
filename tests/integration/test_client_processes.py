"""Processes that log: killed at any moment, forked, spawned, with threads, and ended in every way there is."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
from pathlib import Path
from typing import Any

import pytest

from entrenar_research.client import liveness, reading
from entrenar_research.client.reading import Log
from entrenar_research.models.run import RunRecord
from entrenar_research.store.yaml_text import Document

pytestmark = pytest.mark.slow


@pytest.fixture
def study(tmp_path: Path) -> Path:
    (tmp_path / "study.yaml").write_text("title: A study\n")
    return tmp_path


def environment(**more: str) -> dict[str, str]:
    inherited = {k: v for k, v in os.environ.items() if not k.startswith(("ENTRENAR_", "TRACEPARENT"))}
    return inherited | more


def script(study: Path, text: str, status: int = 0, **more: str) -> subprocess.CompletedProcess[str]:
    """Runs a Python script in the study to its end."""
    (study / "script.py").write_text("import entrenar_research as er\n" + textwrap.dedent(text))
    done = subprocess.run(
        [sys.executable, "script.py"],
        cwd=study,
        env=environment(**more),
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert done.returncode == status, done.stderr
    return done


def run_directory(study: Path) -> Path:
    (directory,) = (study / "runs").iterdir()
    return directory


def record(study: Path) -> RunRecord:
    text = (run_directory(study) / "run.yaml").read_text(encoding="utf-8")
    return Document(text, "run.yaml").convert(RunRecord)


def logs(study: Path) -> list[Log]:
    """The logs of the one run, in the order in which their processes began; all of them without damage."""
    found = [reading.read(path) for path in (run_directory(study) / "events").iterdir()]
    assert not [log.damaged for log in found if log.damaged]
    return sorted(found, key=lambda log: log.started)


# --- killed ---------------------------------------------------------------------------------------------------------

TORTURE = """
    import mmap, os, random, signal, sys, time

    count, seed = int(sys.argv[1]), int(sys.argv[2])
    source = random.Random(seed)
    told = memoryview(mmap.mmap(-1, 16)).cast("Q")  # how far the child got: one store, after a call has returned

    start = er.start_run  # imports the client, so that the children need not

    def train():
        run = start("torture")
        log = run.log_metric
        step = 0
        while True:
            with run.span("epoch", index=step):
                for _ in range(200):
                    log("loss", step * 0.5, step)
                    log(f"key-{step % 7}", -step, step)
                    step += 1
                    told[0] = step
            run.add_tag(f"a tag that is long enough for several slots {step}")

    for number in range(count):
        told[0] = 0
        child = os.fork()
        if not child:
            train()
        # A fifth of them are killed at any moment of their start, a few only when their logs have grown.
        least = 0 if number % 5 == 0 else 20_000 if number % 100 == 1 else 1
        while told[0] < least:
            time.sleep(0.001)
        time.sleep(source.random() ** 2 * 0.03)
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        print(child, told[0])
"""


def test_five_hundred_kills_at_random_moments(study: Path) -> None:
    """No point that was logged is lost, none is torn, and every log can be read."""
    (study / "script.py").write_text("import entrenar_research as er\n" + textwrap.dedent(TORTURE))
    argv = [sys.executable, "script.py", "500", "20261121"]
    done = subprocess.run(argv, cwd=study, env=environment(), capture_output=True, text=True, check=False, timeout=240)
    assert (done.returncode, done.stderr) == (0, "")
    told = {int(line.split()[0]): int(line.split()[1]) for line in done.stdout.splitlines()}
    assert len(told) == 500
    seen = 0
    for path in sorted(study.glob("runs/*/events/*.events")):
        log = reading.read(path)
        assert not log.damaged, path
        assert not log.closed
        assert not liveness.held(path)
        steps = told[int(path.name.partition("-")[0])]
        assert_whole(log, steps)
        seen += steps > 0
        assert (path.parent.parent / "run.yaml").is_file() or not log.values
    assert seen >= 400
    assert max(told.values()) >= 20_000


def assert_whole(log: Log, steps: int) -> None:
    """Every point of the steps that the child told of is there, with its own value, and at most one step more."""
    loss = log.points("loss")
    assert loss == [(step, step * 0.5) for step in range(len(loss))]
    assert steps <= len(loss) <= steps + 1
    others = [
        (step, value, log.keys[ref])
        for step, value, ref in zip(log.steps, log.values, log.refs, strict=True)
        if log.keys[ref] != "loss"
    ]
    assert others == [(step, -step, f"key-{step % 7}") for step in range(len(others))]
    assert steps <= len(others) <= steps + 1
    assert [span.attributes["index"] for span in log.spans[1:]] == [200 * n for n in range(len(log.spans) - 1)]


# --- forked and spawned ---------------------------------------------------------------------------------------------


def test_forks_have_logs_of_their_own(study: Path) -> None:
    done = script(
        study,
        """
        import os
        with er.start_run("forks") as run:
            with run.span("epoch", index=1) as epoch:
                run.log_metric("x", 0.0)
                for number in (1.0, 2.0):
                    child = os.fork()
                    if not child:
                        run.log_metric("x", number)
                        with run.span("inner"):
                            run.log_metric("y", number)
                        run.add_tag(f"child {number:g}")
                        os._exit(0)
                    os.waitpid(child, 0)
                run.log_metric("x", 3.0)
            print(epoch.id)
        """,
    )
    assert record(study).status == "completed"
    assert (record(study).tags, record(study).telemetry.points) == ((), 2)  # type: ignore[union-attr]
    parent, one, other = logs(study)
    assert parent.points("x") == [(0, 0.0), (1, 3.0)]
    assert parent.closed
    for number, child in ((1.0, one), (2.0, other)):
        assert child.points("x") == [(1, number)]
        assert child.points("y") == [(0, number)]
        assert [(span.name, span.ended is not None) for span in child.spans] == [
            ("fork in epoch", False),
            ("inner", True),
        ]
        assert child.spans[0].parent == done.stdout.strip()
        assert child.spans[1].parent == child.spans[0].id
        assert child.trace == parent.trace
        assert child.notes == [{"kind": "tag", "value": f"child {number:g}"}]
        assert not child.closed


def test_a_fork_that_leaves_the_block_does_not_end_the_run(study: Path) -> None:
    script(
        study,
        """
        import os, sys
        with er.start_run("forks") as run:
            child = os.fork()
            if not child:
                run.log_metric("x", 1.0)
        if not child:
            sys.exit(0)
        os.waitpid(child, 0)
        """,
    )
    parent, child = logs(study)
    assert record(study).status == "completed"
    assert (parent.notes, child.notes) == ([{"kind": "end", "status": "completed"}],) * 2
    assert child.closed
    assert child.values == [1.0]


def test_a_fork_that_logs_nothing_leaves_nothing(study: Path) -> None:
    script(
        study,
        """
        import os
        run = er.start_run("forks")
        run.log_metric("x", 1)
        child = os.fork()
        if child:
            os.waitpid(child, 0)
        """,
    )
    (log,) = logs(study)
    assert log.closed


def test_the_lock_dies_with_the_parent_although_children_live(study: Path) -> None:
    """A child that was forked must not keep a dead run alive."""
    (study / "script.py").write_text(
        "import entrenar_research as er, os, signal, time\n"
        "run = er.start_run('forks')\n"
        "run.log_metric('x', 1)\n"
        "read, write = os.pipe()\n"
        "if not os.fork():\n"
        "    print(os.getpid(), flush=True)\n"
        "    time.sleep(60)\n"
        "time.sleep(60)\n"
    )
    with subprocess.Popen([sys.executable, "script.py"], cwd=study, env=environment(), stdout=subprocess.PIPE) as job:
        assert job.stdout is not None
        child = int(job.stdout.readline())
        try:
            assert liveness.alive(run_directory(study))
            job.kill()
            job.wait()
            os.kill(child, 0)
            assert not liveness.alive(run_directory(study))
        finally:
            os.kill(child, signal.SIGKILL)


@pytest.mark.parametrize("method", ["fork", "spawn", "forkserver"])
def test_multiprocessing(study: Path, method: str) -> None:
    script(
        study,
        f"""
        import multiprocessing

        def work(number):
            run = er.current_run()
            run.log_metric("x", number, step=number)
            with run.span("work", number=number):
                run.log_metric("y", number)
            assert er.current_run() is run

        if __name__ == "__main__":
            context = multiprocessing.get_context("{method}")
            with er.start_run("many") as run, run.span("pool"):
                jobs = [context.Process(target=work, args=(number,)) for number in range(3)]
                for job in jobs:
                    job.start()
                for job in jobs:
                    job.join()
                assert [job.exitcode for job in jobs] == [0, 0, 0]
        """,
    )
    assert record(study).status == "completed"
    main, *others = logs(study)
    pool = next(span for span in main.spans if span.name == "pool")
    assert sorted(log.points("x")[0] for log in others) == [(0, 0.0), (1, 1.0), (2, 2.0)]
    for log in others:
        assert log.closed
        assert log.trace == main.trace
        assert log.spans[0].parent == pool.id
        assert [span.name for span in log.spans[1:]] == ["work"]
        assert all(span.ended is not None for span in log.spans)
        assert log.notes == [{"kind": "end", "status": "completed"}]


def test_a_program_that_a_run_starts_belongs_to_it(study: Path) -> None:
    (study / "evaluate.py").write_text(
        "import entrenar_research as er\nwith er.start_run('evaluation') as run:\n    run.log_metric('acc', 0.5)\n"
    )
    script(
        study,
        """
        import subprocess, sys
        with er.start_run("train") as run, run.span("evaluate"):
            subprocess.run([sys.executable, "evaluate.py"], check=True)
        """,
    )
    main, other = logs(study)
    assert record(study).experiment == "train"
    assert other.points("acc") == [(0, 0.5)]
    assert other.spans[0].parent == main.spans[1].id


# --- threads --------------------------------------------------------------------------------------------------------


def test_threads(study: Path) -> None:
    """Eight of them, through several growths of the log; each one's points are all there and in its own order."""
    script(
        study,
        """
        import sys, threading
        sys.setswitchinterval(1e-5)
        run = er.start_run("threads")

        def work(number):
            for step in range(20_000):
                run.log_metric(f"thread-{number}", step / 2, step)
                if step % 1000 == 0:
                    with run.span("thousand", number=number):
                        run.log_metric("shared", number)

        threads = [threading.Thread(target=work, args=(number,)) for number in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        """,
    )
    (log,) = logs(study)
    assert record(study).status == "completed"
    assert record(study).telemetry.points == 8 * 20_020  # type: ignore[union-attr]
    for number in range(8):
        assert log.points(f"thread-{number}") == [(step, step / 2) for step in range(20_000)]
    shared = log.points("shared")
    assert sorted(step for step, _ in shared) == list(range(160))
    spans = {span.ref: span for span in log.spans}
    within = {spans[log.key_spans[ref]].attributes["number"] for ref, key in log.keys.items() if key == "shared"}
    assert within == set(range(8))
    for ref, value in zip(log.refs, log.values, strict=True):
        if log.keys[ref] == "shared":
            assert spans[log.key_spans[ref]].attributes["number"] == value


def test_tasks_of_asyncio_have_spans_of_their_own(study: Path) -> None:
    script(
        study,
        """
        import asyncio
        run = er.start_run("tasks")

        async def work(number):
            with run.span("task", number=number):
                for _ in range(3):
                    run.log_metric("x", number)
                    await asyncio.sleep(0)

        async def main():
            await asyncio.gather(*(work(number) for number in range(3)))

        asyncio.run(main())
        """,
    )
    (log,) = logs(study)
    spans = {span.ref: span for span in log.spans}
    found = [(spans[log.key_spans[ref]].attributes["number"], v) for ref, v in zip(log.refs, log.values, strict=True)]
    assert found == [(0, 0), (1, 1), (2, 2)] * 3


# --- every way to end -----------------------------------------------------------------------------------------------

ENDINGS: dict[str, tuple[str, int, str, str | None]] = {
    "runs out": ("", 0, "completed", None),
    "finished": ("run.finish('cancelled')", 0, "cancelled", None),
    "exit 0": ("import sys; sys.exit(0)", 0, "completed", None),
    "exit 3": ("import sys; sys.exit(3)", 3, "failed", "the script ended with exit status 3"),
    "exit text": ("import sys; sys.exit('no')", 1, "failed", "the script ended with exit status 1"),
    "exception": ("raise ValueError('no data')", 1, "failed", "ValueError: no data"),
    "ctrl-c": ("raise KeyboardInterrupt", 130, "cancelled", "interrupted"),
    "finished, then exit 3": ("run.finish(); import sys; sys.exit(3)", 3, "completed", None),
    "exit in a thread": (
        "import threading, sys; t = threading.Thread(target=sys.exit, args=(3,)); t.start(); t.join()",
        0,
        "completed",
        None,
    ),
    "a hook of another": (
        "import sys; sys.excepthook = lambda *_: print('theirs')\nraise ValueError('unseen')",
        1,
        "completed",
        None,
    ),
}


@pytest.mark.parametrize("name", ENDINGS)
def test_the_end_of_a_script(study: Path, name: str) -> None:
    text, status, ended, failure = ENDINGS[name]
    wanted = -signal.SIGINT if name == "ctrl-c" else status
    done = script(study, f"run = er.start_run('a')\nrun.log_metric('x', 1)\n{text}\n", status=wanted)
    found = record(study)
    assert (found.status, found.failure) == (ended, failure)
    (log,) = logs(study)
    assert log.closed
    assert log.notes[-1] == {"kind": "end", "status": ended}
    assert not liveness.alive(run_directory(study))
    if name in ("exception", "ctrl-c"):
        assert "Traceback" in done.stderr
        assert "entrenar_research" not in done.stderr, "the hook must not show up in the traceback"
    if name == "exception":
        assert 'File "script.py", line 4, in <module>' in log.notes[-2]["stack"]


def test_a_script_that_is_killed_is_neither_alive_nor_ended(study: Path) -> None:
    script(study, "import os\nrun = er.start_run('a')\nrun.log_metric('x', 1)\nos.kill(os.getpid(), 9)\n", status=-9)
    assert record(study).status == "running"
    assert not liveness.alive(run_directory(study))
    (log,) = logs(study)
    assert (log.values, log.closed, log.torn) == ([1.0], False, 0)


def test_a_live_run_can_be_read(study: Path) -> None:
    (study / "script.py").write_text(
        "import entrenar_research as er\n"
        "run = er.start_run('a')\n"
        "run.log_metric('x', 1)\n"
        "print('ready', flush=True)\n"
        "input()\n"
        "run.log_metric('x', 2)\n"
    )
    pipes: dict[str, Any] = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    with subprocess.Popen([sys.executable, "script.py"], cwd=study, env=environment(), **pipes) as job:
        assert job.stdout is not None
        assert job.stdout.readline() == b"ready\n"
        assert liveness.alive(run_directory(study))
        (log,) = logs(study)
        assert (log.values, log.closed) == ([1.0], False)
        job.communicate(b"\n")
    (log,) = logs(study)
    assert (log.values, log.closed) == ([1.0, 2.0], True)
