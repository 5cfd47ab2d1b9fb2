"""Which code an exception has: by its type, its errno, and for types that say nothing by how its message begins.

Types are full names as Python prints them; a message decides only where a library raises a general type, and then
by a pattern that is anchored and belongs to that library's own words. No code is ever found by a word within a
message: `information` has no inf, `ROOM` no OOM.
"""

from __future__ import annotations

import builtins
import errno
import re
from typing import Final

import msgspec

_E: Final = errno
ERRNOS: Final = {
    **dict.fromkeys((_E.ENOSPC, _E.EDQUOT), "DISK_FULL"),
    **dict.fromkeys((_E.ENOENT, _E.ENOTDIR, _E.EISDIR), "FILE_NOT_FOUND"),
    **dict.fromkeys((_E.EACCES, _E.EPERM, _E.EROFS), "PERMISSION_DENIED"),
    **dict.fromkeys((_E.EMFILE, _E.ENFILE), "TOO_MANY_FILES"),
    **dict.fromkeys((_E.EIO, _E.ESTALE, _E.ENXIO, _E.ENODEV), "IO_ERROR"),
    **dict.fromkeys(
        (_E.ECONNREFUSED, _E.ECONNRESET, _E.ECONNABORTED, _E.ENETUNREACH, _E.EHOSTUNREACH, _E.ETIMEDOUT, _E.ENETDOWN,
         _E.EADDRINUSE, _E.EADDRNOTAVAIL, _E.EHOSTDOWN), "NETWORK",
    ),
    _E.ENOMEM: "OOM_HOST",
    _E.EPIPE: "BROKEN_PIPE",
    _E.EFBIG: "FILE_SIZE_LIMIT",
    _E.ENOEXEC: "NOT_EXECUTABLE",
}  # fmt: skip

_TYPES: Final = {
    "OOM_CUDA": "torch.OutOfMemoryError torch.cuda.OutOfMemoryError cupy.cuda.memory.OutOfMemoryError",
    "OOM_HOST": "MemoryError numpy.core._exceptions.MemoryError numpy.core._exceptions._ArrayMemoryError "
    "numpy._core._exceptions._ArrayMemoryError pyarrow.lib.ArrowMemoryError",
    "CUDA_ERROR": "torch.AcceleratorError torch.CudaError torch.cuda.CudaError",
    "DISTRIBUTED": "torch.distributed.DistBackendError torch.distributed.DistError torch.distributed.DistStoreError "
    "torch.distributed.elastic.multiprocessing.errors.ChildFailedError",
    "WORKER_DIED": "concurrent.futures.process.BrokenProcessPool joblib.externals.loky.process_executor."
    "TerminatedWorkerError torch.multiprocessing.spawn.ProcessExitedException ray.exceptions.WorkerCrashedError",
    "NETWORK": "ConnectionError ConnectionAbortedError ConnectionRefusedError ConnectionResetError socket.gaierror "
    "socket.herror urllib.error.URLError urllib.error.HTTPError torch.distributed.DistNetworkError ssl.SSLError "
    "ssl.SSLCertVerificationError http.client.RemoteDisconnected http.client.IncompleteRead",
    "TIMEOUT": "TimeoutError subprocess.TimeoutExpired asyncio.exceptions.TimeoutError "
    "concurrent.futures._base.TimeoutError multiprocessing.context.TimeoutError",
    "BROKEN_PIPE": "BrokenPipeError",
    "FILE_NOT_FOUND": "FileNotFoundError IsADirectoryError NotADirectoryError",
    "PERMISSION_DENIED": "PermissionError",
    "MODULE_NOT_FOUND": "ModuleNotFoundError importlib.metadata.PackageNotFoundError",
    "IMPORT_ERROR": "ImportError",
    "CONFIG_INVALID": "yaml.scanner.ScannerError yaml.parser.ParserError yaml.composer.ComposerError "
    "yaml.constructor.ConstructorError tomllib.TOMLDecodeError tomli.TOMLDecodeError argparse.ArgumentError "
    "getopt.GetoptError pydantic_core._pydantic_core.ValidationError pydantic.error_wrappers.ValidationError "
    "jsonschema.exceptions.ValidationError",
    "DATA_INVALID": "json.decoder.JSONDecodeError UnicodeDecodeError EOFError csv.Error _csv.Error zipfile.BadZipFile "
    "gzip.BadGzipFile tarfile.ReadError zlib.error lzma.LZMAError _lzma.LZMAError binascii.Error struct.error "
    "pickle.UnpicklingError _pickle.UnpicklingError xml.etree.ElementTree.ParseError pyarrow.lib.ArrowInvalid "
    "PIL.UnidentifiedImageError safetensors_rust.SafetensorError safetensors.SafetensorError",
    "NUMERIC_OVERFLOW": "OverflowError FloatingPointError",
    "NUMERIC_DIVISION": "ZeroDivisionError",
    "NUMERIC_SINGULAR": "numpy.linalg.LinAlgError numpy.linalg.linalg.LinAlgError torch._C._LinAlgError "
    "torch.linalg.LinAlgError scipy.linalg.LinAlgError",
    "ASSERTION_FAILED": "AssertionError",
    "SYNTAX_ERROR": "SyntaxError IndentationError TabError",
    "RECURSION": "RecursionError",
    "SUBPROCESS_FAILED": "subprocess.CalledProcessError",
    "CANCELLED": "KeyboardInterrupt",
}
TYPES: Final = {name: code for code, names in _TYPES.items() for name in names.split()}
MODULES: Final = {
    "requests.exceptions": "NETWORK",
    "urllib3.exceptions": "NETWORK",
    "httpx": "NETWORK",
    "httpcore": "NETWORK",
    "aiohttp.client_exceptions": "NETWORK",
    "configparser": "CONFIG_INVALID",
    "omegaconf.errors": "CONFIG_INVALID",
    "hydra.errors": "CONFIG_INVALID",
    "click.exceptions": "CONFIG_INVALID",
    "pandas.errors": "DATA_INVALID",
}
"""Where every exception of a module means the same."""


