"""How a model can be named, and what a name that is none was meant to be; light, so that lists load no library."""

from __future__ import annotations

import difflib
import functools
import importlib.util
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from pcbench.errors import UnknownNameError, UsageError, WeightsError
from pcbench.plugins import plugins

MODEL_LIBRARIES = ("torchvision", "timm", "hf")
"""The prefixes of models whose libraries state classes, preprocessing and weights; ``hf`` is timm with the hub."""
ROBUSTBENCH = "robustbench"
CONVERTED = ".toml@"
"""What stands between a configuration and its backbone."""

_RUNS_CODE = ("torchhub", "torch.hub", "pytorch-hub")
_OF_HUB = ("hf-hub", "hf_hub", "huggingface", "hub", "timm/hf-hub")
_OF_TIMM = ("timm:hf-hub:", "timm:hf_hub:", "timm:hf:")
_OF_LIBRARY = re.compile(r"(torchvision|timm)(?:\.\w+)*[./](\w+(?:\.\w+)?)")
_REPOSITORY = re.compile(r"[\w.-]{1,96}/[\w.-]{1,96}")
_WEIGHTS = (".pth", ".pt", ".safetensors", ".bin", ".ckpt", ".tar")
_REGISTERED = {
    "torchvision": re.compile(r"^@register_model\([^\n]*\)\n(?:@[^\n]*\n)*def (\w+)\(", re.MULTILINE),
    "timm": re.compile(r"^@register_model[^\n]*\n(?:@[^\n]*\n)*def (\w+)\(", re.MULTILINE),
    ROBUSTBENCH: re.compile(r"^\s*\(?\s*['\"](\w+)['\"],\s*\{", re.MULTILINE),
}
_FOLDERS = {"torchvision": "models", "timm": "models", ROBUSTBENCH: "model_zoo"}


@dataclass(frozen=True)
class ModelForm:
    """One way to name a model."""

    form: str
    """The text, with what is to be filled in in capital letters."""
    what: str
    """What it names."""
    weights: str
    """Where its weights come from."""


MODEL_FORMS = (
    ModelForm(
        "NAME", "a network of pcbench's zoo, or a model that another package registers", "as `pcbench list models` says"
    ),
    ModelForm(
        "torchvision:NAME[@WEIGHTS]",
        "a classifier of torchvision.models; WEIGHTS such as IMAGENET1K_V1, by default torchvision's DEFAULT",
        "torchvision downloads them, or `--backbone-weights FILE`",
    ),
    ModelForm(
        "timm:NAME[.TAG]",
        "a classifier of timm; TAG such as a1_in1k, by default timm's own",
        "timm's repositories on the Hugging Face hub, or `--backbone-weights FILE`",
    ),
    ModelForm(
        "hf:OWNER/REPO[@REVISION]",
        "a repository of the Hugging Face hub in timm's format; the commit is recorded",
        "the repository, or `--backbone-weights FILE`",
    ),
    ModelForm(
        "robustbench:[DATASET/THREAT/]NAME",
        "a model of RobustBench, such as cifar10/Linf/Standard (extra robustbench); a NAME alone is of cifar10/Linf",
        "models/DATASET/THREAT/NAME.pt, where RobustBench's loader puts them",
    ),
    ModelForm(
        "MODULE:FUNCTION",
        "your own function without arguments that returns a torch.nn.Module",
        "what the function loads, or `--backbone-weights FILE`",
    ),
    ModelForm(
        "CONFIG.toml@BACKBONE",
        "a configuration on a backbone, which is named in one of the ways above",
        "the backbone's, and `--weights FILE` or `--random-predictors SEED`",
    ),
    ModelForm("CONFIG.toml", 'the same, where the file states `backbone = "…"`', "as for CONFIG.toml@BACKBONE"),
)
"""Every way to name a model as a text."""


class UnknownModelError(UnknownNameError):
    """A name that is no model's; the message says how the model that was meant is named.

    What to do: take the name in the message, or one of `pcbench list models`.

    Args:
        name: What the user wrote, without a prefix.
        known: The names that need none.
    """

    def __init__(self, name: str, known: list[str]) -> None:
        super().__init__("model", name, known)

    def _remedy(self) -> str:
        return _other_form(self.name) or self._nearest() or super()._remedy()

    def _nearest(self) -> str | None:
        if exact := _prefixed(self.name):
            return f"write {' or '.join(exact)}"
        spelled = {_plain(known): known for known in self.known}
        of_libraries = {_plain(name): name for library in _FOLDERS for name in library_models(library)}
        close = difflib.get_close_matches(_plain(self.name), [*spelled, *of_libraries], n=3, cutoff=0.75)
        if not close or close[0] in spelled:
            return None
        found = [text for one in close if one in of_libraries for text in _prefixed(of_libraries[one])]
        return f"did you mean {' or '.join(found[:3])}?"


def _other_form(name: str) -> str | None:
    """Return how something is written that is no name of a model at all."""
    path = Path(name)
    of_library = _OF_LIBRARY.fullmatch(name)
    exact = [] if of_library is None else _prefixed(of_library[2])
    if of_library is not None and (own := [one for one in exact if one.startswith(f"{of_library[1]}:")]):
        return f"write {own[0]}"
    if path.suffix == ".py":
        return (
            f"write {path.stem}:FUNCTION, with a function in it that returns the network, from the folder of the file"
        )
    if path.suffix in _WEIGHTS:
        return f"a file of weights is given with backbone_weights={name!r}, beside the name of its network"
    module, dot, inside = name.rpartition(".")
    top = name.partition(".")[0]
    if dot and inside.isidentifier() and top.isidentifier() and importlib.util.find_spec(top) is not None:
        return f"write {module}:{inside} for a function of your own that returns the network"
    if _REPOSITORY.fullmatch(name) and not path.exists():
        return f"write hf:{name} for a repository of the Hugging Face hub"
    return None


