"""`pcbench tune`: new hyperparameters for a network, and the configuration file that holds them."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace

import torch

from pcbench.arguments import public
from pcbench.errors import DivergenceError, UsageError, damage_refused
from pcbench.files import is_folder
from pcbench.limits.text import read_json
from pcbench.network.update import Hyperparameters
from pcbench.options import resolved
from pcbench.training.conditions import CLEAN
from pcbench.training.descent import Descent, DescentSettings, told_choices
from pcbench.training.found import FAILED, Tried, Tuned, as_table, ranked
from pcbench.training.hyperparameters import LEARNED, check_learned, write_configuration
from pcbench.training.options import TuneOptions, file_of
from pcbench.training.search import proposals, search_method
from pcbench.training.terms import FEEDFORWARD, Term
from pcbench.training.tuning_task import TuningReport, TuningTask, begin_tuning, course_of, terms_of
from pcbench.training.using import command_with_tuned
from pcbench.training.validation import Score, as_condition, evaluate

_LOOKED_AT = 32
"""Images under each condition on which the dynamics are watched for longer."""
logger = logging.getLogger("pcbench")


@public()
def tune_model(options: TuneOptions, report: TuningReport | None = None) -> Tuned:
    """Choose hyperparameters on images of their own, and write a configuration file with them.

    A tuning that was stopped goes on with the same command. A result that is worse than the feedforward point (β = 1,
    λ = α = 0) on these images is a failed tuning: the feedforward point is returned, and said to be so.

    Args:
        options: What to tune, with all their values.
        report: Called with (done, all, best score so far).

    Raises:
        UsageError, DataError, WeightsError: It is not possible as asked for, or files cannot be written there.
        DivergenceError: All that was tried diverged over t, the feedforward point too.
        WriteError: The file could not be written.
    """
    options = resolved(TuneOptions, options)
    _check(options)
    task = begin_tuning(options, report)
    found, before, feedforward = _choose(task)
    best, effects = _best(task, found), dict[str, Score]()
    if best is not None and _is_better(task, best, feedforward) and options["effects"]:
        # What is best without a term is a choice with it too.
        effects, more = _effects(task, best, feedforward)
        best = _best(task, [best, *more])
        found += more
    failed = best is None or _is_better(task, feedforward, best)
    chosen = feedforward if best is None or failed else best
    if chosen.score.diverged:
        raise DivergenceError(
            "even at the feedforward point answers are no finite numbers; check the network's weights"
        )
    unstable = sum(one.score.diverged > 0 for one in found)
    tuned = Tuned(
        chosen.hyperparameters, chosen.score, before.score, len(found) + 1, unstable, _method(task, before, chosen),
        feedforward.score, None if best is None else best.score, failed, effects, _on_clean(task, chosen),
    )  # fmt: skip
    if failed:
        logger.warning("%s: nothing that was tried is better than the feedforward point, which is the result", FAILED)
    _write(task, tuned)
    task.worked("tuned", task.total, None)
    return tuned


def _best(task: TuningTask, found: Sequence[Tried]) -> Tried | None:
    """Return the best that stays within bounds over a longer T too."""
    return next((one for one in ranked(found, task.settings.loss) if _is_stable(task, one)), None)


def _is_better(task: TuningTask, one: Tried, other: Tried) -> bool:
    return one.rank(task.settings.loss) > other.rank(task.settings.loss)


def _on_clean(task: TuningTask, chosen: Tried) -> Score:
    """Return the score on the clean images, which are no part of most objectives."""
    validation = replace(task.validation, conditions=(CLEAN,))
    found = task.course.point(
        "clean images", chosen.hyperparameters, lambda: evaluate(task.network, validation, chosen.hyperparameters)
    )
    return found.score


def _check(options: TuneOptions) -> None:
    """Refuse what is wrong before anything is loaded."""
    if file_of(options).suffix != ".toml":
        raise UsageError(f"{file_of(options)}: the result is a configuration file; let its name end in .toml")
    if is_folder(file_of(options)):
        raise UsageError(f"{file_of(options)}: is a folder; name a file in it with `out`")
    if options["timesteps"] == 0:
        raise UsageError("hyperparameters enter from t = 1 on: give timesteps=1 or more")
    by_gradient = [name for name in ("loss", "learn", "learning_rate") if options[name] is not None]
    if options["method"] == "search" and by_gradient:
        raise UsageError(f"`{by_gradient[0]}` belongs to the gradient: give method='gradient' as well")
    learn = LEARNED if options["learn"] is None else options["learn"]
    check_learned(learn)
    if options["learn"] is not None and options["without"] in learn:
        raise UsageError(f"`learn` names {options['without']}, which `without` keeps at 0; leave one of them out")


def _choose(task: TuningTask) -> tuple[list[Tried], Tried, Tried]:
    """Return all that was tried, the network's own hyperparameters, and the feedforward point."""
    pairs = task.pairs
    points: dict[str, Tried] = {}
    for name, entries in task.starts.items():
        points[name] = task.course.point(f"point {name}", entries, lambda entries=entries: task.score(entries))
        task.worked(f"point {name}", pairs, points[name])
    found = [one for name, one in points.items() if name != "feedforward"]
    if not task.by_gradient:
        starts = [entries for name, entries in task.starts.items() if name != "own"]
        found += _searched(task, "search", starts, task.settings.steps, task.without)
        return found, points["own"], points["feedforward"]
    ends: list[Tried] = []
    for name, entries in task.starts.items():
        tried = _descended(task, f"from {name}", entries, task.settings_of(task.part(task.settings.steps)))
        found += tried
        ends += ranked(tried, task.settings.loss)[:1]
    for best in ranked([*ends, points["own"]], task.settings.loss)[:1]:
        steps = task.settings.steps
        settings = task.settings_of(steps, every=task.part(steps))
        found += _descended(task, "from the best start", best.hyperparameters, settings)
    return found, points["own"], points["feedforward"]


