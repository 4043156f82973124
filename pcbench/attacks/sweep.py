"""One attack over all its budgets against one classifier, without attacking what is already broken.

An image broken at some epsilon stays broken at every larger one, because its adversarial image lies in the larger ball
too, so it is not attacked there. An image that an iterative attack fails to break by far at some epsilon is not
attacked at much smaller ones, and a tenth of these is attacked anyway, to check that this holds; if it fails once,
all of them are (`bracketing=False` skips none). Images that are wrong from the start are not attacked and count
as errors. `plain=True` attacks every image at every budget.

The attack is not trusted: its images are clipped to the ball and to [0, 1], classified again, and measured.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, TypeAlias, Unpack, cast

import numpy as np
from annotated_types import Ge
from numpy.typing import NDArray
from torch import Tensor, nn
from typing_extensions import TypedDict

from pcbench.attacks.adapters.base import Adapter
from pcbench.attacks.adapters.registry import select
from pcbench.attacks.classify import Judge, check_images, classify, goal_classes, single
from pcbench.attacks.definitions import AttackDefinition
from pcbench.attacks.eval_batch import EvalBatch
from pcbench.attacks.ledger import Ledger
from pcbench.attacks.work import Work
from pcbench.errors import DataError
from pcbench.models.draws import drawing
from pcbench.network.timestep_model import unchecked
from pcbench.norms import NormName, read_epsilons
from pcbench.options import Option, resolved

DEFAULT_BATCH_SIZE = 128

if TYPE_CHECKING:
    Budgets: TypeAlias = Iterable[float | str] | float | str
else:
    Budgets = Sequence[float | str]  # as they are once they are read


class SweepOptions(TypedDict, total=False):
    """What may be changed about a sweep."""

    epsilons: Annotated[Budgets | None, Option("Budgets instead of the definition's.")]
    """Numbers or text such as ``"8/255"``."""
    plain: Annotated[bool, Option("Attack every image at every budget.", default=False)]
    bracketing: Annotated[bool, Option("Skip budgets that are far out of an iterative attack's reach.", default=True)]
    """A tenth of them is spot-checked (`pcbench.attacks.schedule.Bracketing`), which is several times faster where
    networks are robust. An image that breaks at a small budget and stands at a larger one could be missed; False
    attacks every image at every budget up to the one that breaks it."""
    batch_size: Annotated[int, Ge(1), Option("Images attacked at a time.", default=DEFAULT_BATCH_SIZE)]
    library_only: Annotated[bool, Option("Run the library's own code where pcbench has its equal.", default=False)]
    """pcbench's own loop is faster."""
    keep_images: Annotated[bool, Option("Keep the image scored at every budget, in `Sweep.images`.", default=False)]
    on_progress: Annotated[Callable[[int], None] | None, Option("Called as pairs are settled.")]
    """It is called with the number of (image, epsilon) pairs settled since the last call."""


@dataclass(frozen=True)
class Sweep:
    """One attack on one classifier. E budgets, the first of them 0; N images."""

    attack: str
    """The definition's name."""
    norm: NormName
    """The ball's norm."""
    epsilons: tuple[float, ...]
    """Ascending, starting with 0."""
    ids: tuple[str, ...]
    """The images' ids."""
    labels: NDArray[np.int64]
    """(N,), int64."""
    targets: NDArray[np.int64] | None
    """The classes to reach, (N,), int64; None for an untargeted attack."""
    eligible: NDArray[np.bool_]
    """Images over which success is a rate, (N,), bool: correct from the start, or, for a targeted attack, neither at
    their target from the start nor of it."""
    columns: Mapping[str, NDArray[Any]]
    """Arrays (E, N) by the names of columns of outcomes (`pcbench.results.columns` says what each means). What is about
    the scored image is of the adversarial image found at this or the smallest smaller budget, else of the attack's
    failed attempt, else (not attacked) of the clean image. `success` is meaningful where the image was attacked,
    `success_within` where it is eligible."""
    images: Tensor | None
    """The scored images, (E, N, channels, height, width), float32, where asked for."""
    retried: Sweep | None = None
    """A second attempt, by `pcbench.attacks.retry`, at the images that the attack left standing without a gradient to
    follow: their ids alone. `pcbench.attack` makes it."""

    @property
    def prediction(self) -> NDArray[np.int64]:
        """The predicted class of the scored image, (E, N)."""
        return self.columns["prediction"]

    @property
    def correct(self) -> NDArray[np.bool_]:
        """Whether the scored image is classified as its label, (E, N)."""
        return self.columns["correct"]

    @property
    def attacked(self) -> NDArray[np.bool_]:
        """Whether the attack ran on this image at this budget, (E, N)."""
        return self.columns["attacked"]

    @property
    def success(self) -> NDArray[np.bool_]:
        """Whether the goal was reached at exactly this budget, (E, N); meaningful where attacked."""
        return self.columns["success"]

    @property
    def success_within(self) -> NDArray[np.bool_]:
        """Whether the goal was reached at this budget or a smaller one, (E, N); False where not eligible."""
        return self.columns["success_within"]

    @property
    def smallest_broken_epsilon(self) -> NDArray[np.float64]:
        """The first budget at which each image is broken, (N,); NaN where none did it."""
        first = np.asarray(self.epsilons)[self.success_within.argmax(axis=0)]
        return np.where(self.success_within.any(axis=0), first, np.nan)

    @property
    def distance(self) -> NDArray[np.float64]:
        """How far the scored adversarial image lies from the clean one, in the attack's norm, (N,).

        It is the measure of a minimal-norm attack. Infinite where no budget broke the image, so that a median is right
        while fewer than half are; NaN outside the eligible images.
        """
        measured = self.columns[f"perturbation_{self.norm}"][-1].astype(np.float64)
        reached = np.where(self.success_within[-1], measured, np.inf)
        return np.where(self.eligible, reached, np.nan)


