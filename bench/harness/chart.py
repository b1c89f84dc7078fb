"""Groups of horizontal bars as SVG. Its colours follow the reader's light or dark scheme."""
from __future__ import annotations

from html import escape
from typing import Iterator, Sequence

from .bench import Bars

_WIDTH = 860
_LABELS = 300  #: where bars begin
_ROOM = 90  #: right of the longest bar, for its figure
_BAR = 18
_STEP = 26
_HEAD = 44

_STYLE = """
  .paper { fill: #ffffff }
  .title { fill: #1f2328; font: 600 15px sans-serif }
  .label { fill: #1f2328; font: 13px sans-serif }
  .figure { fill: #59636e; font: 13px sans-serif }
  .ours { fill: #0f6fc6 }
  .other { fill: #a3adb8 }
  .axis { stroke: #59636e; stroke-width: 1 }
  @media (prefers-color-scheme: dark) {
    .paper { fill: #0d1117 }
    .title, .label { fill: #f0f6fc }
    .figure { fill: #b1bac4 }
    .ours { fill: #4ea1f3 }
    .other { fill: #57616d }
    .axis { stroke: #b1bac4 }
  }
"""


def _figure(value: float, unit: str) -> str:
    return f"{value:.2f} {unit}" if value < 10 else f"{value:.1f} {unit}"


def _group(group: Bars, top: int) -> Iterator[str]:
    longest = max(value for _, value, _ in group.bars) or 1.0
    yield f'<text class="title" x="16" y="{top + 26}">{escape(group.title)}</text>'
    y = top + _HEAD
    for label, value, ours in group.bars:
        width = max(1.0, value / longest * (_WIDTH - _LABELS - _ROOM))
        kind = "ours" if ours else "other"
        middle = y + _BAR - 5
        yield f'<text class="label" x="{_LABELS - 10}" y="{middle}" text-anchor="end">{escape(label)}</text>'
        yield f'<rect class="{kind}" x="{_LABELS}" y="{y}" width="{width:.1f}" height="{_BAR}" rx="2"/>'
        yield (f'<text class="figure" x="{_LABELS + width + 8:.1f}" y="{middle}">'
               f'{escape(_figure(value, group.unit))}</text>')
        y += _STEP
    yield f'<line class="axis" x1="{_LABELS}" x2="{_LABELS}" y1="{top + _HEAD - 6}" y2="{y - 2}"/>'


def draw(groups: Sequence[Bars]) -> str:
    body: list[str] = []
    top = 0
    for group in groups:
        body += _group(group, top)
        top += _HEAD + len(group.bars) * _STEP + 12
    words = "; ".join(group.title + ": " + ", ".join(
        f"{label} {_figure(value, group.unit)}" for label, value, _ in group.bars) for group in groups)
    return "\n".join([
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {top + 8}" width="{_WIDTH}" '
        f'height="{top + 8}" role="img">',
        f"<title>{escape(words)}</title>", f"<style>{_STYLE}</style>",
        f'<rect class="paper" width="{_WIDTH}" height="{top + 8}" rx="6"/>', *body, "</svg>", ""])
