"""`pcbench tune`: choose β, λ and α of every PCoder on images of their own."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pcbench.cli.arguments import AsJson
from pcbench.cli.run import log_progress
from pcbench.cli.saying import say, say_json
from pcbench.harness.known_names import refuse_unknown_names
from pcbench.percent import percent
from pcbench.training.options import TuneOptions, file_of, refuse_unknown_objective

if TYPE_CHECKING:
    from pcbench.cli.json_forms import ScoreForm, TuneForm
    from pcbench.training.found import Tuned
    from pcbench.training.validation import Score


def tune_command(options: TuneOptions, as_json: AsJson = False) -> None:
    """Tune a network's hyperparameters for noisy or corrupted images, never on images that results are reported on."""
    refuse_unknown_names(options)
    refuse_unknown_objective(options)
    from pcbench.training.tuning import course_of, outcome
    from pcbench.training.watching import tune_in_sight

    log_progress()
    tuned = tune_in_sight(options)
    told = outcome(options)
    if as_json:
        form: TuneForm = {
            "rows": [_score_form(name, score) for name, score in _scores(tuned)],
            "failed": tuned.failed,
            "file": str(file_of(options)),
            "course": str(course_of(options)),
            "command": told.command,
        }
        say_json(form)
        return
    _show(tuned)
    if tuned.clean is not None:
        say(f"on the clean images: accuracy at T {tuned.clean.value:.4f} (t = 0: {tuned.clean.start:.4f})")
    say(told.seen)
    if tuned.failed:
        say(f"FAILED TUNING: {file_of(options)} holds the feedforward point (β = 1, λ = α = 0)")
    say(f"accuracy at T {tuned.score.value:.4f} (t = 0: {tuned.score.start:.4f}); wrote {file_of(options)}")
    say(f"its course is in {course_of(options)}", "use it with:", f"  {told.command}")


def _scores(tuned: Tuned) -> list[tuple[str, Score | None]]:
    """Return the rows of the table; None where a search left nothing that does not diverge."""
    return [
        ("feedforward point", tuned.feedforward),
        ("where it began", tuned.before),
        ("tuned", tuned.best_other),
        *((f"without {term}", score) for term, score in tuned.effects.items()),
    ]


def _score_form(what: str, score: Score | None) -> ScoreForm:
    if score is None or score.diverged:
        return {"what": what, "accuracy": None, "cross_entropy": None}
    return {"what": what, "accuracy": float(score.value), "cross_entropy": float(score.final_loss)}


def _show(tuned: Tuned) -> None:
    """Print the table of what was reached."""
    from rich.table import Table

    from pcbench.terminal import Terminal

    table = Table(title="on the tuning images", title_justify="left")
    for column in ("", "accuracy at T, %", "cross-entropy at T"):
        table.add_column(column, no_wrap=True)
    for name, score in _scores(tuned):
        if score is None or score.diverged:
            table.add_row(name, "diverges", "")
        else:
            table.add_row(name, percent(score.value, 2), f"{score.final_loss:.4f}")
    Terminal().print(table)
