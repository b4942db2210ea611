"""Pieces of HTML that a notebook shows for an object: facts as a table, and small pictures that need no script."""

from __future__ import annotations

import math
import textwrap
from html import escape
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

COLOURS = {
    "explore": "#7a72e0",
    "exploit": "#1a9c93",
    "other": "#5f8fc4",
    "best": "#d08a00",
    "failure": "#d9485c",
    "muted": "#8a929c",
}
"""Colours that can be read on white and on black."""
_BINS = 24


def facts_text(title: str, facts: Mapping[str, str], *, width: int = 100) -> str:
    """Return facts as text below a title, each in at most two lines."""
    indent = max((len(name) for name in facts), default=0) + 4
    lines = [title]
    for name, text in facts.items():
        told = textwrap.wrap(text, max(width - indent, 20), max_lines=2, placeholder=" …") or [""]
        lines += [f"{f'  {name}' if place == 0 else '':<{indent}}{line}" for place, line in enumerate(told)]
    return "\n".join(lines)


def facts_html(title: str, facts: Mapping[str, str], *pictures: str) -> str:
    """Return facts as a table below a title, with pictures below it."""
    rows = "".join(
        f'<tr><td style="text-align:left;opacity:.7;vertical-align:top;white-space:nowrap">{escape(name)}</td>'
        f'<td style="text-align:left;overflow-wrap:anywhere">{escape(text)}</td></tr>'
        for name, text in facts.items()
    )
    drawn = "".join(f"<div>{picture}</div>" for picture in pictures)
    return (
        f'<div style="max-width:760px"><strong>{escape(title)}</strong>'
        f'<table style="margin:4px 0">{rows}</table>{drawn}</div>'
    )


class Picture:
    """A chart as SVG: points, lines and a frame with the least and the greatest value at each axis.

    Text has the colour of the page, so that it can be read on a dark one.

    Args:
        horizontal: Least and greatest value of the horizontal axis.
        values: All values to draw, of which those that are not finite count for nothing.
        names: Names of the horizontal and of the vertical axis.
        width: Width in pixels.
        height: Height in pixels.
    """

    def __init__(
        self,
        horizontal: tuple[float, float],
        values: Iterable[float],
        names: tuple[str, str],
        *,
        width: int = 560,
        height: int = 230,
    ) -> None:
        finite = [value for value in values if math.isfinite(value)] or [0.0]
        low, high = min(finite), max(finite)
        room = 0.06 * (high / 4 - low / 4) or 0.05 * abs(high / 4) or 1.0  # of quarters, whose range is always a number
        self._x = horizontal if horizontal[1] > horizontal[0] else (horizontal[0] - 0.5, horizontal[1] + 0.5)
        self._y = low / 4 - room, high / 4 + room
        self._width, self._height = width, height
        self._left, self._right, self._top, self._bottom = 64.0, width - 12.0, 42.0, height - 34.0
        self._parts: list[str] = []
        self._legend: dict[str, str] = {}
        base, grid = f"{self._bottom:.1f}", 'stroke="currentColor" stroke-opacity=".25"'
        self._parts.append(f'<path d="M{self._left:.1f},{self._top:.1f}V{base}H{self._right:.1f}" fill="none" {grid}/>')
        for value in dict.fromkeys((low, high)):
            self._write(self._left - 6, self._place_y(value) + 4, f"{value:.4g}", "end")
        for value in dict.fromkeys(horizontal):
            self._write(self._place_x(value), self._bottom + 15, f"{value:g}", "middle")
        self._write((self._left + self._right) / 2, self._bottom + 29, names[0], "middle")
        self._write(4, 13, names[1], "start")

    def points(self, points: Sequence[tuple[float, float]], name: str, colour: str, *, size: float = 4.0) -> None:
        """Draw points, those that are not finite as crosses at the foot."""
        self._legend.setdefault(name, colour)
        for x, y in points:
            here = f'{self._place_x(x):.1f}" cy="'
            if math.isfinite(y):
                self._parts.append(
                    f'<circle cx="{here}{self._place_y(y):.1f}" r="{size}" fill="{colour}"><title>'
                    f"{x:g}: {y:.5g}</title></circle>"
                )
            else:
                at = self._place_x(x)
                self._parts.append(
                    f'<path d="M{at - 4:.1f},{self._bottom - 9:.1f}l8,8m0,-8l-8,8" stroke="{colour}" stroke-width="2"/>'
                )

    def line(self, points: Sequence[tuple[float, float]], name: str, colour: str, *, steps: bool = False) -> None:
        """Draw a line through points, of which those that are not finite are left out; in steps, or straight."""
        kept = [(self._place_x(x), self._place_y(y)) for x, y in points if math.isfinite(y)]
        if not kept:
            return
        self._legend.setdefault(name, colour)
        path = f"M{kept[0][0]:.1f},{kept[0][1]:.1f}"
        path += "".join(f"H{x:.1f}V{y:.1f}" if steps else f"L{x:.1f},{y:.1f}" for x, y in kept[1:])
        self._parts.append(f'<path d="{path}" fill="none" stroke="{colour}" stroke-width="2"/>')

    def __str__(self) -> str:
        at, legend = self._left, []
        for name, colour in self._legend.items():
            legend.append(
                f'<circle cx="{at + 4:.1f}" cy="27" r="4" fill="{colour}"/>'
                f'<text x="{at + 12:.1f}" y="31" fill="currentColor">{escape(name)}</text>'
            )
            at += 6.2 * len(name) + 30
        return (
            f'<svg viewBox="0 0 {self._width} {self._height}" width="{self._width}" role="img" '
            'style="max-width:100%;height:auto;font:11px ui-sans-serif,system-ui,sans-serif">'
            f"{''.join(self._parts)}{''.join(legend)}</svg>"
        )

    def _write(self, x: float, y: float, text: str, anchor: str) -> None:
        self._parts.append(
            f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" fill="currentColor">{escape(text)}</text>'
        )

    def _place_x(self, value: float) -> float:
        low, high = self._x
        return self._left + 8 + (value - low) / (high - low) * (self._right - self._left - 16)

    def _place_y(self, value: float) -> float:
        low, high = self._y
        return self._bottom - (value / 4 - low) / (high - low) * (self._bottom - self._top)


def histogram(values: Iterable[float], *, width: int = 132, height: int = 26) -> str:
    """Return a small picture of how values are spread from the least to the greatest; empty where none is finite."""
    finite = [value for value in values if math.isfinite(value)]
    if not finite:
        return ""
    low, high = min(finite), max(finite)
    half = high / 2 - low / 2  # half the range, since the whole of it can be too large for a number
    counts = [0] * _BINS
    for value in finite:
        share = (value / 2 - low / 2) / half if half > 0 else 0.5
        counts[min(int(share * _BINS), _BINS - 1)] += 1
    step, tallest = width / _BINS, max(counts)
    bars = "".join(
        f'<rect x="{place * step:.1f}" y="{height - height * count / tallest:.1f}" width="{step - 0.8:.1f}" '
        f'height="{height * count / tallest:.1f}"/>'
        for place, count in enumerate(counts)
        if count
    )
    return (
        f'<svg viewBox="0 0 {width} {height}" width="{width}" height="{height}" role="img" fill="{COLOURS["other"]}">'
        f"{bars}</svg>"
    )