class Pattern(msgspec.Struct, frozen=True):
    """How the message of a general type begins where a library says something definite with it."""

    code: str
    name: str
    types: tuple[str, ...]
    expression: re.Pattern[str]


def _pattern(code: str, name: str, types: str, expression: str) -> Pattern:
    return Pattern(code, name, tuple(types.split()), re.compile(expression))


_XLA = "jaxlib.xla_extension.XlaRuntimeError jaxlib._jax.XlaRuntimeError jax.errors.JaxRuntimeError"
_TENSORFLOW = "tensorflow.python.framework.errors_impl"
_CUDA = "RuntimeError torch.AcceleratorError torch.CudaError torch.cuda.CudaError"
PATTERNS: Final = (
    _pattern("OOM_CUDA", "torch: out of memory", "RuntimeError", r"(CUDA|HIP|XPU|MPS backend) out of memory\b"),
    _pattern("OOM_CUDA", "torch: CUDA error", _CUDA, r"CUDA error: out of memory\b"),
    _pattern("OOM_CUDA", "XLA: status", _XLA, r"RESOURCE_EXHAUSTED: "),
    _pattern("OOM_CUDA", "TensorFlow: allocator of a GPU", f"{_TENSORFLOW}.ResourceExhaustedError",
             r"(\{\{.*?\}\} )?OOM when allocating tensor with shape\[[\d,]*\].* on \S*/device:GPU:\d+ "),
    _pattern("OOM_CUDA", "CUDA driver: status", "numba.cuda.cudadrv.driver.CudaAPIError "
             "cupy_backends.cuda.api.runtime.CUDARuntimeError cupy_backends.cuda.api.driver.CUDADriverError",
             r"(\[2\] Call to \w+ results in CUDA_ERROR_OUT_OF_MEMORY|cudaErrorMemoryAllocation: )"),
    _pattern("OOM_HOST", "TensorFlow: allocator", f"{_TENSORFLOW}.ResourceExhaustedError",
             r"(\{\{.*?\}\} )?OOM when allocating tensor with shape\["),
    _pattern("OOM_HOST", "torch: allocator of the CPU", "RuntimeError", r"\[enforce fail at alloc_cpu\.cpp:\d+\]"),
    _pattern("ASSERTION_FAILED", "torch: assertion on the device", _CUDA, r"CUDA error: device-side assert triggered"),
    _pattern("CUDA_ERROR", "torch: CUDA error", "RuntimeError", r"(CUDA|cuDNN|CUBLAS|HIP) error: "),
    _pattern("WORKER_DIED", "torch: worker of a DataLoader", "RuntimeError",
             r"DataLoader worker \(pid\(?s?\)? [\d, ]+\) (is killed by signal|exited unexpectedly)"),
    _pattern("WORKER_DIED", "subprocess: killed", "subprocess.CalledProcessError",
             r".* died with <Signals\.SIG\w+: \d+>"),
    _pattern("DEVICE_MISMATCH", "torch: devices", "RuntimeError", r"Expected all tensors to be on the same device,"),
    _pattern("DTYPE_MISMATCH", "torch: types", "RuntimeError",
             r"(expected scalar type \w+ but found \w+|mat1 and mat2 must have the same dtype\b|"
             r"Input type \(.*\) and weight type \(.*\) should be the same)"),
    _pattern("SHAPE_MISMATCH", "torch: shapes", "RuntimeError",
             r"(mat1 and mat2 shapes cannot be multiplied \(|The expanded size of the tensor \(|size mismatch, |"
             r"The size of tensor a \(\d+\) must match the size of tensor b|shape '\[.*\]' is invalid for input of |"
             r"Sizes of tensors must match except in dimension \d|Given groups=\d+, weight of size \[|"
             r"Error\(s\) in loading state_dict for |stack expects each tensor to be equal size\b)"),
    _pattern("SHAPE_MISMATCH", "NumPy: shapes", "ValueError",
             r"(operands could not be broadcast together with |shapes \([\d, ]*\) and \([\d, ]*\) not aligned: |"
             r"matmul: Input operand \d has a mismatch in its core dim|cannot reshape array of size \d|"
             r"could not broadcast input array from shape \(|all the input array dimensions except for the |"
             r"all input arrays must have the same shape$|all the input arrays must have same number of dimensions)"),
    _pattern("SHAPE_MISMATCH", "JAX: shapes", "TypeError",
             r"(dot_general requires contracting dimensions to have the same shape|\w+ got incompatible shapes for )"),
    _pattern("NUMERIC_NAN", "NumPy: invalid value", "FloatingPointError", r"invalid value encountered in "),
    _pattern("NUMERIC_DIVISION", "NumPy: division", "FloatingPointError", r"divide by zero encountered in "),
    _pattern("NUMERIC_NAN", "float of NaN", "ValueError", r"cannot convert float NaN to integer$"),
    _pattern("NUMERIC_NAN", "scikit-learn: input", "ValueError",
             r"Input( [A-Za-z_]\w*)? contains (NaN|infinity or a value too large for dtype)\b"),
    _pattern("NUMERIC_NAN", "torch: anomaly mode", "RuntimeError", r"Function '\w+' returned nan values in its \d"),
    _pattern("DISK_FULL", "SQLite: status", "sqlite3.OperationalError", r"database or disk is full$"),
)  # fmt: skip

