"""The environment variables that make numerics repeatable, and those that a record keeps."""

from __future__ import annotations

from collections.abc import Mapping

RECORDED = (
    "CUBLAS_WORKSPACE_CONFIG",
    "CUDA_VISIBLE_DEVICES",
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


def recorded(environment: Mapping[str, str]) -> dict[str, str]:
    """The part of an environment that a record keeps."""
    return {name: environment[name] for name in RECORDED if name in environment}
