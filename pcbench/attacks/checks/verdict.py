"""All evidence about one model's timesteps, and the verdict on each: `consistent` or `suspicious`.

After Athalye, Carlini and Wagner, Obfuscated gradients give a false sense of security, ICML 2018 (arXiv:1802.00420),
section 3.1, and Carlini et al., On evaluating adversarial robustness, 2019 (arXiv:1902.06705).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from pcbench.attacks.adapters.registry import select
from pcbench.attacks.checks.cheap import SWEEP, TRIALS, cheap_rows
from pcbench.attacks.checks.comparison import SUSPICION_LEVEL, Comparison, compare_rates, significant, too_few_broken
from pcbench.attacks.checks.evidence import Checked, evidence_kinds, gather, judged_attack, shown_attacks
from pcbench.attacks.checks.gradients import BUDGET_METRICS, METRICS, GradientEvidence, pooled_gradients
from pcbench.attacks.checks.plain_pgd import cheap_subject
from pcbench.attacks.checks.rivals import RANDOM_TRIALS, SQUARE_QUERIES, attack_timestep
from pcbench.attacks.checks.rows import Numbers, is_true
from pcbench.attacks.checks.transfer import TransferMatrix, transfer_matrix
from pcbench.attacks.definitions import AttackDefinition
from pcbench.attacks.eval_batch import EvalBatch
from pcbench.attacks.sweep import DEFAULT_BATCH_SIZE
from pcbench.errors import DataError, UsageError
from pcbench.metrics.shown import telling_epsilon
from pcbench.norms import Norm, NormName
from pcbench.percent import percent

#: A larger share of images without any gradient is a sign.
MOST_ZERO = 0.05
#: A smaller correlation between gradients and finite differences is a sign.
LEAST_AGREEMENT = 0.9
#: Gradients more than this many times as large, or as small, as finite differences are a sign: a hook clips them, say.
MOST_SIZE = 2.0
#: The least correlation for changes of the budget's size, which curvature makes smaller on sound networks too.
LEAST_BUDGET_AGREEMENT = 0.8
#: Where the agreement at a point is smaller, kinks stand at the images themselves (pixels are pooled, say), ...
SMOOTH_AGREEMENT = 0.99
#: ... and more of them lie within the budget, so that less is asked of changes of its size.
LEAST_KINKED_AGREEMENT = 0.5
#: An attack that breaks more than this share needs no agreement at the budget's scale: its gradients lead somewhere.
MOST_BROKEN = 0.9
#: In a ball that holds every image (or half of the way to it, under L2) at most this share may withstand the attack.
ALLOWED_STANDING = 0.02

Judgement = Literal["consistent", "suspicious"]
ALL_METRICS = (*METRICS, *BUDGET_METRICS)
WIDEST = "success at the widest epsilon"
SMOOTHED = "the same attack with gradients averaged over noise"
Form = Literal["cheap", "full"]


@dataclass(frozen=True)
class TimestepChecks:
    """The evidence on one timestep."""

    timestep: int
    """The timestep t."""
    verdict: Judgement
    """``"suspicious"`` where there is a reason."""
    reasons: tuple[str, ...]
    """One sentence for each sign that was found."""
    form: Form
    """``"full"``, or ``"cheap"``: fewer images, fewer rivals, and the suite's own sweep instead of an attack at exactly
    the budget."""
    attack: str
    """The attack that was judged."""
    norm: NormName
    """The norm of all budgets."""
    epsilon: float
    """The budget it was judged at, the same for all timesteps."""
    gradients: GradientEvidence
    """Whether gradients exist, are finite, not zero, and agree with finite differences."""
    comparisons: tuple[Comparison, ...]
    """The judged attack against its rivals."""
    shown: tuple[Comparison, ...]
    """Further comparisons that are not judged: one-step attacks; the gradient that holds the error terms constant,
    whose `judged_rate` minus `rival_rate` is the robustness that it would have claimed."""
    transfer: tuple[dict[str, float | int | str | None], ...]
    """How often images made against this timestep succeed at each timestep; empty in the cheap form."""


def judge(
    rows: pd.DataFrame,
    definitions: Sequence[AttackDefinition],
    *,
    epsilon: float,
    timesteps: Sequence[int],
    widest: float,
) -> list[TimestepChecks]:
    """Judge every timestep by the evidence that was gathered about it; no model is asked.

    Args:
        rows: All rows of `gather` about one suite, in any order: every kind, timestep and batch. Or all of the cheap
            form, `gather_cheap`, with those that say what the sweep's images broke at other timesteps.
        definitions: The suite's attacks.
        epsilon: The budget that the evidence was gathered at.
        timesteps: The timesteps checked, ascending.
        widest: The budget of the kind ``"widest"``, from `Norm.widest`.

    Returns:
        One entry per timestep, in order.

    Raises:
        UsageError: There is no attack to judge, or no image is right at some timestep.
        DataError: Evidence is missing, or there twice.
    """
    numbers = Numbers(rows)
    if numbers.has(SWEEP):
        judged = cheap_subject(definitions).judged
        return [_CheapEvidence(numbers, judged, timestep, (epsilon, widest)).judge(timesteps) for timestep in timesteps]
    matrix = transfer_matrix(numbers, judged_attack(definitions), epsilon, timesteps)
    return [_Evidence(numbers, definitions, matrix, timestep, widest).judge() for timestep in timesteps]


def run_checks(
    model: Checked,
    eval_batch: EvalBatch,
    definitions: Sequence[AttackDefinition],
    *,
    timesteps: Sequence[int],
    batch_size: int | None = None,
    form: Form = "full",
) -> list[TimestepChecks]:
    """Gather the evidence on every timestep and judge it, in one go.

    Args:
        model: The model.
        eval_batch: The images, at least a few dozen; each comparison is over those right at the timesteps compared.
        definitions: A suite's attacks; the strongest iterative one is judged, one-step ones are shown.
        timesteps: The timesteps to check, ascending.
        batch_size: Images in one pass (default 128).
        form: ``"cheap"`` looks at fewer images and rivals. What a sweep's images break at other timesteps is not part
            of it here: a run finds it while it attacks.

    Returns:
        One entry per timestep, in order.

    Raises:
        UsageError: There is no attack to judge, or the model is wrong on all images at some timestep.
    """
    judged, size = judged_attack(definitions), batch_size or DEFAULT_BATCH_SIZE
    sweeps = {
        timestep: attack_timestep(model.at(timestep), eval_batch, judged, select(judged), batch_size=size)
        for timestep in timesteps
    }
    broken = {timestep: outcome.success_within[:, outcome.eligible] for timestep, outcome in sweeps.items()}
    for timestep, within in broken.items():
        if not within.shape[1]:
            raise _nothing_right(timestep)
    rates = np.array([within.mean(axis=1) for within in broken.values()])
    epsilon = telling_epsilon(sweeps[timesteps[0]].epsilons, rates)
    if form == "cheap":
        rows = [
            row
            for timestep in timesteps
            for row in cheap_rows(
                model.at(timestep), eval_batch, sweeps[timestep], judged, timestep=timestep, epsilon=epsilon
            )
        ]
    else:
        rows = [
            row
            for batch in eval_batch.batches(size)
            for timestep in timesteps
            for kind in evidence_kinds(definitions, timestep)
            for row in gather(kind, model, batch, definitions, timestep=timestep, epsilon=epsilon, timesteps=timesteps)
        ]
    widest = judged.ball.widest(eval_batch.images.shape[1:])
    return judge(pd.DataFrame(rows), definitions, epsilon=epsilon, timesteps=timesteps, widest=widest)


def checks_table(checks: Sequence[TimestepChecks]) -> list[dict[str, Any]]:
    """Return the content of `checks.json`: one object per timestep, of plain numbers, texts and lists."""
    return [asdict(one) for one in checks]


def _nothing_right(timestep: int) -> UsageError:
    return UsageError(f"the model is wrong on all images at t = {timestep}: nothing to check")


class _Paired:
    """The numbers about one timestep, by image.

    Args:
        numbers: All evidence.
        timestep: t.
        success: Whether the judged attack broke an image, by id.

    Raises:
        UsageError: No image is right at this timestep.
    """

    def __init__(self, numbers: Numbers, timestep: int, success: Mapping[str, float]) -> None:
        self._numbers, self._timestep, self._success = numbers, timestep, success
        if not success:
            raise _nothing_right(timestep)

    def _gradients(self) -> GradientEvidence:
        """Pool what was seen of the gradients."""
        ids = self._images("gradients", "exists")
        found = {metric: self._numbers.of("gradients", self._timestep, metric) for metric in ALL_METRICS}
        return pooled_gradients(
            {metric: np.array([values[image_id] for image_id in ids]) for metric, values in found.items() if values}
        )

    @property
    def _broken_share(self) -> float:
        return float(np.mean([value == 1 for value in self._success.values()]))

    def _paired(self, kind: str) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
        """Return what the judged attack and a rival break of the same images."""
        # An image near the decision boundary may count as right in one unit and not in another, on other hardware.
        ids = [image_id for image_id in self._images(kind, "broken") if image_id in self._success]
        rival = self._numbers.of(kind, self._timestep, "broken")
        return is_true(self._success, ids), is_true(rival, ids)

    def _images(self, kind: str, metric: str) -> tuple[str, ...]:
        ids = tuple(self._numbers.of(kind, self._timestep, metric))
        if not ids:
            raise DataError(f"the evidence {kind!r} at t = {self._timestep} is missing; gather it")
        return ids


class _CheapEvidence(_Paired):
    """The evidence of the cheap form on one timestep.

    Args:
        numbers: All evidence.
        judged: The judged attack.
        timestep: t.
        budgets: The budget that the attack is judged at, and the widest.
    """

    def __init__(self, numbers: Numbers, judged: AttackDefinition, timestep: int, budgets: tuple[float, float]) -> None:
        super().__init__(numbers, timestep, numbers.of(SWEEP, timestep, "success"))
        self._judged, (self._epsilon, self._widest) = judged, budgets

    def judge(self, timesteps: Sequence[int]) -> TimestepChecks:
        """Join the evidence, and name the signs in it; images made at the other timesteps are among it."""
        gradients, comparisons = self._gradients(), tuple(self._comparisons(timesteps))
        # Where nothing breaks an image, not even noise as wide as the range of pixels, there is nothing to predict.
        constant = not self._numbers.of("widest", self._timestep, "broken")
        signs = _gradient_signs(gradients, 1.0 if constant else self._broken_share)
        reasons = (*signs, *_signs(comparisons, self._judged.ball))
        return TimestepChecks(
            timestep=self._timestep,
            verdict="suspicious" if reasons else "consistent",
            reasons=reasons,
            form="cheap",
            attack=self._judged.name,
            norm=self._judged.norm,
            epsilon=self._epsilon,
            gradients=gradients,
            comparisons=comparisons,
            shown=(),
            transfer=(),
        )

    def _comparisons(self, timesteps: Sequence[int]) -> Iterator[Comparison]:
        signs = {"random_noise": f"random noise, {TRIALS} trials", "smoothed": SMOOTHED}
        for kind, sign in signs.items():
            # None of the images was left to the rival, or there is no gradient to follow.
            if self._numbers.of(kind, self._timestep, "broken"):
                yield compare_rates(sign, self._epsilon, *self._paired(kind))
        if self._numbers.of("widest", self._timestep, "broken"):
            broken = self._paired("widest")[1]
            yield too_few_broken(WIDEST, self._widest, broken, ALLOWED_STANDING)
        for made in timesteps:
            transferred = self._numbers.of(SWEEP, made, "broken", self._timestep)
            ids = [image_id for image_id in self._success if image_id in transferred]
            if made != self._timestep and ids:
                yield compare_rates(
                    f"transfer from t = {made}", self._epsilon, is_true(self._success, ids), is_true(transferred, ids)
                )


class _Evidence(_Paired):
    """The evidence of the full form on one timestep.

    Args:
        numbers: All evidence.
        definitions: The suite's attacks.
        matrix: How images carry over from timestep to timestep.
        timestep: t.
        widest: The budget of the kind ``"widest"``.

    Raises:
        UsageError: No image is right at this timestep.
    """

    def __init__(
        self,
        numbers: Numbers,
        definitions: Sequence[AttackDefinition],
        matrix: TransferMatrix,
        timestep: int,
        widest: float,
    ) -> None:
        super().__init__(numbers, timestep, numbers.of("transfer", timestep, "success"))
        self._definitions, self._matrix, self._widest = definitions, matrix, widest

    def judge(self) -> TimestepChecks:
        """Join the evidence, and name the signs in it."""
        gradients, comparisons = self._gradients(), tuple(self._comparisons())
        signs = _gradient_signs(gradients, self._broken_share)
        reasons = (*signs, *_signs(comparisons, judged_attack(self._definitions).ball))
        return TimestepChecks(
            timestep=self._timestep,
            verdict="suspicious" if reasons else "consistent",
            reasons=reasons,
            form="full",
            attack=self._matrix.attack,
            norm=self._matrix.norm,
            epsilon=self._matrix.epsilon,
            gradients=gradients,
            comparisons=comparisons,
            shown=tuple(self._shown()),
            transfer=tuple(row for row in self._matrix.rows() if row["attacked_timestep"] == self._timestep),
        )

    def _comparisons(self) -> Iterator[Comparison]:
        """Yield what is judged: the attack against its rivals, and against images made at other timesteps."""
        epsilon = self._matrix.epsilon
        yield compare_rates(f"random search with {RANDOM_TRIALS} trials", epsilon, *self._paired("random_search"))
        yield compare_rates(f"Square with {SQUARE_QUERIES} queries", epsilon, *self._paired("square"))
        # Evidence of former versions looked at no scale but a point's.
        if self._numbers.of("gradients", self._timestep, BUDGET_METRICS[0]):
            yield compare_rates(SMOOTHED, epsilon, *self._paired("smoothed"))
        success, more = self._paired("more_steps")
        # Here the rival is the weaker attack: it should not break what twice the steps cannot.
        yield compare_rates("the same attack with half the steps", epsilon, more, success)
        broken = self._paired("widest")[1]
        yield too_few_broken(WIDEST, self._widest, broken, ALLOWED_STANDING)
        yield from self._transfers()

    def _shown(self) -> Iterator[Comparison]:
        """Yield what is shown and not judged."""
        for kind, definition in shown_attacks(self._definitions).items():
            yield compare_rates(definition.title, self._matrix.epsilon, *self._paired(kind))
        if "stop_error" in evidence_kinds(self._definitions, self._timestep):
            paired = self._paired("stop_error")
            yield compare_rates("the gradient that holds the error terms constant", self._matrix.epsilon, *paired)

    def _transfers(self) -> Iterator[Comparison]:
        matrix, index = self._matrix, self._matrix.timesteps.index(self._timestep)
        for other, made in enumerate(matrix.timesteps):
            if other != index:
                both = matrix.correct[other] & matrix.correct[index]
                direct, transferred = matrix.broken[[index, other], index][:, both]
                yield compare_rates(f"transfer from t = {made}", matrix.epsilon, direct, transferred)


def _gradient_signs(evidence: GradientEvidence, broken: float) -> Iterator[str]:
    """Yield the signs in what was seen of gradients; `broken` is the share that the judged attack broke."""
    if not evidence.exist:
        yield "the logits give no gradient with respect to the image"
        return
    if evidence.finite_share < 1:
        yield f"the gradient is not finite at {percent(1 - evidence.finite_share)} % of {evidence.n} images"
    if evidence.zero_share > MOST_ZERO:
        most = f"at most {percent(MOST_ZERO, 0)} %"
        yield f"the gradient is zero at {percent(evidence.zero_share)} % of {evidence.n} images ({most})"
    if evidence.agreement is None or evidence.agreement < LEAST_AGREEMENT:
        found = "undefined" if evidence.agreement is None else f"{evidence.agreement:.2f}"
        yield f"gradients agree with finite differences only to a correlation of {found} (at least {LEAST_AGREEMENT})"
    elif evidence.size is not None and not 1 / MOST_SIZE <= evidence.size <= MOST_SIZE:
        most = f"at most {MOST_SIZE:g} times apart"
        yield f"gradients are {evidence.size:.2g} times as large as finite differences ({most})"
    elif evidence.budget_agreement is not None and broken <= MOST_BROKEN:
        least = LEAST_BUDGET_AGREEMENT if evidence.agreement >= SMOOTH_AGREEMENT else LEAST_KINKED_AGREEMENT
        if evidence.budget_agreement < least:
            found = f"a correlation of {evidence.budget_agreement:.2f} (at least {least})"
            yield f"gradients predict changes of the budget's size only to {found}"


def _signs(comparisons: Sequence[Comparison], norm: Norm) -> Iterator[str]:
    for found in significant(comparisons, SUSPICION_LEVEL):
        rates = f"{percent(found.rival_rate)} % against {percent(found.judged_rate)} % of {found.n} images"
        yield f"{found.sign}, ε = {norm.text(found.epsilon)}: {rates} (p = {found.p_value:.2g})"
