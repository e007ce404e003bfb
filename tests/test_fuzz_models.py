"""Random models and graphs on every route; tools/fuzz_models.py runs thousands and shrinks what differs."""

import pytest
from fuzz import search

SEED = 14


@pytest.mark.slow
@pytest.mark.parametrize(
    ("route", "examples"),
    [
        ("engine", 8),
        ("factored", 6),
        ("eventprop", 6),
        ("graph", 6),
        pytest.param("torch", 6, marks=pytest.mark.torch),
    ],
)
def test_random_models_equal_stock_brian2(route, examples):
    drawn = search.draw(route, examples, SEED)
    counts, found = search.defects(route, drawn)
    assert counts["same"] >= examples / 2, f"most of the models prove nothing: {counts}"
    assert not found, "\n\n".join(
        f"# {one.verdict.reason}\n{one.case.code(route)}" for one in found
    )
