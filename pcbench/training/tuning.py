"""`pcbench tune`: new hyperparameters for a trained network, and the configuration file that holds them."""

from __future__ import annotations

from collections.abc import Callable

from pcbench.arguments import public
from pcbench.data.image_source import ImageSource
from pcbench.data.preprocessing import Preprocessing
from pcbench.data.sources import check, open_source
from pcbench.errors import ConfigurationError, UsageError
from pcbench.files import try_folder
from pcbench.models.facts import ModelFacts
from pcbench.models.loading import load
from pcbench.options import resolved
from pcbench.training.descent import descend
from pcbench.training.found import Tuned
from pcbench.training.hyperparameters import LEARNED, check_learned, write_configuration
from pcbench.training.options import TuneOptions, data_of, file_of
from pcbench.training.search import search
from pcbench.training.validation import CONDITIONS, Validation


@public()
def tune(options: TuneOptions, report: Callable[[int, int, float], None] | None = None) -> Tuned:
    """Choose hyperparameters on validation images and write a configuration file with them.

    Args:
        options: What to tune, with all their values.
        report: Called with (done, all, best score so far).

    Raises:
        UsageError, DataError, WeightsError: It is not possible as asked for, or files cannot be written there.
        DivergenceError: All trials diverged over t.
        WriteError: The file could not be written.
    """
    options = resolved(TuneOptions, options)
    out, data = file_of(options), data_of(options)
    if out.suffix != ".toml":
        raise UsageError(f"{out}: the result is a configuration file; let its name end in .toml")
    by_gradient = [name for name in ("loss", "learn", "learning_rate") if options[name] is not None]
    if options["method"] == "search" and by_gradient:
        raise UsageError(f"`{by_gradient[0]}` belongs to the gradient: give method='gradient' as well")
    learn = LEARNED if options["learn"] is None else options["learn"]
    check_learned(learn)
    model = load(
        options["model"],
        timesteps=options["timesteps"],
        backbone_weights=options["backbone_weights"],
        configuration=options["configuration"],
        weights=options["weights"],
    )
    network = model.network
    if network is None:
        raise ConfigurationError(f"{options['model']} is feedforward, without hyperparameters to tune")
    steps = model.preprocessing.of_size(options["resize"], options["crop"])
    source = validation_images(data, options["images"], options["seed"], preprocessing=steps, facts=model)
    validation = Validation(source, model.timesteps, CONDITIONS, options["seed"])
    try_folder(out.parent, "give another with `out`")
    if options["method"] == "search":
        tuned = search(network, validation, trials=options["rounds"], seed=options["seed"], report=report)
    else:
        rate = options["learning_rate"]
        tuned = descend(
            network,
            validation,
            steps=options["rounds"],
            learning_rate=0.1 if rate is None else rate,
            loss=options["loss"] or "last",
            learn=learn,
            report=report,
        )
    write_configuration(
        out, network.configuration.table, tuned.hyperparameters, tuned.provenance(options["model"], validation)
    )
    return tuned


def validation_images(
    data: str, images: int, seed: int, *, preprocessing: Preprocessing, facts: ModelFacts | None = None
) -> ImageSource:
    """Return the images that decide: the validation split of the digits, a fixed part of any other source.

    Args:
        data: A data source.
        images: Size of that part.
        seed: Another seed is another part.
        preprocessing: The model's preprocessing.
        facts: The model that the labels must belong to; None asks for no such check.
    """
    if data == "digits":
        return open_source(data, preprocessing=preprocessing, split="validation")
    source = open_source(data, preprocessing=preprocessing, split="test")
    if facts is not None:
        source = check(source, classes=facts.classes, class_names=facts.class_names)
    if images >= len(source):
        raise UsageError(
            f"{data} holds {len(source)} images; take fewer than that for validation (`images`), results need the rest"
        )
    return source.take(images, seed)
