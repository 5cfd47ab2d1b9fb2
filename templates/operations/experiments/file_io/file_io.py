"""Files written, synchronised, read back, searched, renamed and deleted."""

import json
import os
import sys
from pathlib import Path


def main(out: Path) -> None:
    draft = out / "draft.txt"
    with draft.open("w") as stream:
        for number in range(1000):
            stream.write(f"line {number}: {'x' * (number % 40)}\n")
        stream.flush()
        os.fsync(stream.fileno())
    with draft.open("a") as stream:
        stream.write("the end\n")
    final = draft.rename(out / "lines.txt")
    with final.open() as stream:
        lines = stream.readlines()
    with final.open("rb") as binary:
        binary.seek(-8, os.SEEK_END)
        tail = binary.read().decode()
    spare = out / "spare.bin"
    spare.write_bytes(bytes(range(256)) * 16)
    size = spare.stat().st_size
    spare.unlink()
    answer = {
        "lines": len(lines),
        "bytes": final.stat().st_size,
        "longest": max(map(len, lines)),
        "tail": tail.strip(),
        "spare": size,
        "left": sorted(path.name for path in out.iterdir()),
    }
    print(json.dumps(answer))
    (out / "answer.json").write_text(json.dumps(answer, indent=2) + "\n")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
