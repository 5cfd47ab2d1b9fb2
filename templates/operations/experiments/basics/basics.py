"""Values of every basic type, arithmetic on them, and text made of them."""

import json
import sys
from fractions import Fraction
from pathlib import Path


def main(out: Path) -> None:
    whole, real, text, truth = 42, 3.14159, "Hello, study!", True
    facts = {
        "integer": whole,
        "float": real,
        "string": text,
        "boolean": truth,
        "sum": whole + 8,
        "product": whole * 2,
        "quotient": whole / 5,
        "remainder": whole % 5,
        "power": whole**10,
        "fraction": str(Fraction(whole, 8)),
        "upper": text.upper(),
        "reversed": text[::-1],
        "words": text.split(),
    }
    for name, value in facts.items():
        print(f"{name}: {value}")
    (out / "facts.json").write_text(json.dumps(facts, indent=2) + "\n")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
