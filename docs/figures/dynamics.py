"""Draw the figure of docs/explanation/dynamics.md: what one PCoder's update is made of.

    python docs/figures/dynamics.py       writes dynamics.svg beside this file

The picture has a background of its own, so that it reads on light and on dark pages. Texts stay texts.
"""

from pathlib import Path

WIDTH, HEIGHT = 760, 470
INK, PALE = "#1c2330", "#5b6575"
DRIVE, FEEDBACK, MEMORY, ERROR = "#0b6bcb", "#a8480b", "#4a5568", "#8a1f7a"
LEFT, RIGHT = 190, 560
ROWS = {"+1": 95, "": 235, "−1": 375}
BOX_WIDTH, BOX_HEIGHT = 124, 52


def text(x: float, y: float, words: str, colour: str = INK, size: int = 15, anchor: str = "middle") -> str:
    """Return a text whose parts in braces, such as the n of ``e{n}``, stand below the line."""
    parts = words.replace("{", "\0{").replace("}", "\0").split("\0")
    spans: list[str] = []
    lowered = False
    for part in filter(None, parts):
        below = part.startswith("{")
        shift = ' dy="5"' if below and not lowered else ' dy="-5"' if lowered and not below else ""
        small = f' font-size="{round(size * 0.72)}"' if below else ""
        spans.append(f"<tspan{shift}{small}>{part.lstrip('{')}</tspan>")
        lowered = below
    joined = "".join(spans)
    return f'<text x="{x}" y="{y}" fill="{colour}" font-size="{size}" text-anchor="{anchor}">{joined}</text>'


def box(x: float, y: float, words: str, colour: str = INK, weight: float = 1.5) -> str:
    """Return a representation, centred at (x, y)."""
    frame = (
        f'<rect x="{x - BOX_WIDTH / 2}" y="{y - BOX_HEIGHT / 2}" width="{BOX_WIDTH}" height="{BOX_HEIGHT}" rx="8" '
        f'fill="#ffffff" stroke="{colour}" stroke-width="{weight}"/>'
    )
    return frame + text(x, y + 5, words, size=17)


def arrow(points: list[tuple[float, float]], colour: str, name: str) -> str:
    """Return an arrow along points, in a colour that has a head of this name."""
    path = " L".join(f"{x},{y}" for x, y in points)
    return f'<path d="M{path}" fill="none" stroke="{colour}" stroke-width="2.5" marker-end="url(#{name})"/>'


def head(colour: str, name: str) -> str:
    """Return the head of the arrows of one colour."""
    return (
        f'<marker id="{name}" viewBox="0 0 10 10" refX="9" refY="5" markerWidth="8" markerHeight="8" '
        f'markerUnits="userSpaceOnUse" orient="auto"><path d="M0,0 L10,5 L0,10 z" fill="{colour}"/></marker>'
    )


def drawing() -> str:
    """Return the figure as SVG."""
    above, own, below = ROWS.values()
    side = BOX_WIDTH / 2
    heads = [
        head(colour, name)
        for colour, name in ((DRIVE, "drive"), (FEEDBACK, "feedback"), (MEMORY, "memory"), (ERROR, "error"))
    ]
    parts = [
        text(LEFT, 34, "timestep t", PALE),
        text(RIGHT, 34, "timestep t + 1", PALE),
        *(box(LEFT, y, f"e{{n{sign}}}(t)") for sign, y in ROWS.items()),
        box(RIGHT, below, "e{n−1}(t + 1)"),
        box(RIGHT, own, "e{n}(t + 1)", weight=3),
        # Memory, from left to right.
        arrow([(LEFT + side, own), (RIGHT - side - 2, own)], MEMORY, "memory"),
        text((LEFT + RIGHT) / 2 - 10, own - 10, "memory: (1 − β{n} − λ{n}) e{n}(t)", MEMORY),
        # Feedback, from above.
        arrow(
            [(LEFT + side, above), (RIGHT - 20, above), (RIGHT - 20, own - BOX_HEIGHT / 2 - 2)], FEEDBACK, "feedback"
        ),
        text((LEFT + RIGHT) / 2 + 10, above - 12, "feedback: λ{n} D{n+1}(e{n+1}(t))", FEEDBACK),
        # The drive, from below, at the new timestep.
        arrow([(RIGHT + 30, below - BOX_HEIGHT / 2), (RIGHT + 30, own + BOX_HEIGHT / 2 + 2)], DRIVE, "drive"),
        text(RIGHT + 42, (own + below) / 2 - 6, "feedforward:", DRIVE, anchor="start"),
        text(RIGHT + 42, (own + below) / 2 + 16, "β{n} F{n}(e{n−1}(t + 1))", DRIVE, anchor="start"),
        # The error, of the old timestep: the prediction is held against the layer below.
        arrow([(LEFT - 20, own + BOX_HEIGHT / 2), (LEFT - 20, below - BOX_HEIGHT / 2 - 2)], ERROR, "error"),
        text(LEFT - 32, (own + below) / 2 - 6, "predicts:", ERROR, anchor="end"),
        text(LEFT - 32, (own + below) / 2 + 16, "D{n}(e{n}(t))", ERROR, anchor="end"),
        arrow([(LEFT - 20, 305), (RIGHT - 20, 305), (RIGHT - 20, own + BOX_HEIGHT / 2 + 2)], ERROR, "error"),
        text((LEFT + RIGHT) / 2 - 10, 327, "error: − α{n} s{n} ∇ε{n}(t),", ERROR),
        text((LEFT + RIGHT) / 2 - 10, 349, "ε{n}(t) = mean (D{n}(e{n}(t)) − e{n−1}(t))²", ERROR),
        text(
            WIDTH / 2,
            HEIGHT - 26,
            "The four terms are added. At t = 0 there is the backbone alone: e{n}(0) = F{n}(e{n−1}(0)).",
            PALE,
        ),
    ]
    lines = "\n".join(parts)
    return f"""<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" role="img"
 aria-labelledby="title" font-family="Helvetica, Arial, 'DejaVu Sans', sans-serif">
<title id="title">One update of PCoder n is the sum of feedforward drive, feedback, memory and error</title>
<defs>{"".join(heads)}</defs>
<rect width="{WIDTH}" height="{HEIGHT}" rx="10" fill="#f6f7f9" stroke="#c9ced6"/>
{lines}
</svg>
"""


if __name__ == "__main__":
    Path(__file__).with_suffix(".svg").write_text(drawing(), encoding="utf-8")
