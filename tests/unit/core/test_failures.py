"""What evidence amounts to which code, and what must never amount to any."""

from __future__ import annotations

import errno
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from entrenar_research.core.failures import classification, exception_codes, runtime_errors
from entrenar_research.core.failures.classification import Evidence
from entrenar_research.core.failures.codes import CODES
from entrenar_research.models.tracking import Failure

BATCH = "CUDA out of memory. Tried to allocate 2.00 GiB. GPU 0 has a total capacity of 23.68 GiB"


def raised(headline: str, *, status: int = 1, file: str = "train.py", after: str = "", before: str = "") -> Failure:
    text = (
        f'{before}Traceback (most recent call last):\n  File "{file}", line 1, in main\n    step()\n{headline}\n{after}'
    )
    return classification.classify(Evidence(exit_status=status, stderr=text))


@pytest.mark.parametrize(
    ("headline", "code", "category"),
    [
        (f"torch.OutOfMemoryError: {BATCH}", "OOM_CUDA", "resource"),
        (f"torch.cuda.OutOfMemoryError: {BATCH}", "OOM_CUDA", "resource"),
        (f"RuntimeError: {BATCH}", "OOM_CUDA", "resource"),
        ("RuntimeError: CUDA error: out of memory", "OOM_CUDA", "resource"),
        ("jax.errors.JaxRuntimeError: RESOURCE_EXHAUSTED: Out of memory while trying", "OOM_CUDA", "resource"),
        ("RuntimeError: [enforce fail at alloc_cpu.cpp:117] err == 0. DefaultCPUAllocator", "OOM_HOST", "resource"),
        ("MemoryError", "OOM_HOST", "resource"),
        ("numpy._core._exceptions._ArrayMemoryError: Unable to allocate 8.00 EiB", "OOM_HOST", "resource"),
        ("OSError: [Errno 12] Cannot allocate memory", "OOM_HOST", "resource"),
        ("RuntimeError: CUDA error: an illegal memory access was encountered", "CUDA_ERROR", "infra"),
        ("torch.AcceleratorError: CUDA error: device-side assert triggered", "ASSERTION_FAILED", "code"),
        ("OSError: [Errno 28] No space left on device: 'model.bin'", "DISK_FULL", "resource"),
        ("OSError: [Errno 122] Disk quota exceeded", "DISK_FULL", "resource"),
        ("sqlite3.OperationalError: database or disk is full", "DISK_FULL", "resource"),
        ("safetensors_rust.SafetensorError: Error: No space left on device (os error 28)", "DISK_FULL", "resource"),
        (
            "OSError: Can't write data (file write failed: errno = 28, error message = 'No space')",
            "DISK_FULL",
            "resource",
        ),
        ("FileNotFoundError: [Errno 2] No such file or directory: 'data.csv'", "FILE_NOT_FOUND", "data"),
        ("PermissionError: [Errno 13] Permission denied: '/x'", "PERMISSION_DENIED", "infra"),
        ("OSError: [Errno 30] Read-only file system: 'x'", "PERMISSION_DENIED", "infra"),
        ("OSError: [Errno 24] Too many open files: 'x'", "TOO_MANY_FILES", "resource"),
        ("OSError: [Errno 5] Input/output error", "IO_ERROR", "infra"),
        ("ModuleNotFoundError: No module named 'torch'", "MODULE_NOT_FOUND", "config"),
        ("ImportError: cannot import name 'x' from 'y'", "IMPORT_ERROR", "config"),
        ("yaml.scanner.ScannerError: mapping values are not allowed here", "CONFIG_INVALID", "config"),
        ("configparser.NoSectionError: No section: 'x'", "CONFIG_INVALID", "config"),
        ("json.decoder.JSONDecodeError: Expecting value: line 1 column 1 (char 0)", "DATA_INVALID", "data"),
        ("UnicodeDecodeError: 'utf-8' codec can't decode byte 0xff", "DATA_INVALID", "data"),
        ("pandas.errors.EmptyDataError: No columns to parse from file", "DATA_INVALID", "data"),
        ("RuntimeError: mat1 and mat2 shapes cannot be multiplied (3x4 and 5x6)", "SHAPE_MISMATCH", "model"),
        ("RuntimeError: Error(s) in loading state_dict for Net:", "SHAPE_MISMATCH", "model"),
        ("ValueError: operands could not be broadcast together with shapes (3,) (4,) ", "SHAPE_MISMATCH", "model"),
        ("RuntimeError: expected scalar type Float but found Half", "DTYPE_MISMATCH", "model"),
        ("RuntimeError: Expected all tensors to be on the same device, but found", "DEVICE_MISMATCH", "model"),
        ("OverflowError: math range error", "NUMERIC_OVERFLOW", "model"),
        ("FloatingPointError: invalid value encountered in divide", "NUMERIC_NAN", "model"),
        ("FloatingPointError: overflow encountered in exp", "NUMERIC_OVERFLOW", "model"),
        ("ValueError: cannot convert float NaN to integer", "NUMERIC_NAN", "model"),
        ("ValueError: Input X contains NaN.", "NUMERIC_NAN", "model"),
        ("RuntimeError: Function 'MulBackward0' returned nan values in its 0th output.", "NUMERIC_NAN", "model"),
        ("numpy.linalg.LinAlgError: Singular matrix", "NUMERIC_SINGULAR", "model"),
        ("ZeroDivisionError: division by zero", "NUMERIC_DIVISION", "model"),
        ("AssertionError", "ASSERTION_FAILED", "code"),
        ("RecursionError: maximum recursion depth exceeded", "RECURSION", "code"),
        ("requests.exceptions.ConnectTimeout: x", "NETWORK", "infra"),
        ("socket.gaierror: [Errno -2] Name or service not known", "NETWORK", "infra"),
        ("ConnectionRefusedError: [Errno 111] Connection refused", "NETWORK", "infra"),
        ("urllib.error.URLError: <urlopen error [Errno 2] x>", "NETWORK", "infra"),
        ("TimeoutError", "TIMEOUT", "resource"),
        ("TimeoutError: [Errno 110] Connection timed out", "NETWORK", "infra"),
        ("subprocess.TimeoutExpired: Command 'x' timed out after 1 seconds", "TIMEOUT", "resource"),
        ("BrokenPipeError: [Errno 32] Broken pipe", "BROKEN_PIPE", "infra"),
        ("torch.distributed.DistBackendError: NCCL error in: x", "DISTRIBUTED", "infra"),
        ("concurrent.futures.process.BrokenProcessPool: A process terminated abruptly", "WORKER_DIED", "infra"),
        ("RuntimeError: DataLoader worker (pid 123) is killed by signal: Killed. ", "WORKER_DIED", "infra"),
        ("subprocess.CalledProcessError: Command 'x' died with <Signals.SIGKILL: 9>.", "WORKER_DIED", "infra"),
        ("subprocess.CalledProcessError: Command 'x' returned non-zero exit status 3.", "SUBPROCESS_FAILED", "code"),
        ("TypeError: unsupported operand", "PYTHON_ERROR", "code"),
        ("mine.OwnError: whatever", "PYTHON_ERROR", "code"),
    ],
)
def test_exceptions(headline: str, code: str, category: str) -> None:
    found = raised(headline)
    assert (found.code, found.category) == (code, category)
    assert found.exception == headline.partition(":")[0]
    assert found.diagnostic == headline.strip()
    assert found.remediation == CODES[code].remediation
    assert found.stack is not None
    assert found.evidence[0].startswith(f"exception {found.exception}")
    assert found.evidence[-2:] == ("traceback on stderr", "exit status 1")


