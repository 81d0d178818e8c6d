"""Rounded figures must not claim more than was counted."""

import pytest

from annotation_site.figures import percent, points


@pytest.mark.parametrize(
    ("share", "digits", "text"),
    [
        (0.934, 0, "93%"),
        (1.0, 0, "100%"),
        (0.0, 0, "0%"),
        (2588 / 2601, 0, "99.5%"),
        (0.999, 0, "99.9%"),
        (0.9999999, 0, ">99.9%"),
        (0.0001, 0, "0.01%"),
        (0.0000001, 1, "<0.1%"),
        (0.5, 1, "50.0%"),
    ],
)
def test_what_is_not_all_never_reads_all(share, digits, text):
    assert percent(share, digits) == text


def test_points_are_signed_and_zero_is_not():
    assert [points(d) for d in (-0.037, 0.012, 0.0002, -0.0002)] == ["-3.7", "+1.2", "0.0", "0.0"]
