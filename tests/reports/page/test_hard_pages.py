"""Oracle: what is special about runs that are hard to show, read on their pages in a real Chromium."""

from __future__ import annotations

import io
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import numpy as np
import pytest
from made_runs import made_data, made_run, made_settings, made_spec, made_suite, made_table
from PIL import Image
from playwright.sync_api import Browser, Page
from simulated_runs import write_run

from pcbench.metrics.corruption import THE_FIFTEEN
from pcbench.reports.page.examples import shown_examples
from pcbench.reports.page.page import write_page
from pcbench.results.conditions import Condition
from pcbench.results.directory import Run

LIMIT = 1_000_000
"""The bytes that a page has at most."""
MARKUP = "<script>window.foreign = 1</script>"
SIDE = 224
KINDS = ("clean", *("corrupted",) * 4, *("adversarial", "perturbation") * 2, *("reconstruction",) * 4)
"""The pictures of an image in a run of a suite of corruptions and one of attacks."""


def small(folder: Path, **manifest: Any) -> Run:
    """Write a run on three corruptions; some of its manifest is replaced."""
    run = write_run(folder, "pdigits", 0, corruptions=THE_FIFTEEN[:3])
    return Run(folder, run.spec, run.manifest | manifest)


def with_parts_missing(_: Run, folder: Path) -> Run:
    lost = {"suite": "digits-c", "work": "scores", "condition": "shot_noise, severity 3", "images": "64 to 79"}
    return small(folder, missing=[{**lost, "reason": "a worker was killed"}])


def of_suspicious_gradients(_: Run, folder: Path) -> Run:
    run = small(folder)
    path = folder / "checks.json"
    checks = json.loads(path.read_text(encoding="utf-8"))
    path.write_text(json.dumps([{**one, "verdict": "suspicious", "reasons": ["a rival"]} for one in checks]))
    return run


def with_photographs_of_a_thousand_classes(run: Run, folder: Path) -> Run:
    """The largest simulated run, with images of noise, which packs worse than photographs; one class is markup."""
    shutil.copytree(run.folder, folder, ignore=shutil.ignore_patterns("report"))
    generator = np.random.default_rng(0)
    examples: list[dict[str, Any]] = []
    for number, label in enumerate((MARKUP, "n01440764, a name of a class that is long: tench, Tinca tinca", "999")):
        pictures: list[dict[str, Any]] = []
        for at, kind in enumerate(KINDS):
            name = f"{number}-{at:02}-{kind}.png"
            pixels = generator.integers(0, 256, size=(SIDE, SIDE, 3), dtype=np.uint8)
            Image.fromarray(pixels).save(folder / "examples" / name, compress_level=1)
            seen = {str(t): label for t in range(3)} if kind in ("clean", "corrupted", "adversarial") else {}
            picture = {"file": name, "kind": kind, "title": f"{kind} {at}", "predictions": seen}
            pictures.append(picture | {"probabilities": dict.fromkeys(seen, 0.001)})
        examples.append({"image_id": f"val-{number}", "label": label, "pictures": pictures})
    index = {"examples_version": 1, "examples": examples}
    (folder / "examples" / "index.json").write_text(json.dumps(index), encoding="utf-8")
    return Run(folder, run.spec, run.manifest)


def of_black_box_attacks(_: Run, folder: Path) -> Run:
    """A run of its own: nothing but an attack that asks for answers, which fails the more, the later the timestep."""
    images = 60
    spec = made_spec([made_suite("blind", images, kind="attacks")], made_data(images), made_settings())
    tables = {
        "blind/clean.parquet": made_table(Condition("blind", "clean", "clean"), range(3), np.ones((3, images), bool))
    }
    for t in range(3):
        broken = np.arange(images) < 50 - 20 * t
        condition = Condition("blind", "attack", "square", None, "linf", 8 / 255, False, None, t)
        more = {"success": broken, "success_within": broken, "attacked": np.ones(images, bool)}
        tables[f"blind/square-{t}.parquet"] = made_table(condition, [t], ~broken[None], **more)
    return made_run(folder, spec, tables)


def of_one_condition(_: Run, folder: Path) -> Run:
    spec = made_spec([made_suite("fog-only", 20)], made_data(20), made_settings(timesteps=0))
    table = made_table(Condition("fog-only", "corruption", "fog", severity=1), [0], np.ones((1, 20), bool))
    return made_run(folder, spec, {"fog-only/fog.parquet": table})


HARD = [
    with_parts_missing,
    of_suspicious_gradients,
    with_photographs_of_a_thousand_classes,
    of_black_box_attacks,
    of_one_condition,
]


