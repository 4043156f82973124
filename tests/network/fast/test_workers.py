"""Work shared among threads. Oracle: a list of the pieces, each of which is done once, in order, by one thread."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator

import pytest
import torch

from pcbench.network.fast.workers import share_pieces


@pytest.fixture
def three_threads() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(3)
    yield
    torch.set_num_threads(before)


@pytest.mark.parametrize("count", [0, 1, 50])
@pytest.mark.usefixtures("three_threads")
def test_each_piece_is_done_once_on_one_core(count: int) -> None:
    done: list[tuple[int, int]] = []
    share_pieces(count, lambda piece: done.append((piece, torch.get_num_threads())))
    assert sorted(done) == [(piece, 1) for piece in range(count)]


@pytest.mark.usefixtures("three_threads")
def test_the_number_of_threads_stays_for_this_thread_and_for_new_ones() -> None:
    share_pieces(3, lambda _: None)
    found: list[int] = []
    other = threading.Thread(target=lambda: found.append(torch.get_num_threads()))
    other.start()
    other.join()
    assert (torch.get_num_threads(), found) == (3, [3])


@pytest.mark.usefixtures("three_threads")
def test_an_error_of_a_piece_is_raised_and_later_pieces_still_work() -> None:
    def fail(piece: int) -> None:
        if piece == 1:
            raise ArithmeticError("piece 1")

    with pytest.raises(ArithmeticError, match="piece 1"):
        share_pieces(1000, fail)
    done: list[int] = []
    share_pieces(4, done.append)
    assert sorted(done) == [0, 1, 2, 3]


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
@pytest.mark.usefixtures("three_threads")
def test_a_forked_process_has_threads_of_its_own() -> None:
    share_pieces(3, lambda _: None)
    child = os.fork()
    if child == 0:
        done: list[int] = []
        share_pieces(3, done.append)
        os._exit(0 if sorted(done) == [0, 1, 2] else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
