"""Build the site of these pages, and print the address of its front page.

Usage: python docs/build.py            in build/site; every warning is an error
       python docs/build.py --open     and open it in the browser
       python docs/build.py --out DIR  in a folder of your own
       python docs/build.py --links    ask every address outside the site whether it is still there (needs a network)
"""

import argparse
import sys
import webbrowser
from pathlib import Path

from sphinx.cmd.build import build_main

PAGES = Path(__file__).resolve().parent


def main() -> int:
    """Build, and return Sphinx's exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--open", action="store_true", help="open the front page in the browser")
    parser.add_argument("--links", action="store_true", help="check the addresses outside the site, and build nothing")
    parser.add_argument("--out", type=Path, default=PAGES.parent / "build" / "site", help="the site's folder")
    asked = parser.parse_args()
    builder, out = ("linkcheck", asked.out.with_name("links")) if asked.links else ("html", asked.out)
    strict = ["--fail-on-warning", "--keep-going", "--nitpicky", "--quiet"]
    code = build_main(["-b", builder, *strict, str(PAGES), str(out)])
    if code == 0 and not asked.links:
        front = (out / "index.html").resolve().as_uri()
        sys.stdout.write(f"{front}\n")
        if asked.open:
            webbrowser.open(front)
    return code


if __name__ == "__main__":
    sys.exit(main())