def text_of(page: Page, selector: str) -> str:
    return " ".join(" ".join(page.locator(selector).all_text_contents()).split())


def told_of(made: str, page: Page) -> None:
    """Fail where a page does not tell what is special about its run."""
    answers = text_of(page, ".answer")
    if made == "with_parts_missing":
        assert "shot_noise, severity 3, 64 to 79: a worker was killed" in text_of(page, ".facts dd")
        assert "images of 80, since the others lack results" in answers
    elif made == "of_suspicious_gradients":
        assert "Undecided" in page.locator(".answer strong").last.text_content()
        assert "gradients suspicious: at t = 2, a rival (and at t = 0)" in answers
        assert set(page.locator("td.verdict").all_text_contents()) == {"gradients suspicious"}
    elif made == "with_photographs_of_a_thousand_classes":
        assert page.evaluate("typeof window.foreign") == "undefined"
        assert page.locator(".example h4").first.text_content() == f"Image val-0, of class {MARKUP}"
        assert "large pictures are reduced here to at most" in text_of(page, "#examples ~ div .note")
        kinds = page.locator(".example img").evaluate_all("all => all.map(one => one.src.split(';')[0])")
        assert kinds == ["data:image/jpeg"] * len(KINDS) * 3
        assert page.locator(".example img").last.evaluate("one => one.naturalWidth") >= 64
        links = page.locator(".pictures a").evaluate_all("all => all.map(one => new URL(one.href).pathname)")
        assert {Image.open(io.BytesIO(Path(unquote(link)).read_bytes())).size for link in links} == {(SIDE, SIDE)}
        assert len(links) == len(kinds)
    elif made == "of_black_box_attacks":
        assert "where only black-box attacks were run" in answers
        assert text_of(page, ".block .qualifier") == "black-box"
        assert "black-box" in page.locator(".words dt").all_text_contents()
    else:
        assert "this run has t = 0 only" in answers
        assert page.locator("#timestep").is_disabled()


@pytest.mark.parametrize("made", HARD, ids=lambda made: made.__name__)
def test_a_hard_run_has_a_page_that_is_right_quiet_small_and_narrow(
    made: Callable[[Run, Path], Run], runs: list[Run], browser: Browser, tmp_path: Path
) -> None:
    html = write_page([made(runs[0], tmp_path / "run")], tmp_path / "run" / "report" / "index.html")
    assert html.stat().st_size < LIMIT
    page = browser.new_context(offline=True, viewport={"width": 1400, "height": 900}).new_page()
    heard: list[str] = []
    page.on("console", lambda message: heard.append(message.text))
    page.on("pageerror", lambda error: heard.append(str(error)))
    page.goto(html.as_uri())
    told_of(made.__name__, page)
    for width in (1400, 360):
        page.set_viewport_size({"width": width, "height": 900})
        page.evaluate("new Promise(drawn => requestAnimationFrame(() => requestAnimationFrame(drawn)))")
        assert page.evaluate("document.documentElement.scrollWidth") <= width
        assert page.evaluate(UNSIGNED) == []
    assert page.pdf(format="A4").startswith(b"%PDF")
    assert heard == []
    page.close()


UNSIGNED = """() => [...document.querySelectorAll(".scroll")].filter(box => box.offsetParent !== null
  && box.scrollWidth > box.clientWidth + 1 && !/(left|right)/.test(box.previousElementSibling.textContent))
  .map(box => box.getAttribute("aria-label"))"""
"""The tables that are cut by the edge of their box without a word that says where they go on."""


def test_reduced_pictures_of_a_page_that_lies_elsewhere_lead_nowhere(tmp_path: Path, runs: list[Run]) -> None:
    picture = {"file": "0.png", "kind": "clean", "title": "clean"}
    index = {"examples_version": 1, "examples": [{"image_id": "0", "label": "0", "pictures": [picture]}]}
    (tmp_path / "examples").mkdir()
    (tmp_path / "examples" / "index.json").write_text(json.dumps(index), encoding="utf-8")
    Image.effect_noise((SIDE, SIDE), 90).save(tmp_path / "examples" / "0.png")
    run = Run(tmp_path, runs[0].spec, runs[0].manifest)
    for beside, file, said in (
        (tmp_path / "report", "../examples/0.png", "each leads to its whole PNG file"),
        (tmp_path / "elsewhere", "", "the whole PNG files are in the folder `examples` of the run"),
    ):
        shown = shown_examples(run, 20_000, beside)
        assert [one["file"] for one in shown["examples"][0]["pictures"]] == [file]
        assert said in " ".join(shown["examples_notes"])
