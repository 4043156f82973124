"""The door to a run: its lock is taken before anything heavy is imported, so that it is seen at once."""

from __future__ import annotations

import shlex
import sys
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pcbench.files import real_path
from pcbench.harness.request import Request, request_from
from pcbench.results.lock import announce, hold

if TYPE_CHECKING:
    from pcbench.results.directory import Run

DEFAULT_FOLDER = Path("results") / "runs"


def run(model: Any = "pdigits", suites: tuple[str, ...] | list[str] | str = (), **options: Any) -> Run:
    """Measure how robust a network is at every timestep.

    Args:
        model: A zoo name, ``"module:function"``, or a `torch.nn.Module` that gives logits (batch, classes) or
            (T + 1, batch, classes) for images in [0,1].
        suites: Names of suites, or folders of suites of your own.
        **options: See `pcbench.harness.request.Request`: `data`, `images`, `timesteps`, `seed`, `out`, ….

    Returns:
        The finished run; `run.metrics` is a pandas DataFrame, `run.folder` holds everything.

    Raises:
        UsageError: Something asked for cannot be done; nothing was computed.
        RunError: The run failed on the way; what was finished is kept and taken up again.
    """
    named = (suites,) if isinstance(suites, str) else tuple(suites)
    return start(request_from({"model": model, "suites": named, **options}))


def start(request: Request) -> Run:
    """Do what a request asks for; see `run`.

    Raises:
        HeldError: Another process is at work on the same run.
        UsageError, RunError: As for `run`.
    """
    command = shlex.join(sys.argv)
    with ExitStack() as stack:
        out = None if request.out is None else real_path(Path(request.out))
        if out is not None:
            stack.enter_context(hold(out, command))
        else:
            stack.enter_context(announce(DEFAULT_FOLDER, _words(request)))
        # PyTorch and what else a run needs takes seconds to import.
        from pcbench.harness.plan import make_plan
        from pcbench.harness.run import execute

        plan = make_plan(request)
        final = real_path(DEFAULT_FOLDER / plan.spec.name()) if out is None else out
        if out is None:
            stack.enter_context(hold(final, command))
        return execute(request, plan, final)


def _words(request: Request) -> str:
    model = request.model if isinstance(request.model, str) else type(request.model).__name__
    return f"{model} on {', '.join(request.suites) or 'its own suites'}"
