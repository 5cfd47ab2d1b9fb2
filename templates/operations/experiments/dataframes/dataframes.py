"""A table by columns: read from CSV, filtered, grouped, joined and written again."""

import csv
import json
import statistics
import sys
from collections import defaultdict
from pathlib import Path

Table = dict[str, list[str]]


def read(path: Path) -> Table:
    with path.open(newline="") as stream:
        rows = list(csv.DictReader(stream))
    return {name: [row[name] for row in rows] for name in rows[0]}


def where(table: Table, name: str, value: str) -> Table:
    kept = [place for place, found in enumerate(table[name]) if found == value]
    return {column: [values[place] for place in kept] for column, values in table.items()}


def grouped(table: Table, by: str, of: str) -> dict[str, list[float]]:
    groups: dict[str, list[float]] = defaultdict(list)
    for key, value in zip(table[by], table[of], strict=True):
        groups[key].append(float(value))
    return dict(sorted(groups.items()))


def main(source: Path, out: Path) -> None:
    table = read(source)
    means = {key: round(statistics.fmean(values), 4) for key, values in grouped(table, "variety", "kilograms").items()}
    rows = {key: len(values) for key, values in grouped(table, "row", "kilograms").items()}
    heavy = where(table, "variety", max(means, key=lambda name: means[name]))
    with (out / "heavy.csv").open("w", newline="") as stream:
        writer = csv.writer(stream, lineterminator="\n")
        writer.writerow(heavy)
        writer.writerows(zip(*heavy.values(), strict=True))
    answer = {
        "trees": len(table["kilograms"]),
        "mean_kilograms": means,
        "trees_in_row": rows,
        "heavy": len(heavy["kilograms"]),
    }
    print(json.dumps(answer))
    (out / "answer.json").write_text(json.dumps(answer, indent=2) + "\n")


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