@pytest.mark.parametrize(
    "headline",
    [
        "ValueError: some information is missing",
        "RuntimeError: inference failed in finance.py: nan is a word, inf too",
        "ValueError: ROOM 101 OOM CUDA out of memory",
        "RuntimeError: it said: CUDA out of memory.",
        "ValueError: CUDA out of memory. Tried to allocate",
        "RuntimeError: No space left on device",
        "ValueError: [Errno 28] No space left on device",
        "KeyError: 'killed'",
        "RuntimeError: CUDA out of memoryless",
        "RuntimeError: permission denied, timeout, network, assertion, overflow, disk full, file not found",
        "mytorch.OutOfMemoryErrors: x",
        "NotMemoryError: memory",
        "OSError: no errno [Errno 28] at its beginning",
    ],
)
def test_words_within_a_message_decide_nothing(headline: str) -> None:
    assert raised(headline).code == "PYTHON_ERROR"


@given(st.text(), st.sampled_from(["ValueError", "KeyError", "mine.Error"]))
def test_no_message_of_a_general_type_makes_it_a_matter_of_memory(text: str, kind: str) -> None:
    found = classification.classify(Evidence(exception=kind, message=f"OOM {text} CUDA out of memory"))
    assert found.code not in ("OOM_HOST", "OOM_CUDA", "DISK_FULL")


