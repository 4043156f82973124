"""Write the exact versions of every package into pyproject.toml, without naming the registry they came from.

Usage: python .ci/pin_dependencies.py            write the pins (needs uv on the PATH)
       python .ci/pin_dependencies.py --print    print those that are written, as a constraints file
       python .ci/pin_dependencies.py --without  print pyproject.toml without them
       python .ci/pin_dependencies.py --own PROJECT FILE
                                                 print the lines of a resolution that this pyproject.toml asks for

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


def own_lines(text: str, resolution: str) -> list[str]:
    """Return the lines of a resolution whose packages the core or training ask for by name."""
    project = tomllib.loads(text)["project"]
    asked = [*project["dependencies"], *project["optional-dependencies"]["training"]]
    own = {re.split(r"[^A-Za-z0-9._-]", requirement, maxsplit=1)[0].lower() for requirement in asked}
    return [f"{line}\n" for line in resolution.splitlines() if line.partition("==")[0].strip().lower() in own]


def main() -> None:
    """Resolve both exclusive extras and replace the block between the two pin comments, or print what is asked for."""
    text = PROJECT.read_text()
    if "--print" in sys.argv:
        sys.stdout.write("\n".join(tomllib.loads(text)["tool"]["uv"]["constraint-dependencies"]) + "\n")
        return
    bare = BLOCK.sub(r"\1constraint-dependencies = []\n\3", text)
    if "--without" in sys.argv:
        sys.stdout.write(bare)
        return
    if "--own" in sys.argv:
        sys.stdout.writelines(own_lines(Path(sys.argv[-2]).read_text(), Path(sys.argv[-1]).read_text()))
        return
    pins = universal_pins(bare, "torchattacks") | universal_pins(bare, "robustbench")
    lines = "".join(f'    "{pin}",\n' for pin in sorted(pins) if not pin.startswith("pcbench"))
    PROJECT.write_text(BLOCK.sub(lambda m: f"{m[1]}constraint-dependencies = [\n{lines}]\n{m[3]}", text))


if __name__ == "__main__":
    main()
