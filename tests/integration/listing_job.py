"""Programs of the tests of the catalogue: one lists again and again, one makes runs. Ends when its input is closed."""

from __future__ import annotations

import json
import os
import select
import shutil
import sys
from pathlib import Path

from entrenar_research.store.catalogue.catalogue import Catalogue
from entrenar_research.store.catalogue.filter import Request
from tests.runs_on_disk import put, record


def asked_to_end() -> bool:
    """Whether somebody has closed our input."""
    return bool(select.select([0], [], [], 0)[0])


def whole_runs(root: Path) -> set[str]:
    """The runs that are wholly there and stay."""
    found = set()
    for name in os.listdir(root / "runs"):
        place = root / "runs" / name
        try:
            whole = (place / "SHA256SUMS").stat().st_size and (place / "run.yaml").stat().st_size
        except FileNotFoundError:
            continue
        if whole and "-passing-" not in name:
            found.add(name)
    return found


def list_runs(root: Path) -> dict[str, object]:
    """Lists until the end; what was missing although it had been there before."""
    times, missing = 0, set[str]()
    while not asked_to_end() or times == 0:
        before = whole_runs(root)
        catalogue = Catalogue(root)
        catalogue.refresh()
        listing = catalogue.select(Request(sort="loss" if "loss" in keys(catalogue) else None))
        catalogue.close()
        missing |= before - set(listing.ids)
        times += 1
    return {"times": times, "missing": sorted(missing)}


def keys(catalogue: Catalogue) -> set[str]:
    """The names of all metrics."""
    return {key for (key,) in catalogue.connection.execute("SELECT DISTINCT key FROM metrics")}


def make_runs(root: Path) -> dict[str, object]:
    """Makes runs, and others that are gone again at once, until the end."""
    number = 0
    while not asked_to_end() or number == 0:
        put(root, record(number, "made", metrics={"loss": number / 7}))
        shutil.rmtree(put(root, record(number, "passing")))
        number += 1
    return {"made": number}


if __name__ == "__main__":
    sys.stdout.write(json.dumps({"list": list_runs, "make": make_runs}[sys.argv[1]](Path(sys.argv[2]))))
