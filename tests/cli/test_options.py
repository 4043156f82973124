"""Oracle: what stands in the configuration files, and the options that reach the verb; runs are told apart by keys."""

from __future__ import annotations

import dataclasses
import inspect
import json
import re
import shlex
import shutil
import subprocess
import tomllib
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Annotated, Any

import pytest
import typer
from annotated_types import Ge, Le
from PIL import Image
from typing_extensions import TypedDict

import pcbench
from pcbench.catalog import catalog_folder
from pcbench.cli.main import app as main_app
from pcbench.cli.options import as_flags, with_options
from pcbench.cli.options_page import VERBS, options_page
from pcbench.data.preprocessing import Preprocessing
from pcbench.data.sources import open_source
from pcbench.errors import DefinitionError, UnknownNameError, UsageError
from pcbench.harness.origin import locations_text, origin
from pcbench.harness.plan import make_plan
from pcbench.harness.request import RunOptions, request_from
from pcbench.options import Option, chosen, command_line, config_text, declared, read_config, resolved
from pcbench.results.directory import open_run

Call = Callable[..., int]
GIT = shutil.which("git") or "git"


class Small(TypedDict):
    """A declaration with an option of each kind."""

    name: Annotated[str, Option("A name.", "One", "it", flags=("--name", "-n"))]
    sizes: Annotated[Sequence[int] | None, Option("Not on the command line.", "One", in_shell=False)]
    count: Annotated[int, Ge(1), Le(9), Option("A number.", "One", 1)]
    fast: Annotated[bool, Option("Quickly.", "Two", default=False)]


def small_app(seen: list[dict[str, Any]]) -> typer.Typer:
    def verb(word: Annotated[str, typer.Argument()], options: Small) -> None:
        seen.append({"word": word, **options})

    app = typer.Typer(add_completion=False)
    app.command("verb")(with_options("verb", verb))
    app.command("other")(lambda: None)
    return app


def asked(*words: str) -> dict[str, Any]:
    """The values that the verb gets."""
    seen: list[dict[str, Any]] = []
    small_app(seen)(args=["verb", *words], standalone_mode=False)
    (found,) = seen
    return found


def test_the_verb_gets_what_was_given_and_the_defaults_of_the_rest() -> None:
    assert asked("w") == {"word": "w", "name": "it", "sizes": None, "count": 1, "fast": False}
    assert asked("w", "-n", "x", "--count", "2", "--fast") == {
        "word": "w",
        "name": "x",
        "sizes": None,
        "count": 2,
        "fast": True,
    }


def test_the_command_line_wins_over_the_file(tmp_path: Path) -> None:
    file = tmp_path / "small.toml"
    file.write_text('name = "from the file"\ncount = 3\nfast = true\nsizes = [1]\n')
    expected = {"word": "w", "name": "from the file", "count": 2, "fast": False, "sizes": (1,)}
    assert asked("w", "--config", str(file), "--count", "2", "--no-fast") == expected


def test_what_was_given_is_saved_as_it_is_read_again(tmp_path: Path) -> None:
    file = tmp_path / "saved.toml"
    given = asked("w", "--fast", "--name", 'a "quoted" name\\', "--save-config", str(file))
    assert file.read_text() == (
        '# pcbench verb --config saved.toml\n\n# One\nname = "a \\"quoted\\" name\\\\"\n\n# Two\nfast = true\n'
    )
    assert read_config(Small, file) == {"name": 'a "quoted" name\\', "fast": True}
    assert given == asked("w", "--config", str(file))


