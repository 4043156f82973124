"""From a request to a plan: names become definitions, images and a network, and all of it one frozen RunSpec.

Everything that can be wrong with a request is found here, before anything is computed.
"""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import ClassVar, Literal

import torch

from pcbench import models
from pcbench.attacks.checks.verdict import judged_attack
from pcbench.attacks.definitions import AttackSuite, load_attack_suite
from pcbench.attacks.saved_suite import SavedSuite, open_saved
from pcbench.catalog import KINDS, suite_folder, suite_names
from pcbench.corruptions.definitions import CorruptionSuite, load_corruption_suite
from pcbench.data.image_source import ImageSource
from pcbench.data.published import PublishedFiles, open_published, published_images
from pcbench.data.sources import check, open_source
from pcbench.errors import DataError, UnknownNameError, UsageError
from pcbench.harness.request import Request
from pcbench.harness.scoring import to_unit_range
from pcbench.harness.selection import always_correct
from pcbench.models.subject import Subject
from pcbench.network.update import Hyperparameters
from pcbench.results.environment import folder_hash, versions
from pcbench.results.run_spec import SPEC_VERSION, DataSpec, RunSpec, Settings, SuiteSpec

# Enough to tell a broken gradient from a sound one; more only cost time.
CHECKED_IMAGES = 128

# The suites that `pcbench run` measures where the user names none: those made for the model's own data set.
DEFAULT_SUITES = {"digits": ("digits-c", "digits-linf")}


@dataclasses.dataclass(frozen=True)
class CorruptionPlan:
    """A suite of corruptions, the folder it was read from, and the images it is run on.

    Where published corrupted files are read, `published` holds them, aligned with the clean images of `source`.
    """

    definition: CorruptionSuite
    folder: Path
    source: ImageSource
    published: PublishedFiles | None = None
    kind: ClassVar[Literal["corruptions"]] = "corruptions"

    def sha256(self) -> str:
        """Return a hash over the suite's definition."""
        return folder_hash(self.folder)


@dataclasses.dataclass(frozen=True)
class AttackPlan:
    """A suite of attacks, the folder it was read from, its images, and the network as the suite sets it."""

    definition: AttackSuite
    folder: Path
    source: ImageSource
    subject: Subject
    kind: ClassVar[Literal["attacks"]] = "attacks"

    def sha256(self) -> str:
        """Return a hash over the suite's definition."""
        return folder_hash(self.folder)


@dataclasses.dataclass(frozen=True)
class SavedPlan:
    """Adversarial images that an earlier run kept, and the clean images they were made of."""

    definition: SavedSuite
    source: ImageSource
    kind: ClassVar[Literal["saved"]] = "saved"

    def sha256(self) -> str:
        """Return a hash over the saved files."""
        return self.definition.sha256()


SuitePlan = CorruptionPlan | AttackPlan | SavedPlan


@dataclasses.dataclass(frozen=True)
class Plan:
    """A request with every name resolved.

    Attributes:
        request: What was asked for.
        subject: The network.
        timesteps: T.
        batch_size: Images in one pass.
        suites: What is measured on which images.
        checks: Whether the evidence about the attacks' gradients is collected.
        spec: The frozen description of all this.
    """

    request: Request
    subject: Subject
    timesteps: int
    batch_size: int
    suites: tuple[SuitePlan, ...]
    checks: bool
    spec: RunSpec


@dataclasses.dataclass(frozen=True)
class _Named:
    """A suite that was asked for, read but not yet joined with images."""

    folder: Path
    definition: CorruptionSuite | AttackSuite

    @classmethod
    def read(cls, name: str) -> _Named:
        kind, folder = suite_folder(name)
        return cls(folder, load_corruption_suite(folder) if kind == "corruptions" else load_attack_suite(folder))

    def plan(self, source: ImageSource, request: Request, subject: Subject) -> SuitePlan:
        wanted, suite = request.images, self.definition
        if isinstance(suite, CorruptionSuite):
            if suite.applied_to == "representations":
                subject.predictive_network(f"the suite {suite.name}")
            part = _part(source, wanted)
            return CorruptionPlan(suite, self.folder, part, _published(suite, part, request))
        if wanted is None and suite.default_images is not None:
            wanted = min(suite.default_images, len(source))
        part = _part(source, wanted)
        if suite.network is not None and subject.network is not None:
            settings = suite.network
            subject = subject.with_hyperparameters(
                Hyperparameters(settings.feedforward, settings.feedback, settings.error)
            )
        if suite.images == "correct_at_every_timestep":
            part = always_correct(subject, part, _timesteps(request, subject), _batch_size(request, source))
        return AttackPlan(suite, self.folder, part, subject)


