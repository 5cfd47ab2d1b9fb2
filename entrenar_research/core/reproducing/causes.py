"""The causes that are known, and what to do about each in one line."""

from __future__ import annotations

from typing import Final

CLOCK: Final = "clock"
RANDOMNESS: Final = "unseeded randomness"
HASH_ORDER: Final = "hash order"
ADDRESS: Final = "memory address"
DIRECTORY_ORDER: Final = "directory order"
TEMPORARY: Final = "temporary path"
PATH: Final = "absolute path"
HOME: Final = "home and user"
THREADS: Final = "thread order"
LOCALE: Final = "locale"
ZONE: Final = "time zone"
BYTECODE: Final = "bytecode"
STAMPS: Final = "file times"
HOST: Final = "host name"
CPU: Final = "CPU dispatch"
UMASK: Final = "file modes"
PROCESS: Final = "process id"
UNKNOWN: Final = "cause not found"

FIXES: Final = {
    CLOCK: "leave the time out of the result, or take it from SOURCE_DATE_EPOCH; durations belong in the run's log",
    RANDOMNESS: "seed the generator: numpy.random.default_rng(seed), random.Random(seed), torch.manual_seed(seed)",
    HASH_ORDER: "sort before it is written: sorted(the_set); no order may come from hash()",
    ADDRESS: "write a name or a number instead of the object; sort by a key that is not id()",
    DIRECTORY_ORDER: "sort the listing: sorted(os.listdir(...)), sorted(path.iterdir()), `find ... | sort`",
    TEMPORARY: "write paths relative to the study; the name of a temporary file has no place in a result",
    PATH: "write paths relative to the study, not absolute ones",
    HOME: "leave home directory and user out of the result; read no configuration from there",
    THREADS: "collect in the order of the tasks (map, not as_completed), or set OMP_NUM_THREADS=1 or use a "
    "deterministic reduction",
    LOCALE: "name encoding and format: open(..., encoding='utf-8'), `LC_ALL=C.UTF-8`, no locale.setlocale(..., '')",
    ZONE: "use UTC: datetime.now(datetime.UTC), `TZ=UTC`",
    BYTECODE: "leave .pyc files out, or compile with invalidation_mode=PycInvalidationMode.UNCHECKED_HASH",
    STAMPS: "give members a fixed time: ZipInfo(name, (1980, 1, 1, 0, 0, 0)), `tar --sort=name --mtime=@0`, `gzip -n`",
    HOST: "leave the host name out of the result: it is evidence, and in the record of the run",
    CPU: "pin the kernels: OPENBLAS_CORETYPE, NPY_DISABLE_CPU_FEATURES, MKL_CBWR; `--runner nix` does",
    UMASK: "set the modes of what is packed yourself, whatever the umask is",
    PROCESS: "leave the process id out of the result",
    UNKNOWN: "look at the place itself; `--explain` varies everything one by one, `--times` tries more often",
}  # fmt: skip
"""What to do, by cause."""
