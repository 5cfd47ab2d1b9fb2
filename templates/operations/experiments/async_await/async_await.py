"""Coroutines that wait for each other: a queue, a limit, a time-out, a result for each."""

import asyncio
import json
import sys
from pathlib import Path


async def work(number: int, gate: asyncio.Semaphore, done: asyncio.Queue[int]) -> None:
    async with gate:
        await asyncio.sleep(0)
        await done.put(number * number)


async def never() -> None:
    await asyncio.Event().wait()


async def everything() -> dict[str, object]:
    gate, done = asyncio.Semaphore(3), asyncio.Queue[int]()
    async with asyncio.TaskGroup() as group:
        for number in range(20):
            group.create_task(work(number, gate, done))
    squares = sorted(done.get_nowait() for _ in range(done.qsize()))
    try:
        await asyncio.wait_for(never(), timeout=0.01)
        late = False
    except TimeoutError:
        late = True
    return {"squares": squares, "late": late}


def main(out: Path) -> None:
    answer = asyncio.run(everything())
    print(json.dumps(answer))
    (out / "answer.json").write_text(json.dumps(answer, indent=2) + "\n")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