def make_plan(request: Request) -> Plan:
    """Resolve a request.

    Raises:
        UsageError: A name is unknown, a definition broken, images or weights missing or not made for each other.
            Where both images and weights are missing, one message tells of both.
    """
    device = _device(request.device)
    if request.adversarials is not None:
        return _plan_of_saved(request, _load_model(request, device))
    named = [_Named.read(name) for name in request.suites]
    problems: list[str] = []
    subject: Subject | None = None
    try:
        subject = _load_model(request, device)
    except UnknownNameError:
        raise
    except UsageError as error:
        problems.append(str(error))
    data = request.data if request.data is not None else models.default_data(request.model)
    if data is None:
        problems.append(_data_needed(named))
    if problems or subject is None:
        raise UsageError("; ".join(problems))
    source = open_source(data, preprocessing=subject.preprocessing, split="test")
    check(source, classes=subject.classes, class_names=subject.class_names)
    source = _left(source, request.leave_out)
    if not named:
        named = [_Named.read(name) for name in _default_suites(source)]
    suites = tuple(entry.plan(source, request, subject) for entry in named)
    return _finish(request, subject, suites, source)


def _left(source: ImageSource, leave_out: str | None) -> ImageSource:
    """Return the images that tuning did not see."""
    if leave_out is None:
        return source
    count, _, seed = leave_out.partition(":")
    if int(count) >= len(source):
        raise UsageError(f"{source.name} holds {len(source)} images; leaving out {count} leaves nothing to measure")
    taken = source.take(int(count), int(seed or 0))
    rest = len(source) - len(taken)
    return source.without(taken, f"the {rest} images that tuning on {count} (seed {seed or 0}) did not see")


def _plan_of_saved(request: Request, subject: Subject) -> Plan:
    """Plan the scoring of saved images, which are a suite and its data in one."""
    for option in ("suites", "data", "images", "leave_out", "corrupted", "epsilons"):
        if getattr(request, option):
            raise UsageError(f"saved adversarial images are scored as they are: leave {option} out")
    suites: list[SavedPlan] = []
    for saved in open_saved(Path(str(request.adversarials))):
        check(saved.source, classes=subject.classes)
        _refuse_other_sizes(subject, saved.source, _timesteps(request, subject))
        suites.append(SavedPlan(saved, saved.source))
    first = suites[0].source
    if any(suite.source.ids != first.ids for suite in suites):
        raise DataError(f"{request.adversarials}: its suites are of different images; score one folder at a time")
    return _finish(request, subject, tuple(suites), first)


def _refuse_other_sizes(subject: Subject, source: ImageSource, timesteps: int) -> None:
    image = to_unit_range(source.load([0]), subject.device)
    try:
        with torch.no_grad():
            subject.logits(image, timesteps)
    except RuntimeError as error:
        size = " x ".join(str(side) for side in image.shape[2:])
        raise UsageError(
            f"{source.name}: {subject.name} does not take images of {size} px ({str(error).splitlines()[0]}); "
            "score them by a model of their size"
        ) from None


def _device(name: str) -> str:
    if name == "auto":
        return "cuda" if torch.cuda.is_available() else "cpu"
    try:
        kind = torch.device(name).type
    except RuntimeError:
        raise UsageError(f"there is no device {name!r}; known: auto, cpu, cuda, cuda:N") from None
    if kind == "cuda" and not torch.cuda.is_available():
        raise UsageError("there is no CUDA device here; use --device cpu")
    return name


def _load_model(request: Request, device: str) -> Subject:
    subject = models.load(
        request.model,
        timesteps=request.timesteps,
        backbone_weights=request.backbone_weights,
        weights=request.weights,
        random_predictors=request.random_predictors,
        ablation=request.ablation,
        device=device,
    )
    return subject.configured(precision=request.precision, compiled=request.compiled, recompute=request.recompute)


def marked_name(subject: Subject) -> str:
    """Return the model's name as every row carries it: with untrained predictors and ablations marked."""
    seed, ablation = (subject.description.get(key) for key in ("random_predictors", "ablation"))
    marks = [] if seed is None else [f"random-predictors-{seed}"]
    return "+".join([subject.name, *marks, *([str(ablation)] if ablation else [])])


