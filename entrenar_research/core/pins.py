"""The environment variables that make numerics repeatable, and those that a record keeps."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

RECORDED = (
    "CUBLAS_WORKSPACE_CONFIG",
    "CUDA_VISIBLE_DEVICES",
    "GLIBC_TUNABLES",
    "LC_ALL",
    "MKL_CBWR",
    "MKL_NUM_THREADS",
    "NPY_DISABLE_CPU_FEATURES",
    "NUMEXPR_NUM_THREADS",
    "OMP_NUM_THREADS",
    "OPENBLAS_CORETYPE",
    "OPENBLAS_NUM_THREADS",
    "PYTHONHASHSEED",
    "SOURCE_DATE_EPOCH",
    "TF_DETERMINISTIC_OPS",
    "TZ",
)
"""Variables kept in a run's record: those known to change results. No other variable is ever recorded."""

_GLIBC = "glibc.cpu.hwcaps=-AVX512F,-AVX512VL,-AVX512BW,-AVX512DQ,-AVX512CD"


def pinned(cpus: int | None) -> dict[str, str]:
    """What every run gets: fixed hash seed, locale, time zone and clock for archives; `cpus` threads (1)."""
    threads = str(cpus or 1)
    return {
        "LC_ALL": "C.UTF-8",
        "MKL_NUM_THREADS": threads,
        "NUMEXPR_NUM_THREADS": threads,
        "OMP_NUM_THREADS": threads,
        "OPENBLAS_NUM_THREADS": threads,
        "PYTHONDONTWRITEBYTECODE": "1",
        "PYTHONHASHSEED": "0",
        "SOURCE_DATE_EPOCH": "315532800",
        "TZ": "UTC",
    }


def hermetic(beyond: Sequence[str]) -> dict[str, str]:
    """What a hermetic run gets besides: the same code of BLAS, numpy and libm on every processor above the floor.

    OpenBLAS takes its kernels for Haswell, glibc none for AVX-512, and numpy none for the features `beyond` the floor
    (none named: it has no such choice, or there is no numpy).
    """
    found = {**pinned(1), "GLIBC_TUNABLES": _GLIBC, "OPENBLAS_CORETYPE": "Haswell"}
    return found | ({"NPY_DISABLE_CPU_FEATURES": " ".join(beyond)} if beyond else {})


def recorded(environment: Mapping[str, str]) -> dict[str, str]:
    """The part of an environment that a record keeps."""
    return {name: environment[name] for name in RECORDED if name in environment}
