"""The baseline of a suite of corruptions: the errors of one feedforward network, by which others' are divided."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import torch

from pcbench.catalog import suite_folder
from pcbench.corruptions.api import corrupt
from pcbench.corruptions.definitions import Baseline, CorruptionDefinition, CorruptionSuite, load_corruption_suite
from pcbench.data.image_source import ImageSource
from pcbench.data.sources import check, open_source
from pcbench.errors import DataError, UsageError
from pcbench.files import try_folder, write
from pcbench.models.loading import load
from pcbench.models.model import Model
from pcbench.results.environment import versions

BASELINE = "baseline.toml"
_DECIMALS = 6


def measure_baseline(
    model: Model,
    suite: CorruptionSuite,
    source: ImageSource,
    *,
    seed: int = 0,
    batch_size: int = 180,
    report: Callable[[int, int], None] | None = None,
) -> Baseline:
    """Measure the errors at t = 0 of a network under every corruption and severity.

    Args:
        model: The network.
        suite: Corruptions of pixels.
        source: The images.
        seed: Seed of the corruptions, as in a run.
        batch_size: Images in one pass.
        report: Called after each condition with (done, all).

    Raises:
        UsageError: The suite is applied to the network's input.
        DataError: The network makes no error under a corruption, so that a corruption error would be divided by zero.
    """
    if suite.applied_to != "pixels":
        raise UsageError(f"{suite.name} changes the network's input, not images, so it does not have a baseline")
    conditions = [(corruption, severity) for corruption in suite.corruptions for severity in corruption.severities]
    rates: dict[str, list[float]] = {}
    for done, (corruption, severity) in enumerate(conditions):
        wrong = _wrong(model, source, batch_size, (corruption, severity, seed))
        rates.setdefault(corruption.name, []).append(wrong / len(source))
        if report is not None:
            report(done + 1, len(conditions))
    faultless = [name for name, row in rates.items() if not any(row)]
    if faultless:
        raise DataError(
            f"{model.name} makes no error under {', '.join(faultless)}: corruption errors would be divided by zero; "
            "make these corruptions stronger or take a weaker baseline"
        )
    clean = _wrong(model, source, batch_size, None) / len(source)
    return Baseline(
        name=model.name,
        source=_source(suite, model, source, seed),
        clean_error=clean,
        errors={name: tuple(row) for name, row in rates.items()},
    )


def _wrong(
    model: Model, source: ImageSource, batch_size: int, change: tuple[CorruptionDefinition, int, int] | None
) -> int:
    wrong = 0
    for batch in source.batches(batch_size):
        images = batch.images
        if change is not None:
            corruption, severity, seed = change
            images = corrupt(images, corruption, severity, seed=seed, ids=batch.ids)
        with torch.no_grad():
            logits = model.answer(images.to(model.device).float() / 255, 0)[0]
        wrong += int((logits.argmax(1).cpu() != batch.labels).sum())
    return wrong


def baseline_text(measured: Baseline) -> str:
    """Return the file of a baseline that was measured."""
    lines = [
        f"name = {json.dumps(measured.name)}",
        f"source = {json.dumps(measured.source, ensure_ascii=False)}",
        f"clean_error = {round(measured.clean_error or 0.0, _DECIMALS)!r}",
        "",
        "[errors]",
    ]
    lines += [
        f"{corruption} = [{', '.join(repr(round(error, _DECIMALS)) for error in errors or ())}]"
        for corruption, errors in measured.errors.items()
    ]
    return "\n".join(lines) + "\n"


def write_baseline(
    suite_name: str,
    model: str,
    data: str | None = None,
    *,
    out: Path | None = None,
    report: Callable[[int, int], None] | None = None,
) -> Path:
    """Measure a network under a suite and write the suite's `baseline.toml`.

    Args:
        suite_name: A suite of corruptions, by name or folder.
        model: A model's name.
        data: A data source; None means the model's own. Its test split is used.
        out: The file; None means `baseline.toml` in the suite's folder.
        report: Called after each condition with (done, all).

    Returns:
        The file.

    Raises:
        UsageError, DataError, WeightsError: The request cannot be measured, or the file cannot be written there.
        WriteError: The file could not be written.
    """
    kind, folder = suite_folder(suite_name)
    if kind != "corruptions":
        raise UsageError(f"{suite_name} is a suite of attacks; only corruptions have a baseline")
    suite = load_corruption_suite(folder)
    loaded = load(model, timesteps=0)
    wanted = data or loaded.default_data
    if wanted is None:
        raise UsageError(f"{model}: give the images to measure on with `data`")
    source = open_source(wanted, preprocessing=loaded.preprocessing)
    source = check(source, classes=loaded.classes, class_names=loaded.class_names)
    path = out or folder / BASELINE
    try_folder(path.parent, "give another with `out`")
    return write(path, baseline_text(measure_baseline(loaded, suite, source, report=report)))


def _source(suite: CorruptionSuite, model: Model, source: ImageSource, seed: int) -> str:
    found, described = versions(), model.description
    part = "backbone" if "backbone_sha256" in described else "weights"
    kept = ", ".join(f"{name} {found[name]}" for name in ("pcbench", "torch", "numpy") if name in found)
    return (
        f"Top-1 errors of {model.name} ({part} sha256 {str(described[f'{part}_sha256'])[:16]}) on the "
        f"{len(source)} images of {source.name} under {suite.name} version {suite.version}, seed {seed}, measured by: "
        f"pcbench baseline --suite {suite.name} --model {model.name} ({kept})"
    )
