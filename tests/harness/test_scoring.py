"""Oracles: the definition of [0,1]; torch's device `meta`, where any number of a fixed device would end in an error."""

from __future__ import annotations

import pytest
import torch

from pcbench.harness.scoring import page_locked, to_unit_range

IMAGES = torch.tensor([[0, 51], [204, 255]], dtype=torch.uint8)


def test_images_are_shares_of_255_on_the_device_that_is_asked_for() -> None:
    assert torch.equal(to_unit_range(IMAGES, "cpu"), torch.tensor([[0.0, 0.2], [0.8, 1.0]]))
    elsewhere = to_unit_range(IMAGES, torch.device("meta"))
    assert (elsewhere.device.type, elsewhere.dtype, elsewhere.shape) == ("meta", torch.float32, (2, 2))


def test_images_for_a_gpu_are_page_locked_where_they_are_made_and_others_stay(monkeypatch: pytest.MonkeyPatch) -> None:
    locked = torch.zeros(1)
    monkeypatch.setattr(torch.Tensor, "pin_memory", lambda _images: locked)
    assert page_locked(IMAGES, torch.device("cuda:1")) is locked
    assert page_locked(IMAGES, torch.device("cpu")) is IMAGES
    assert page_locked(IMAGES, torch.device("mps")) is IMAGES
    there = IMAGES.to("meta")  # noise on e_0 is made on the device itself
    assert page_locked(there, torch.device("cuda")) is there
