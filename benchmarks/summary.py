"""How long a whole ImageNet-C run takes to summarise: 50,000 images x (75 conditions + clean) x 11 timesteps.

    uv run python benchmarks/summary.py [--images 50000] [--timesteps 11]

Made-up outcomes, 41 million rows by default, are written as a run would (one Parquet file per condition), and then
summarised with all intervals in a process of its own. Prints rows, seconds and peak memory; the goal is a minute and
4 GB on two cores.
"""

from __future__ import annotations

import argparse
import itertools
import multiprocessing
import resource
import tempfile
import time
from pathlib import Path

import numpy as np

from pcbench.metrics.corruption import THE_FIFTEEN
from pcbench.metrics.summary import summarise_folder
from pcbench.results.conditions import Condition
from pcbench.results.schema import outcome_table, write_outcomes


class ConstantBaseline:
    """A baseline that errs the same under every corruption; its values do not change the time."""

    name = "constant"
    clean_error = 0.4
    errors = dict.fromkeys(THE_FIFTEEN, (0.6, 0.7, 0.8, 0.9, 0.95))

    def mean_error(self, corruption: str) -> float:
        """Return the mean over the severities."""
        return float(np.mean(self.errors[corruption]))


def write_run(folder: Path, images: int, timesteps: int) -> int:
    """Write made-up outcomes, one file per condition, and return how many rows there are."""
    generator = np.random.default_rng(0)
    ease = generator.normal(size=images)
    probabilities = generator.uniform(0.1, 1, images).astype(np.float32)
    ids = np.tile([f"ILSVRC2012_val_{index:08}.JPEG" for index in range(images)], timesteps)
    conditions = [Condition("imagenet-c", "clean", "clean")]
    for name, severity in itertools.product(THE_FIFTEEN, range(1, 6)):
        conditions.append(Condition("imagenet-c", "corruption", name, severity=severity))
    for number, condition in enumerate(conditions):
        hardness = 0.4 * (condition.severity or 0) - 1 - 0.02 * np.arange(timesteps)[:, None]
        correct = ease + 0.5 * generator.normal(size=(timesteps, images)) > hardness
        columns = {
            "image_id": ids,
            "label": np.zeros(ids.size, dtype=np.int32),
            "timestep": np.repeat(np.arange(timesteps), images),
            "prediction": np.zeros(ids.size, dtype=np.int32),
            "correct": correct.ravel(),
            "confidence": np.tile(probabilities, timesteps),
            "true_label_probability": np.where(correct.ravel(), 1.0, 0.1).astype(np.float32),
        }
        write_outcomes(outcome_table(condition, columns), folder / f"{number:03}.parquet")
    return len(conditions) * ids.size


def summarise_alone(folder: Path, answers: multiprocessing.Queue[tuple[int, float, float, float]]) -> None:
    """Summarise, and tell the number of metrics, seconds, CPU seconds and this process's peak memory in GB."""
    start = time.perf_counter()
    table = summarise_folder(folder, model="made-up", baselines={"imagenet-c": ConstantBaseline()})
    seconds = time.perf_counter() - start
    used = resource.getrusage(resource.RUSAGE_SELF)
    answers.put((len(table), seconds, used.ru_utime + used.ru_stime, used.ru_maxrss / 1e6))


def main() -> None:
    """Write, summarise, print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--images", type=int, default=50_000)
    parser.add_argument("--timesteps", type=int, default=11)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        rows = write_run(Path(name), options.images, options.timesteps)
        spawned = multiprocessing.get_context("spawn")
        answers = spawned.Queue()
        process = spawned.Process(target=summarise_alone, args=(Path(name), answers))
        process.start()
        metrics, seconds, processor, memory = answers.get()
        process.join()
    print(f"rows {rows}  metrics {metrics}  peak memory {memory:.2f} GB")
    print(f"seconds {seconds:.1f}  of processors {processor:.1f} (much less than twice the first: others were at work)")


if __name__ == "__main__":
    main()
