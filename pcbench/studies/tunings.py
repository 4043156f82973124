"""What the tunings of a study's arms found, which of them failed, and which ended at the edge of what they tried."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from pcbench import files
from pcbench.errors import DataError, damage_refused
from pcbench.limits.text import read_json
from pcbench.studies.arms import NETWORK
from pcbench.studies.steps import FOUND_LEVELS, TUNED
from pcbench.studies.study_file import StudyFile
from pcbench.studies.suites import far_apart
from pcbench.training.conditions import titled_levels


def tuning_result(out: Path, arm: str, seed: int | None) -> Mapping[str, Any]:
    """Return what the record of an arm's tuning holds; nothing of an arm that is not tuned.

    Raises:
        DataError: The record is damaged.
    """
    path = out / TUNED / f"{arm}-seed-{seed}.tuning.json"
    return read_json(path)["result"] if files.is_file(path) else {}


def found_for_all(path: Path) -> tuple[float, ...]:
    """Return the levels of noise that were found once, for all arms and seeds of a study.

    Raises:
        DataError: The file is missing or damaged.
    """
    with damage_refused(path, "holds no levels of noise", "delete it, and the study finds them again", kind=DataError):
        return tuple(float(level) for level in read_json(path)["noise"])


def levels_of_result(result: Mapping[str, Any]) -> tuple[float, ...]:
    """Return the levels of noise that an arm was tuned for, by `tuning_result`; none for another objective."""
    return titled_levels(result.get("conditions", ()))


def tuned_levels(study: StudyFile, out: Path) -> tuple[float, ...]:
    """Return the levels of noise that the arms of a study are tuned for; none as long as nothing tells."""
    if study.table.tuning.objective != "noise":
        return ()
    if study.table.tuning.noise is not None:
        return study.table.tuning.noise
    if files.is_file(out / FOUND_LEVELS):
        return found_for_all(out / FOUND_LEVELS)
    return levels_of_result(tuning_result(out, NETWORK, study.table.training_seeds[0]))


def apart_words(suite: str, tuned: Sequence[float], measured: Sequence[float]) -> str:
    """Return, in a sentence, that a suite has quite other levels of noise than arms were tuned for; else nothing."""
    if not far_apart(tuned, measured):
        return ""
    return f"Arms were tuned for noise of {level_words(tuned)}; {suite} has noise of {level_words(measured)}."


def level_words(levels: Sequence[float]) -> str:
    """Return levels of noise as tables have them."""
    return ", ".join(f"{level:g}" for level in levels)


def tuning_words(out: Path, arms: Sequence[str], seeds: Sequence[int | None]) -> str:
    """Return what limits the tunings of some arms, in sentences; nothing where nothing does.

    It is said where a tuning did not reach the feedforward point, and where the blur that was chosen is the widest or
    the narrowest of its list, so that its best width may lie outside.
    """
    results = {arm: [tuning_result(out, arm, seed) for seed in seeds] for arm in arms}
    failed = _counted({arm: [bool(one.get("failed")) for one in found] for arm, found in results.items()})
    said = [f"Tunings that failed: {failed}; the feedforward point stands for them."] if failed else []
    for end, beyond in (("widest", "wider"), ("narrowest", "narrower")):
        at_end = _counted({arm: [_end_of_list(one) == end for one in found] for arm, found in results.items()})
        said += [f"The {end} blur of the list was chosen: {at_end}; a {beyond} one may do better."] if at_end else []
    return " ".join(said)


def other_images_words(out: Path, arms: Sequence[str], seeds: Sequence[int]) -> str:
    """Return which arms were tuned on other images than the network, in a sentence; nothing where none is known to be.

    The images that an arm's predictors were fitted on are left out of its tuning, and random predictors and a blur are
    fitted on none. The tunings of blurs of earlier versions do not tell their images.
    """
    other: dict[str, list[bool]] = {}
    for seed in seeds:
        own = tuning_result(out, NETWORK, seed).get("image_hashes")
        for arm in arms:
            found = tuning_result(out, arm, seed).get("image_hashes")
            if own and found:
                other.setdefault(arm, []).append(set(found) != set(own))
    counted = _counted(other)
    return (
        f"Tuned on other images of the same source than the network, and on as many: {counted}. The images that an "
        "arm's predictors were fitted on are left out of its tuning, and these arms were fitted on none or on others."
        if counted
        else ""
    )


def _counted(true: Mapping[str, Sequence[bool]]) -> str:
    return ", ".join(
        f"{arm} in {sum(found)} of {len(found)} training seeds" for arm, found in true.items() if any(found)
    )


def _end_of_list(result: Mapping[str, Any]) -> str:
    """Return at which end of its list of widths the blur of a tuning is; nothing inside it, or for another arm."""
    widths = [one["width"] for one in result.get("curve", ())]
    if not widths or min(widths) < result["width"] < max(widths):
        return ""
    return "widest" if result["width"] == max(widths) else "narrowest"