def test_what_it_is_caused_by_counts_where_the_exception_says_nothing() -> None:
    before = (
        'Traceback (most recent call last):\n  File "a.py", line 1, in read\n    open(x)\n'
        "FileNotFoundError: [Errno 2] No such file or directory: 'a'\n\n"
        "The above exception was the direct cause of the following exception:\n\n"
    )
    found = raised("RuntimeError: could not load", before=before)
    assert found.code == "FILE_NOT_FOUND"
    assert found.exception == "RuntimeError"
    assert found.diagnostic == (
        "RuntimeError: could not load (from FileNotFoundError: [Errno 2] No such file or directory: 'a')"
    )
    assert found.evidence[0] == "its cause: exception FileNotFoundError, errno 2 (ENOENT)"
    assert raised("MemoryError", before=before).code == "OOM_HOST"


def test_a_missing_program_is_no_missing_file() -> None:
    headline = "FileNotFoundError: [Errno 2] No such file or directory: 'nvcc'"
    assert raised(headline, file="/usr/lib/python3.11/subprocess.py").code == "TOOL_MISSING"
    assert raised(headline, file="subprocess_tools.py").code == "FILE_NOT_FOUND"


def test_a_traceback_counts_if_it_was_the_end() -> None:
    assert raised("KeyError: 'a'", status=3, after="went on\n").code == "EXIT_STATUS"
    assert raised("KeyError: 'a'", status=3).code == "PYTHON_ERROR"
    assert raised("KeyError: 'a'", status=1, after="bye\n").code == "PYTHON_ERROR"
    assert raised("KeyError: 'a'", status=137).code == "KILLED"


