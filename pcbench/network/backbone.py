"""A backbone whose PCoder modules' outputs can be replaced, run again and again without repeated work.

The forward method of the backbone, and of the modules around a PCoder's, is traced once with `torch.fx`; every other
module stays whole. What depends on no PCoder is computed once for all timesteps. A backbone that cannot be traced is
run through forward hooks on a private copy instead.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable, Sequence
from contextlib import contextmanager
from typing import Any, Self, cast

from torch import Tensor, nn

from pcbench.network.outputs import Output, picked_logits
from pcbench.network.own_modules import private_copy
from pcbench.network.targets import Spot
from pcbench.network.watching import Watch, watched_runs

HOOKS = ("register_forward_hook", "register_forward_pre_hook")
"""The methods of a module that register what is called when it runs."""

Replace = Callable[[int, Tensor], Tensor]
Values = dict[str, Any]


class RepeatedModuleError(Exception):
    """A PCoder's module, or one whose value is predicted, runs more than once, or never, in one pass.

    Args:
        index: Which PCoder's, or N and more: which `Spot`'s.
        runs: How often it runs.
        places: The modules in which it does, where that is known.
    """

    def __init__(self, index: int, runs: int, places: Sequence[str] = ()) -> None:
        self.index, self.runs, self.places = index, runs, places
        super().__init__(index, runs)


class Backbone(nn.Module):
    """A frozen private copy of a backbone that is run in two parts.

    Args:
        module: The backbone; it is copied and left as it is.
        paths: The names of the PCoders' modules, in forward order.
        output: Which of its outputs are the logits; see `pcbench.network.outputs`.
        spots: Where other values are that PCoders predict.

    `prepare` computes what no PCoder can change; `run_timestep` computes the rest: it calls `replace(n, drive)` with
    each PCoder's drive and continues with what that returns. The value at each spot goes through `replace` too, with n
    from N on, and has to come back as it is. Neither keeps anything between calls.
    """

    def __init__(
        self, module: nn.Module, paths: Sequence[str], output: Output = None, spots: Sequence[Spot] = ()
    ) -> None:
        super().__init__()
        self.module = private_copy(module).requires_grad_(requires_grad=False)
        self.paths = tuple(paths)
        self.output = output
        self.spots = tuple(spots)
        self._overwritten: frozenset[int | str] = frozenset()

    def whole(self, images: Tensor) -> Any:
        """Run the module itself, and return its logits."""
        return picked_logits(self.module(images), self.output)

    def prepare(self, images: Tensor) -> Values:
        """Return what all timesteps of these images share."""
        raise NotImplementedError

    def run_timestep(self, shared: Values, replace: Replace) -> Tensor:
        """Run everything that depends on a PCoder, and return the logits."""
        raise NotImplementedError

    def start(self, images: Tensor) -> list[Tensor]:
        """Return each PCoder's first drive, e_n(0), and after them the values at the spots.

        What comes after the last PCoder need not be computed.
        """
        drives: dict[int, Tensor] = {}

        def note(index: int, drive: Tensor) -> Tensor:
            drives[index] = drive
            return drive

        self._run_to_last_pcoder(self.prepare(images), note)
        return [drives[index] for index in sorted(drives)]

    def _run_to_last_pcoder(self, shared: Values, replace: Replace) -> None:
        """Do what `run_timestep` does, at least as far as the last PCoder."""
        self.run_timestep(shared, replace)

    def forward(self, images: Tensor) -> Tensor:
        """Run the backbone as it is, replacing nothing."""
        return self.run_timestep(self.prepare(images), lambda _, drive: drive)

    def observe(self, images: Tensor) -> tuple[dict[int, Any], Any]:
        """Run once, noting what the backbone does to its own values.

        From here on, values that a later step changes in place are handed to it as copies: a representation stays
        what it is, and what timesteps share stays the same for all. Layers keep working in place, because a backbone
        may use what they leave behind.

        Args:
            images: e_0, of the configuration's input size.

        Returns:
            The drive of each PCoder and the value at each spot, in the order in which they were there, and the logits.

        Raises:
            RepeatedModuleError: A module does not run exactly once.
        """
        drives: dict[int, Any] = {}
        versions: dict[int | str, int] = {}

        def note(index: int, drive: Any) -> Any:
            drives[index] = drive
            if isinstance(drive, Tensor):
                versions[index] = drive._version  # noqa: SLF001  # PyTorch has no public way to ask
            return drive

        versions["images"] = images._version  # noqa: SLF001
        shared = self.prepare(images)
        versions.update({name: v._version for name, v in shared.items() if isinstance(v, Tensor)})  # noqa: SLF001
        logits = self.run_timestep(shared, note)
        after = {"images": images, **shared, **drives}
        self._overwritten = frozenset(key for key, version in versions.items() if after[key]._version != version)  # noqa: SLF001
        return drives, logits

    def refuse_hooks(self) -> None:
        """Refuse hooks on modules that do not run as modules at every timestep: these would fire never, or once."""

    @contextmanager
    def watched(self, names: Sequence[str], watch: Watch) -> Generator[Backbone]:
        """Show the outputs of some modules each time that they are computed.

        Args:
            names: Names of modules of the backbone, blocks and containers among them.
            watch: Called with a module's name and its output.

        Yields:
            What is to be run in place of this backbone; it gives the same numbers.

        Raises:
            UnknownNameError: There is no such module.
        """
        with watched_runs(self.module, names, watch) as left:
            yield self._showing(left)

    def _showing(self, modules: dict[int, list[str]]) -> Backbone:
        """Return this backbone with the outputs of some modules shown; those left in the table are shown by hooks."""
        del modules
        return self

    def train(self, mode: bool = True) -> Self:
        """Stay in evaluation mode whatever is asked: batch statistics are never touched."""
        del mode
        return super().train(mode=False)

    def _handed_on(self, key: int | str, value: Any) -> Any:
        return value.clone() if key in self._overwritten else value

    def _replaced(self, index: int, drive: Tensor, replace: Replace) -> Tensor:
        return self._handed_on(index, replace(index, drive))


def all_modules(module: nn.Module) -> dict[str, nn.Module]:
    """Return every module under every name that it has."""
    named = cast("Iterable[tuple[str, nn.Module]]", module.named_modules(remove_duplicate=False))
    return dict(named)
