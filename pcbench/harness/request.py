"""What a user asks for: the one list of a run's options, shared by the command line and by Python."""

from __future__ import annotations

import dataclasses
import re
from pathlib import Path
from typing import Any, Literal

from pcbench.errors import UnknownNameError, UsageError

GRADIENTS = ("exact", "stop_error")
_LEAST = {"images": 1, "timesteps": 0, "seed": 0, "batch_size": 1, "workers": 1, "threads": 1, "block_size": 1}
BACKENDS = ("fast", "reference")


@dataclasses.dataclass(frozen=True)
class Request:
    """The options of a run.

    Attributes:
        model: A zoo name, ``"module:function"``, or a `torch.nn.Module`.
        suites: Suite names, or folders of the user's own; none means the suites of the model's own data set.
        data: A data source (``"digits"``, ``"imagenet:PATH"``, …) or an object with images and labels; none means
            the model's own data set.
        images: Run every suite on this many images, chosen by a fixed permutation; none means all (or as many as
            the suite states).
        leave_out: How many images of the data `pcbench tune` took to choose hyperparameters, and its seed:
            ``"1000"`` or ``"1000:3"``. The rest is measured, and called a subset.
        timesteps: T, the number of updates; none means the model's own.
        seed: Seed of all randomness.
        batch_size: Images in one pass; none means 128 up to 64 px, else 32.
        out: The run's folder; none means ``results/runs/<model>-<suites>-<key>``.
        again: Compute anew even where a finished run of the same key lies.
        device: ``"cpu"``, ``"cuda"``, ``"cuda:1"``; ``"auto"`` takes a GPU where there is one.
        precision: ``"float32"``, ``"tf32"`` or ``"bfloat16"``.
        compiled: Send the network through `torch.compile`.
        recompute: Build the graphs of attacks one timestep at a time: less memory, more time.
        backbone_weights: Safetensors file of the backbone.
        weights: Safetensors file of the predictors.
        random_predictors: Seed for untrained predictors: the null control, marked in the results.
        ablation: ``"no-feedback"`` (λ = 0) or ``"no-error"`` (α = 0).
        gradient: ``"exact"`` or ``"stop_error"``: how attacks differentiate the error term.
        plain_sweep: Attack every image at every epsilon, and report the success at exactly epsilon.
        bracketing: Skip budgets far out of an iterative attack's reach, and spot-check a tenth of them.
        epsilons: Epsilons in [0,1] pixel units in place of the suite's.
        checks: Collect the evidence that the attacks' gradients are sound; None does so where a suite of attacks is
            run on all images of the data, as results are that are to be published.
        save_adversarials: Keep the adversarial images, lossless.
        adversarials: Folder of a run that kept its adversarial images: they are scored, in place of suites and data.
        backend: ``"fast"`` or ``"reference"`` corruptions.
        corrupted: Folder of published corrupted files, read in place of corrupting.
        jpeg_quality: Recompress on-the-fly images at this JPEG quality, as the published files were (85).
        workers: How many processes share the work; one works in this process.
        threads: CPU threads of each worker; they can change the last bits of a number, so they are in the key.
        block_size: Images in one unit of work, a multiple of the batch size; none means the smallest one of at least
            512.
        mixed_machines: Go on with work that another kind of CPU or GPU has begun.
        allow_missing: Finish without the units that cannot be computed; tables say what is missing.
        model_version: What you call this state of a model whose source cannot be read.
        progress: Show progress.
    """

    model: Any = "pdigits"
    suites: tuple[str, ...] = ()
    data: Any = None
    images: int | None = None
    leave_out: str | None = None
    timesteps: int | None = None
    seed: int = 0
    batch_size: int | None = None
    out: Path | str | None = None
    again: bool = False
    device: str = "auto"
    precision: str = "float32"
    compiled: bool = False
    recompute: bool = False
    backbone_weights: Path | str | None = None
    weights: Path | str | None = None
    random_predictors: int | None = None
    ablation: str | None = None
    gradient: Literal["exact", "stop_error"] = "exact"
    plain_sweep: bool = False
    bracketing: bool = True
    epsilons: tuple[float, ...] | None = None
    checks: bool | None = None
    save_adversarials: bool = False
    adversarials: Path | str | None = None
    backend: Literal["fast", "reference"] = "fast"
    corrupted: Path | str | None = None
    jpeg_quality: int | None = None
    workers: int = 1
    threads: int = 2
    block_size: int | None = None
    mixed_machines: bool = False
    allow_missing: bool = False
    model_version: str | None = None
    progress: bool = True

    def __post_init__(self) -> None:
        """Refuse values that no run can have.

        Raises:
            UsageError: A number is out of its range, or a word is none of those known.
        """
        for name, least in _LEAST.items():
            value = getattr(self, name)
            if value is not None and (isinstance(value, bool) or not isinstance(value, int) or value < least):
                raise UsageError(f"{name} is a whole number of at least {least} (got {value!r})")
        for name, known in (("gradient", GRADIENTS), ("backend", BACKENDS)):
            if getattr(self, name) not in known:
                raise UnknownNameError(name, str(getattr(self, name)), known)
        for epsilon in self.epsilons or ():
            if not 0 <= epsilon <= 1:
                raise UsageError(f"an epsilon lies between 0 and 1, in units of the pixel range (got {epsilon!r})")
        if self.leave_out is not None and not re.fullmatch(r"[1-9]\d*(:\d+)?", self.leave_out):
            raise UsageError(
                f"leave_out is a number of images, or that and tune's seed: 1000:0 (got {self.leave_out!r})"
            )
        if self.block_size is not None and self.batch_size is not None and self.block_size % self.batch_size:
            raise UsageError(
                f"block_size is a multiple of batch_size, so that batches fit in (got {self.block_size} and "
                f"{self.batch_size})"
            )
        if self.jpeg_quality is not None and not 1 <= self.jpeg_quality <= 100:
            raise UsageError(f"jpeg_quality lies between 1 and 100 (got {self.jpeg_quality!r})")


def request_from(options: dict[str, Any]) -> Request:
    """Make a request from keyword arguments.

    Raises:
        UnknownNameError: An argument is no option of a run; the message suggests the nearest one.
    """
    known = {field.name for field in dataclasses.fields(Request)}
    for name in options:
        if name not in known:
            raise UnknownNameError("option of a run called", name, known)
    return Request(**options)
