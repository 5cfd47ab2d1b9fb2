"""Branches, loops, pattern matching, recursion and exceptions."""

import json
import sys
from pathlib import Path


def kind(value: object) -> str:
    match value:
        case bool():
            return "truth"
        case int() if value < 0:
            return "negative"
        case int():
            return "whole"
        case [first, *rest]:
            return f"list of {first} and {len(rest)} more"
        case {"name": str(name)}:
            return f"record of {name}"
        case _:
            return "something else"


def collatz(number: int) -> int:
    steps = 0
    while number != 1:
        number = number // 2 if number % 2 == 0 else 3 * number + 1
        steps += 1
    return steps


def main(out: Path) -> None:
    kinds = [kind(value) for value in (True, -3, 7, [1, 2, 3], {"name": "Ada"}, 2.5)]
    longest = max(range(1, 2000), key=collatz)
    quotients: list[int | None] = []
    for divisor in (2, 1, 0):
        try:
            quotients.append(10 // divisor)
        except ZeroDivisionError:
            quotients.append(None)
    for line in kinds:
        print(line)
    answer = {"kinds": kinds, "longest": longest, "steps": collatz(longest), "quotients": quotients}
    (out / "answer.json").write_text(json.dumps(answer, indent=2) + "\n")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
