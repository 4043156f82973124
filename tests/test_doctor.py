"""Oracle: the faults that are put in place one by one, each with the words of the library that fails so."""

from __future__ import annotations

import importlib
import importlib.metadata
import json
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import forking
import pytest

from pcbench import doctor
from pcbench.cli.main import main
from pcbench.doctor import Finding, findings
from pcbench.errors import DataError

NMS = "operator torchvision::nms does not exist"
LIBGL = "libGL.so.1: cannot open shared object file: No such file or directory"


@pytest.fixture
def broken(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Let imports fail, and distributions be installed, as in ``broken("autoattack", cv2=ImportError(LIBGL))``."""
    whole, there, version = importlib.import_module, doctor.is_installed, importlib.metadata.version

    def fake(*installed: str, **raised: Exception) -> None:
        def imported(name: str, *rest: Any) -> Any:
            if name in raised:
                raise raised[name]
            return whole(name, *rest)

        monkeypatch.setattr(importlib, "import_module", imported)
        monkeypatch.setattr(doctor, "is_installed", lambda name: name in installed or there(name))
        monkeypatch.setattr(importlib.metadata, "version", lambda name: "9.9" if name in installed else version(name))

    return fake


def wrong() -> dict[str, Finding]:
    return {one.name: one for one in findings() if one.state == "wrong"}


def test_nothing_is_wrong_where_the_tests_pass() -> None:
    found = findings()
    assert not [one for one in found if one.state == "wrong"]
    versions = {one.name: one.found for one in found if one.topic == "versions"}
    assert versions["torch"] == importlib.metadata.version("torch")
    assert {one.topic for one in found} == {"versions", "devices", "threads", "folders", "libraries"}


@pytest.mark.parametrize(
    ("installed", "raised", "name", "found", "remedy"),
    [
        ((), {"torchvision": RuntimeError(NMS)}, "torchvision", NMS, "torch torchvision"),
        ((), {"cv2": ImportError(LIBGL)}, "opencv", LIBGL, "install opencv-python-headless"),
        (
            ("opencv-python", "opencv-contrib-python"),
            {},
            "opencv",
            "overwrite each other",
            "uninstall -y opencv-python",
        ),
        (("torchattacks", "robustbench"), {}, "torchattacks, robustbench", "overwrites", "--extra torchattacks"),
        (("autoattack",), {}, "autoattack", "beside pyautoattack", "uninstall -y autoattack"),
        ((), {"foolbox": ImportError("scipy.ndimage.filters")}, "foolbox", "scipy.ndimage.filters", "foolbox"),
    ],
)
def test_what_collides_is_named_with_its_remedy(
    broken: Callable[..., None],
    installed: tuple[str, ...],
    raised: dict[str, Exception],
    name: str,
    found: str,
    remedy: str,
) -> None:
    broken(*installed, **raised)
    (one,) = wrong().values()
    assert one.name == name
    assert found in one.found
    assert one.remedy is not None
    assert remedy in one.remedy


def test_a_torch_that_cannot_be_loaded_and_a_missing_package(
    broken: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    broken(torch=OSError("libcudart.so.13: cannot open shared object file"))
    there = doctor.is_installed
    monkeypatch.setattr(doctor, "is_installed", lambda name: name != "imagecorruptions" and there(name))
    lost = DataError("frost needs the photographs of the package imagecorruptions")
    monkeypatch.setattr("pcbench.corruptions.frost_textures.frost_folder", lambda: (_ for _ in ()).throw(lost))
    found = wrong()
    assert set(found) == {"torch", "imagecorruptions", "frost's photographs"}
    assert "libcudart" in found["torch"].found


def test_folders_that_cannot_be_written_or_are_full(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def refuse(**_: Any) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setenv("PCBENCH_CACHE", str(tmp_path / "not" / "there"))
    monkeypatch.setattr(doctor.shutil, "disk_usage", lambda _: type("Usage", (), {"free": 1e9}))
    cache = next(one for one in findings() if one.name == "cache")
    assert (cache.state, "1.0 GB free" in cache.found) == ("note", True)
    monkeypatch.setattr(tempfile, "TemporaryFile", refuse)
    found = wrong()
    assert set(found) == {"results", "cache", "torch's cache", "temporary"}
    assert "Permission denied" in found["cache"].found
    assert "PCBENCH_CACHE" in str(found["cache"].remedy)


@pytest.mark.parametrize("raised", [{}, {"cv2": ImportError(f"{LIBGL}\nand more")}], ids=["sound", "broken"])
def test_the_verb_s_words_and_exit_codes(
    broken: Callable[..., None], capsys: pytest.CaptureFixture[str], raised: dict[str, Exception]
) -> None:
    broken(**raised)
    for words in ([], ["--json"]):
        with pytest.raises(SystemExit) as end:
            main(["doctor", *words])
        assert (end.value.code or 0) == len(raised)
        out = capsys.readouterr().out
        if words:
            assert {one["name"] for one in json.loads(out) if one["state"] == "wrong"} == {"opencv"} if raised else True
        else:
            assert out.splitlines()[-1] == ("1 thing is wrong" if raised else "nothing is wrong")
            assert ("pip install opencv-python-headless" in out) == bool(raised)


WITHOUT_OPENCV = """
import sys
import pcbench.cli.main
for name in [name for name in sys.modules if name.partition(".")[0] in ("pcbench", "cv2")]:
    del sys.modules[name]
sys.modules["cv2"] = None
from pcbench.cli.main import main
main(["doctor", "--json"])
"""


def test_a_library_that_all_of_pcbench_imports_does_not_stop_the_doctor(forks: forking.Forks) -> None:
    command, pipe = [sys.executable, "-c", WITHOUT_OPENCV], subprocess.PIPE
    process = forks.subprocess.Popen(command, stdout=pipe, stderr=pipe, text=True)
    out, err = process.communicate()
    assert process.returncode == 1, err
    found = {one["name"]: one for one in json.loads(out)}
    assert [name for name, one in found.items() if one["state"] == "wrong"] == ["opencv"]
    assert "opencv-python-headless" in found["opencv"]["remedy"]
    assert found["torchvision"]["state"] == "ok"