@pytest.mark.parametrize(
    ("evidence", "code"),
    [
        (Evidence(signal="SIGKILL"), "KILLED"),
        (Evidence(signal="SIGKILL", cgroup_kills=1), "OOM_HOST"),
        (Evidence(signal="SIGKILL", machine_kills=1), "KILLED"),
        (Evidence(signal="SIGKILL", kernel=("out of memory: killed python",)), "OOM_HOST"),
        (Evidence(exit_status=137), "KILLED"),
        (Evidence(exit_status=137, cgroup_kills=2), "OOM_HOST"),
        (Evidence(signal="SIGSEGV"), "SEGFAULT"),
        (Evidence(exit_status=139), "SEGFAULT"),
        (Evidence(signal="SIGSEGV", cgroup_kills=1), "SEGFAULT"),
        (Evidence(signal="SIGBUS", free=10**9), "BUS_ERROR"),
        (Evidence(signal="SIGBUS", free=0), "DISK_FULL"),
        (Evidence(signal="SIGABRT"), "ABORTED"),
        (
            Evidence(signal="SIGABRT", stderr="terminate called after throwing an instance of 'std::bad_alloc'\n"),
            "OOM_HOST",
        ),
        (
            Evidence(signal="SIGABRT", stderr="terminate called after throwing an instance of 'std::logic_error'"),
            "ABORTED",
        ),
        (Evidence(signal="SIGABRT", stderr="a: a.c:3: main: Assertion `x == 1' failed."), "ASSERTION_FAILED"),
        (Evidence(signal="SIGABRT", stderr="memory allocation of 99 bytes failed\n"), "OOM_HOST"),
        (Evidence(signal="SIGILL"), "ILLEGAL_INSTRUCTION"),
        (Evidence(signal="SIGFPE"), "ARITHMETIC_FAULT"),
        (Evidence(signal="SIGTERM"), "TERMINATED"),
        (Evidence(signal="SIGINT"), "CANCELLED"),
        (Evidence(signal="SIGXCPU"), "CPU_TIME_LIMIT"),
        (Evidence(signal="SIGUSR1"), "SIGNAL"),
        (Evidence(signal="signal 34"), "SIGNAL"),
        (Evidence(exit_status=127), "TOOL_MISSING"),
        (Evidence(exit_status=127, stderr="sh: 1: nvcc: not found"), "TOOL_MISSING"),
        (Evidence(exit_status=126), "NOT_EXECUTABLE"),
        (Evidence(exit_status=124), "EXIT_STATUS"),
        (Evidence(exit_status=124, program="/usr/bin/timeout"), "TIMEOUT"),
        (Evidence(exit_status=2, stderr="usage: t.py [-h]\nt.py: error: bad --x\n"), "CONFIG_INVALID"),
        (Evidence(exit_status=2, stderr="t.py: error: no usage\n"), "EXIT_STATUS"),
        (Evidence(exit_status=7), "EXIT_STATUS"),
        (Evidence(exit_status=200), "EXIT_STATUS"),
        (Evidence(exit_status=7, free=100), "DISK_FULL"),
        (Evidence(exit_status=7, kernel=("out of memory: killed python",)), "OOM_HOST"),
        (Evidence(exit_status=7, cgroup_kills=1), "EXIT_STATUS"),
        (Evidence(exit_status=1, stderr="ROOM for information"), "EXIT_STATUS"),
        (Evidence(interrupted=True, exit_status=130, signal="SIGINT"), "CANCELLED"),
        (Evidence(interrupted=True, said="the trial was pruned"), "CANCELLED"),
        (Evidence(found="OUTPUT_MISSING", said="no a.json"), "OUTPUT_MISSING"),
        (Evidence(found="OUTPUT_MISSING", said="cannot move it", errno=errno.ENOSPC), "DISK_FULL"),
        (Evidence(found="LOST", said="its process is gone"), "LOST"),
        (Evidence(), "UNKNOWN"),
        (Evidence(exit_status=0), "UNKNOWN"),
    ],
)
def test_ends(evidence: Evidence, code: str) -> None:
    found = classification.classify(evidence)
    assert (found.code, found.category) == (code, CODES[code].category)
    assert found.diagnostic


def test_other_peoples_memory_is_told_but_not_taken_for_ours() -> None:
    found = classification.classify(Evidence(signal="SIGKILL", machine_kills=2))
    assert "though not known to be this one" in found.diagnostic
    assert found.evidence == ("signal SIGKILL", "machine: oom_kill rose by 2")


def test_a_worker_killed_for_memory() -> None:
    pool = "concurrent.futures.process.BrokenProcessPool"
    stderr = f'Traceback (most recent call last):\n  File "a.py", line 1, in m\n{pool}: x\n'
    assert classification.classify(Evidence(exit_status=1, stderr=stderr)).code == "WORKER_DIED"
    found = classification.classify(Evidence(exit_status=1, stderr=stderr, cgroup_kills=1))
    assert found.code == "OOM_HOST"
    assert "memory group: oom_kill rose by 1" in found.evidence
    plain = stderr.replace(pool, "ValueError")
    assert classification.classify(Evidence(exit_status=1, stderr=plain, cgroup_kills=1)).code == "PYTHON_ERROR"


def test_what_a_client_reports() -> None:
    note = Evidence(exception="mine.TooBig", bases=("torch.OutOfMemoryError", "RuntimeError"), message="layer 3")
    found = classification.classify(note)
    assert found.code == "OOM_CUDA"
    assert found.evidence == ("exception mine.TooBig, a kind of torch.OutOfMemoryError",)
    assert classification.classify(Evidence(exception="OSError", message="x", errno=28)).code == "DISK_FULL"
    assert classification.classify(Evidence(exception="KeyError", signal="SIGSEGV")).code == "SEGFAULT"


