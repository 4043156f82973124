"""What the tests of the corruptions share: the suites of the catalogue, small images, real photographs."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image
from shipped_corruptions import shipped_suites

from pcbench.corruptions.definitions import CorruptionSuite


@pytest.fixture(scope="session")
def suites() -> dict[str, CorruptionSuite]:
    return shipped_suites()


@pytest.fixture(scope="session")
def small_images() -> torch.Tensor:
    """Six images of 33 x 40 px, uint8: a shaded ground with a bright disk; odd sizes find mistakes with axes."""
    rows, columns = np.mgrid[:33, :40]
    disk = ((rows - 14) ** 2 + (columns - 22) ** 2 < 90) * 90
    images = [[rows * 3 + columns * k + disk + 20 * c for c in range(3)] for k in range(6)]
    return torch.from_numpy(np.array(images) % 256).to(torch.uint8)


@pytest.fixture(scope="session")
def photographs(test_data: Path) -> torch.Tensor:
    """Eight photographs of the ImageNet validation set, (8, 3, 224, 224), uint8."""
    rows = pd.read_parquet(test_data / "imagenette" / "val-500.parquet")["image"].head(8)
    decoded = [np.asarray(Image.open(io.BytesIO(row["bytes"])).convert("RGB")) for row in rows]
    return torch.from_numpy(np.stack(decoded)).permute(0, 3, 1, 2).contiguous()
