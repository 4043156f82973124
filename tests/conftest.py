"""What all tests share: where the real images, weights and fixtures are, which the project itself does not hold."""

from __future__ import annotations

import functools
import gc
import importlib.util
import os
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import forking
import pytest
from few_figures import only_two_figures

if TYPE_CHECKING:
    from playwright.sync_api import Browser

# What each of two processes imports first: where nothing is compiled yet, either compiles about one half.
FIRST = {
    "gw0": ("scipy.stats", "pandas", "matplotlib.figure", "polars", "datasets"),
    "gw1": ("torchvision", "hypothesis", "statsmodels.stats.proportion"),
}
CHROMIUM = ["--headless", "--no-sandbox", "--disable-gpu", "--disable-background-networking"]
LONGEST = (
    *("test_kills.py", "test_shards.py", "test_workers.py", "test_page.py", "test_job.py"),
    *("test_small_study.py", "test_resnet_study.py", "test_code.py", "test_site.py"),
)


def pytest_configure(config: pytest.Config) -> None:
    """Prepare what the tests' processes inherit.

    One thread each where a test does not ask for more, and threads that sleep while they wait: several processes share
    the cores. Compiled files are kept even where `PYTHONDONTWRITEBYTECODE` is set, apart from the sources: many tests
    start a process of their own, and each would compile torch's files again, for longer than the test itself takes.
    """
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    os.environ.setdefault("PCBENCH_NO_CACHE", "1")  # no gigabyte of kernels in the user's cache folder
    if sys.dont_write_bytecode and config.pluginmanager.hasplugin("cacheprovider") and config.cache is not None:
        sys.dont_write_bytecode = False
        sys.pycache_prefix = str(config.cache.mkdir("bytecode"))
        os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
        os.environ["PYTHONPYCACHEPREFIX"] = sys.pycache_prefix
    for name in FIRST.get(getattr(config, "workerinput", {}).get("workerid", ""), ()):
        if importlib.util.find_spec(name.partition(".")[0]) is not None:
            importlib.import_module(name)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with the longest files: at the end, neither of two processes then waits long for the other."""
    items.sort(key=lambda item: item.path.name not in LONGEST)


def pytest_collection_finish() -> None:
    """Let the garbage collector pass over what was imported, and look less often at what is made since."""
    gc.freeze()
    gc.set_threshold(100_000, 50, 50)


def pytest_report_header() -> str | None:
    """Say before the tests, too, that the folder of real data is not there: in its name may be a typing error."""
    folder = os.environ.get("PCBENCH_TEST_DATA")
    if not folder or Path(folder).is_dir():
        return None
    return f"PCBENCH_TEST_DATA names {folder}, and there is no such folder: tests of real data are skipped"


def real_data(folder: str | None) -> Path:
    """Return the folder of real images and weights, or skip the test, and say why, where there is none."""
    if not folder:
        pytest.skip("PCBENCH_TEST_DATA is not set: no real images and weights here")
    if not Path(folder).is_dir():
        pytest.skip(f"PCBENCH_TEST_DATA names {folder}, and there is no such folder: no real images and weights here")
    return Path(folder)


@pytest.fixture(scope="session")
def test_data() -> Path:
    """The folder of real images and weights; without `PCBENCH_TEST_DATA` the tests that need it are skipped."""
    return real_data(os.environ.get("PCBENCH_TEST_DATA"))


@pytest.fixture(scope="session")
def fixtures(test_data: Path) -> Path:
    """The folder of numbers made by running Predify, the published implementation."""
    return test_data.parent / "fixtures"


SERVER = pytest.StashKey[forking.Server]()


@pytest.hookimpl(optionalhook=True)
def pytest_configure_node(node: Any) -> None:
    """Tell each process of tests where the server of forks listens, which they share."""
    node.workerinput["forking"] = _server(node.config).path


def _server(config: pytest.Config) -> forking.Server:
    """Return the server of forks, started at the first call."""
    if SERVER not in config.stash:
        server = config.stash[SERVER] = forking.Server()
        config.add_cleanup(server.close)
    return config.stash[SERVER]


@pytest.fixture(scope="session")
def forks(pytestconfig: pytest.Config) -> Iterator[forking.Forks]:
    """A process that has imported torch and the harness, and forks one child a program."""
    given = getattr(pytestconfig, "workerinput", {}).get("forking")
    made = forking.Forks(given or _server(pytestconfig).path)
    yield made
    made.client.close()


@pytest.fixture(scope="session", autouse=True)
def no_waiting_for_the_disk() -> Iterator[None]:
    """Let `fsync` return at once: no test ends with a power cut, and thousands of waits are a tenth of the time."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "fsync", lambda _: None)
        yield


@pytest.fixture(scope="session", autouse=True)
def one_command() -> Iterator[None]:
    """Let Typer make the commands of an application once, not at each call."""
    import typer.main

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("typer.main.get_command", functools.cache(typer.main.get_command))
        yield


@pytest.fixture
def two_figures() -> Iterator[None]:
    """Draw two charts of each run alone: the others are drawn alike, and drawing takes seconds."""
    with only_two_figures():
        yield


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    """A real Chromium, where there is one."""
    from playwright.sync_api import sync_playwright  # slow to import, and few tests need it

    chromium = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if chromium is None:
        pytest.skip("there is no Chromium here")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=CHROMIUM)
        yield browser
        browser.close()