@pytest.mark.parametrize("name", ["a\x7fb", "a\x00\x01\x1f\x85b", "tab\tnew\nline\r", "é\u2028𝄞", '"""', "# no"])
def test_every_character_of_a_path_comes_back_from_the_file(name: str, tmp_path: Path) -> None:
    # Oracle: the reader of TOML in Python's own library, which refuses control characters that are not escaped.
    text = config_text(RunOptions, {"weights": Path(name), "suites": (name,)}, remarks=[name])
    (tmp_path / "odd.toml").write_text(text, encoding="utf-8")
    assert read_config(RunOptions, tmp_path / "odd.toml") == {"weights": str(Path(name)), "suites": [name]}
    told = origin(request_from({"data": f"imagefolder:/secret/{name}"}))["options"]
    assert told == {"data": f"imagefolder:{Path(name).name}"}
    places = locations_text(request_from({"data": f"imagefolder:/secret/{name}"}))
    assert tomllib.loads(places)["options"] == {"data": f"imagefolder:/secret/{name}"}


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("cuont = 1", "option 'cuont' does not exist; did you mean 'count'?"),
        ("count = [", "is not TOML"),
        ("count = 10", "`count` is a whole number from 1 to 9 (got 10)"),
        ('fast = "yes"', "`fast` is True or False (got 'yes')"),
        (None, "cannot be read"),
    ],
)
def test_a_wrong_file_is_named_with_the_remedy(tmp_path: Path, text: str | None, says: str) -> None:
    if text is not None:
        (tmp_path / "small.toml").write_text(text)
    with pytest.raises(DefinitionError) as error:
        asked("w", "--config", str(tmp_path / "small.toml"))
    assert str(error.value).startswith(f"{tmp_path / 'small.toml'}: ")
    assert says in str(error.value)


@pytest.mark.parametrize("values", [{"count": 0}, {"count": 10}, {"count": True}, {"count": "three"}, {"name": 3.5}])
def test_a_wrong_value_is_refused(values: dict[str, Any]) -> None:
    with pytest.raises(UsageError, match=next(iter(values))):
        resolved(Small, values)


def test_words_are_known_or_the_nearest_is_named() -> None:
    with pytest.raises(UnknownNameError, match="gradient 'exakt' does not exist; did you mean 'exact'"):
        request_from({"gradient": "exakt"})


def test_what_is_chosen_is_what_differs_from_the_defaults_and_gives_the_same_request() -> None:
    request = request_from({"suites": "digits-c", "seed": 0, "images": 4, "out": "x", "checks": False})
    found = chosen(RunOptions, request)
    assert found == {"suites": ("digits-c",), "images": 4, "checks": False}
    assert request_from({**found, "out": "x"}) == request
    text = config_text(RunOptions, found, remarks=["One"])
    assert request_from({**tomllib.loads(text), "out": "x"}) == request


def test_the_command_gives_the_same_request(call: Call, monkeypatch: pytest.MonkeyPatch) -> None:
    options = {
        "model": "pvgg16",
        "suites": ("a", "b"),
        "epsilons": ("1/255", "0.5"),
        "gradient": "stop_error",
        "bracketing": False,
        "compiled": True,
        "weights": Path("w x.safetensors"),
    }
    seen: list[Any] = []
    monkeypatch.setattr("pcbench.harness.start.start", seen.append)
    monkeypatch.setattr("pcbench.cli.run_table.print_summary", lambda *_, **__: None)
    words = command_line(RunOptions, options, verb="run")
    assert "--gradient stop-error" in words
    assert "--suite a --suite b --epsilons 1/255,0.5" not in words  # the declaration's order
    assert call(*shlex.split(words)[1:]) == 0
    assert seen == [request_from(options)]


def test_every_option_of_the_command_line_is_declared_with_help_and_a_heading() -> None:
    for one in declared(RunOptions).values():
        assert one.option.help.endswith((".", "…", ".)"))
        assert one.option.group


@pytest.mark.parametrize(
    ("message", "spelled"),
    [
        ("give data='imagefolder:PATH'; else", "give --data imagefolder:PATH; else"),
        ("`block_size` is a multiple of `batch_size`", "--block-size is a multiple of --batch-size"),
        ("again=True, checks=False or bracketing=False", "--again, --no-checks or --no-bracketing"),
        ("name `suites`, or compiled=True", "name --suite, or --compile"),
        ("use timesteps=0, or model='a b'.", "use --timesteps 0, or --model a b."),
        ("`nothing` of ours, x=1", "`nothing` of ours, x=1"),
        ("is needed: give against=…", "is needed: give --against …"),
    ],
)
def test_the_command_line_spells_options_its_own_way(message: str, spelled: str) -> None:
    assert as_flags(message, typer.main.get_command(main_app)) == spelled


