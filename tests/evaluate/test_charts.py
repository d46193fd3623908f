"""Charts: points lie where their values say, ticks are round and hold every point, labels do not cover each other."""

import itertools
import re
import xml.etree.ElementTree as ElementTree

from hypothesis import given
from hypothesis import strategies as st

from smart_jobs.evaluate import charts

SVG = "{http://www.w3.org/2000/svg}"
values = st.floats(-1e6, 1e6, allow_nan=False).map(lambda x: round(x, 3))


def drawn(curves):
    return ElementTree.fromstring(charts.lines(curves, "x <&", "y"))


def points_of(line):
    return [tuple(map(float, pair.split(","))) for pair in line.get("points").split()]


@given(st.lists(values, min_size=2, max_size=9, unique=True).map(sorted), st.data())
def test_points_lie_within_the_frame_and_in_the_order_of_their_values(xs, data):
    ys = data.draw(st.lists(values, min_size=len(xs), max_size=len(xs)))
    [line] = drawn({"a": list(zip(xs, ys, strict=True))}).iter(f"{SVG}polyline")
    points = points_of(line)
    assert all(charts.LEFT - 0.1 <= x <= charts.WIDTH - charts.RIGHT + 0.1 for x, _ in points)
    assert all(charts.TOP - 0.1 <= y <= charts.HEIGHT - charts.BOTTOM + 0.1 for _, y in points)
    assert [x for x, _ in points] == sorted(x for x, _ in points)
    higher = sorted(range(len(ys)), key=lambda i: ys[i])
    assert all(points[i][1] >= points[j][1] for i, j in itertools.pairwise(higher))


def test_ticks_are_round_and_a_known_point_lies_between_them():
    text = [element.text for element in drawn({"a": [(0.0, 0.5), (1.0, 0.7), (2.0, 0.6)]}).iter(f"{SVG}text")]
    assert {"0", "0.5", "1", "1.5", "2", "0.6", "0.7", "x <&", "y", "a"} <= set(text)


def test_names_stand_apart_and_the_best_point_is_told():
    curves = {f"line {i}": [(0.0, 0.5), (1.0, 0.5 + i / 1000)] for i in range(5)}
    root = drawn(curves)
    names = [element for element in root.iter(f"{SVG}text") if str(element.text).startswith("line")]
    heights = sorted(float(element.get("y")) for element in names)
    assert min(b - a for a, b in itertools.pairwise(heights)) >= 14
    assert "line 4: best 0.504 at 1" in [element.text for element in root.iter(f"{SVG}title")]


def test_values_that_are_none_are_left_out():
    [line] = drawn({"a": [(0.0, 1.0), (1.0, float("nan")), (2.0, 3.0)]}).iter(f"{SVG}polyline")
    assert len(points_of(line)) == 2
    assert charts.lines({"a": [(0.0, float("inf"))]}, "x", "y") == ""


def test_an_interval_says_which_side_of_zero_it_is_on():
    for low, high, sign in ((0.1, 0.3, "up"), (-0.3, -0.1, "down"), (-0.1, 0.1, "even")):
        text = charts.interval((low + high) / 2, low, high, 0.5)
        assert set(re.findall(r'class="mark (\w+)"', text)) == {sign}
    ElementTree.fromstring(charts.interval(0.0, -9.0, 9.0, 0.5))
