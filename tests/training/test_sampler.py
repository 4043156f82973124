"""Oracles: counting; one process; numpy's roll where no edge is near."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from pcbench.data.image_source import ImageSource
from pcbench.errors import UsageError
from pcbench.training.inputs import InputChange
from pcbench.training.sampler import Sampler, load_steps


def test_an_epoch_holds_every_image_once_and_epochs_differ() -> None:
    sampler = Sampler(images=23, batch_size=5, seed=0)
    assert sampler.steps_per_epoch == 5
    epochs = [np.concatenate([step.indices for step in sampler.steps(start, start + 5)]) for start in (0, 5)]
    for epoch in epochs:
        assert sorted(epoch) == list(range(23))
    assert not np.array_equal(*epochs)


def test_steps_depend_on_their_number_alone() -> None:
    # Oracle: the steps of a sampler that was walked from the start.
    sampler = Sampler(images=23, batch_size=5, seed=3)
    walked = list(sampler.steps(0, 12))
    for step, expected in zip(sampler.steps(7, 12), walked[7:], strict=True):
        assert np.array_equal(step.indices, expected.indices)
        assert step.epoch == expected.epoch


def test_processes_share_the_images_of_one() -> None:
    # Oracle: the steps of a single process.
    alone = list(Sampler(23, 6, 1).steps(0, 4))
    shared = [list(Sampler(23, 6, 1, process=process, processes=2).steps(0, 4)) for process in (0, 1)]
    for whole, *parts in zip(alone, *shared, strict=True):
        assert sorted(np.concatenate([part.indices for part in parts])) == sorted(whole.indices)
        assert {part.batch for part in parts} == {len(whole.indices)}


def test_a_step_without_an_image_for_every_process_is_refused() -> None:
    with pytest.raises(UsageError, match="last step of an epoch holds 1 images for 2 processes"):
        Sampler(images=11, batch_size=5, seed=0, processes=2)


def test_steps_bring_their_images_and_labels(source: ImageSource) -> None:
    # Oracle: the source itself.
    sampler = Sampler(len(source), 5, seed=2)
    for step, images, labels, noise in load_steps(source, sampler, range(3), InputChange(0)):
        assert noise is None
        assert torch.equal(images, source.load(step.indices).float() / 255)
        assert np.array_equal(labels.numpy(), source.labels[step.indices])