def _data_needed(named: list[_Named]) -> str:
    imagenet = any(entry.definition.name.startswith("imagenet") for entry in named)
    example = "imagenet:PATH, the folder that holds ImageNet's val/" if imagenet else "imagefolder:PATH"
    return f"images are needed: give --data {example}"


def _default_suites(source: ImageSource) -> tuple[str, ...]:
    family = source.name.partition(":")[0]
    if family in DEFAULT_SUITES:
        return DEFAULT_SUITES[family]
    known = [name for kind in KINDS for name in suite_names(kind)]
    raise UsageError(f"name what to measure with --suite; known: {', '.join(known)}")


def _published(suite: CorruptionSuite, clean: ImageSource, request: Request) -> PublishedFiles | None:
    if request.corrupted is None:
        return None
    if request.jpeg_quality is not None:
        raise UsageError("published files are compressed already: --corrupted and --jpeg-quality exclude each other")
    opened = open_published(
        suite.name,
        Path(request.corrupted),
        corruptions=[corruption.name for corruption in suite.corruptions],
        preprocessing=clean.preprocessing,
        subset=request.images is not None or clean.subset is not None,
    )
    return opened.align(clean)


def _part(source: ImageSource, images: int | None) -> ImageSource:
    return source if images is None else source.take(images)


def _finish(request: Request, subject: Subject, suites: tuple[SuitePlan, ...], source: ImageSource) -> Plan:
    timesteps, batch_size = _timesteps(request, subject), _batch_size(request, source)
    preprocessing = dataclasses.asdict(source.preprocessing)
    checks = _checks(request, suites, source)
    name, _, split = source.name.partition(":")
    spec = RunSpec(
        version=SPEC_VERSION,
        model={"name": marked_name(subject), **subject.description},
        data=DataSpec(
            name=name,
            split=split,
            fingerprint=source.fingerprint(),
            available=len(source),
            preprocessing=preprocessing,
            corrupted=_published_fingerprint(suites),
        ),
        suites=tuple(
            SuiteSpec(
                name=suite.definition.name,
                kind="corruptions" if suite.kind == "corruptions" else "attacks",
                version=str(suite.definition.version),
                sha256=suite.sha256(),
                images=len(suite.source),
                subset=_is_subset(suite, source),
            )
            for suite in suites
        ),
        settings=Settings(
            seed=request.seed,
            timesteps=timesteps,
            batch_size=batch_size,
            gradient=request.gradient,
            plain_sweep=request.plain_sweep,
            bracketing=request.bracketing,
            epsilons=request.epsilons,
            corruption_backend=request.backend,
            jpeg_quality=request.jpeg_quality,
            precision=request.precision,
            compiled=request.compiled,
            recompute=request.recompute,
            device=subject.device.type,
            threads=torch.get_num_threads(),
            checks=checks,
            save_adversarials=request.save_adversarials,
        ),
        versions=versions(),
    )
    return Plan(request, subject, timesteps, batch_size, suites, checks, spec)


def can_be_checked(suite: SuitePlan) -> bool:
    """Tell whether a suite has an attack whose gradients can be judged."""
    if suite.kind != "attacks":
        return False
    try:
        judged_attack(suite.definition.attacks)
    except UsageError:
        return False
    return True


def _checks(request: Request, suites: tuple[SuitePlan, ...], source: ImageSource) -> bool:
    """Tell whether the gradients are checked: as asked for, else where a result on all images could be published."""
    able = [suite for suite in suites if can_be_checked(suite)]
    if request.checks and not able:
        raise UsageError("--checks needs a suite with an untargeted iterative white-box attack, such as linf")
    if request.checks is not None:
        return request.checks
    return any(len(suite.source) >= CHECKED_IMAGES and not _is_subset(suite, source) for suite in able)


def _timesteps(request: Request, subject: Subject) -> int:
    return subject.timesteps if request.timesteps is None else request.timesteps


def _batch_size(request: Request, source: ImageSource) -> int:
    return request.batch_size or (128 if source.load([0]).shape[-1] <= 64 else 32)


def _is_subset(suite: SuitePlan, source: ImageSource) -> bool:
    """Tell whether a suite is run on fewer images than its data set, or than it was published with."""
    published = published_images(suite.definition.name)
    part = len(suite.source) < len(source) or suite.source.subset is not None
    return part or (published is not None and len(suite.source) < published)


def _published_fingerprint(suites: tuple[SuitePlan, ...]) -> str | None:
    opened = [suite.published for suite in suites if suite.kind == "corruptions" and suite.published is not None]
    return "+".join(files.fingerprint() for files in opened) or None