def scored_images(outcome: Sweep) -> Tensor:
    """Return the images that a sweep kept, (E, N, channels, height, width).

    Raises:
        DataError: It kept none.
    """
    if outcome.images is None:
        raise DataError("this sweep kept no images; sweep with keep_images=True")
    return outcome.images


def sweep(
    classifier: nn.Module,
    images: Tensor,
    labels: Tensor | NDArray[np.integer],
    definition: AttackDefinition,
    *,
    ids: Iterable[object],
    seed: int,
    **options: Unpack[SweepOptions],
) -> Sweep:
    """Attack images at every budget of a definition.

    Args:
        classifier: Images in [0, 1] -> logits, in evaluation mode; normalisation inside.
        images: (N, channels, height, width), float, in [0, 1], on the classifier's device.
        labels: (N,), whole numbers.
        definition: The attack.
        ids: N ids, each once, compared as texts; with `seed` they determine the random starts.
        seed: The run's seed.
        **options: See `SweepOptions`.

    Returns:
        One outcome for each image and budget, epsilon 0 included.

    Raises:
        DataError: Images outside [0, 1], or labels or ids that do not match them.
        UsageError: Budgets out of range, an attack that the library does not have, a classifier without the labels'
            classes, or without gradients under an attack that needs them.
    """
    options = resolved(SweepOptions, options)
    adapter = select(definition, library_only=options.get("library_only", False))
    eval_batch = EvalBatch.of(images, labels, ids, seed)
    return sweep_batch(eval_batch, definition, adapter, classifier, single(classifier), options)[0]


def sweep_batch(
    eval_batch: EvalBatch,
    definition: AttackDefinition,
    adapter: Adapter,
    classifier: nn.Module,
    judge: Judge,
    options: SweepOptions,
) -> tuple[Sweep, ...]:
    """Do what `sweep` does, with one outcome for each of the timesteps that the judge scores.

    Args:
        eval_batch: The images.
        definition: The attack.
        adapter: The attack, ready to run.
        classifier: What the attack sees: images in [0, 1] -> logits.
        judge: What its images are scored by: logits (S, batch, classes), one slice for each timestep.
        options: See `SweepOptions`.
    """
    images, labels, ids = eval_batch.images, eval_batch.labels, eval_batch.ids
    check_images(images, labels)
    if len(ids) != len(images) or len(set(ids)) != len(ids):
        raise DataError(f"{len(images)} images need as many ids, each once; got {len(set(ids))} different ones")
    chosen = options.get("epsilons")
    epsilons = (
        definition.epsilons
        if chosen is None
        else read_epsilons(cast("Sequence[float | str]", chosen), definition.ball, images.shape[1:])
    )
    batch_size = options.get("batch_size", DEFAULT_BATCH_SIZE)
    with drawing(eval_batch.seed, ids):
        clean = classify(judge, images, labels, batch_size)
    work = Work(
        classifier=unchecked(classifier),
        judge=judge,
        adapter=adapter,
        definition=definition,
        images=images,
        labels=labels,
        classes=goal_classes(labels, definition, clean.classes),
        clean=clean,
        ids=ids,
        seed=eval_batch.seed,
        epsilons=(0.0, *(epsilon for epsilon in epsilons if epsilon > 0)),
        plain=options.get("plain", False),
        bracketing=options.get("bracketing", True) and not options.get("plain", False),
        batch_size=batch_size,
        on_progress=options.get("on_progress"),
    )
    targets = work.classes.cpu().numpy() if definition.targeted else None
    ledger = work.run(keep_images=options.get("keep_images", False))
    return as_sweeps(ledger, (definition.name, definition.norm), work.epsilons, ids, (labels.cpu().numpy(), targets))


def as_sweeps(
    ledger: Ledger,
    attack: tuple[str, NormName],
    epsilons: tuple[float, ...],
    ids: tuple[str, ...],
    classes: tuple[NDArray[np.int64], NDArray[np.int64] | None],
) -> tuple[Sweep, ...]:
    """Return a full ledger as one sweep per timestep; `attack`: name and norm, `classes`: labels and targets."""
    return tuple(
        Sweep(
            attack=attack[0],
            norm=attack[1],
            epsilons=epsilons,
            ids=ids,
            labels=classes[0],
            targets=classes[1],
            eligible=ledger.eligible[timestep],
            columns=ledger.columns(timestep),
            images=None if ledger.images is None else ledger.images[timestep],
        )
        for timestep in range(len(ledger.eligible))
    )
