"""Twenty random models on every route; tools/fuzz_models.py runs thousands and shrinks what differs."""

import pytest
from fuzz import search

SEED = 14


@pytest.mark.slow
@pytest.mark.parametrize("route", ["engine", "factored"])
def test_ten_random_models_equal_stock_brian2(route):
    drawn = search.draw(route, 10, SEED)
    counts, found = search.defects(route, drawn)
    assert counts["same"] >= 6, f"most of the models prove nothing: {counts}"
    assert not found, "\n\n".join(
        f"# {one.verdict.reason}\n{one.case.code(route)}" for one in found
    )
