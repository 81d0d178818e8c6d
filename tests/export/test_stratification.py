"""How far the classes' shares differ between splits."""

from __future__ import annotations

import pytest
from scipy.stats import chi2_contingency

from export.card.stratification import deviation, sentence


def test_it_is_pearsons_test_and_names_the_worst_class() -> None:
    table = {"cat": {"train": 80, "val": 10, "test": 30}, "dog": {"train": 120, "val": 12, "test": 8}}
    found = deviation(table)
    assert found is not None
    known = chi2_contingency([[80, 10, 30], [120, 12, 8]], correction=False)
    assert found["chi2"] == pytest.approx(known.statistic, abs=1e-6)
    assert found["p"] == pytest.approx(known.pvalue, abs=1e-6)
    assert (found["category"], found["split"], found["degrees"]) == ("cat", "test", 2)
    assert found["largest"] == pytest.approx(30 / 38 - 120 / 260, abs=1e-6)
    told = sentence(found)
    assert "`cat` differs most, its share of test is 32.8 percentage points more than of the whole" in told
    assert "2 degrees of freedom, p < 0.001" in told


def test_equal_shares_deviate_by_nothing() -> None:
    found = deviation({"a": {"train": 8, "val": 1, "test": 1}, "b": {"train": 80, "val": 10, "test": 10}})
    assert found is not None
    assert (found["largest"], found["chi2"], found["p"]) == (0, 0, 1)


@pytest.mark.parametrize(
    "table", [{}, {"a": {"train": 3, "test": 1}}, {"a": {"train": 3}, "b": {"train": 2, "test": 0}}]
)
def test_one_class_or_one_split_has_nothing_to_compare(table: dict[str, dict[str, int]]) -> None:
    assert deviation(table) is None
    assert sentence(None) == ""
