"""What all tests share: where the real images, weights and fixtures are, which the project itself does not hold."""

from __future__ import annotations

import os
from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def test_data() -> Path:
    """The folder of real images and weights; without `PCBENCH_TEST_DATA` the tests that need it are skipped."""
    folder = os.environ.get("PCBENCH_TEST_DATA")
    if not folder:
        pytest.skip("PCBENCH_TEST_DATA is not set: no real images and weights here")
    return Path(folder)


@pytest.fixture(scope="session")
def fixtures(test_data: Path) -> Path:
    """The folder of numbers made by running the reference implementation."""
    return test_data.parent / "fixtures"
