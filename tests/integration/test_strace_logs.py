"""Logs of real programs: our reading, the quick count, awk and strace's own table agree."""

import http.server
import os
import shutil
import socketserver
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from entrenar_research.actions.traces import reading
from entrenar_research.core.traces.document import trace_of
from entrenar_research.core.traces.logs import strace_counts, strace_form, strace_log, strace_text
from entrenar_research.core.traces.summary import SummaryRow, summarise
from entrenar_research.models.trace import Trace
from entrenar_research.tools import process, strace

pytestmark = pytest.mark.skipif(strace.unavailable() is not None, reason=str(strace.unavailable()))

# Per line: whole calls and second halves count; the first word behind process and time is the name.
AWK = r"""
{ text = $0; sub(/^[0-9]+ +[0-9.]+ /, "", text) }
text ~ /^(\+\+\+|---)/ { next }
text ~ /<unfinished \.\.\.>$/ && text !~ /^<\.\.\./ { next }
text ~ /^<\.\.\. / { split(text, word, " "); name = word[2] }
text !~ /^<\.\.\. / { name = text; sub(/\(.*/, "", name) }
{ calls[name]++ }
text ~ / = (-1|\?) E[A-Z0-9_]+ \([^()<>]*\)( <[0-9.]+>)?$/ { errors[name]++ }
END { for (name in calls) print name, calls[name], errors[name] + 0 }
"""
THREADS = """
import threading, pathlib
def work(n):
    for i in range(40):
        pathlib.Path(f"f{n}").write_text(f"{i}) = -1 ENOENT (x) <0.000001>")
ts = [threading.Thread(target=work, args=(n,)) for n in range(4)]
[t.start() for t in ts]
[t.join() for t in ts]
"""
SQLITE = """
import sqlite3
with sqlite3.connect("x.db") as db:
    db.execute("create table t (a)")
    db.executemany("insert into t values (?)", [(n,) for n in range(500)])
print(db.execute("select count(*) from t").fetchone())
"""
PROGRAMS = {
    "pipeline": ["sh", "-c", "ls -l /etc | sort -r | head -3 | wc -l; cat /nonexistent; true"],
    "compiler": ["cc", "-O0", "-o", "a.out", "a.c"],
    "threads": [sys.executable, "-c", THREADS],
    "node": ["node", "-e", "require('fs').writeFileSync('n.txt', 'x'); setTimeout(() => console.log(1), 5)"],
    "git": ["sh", "-c", "git init -q r; cd r; cp ../a.c .; git add .; git -c user.name=a -c user.email=a commit -qm x"],
    "sqlite": [sys.executable, "-c", SQLITE],
    "tar": ["sh", "-c", "tar czf a.tar.gz a.c && tar tzf a.tar.gz"],
    "curl": ["curl", "-sS", "-o", "got", "URL"],
    "killed": ["sh", "-c", "sleep 30 & sh -c 'kill -KILL $$'; kill $!; wait"],
}  # fmt: skip


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    class Quiet(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.end_headers()
            self.wfile.write(b"hello\n")

        def log_message(self, *words: object) -> None:
            pass

    with socketserver.TCPServer(("127.0.0.1", 0), Quiet) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{server.server_address[1]}/"
        server.shutdown()
        thread.join()


@pytest.fixture(params=sorted(PROGRAMS))
def log(request: pytest.FixtureRequest, tmp_path: Path, address: str) -> Path:
    command = [address if word == "URL" else word for word in PROGRAMS[request.param]]
    if shutil.which(command[0]) is None:
        pytest.skip(f"{command[0]} is not installed")
    (tmp_path / "a.c").write_text("int main(void) { return 0; }\n")
    return traced(command, tmp_path, "-f", "-ttt", "-T")


def traced(command: list[str], directory: Path, *options: str) -> Path:
    path = directory / "log"
    environment = {**os.environ, "HOME": str(directory), "LC_ALL": "C", "GIT_CONFIG_NOSYSTEM": "1"}
    argv = ["strace", *options, "-o", str(path), "--", *command]
    subprocess.run(argv, cwd=directory, env=environment, capture_output=True, check=False, timeout=120)
    return path


def parsed(log: Path) -> Trace:
    text = log.read_bytes().decode("ascii", "backslashreplace")
    return strace_log.parse(text, log.name, command=None, level="full")


def counted(data: bytes, piece: int) -> strace_counts.Count:
    count = strace_counts.Count()
    for start in range(0, len(data), piece):
        count.take(data[start : start + piece])
    return count


def by_awk(log: Path) -> dict[str, tuple[int, int]]:
    done = subprocess.run(["awk", AWK, str(log)], capture_output=True, check=True, text=True)
    rows = (line.split() for line in done.stdout.splitlines())
    return {name: (int(calls), int(errors)) for name, calls, errors in rows}


def test_all_ways_of_counting_agree(log: Path) -> None:
    trace = parsed(log)
    assert trace.complete, trace.problems
    rows = summarise(trace)
    assert {row.name: (row.calls, row.errors) for row in rows} == by_awk(log)
    data = log.read_bytes()
    for piece in (len(data), 50_000, 997):
        count = counted(data, piece)
        assert (count.rows(), count.unreadable, count.doubtful, count.cut) == (rows, 0, False, False)
    found = reading.load(str(log), study=None)
    assert (found.name, found.document.recorded, found.document.problems) == ("log", len(trace.calls), ())
    assert summarise(trace_of(found.document)) == rows
    assert reading.summarise(str(log), study=None).rows == rows


def test_what_strace_counts_itself_is_what_we_count(tmp_path: Path) -> None:
    script = (
        "import os\nfor n in range(50):\n    os.path.exists(f'/nonexistent/{n}')\n    os.write(1, b'x')\nos.getppid()"
    )
    command = [sys.executable, "-I", "-S", "-B", "-c", script]
    rows = {row.name: row for row in summarise(parsed(traced(command, tmp_path, "-f", "-ttt", "-T")))}
    table = traced(command, tmp_path, "-f", "-c", "-U", "calls,errors,name").read_text().splitlines()[2:-2]
    told = {cells[-1]: [int(cell) for cell in cells[:-1]] for cells in map(str.split, table)}
    assert told["write"] == [50]
    # exit_group does not return: -c leaves it out. Where the memory lies is chance: so is how often brk is called.
    assert set(rows) == {*told, "exit_group"}
    for name in set(told) - {"brk", "mmap", "munmap"}:
        assert [rows[name].calls, *([rows[name].errors] if rows[name].errors else [])] == told[name], name


FORMS = ["-f", "-f -T", "-f -t", "-f -tt -T", "-f -ttt", "-f -r", "-f -T -y", "-f -ttt -T -yy", "-f -T -Y", "-f -i -T",
         "-f -ttt -n", "-f -ttt -C", "-f -k"]  # fmt: skip


@pytest.mark.parametrize("options", FORMS)
def test_every_form_of_log_gives_the_same_calls(tmp_path: Path, options: str) -> None:
    command = ["sh", "-c", "wc -c < /etc/passwd; ls /usr/-"]
    if "-k" in options and "stack-trace" not in process.run(["strace", "-V"]).text:
        pytest.skip("this strace prints no stacks")
    found = reading.load(str(traced(command, tmp_path, *options.split())), study=None).document
    plain = reading.load(str(traced(command, tmp_path, "-f", "-ttt", "-T", "-y")), study=None).document
    assert found.complete, found.problems
    # How often a shell waits depends on who ends first.
    waits = {"wait4", "rt_sigreturn"}
    assert calls_of(found.calls, waits) == calls_of(plain.calls, waits)
    assert found.command == plain.command == tuple(command)
    assert (found.exit, len(found.ends)) == (plain.exit, len(plain.ends))
    untimed = not {"-t", "-tt", "-ttt", "-r"} & set(options.split())
    assert any("no times" in problem for problem in found.problems) == untimed
    assert {call.began for call in found.calls} == {0} if untimed else found.calls[-1].began >= 0
    assert any("no durations" in problem for problem in found.problems) == ("-T" not in options)
    assert all(call.took is None for call in found.calls) == ("-T" not in options)
    if "-y" in options:
        assert found.trace_id == plain.trace_id


def calls_of(calls: object, without: set[str]) -> Counter[tuple[str, str | None]]:
    return Counter((call.name, call.error) for call in calls if call.name not in without)  # type: ignore[attr-defined]


def test_a_log_from_a_terminal_is_read_too(tmp_path: Path) -> None:
    command = ["sh", "-c", "cat /etc/passwd | wc -c >/dev/null; exit 3"]
    done = subprocess.run(["strace", "-f", "-tt", "-T", *command], capture_output=True, check=False)
    assert done.returncode == 3
    (tmp_path / "log").write_bytes(done.stderr)
    found = reading.load(str(tmp_path / "log"), study=None).document
    assert found.complete, found.problems
    assert len({call.process for call in found.calls}) == 3
    assert 0 not in {call.process for call in found.calls}
    assert found.exit.status == 3


def test_without_following_it_says_what_is_missing(tmp_path: Path) -> None:
    found = reading.load(str(traced(["sh", "-c", "ls /; true"], tmp_path, "-T")), study=None).document
    assert not found.complete
    told = " ".join(found.problems)
    assert "not followed" in told
    assert "no process numbers" in told
    assert {call.process for call in found.calls} == {0}


def test_what_we_write_as_strace_does_is_read_back(log: Path, tmp_path: Path) -> None:
    first = reading.load(str(log), study=None).document
    again = tmp_path / "again"
    again.write_text("\n".join(strace_text.lines(first.calls, first.ends)) + "\n")
    second = reading.load(str(again), study=None).document
    assert second.calls == first.calls
    assert second.complete


def test_the_quick_count_takes_what_is_damaged_as_the_reading_does(log: Path) -> None:
    lines = log.read_bytes().splitlines(keepends=True)
    resumed = [at for at, line in enumerate(lines) if b" resumed>" in line]
    damaged = [line for at, line in enumerate(lines) if at not in resumed[::2]][: len(lines) - 3]
    damaged[5:5] = [b"nothing of strace's\n", lines[3][:60].rstrip(b"\n") + b"\n"]
    data = b"".join(damaged) + lines[-1][:30]
    count = counted(data, 5_000)
    if count.doubtful:
        return
    trace = strace_log.parse(data.decode("ascii", "backslashreplace"), "log", command=None, level="full")
    rows: tuple[SummaryRow, ...] = summarise(trace)
    assert {row.name: row.calls for row in count.rows()} == {row.name: row.calls for row in rows}
    assert count.unreadable >= 2
    assert count.cut


def test_other_forms_are_not_counted_in_a_hurry() -> None:
    assert strace_counts.countable(strace_form.OWN)
    for text in ("12:00:00 close(3) = 0\n", "7 close(3) = 0\n", "close(3) = 0\n"):
        form = strace_form.detect(text)
        assert form is not None
        assert not strace_counts.countable(form)
    assert strace_form.detect("hello\n") is None


def test_strange_arguments_come_through_whole(tmp_path: Path) -> None:
    words = ["x" * 65_536, "two\nlines", os.fsdecode(b"\xff\xfe) = 3"), 'quo"te']
    log = tmp_path / "log"
    argv = ["strace", "-f", "-ttt", "-T", "-y", "-s", "70000", "-o", str(log), "--", "/bin/echo", *words]
    subprocess.run(argv, capture_output=True, check=True)
    trace = parsed(log)
    assert trace.complete, trace.problems
    assert trace.command == ("/bin/echo", "x" * 65_536, "two\nlines", "\\xff\\xfe) = 3", 'quo"te')
    assert counted(log.read_bytes(), 10_000).rows() == summarise(trace)


def test_a_tracer_that_was_killed_leaves_an_incomplete_trace(tmp_path: Path) -> None:
    log = tmp_path / "log"
    # strace writes its log when a buffer is full: enough calls that it was once.
    script = "for i in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20; do /bin/true; done; kill -KILL $PPID"
    argv = ["strace", "-f", "-ttt", "-T", "-o", str(log), "--", "sh", "-c", script]
    done = subprocess.run(argv, cwd=tmp_path, stdout=subprocess.DEVNULL, check=False, timeout=60)
    assert done.returncode == -9
    trace = parsed(log)
    assert not trace.complete
    assert len(trace.calls) > 100
    assert "the log stops before" in " ".join(trace.problems)