def _plain(name: str) -> str:
    return name.lower().replace("-", "").replace("_", "")


def _prefixed(name: str) -> list[str]:
    """Return how a name is written that libraries know, in the order of the prefixes."""
    head, dot, tag = name.partition(".")
    found: list[str] = []
    for library in _FOLDERS:
        known = next((one for one in library_models(library) if _plain(one) == _plain(head)), None)
        if known is not None and (not dot or library == "timm"):
            found.append(f"{library}:{known}{dot}{tag}")
    return found


@functools.cache
def library_models(library: str) -> tuple[str, ...]:
    """Return the names of the models of torchvision, timm or robustbench as they are installed, sorted.

    They are read from the library's source, so that a wrong name imports nothing.
    """
    spec = importlib.util.find_spec(library)
    if spec is None or spec.origin is None:
        return ()
    files = sorted((Path(spec.origin).parent / _FOLDERS[library]).glob("*.py"))
    return tuple(sorted({name for file in files for name in _REGISTERED[library].findall(file.read_text("utf-8"))}))


def _is_defined(library: str, name: str) -> bool:
    """Return whether a library has a model of a name, for whatever task, by its source alone."""
    spec = importlib.util.find_spec(library)
    if name in library_models(library) or spec is None or spec.origin is None:
        return True
    files = (Path(spec.origin).parent / _FOLDERS[library]).rglob("*.py")
    return any(f"\ndef {name}(" in path.read_text("utf-8") for path in files)


def unknown_of_library(library: str, name: str) -> UsageError:
    """Return the error about a name that torchvision or timm does not know; all their names would fill pages."""
    known = library_models(library)
    if difflib.get_close_matches(name, known, n=1, cutoff=0.5):
        return UnknownNameError(f"{library} model", name, known)
    return UsageError(f"{library} model {name!r} does not exist; {library}'s own list_models() tells their names")


def repository_of(name: str) -> tuple[str, str]:
    """Return a repository of the Hugging Face hub, ``"OWNER/REPO"``, and its revision; empty where none is named.

    Raises:
        UsageError: It is written otherwise.
    """
    repository, at, revision = name.partition("@")
    if repository.count("/") != 1 or (at and not revision):
        raise UsageError(f"hf:{name}: write a repository of the hub as hf:OWNER/REPO or hf:OWNER/REPO@REVISION")
    return repository, revision


def refuse_prefix(model: str) -> None:
    """Refuse what runs code of strangers, and what is written otherwise.

    Raises:
        UsageError: The message says how to write it.
    """
    prefix, _, rest = model.partition(":")
    if prefix.lower() in _RUNS_CODE:
        raise UsageError(
            f"{model}: a repository of torch.hub runs its own code, which pcbench does not fetch; write a function "
            "that returns torch.hub.load(…) into a file mymodels.py, and give model='mymodels:FUNCTION'"
        )
    if prefix.lower() in ("http", "https") and "huggingface.co/" in rest:
        raise UsageError(f"{model}: write hf:{'/'.join(rest.partition('huggingface.co/')[2].split('/')[:2])}")
    if prefix.endswith(".py"):
        raise UsageError(f"{model}: write {Path(prefix).stem}:{rest}, from the folder of the file")
    inside = next((start for start in _OF_TIMM if model.startswith(start)), None)
    if inside is not None or prefix.lower() in _OF_HUB:
        raise UsageError(f"{model}: write a repository of the hub as hf:{model.removeprefix(inside or f'{prefix}:')}")
    if prefix not in (*MODEL_LIBRARIES, ROBUSTBENCH) and prefix.lower() in (*MODEL_LIBRARIES, ROBUSTBENCH):
        raise UsageError(f"{model}: write {prefix.lower()}:{rest}")
    library = next((one for one in ("torchvision", "timm") if prefix.startswith(f"{one}.")), None)
    if library is not None and rest in library_models(library):
        raise UsageError(f"{model} makes it with random weights; write {library}:{rest} for the trained one")


def refuse_unknown_model(model: str) -> None:
    """Refuse a name that neither the zoo nor its library knows, before any library is loaded.

    What a module, a repository or a file holds, and what a model of torchvision is for, is found when it is opened.

    Raises:
        UnknownNameError, UsageError: The message says how the model that was meant is named.
    """
    from pcbench.catalog import refuse_missing
    from pcbench.models.zoo import named_elsewhere, zoo_entry  # it needs the words of this file

    if not named_elsewhere(model):
        zoo_entry(model)
        return
    head, converted, backbone = model.partition(CONVERTED)
    if converted or model.endswith(".toml"):
        refuse_missing(f"{head}.toml" if converted else model)
        if converted:
            refuse_unknown_model(backbone)
        return
    refuse_prefix(model)
    library, _, name = model.partition(":")
    if library == "hf":
        repository_of(name)
    if library == "timm" and name.partition(".")[0] not in library_models(library):
        raise unknown_of_library(library, name)
    if library == "torchvision" and not _is_defined(library, name.partition("@")[0]):
        raise unknown_of_library(library, name.partition("@")[0])


def no_such_weights(path: Path) -> WeightsError:
    """Return the error about a file of weights that is not there."""
    return WeightsError(f"{path}: there is no such weights file")


def known_prefixes() -> Mapping[str, str]:
    """Return the prefixes that pcbench knows, each with the form of the name behind it."""
    forms = (one.form.partition(":") for one in MODEL_FORMS)
    return {prefix: rest for prefix, colon, rest in forms if colon and prefix.islower()}


def plugin_models() -> list[str]:
    """Return the names of the models that other packages register."""
    return [*plugins("models")]
