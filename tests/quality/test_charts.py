import re
from xml.etree import ElementTree

import pytest
from hypothesis import given
from hypothesis import strategies as st

from quality.charts import Bar, Line, Measured, Part, bars, histogram, interval, lines, posterior, progress
from quality.paging import place_after, token

NASTY = '<script>"&'


def parsed(chart):
    """Every chart is well-formed: it can stand in HTML and in XML alike."""
    return ElementTree.fromstring(f"<div>{chart}</div>")


def widths(chart):
    rects = [rect for svg in parsed(chart).iter("svg") for rect in svg.iter("rect")]
    return [float(r.get("width")[:-1]) for r in rects if r.get("width").endswith("%")]


def test_bars_are_in_proportion_from_zero():
    chart = bars([Bar("a", 10, "10"), Bar("b", 5, "5"), Bar("c", 0, "0")], title="Things")
    assert widths(chart) == [100, 50, 0]
    assert widths(bars([Bar("a", 0.25, "25%")], title="Share", most=1)) == [25]


def test_texts_are_escaped():
    for chart in (
        bars([Bar(NASTY, 1, NASTY)], title=NASTY),
        progress([Part(NASTY, 1, "ok")], title=NASTY),
        posterior([(NASTY, 1.0)], title=NASTY),
        histogram([1], [0, 1], title=NASTY, unit=NASTY),
        interval(0.5, 0.4, 0.6, title=NASTY),
    ):
        assert "<script" not in chart
        parsed(chart)


@given(st.lists(st.integers(0, 10**9), min_size=1, max_size=6))
def test_progress_fills_the_whole_and_names_what_is_there(counts):
    chart = progress([Part(f"part{n}", count, "ok") for n, count in enumerate(counts)], title="Parts")
    assert len(widths(chart)) == sum(count > 0 for count in counts)
    if sum(counts):
        assert sum(widths(chart)) == pytest.approx(100, abs=0.01)
        named = set(re.findall(r"part\d+", chart))
        assert named == {f"part{n}" for n, count in enumerate(counts) if count}


@given(st.lists(st.integers(0, 1000), min_size=1, max_size=12))
def test_histogram_draws_each_count_that_is_not_zero(counts):
    chart = histogram(counts, range(len(counts) + 1), title="Spread")
    root = parsed(chart)
    assert len(list(root.iter("rect"))) == sum(count > 0 for count in counts)
    heights = [float(rect.get("height")) for rect in root.iter("rect")]
    assert all(0 < height <= 100 for height in heights)
    words = [text.text for text in root.iter("text")]
    assert f"{len(counts)}%" in words


def test_histogram_needs_one_more_edge():
    with pytest.raises(ValueError, match="3 edges"):
        histogram([1, 2], [0, 1], title="Spread")


@given(st.floats(-1, 2), st.floats(-1, 2), st.floats(-1, 2))
def test_an_interval_stays_on_its_line(value, lo, width):
    chart = interval(value, lo, lo + abs(width), title="Skill")
    root = parsed(chart)
    band = next(root.iter("rect"))
    left, wide = float(band.get("x")[:-1]), float(band.get("width")[:-1])
    assert 0 <= left <= 100
    assert 0 <= wide <= 100.01 - left
    assert 0 <= float(next(root.iter("circle")).get("cx")[:-1]) <= 100


def test_posterior_shows_the_likeliest_and_lumps_the_rest():
    likely = {"cat": 0.6, "dog": 0.2, "eel": 0.1, "fox": 0.06, "gnu": 0.04}
    chart = posterior(likely.items(), title="Labels", shown=3)
    words = [span.text for span in parsed(chart).iter("span")]
    assert words == ["cat", "60%", "dog", "20%", "eel", "10%", "2 more", "10%"]
    sure = [span.text for span in parsed(posterior([("cat", 0.999), ("dog", 0.001)], title="L")).iter("span")]
    assert sure == ["cat", "99.9%"], "not all is not 100 %"


@given(st.floats(0, 1), st.integers(0, 2**63 - 1))
def test_a_token_names_its_place_exactly(number, pk):
    assert place_after(token(number, pk)) == (number, pk)


@pytest.mark.parametrize(
    "text", ["", "x", "0.5", "0.5,", ",3", "nan,1", "inf,1", "0.5,-1", f"0.5,{2**63}", "0.5,1,2"]
)
def test_nonsense_is_the_first_page(text):
    assert place_after(text) is None


def test_lines_mark_each_measured_place_and_name_each_line_once():
    rows = [
        Line("consensus", [Measured(0.70, 0.66, 0.74), None, Measured(0.75, 0.71, 0.79)]),
        Line("majority", [Measured(0.70, 0.66, 0.74), Measured(0.70, 0.6, 0.8), Measured(0.75, 0.7, 0.8)]),
        Line(NASTY, [None, None, None]),
    ]
    chart = parsed(lines(rows, ["1.0.0", "1.1.0", NASTY], title=NASTY))
    scale, field, names = chart.findall("./div/svg")
    marks = [mark for mark in field.iter("svg") if mark is not field]
    assert len(marks) == 5
    assert len({mark.find("*").tag for mark in marks}) == 2, "shapes, not colours alone"
    heights = [float(text.get("y")) for text in names.iter("text")]
    assert len(heights) == 2, "a line without a point has no name"
    assert heights[1] - heights[0] >= 16, "equal ends are written apart"
    assert [text.text for text in scale.iter("text")] == ["60%", "65%", "70%", "75%", "80%"]
    assert lines([Line("a", [None])], ["1"], title="t") == ""


@given(st.lists(st.tuples(*[st.floats(0, 1)] * 3), min_size=1, max_size=30))
def test_lines_stay_on_their_axis(points):
    measured = [Measured(sorted(p)[1], min(p), max(p)) for p in points]
    chart = parsed(lines([Line("a", measured)], [str(i) for i in range(len(points))], title="t"))
    field = chart.findall("./div/svg")[1]
    for line in field.iter("line"):
        assert 9 <= float(line.get("y1")) <= 215
        assert 9 <= float(line.get("y2")) <= 215
    named = [text.get("class").split() for text in field.iter("text")]
    assert len(named) <= 15
    assert sum("fine" not in classes for classes in named) <= 3, "on a phone more would touch"
