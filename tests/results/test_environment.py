"""Oracle: what a checkout and an environment are made of: an edited copy of the package, distributions made by hand."""

from __future__ import annotations

import functools
import importlib
import importlib.metadata
import platform
import shutil
import sys
from pathlib import Path

import pytest
import torch

import pcbench
from pcbench import cores
from pcbench.results import environment
from pcbench.results.environment import (
    METRICS_CODE,
    PARTS_CODE,
    code_hash,
    library_versions,
    machine_kind,
    versions,
)

PACKAGE = Path(pcbench.__file__).parent
NORMALISED = functools.cache(environment.normalised)
"""All files but one are the same in every copy."""


def copied(monkeypatch: pytest.MonkeyPatch, folder: Path, name: str, edit: tuple[str, str] | None = None) -> None:
    """Let a copy of pcbench, one of its files edited, stand for pcbench."""
    shutil.copytree(PACKAGE, folder, ignore=shutil.ignore_patterns("weights", "page", "__pycache__"))
    if edit is not None:
        text = (folder / name).read_text(encoding="utf-8")
        assert edit[0] in text
        (folder / name).write_text(text.replace(*edit, 1), encoding="utf-8")
    monkeypatch.setattr(pcbench, "__file__", str(folder / "__init__.py"))


@pytest.mark.parametrize(
    ("name", "edit", "outcomes", "metrics"),
    [
        ("attacks/worst_case.py", ('"""', '"""More. '), False, False),
        ("attacks/worst_case.py", ("\nfrom ", "\n# why\nfrom "), False, False),
        ("attacks/worst_case.py", ("def ", "def x_"), True, True),
        ("network/update.py", ("class ", "class X"), True, False),
        ("results/schema.py", ("\nimport ", "\nimport os\nimport "), True, False),
        ("metrics/rates.py", ("def ", "def x_"), False, True),
        ("cli/status.py", ("def ", "def x_"), False, False),
        ("reports/charts.py", ("def ", "def x_"), False, False),
    ],
)
def test_the_hash_follows_the_code_that_computes(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    name: str,
    edit: tuple[str, str],
    outcomes: bool,
    metrics: bool,
) -> None:
    monkeypatch.setattr(environment, "normalised", NORMALISED)
    copied(monkeypatch, tmp_path / "before", name)
    before = [code_hash(PARTS_CODE), code_hash(METRICS_CODE)]
    copied(monkeypatch, tmp_path / "after", name, edit)
    after = [code_hash(PARTS_CODE), code_hash(METRICS_CODE)]
    assert [one != other for one, other in zip(before, after, strict=True)] == [outcomes, metrics]


def test_parts_are_folders_or_files_and_may_be_absent(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    copied(monkeypatch, tmp_path / "copy", "")
    assert code_hash(["network"]) == code_hash(("network", "network/update.py", "not/here", "not_here.py"))
    assert code_hash(["network"]) != code_hash(["network/update.py"])
    assert code_hash(["network"]) not in (code_hash(["data"]), code_hash([]))
    (tmp_path / "copy/network/added.py").write_text("a = 1")
    shutil.copytree(tmp_path / "copy", tmp_path / "second")
    before = code_hash(["network"])
    monkeypatch.setattr(pcbench, "__file__", str(tmp_path / "second/__init__.py"))
    assert code_hash(["network"]) != before


def test_the_versions_hold_the_hash_of_what_computes() -> None:
    assert versions()["pcbench_code"] == code_hash(PARTS_CODE)
    assert len(code_hash(PARTS_CODE)) == 16


def test_libraries_are_those_that_the_modules_import() -> None:
    found = library_versions(["pcbench.attacks.libraries.foolbox", "pcbench.network.network"])
    assert found["python"] == platform.python_version()
    for library in ("torch", "foolbox", "eagerpy", "numpy"):
        assert found[library] == importlib.metadata.version(library)
    assert not {"scikit-learn", "timm", "matplotlib", "pcbench"} & set(found)
    assert "scikit-image" in library_versions(["pcbench.corruptions.imagecorruptions_backend"])
    # What is imported inside a function is asked for by its name.
    assert set(library_versions(["timm", "no_such_module"])) == {"python", "timm"}


def test_a_users_adapter_brings_its_library(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "path", [str(tmp_path), str(tmp_path / "site-packages"), *sys.path])
    files = {
        "adapter_z.py": "import helper_z\n\ndef later():\n    import timm\n",
        "helper_z.py": "raise RuntimeError\nfrom fake_attacks_z.core import attack\n",
        "site-packages/fake_attacks_z/__init__.py": "import sklearn",
        "site-packages/Fake_Attacks-1.0.dist-info/METADATA": "Name: Fake_Attacks\nVersion: 1.0\n",
        "site-packages/Fake_Attacks-1.0.dist-info/top_level.txt": "fake_attacks_z\n",
    }
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    importlib.invalidate_caches()
    assert library_versions(["adapter_z"]) == {"python": platform.python_version(), "fake-attacks": "1.0"}
    metadata = tmp_path / "site-packages/Fake_Attacks-1.0.dist-info/METADATA"
    metadata.write_text(metadata.read_text().replace("Version: 1.0", "Version: 1.1"))
    assert library_versions(["adapter_z"])["fake-attacks"] == "1.1"
    assert "adapter_z" not in sys.modules


def test_the_kind_of_machine_tells_processors_apart(monkeypatch: pytest.MonkeyPatch) -> None:
    # The vendor is read once in a process; here it changes.
    monkeypatch.setattr(environment, "processor_vendor", cores.processor_vendor.__wrapped__)
    kind = machine_kind("cpu")
    assert kind.split(" ")[0] == platform.machine()
    assert kind.endswith(torch.backends.cpu.get_cpu_capability())
    monkeypatch.setattr(Path, "read_text", lambda *_arguments, **_options: "processor : 0\nvendor_id\t: Some Vendor\n")
    assert "Some Vendor" in machine_kind("cpu")
    monkeypatch.setattr(Path, "read_text", lambda *_arguments, **_options: "CPU implementer : 0x41\n")
    monkeypatch.setattr(platform, "processor", lambda: "")
    assert "unknown vendor" in machine_kind("cpu")
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda device: f"Big GPU for {device}")
    assert machine_kind("cuda:1") == "Big GPU for cuda:1"
