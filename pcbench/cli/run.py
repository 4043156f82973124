"""`pcbench run`: measure a network under corruptions and attacks, timestep by timestep."""

from __future__ import annotations

import logging
import sys
from collections.abc import Collection

from pcbench.cli.arguments import AsJson
from pcbench.cli.saying import LogLine
from pcbench.harness.request import RunOptions, request_from


def run_command(options: RunOptions, given: Collection[str], as_json: AsJson = False) -> None:
    """Measure how robust a network is at every timestep.

    Without options: the pdigits network on scikit-learn's handwritten digits, corrupted and attacked.
    """
    if options["dry_run"]:
        from pcbench.cli.plan import show_estimate
        from pcbench.harness.forecast import forecast

        show_estimate(forecast({name: options[name] for name in given if name != "dry_run"}), as_json=as_json)
        return
    from pcbench.harness.start import start

    request = request_from({name: options[name] for name in given})
    log_progress()
    finished = start(request)

    from pcbench.cli.run_table import print_shard, print_summary
    from pcbench.results.shard import Shard

    if isinstance(finished, Shard):
        print_shard(finished, as_json=as_json)
    else:
        print_summary(finished, as_json=as_json)


class _Line(LogLine):
    """A line that names options as the command line does."""

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802 - the name is that of `logging`
        """Return the line of a message."""
        from pcbench.cli.main import with_flags  # it imports the verbs, and these import this

        return with_flags(super().formatMessage(record))


def log_progress() -> None:
    """Without a terminal, write our own progress (and no other library's) as lines with the time."""
    logger = logging.getLogger("pcbench")
    if sys.stderr is not None and not sys.stderr.isatty() and not logger.handlers:
        handler = logging.StreamHandler()
        handler.setFormatter(_Line("%(asctime)s %(message)s", datefmt="%H:%M:%S"))
        logger.addHandler(handler)
        logger.setLevel(logger.level or logging.INFO)
