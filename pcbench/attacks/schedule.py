"""The schedule of a sweep: which budgets of an image are attacked, and when."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence, Set
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

Pair = tuple[int, int]
"""The index of a budget in the list of epsilons, and the index of an image."""


class BudgetSchedule(Protocol):
    """What a sweep attacks next."""

    @property
    def spot_checked(self) -> Set[Pair]:
        """The pairs that were attacked only to check that skipping them would have been right."""
        ...

    def start(self, indices: Iterable[int]) -> list[Pair]:
        """Return what to attack first, for the images that can be attacked."""
        ...

    def after(self, pair: Pair, margin: float | None) -> list[Pair]:
        """Return what to attack next, once a pair is done.

        Args:
            pair: What was attacked.
            margin: None where the image is broken; where it is not, its label's logit minus the largest other one.
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
    def spot_checked(self) -> Set[Pair]:
        """No pair: none is skipped."""
        return frozenset()

    def start(self, indices: Iterable[int]) -> list[Pair]:
        """Return the smallest budget of every image."""
        return [(0, index) for index in indices]

    def after(self, pair: Pair, margin: float | None) -> list[Pair]:
        """Return the next budget, where there is one to try."""
        budget, index = pair
        return [(budget + 1, index)] if budget < self._last and (self._plain or margin is not None) else []

    def last(self) -> list[Pair]:
        """Return nothing."""
        return []


class Bracketing:
    """Look for the smallest budget that breaks an image from both sides, and leave out what is out of reach.

    An image that an iterative attack could not break at some epsilon is not attacked at a smaller one, if a straight
    line from its clean margin to the margin after the attack predicts that at least `OUT_OF_REACH` of the clean margin
    would remain there. The smaller ball lies inside the larger one, so an attack that succeeds there would have to be
    much better than the one that failed with more room. This makes a miss unlikely, not impossible. So a share of the
    skipped pairs, chosen by seed, is attacked as a spot check; if one of these images breaks, all skipped pairs are
    attacked.

    Args:
        epsilons: Budgets, ascending, 0 first.
        guesses: Where to start with each image, a budget of about the size that should break it, (N,).
        clean_margins: The margin of each clean image, (N,).
        draw: A number in [0, 1) for a pair, always the same for the same image and run.
    """

    OUT_OF_REACH = 0.25
    SPOT_CHECKED_SHARE = 0.1

    def __init__(
        self,
        epsilons: Sequence[float],
        guesses: NDArray[np.float64],
        clean_margins: NDArray[np.float64],
        draw: Callable[[Pair], float],
    ) -> None:
        self._guesses, self._clean_margins, self._draw = guesses, clean_margins, draw
        self._ladder = np.asarray(epsilons, dtype=np.float64)
        self._asked: list[set[int]] = [set() for _ in guesses]
        self._lowest_broken = [len(epsilons)] * len(guesses)
        self._spot_checked: set[Pair] = set()
        self._trusted = True

    @property
    def spot_checked(self) -> Set[Pair]:
        """The pairs out of reach that are attacked anyway."""
        return self._spot_checked

    def start(self, indices: Iterable[int]) -> list[Pair]:
        """Return epsilon 0, and the largest budget below the guess, of every image."""
        pairs: list[Pair] = []
        guesses = self._guesses.tolist()
        for index in indices:
            below = sum(epsilon < guesses[index] for epsilon in self._ladder) - 1
            pairs += self._ask(index, [0, min(max(below, 1), len(self._ladder) - 1)])
        # A batch of one budget is cheapest at 0, where there is nothing to search.
        return sorted(pairs)

    def after(self, pair: Pair, margin: float | None) -> list[Pair]:
        """Return the next budget up or down, and smaller budgets that are not out of reach."""
        budget, index = pair
        if margin is None:
            if budget >= self._lowest_broken[index]:
                return []
            self._lowest_broken[index] = min(self._lowest_broken[index], budget)
            if pair in self._spot_checked:
                self._trusted = False
            return self._ask(index, [budget - 1]) if budget > 1 else []
        if budget == 0:
            return []
        reachable = [other for other in range(1, self._end(index)) if not self._out_of_reach(other, pair, margin)]
        # Upwards one at a time: the next one says more than a guess about those beyond it.
        above = [other for other in reachable if other > budget][:1]
        below = [other for other in reachable if other < budget]
        skipped = [other for other in range(1, budget) if other not in below and other not in self._asked[index]]
        spot_checked = [other for other in skipped if self._draw((other, index)) < self.SPOT_CHECKED_SHARE]
        self._spot_checked.update((other, index) for other in spot_checked)
        return self._ask(index, [*below, *spot_checked, *above])

    def last(self) -> list[Pair]:
        """Return all pairs that were skipped, if a spot check broke its image."""
        if self._trusted:
            return []
        return [
            pair
            for index, asked in enumerate(self._asked)
            if asked
            for pair in self._ask(index, range(1, self._lowest_broken[index]))
        ]

    def _end(self, index: int) -> int:
        return min(self._lowest_broken[index], len(self._ladder))

    def _out_of_reach(self, other: int, pair: Pair, margin: float) -> bool:
        """Return whether the line through two margins, clean and at a pair, keeps much margin at another budget.

        The largest budget is never out of reach: unless it is attacked, nothing is known of those below.
        """
        budget, index = pair
        clean = self._clean_margins[index]
        if other == len(self._ladder) - 1 or not margin < clean:
            return False  # an attack that made the model more certain says nothing about other balls
        left = 1 - self._ladder[other] / self._ladder[budget] * (1 - margin / clean)
        return bool(left >= self.OUT_OF_REACH)

    def _ask(self, index: int, budgets: Iterable[int]) -> list[Pair]:
        new = [
            budget
            for budget in dict.fromkeys(budgets)
            if budget < self._end(index) and budget not in self._asked[index]
        ]
        self._asked[index].update(new)
        return [(budget, index) for budget in new]
