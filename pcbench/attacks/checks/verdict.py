"""All evidence about one model's timesteps, and the verdict on each: `consistent` or `suspicious`.

After Athalye, Carlini and Wagner, Obfuscated gradients give a false sense of security, ICML 2018 (arXiv:1802.00420),
section 3.1, and Carlini et al., On evaluating adversarial robustness, 2019 (arXiv:1902.06705).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal, Protocol

import numpy as np
from numpy.typing import NDArray
from torch import Tensor, nn

from pcbench.attacks.adapters.registry import is_descent, select
from pcbench.attacks.checks.comparison import Comparison, compare, holm, too_few_broken
from pcbench.attacks.checks.gradients import GradientEvidence, gradient_evidence
from pcbench.attacks.checks.rivals import (
    RANDOM_TRIALS,
    SQUARE_QUERIES,
    Victims,
    broken_at,
    broken_by_random_search,
    run,
    square,
    with_more_steps,
)
from pcbench.attacks.checks.transfer import TransferMatrix, transfer_matrix
from pcbench.attacks.definitions import AttackDefinition
from pcbench.attacks.sweep import Sweep
from pcbench.errors import UsageError
from pcbench.network.unrolling import Gradient

#: The chance that a sound timestep is called suspicious by its comparisons, if its attacks were equally strong.
LEVEL = 0.01
#: A larger share of images without any gradient is a sign.
MOST_ZERO = 0.05
#: A smaller correlation between gradients and finite differences is a sign.
LEAST_AGREEMENT = 0.9
#: In a ball that holds every image (or half of the way to it, under L2) no more than this share may stand.
ALLOWED_STANDING = 0.02

Verdict = Literal["consistent", "suspicious"]


class Checked(Protocol):
    """What is checked; a `pcbench.models.Subject` is one."""

    def at(self, timestep: int, gradient: Gradient = "exact") -> nn.Module:
        """Return the classifier of one timestep."""
        ...

    def logits(self, images: Tensor, timesteps: int | None = None, gradient: Gradient = "exact") -> Tensor:
        """Return the logits of all timesteps, (T+1, batch, classes)."""
        ...


@dataclass(frozen=True)
class TimestepChecks:
    """The evidence on one timestep.

    Attributes:
        timestep: t.
        verdict: ``"suspicious"`` where there is a reason.
        reasons: One sentence for each sign that was found.
        attack: The attack that was judged.
        epsilon: The budget it was judged at, the same for all timesteps.
        gradients: Whether gradients exist, are finite, not zero, and agree with finite differences.
        comparisons: The judged attack against its rivals.
        shown: Further comparisons that are not judged: one-step attacks; the gradient that holds the error terms
            constant, whose `judged_rate` less `rival_rate` is the robustness that it would have claimed.
        transfer: How images made against this timestep do at all of them.
    """

    timestep: int
    verdict: Verdict
    reasons: tuple[str, ...]
    attack: str
    epsilon: float
    gradients: GradientEvidence
    comparisons: tuple[Comparison, ...]
    shown: tuple[Comparison, ...]
    transfer: tuple[dict[str, float | int | str | None], ...]


def judged_attack(definitions: Sequence[AttackDefinition]) -> AttackDefinition:
    """Return a suite's strongest iterative white-box attack, by the number of its gradients.

    Raises:
        UsageError: The suite has none.
    """
    able = [one for one in definitions if is_descent(one) and (one.steps or 1) > 1 and not one.targeted]
    able = [one for one in able if one.over_timesteps is None]
    if not able:
        raise UsageError("checks need an untargeted iterative white-box attack in the suite, such as PGD")
    return max(able, key=lambda one: (one.steps or 1) * one.restarts)


def run_checks(
    subject: Checked,
    victims: Victims,
    definitions: Sequence[AttackDefinition],
    *,
    timesteps: Sequence[int],
) -> list[TimestepChecks]:
    """Gather the evidence on every timestep and judge it.

    Args:
        subject: The model.
        victims: The images, at least a few dozen; each comparison is over those right at the timesteps compared.
        definitions: A suite's attacks; the strongest iterative one is judged, one-step ones are shown.
        timesteps: The timesteps to check, ascending.

    Returns:
        One entry a timestep, in order.

    Raises:
        UsageError: There is no attack to judge.
    """
    judged = judged_attack(definitions)
    epsilon = _telling_epsilon(subject, victims, judged, timesteps)
    sweeps = [_judged(subject.at(timestep), victims, judged, epsilon) for timestep in timesteps]
    last = max(timesteps)
    matrix = transfer_matrix(lambda images: subject.logits(images, last), sweeps, timesteps, victims.images.device)
    one_step = [one for one in definitions if is_descent(one) and one.steps == 1 and not one.targeted]
    checks: list[TimestepChecks] = []
    for place in range(len(timesteps)):
        evidence = _Evidence(subject, victims, judged, epsilon, matrix, place, sweeps[place])
        checks.append(evidence.judge(one_step))
    return checks


def checks_table(checks: Sequence[TimestepChecks]) -> list[dict[str, Any]]:
    """Return the content of `checks.json`: one object a timestep, of plain numbers, texts and lists."""
    return [asdict(one) for one in checks]


def _judged(classifier: nn.Module, victims: Victims, definition: AttackDefinition, epsilon: float) -> Sweep:
    return run(classifier, victims, definition, select(definition), epsilons=[epsilon], keep_images=True)


def _telling_epsilon(
    subject: Checked, victims: Victims, definition: AttackDefinition, timesteps: Sequence[int]
) -> float:
    """Return the budget at which the attack breaks nearest to half of the images: there, differences show best."""
    rates: list[NDArray[np.float64]] = []
    for timestep in timesteps:
        outcome = run(subject.at(timestep), victims, definition, select(definition))
        if not outcome.denominator.any():
            raise UsageError(f"the model is wrong on all {len(outcome.ids)} images at t = {timestep}: nothing to check")
        rates.append(outcome.success_within[1:, outcome.denominator].mean(axis=1))
    mean = np.mean(rates, axis=0)
    # Where nothing is ever broken the largest budget tells most, where everything always is the smallest.
    order = np.argsort(np.abs(mean - 0.5), kind="stable")
    best = order[0]
    if (mean < 0.5).all():
        best = len(mean) - 1
    return definition.epsilons[-len(mean) :][int(best)]


@dataclass(frozen=True)
class _Evidence:
    subject: Checked
    victims: Victims
    definition: AttackDefinition
    epsilon: float
    matrix: TransferMatrix
    place: int
    judged: Sweep

    def judge(self, one_step: Sequence[AttackDefinition]) -> TimestepChecks:
        timestep = self.matrix.timesteps[self.place]
        classifier = self.subject.at(timestep)
        right = self.judged.denominator
        attacked = self.victims.some(right)
        gradients = gradient_evidence(
            classifier, attacked.images, attacked.labels, ids=attacked.ids, seed=attacked.seed
        )
        comparisons = (*self._rivals(classifier, attacked), *self._transfers())
        reasons = (*_gradient_signs(gradients), *_signs(comparisons))
        return TimestepChecks(
            timestep=timestep,
            verdict="suspicious" if reasons else "consistent",
            reasons=reasons,
            attack=self.definition.name,
            epsilon=self.epsilon,
            gradients=gradients,
            comparisons=comparisons,
            shown=tuple(self._shown(classifier, attacked, one_step)),
            transfer=tuple(row for row in self.matrix.rows() if row["attacked_timestep"] == timestep),
        )

    def _rivals(self, classifier: nn.Module, attacked: Victims) -> Iterator[Comparison]:
        epsilon, success = self.epsilon, self._success()
        rival = broken_by_random_search(classifier, attacked, self.definition, epsilon)
        yield compare(f"random search with {RANDOM_TRIALS} trials", epsilon, success, rival)
        rival = broken_at(classifier, attacked, square(self.definition), epsilon)
        yield compare(f"Square with {SQUARE_QUERIES} queries", epsilon, success, rival)
        more = broken_at(classifier, attacked, with_more_steps(self.definition), epsilon)
        # Here the rival is the weaker attack: it should not break what twice the steps cannot.
        yield compare("the same attack with half the steps", epsilon, more, success)
        widest = _widest(self.definition, self.victims.images)
        broken = broken_at(classifier, attacked, self.definition, widest)
        yield too_few_broken("success at the widest epsilon", widest, broken, ALLOWED_STANDING)

    def _transfers(self) -> Iterator[Comparison]:
        for other, made in enumerate(self.matrix.timesteps):
            if other == self.place:
                continue
            both = self.matrix.correct[other] & self.matrix.correct[self.place]
            direct, transferred = self.matrix.broken[:, self.place][[self.place, other]][:, both]
            yield compare(f"transfer from t = {made}", self.epsilon, direct, transferred)

    def _shown(
        self, classifier: nn.Module, attacked: Victims, one_step: Sequence[AttackDefinition]
    ) -> Iterator[Comparison]:
        for definition in one_step:
            rival = broken_at(classifier, attacked, definition, self.epsilon)
            yield compare(definition.title, self.epsilon, self._success(), rival)
        timestep = self.matrix.timesteps[self.place]
        if timestep > 0:
            cut = self.subject.at(timestep, "stop_error")
            rival = broken_at(cut, attacked, self.definition, self.epsilon)
            yield compare("the gradient that holds the error terms constant", self.epsilon, self._success(), rival)

    def _success(self) -> NDArray[np.bool_]:
        return self.judged.success[-1][self.judged.denominator]


def _widest(definition: AttackDefinition, images: Tensor) -> float:
    """Return a budget in which any sound attack breaks nearly every image: L∞ 1, or half the diagonal under L2."""
    return 1.0 if definition.norm == "linf" else 0.5 * images[0].numel() ** 0.5


def _gradient_signs(evidence: GradientEvidence) -> Iterator[str]:
    if not evidence.exist:
        yield "the logits give no gradient with respect to the image"
        return
    if evidence.finite_share < 1:
        yield f"the gradient is not finite at {1 - evidence.finite_share:.1%} of {evidence.n} images"
    if evidence.zero_share > MOST_ZERO:
        yield f"the gradient is zero at {evidence.zero_share:.1%} of {evidence.n} images (at most {MOST_ZERO:.0%})"
    if evidence.agreement is None or evidence.agreement < LEAST_AGREEMENT:
        found = "undefined" if evidence.agreement is None else f"{evidence.agreement:.2f}"
        yield f"gradients agree with finite differences only to a correlation of {found} (at least {LEAST_AGREEMENT})"


def _signs(comparisons: Sequence[Comparison]) -> Iterator[str]:
    for found in holm(list(comparisons), LEVEL):
        rates = f"{found.rival_rate:.1%} against {found.judged_rate:.1%} of {found.n} images"
        yield f"{found.sign}, epsilon {found.epsilon:.4g}: {rates} (p = {found.p_value:.2g})"
