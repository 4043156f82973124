"""How the units of a run are shared out: a pure function of the units and of the number of shards.

A share is balanced by estimated cost, not by the number of its units. Units of which one comes after the other lie in
one share. Where whole blocks of images can be shared out evenly, a share has all conditions of its blocks; else the
blocks are laid in a row, which is cut into stretches of equal cost, so that a share has whole blocks and a part of one
at either end; only where units are too unequal for this are they shared out one by one.
"""

from __future__ import annotations

import heapq
from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate, pairwise

from pcbench.harness.blocks import Unit

EVEN = 0.05
"""Shares are even where the most and the least expensive one differ by at most this part of the mean."""


@dataclass(frozen=True)
class _Item:
    """Units that stay together."""

    indices: tuple[int, ...]
    """Their indices in the plan, ascending."""
    cost: float
    """Their estimated cost."""


_Shares = list[list[_Item]]


def shares(units: Sequence[Unit], of: int) -> tuple[tuple[Unit, ...], ...]:
    """Share out the units of a run.

    Args:
        units: All units, in the order of the plan.
        of: Into how many shares, at least 1.

    Returns:
        The units of each share, in the order of the plan. Where there are fewer units that can be separated than
        shares, some are empty. The most expensive one costs at most the mean and one item that cannot be divided.
    """
    items = _connected(units)
    blocks = _by_block(units, items)
    row = [item for block in blocks for item in block]
    choices: list[_Shares] = []
    if len(blocks) >= of:
        choices.append(_packed([_joined(block) for block in blocks], of))
    choices.append(_stretches(row, of))
    if not any(map(_even, choices)):
        choices.append(_packed(items, of))
    best = next((choice for choice in choices if _even(choice)), None) or min(choices, key=lambda one: max(_costs(one)))
    return tuple(
        tuple(units[index] for index in sorted(index for item in share for index in item.indices)) for share in best
    )


def _connected(units: Sequence[Unit]) -> list[_Item]:
    """Return the units as items: those of which one comes after another are in one, by the first unit's index."""
    index_of = {unit.path: index for index, unit in enumerate(units)}
    above = list(range(len(units)))

    def root(index: int) -> int:
        while above[index] != index:
            above[index] = above[above[index]]
            index = above[index]
        return index

    for index, unit in enumerate(units):
        for path in unit.after:
            one, other = root(index), root(index_of[path])
            above[max(one, other)] = min(one, other)
    together: dict[int, list[int]] = {}
    for index in range(len(units)):
        together.setdefault(root(index), []).append(index)
    return [_Item(tuple(found), sum(units[index].cost for index in found)) for found in together.values()]


def _by_block(units: Sequence[Unit], items: Sequence[_Item]) -> list[list[_Item]]:
    """Return the items of each block of images, in the order of the images; an item lies where it costs most."""
    found: dict[tuple[int, int, int], list[_Item]] = {}
    for item in items:
        block = max((units[index] for index in item.indices), key=lambda unit: unit.cost).block
        found.setdefault((block.start, block.number, block.of), []).append(item)
    return [found[place] for place in sorted(found)]


def _joined(items: Sequence[_Item]) -> _Item:
    return _Item(tuple(index for item in items for index in item.indices), sum(item.cost for item in items))


def _stretches(row: Sequence[_Item], of: int) -> _Shares:
    """Cut a row of items where the cost is nearest to that of equal shares."""
    ends = [0.0, *accumulate(item.cost for item in row)]
    cuts = [0]
    for number in range(1, of):
        wanted = ends[-1] * number / of
        right = min(bisect_left(ends, wanted), len(row))
        left = max(right - 1, 0)
        cuts.append(max(left if wanted - ends[left] <= ends[right] - wanted else right, cuts[-1]))
    cuts.append(len(row))
    return [list(row[start:stop]) for start, stop in pairwise(cuts)]


def _packed(items: Sequence[_Item], of: int) -> _Shares:
    """Give each item, the most expensive first, to the share that has the least."""
    found: _Shares = [[] for _ in range(of)]
    heap = [(0.0, number) for number in range(of)]
    for item in sorted(items, key=lambda item: (-item.cost, item.indices)):
        cost, number = heapq.heappop(heap)
        found[number].append(item)
        heapq.heappush(heap, (cost + item.cost, number))
    return found


def _costs(found: _Shares) -> list[float]:
    return [sum(item.cost for item in share) for share in found]


def _even(found: _Shares) -> bool:
    costs = _costs(found)
    return max(costs) - min(costs) <= EVEN * sum(costs) / len(costs)
