"""Whether shards can be merged: all there, none under way, of one run, in agreement, on one kind of machine."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

from pcbench.errors import DataError, RunError, UsageError
from pcbench.harness.blocks import Unit
from pcbench.harness.plan import Plan
from pcbench.harness.saved_plan import open_plan
from pcbench.harness.saved_units import units_sha256
from pcbench.harness.shard_folders import ShardFolder, array_list
from pcbench.harness.shares import shares
from pcbench.harness.work.answers import refuse_other_answers
from pcbench.limits.text import read_text
from pcbench.results.directory import LOCATIONS, SHARD_MANIFEST
from pcbench.results.integrity import changed_sentence, changes, refuse_links_out
from pcbench.results.parts import Part, PartError
from pcbench.results.run_spec import differences
from pcbench.results.shard import PLAN_FOLDER, Shard, open_shard

_SHOWN = 3
_AGAIN = "run it again with again=True"


@dataclass(frozen=True)
class Merged:
    """The parts of all shards of a run, as if they lay in one folder."""

    shards: tuple[Shard, ...]
    """The shards, by number."""
    plan: Plan
    """The plan of the whole run, without places."""
    failures: tuple[tuple[Unit, str], ...]
    """The units that no shard could do, each with the reason."""
    holders: Mapping[str, Shard]
    """The shard that has the part of a unit, by the unit's path."""
    marks: tuple[str, ...] = ()
    """What marks the run, because it is made of shards that were changed."""

    def read_part(self, unit: str) -> Part:
        """Read the part of the unit of this path.

        Raises:
            DataError: It is missing or damaged.
        """
        shard = self.holders[unit]
        try:
            return shard.read_part(unit)
        except PartError as error:
            raise DataError(f"{error}; run shard {shard.number} of {shard.of} again with again=True") from error

    @property
    def locations(self) -> str:
        """What `locations.toml` says: where the first shard was made and where its files were."""
        path = self.shards[0].folder / LOCATIONS
        try:
            return read_text(path)
        except OSError:
            return "# The shards do not say where they were made.\n"


def checked(
    found: Sequence[ShardFolder], *, mixed_machines: bool, allow_missing: bool, allow_changed: bool = False
) -> Merged:
    """Return the parts of all shards, once everything that can be wrong with them was looked for.

    Args:
        found: The shards' folders.
        mixed_machines: Accept parts of different kinds of machines.
        allow_missing: Accept that units of the shards failed.
        allow_changed: Accept that files of shards were changed since they were made, where they can be read.

    Raises:
        UsageError: Shards are missing, under way, given twice, of different runs, or of different machines.
        DataError: A manifest or the saved plan is damaged, a file was changed, or a link leads out of a shard's folder.
        RunError: Units failed.
    """
    _refuse_under_way(found)
    finished = [one.folder for one in found if one.is_finished]
    for folder in finished:
        refuse_links_out(folder)
    opened = sorted((open_shard(folder, verify=False) for folder in finished), key=_order)
    if not opened:
        raise UsageError(f"no shard is finished ({len(found)} begun); the commands that began them continue them")
    _refuse_twice(opened)
    _refuse_other_keys(opened)
    plan = _plan(opened)
    holders = _holders(opened, plan)
    failures = _failures(opened, holders, plan)
    _refuse_missing(found, opened, plan, {*holders, *(unit.path for unit, _ in failures)})
    if failures and (plan.spec.extraction is not None or not allow_missing):
        raise _failed(failures, plan)
    if not mixed_machines:
        _refuse_mixed(opened)
    return Merged(tuple(opened), plan, tuple(failures), holders, _marks(opened, allow_changed=allow_changed))


def _marks(opened: Sequence[Shard], *, allow_changed: bool) -> tuple[str, ...]:
    """Return the note that marks a run made of changed shards; none where all files are as they were.

    Raises:
        DataError: A file is missing or was changed, and that is not accepted.
    """
    found: list[str] = []
    for shard in opened:
        changed = changes(shard.folder, shard.manifest, SHARD_MANIFEST)
        if changed and not allow_changed:
            raise DataError(
                f"{shard.folder}: {changed[0]} since the run; run shard {shard.number} of {shard.of} again with "
                "again=True, or merge all the same with allow_changed=True, which marks the run"
            )
        found += (f"{what} in shard {shard.number} of {shard.of}" for what in changed)
    return (changed_sentence(found),) if found else ()


def _order(shard: Shard) -> tuple[int, int]:
    return shard.of, shard.number


def _refuse_under_way(found: Sequence[ShardFolder]) -> None:
    held = [one for one in found if one.holder is not None]
    if held:
        more = f" (and {len(held) - 1} more)" if len(held) > 1 else ""
        who = "" if held[0].holder is None else held[0].holder.sentence
        raise UsageError(f"{held[0].folder} is being written ({who}){more}; wait for it, or stop it")


def _refuse_twice(opened: Sequence[Shard]) -> None:
    for first, second in pairwise(opened):
        if _order(first) == _order(second):
            name = f"shard {first.number} of {first.of}"
            raise UsageError(f"{name} is given twice, in {first.folder} and in {second.folder}; give one of them")


def _refuse_other_keys(opened: Sequence[Shard]) -> None:
    first = opened[0]
    for other in opened[1:]:
        if other.key != first.key:
            named = "; ".join(map(str, differences(first.spec.counting(), other.spec.counting())))
            what = named or "their descriptions are of different versions"
            raise UsageError(
                f"{first.folder} and {other.folder} are of different runs ({what}); merge those of one run"
            )
        if other.units_sha256 != first.units_sha256:
            versions = " and ".join(str(each.spec.versions.get("pcbench")) for each in (first, other))
            raise UsageError(
                f"{first.folder} and {other.folder} were planned by different versions of pcbench ({versions}), which "
                "share out units differently; make all shards by one version"
            )


