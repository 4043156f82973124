"""The command line: whatever the arguments, it ends with exit code 0, 1 or 2, and in one line where it refuses."""

from __future__ import annotations

import contextlib
import io
import os
import shlex
from pathlib import Path
from random import Random

from fuzz import saved
from fuzz.mutations import LONG, WRONG
from fuzz.trial import Reader

from pcbench.cli.main import main
from pcbench.errors import PcbenchError

LINES = """
run --model pdigits --data digits --images 4 --suite digits-c --timesteps 1 --dry-run
run --config given/run.toml --dry-run --epsilons 8/255 --seed 3 --workers 1 --threads 1
plan --model pdigits --images 8 --suite digits-linf --shards 4
list suites
list models
report given/run --out given/out
figure given/run accuracy --out given/out.svg
export given/run --format csv --out given/out
export given/run --format robustbench-like
show given/run
status given
status
compare given/run given/run
check given/run --against given/run.npz --tolerated 0.1 --alpha 0.05
freeze given/run --out given/x.npz
merge given/shards --out given/merged
predify torchvision:resnet18 --config given/network.toml
train --model pdigits --epochs 1 --out given/trained --images 0
tune --model pdigits --weights given/weights.safetensors
study given/study.toml
baseline given/run --suite two --timestep 1 --out given/baseline.toml
agreement --model pdigits --help
--version
""".strip().splitlines()


class ExitError(PcbenchError):
    """The command line ended as it should, and refused."""


def _lines(folder: Path) -> None:
    saved._former_run(folder / "run")
    for number, line in enumerate(LINES):
        (folder / f"{number:02}.line").write_text("\0".join(shlex.split(line)), encoding="utf-8")


def words_wrong(content: bytes, choice: Random) -> bytes:
    """Return arguments of which one is wrong, missing, doubled, or of another verb."""
    words = content.decode().split("\0")
    others = shlex.split(choice.choice(LINES))
    for _ in range(choice.choice([1, 1, 2])):
        place = choice.randrange(len(words))
        one = choice.choice([one for one in WRONG if isinstance(one, str | int | float)])
        wrong = (
            "9" * 5000
            if one == LONG
            else str(one)
            if not isinstance(one, int) or abs(one) < 10**400
            else "1" + "0" * 400
        )
        match choice.choice(["replace", "replace", "remove", "double", "insert", "swap", "glued"]):
            case "replace":
                words[place] = wrong
            case "remove" if len(words) > 1:
                del words[place]
            case "double":
                words.insert(place, words[place])
            case "insert":
                words.insert(place, choice.choice([wrong, choice.choice(others), "--", "-h", "--debgu", "@x"]))
            case "swap":
                words[place] = choice.choice(others)
            case _:
                words[place] = f"{words[place]}={wrong}"
    return "\0".join(words).encode("utf-8", "surrogatepass")


def _read_line(folder: Path) -> None:
    """Read the one file of arguments that is not as it was."""
    for number, line in enumerate(LINES):
        content = (folder / f"{number:02}.line").read_bytes()
        if content != "\0".join(shlex.split(line)).encode():
            _run(folder, [os.fsdecode(word).replace("\0", "") for word in content.split(b"\0")])


def _run(folder: Path, words: list[str]) -> None:
    if words[:1] in (["run"], ["train"], ["tune"], ["study"], ["agreement"]) and not {
        "--dry-run",
        "--help",
    } & {*words}:
        words = [*words, "--dry-run"]  # what computes is not read here
    before = Path.cwd()
    out, errors = io.StringIO(), io.StringIO()
    os.chdir(folder.parent)
    try:
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(errors):
            main(words)
        code = 0
    except SystemExit as end:
        code = end.code
    finally:
        os.chdir(before)
    told = errors.getvalue()
    assert code in (0, 1, 2), f"exit code {code}"
    assert "Traceback" not in told, told
    assert "this is a bug of pcbench" not in told, told
    if code != 0 and told:
        assert len(told.strip().splitlines()) == 1, told
        raise ExitError(f"given: {' '.join(told.split())}"[:1400])


READERS = [Reader("arguments of the command line", _lines, "*.line", _read_line, wrong=words_wrong, weight=2)]
