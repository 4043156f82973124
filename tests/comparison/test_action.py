"""action.yml. Oracles: a parser of YAML; bash, which reads each step and runs it with a stand-in for pcbench."""

from __future__ import annotations

import os
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[2]
_EXPRESSION = re.compile(r"\$\{\{ (.*?) \}\}")


@pytest.fixture(scope="module")
def action() -> Any:
    return yaml.safe_load((ROOT / "action.yml").read_text(encoding="utf-8"))


def _with_values(text: str, inputs: dict[str, str], outputs: dict[str, str]) -> str:
    """Return a text with its expressions filled in, as GitHub does; those of other kinds stay empty."""

    def value(match: re.Match[str]) -> str:
        kind, _, name = match[1].partition(".")
        return inputs[name] if kind == "inputs" else outputs.get(match[1].rpartition(".")[2], "")

    return _EXPRESSION.sub(value, text)


def test_every_expression_names_what_is_there_and_none_stands_in_a_script(action: Any) -> None:
    steps = {step["id"] for step in action["runs"]["steps"] if "id" in step}
    text = (ROOT / "action.yml").read_text(encoding="utf-8")
    for expression in _EXPRESSION.findall(text):
        for kind, name in re.findall(r"(inputs|steps)\.([\w-]+)", expression):
            assert name in (action["inputs"] if kind == "inputs" else steps), expression
    # A value of the user's in a script would be run as a part of it.
    assert not any(_EXPRESSION.search(step.get("run", "")) for step in action["runs"]["steps"])


def test_the_steps_run_pcbench_with_the_words_that_were_given(action: Any, tmp_path: Path) -> None:
    binary = tmp_path / "pcbench" / "environment" / "bin" / "pcbench"
    binary.parent.mkdir(parents=True)
    binary.write_text(f'#!/bin/bash\nprintf "%s|" "$@" >> {tmp_path}/words\necho >> {tmp_path}/words\n')
    binary.chmod(0o755)
    given = {"reference": "my reference.npz", "run": "--model 'mine:a b' --suite linf", "check": "--tolerated 0.02"}
    inputs = {name: str(one.get("default", "")) for name, one in action["inputs"].items()} | given
    outputs: dict[str, str] = {}
    for step in (one for one in action["runs"]["steps"] if "run" in one and "uv venv" not in one["run"]):
        written = tmp_path / "outputs"
        written.write_text("")
        environment = {name: _with_values(text, inputs, outputs) for name, text in step.get("env", {}).items()}
        environment |= {"PATH": os.environ["PATH"], "RUNNER_TEMP": str(tmp_path), "GITHUB_OUTPUT": str(written)}
        command = ["bash", "--noprofile", "--norc", "-eo", "pipefail", "-c", step["run"]]
        subprocess.run(command, env=environment, cwd=tmp_path, check=True)
        outputs |= dict(line.split("=", 1) for line in written.read_text().splitlines())
    run, check = (tmp_path / "words").read_text(encoding="utf-8").splitlines()
    folder = f"{tmp_path}/pcbench/run"
    assert run.split("|")[:-1] == ["run", "--model", "mine:a b", "--suite", "linf", "--out", folder]
    assert check.split("|")[:4] == ["check", folder, "--against", "my reference.npz"]
    assert check.split("|")[-3:-1] == ["--tolerated", "0.02"]


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ("", []),
        ("--model mine:network \\\n  --suite linf\n", ["--model", "mine:network", "--suite", "linf"]),
        ("--data 'imagefolder:my images'", ["--data", "imagefolder:my images"]),
        ('--model mine:network --data "imagefolder:my images', None),
        ("--model-version Tom's --model mine:network", None),
    ],
)
def test_options_are_taken_word_by_word_and_an_open_quote_ends_the_step(
    action: Any, tmp_path: Path, options: str, words: list[str] | None
) -> None:
    binary = tmp_path / "bin" / "pcbench"
    binary.parent.mkdir()
    binary.write_text('#!/bin/bash\nprintf "%s|" "$@"\n')
    binary.chmod(0o755)
    (step,) = (one for one in action["runs"]["steps"] if " run " in one.get("run", ""))
    environment = {"PATH": os.environ["PATH"], "ENVIRONMENT": str(tmp_path), "FOLDER": "out", "OPTIONS": options}
    command = ["bash", "--noprofile", "--norc", "-eo", "pipefail", "-c", step["run"]]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    if words is None:
        assert done.returncode == 2
        assert "the input run has a quote that is not closed" in done.stdout
    else:
        assert done.stdout.split("|")[:-1] == ["run", *words, "--out", "out"]


def test_the_workflow_of_the_documentation_gives_inputs_that_the_action_has(action: Any) -> None:
    page = (ROOT / "docs" / "how_to" / "gate.md").read_text(encoding="utf-8")
    workflow = yaml.safe_load(page.split("```yaml\n")[1].split("```")[0])
    (job,) = workflow["jobs"].values()
    (used,) = (step for step in job["steps"] if "pcbench" in step["uses"])
    assert used["with"].keys() <= action["inputs"].keys()
    assert {name for name, one in action["inputs"].items() if one.get("required")} <= used["with"].keys()