def _descended(
    task: TuningTask, stage: str, start: Sequence[Hyperparameters], settings: DescentSettings
) -> list[Tried]:
    descent = Descent(task.network, task.validation, task.inputs, start, settings)

    def watch(number: int, one: Tried | None) -> None:
        amount = task.step_work + (0 if one is None else task.pairs)
        task.worked(f"{stage}, step {number} of {settings.steps}", amount, one)

    return task.course.descent(stage, descent, watch)


def _is_stable(task: TuningTask, one: Tried) -> bool:
    """Return whether no image's representations grow without bound over a longer T than was tuned."""
    longer = max(2 * task.validation.timesteps, 10)
    for condition in task.validation.conditions:
        indices = task.validation.indices(condition)[:_LOOKED_AT]
        inputs, _ = task.inputs.of_pairs([(condition, int(index)) for index in indices])
        with torch.no_grad():
            out = task.network.unroll_input(inputs, longer, hyperparameters=one.hyperparameters)
        if bool(out.diverged().any()):
            title = as_condition(condition).title
            logger.info("discarded, as it diverges up to t = %d (%s): %s", longer, title, as_table(one.hyperparameters))
            return False
    return True


def _effects(task: TuningTask, best: Tried, feedforward: Tried) -> tuple[dict[str, Score], list[Tried]]:
    """Return for each term the score of the best that is found without it, and all that was tried for that."""
    effects: dict[str, Score] = {}
    more: list[Tried] = []
    pairs, steps = task.pairs, task.part(task.settings.steps)
    for term, learn in terms_of(task):
        start, stage = term.taken_from(best.hyperparameters), f"without {term.title}"
        point = task.course.point(stage, start, lambda start=start: task.score(start))
        task.worked(stage, pairs, point)
        found = [point]
        if task.by_gradient:
            settings = task.settings_of(steps, learn=learn, memory=term.learned is not None)
            found += _descended(task, f"{stage}, tuned again", start, settings)
        else:
            found += _searched(task, f"{stage}, searched again", [start], steps, term)
        more += found
        best_without = ranked([*found, *([] if term is FEEDFORWARD else [feedforward])], task.settings.loss)
        if best_without:
            effects[term.title] = best_without[0].score
    return effects, more


def _searched(
    task: TuningTask, stage: str, starts: Sequence[Sequence[Hyperparameters]], trials: int, without: Term | None
) -> list[Tried]:
    """Return what Optuna proposes, each without a term if one is named."""

    def taken(entries: Sequence[Hyperparameters]) -> tuple[Hyperparameters, ...]:
        return tuple(entries) if without is None else without.taken_from(entries)

    found = task.course.proposed(
        stage,
        lambda score: proposals(task.network, score, trials=trials, seed=task.settings.seed, starts=starts),
        lambda entries: task.score(taken(entries)),
        lambda number, one: task.worked(f"{stage}, trial {number}", task.pairs, one),
    )
    return [Tried(taken(one.hyperparameters), one.score) for one in found]


def _method(task: TuningTask, before: Tried, chosen: Tried) -> str:
    settings, T = task.settings, task.validation.timesteps  # noqa: N806  # T is what the docs call it
    without = "" if task.without is None else f"; without {task.without.title}, as a control"
    if not task.by_gradient:
        return search_method(trials=settings.steps, seed=settings.seed) + without
    how = f"Adam, {settings.steps} steps, rate {settings.learning_rate:g}"
    told = told_choices(before.score, chosen.score, settings)
    starts = ", ".join(task.starts)
    return (
        f"gradient descent through {T} timesteps ({how}){told}; {settings.minibatch} pairs of an image and a "
        f"condition a step, starts: {starts}{without}"
    )


def _write(task: TuningTask, tuned: Tuned) -> None:
    options, validation = task.options, task.validation
    provenance = tuned.provenance(options["model"], validation, task.seen)
    provenance.append('Leave these images out of results: leave_out = "tuned".')
    table = task.network.configuration.table
    write_configuration(file_of(options), table, tuned.hyperparameters, provenance, task.hashes)
    source = validation.source
    task.course.finish(
        {
            **asdict(tuned),
            "hyperparameters": as_table(tuned.hyperparameters),
            "objective": tuned.score.value,
            "conditions": validation.titles,
            "images": {"source": source.name, "part": source.subset, "seen": task.seen},
            "image_hashes": dict(zip(source.ids, task.hashes, strict=True)),
            "command": command_with_tuned(options, source, task.model),
        }
    )


@dataclass(frozen=True)
class TuningOutcome:
    """What the file of a course says of a tuning that is done."""

    seen: str
    """What has seen the images before."""
    command: str
    """What measures the network with the result."""


def outcome(options: TuneOptions) -> TuningOutcome:
    """Read what the course of a finished tuning says.

    Raises:
        DataError: The file is damaged.
    """
    path = course_of(options)
    with damage_refused(path, "is damaged", "delete it to tune again"):
        result = read_json(path)["result"]
        return TuningOutcome(result["images"]["seen"], result["command"])