_OS_ERROR = re.compile(r"\[Errno (\d{1,4})\] ")
_RUST_ERROR = re.compile(r".*\(os error (\d{1,4})\)$")
_HDF_ERROR = re.compile(r".*\berrno = (\d{1,4}), error message = '")


class Decided(msgspec.Struct, frozen=True):
    """A code, and in words what it rests on."""

    code: str
    by: str


def bases(exception: str) -> tuple[str, ...]:
    """What Python's own exceptions descend from, as far as it can be known from a name alone."""
    found = getattr(builtins, exception, None)
    if not (isinstance(found, type) and issubclass(found, BaseException)):
        return ()
    return tuple(kind.__name__ for kind in found.__mro__[1:-1] if kind not in (Exception, BaseException))


def error_number(exception: str, message: str, ancestors: tuple[str, ...] = ()) -> int | None:
    """The errno that an exception's message carries in its own form, or None.

    `[Errno 28] ` at the beginning of an OSError's; `(os error 28)` at the end of the first line, as Rust libraries
    write it; `errno = 28, error message = '` as HDF5 does.
    """
    first = message.partition("\n")[0].rstrip()
    family = {exception, *ancestors, *bases(exception)}
    found = _OS_ERROR.match(message) if "OSError" in family or "." in exception else None
    found = found or _RUST_ERROR.fullmatch(first) or _HDF_ERROR.match(first)
    return int(found[1]) if found else None


def decide(
    exception: str, message: str, *, ancestors: tuple[str, ...] = (), number: int | None = None
) -> Decided | None:
    """The code of an exception, or None for one that says nothing in particular.

    `ancestors` are the full names of what its type descends from, nearest first, where they are known.
    """
    names = (exception, *ancestors, *bases(exception))
    for pattern in PATTERNS:
        if {*names} & {*pattern.types} and pattern.expression.match(message):
            return Decided(pattern.code, f"exception {exception}, whose message has the form `{pattern.name}`")
    number = error_number(exception, message, ancestors) if number is None else number
    if number is not None and number in ERRNOS:
        return Decided(ERRNOS[number], f"exception {exception}, errno {number} ({errno.errorcode[number]})")
    for name in names:
        code = TYPES.get(name) or MODULES.get(name.rpartition(".")[0])
        if code is not None:
            how = "" if name == exception else f", a kind of {name}"
            return Decided(code, f"exception {exception}{how}")
    return None
