"""Oracles: what a partition is; the units that a unit comes after, which have to be in its share; and the least that
the most expensive share can cost: the mean, and an item that cannot be divided."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pcbench.errors import UsageError
from pcbench.harness.blocks import Block, Unit
from pcbench.harness.costs import Passes
from pcbench.harness.shard_numbers import ShardNumber, read_shard, shard_of_folder
from pcbench.harness.shares import EVEN, shares
from pcbench.results.conditions import Condition


def unit(name: str, number: int, of: int, passes: float, after: Sequence[str] = (), size: int = 512) -> Unit:
    """A unit of a made-up condition on a block."""
    block = Block(number, of, number * size, (number + 1) * size, "0" * 64)
    return Unit("scores", Condition("made-up", "corruption", name), block, Passes(passes), tuple(after))


def job(conditions: int, blocks: int, passes: float = 11.0) -> list[Unit]:
    """Conditions of equal cost on blocks of equal size, in the order of a plan."""
    return [unit(f"c{one}", block, blocks, passes) for one in range(conditions) for block in range(blocks)]


def costs(found: Sequence[Sequence[Unit]]) -> list[float]:
    return [sum(one.cost for one in share) for share in found]


@st.composite
def jobs(draw: st.DrawFn) -> list[Unit]:
    """Units of several conditions and blocks, with costs and dependencies as they come."""
    blocks = draw(st.integers(1, 8))
    found: list[Unit] = []
    for condition in range(draw(st.integers(1, 10))):
        passes = draw(st.sampled_from([0.0, 1.0, 11.0, 33.0, 5000.0]))
        for block in range(blocks):
            after = draw(st.lists(st.sampled_from([one.path for one in found]), max_size=2)) if found else []
            chained = after if draw(st.integers(0, 4)) == 0 else []
            found.append(unit(f"c{condition}", block, blocks, passes, chained))
    return found


def joined_by(units: Sequence[Unit]) -> list[set[str]]:
    """The sets of paths that dependencies hold together, found by joining sets until nothing changes."""
    found = [{one.path, *one.after} for one in units]
    while True:
        for index, first in enumerate(found):
            other = next((one for one in found[index + 1 :] if one & first), None)
            if other is not None:
                found.remove(other)
                first.update(other)
                break
        else:
            return found


@settings(deadline=None, max_examples=100)
@given(units=jobs(), of=st.integers(1, 30))
def test_shares_are_a_balanced_partition_that_no_dependency_crosses(units: list[Unit], of: int) -> None:
    found = shares(units, of)
    assert len(found) == of
    assert sorted(one.path for share in found for one in share) == sorted(one.path for one in units)
    order = {one.path: index for index, one in enumerate(units)}
    for share in found:
        here = {one.path for one in share}
        assert all(here.issuperset(one.after) for one in share)
        assert [order[one.path] for one in share] == sorted(order[one.path] for one in share)
    by_path = {one.path: one.cost for one in units}
    largest = max(sum(by_path[path] for path in together) for together in joined_by(units))
    assert max(costs(found)) <= sum(by_path.values()) / of + largest + 1e-6
    assert shares(list(units), of) == found


def test_the_job_of_imagenet_c_is_even_over_200_shards() -> None:
    # 50,000 images in blocks of 512, clean and 75 corrupted conditions.
    found = costs(shares(job(76, 98), 200))
    assert max(found) <= (1 + EVEN) * min(found)


@pytest.mark.parametrize(("blocks", "of"), [(8, 4), (8, 8), (97, 1), (100, 20)])
def test_a_share_takes_whole_blocks_where_they_can_be_shared_out(blocks: int, of: int) -> None:
    for share in shares(job(6, blocks), of):
        numbers = [one.block.number for one in share]
        assert all(numbers.count(number) == 6 for number in numbers)


def test_else_a_share_has_whole_blocks_and_parts_of_two_at_most() -> None:
    found = shares(job(76, 98), 40)
    for share in found:
        numbers = [one.block.number for one in share]
        assert sum(numbers.count(number) < 76 for number in set(numbers)) <= 2
    assert max(costs(found)) <= (1 + EVEN) * min(costs(found))


def test_cost_is_balanced_and_not_the_number_of_units() -> None:
    units = job(10, 4, passes=1.0) + [unit("pgd", number, 4, 10.0) for number in range(4)]
    found = shares(units, 8)
    assert max(costs(found)) <= 1.5 * sum(costs(found)) / 8
    assert len({len(share) for share in found}) > 1


def test_units_too_unequal_for_a_row_are_shared_out_one_by_one() -> None:
    chosen = np.random.default_rng(0).choice([1.0, 50.0, 400.0], 200)
    units = [unit(f"c{number}", 0, 1, float(passes)) for number, passes in enumerate(chosen)]
    found = costs(shares(units, 7))
    assert max(found) <= (1 + EVEN) * min(found)


def test_shards_are_numbered_from_one() -> None:
    assert read_shard("3/40") == ShardNumber(40, 3)
    assert read_shard("3/40").folder == "shard-003-of-040"
    assert read_shard(" 40 / 40 ").folder == "shard-040-of-040"
    assert read_shard("1200/5000").folder == "shard-1200-of-5000"


@pytest.mark.parametrize("text", ["41/40", "0/0", "0/40", "1/0", "-1/4", "3", "/", "a/b", "3/40/2", "", "1e3/4", "٣/٤"])
def test_no_other_shard_is_taken(text: str) -> None:
    with pytest.raises(UsageError) as refused:
        read_shard(text)
    assert "\n" not in str(refused.value)


def test_slurm_says_which() -> None:
    found = read_shard("auto/40", {"SLURM_ARRAY_TASK_ID": "7"})
    assert (found.number, found.of) == (7, 40)
    assert found.sentence == "shard 7 of 40, from SLURM_ARRAY_TASK_ID=7"


@pytest.mark.parametrize("index", ["0", "41"])
def test_an_array_of_other_numbers_is_refused_with_the_right_one(index: str) -> None:
    with pytest.raises(UsageError, match=r"submit with --array=1-40"):
        read_shard("auto/40", {"SLURM_ARRAY_TASK_ID": index})


def test_kubernetes_counts_from_zero() -> None:
    assert read_shard("auto/40", {"JOB_COMPLETION_INDEX": "0"}).number == 1
    assert read_shard("auto/40", {"JOB_COMPLETION_INDEX": "39"}).number == 40
    assert "JOB_COMPLETION_INDEX=39, counted from 0" in read_shard("auto/40", {"JOB_COMPLETION_INDEX": "39"}).sentence
    with pytest.raises(UsageError, match="completions to 40"):
        read_shard("auto/40", {"JOB_COMPLETION_INDEX": "40"})


@pytest.mark.parametrize(
    ("environment", "words"),
    [
        ({}, "neither is set"),
        ({"SLURM_ARRAY_TASK_ID": ""}, "neither is set"),
        ({"SLURM_ARRAY_TASK_ID": "3,4"}, "is not a number of a task"),
        ({"JOB_COMPLETION_INDEX": "-1"}, "is not a number of a task"),
        ({"SLURM_ARRAY_TASK_ID": "3", "JOB_COMPLETION_INDEX": "3"}, "both"),
    ],
)
def test_what_does_not_say_which_is_refused(environment: dict[str, str], words: str) -> None:
    with pytest.raises(UsageError, match=words):
        read_shard("auto/40", environment)


def test_a_shards_folder_is_recognised() -> None:

    assert shard_of_folder(Path("x/shard-003-of-040")) == ShardNumber(40, 3)
    assert shard_of_folder(Path("x/shard-003-of-040.partial")) == ShardNumber(40, 3)
    for name in ("shard-41-of-40", "shard-0-of-0", "shard-3", "run", "shard-003-of-040.lock"):
        assert shard_of_folder(Path(name)) is None
