"""Processes and devices of a training, by Lightning Fabric."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

from pcbench.errors import MissingExtraError, UsageError


def launch(work: Callable[..., Any], *arguments: Any, processes: int = 1, device: str = "auto") -> Any:
    """Run work in one process or in several that share it.

    Args:
        work: Called as ``work(fabric, *arguments)`` in every process; for several processes it and its arguments
            can be pickled, and each process builds its own network.
        arguments: Passed to `work`.
        processes: Number of processes; one for each GPU.
        device: ``"cpu"``, ``"cuda"`` or ``"auto"``.

    Returns:
        The result of the work in the first process.

    Raises:
        MissingExtraError: Lightning Fabric is not installed.
        UsageError: The number of processes is smaller than 1.
    """
    if processes < 1:
        raise UsageError(f"the number of processes is at least 1 (got {processes})")
    try:
        from lightning_fabric import Fabric
    except ImportError:
        raise MissingExtraError("Lightning Fabric", "training") from None
    several = processes > 1
    fabric = Fabric(accelerator=device, devices=processes, strategy="ddp_spawn" if several else "auto")
    # Passed as one function, because Fabric would take frozen arguments apart to look for tensors in them.
    return fabric.launch(partial(_call, work=work, arguments=arguments)) if several else work(fabric, *arguments)


def _call(fabric: Any, *, work: Callable[..., Any], arguments: tuple[Any, ...]) -> Any:
    from torch import distributed

    result = work(fabric, *arguments)
    # A process that ends while it still belongs to the group is sometimes aborted by its own threads, and the training
    # is lost with it. No process ends before all are done.
    fabric.barrier()
    distributed.destroy_process_group()
    return result
