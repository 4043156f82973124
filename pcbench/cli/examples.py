"""Commands that work, for the end of every verb's help; each is tried by the option parser in the tests."""

from __future__ import annotations

EXAMPLES: dict[str, tuple[str, ...]] = {
    "run": (
        "pcbench run",
        "pcbench run --suite imagenet-c --model pvgg16 --data imagenet:PATH --weights FILE",
        "pcbench run --suite digits-c --set feedback=0,0.1,0.2 --out results/runs/feedback",
    ),
    "plan": ("pcbench plan --suite digits-c --measure", "pcbench plan --suite digits-linf --budget 2h"),
    "merge": ("pcbench merge results/shards",),
    "extract": ("pcbench extract --model pdigits --keep representations --pool mean",),
    "predify": (
        "pcbench predify --model pdigits",
        "pcbench predify --backbone mine:network > CONFIG.toml",
        "pcbench predify CONFIG.toml --backbone torchvision:resnet18",
    ),
    "list": ("pcbench list", "pcbench list suites --json"),
    "report": ("pcbench report RUN", "pcbench report RUN OTHER --out comparison"),
    "figure": ("pcbench figure RUN", "pcbench figure RUN digits-c-corruption-error --width column --out figure.pdf"),
    "export": (
        "pcbench export RUN --format latex",
        "pcbench export RUN --format robustbench-like --publication paper.toml",
    ),
    "show": ("pcbench show RUN", "pcbench show RUN --config > run.toml"),
    "status": ("pcbench status", "pcbench status results/runs/pdigits-digits-c"),
    "open": ("pcbench open RUN",),
    "runs": ("pcbench runs", "pcbench runs results --json"),
    "leaderboard": ("pcbench leaderboard results --out leaderboard.html",),
    "compare": ("pcbench compare RUN", "pcbench compare RUN OTHER --out comparison"),
    "freeze": ("pcbench freeze RUN --out reference.npz",),
    "check": (
        "pcbench check RUN --against reference.npz --junit robustness.xml --markdown robustness.md",
        "pcbench check RUN --against reference.npz --power 3",
    ),
    "baseline": ("pcbench baseline RUN --suite digits-c --out baseline.toml",),
    "agreement": ("pcbench agreement --model pdigits --images 50",),
    "train": ("pcbench train --model pdigits", "pcbench train --model pvgg16 --data imagenet:PATH --method ridge"),
    "tune": ("pcbench tune --model pdigits --objective noise --out tuned.toml",),
    "doctor": ("pcbench doctor", "pcbench doctor --json > doctor.json"),
    "study run": ("pcbench study run STUDY.toml",),
    "study plan": ("pcbench study plan STUDY.toml --measure",),
    "study status": ("pcbench study status STUDY.toml",),
    "study report": ("pcbench study report STUDY.toml",),
    "study publish": ("pcbench study publish STUDY.toml --to .",),
    "study check": ("pcbench study check STUDY.toml --against results/STUDY",),
}
"""Examples by verb. Words in capitals stand for files and folders."""


def epilog(verb: str) -> str:
    """Return the examples of a verb as the help shows them, one a line; typer takes an empty line for a new one."""
    return "\n\n".join(["Examples:", *EXAMPLES[verb]])
