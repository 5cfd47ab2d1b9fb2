"""Looking at real processes from outside, and at cards through a program that answers as nvidia-smi does."""

from __future__ import annotations

import os
import stat
import sys
import time
from pathlib import Path

import pytest

from entrenar_research.tools import execution, kernel, nvidia_smi, watching
from entrenar_research.tools.execution import Outcome

MIB = 1 << 20
TOUCH = "import sys, time\nheld = bytearray(int(sys.argv[1]) << 20)\ntime.sleep(float(sys.argv[2]))\n"
FAMILY = """\
import os, time
children = []
for _ in range(3):
    child = os.fork()
    if not child:
        held = bytearray(40 << 20)
        time.sleep(60)
    children.append(child)
time.sleep(1)
for child in children:
    os.kill(child, 9)
    os.waitpid(child, 0)
"""
SMI = """\
#!/bin/sh
# Answers from two files; every second question is written down.
cd "$(dirname "$0")"
case "$1" in
  *compute-apps*) cat apps ;;
  *query-gpu*) cat used; echo 900 > used; echo >> asked ;;
esac
"""
ASKED = """\
import os, time
def wait(times):
    while os.path.getsize("asked") < times:
        time.sleep(0.01)
"""


def execute(place: Path, source: str, *words: str) -> Outcome:
    return execution.execute(
        [sys.executable, "-S", "-c", source, *words], cwd=place, env={}, stdout=place / "out", stderr=place / "err"
    )


def test_one_process_is_measured_by_the_kernel(tmp_path: Path) -> None:
    held = watching.Watch(os.getpid()).end().own // MIB  # the kernel's mark of a child begins with ours
    outcome = execute(tmp_path, TOUCH, str(held + 100), "0.2")
    assert (held + 100) * MIB < outcome.usage.peak_memory < (held + 140) * MIB
    assert outcome.usage.group_memory is None
    assert outcome.usage.gpu_memory is None


def test_what_we_hold_ourselves_is_not_taken_for_the_commands(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watching, "_SHARE", 1)
    held = bytearray(150 * MIB)
    outcome = execute(tmp_path, TOUCH, "60", "1")
    assert 60 * MIB < outcome.usage.peak_memory < 100 * MIB
    assert len(held) == 150 * MIB


def test_several_at_once_are_added_up_and_shared_pages_are_not(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watching, "_SHARE", 1)
    outcome = execute(tmp_path, f"shared = bytearray(100 << 20)\n{FAMILY}")
    assert outcome.exit_status == 0
    assert outcome.usage.group_memory is not None
    assert 220 * MIB < outcome.usage.group_memory < 280 * MIB  # 100 + 3 * 40; by resident sets it would be 520
    assert len(outcome.processes) == 4


def smi(place: Path, monkeypatch: pytest.MonkeyPatch, apps: str, used: str) -> None:
    program = place / "nvidia-smi"
    program.write_text(SMI)
    program.chmod(program.stat().st_mode | stat.S_IXUSR)
    (place / "apps").write_text(apps)
    (place / "used").write_text(used)
    (place / "asked").write_text("")
    monkeypatch.setattr(watching, "_CARD_SECONDS", 0.02)
    monkeypatch.setenv("PATH", f"{place}:{os.environ['PATH']}")


def test_memory_of_its_own_processes_on_cards(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    smi(tmp_path, monkeypatch, "1, 5000\n", "100\n")
    source = ASKED + "open('apps', 'w').write('1, 7\\n%d, 4120\\n' % os.getpid())\nwait(os.path.getsize('asked') + 3)"
    usage = execute(tmp_path, source).usage
    assert (usage.gpu_memory, usage.gpu_scope) == (4120 * MIB, "processes")


def test_of_unknown_processes_the_rise_of_all_cards_is_taken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    smi(tmp_path, monkeypatch, "", "100\n50\n")
    usage = execute(tmp_path, f"{ASKED}wait(3)").usage
    assert (usage.gpu_memory, usage.gpu_scope) == (750 * MIB, "cards")


def test_cards_that_were_not_used_are_absent_not_zero(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    smi(tmp_path, monkeypatch, "1, [N/A]\n", "900\n")
    usage = execute(tmp_path, f"{ASKED}wait(3)").usage
    assert (usage.gpu_memory, usage.gpu_scope) == (None, None)


def test_lines_of_nvidia_smi() -> None:
    text = "12, 4120\n 13,  8 \n14, [N/A]\nNo running processes found\n"
    assert nvidia_smi.parse(text) == [(12, 4120), (13, 8)]


def test_the_kernels_counters_are_numbers_or_unknown() -> None:
    for counter in (kernel.group_kills, kernel.machine_kills):
        found = counter()
        assert found is None or found >= 0


def test_the_log_begins_where_it_is_opened(as_root: None) -> None:
    words = f"a mark of test {os.getpid()}"
    before = kernel.Log()
    try:
        Path("/dev/kmsg").write_text(f"{words}\n")
    except OSError as error:
        pytest.skip(f"the kernel's log cannot be written: {error}")
    after = kernel.Log()
    try:
        assert words in before.messages()
        assert words not in after.messages()
        assert words in kernel.logged_since(time.time())
    finally:
        before.close()
        after.close()
