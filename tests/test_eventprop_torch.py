"""EventProp against autograd through exact spike times, every element of every parameter."""

import numpy as np
import pytest
from eventprop_cases import LABEL, lif_case
from reference.event_driven import cross_entropy, differences, simulate
from test_eventprop import CASES, FINE, cosine, error, exact_and_grid, keys

pytest.importorskip("torch", reason="the oracle is torch, which is not installed")
from reference.event_driven_torch import gradient


def oracle(case):
    """Value and gradient of the loss by torch, for the events of the exact run."""
    run = simulate(case.reference, case.times, case.channels)
    value, found = gradient(case.reference, run, case.times, case.channels, LABEL)
    assert value == pytest.approx(cross_entropy(case.reference, run, LABEL), rel=1e-12)
    return found


@pytest.mark.parametrize("name", CASES)
def test_the_oracle_equals_differences(name):
    case = lif_case(CASES[name][1][0], **CASES[name][0])
    found = oracle(case)
    for key in keys(case.reference):
        at = np.unravel_index(np.argsort(-np.abs(found[key]), axis=None)[:3], found[key].shape)
        theirs = differences(case.reference, case.times, case.channels, LABEL, key, at=at)
        np.testing.assert_allclose(found[key][at], theirs, rtol=1e-4, err_msg=str(key))


@pytest.mark.parametrize(
    ("name", "seed"), [(k, s) for k, (_, seeds) in CASES.items() for s in seeds]
)
def test_gradient_equals_autograd_through_spike_times(name, seed):
    case = lif_case(seed, **CASES[name][0])
    ours, theirs = exact_and_grid(case, FINE), oracle(case)
    several = len(case.reference.layers) > 1
    for key in keys(case.reference):
        k = key if isinstance(key, str) else f"hidden{key[0] + 1 if several else ''}.{key[1]}"
        block = theirs[key]
        if isinstance(key, str) and key.startswith("recurrent") and key.endswith(".w"):
            block = block * (1 - np.eye(len(block)))  # no neuron is connected to itself
        assert np.linalg.norm(block) > 0
        assert cosine(ours[k].ravel(), block.ravel()) > 0.999, key
        assert error(ours[k], block) < 0.06, key