def _plan(opened: Sequence[Shard]) -> Plan:
    """Return the plan that the shards hold: the first one that is whole."""
    damaged: DataError | None = None
    for shard in opened:
        try:
            plan = open_plan(shard.folder / PLAN_FOLDER).plan()
        except DataError as error:
            damaged = damaged or error
            continue
        if plan.spec.key() == shard.key and units_sha256(plan.units) == shard.units_sha256:
            return plan
        damaged = damaged or DataError(f"{shard.folder}: its plan is another run's; {_AGAIN}")
    raise damaged or DataError(f"{opened[0].folder}: holds no plan; {_AGAIN}")


def _holders(opened: Sequence[Shard], plan: Plan) -> dict[str, Shard]:
    """Return the shard that has each part; where several have one, the first, once they are seen to agree."""
    question = None if plan.question is None else plan.question.path
    planned = {unit.path for unit in plan.units}
    found: dict[str, Shard] = {}
    digests: dict[str, str] = {}
    for shard in opened:
        for path, digest in shard.parts.items():
            if path == question and path in found:
                _refuse_other_networks(path, found[path], shard)
            elif path in found:
                if digests[path] != digest:
                    _refuse_disagreeing(path, found[path], shard)
            elif path in planned or path == question:
                found[path], digests[path] = shard, digest
    return found


def _refuse_other_networks(path: str, first: Shard, second: Shard) -> None:
    try:
        refuse_other_answers(first.read_part(path).table, second.read_part(path).table)
    except DataError:
        raise
    except UsageError as error:
        said = str(error).partition(":")[0]
        raise UsageError(f"{first.folder} and {second.folder} are of different networks: {said}") from error


def _refuse_disagreeing(path: str, first: Shard, second: Shard) -> None:
    """Refuse two parts of one unit that differ in more than the machine that made them."""
    one, other = first.read_part(path), second.read_part(path)
    if not one.table.equals(other.table) or dict(one.files) != dict(other.files):
        raise UsageError(
            f"{first.folder} and {second.folder} both hold {path}, and disagree; merge one of the two, or compute the "
            "wrong one again with again=True"
        )


def _failures(opened: Sequence[Shard], holders: Mapping[str, Shard], plan: Plan) -> list[tuple[Unit, str]]:
    """Return the units that failed in a shard and that no other shard has, in the order of the plan."""
    reasons = {path: why for shard in opened for path, why in shard.failures.items()}
    return [(unit, reasons[unit.path]) for unit in plan.units if unit.path in reasons and unit.path not in holders]


def _refuse_missing(found: Sequence[ShardFolder], opened: Sequence[Shard], plan: Plan, known: set[str]) -> None:
    """Refuse an incomplete set of shards, with the numbers of those that are missing as Slurm takes them."""
    if all(unit.path in known for unit in plan.units):
        return
    of = Counter(shard.of for shard in opened).most_common(1)[0][0]
    missing = [
        number
        for number, share in enumerate(shares(plan.units, of), start=1)
        if any(unit.path not in known for unit in share)
    ]
    here = {shard.number for shard in opened if shard.of == of}
    if here.intersection(missing):
        number = min(here.intersection(missing))
        folder = next(shard.folder for shard in opened if (shard.of, shard.number) == (of, number))
        raise DataError(f"{folder}: not all parts of its units are there; {_AGAIN}")
    stopped = sum(
        one.named is not None and one.named.of == of and one.named.number in missing and not one.is_finished
        for one in found
    )
    note = f" ({stopped} of them were stopped, and go on where they are)" if stopped else ""
    command = f"--shard {missing[0]}/{of}{' and so on' if len(missing) > 1 else ''}"
    words = f"run them with {command}, or in Slurm with {array_list(missing)}"
    raise UsageError(f"{len(missing)} of {of} shards are missing{note}: {words}")


def _failed(failures: Sequence[tuple[Unit, str]], plan: Plan) -> RunError:
    shown = "; ".join(f"{unit.condition_title}, {unit.block.words}: {why}" for unit, why in failures[:_SHOWN])
    more = f" (and {len(failures) - _SHOWN} more)" if len(failures) > _SHOWN else ""
    # The arrays of an extraction have a place for every image.
    without = "" if plan.spec.extraction is not None else ", allow_missing=True merges without them"
    return RunError(
        f"{len(failures)} units of the shards failed: {shown}{more}; the commands of their shards try them again"
        f"{without}"
    )


def _refuse_mixed(opened: Sequence[Shard]) -> None:
    kinds = sorted({kind for shard in opened for kind in shard.machines})
    if len(kinds) > 1:
        raise UsageError(
            f"the shards were made on different kinds of machines ({_shares_of(opened, kinds)}), where the last bits "
            "of numbers differ: merge them all the same with mixed_machines=True, which the results record"
        )


def _shares_of(opened: Sequence[Shard], kinds: Sequence[str]) -> str:
    def words() -> Iterator[str]:
        for kind in kinds:
            numbers = [shard.number for shard in opened if kind in shard.machines]
            yield f"{kind}: shard{'s' if len(numbers) > 1 else ''} {array_list(numbers).removeprefix('--array=')}"

    return ", ".join(words())
