"""Write the exact versions of every package into pyproject.toml, without naming the registry they came from.

Usage: python .ci/pin_dependencies.py            write the pins (needs uv on the PATH)
       python .ci/pin_dependencies.py --print    print those that are written, as a constraints file

A lock file would name the registry's host in every line, so the pins live in `[tool.uv] constraint-dependencies`,
which `uv run` obeys. The resolution is universal: one list for all systems and Pythons.
"""

from __future__ import annotations

import re
import subprocess
import sys
import tempfile
import tomllib
from pathlib import Path

PROJECT = Path(__file__).resolve().parent.parent / "pyproject.toml"
BLOCK = re.compile(r"(# begin pins[^\n]*\n)(.*?)(# end pins)", re.DOTALL)


def universal_pins(text: str, extra: str) -> set[str]:
    """Resolve `text` (a pyproject without pins) with all extras but the one that conflicts with `extra`."""
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder) / "pyproject.toml"
        copy.write_text(text)
        (Path(folder) / "README.md").write_text("")
        command = ["uv", "pip", "compile", "pyproject.toml", "--universal", "--python-version", "3.11"]
        command += ["--extra", "training", "--extra", "ray", "--extra", extra, "--group", "dev"]
        command += ["--no-header", "--no-annotate", "--quiet"]
        done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)  # noqa: S603 (fixed words)
    if done.returncode:
        sys.exit(done.stderr)
    return {line.strip() for line in done.stdout.splitlines() if "==" in line}


def main() -> None:
    """Resolve both exclusive extras and replace the block between the two pin comments, or print it."""
    text = PROJECT.read_text()
    if "--print" in sys.argv:
        sys.stdout.write("\n".join(tomllib.loads(text)["tool"]["uv"]["constraint-dependencies"]) + "\n")
        return
    bare = BLOCK.sub(r"\1constraint-dependencies = []\n\3", text)
    pins = universal_pins(bare, "torchattacks") | universal_pins(bare, "robustbench")
    lines = "".join(f'    "{pin}",\n' for pin in sorted(pins) if not pin.startswith("pcbench"))
    PROJECT.write_text(BLOCK.sub(lambda m: f"{m[1]}constraint-dependencies = [\n{lines}]\n{m[3]}", text))


if __name__ == "__main__":
    main()