def test_no_absolute_path_is_kept() -> None:
    stderr = (
        'Traceback (most recent call last):\n  File "/home/ada/study/a.py", line 1, in m\n'
        '  File "/home/ada/.venv/lib/python3.11/site-packages/torch/nn.py", line 2, in f\n'
        '  File "/usr/lib/python3.11/json/decoder.py", line 3, in g\n'
        "FileNotFoundError: [Errno 2] No such file or directory: '/home/ada/study/data/x.csv'\n"
    )
    hidden = (("/home/ada", "~/"), ("/home/ada/study", ""))
    found = classification.classify(Evidence(exit_status=1, stderr=stderr, hidden=hidden))
    assert found.diagnostic.endswith("No such file or directory: 'data/x.csv'")
    assert found.stack is not None
    assert [line.split('"')[1] for line in found.stack.splitlines() if 'File "' in line] == [
        "a.py", "site-packages/torch/nn.py", "python3.11/json/decoder.py",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("words", "runtime", "code"),
    [
        ("thread 'main' panicked at src/main.rs:2:5:\nindex out of bounds", "Rust", "PROGRAM_ERROR"),
        ("panic: runtime error: index out of range [5]\n\ngoroutine 1 [running]:", "Go", "PROGRAM_ERROR"),
        ("fatal error: runtime: out of memory", "Go", "OOM_HOST"),
        ('Exception in thread "main" java.lang.OutOfMemoryError: heap\n\tat A.b(A.java:3)', "Java", "OOM_HOST"),
        ('Exception in thread "main" java.lang.IllegalStateException: x', "Java", "PROGRAM_ERROR"),
        ("ERROR: LoadError: BoundsError: attempt to access", "Julia", "PROGRAM_ERROR"),
        ("ERROR: OutOfMemoryError()", "Julia", "OOM_HOST"),
        ("Error: cannot allocate vector of size 7.5 Gb", "R", "OOM_HOST"),
        ("Error in f(x) : object 'y' not found", "R", "PROGRAM_ERROR"),
        ("a.out: error while loading shared libraries: libx.so.1: cannot open x: y", "loader", "LIBRARY_NOT_FOUND"),
        ("python3: can't open file '/x/t.py': [Errno 2] No such file or directory", "Python", "FILE_NOT_FOUND"),
        ("/usr/bin/python3: No module named nothing", "Python", "MODULE_NOT_FOUND"),
    ],
)  # fmt: skip
def test_last_words_of_other_runtimes(words: str, runtime: str, code: str) -> None:
    found = runtime_errors.last_words(f"noise\n{words}\n")
    assert found is not None
    assert (found.runtime, found.code) == (runtime, code)
    assert classification.classify(Evidence(exit_status=1, stderr=words)).code == code


def test_every_code_that_can_come_out_is_known() -> None:
    used = {*exception_codes.TYPES.values(), *exception_codes.MODULES.values(), *exception_codes.ERRNOS.values()}
    used |= {pattern.code for pattern in exception_codes.PATTERNS} | {*classification._SIGNALS.values()}
    used |= {form.code for form in runtime_errors._FORMS}
    assert used <= {*CODES}
    assert all(known.remediation or code == "UNKNOWN" for code, known in CODES.items())


def test_the_names_of_the_standard_library_and_numpy_are_right() -> None:
    import numpy as np

    with pytest.raises(np._core._exceptions._ArrayMemoryError) as caught:  # type: ignore[attr-defined]
        np.ones(1 << 55)
    assert exception_codes.TYPES[f"{caught.type.__module__}.{caught.type.__qualname__}"] == "OOM_HOST"
    for name in exception_codes.TYPES:
        module, _, last = name.rpartition(".")
        if module in sys.modules and module.partition(".")[0] in sys.stdlib_module_names:
            assert issubclass(getattr(sys.modules[module], last), BaseException), name


@given(
    st.builds(
        Evidence,
        exception=st.none() | st.text(max_size=20),
        message=st.text(max_size=40),
        errno=st.none() | st.integers(-5, 400),
        exit_status=st.none() | st.integers(0, 255),
        signal=st.none() | st.sampled_from(["SIGKILL", "SIGBUS", "SIGABRT", "SIGRTMIN", "signal 99"]),
        stderr=st.text(max_size=80),
        stack=st.none() | st.text(max_size=80),
        cgroup_kills=st.integers(0, 2),
        free=st.none() | st.integers(0, 10**6),
        found=st.none() | st.sampled_from(sorted(CODES)),
    )
)
def test_any_evidence_is_classified(evidence: Evidence) -> None:
    found = classification.classify(evidence)
    assert found.code in CODES
    assert found.category == CODES[found.code].category
