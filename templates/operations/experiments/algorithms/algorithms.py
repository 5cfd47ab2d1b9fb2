"""Sorting, searching, primes, shortest paths and edit distance, each checked against another way to get there."""

import bisect
import heapq
import json
import random
import sys
from functools import cache
from pathlib import Path


def merge_sorted(values: list[int]) -> list[int]:
    if len(values) < 2:
        return values
    middle = len(values) // 2
    return list(heapq.merge(merge_sorted(values[:middle]), merge_sorted(values[middle:])))


def primes(below: int) -> list[int]:
    sieve = bytearray([1]) * below
    sieve[:2] = b"\0\0"
    for number in range(2, int(below**0.5) + 1):
        if sieve[number]:
            sieve[number * number :: number] = bytes(len(range(number * number, below, number)))
    return [number for number in range(below) if sieve[number]]


def shortest(graph: dict[int, dict[int, int]], start: int) -> dict[int, int]:
    known: dict[int, int] = {}
    edge = [(0, start)]
    while edge:
        length, node = heapq.heappop(edge)
        if node not in known:
            known[node] = length
            for other, step in graph[node].items():
                heapq.heappush(edge, (length + step, other))
    return known


def distance(one: str, two: str) -> int:
    @cache
    def cost(i: int, j: int) -> int:
        if i == 0 or j == 0:
            return i + j
        change = one[i - 1] != two[j - 1]
        return min(cost(i - 1, j) + 1, cost(i, j - 1) + 1, cost(i - 1, j - 1) + change)

    return cost(len(one), len(two))


def main(seed: int, out: Path) -> None:
    chance = random.Random(seed)
    values = [chance.randrange(10_000) for _ in range(5_000)]
    ordered = merge_sorted(values)
    if ordered != sorted(values):
        sys.exit("merge sort is wrong")
    graph = {node: {chance.randrange(200): chance.randrange(1, 50) for _ in range(4)} for node in range(200)}
    lengths = shortest(graph, 0)
    answer = {
        "smallest": ordered[:3],
        "place_of_median": bisect.bisect_left(ordered, ordered[len(ordered) // 2]),
        "primes": len(primes(100_000)),
        "reached": len(lengths),
        "farthest": max(lengths.values()),
        "distance": distance("reproducible", "irreproachable"),
    }
    print(json.dumps(answer))
    (out / "answer.json").write_text(json.dumps(answer, indent=2) + "\n")


if __name__ == "__main__":
    main(int(sys.argv[1]), Path(sys.argv[2]))
