"""Which budgets of an image are attacked, and in which order."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence, Set
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

Pair = tuple[int, int]
"""The place of a budget in the list of epsilons, and the place of an image."""


class Order(Protocol):
    """What a sweep attacks next."""

    @property
    def audited(self) -> Set[Pair]:
        """What was attacked only to see whether leaving it out would have been right."""
        ...

    def start(self, places: Iterable[int]) -> list[Pair]:
        """Return what to attack first, for the images that can be attacked."""
        ...

    def after(self, pair: Pair, gap: float | None) -> list[Pair]:
        """Return what to attack next, once a pair is done.

        Args:
            pair: What was attacked.
            gap: None where the image is broken; where it stands, by how much its logit leads the next one.
        """
        ...

    def last(self) -> list[Pair]:
        """Return what is left to attack when nothing else is; asked until it returns nothing."""
        ...


class Ascending:
    """Every budget from the smallest up, until the image is broken, or all of them.

    Args:
        epsilons: How many budgets there are.
        plain: Attack at all of them, whatever comes of it.
    """

    def __init__(self, epsilons: int, *, plain: bool) -> None:
        self._last, self._plain = epsilons - 1, plain

    @property
    def audited(self) -> Set[Pair]:
        """Nothing: nothing is left out."""
        return frozenset()

    def start(self, places: Iterable[int]) -> list[Pair]:
        """Return the smallest budget of every image."""
        return [(0, place) for place in places]

    def after(self, pair: Pair, gap: float | None) -> list[Pair]:
        """Return the next budget, where there is one to try."""
        budget, place = pair
        return [(budget + 1, place)] if budget < self._last and (self._plain or gap is not None) else []

    def last(self) -> list[Pair]:
        """Return nothing."""
        return []


class Bracketing:
    """Look for the smallest budget that breaks an image from both sides, and leave out what is out of reach.

    An image that an iterative attack could not break at some epsilon is not attacked at a smaller one, if a straight
    line from its clean gap (the lead of its logit) to the gap that the attack left predicts that at least `SPARE` of
    the clean gap would remain there: the smaller ball lies inside the larger one, so an attack that succeeds there
    would have to be much better than the one that failed with more room. That is likely, not certain, so a share of
    what is left out, chosen by seed, is attacked all the same; if one of these images is broken, all that was left out
    is attacked.

    Args:
        epsilons: Budgets, ascending, 0 first.
        guesses: Where to start with each image, a budget of about the size that should break it, (N,).
        clean_gaps: The lead of each image's logit when clean, (N,).
        draw: A number in [0, 1) for a pair, always the same for the same image and run.
    """

    SPARE = 0.25
    AUDITED = 0.1

    def __init__(
        self,
        epsilons: Sequence[float],
        guesses: NDArray[np.float64],
        clean_gaps: NDArray[np.float64],
        draw: Callable[[Pair], float],
    ) -> None:
        self._guesses, self._clean_gaps, self._draw = guesses, clean_gaps, draw
        self._ladder = np.asarray(epsilons, dtype=np.float64)
        self._asked: list[set[int]] = [set() for _ in guesses]
        self._lowest_broken = [len(epsilons)] * len(guesses)
        self._audited: set[Pair] = set()
        self._trusted = True

    @property
    def audited(self) -> Set[Pair]:
        """The share of what is out of reach that is attacked all the same."""
        return self._audited

    def start(self, places: Iterable[int]) -> list[Pair]:
        """Return epsilon 0, and the largest budget below the guess, of every image."""
        pairs: list[Pair] = []
        guesses = self._guesses.tolist()
        for place in places:
            below = sum(epsilon < guesses[place] for epsilon in self._ladder) - 1
            pairs += self._ask(place, [0, min(max(below, 1), len(self._ladder) - 1)])
        # A batch of one budget is cheapest at 0, where there is nothing to search.
        return sorted(pairs)

    def after(self, pair: Pair, gap: float | None) -> list[Pair]:
        """Return the neighbour on the side of the unknown, and smaller budgets that are not out of reach."""
        budget, place = pair
        if gap is None:
            if budget >= self._lowest_broken[place]:
                return []
            self._lowest_broken[place] = min(self._lowest_broken[place], budget)
            if pair in self._audited:
                self._trusted = False
            return self._ask(place, [budget - 1]) if budget > 1 else []
        if budget == 0:
            return []
        reachable = [other for other in range(1, self._end(place)) if not self._out_of_reach(other, pair, gap)]
        # Upwards one at a time: the next one says more than a guess about those beyond it.
        above = [other for other in reachable if other > budget][:1]
        below = [other for other in reachable if other < budget]
        spared = [other for other in range(1, budget) if other not in below and other not in self._asked[place]]
        audited = [other for other in spared if self._draw((other, place)) < self.AUDITED]
        self._audited.update((other, place) for other in audited)
        return self._ask(place, [*below, *audited, *above])

    def last(self) -> list[Pair]:
        """Return all that was left out, where the audit found an image broken."""
        if self._trusted:
            return []
        return [
            pair
            for place, asked in enumerate(self._asked)
            if asked
            for pair in self._ask(place, range(1, self._lowest_broken[place]))
        ]

    def _end(self, place: int) -> int:
        return min(self._lowest_broken[place], len(self._ladder))

    def _out_of_reach(self, other: int, pair: Pair, gap: float) -> bool:
        """Return whether the line through the clean gap and the gap left at a pair has much left at another budget.

        The largest budget is never out of reach: unless it is attacked, nothing is known of those below.
        """
        budget, place = pair
        clean = self._clean_gaps[place]
        if other == len(self._ladder) - 1 or not gap < clean:
            return False  # an attack that made the model surer says nothing about other balls
        left = 1 - self._ladder[other] / self._ladder[budget] * (1 - gap / clean)
        return bool(left >= self.SPARE)

    def _ask(self, place: int, budgets: Iterable[int]) -> list[Pair]:
        new = [
            budget
            for budget in dict.fromkeys(budgets)
            if budget < self._end(place) and budget not in self._asked[place]
        ]
        self._asked[place].update(new)
        return [(budget, place) for budget in new]
