"""The codes of failures: what category each belongs to, and what a person can do about it (spec section 20)."""

from __future__ import annotations

from typing import Final

import msgspec

from entrenar_research.models.tracking import FailureCategory


class Known(msgspec.Struct, frozen=True):
    """A code's category and its remediation (None where there is nothing general to say)."""

    category: FailureCategory
    remediation: str | None = None


_INTERPRETER = "run it under `python -X faulthandler` to see the Python stack of the crash"
_NATIVE = f"a compiled extension is at fault: {_INTERPRETER}, and check that its build fits this machine"

CODES: Final[dict[str, Known]] = {
    "OOM_HOST": Known("resource", "load less at once (smaller batches, fewer workers), or give it more memory"),
    "OOM_CUDA": Known("resource", "reduce the batch size, enable gradient checkpointing or mixed precision"),
    "DISK_FULL": Known("resource", "free space on the disk (or raise the quota), then run it again"),
    "TOO_MANY_FILES": Known("resource", "close files, or raise the limit with `ulimit -n`"),
    "FILE_SIZE_LIMIT": Known("resource", "raise the limit with `ulimit -f`"),
    "CPU_TIME_LIMIT": Known("resource", "raise the limit with `ulimit -t` or that of the batch system"),
    "TIMEOUT": Known("resource", "give it more time, or let it do less"),
    "CONFIG_INVALID": Known("config", "correct the parameters or the options of the command"),
    "MODULE_NOT_FOUND": Known("config", "install the package that has the module into the environment of the command"),
    "IMPORT_ERROR": Known("config", "check that the installed versions of the packages fit each other"),
    "LIBRARY_NOT_FOUND": Known("config", "install the shared library, or put its directory on LD_LIBRARY_PATH"),
    "TOOL_MISSING": Known("config", "install the program, or put it on PATH"),
    "NOT_EXECUTABLE": Known("config", "make the program executable (`chmod +x`), and check its `#!` line"),
    "UNDECLARED": Known("config", "declare the inputs (`--fix` does it), or run without --strict"),
    "OUTPUT_MISSING": Known("config", "correct `outputs` in experiment.yaml, or the command"),
    "METRIC_MISSING": Known("config", "correct `metrics` in experiment.yaml, or what the command writes there"),
    "FILE_NOT_FOUND": Known("data", "check the path, and fetch the data (`dvc pull`) if it is not here yet"),
    "DATA_INVALID": Known("data", "check the file: is it complete, and of the right format?"),
    "SHAPE_MISMATCH": Known("model", "compare the shapes of data, parameters and checkpoint with the model's"),
    "DTYPE_MISMATCH": Known("model", "convert the tensors to one type before they meet"),
    "DEVICE_MISMATCH": Known("model", "move model and data to the same device"),
    "NUMERIC_OVERFLOW": Known("model", "lower the learning rate, clip gradients, or compute with more bits"),
    "NUMERIC_NAN": Known("model", "lower the learning rate, clip gradients, and look for NaN in the data"),
    "NUMERIC_SINGULAR": Known("model", "regularise the matrix, or look for dependent columns in the data"),
    "NUMERIC_DIVISION": Known("model", "look for an empty batch or a zero scale, and guard the division"),
    "PERMISSION_DENIED": Known("infra", "check owner and mode of the file and its directory, and read-only mounts"),
    "NETWORK": Known("infra", "check the connection; better fetch what is needed beforehand"),
    "IO_ERROR": Known("infra", "check the disk or the network file system; the kernel's log may say more"),
    "CUDA_ERROR": Known("infra", "run it with CUDA_LAUNCH_BLOCKING=1; check driver and device with nvidia-smi"),
    "DISTRIBUTED": Known("infra", "look at the other ranks: the first that failed says why"),
    "WORKER_DIED": Known("infra", "look at the memory of the workers; one alone may show its error"),
    "TOOL_FAILED": Known("infra", "run the program by hand to see what it says"),
    "KILLED": Known("infra", "a person, a batch system or memory that ran out unseen: look at its limits"),
    "ILLEGAL_INSTRUCTION": Known("infra", "a package was built for another CPU: install a build for this one"),
    "CALL_REFUSED": Known("infra", "a sandbox (seccomp) refused a system call: run it outside, or widen the profile"),
    "LOST": Known("infra", "the machine or the process went down: see what was logged, and run it again"),
    "SEGFAULT": Known("code", _NATIVE),
    "BUS_ERROR": Known("code", "a mapped file was cut short, or a compiled extension is at fault"),
    "ABORTED": Known("code", f"the program gave up by itself: its last words say why; {_INTERPRETER}"),
    "ARITHMETIC_FAULT": Known("code", _NATIVE),
    "ASSERTION_FAILED": Known("code", "what the program takes for granted does not hold: see the assertion"),
    "SYNTAX_ERROR": Known("code", "correct the file; check that this version of Python knows the syntax"),
    "RECURSION": Known("code", "look for a function that calls itself without end"),
    "PYTHON_ERROR": Known("code", "see the stack: its last frame is where it happened"),
    "PROGRAM_ERROR": Known("code", "see what the program wrote to stderr"),
    "SUBPROCESS_FAILED": Known("code", "see what the inner command wrote to stderr"),
    "BROKEN_PIPE": Known("infra", "whoever read its output went away: look at that process"),
    "CANCELLED": Known("interrupted", "run it again when you are ready"),
    "TERMINATED": Known("interrupted", "somebody or a batch system asked it to stop: check time limits"),
    "EXIT_STATUS": Known("unknown", "see what the command wrote to stderr"),
    "SIGNAL": Known("unknown", "see what the command wrote to stderr"),
    "UNKNOWN": Known("unknown"),
}  # fmt: skip
