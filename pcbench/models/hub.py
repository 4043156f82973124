"""Models of the Hugging Face hub in timm's format: ``hf:OWNER/REPO[@REVISION]``.

Such a repository holds `config.json`, which names a network of timm and states its preprocessing, and the weights as
`model.safetensors` or `pytorch_model.bin`. No code of a repository is fetched or run, and of the second only tensors
are read. The commit that a revision means is found once and is part of the model's description.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, cast

from pcbench.data.class_names import as_class_names
from pcbench.errors import UnknownNameError, UsageError, WeightsError, first_line, named
from pcbench.limits.text import read_json
from pcbench.models.naming import library_models, repository_of
from pcbench.models.weights import StateDict, read_weights

HUB_WEIGHTS = ("model.safetensors", "pytorch_model.bin")
"""The files of weights in timm's format, the first one first."""
_SECONDS = 10.0
_NOT_PASSED = ("pretrained", "pretrained_cfg", "pretrained_cfg_overlay", "checkpoint_path", "cache_dir", "scriptable")
"""Arguments of timm's `create_model` that would read other files."""

logger = logging.getLogger("pcbench")


@dataclass(frozen=True)
class HubModel:
    """What a repository of the hub says of its network."""

    repository: str
    """``"OWNER/REPO"``."""
    commit: str
    """The commit that was found, 40 hexadecimal digits."""
    architecture: str
    """The network's name in timm."""
    arguments: dict[str, Any]
    """What it is made with."""
    stated: dict[str, Any]
    """The keys of timm's `PretrainedCfg`."""
    class_names: tuple[str, ...] | None
    """In label order, where the repository names them."""

    @property
    def pinned(self) -> str:
        """How this commit is named as a model."""
        return f"hf:{self.repository}@{self.commit}"


@cache
def hub_model(name: str) -> HubModel:
    """Return what a repository says; the network is not built, and its weights are not fetched.

    Args:
        name: ``"OWNER/REPO"`` or ``"OWNER/REPO@REVISION"``, a branch, tag or commit.

    Raises:
        WeightsError: It cannot be reached, or does not exist; the message says which.
        UsageError: It holds no network of timm.
    """
    repository, revision = repository_of(name)
    path = download(repository, revision or None, ("config.json",))
    config = read_json(path)
    if not isinstance(config, dict):
        raise UsageError(f"hf:{name}: its config.json is not a table")
    told = cast("dict[str, Any]", config)
    found = _of_config(f"hf:{name}", told)
    commit = path.parent.name
    if revision != commit:
        logger.info("hf:%s is the commit %s; write hf:%s@%s to stay with it", name, commit, repository, commit)
    return HubModel(repository, commit, *found)


def _of_config(name: str, config: dict[str, Any]) -> tuple[str, dict[str, Any], dict[str, Any], tuple[str, ...] | None]:
    """Return the network, its arguments, timm's keys and the names of the classes."""
    architecture: Any = config.get("architecture")
    if "architectures" in config and architecture is None:
        raise UsageError(
            f"{name} is a model of transformers, not of timm; write a function that loads it and returns its logits, "
            "and give model='mymodels:FUNCTION'"
        )
    known = library_models("timm")
    if architecture not in known:
        raise UnknownNameError(f"{name}: the network of timm", str(architecture), known)
    # Repositories of early versions have the keys beside the name of the network.
    inner: Any = config.get("pretrained_cfg") or config
    arguments: Any = config.get("model_args") or {}
    if not isinstance(inner, dict) or not isinstance(arguments, dict):
        raise UsageError(f"{name}: pretrained_cfg and model_args in its config.json are not tables")
    outer = {key: config[key] for key in ("num_classes", "label_names") if key in config}
    stated = {**cast("dict[str, Any]", inner), **outer}
    refused = sorted(set(_NOT_PASSED) & set(cast("dict[str, Any]", arguments)))
    if refused:
        raise UsageError(f"{name}: model_args in its config.json holds {refused[0]!r}, which may read other files")
    return str(architecture), {**cast("dict[str, Any]", arguments)}, stated, as_class_names(stated.get("label_names"))


def hub_weights(name: str) -> StateDict:
    """Return the weights of a repository, by the names in timm's network.

    Args:
        name: As for `hub_model`.

    Raises:
        WeightsError: They cannot be fetched, or are refused because reading them could run code.
    """
    model = hub_model(name)
    return read_weights(download(model.repository, model.commit, HUB_WEIGHTS))


def download(repository: str, revision: str | None, files: Sequence[str]) -> Path:
    """Return a file of a repository in the hub's own cache, fetched where it is not there.

    Args:
        repository: ``"OWNER/REPO"``.
        revision: A branch, tag or commit; None for the default branch.
        files: Names of which the first one that exists is taken.

    Raises:
        WeightsError: None exists, or the hub cannot be reached.
    """
    import huggingface_hub
    from huggingface_hub.errors import EntryNotFoundError, LocalEntryNotFoundError

    where = f"hf:{repository}{'' if revision is None else f'@{revision}'}"
    kept = [_kept(repository, revision, name) for name in files]
    for name, path in zip(files, kept, strict=True):
        if path is not None and path.parent.name == revision:  # a commit never changes
            return path
        try:
            _reach(where)
            endpoint = os.environ.get("HF_ENDPOINT")
            return Path(huggingface_hub.hf_hub_download(repository, name, revision=revision, endpoint=endpoint))
        except LocalEntryNotFoundError as error:
            raise WeightsError(f"{where}: {name} cannot be fetched ({first_line(error)})") from error
        except EntryNotFoundError:
            continue
        except WeightsError:
            if path is None:
                raise
            logger.warning("%s cannot be reached: %s is the copy of an earlier day", where, name)
            return path
        except Exception as error:
            raise WeightsError(f"{where}: {_why(error)}") from error
    raise WeightsError(f"{where}: holds no {' or '.join(files)}, as repositories in timm's format do")


def _kept(repository: str, revision: str | None, name: str) -> Path | None:
    import huggingface_hub

    found = huggingface_hub.try_to_load_from_cache(repository, name, revision=revision)
    return Path(found) if isinstance(found, str) else None


def _reach(where: str) -> None:
    """Ask once whether the hub answers: its own client would ask for half a minute.

    Raises:
        WeightsError: It does not.
    """
    from huggingface_hub import constants
    from huggingface_hub.utils import get_session

    endpoint = os.environ.get("HF_ENDPOINT") or constants.ENDPOINT
    if constants.HF_HUB_OFFLINE:
        raise WeightsError(f"{where}: HF_HUB_OFFLINE is set, and no copy is here; unset it, or fetch it first")
    session: Any = get_session()
    try:
        session.head(endpoint, timeout=_SECONDS)
    except Exception as error:
        raise WeightsError(f"{where}: {endpoint} cannot be reached ({first_line(error)})") from error


def _why(error: Exception) -> str:
    """Return in the user's words why the hub gives no file."""
    from huggingface_hub import errors

    if isinstance(error, errors.GatedRepoError):
        return "asks for its terms to be accepted: do so on its page, and log in with `hf auth login`"
    if isinstance(error, errors.RevisionNotFoundError):
        return "has no such revision; give a branch, a tag or a commit of it"
    if isinstance(error, errors.RepositoryNotFoundError):
        return "there is no such repository, or it is private: check the name, or log in with `hf auth login`"
    if isinstance(error, errors.HFValidationError):
        return f"is no name of a repository ({first_line(error)})"
    return f"cannot be fetched ({named(error)})"
