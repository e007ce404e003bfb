"""The two settings of EventProp, the limit of the slope and the firing-rate term, in closed form."""

import numpy as np
import pytest
from brian2 import Hz, ms, mV
from single_neurons import Single, network, trial

from neurosnn import CrossEntropy, EventProp, NeuronModel
from neurosnn.engine import Engine

DURATION, DT = 40e-3, 10e-6
TAU, TAU_S = 20e-3, 5e-3
#: What membrane and current are counted in, and its value in SI units: v_th is 1, 20 mV or 20.
SCALES = {"1": 1.0, "20*mV": 20e-3, "20": 20.0}
WEIGHT = 8.0
UNITS = {"1": "1", "20*mV": "volt", "20": "1"}


def scaled(scale, weight=WEIGHT):
    """The same LIF neuron with one spike, its reset far from zero."""
    model = NeuronModel(
        equations=f"dv/dt = (10*{scale} + I - v)/tau : {UNITS[scale]}\ndI/dt = -I/ts : {UNITS[scale]}",
        threshold=f"v > 11*{scale}",
        reset=f"v = 9*{scale}",
        inputs=("I",),
        parameters={"tau": 20 * ms, "ts": 5 * ms},
        initial={"v": 10 * SCALES[scale] * (1 if UNITS[scale] == "1" else 1e3 * mV)},
    )
    return Single(model, None, (2e-3,), (weight * SCALES[scale],))


def gradients(singles, rule, *, readout=1.0):
    """dE/dw w of each neuron, all with the same synapses to the readout, and the spike times."""
    net, _ = network(singles, DT)
    for k in range(len(singles)):
        net.parameters[f"from{k}.w"][:] = readout * np.array([[1.0, -1.0]])
    machine = Engine(net, rule, CrossEntropy(), dtype="float64", threads=1)
    batch = trial(singles, DURATION, DT)
    spikes = machine.simulate(batch).spikes
    found = machine.run(batch, gradient=True).gradient
    ours = [found[f"to{k}.w"][k, 0] * one.weights[0] for k, one in enumerate(singles)]
    return np.array(ours), [(spikes[f"one{k}"][0][0] + 1) * DT for k in range(len(singles))]


def kernel(t):
    """The membrane after a unit spike."""
    return TAU_S / (TAU_S - TAU) * (np.exp(-t / TAU_S) - np.exp(-t / TAU))


def test_limit_of_the_slope_is_relative_to_the_distance_from_reset_to_threshold():
    singles = [scaled(scale) for scale in SCALES]
    free, times = gradients(singles, EventProp())
    assert [len(found) for found in times] == [1, 1, 1]
    assert np.abs(free).min() > 1e-3
    np.testing.assert_allclose(free, free[0], rtol=1e-9)
    # in units of the threshold: from 9 to 11, with the slope of the exact crossing
    t = times[0][0] - singles[0].times[0]
    slope = (WEIGHT * np.exp(-t / TAU_S) - 1) / TAU
    assert 5 * 2 < slope < 100 * 2
    for smallest in (100, 1000):
        limited, _ = gradients(singles, EventProp(smallest_slope=smallest))
        np.testing.assert_allclose(limited, limited[0], rtol=1e-9)
        np.testing.assert_allclose(limited, free * slope / (smallest * 2), rtol=5e-3)


@pytest.mark.parametrize("scale", SCALES)
def test_firing_rate_term_in_the_unit_of_the_membrane(scale):
    """Divided by what stands for 1, the strength means the same."""
    found = [
        gradients([scaled(s)], EventProp(rate_strength=0.3 / SCALES[s]), readout=0.0)[0]
        for s in ("1", scale)
    ]
    assert abs(found[0]) > 1e-3
    np.testing.assert_allclose(*found, rtol=1e-9)


@pytest.mark.parametrize(
    ("target", "strength", "expected"),
    [(10, 0.3, 0.3), (10, (7.0, 0.3), 0.3), (40, 0.3, 0.3), (40, (0.3, 7.0), 0.3), (40, (0, 7), 0)],
)
def test_firing_rate_term_in_closed_form(target, strength, expected):
    """The adjoint of the margin grows by c (f - target)/T at a spike; the readout is silent."""
    single = scaled("1")
    rule = EventProp(rate_target=target * Hz, rate_strength=strength)
    (found,), (times,) = gradients([single], rule, readout=0.0)
    assert len(times) == 1
    pull = expected * (1 / DURATION - target) / DURATION
    assert found == pytest.approx(pull * WEIGHT * kernel(times[0] - single.times[0]), rel=1e-9)
    if expected:
        assert found * (1 / DURATION - target) > 0  # firing too much, a smaller weight is better
