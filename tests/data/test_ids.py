"""Oracle: the text "0" and its noise, for every way in which people write the id 0."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from pcbench.attacks.api import find_attack
from pcbench.attacks.sweep import scored_images, sweep
from pcbench.corruptions.api import corrupt
from pcbench.data.ids import as_ids
from pcbench.data.preprocessing import Preprocessing
from pcbench.data.sources import open_source
from pcbench.errors import DataError, UsageError

ZEROS: tuple[Any, ...] = (0, "0", np.int64(0), np.uint8(0), np.array(0), np.str_("0"), b"0", torch.tensor(0))


@pytest.mark.parametrize("zero", ZEROS, ids=lambda zero: type(zero).__name__)
def test_every_way_to_write_an_id_is_one_text(zero: Any) -> None:
    assert as_ids([zero, "cat/1.png"]) == ("0", "cat/1.png")


def test_a_set_has_no_order() -> None:
    with pytest.raises(UsageError, match="a set has no order"):
        corrupt(torch.full((2, 3, 8, 8), 128, dtype=torch.uint8), "gaussian_noise", 3, ids={"a", "b"})


@pytest.mark.parametrize("ids", [[0, 1], ["0", "1"], np.arange(2), torch.arange(2), range(2), (b"0", np.int8(1))])
def test_one_image_draws_the_same_noise_however_its_id_is_written(ids: Any) -> None:
    images = torch.full((2, 3, 8, 8), 128, dtype=torch.uint8)
    assert torch.equal(corrupt(images, "gaussian_noise", 3, ids=ids), corrupt(images, "gaussian_noise", 3))


def test_random_starts_and_input_noise_do_not_depend_on_how_an_id_is_written() -> None:
    definition = find_attack("pgd")
    network = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(48, 3))
    images = torch.rand(2, 3, 4, 4, generator=torch.Generator().manual_seed(0))
    options: dict[str, Any] = {"epsilons": ["8/255"], "keep_images": True, "seed": 0}
    outcomes = [
        sweep(network, images, np.array([0, 1]), definition, ids=ids, **options) for ids in (["0", "1"], np.arange(2))
    ]
    assert outcomes[0].ids == outcomes[1].ids == ("0", "1")
    assert torch.equal(scored_images(outcomes[0]), scored_images(outcomes[1]))
    with pytest.raises(DataError, match="each once; got 1 different"):
        sweep(network, images, np.array([0, 1]), definition, ids=[0, "0"], **options)


def test_an_object_cannot_name_two_images_by_one_text() -> None:
    class Pair:
        images = np.zeros((2, 4, 4, 3), dtype=np.uint8)
        labels = (0, 1)
        ids = (0, "0")

    with pytest.raises(DataError, match="the image id '0' occurs more than once"):
        open_source(Pair(), preprocessing=Preprocessing())


def test_ids_that_are_no_list_are_refused() -> None:
    with pytest.raises(UsageError, match="ids are a list of names, one for each image, not 5"):
        corrupt(torch.zeros(1, 3, 8, 8), "gaussian_noise", 1, ids=5)  # pyright: ignore[reportArgumentType]