def test_a_message_speaks_to_whoever_asked(call: Call, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(UsageError, match="give data='imagenet:PATH', the folder"):
        pcbench.run("pvgg16", ["imagenet-c"], random_predictors=0)
    assert call("run", "--model", "pvgg16", "--suite", "imagenet-c", "--random-predictors", 0) == 2
    assert "give --data imagenet:PATH, the folder" in capsys.readouterr().err


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of the user's under Git, with images and a suite in other folders."""
    digits = open_source("digits", preprocessing=Preprocessing(), split="test").take(20)
    pixels = digits.load(range(20)).permute(0, 2, 3, 1).numpy().astype("uint8")
    for number, label in enumerate(digits.labels.tolist()):
        path = tmp_path / "secret" / "pictures" / str(label) / f"{number}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(pixels[number]).save(path)
    for label in range(10):
        (tmp_path / "secret" / "pictures" / str(label)).mkdir(exist_ok=True)
    suite = tmp_path / "secret" / "corruptions" / "one"
    suite.mkdir(parents=True)
    (suite / "suite.toml").write_text('version = 1\ntitle = "One"\nsource = "this test"\n')
    catalogue = catalog_folder("corruptions") / "digits-c"
    shutil.copy(catalogue / "contrast.toml", suite)
    work = tmp_path / "work"
    work.mkdir()
    monkeypatch.chdir(work)
    monkeypatch.setattr("pcbench.harness.run._write_report", lambda *_: None)
    for words in (["init", "-q"], ["add", "."], ["commit", "-q", "--allow-empty", "-m", "first"]):
        subprocess.run([GIT, "-c", "user.name=A", "-c", "user.email=a@b.c", *words], check=True)
    return work


def test_a_finished_run_gives_its_configuration_back_and_publishes_no_folder(
    folder: Path, call: Call, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["run", "--data", f"imagefolder:{folder.parent / 'secret' / 'pictures'}", "--timesteps", 1, "--images", 10]
    words += ["--suite", "../secret/corruptions/one", "--threads", 1, "--batch-size", 10]
    assert call(*words, "--out", "out", "--save-config", "saved.toml") == 0
    run = open_run("out")
    manifest = Path("out/manifest.json").read_text()
    assert "secret" not in manifest
    assert str(folder.parent) not in manifest
    assert run.manifest["command"] == (
        "pcbench run --suite one --data imagefolder:pictures --images 10 --timesteps 1 --batch-size 10 --threads 1"
    )
    head = subprocess.run([GIT, "rev-parse", "HEAD"], capture_output=True, text=True, check=True).stdout.strip()
    assert run.manifest["revision"] == {"git": head, "changed": False}
    assert "locations.toml" not in json.loads(manifest)["files"]

    capsys.readouterr()
    assert call("show", "out", "--config") == 0
    Path("again.toml").write_text(capsys.readouterr().out)
    for file in ("again.toml", "saved.toml"):
        assert call("run", "--config", file, "--out", "out") == 0
        assert "found " in capsys.readouterr().out
    assert call("run", "--config", "again.toml", "--out", "other", "--seed", 1) == 0
    assert open_run("other").spec.settings.seed == 1
    assert open_run("other").spec.data == run.spec.data

    Path("out/locations.toml").unlink()
    capsys.readouterr()
    assert call("show", "out", "--config") == 0
    told = capsys.readouterr().out
    assert 'data = "imagefolder:<FOLDER>/pictures"' in told
    assert tomllib.loads(told)["suites"] == ["<FOLDER>/one"]
    assert "secret" not in told
    assert call("show", "out") == 0
    assert "found out" in capsys.readouterr().out


def test_a_run_is_repeated_from_its_configuration_when_defaults_are_others(
    tmp_path: Path, call: Call, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    # Oracle: the key, and the run that is found again instead of being computed; here every option that counts has
    # another default by then.
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("pcbench.harness.run._write_report", lambda *_: None)
    assert call("run", "--images", 4, "--suite", "gaussian-noise", "-T", 1, "--threads", 1, "--out", "out") == 0
    capsys.readouterr()
    assert call("show", "out", "--config") == 0
    Path("again.toml").write_text(capsys.readouterr().out)
    others = {"model": "pvgg16", "data": "imagefolder:/nowhere", "epsilons": ("0",), "jpeg_quality": 1}
    others |= {"timesteps": 3, "batch_size": 7, "block_size": 7, "checks": True, "device": "cuda", "seed": 9}
    changed = {}
    for name, one in declared(RunOptions).items():
        default = not one.option.default if one.kinds == (bool,) else others.get(name, one.option.default)
        changed[name] = dataclasses.replace(one, option=dataclasses.replace(one.option, default=default))
    for name in ("epsilons", "jpeg_quality"):
        changed[name] = declared(RunOptions)[name]  # a file cannot say that there are none
    monkeypatch.setattr("pcbench.options.declared", lambda one: changed if one is RunOptions else declared(one))
    assert request_from({})["plain_sweep"] is True
    request = request_from({**read_config(RunOptions, Path("again.toml")), "out": "out"})
    assert make_plan(request).spec.key() == open_run("out").key


class Odd:
    """Images that compare themselves with anything in a way of their own, as arrays do."""

    def __ne__(self, other: object) -> bool:
        raise ValueError("the truth value is ambiguous")

    def __eq__(self, other: object) -> bool:
        raise ValueError("the truth value is ambiguous")

    __hash__ = None  # type: ignore[assignment]


def test_an_object_of_python_is_named_by_its_type_and_has_no_place() -> None:
    options = request_from({"data": Odd(), "images": 4, "weights": "/somewhere/w.safetensors"})
    told = origin(options)
    assert told["options"] == {"data": "<Odd>", "images": 4, "weights": "w.safetensors"}
    assert told["command"] == "pcbench run --data '<Odd>' --images 4 --weights w.safetensors"
    assert tomllib.loads(locations_text(options))["options"] == {"weights": "/somewhere/w.safetensors"}


@pytest.mark.parametrize(
    ("name", "value", "named"),
    [
        ("model", "configs/mine.toml@torchvision:vgg16", "mine.toml@torchvision:vgg16"),
        ("model", "robustbench:cifar10/Linf/Standard", "robustbench:cifar10/Linf/Standard"),
        ("model", "module:function", "module:function"),
        ("data", "imagenet:/data/imagenet/", "imagenet:imagenet"),
        ("data", "digits", "digits"),
        ("data", "torchvision:CIFAR10", "torchvision:CIFAR10"),
        ("suites", ("digits-c", "mine/corruptions/own"), ["digits-c", "own"]),
        ("epsilons", ("1/255", 0.5), ("1/255", 0.5)),
    ],
)
def test_the_manifest_names_places_without_their_folders(name: str, value: Any, named: Any) -> None:
    found = origin(request_from({"model": "pvgg16", name: value}))["options"]
    assert found == {"model": "pvgg16", name: named}


def test_the_page_holds_every_option_of_every_verb() -> None:
    verbs = typer.main.get_command(main_app).commands  # type: ignore[attr-defined]
    for verb, declaration in VERBS.items():
        section = options_page().split(f"## `pcbench {verb}`\n")[1].split("\n## ")[0]
        assert re.findall(r"^\| `(\w+)`", section, flags=re.MULTILINE) != []
        listed = set(re.findall(r"^\| `(\w+)`", section, flags=re.MULTILINE))
        if verb in ("plan", "extract"):  # they take run's, which stand above, but those that they name
            without = re.findall(r"`(\w+)`", section.split("All options of `pcbench run`")[1].split(", and these")[0])
            assert not listed & set(declared(RunOptions))
            listed |= set(declared(RunOptions)) - set(without)
            section += options_page().split("## `pcbench run`\n")[1].split("\n## ")[0]
        assert listed == set(declared(declaration))
        flags = {flag for one in verbs[verb].params for flag in one.opts if flag.startswith("--") and not one.hidden}
        assert flags - {"--config", "--save-config", "--json"} <= set(re.findall(r"--[a-z-]+", section))


def test_python_has_the_options_of_the_declaration() -> None:
    # Oracle: Python's own reading of the signature.
    parameters = inspect.signature(pcbench.run).parameters.values()
    assert [one.name for one in parameters if one.kind is one.KEYWORD_ONLY] == list(declared(RunOptions))
