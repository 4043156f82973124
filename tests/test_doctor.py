"""Oracle: the faults that are put in place one by one, each with the words of the library that fails so."""

from __future__ import annotations

import importlib
import importlib.metadata
import json
import os
import subprocess
import sys
import tempfile
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import forking
import pytest

from pcbench.cli.main import main
from pcbench.data.cache import cache_folder
from pcbench.doctor import libraries, machine
from pcbench.doctor.examination import findings
from pcbench.doctor.finding import Finding
from pcbench.errors import DataError

NMS = "operator torchvision::nms does not exist"
LIBGL = "libGL.so.1: cannot open shared object file: No such file or directory"


@pytest.fixture
def broken(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Let imports fail, and distributions be installed, as in ``broken("autoattack", cv2=ImportError(LIBGL))``."""
    whole, there, record = importlib.import_module, libraries.is_installed, importlib.metadata.distribution

    def fake(*installed: str, **raised: Exception) -> None:
        def imported(name: str, *rest: Any) -> Any:
            if name in raised:
                raise raised[name]
            return whole(name, *rest)

        monkeypatch.setattr(importlib, "import_module", imported)
        monkeypatch.setattr(libraries, "is_installed", lambda name: name in installed or there(name))
        known = next(one for one in libraries.OPENCV if there(one))
        stand_ins = {name: known if name in libraries.OPENCV else "numpy" for name in installed}
        monkeypatch.setattr(importlib.metadata, "distribution", lambda name: record(stand_ins.get(name, name)))

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
    record = importlib.metadata.distribution

    def without(name: str) -> importlib.metadata.Distribution:
        if name == "imagecorruptions":
            raise importlib.metadata.PackageNotFoundError(name)
        return record(name)

    monkeypatch.setattr(importlib.metadata, "distribution", without)
    lost = DataError("frost needs the photographs of the package imagecorruptions")
    monkeypatch.setattr("pcbench.corruptions.frost_textures.frost_folder", lambda: (_ for _ in ()).throw(lost))
    found = wrong()
    assert set(found) == {"torch", "imagecorruptions", "frost's photographs"}
    assert "libcudart" in found["torch"].found


def test_folders_that_cannot_be_written_or_are_full(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def refuse(**_: Any) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setenv("PCBENCH_CACHE", str(tmp_path / "not" / "there"))
    monkeypatch.setattr(machine.shutil, "disk_usage", lambda _: type("Usage", (), {"free": 1e9}))
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
from pcbench.data.cache import cache_folder
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


def test_a_version_that_pcbench_does_not_allow(monkeypatch: pytest.MonkeyPatch) -> None:
    # Another installation of the user's lowered it: pip does so, and only warns.
    stated = ["pandas>=99", "h5py>=99; extra == 'h5py'", "rich"]
    monkeypatch.setattr(importlib.metadata, "requires", lambda _: stated)
    (found,) = wrong().values()
    assert (found.name, found.remedy) == ("pandas", 'pip install "pandas>=99"')
    assert found.found == f"{importlib.metadata.version('pandas')}, and pcbench needs >=99"


def test_what_an_interrupted_installation_left(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "numpy-1.26.4.dist-info").mkdir()  # as pip leaves it: python/cpython issue 91216
    monkeypatch.syspath_prepend(tmp_path)
    found = next(one for one in libraries.library_findings() if one.name == "numpy")
    assert found.state == "wrong"
    assert f"remove {tmp_path / 'numpy-1.26.4.dist-info'}; then: pip install" in str(found.remedy)
    assert not libraries.hidden_libraries()


def test_two_installations_of_pcbench(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "pcbench-0.0.9.dist-info").mkdir()
    (tmp_path / "pcbench-0.0.9.dist-info" / "METADATA").write_text("Name: pcbench\nVersion: 0.0.9\n")
    monkeypatch.syspath_prepend(tmp_path)
    found = next(one for one in libraries.library_findings() if one.name == "pcbench")
    assert (found.state, "0.0.9" in found.found, "uninstall" in str(found.remedy)) == ("wrong", True, True)


def test_a_file_that_hides_a_library(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "tomli_w.py").write_text("")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "tomli_w", raising=False)
    found = next(one for one in findings() if one.name == "tomli-w" and one.topic == "libraries")
    assert found.found.startswith(f"{tmp_path / 'tomli_w.py'} hides tomli_w")
    assert "PYTHONPATH" in str(found.remedy)
    assert "devices" not in {one.topic for one in findings()}  # what needs it would be told to be broken, too


def test_numbers_of_threads_as_openmp_reads_them(monkeypatch: pytest.MonkeyPatch) -> None:
    for value, state in (("4", "ok"), ("4,2", "ok"), ("abc", "wrong"), ("0", "wrong"), ("2;", "wrong")):
        monkeypatch.setenv("OMP_NUM_THREADS", value)
        assert next(one for one in machine.threads() if one.name == "OMP_NUM_THREADS").state == state, value


class Cuda:
    """A stand-in for `torch.cuda`, in the words of the reports."""

    def __init__(self, *, there: bool, warning: str = "", fault: str = "") -> None:
        self._there, self._warning, self._fault = there, warning, fault

    def is_available(self) -> bool:
        if self._warning:
            warnings.warn(self._warning, UserWarning, stacklevel=1)
        return self._there

    def device_count(self) -> int:
        return 1

    def mem_get_info(self, _: int) -> tuple[int, int]:
        if self._fault:
            raise RuntimeError(self._fault)
        return 10**9, 10**10

    def get_device_name(self, _: int) -> str:
        return "some GPU"


OLD_DRIVER = "CUDA initialization: The NVIDIA driver on your system is too old (found version 12080)."


@pytest.mark.parametrize(
    ("cuda", "built", "hidden", "state", "words"),
    [
        (Cuda(there=True), "13.2", None, "ok", "some GPU, 1.0 of 10.0 GB free"),
        (Cuda(there=True, fault="CUDA error: out of memory\nCompile with"), "13.2", None, "wrong", "out of memory)"),
        (Cuda(there=False, warning=OLD_DRIVER), "13.2", None, "wrong", "too old"),
        (Cuda(there=False), "13.2", "", "note", "CUDA_VISIBLE_DEVICES='' hides"),
        (Cuda(there=False), None, None, "note", "built without CUDA, and there is a GPU's driver"),
    ],
)
def test_gpus_that_cannot_be_used(
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    cuda: Cuda,
    built: str | None,
    hidden: str | None,
    state: str,
    words: str,
) -> None:
    (tmp_path / "version").write_text("driver")
    monkeypatch.setattr(machine, "_NVIDIA_DRIVER", tmp_path / "version")
    monkeypatch.setattr("torch.cuda", cuda)
    monkeypatch.setattr("torch.version.cuda", built)
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    if hidden is not None:
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", hidden)
    found = [one for one in machine.devices() if one.name.startswith("cuda")]
    assert (found[-1].state, words in found[-1].found) == (state, True)


def test_a_cache_below_a_file_cannot_be_written(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("PCBENCH_CACHE", str(tmp_path / "file" / "cache"))
    found = {one.name: one for one in machine.folders()}["cache"]
    assert found.state == "wrong"
    assert "cannot be written" in found.found
    assert found.remedy == "set PCBENCH_CACHE to a folder that can be written"


def test_a_user_of_a_container_who_has_no_home_folder(monkeypatch: pytest.MonkeyPatch) -> None:
    def unknown(_: type[Path]) -> Path:
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.setattr(Path, "home", classmethod(unknown))
    for name in ("PCBENCH_CACHE", "TORCH_HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", "relative/is/none")
    found = {one.name: one for one in machine.folders()}
    for name, variable in {"cache": "PCBENCH_CACHE", "torch's cache": "TORCH_HOME"}.items():
        assert (found[name].state, variable in str(found[name].remedy)) == ("wrong", True)
        assert "no home folder is known" in found[name].found
    monkeypatch.setattr(tempfile, "gettempdir", lambda: (_ for _ in ()).throw(FileNotFoundError(2, "No usable folder")))
    assert {one.name: one.state for one in machine.folders()}["temporary"] == "wrong"


def test_a_tilde_in_a_variable_that_no_shell_has_read(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("PCBENCH_CACHE", "~/kept")
    assert cache_folder() == tmp_path / "kept"


def test_in_a_folder_that_was_removed_no_library_is_loaded(monkeypatch: pytest.MonkeyPatch) -> None:
    # oneMKL ends the process when torch is imported there.
    monkeypatch.setattr(os, "getcwd", lambda: (_ for _ in ()).throw(FileNotFoundError(2, "No such file")))
    (one,) = findings()
    assert (one.state, one.remedy) == ("wrong", "cd to a folder that exists")
