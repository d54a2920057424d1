"""A bar chart as SVG, readable on a light page and on a dark one."""

from html import escape
from typing import NamedTuple

WIDTH, ROW, TOP, LEFT, RIGHT = 760, 30, 64, 170, 170
STYLE = """
    text { font: 14px system-ui, sans-serif; fill: #1f2328 }
    .title { font-size: 16px; font-weight: 600 }
    .quiet { fill: #59636e }
    .bar { fill: #8c959f }
    .ours { fill: #1f883d }
    @media (prefers-color-scheme: dark) {
      text { fill: #f0f6fc } .quiet { fill: #9198a1 } .bar { fill: #656c76 } .ours { fill: #3fb950 }
    }
"""


class Bar(NamedTuple):
    """A name, how many times as fast it is as the baseline, and its peak memory in MB."""

    name: str
    ratio: float
    peak: float


def picture(title: str, subtitle: str, bars: list[Bar]) -> str:
    """Draw bars in the given order."""
    height = TOP + ROW * len(bars) + 12
    scale = (WIDTH - LEFT - RIGHT) / max(bar.ratio for bar in bars)
    drawn = "\n".join(row(bar, TOP + ROW * number, scale) for number, bar in enumerate(bars))
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" role="img">\n'
        f"  <style>{STYLE}  </style>\n"
        f'  <text class="title" x="12" y="24">{escape(title)}</text>\n'
        f'  <text class="quiet" x="12" y="46">{escape(subtitle)}</text>\n'
        f"{drawn}\n</svg>\n"
    )


def row(bar: Bar, top: int, scale: float) -> str:
    """Draw one bar, with its name on the left and its figures on the right."""
    length = bar.ratio * scale
    kind = "ours" if bar.name.startswith("ours") else "bar"
    return (
        f'  <text x="{LEFT - 10}" y="{top + 16}" text-anchor="end">{escape(bar.name)}</text>\n'
        f'  <rect class="{kind}" x="{LEFT}" y="{top}" width="{length:.0f}" height="{ROW - 8}" rx="3"/>\n'
        f'  <text x="{LEFT + length + 8:.0f}" y="{top + 16}">{bar.ratio:.1f}'
        f'<tspan class="quiet">  ·  {bar.peak:.0f} MB</tspan></text>'
    )
