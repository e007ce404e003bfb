"""Random models and graphs on every route; tools/fuzz_models.py runs thousands and shrinks what differs."""

import pytest
from fuzz import search

SEED = 14
#: Of graphs: draws several populations in three of four, and all four prove something.
GRAPHS = 3


@pytest.mark.slow
@pytest.mark.parametrize(
    ("route", "examples", "seed"),
    [
        ("engine", 8, SEED),
        ("factored", 6, SEED),
        ("eventprop", 6, SEED),
        ("graph", 4, GRAPHS),
        pytest.param("torch", 6, SEED, marks=pytest.mark.torch),
    ],
)
def test_random_models_equal_stock_brian2(route, examples, seed):
    drawn = search.draw(route, examples, seed)
    counts, found = search.defects(route, drawn)
    assert counts["same"] >= examples / 2, f"most of the models prove nothing: {counts}"
    assert not found, "\n\n".join(
        f"# {one.verdict.reason}\n{one.case.code(route)}" for one in found
    )
