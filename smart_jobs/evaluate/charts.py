"""Small charts as SVG text that stands by itself: no script, no font, no network."""

import math
from collections.abc import Mapping, Sequence
from html import escape

WIDTH, HEIGHT = 640, 280
LEFT, RIGHT, TOP, BOTTOM = 56, 150, 32, 40
COLOURS = ("#2563eb", "#d97706", "#059669", "#dc2626", "#7c3aed", "#0891b2", "#be185d", "#65a30d")


def lines(curves: Mapping[str, Sequence[tuple[float, float]]], x_label: str, y_label: str) -> str:
    """A line for each name, of points (x, y) in ascending x; its name stands at its end, its best point is marked.

    Values that are not finite are left out. Without a point there is an empty text.
    """
    shown = {name: [p for p in points if all(map(math.isfinite, p))] for name, points in curves.items()}
    points = [point for found in shown.values() for point in found]
    if not points:
        return ""
    x, y = (
        _Axis.over([p[0] for p in points], LEFT, WIDTH - RIGHT),
        _Axis.over([p[1] for p in points], HEIGHT - BOTTOM, TOP),
    )
    parts = [_frame(x, y, x_label, y_label)]
    ends = _apart([(y.at(found[-1][1]), name) for name, found in shown.items() if found])
    for number, (name, found) in enumerate((name, found) for name, found in shown.items() if found):
        colour = COLOURS[number % len(COLOURS)]
        path = " ".join(f"{x.at(a):.1f},{y.at(b):.1f}" for a, b in found)
        best = max(found, key=lambda point: point[1])
        said = f"{name}: best {best[1]:.4g} at {best[0]:.4g}"
        parts.append(
            f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="2"/>'
            f'<circle cx="{x.at(best[0]):.1f}" cy="{y.at(best[1]):.1f}" r="4" fill="{colour}">'
            f"<title>{escape(said)}</title></circle>"
            f'<text x="{WIDTH - RIGHT + 8}" y="{ends[name] + 4:.1f}" fill="{colour}">{escape(_short(name))}</text>'
        )
    return _svg(WIDTH, HEIGHT, f"{y_label} by {x_label}", "".join(parts))


def interval(value: float, low: float, high: float, reach: float) -> str:
    """A difference with its interval on a line from -reach to reach, zero in the middle."""
    width, height = 120, 16
    axis = _Axis(-reach, reach, 2, width - 2, ())
    a, b, at = (axis.at(max(-reach, min(reach, v))) for v in (low, high, value))
    sign = "up" if low > 0 else "down" if high < 0 else "even"
    return _svg(
        width, height, f"{100 * value:+.2f} ({100 * low:+.2f} to {100 * high:+.2f})",
        f'<line x1="{width / 2}" x2="{width / 2}" y1="1" y2="{height - 1}" class="zero"/>'
        f'<line x1="{a:.1f}" x2="{b:.1f}" y1="{height / 2}" y2="{height / 2}" class="range {sign}"/>'
        f'<circle cx="{at:.1f}" cy="{height / 2}" r="3.5" class="mark {sign}"/>',
    )  # fmt: skip


class _Axis:
    """Values to positions, with round numbers as ticks."""

    def __init__(self, low: float, high: float, start: float, end: float, ticks: Sequence[float]) -> None:
        """`low` lies at `start` and `high` at `end`."""
        self.low, self.high, self.start, self.end, self.ticks = low, high, start, end, ticks

    @classmethod
    def over(cls, values: Sequence[float], start: float, end: float) -> "_Axis":
        """An axis that holds all values, from one tick to another."""
        low, high = min(values), max(values)
        if low == high:
            low, high = low - (abs(low) or 1) * 0.05, high + (abs(high) or 1) * 0.05
        step = _round_step((high - low) / 4)
        first, last = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
        return cls(first * step, last * step, start, end, [i * step for i in range(first, last + 1)])

    def at(self, value: float) -> float:
        """Where a value lies."""
        return self.start + (value - self.low) / (self.high - self.low) * (self.end - self.start)


def _round_step(rough: float) -> float:
    scale = 10.0 ** math.floor(math.log10(rough))
    return next(m for m in (1, 2, 2.5, 5, 10) if m * scale >= rough * 0.999) * scale


def _apart(ends: Sequence[tuple[float, str]]) -> dict[str, float]:
    """Where the names stand: near their line's end, 14 pixels from each other."""
    placed: dict[str, float] = {}
    last = -math.inf
    for at, name in sorted(ends):
        last = max(at, last + 14)
        placed[name] = last
    return placed


def _short(name: str) -> str:
    return name if len(name) <= 22 else f"{name[:21]}…"


def _frame(x: _Axis, y: _Axis, x_label: str, y_label: str) -> str:
    parts = []
    for tick in y.ticks:
        at = y.at(tick)
        parts.append(f'<line x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{at:.1f}" y2="{at:.1f}" stroke="#8883"/>'
                     f'<text x="{LEFT - 6}" y="{at + 4:.1f}" text-anchor="end">{tick:.4g}</text>')  # fmt: skip
    low = HEIGHT - BOTTOM + 16
    parts += [f'<text x="{x.at(tick):.1f}" y="{low}" text-anchor="middle">{tick:.4g}</text>' for tick in x.ticks]
    middle = (LEFT + WIDTH - RIGHT) / 2
    parts.append(f'<text x="{middle}" y="{HEIGHT - 6}" text-anchor="middle">{escape(x_label)}</text>'
                 f'<text x="12" y="{TOP - 18}">{escape(y_label)}</text>')  # fmt: skip
    return "".join(parts)


def _svg(width: int, height: int, said: str, content: str) -> str:
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" height="{height}" '
        f'role="img" font-family="system-ui, sans-serif" font-size="12" fill="currentColor">'
        f"<title>{escape(said)}</title>{content}</svg>"
    )
