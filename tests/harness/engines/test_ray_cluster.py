"""Oracles: sockets of this test's own, which answer as it says, and the source files of modules that it wrote.

None of these tests needs Ray.
"""

from __future__ import annotations

import logging
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager
from pathlib import Path

import pytest

from pcbench.errors import MissingExtraError, UsageError
from pcbench.extras import is_installed
from pcbench.harness.engines import ray_cluster, ray_worker
from pcbench.harness.engines.ray_cluster import cluster_address, refuse_unreachable, ship
from pcbench.harness.request import request_from
from pcbench.harness.start import run


@pytest.fixture
def with_ray(monkeypatch: pytest.MonkeyPatch) -> None:
    """Pretend that Ray is installed: it is not asked before the address has answered."""
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    monkeypatch.setattr(ray_cluster, "require", lambda _: None)


@contextmanager
def server(answer: Callable[[socket.socket], None]) -> Generator[str]:
    """Answer the first one that connects; give the address."""
    with socket.create_server(("127.0.0.1", 0)) as listening:

        def serve() -> None:
            connection, _ = listening.accept()
            with connection:
                answer(connection)

        thread = threading.Thread(target=serve)
        thread.start()
        yield f"127.0.0.1:{listening.getsockname()[1]}"
        thread.join()


def test_a_port_without_a_listener_is_refused_at_once(with_ray: None, tmp_path: Path) -> None:
    del with_ray
    with socket.create_server(("127.0.0.1", 0)) as listening:
        address = f"127.0.0.1:{listening.getsockname()[1]}"
    began = time.monotonic()
    with pytest.raises(UsageError) as refused:
        run("pdigits", ["digits-c"], engine="ray", ray_address=address, out=tmp_path / "run", progress=False)
    assert time.monotonic() - began < 15
    expected = f"no Ray cluster can be reached at {address} (Connection refused); start one with: ray start --head"
    assert str(refused.value) == expected
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("seconds", "answer", "words"),
    [
        (0.2, lambda connection: connection.recv(1) and time.sleep(0.5), "no answer within 0.2 s"),
        (1.0, lambda connection: connection.sendall(b"SSH-2.0-OpenSSH_9.6\r\n"), "what answers there is not Ray"),
        (1.0, lambda connection: connection.recv(1000) and None, "what answers there is not Ray"),
    ],
    ids=["silent", "another", "closes"],
)
def test_what_answers_and_is_not_ray_is_refused_in_time(
    with_ray: None,
    seconds: float,
    answer: Callable[[socket.socket], None],
    words: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    del with_ray
    assert ray_cluster._SECONDS < 15
    monkeypatch.setattr(ray_cluster, "_SECONDS", seconds)
    with server(answer) as address:
        began = time.monotonic()
        with pytest.raises(UsageError, match="no Ray cluster can be reached at") as refused:
            refuse_unreachable(address)
        assert time.monotonic() - began < 5
    assert words in str(refused.value)
    with server(answer) as address:  # whichever limit is met first, that of the connection or that of the whole
        assert ray_cluster._fault(address) == words


def test_what_speaks_as_ray_does_is_taken(with_ray: None) -> None:
    del with_ray
    # A frame of settings, as RFC 9113 writes it: no content, type 4, no flags, stream 0.
    with server(lambda connection: connection.sendall(bytes([0, 0, 0, 4, 0, 0, 0, 0, 0])) or connection.recv(99)) as at:
        refuse_unreachable(at)


@pytest.mark.parametrize(
    "address", ["somewhere", "host:", ":6379", "host:0", "host:70000", "ray://host:10001", "a b:1"]
)
def test_an_address_of_another_form_is_refused_before_anything_is_read(
    monkeypatch: pytest.MonkeyPatch, address: str
) -> None:
    with pytest.raises(UsageError, match=r"^`ray_address` is HOST:PORT") as refused:
        request_from({"engine": "ray", "ray_address": address})
    assert repr(address) in str(refused.value)
    assert ("ray job submit" in str(refused.value)) == address.startswith("ray://")
    monkeypatch.setenv("RAY_ADDRESS", address)
    with pytest.raises(UsageError, match="HOST:PORT"):
        request_from({"engine": "ray"})


def test_an_address_is_the_option_then_the_variable_then_this_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    assert cluster_address(None) == "local"
    assert cluster_address("auto") == "auto"
    assert cluster_address("[::1]:6379") == "[::1]:6379"
    monkeypatch.setenv("RAY_ADDRESS", "10.0.0.1:6379")
    assert [cluster_address(given) for given in (None, "auto", "local", "head:1")] == [
        "10.0.0.1:6379",
        "10.0.0.1:6379",
        "local",
        "head:1",
    ]


@pytest.mark.parametrize("name", ["ray_address", "cpus_per_worker", "gpus_per_worker"])
def test_an_option_of_ray_needs_its_engine(name: str) -> None:
    with pytest.raises(UsageError, match=f"`{name}` is for Ray: give engine='ray' as well"):
        request_from({name: "auto" if name == "ray_address" else 1})


@pytest.mark.skipif(is_installed("ray"), reason="Ray is installed here")
def test_without_ray_the_command_that_installs_it_is_told(tmp_path: Path) -> None:
    with pytest.raises(MissingExtraError, match=r"ray is not installed; .*pip install 'pcbench\[ray\]'"):
        run("pdigits", engine="ray", out=tmp_path / "run")
    command = [sys.executable, "-m", "pcbench.cli.main", "run", "--engine", "ray", "--out", str(tmp_path / "run")]
    command[1:3] = ["-c", "from pcbench.cli.main import main; main()"]
    told = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert told.returncode == 2
    assert "pip install 'pcbench[ray]'" in told.stderr
    assert list(tmp_path.iterdir()) == []


def test_only_the_users_own_modules_that_a_model_needs_are_shipped(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home, copies = tmp_path / "home", tmp_path / "copies"
    sources = {
        "shipped_model.py": "import torch\nimport shipped_package.layers\n",
        "shipped_package/__init__.py": "",
        "shipped_package/layers.py": "from . import deep\n",
        "shipped_package/deep/__init__.py": "import json\n",
        "shipped_package/unused.py": "",
        "shipped_other.py": "",
        "images.npy": "large",
    }
    for name, text in sources.items():
        (home / name).parent.mkdir(parents=True, exist_ok=True)
        (home / name).write_text(text)
    copies.mkdir()
    monkeypatch.syspath_prepend(home)
    tops = ship("shipped_model:make", copies)
    assert tops == [str(copies / "shipped_model.py"), str(copies / "shipped_package")]
    found = {path.relative_to(copies).as_posix(): path.read_text() for path in copies.rglob("*") if path.is_file()}
    lacking = {"shipped_package/unused.py", "shipped_other.py", "images.npy"}
    assert found == {name: text for name, text in sources.items() if name not in lacking}
    for name in ("pdigits", "robustbench:cifar10/Linf/Standard", None):
        assert ship(name, tmp_path / "none") == []


def test_a_version_that_differs_or_is_missing_is_named() -> None:
    import numpy as np

    right = {"numpy": np.__version__, "something-local": "unknown", "own-attack": "1.0, code abc"}
    assert ray_worker.missing(right) is None
    assert ray_worker.missing({**right, "numpy": "0.1", "absent": "2"}) == (
        f"numpy {np.__version__} (not 0.1), absent is missing (not 2); install the same versions on every node"
    )


def test_debug_shows_the_progress_as_before_and_rays_own_words(monkeypatch: pytest.MonkeyPatch) -> None:
    from pcbench.cli.run import log_progress

    logger = logging.getLogger("pcbench")
    monkeypatch.setattr(logger, "handlers", [])
    for given, expected in ((logging.NOTSET, logging.INFO), (logging.DEBUG, logging.DEBUG)):
        monkeypatch.setattr(logger, "handlers", [])
        monkeypatch.setattr(logger, "level", given)
        log_progress()
        assert logger.level == expected
