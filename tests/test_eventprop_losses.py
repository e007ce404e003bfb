"""Losses of EventProp on the engine against the same losses of exact event-driven runs."""

import numpy as np
import pytest
from brian2 import ms
from eventprop_cases import LABEL, N_IN, engine, lif_case, trials
from reference.event_driven import simulate
from reference.event_losses import first_spike, first_times, maximum, weighted
from test_eventprop import FINE, compared, cosine, error, exact_and_grid

from neurosnn import (
    CrossEntropy,
    EProp,
    EventProp,
    FirstSpike,
    Input,
    Layer,
    MaxCrossEntropy,
    Readout,
    SpikingNetwork,
    equations,
)
from neurosnn.engine import Engine

TIMES = {"tau_0": 5 * ms, "tau_1": 20 * ms, "alpha": 0.3, "v_th": 0.15}
LOSSES = {
    "linear": (CrossEntropy(readout="linear"), weighted(lambda x: 1 - x)),
    "sigmoid": (
        CrossEntropy(readout="sigmoid"),
        weighted(lambda x: 1 / (1 + np.exp((x - 0.5) / 0.2))),
    ),
    "exponential": (
        CrossEntropy(readout="exponential", tau=48 * ms),
        weighted(lambda x: np.exp(-x)),
    ),
    "max": (MaxCrossEntropy(), maximum),
    "first spike": (FirstSpike(**TIMES), first_spike(5e-3, 20e-3, 0.3, 0.15)),
}
SEEDS = (0, 1, 5, 7, 20)
#: Runs in which two outputs or more fire, the label's among them, none of them grazing.
FIRING = (0, 5, 6, 27, 28)


@pytest.mark.parametrize(
    ("name", "seed"),
    [
        pytest.param(name, seed, marks=() if seed == 0 else pytest.mark.slow)
        for name in LOSSES
        for seed in (FIRING if name == "first spike" else SEEDS)
    ],
)
def test_gradient_equals_differences_of_exact_loss(name, seed):
    loss, measure = LOSSES[name]
    case = lif_case(seed)
    run = simulate(case.reference, case.times, case.channels)
    if name == "first spike":
        times, slopes = first_times(case.reference, run, TIMES["v_th"])
        fires = times < case.reference.duration
        assert fires.sum() >= 2, "outputs must fire"
        assert fires[LABEL]
        assert slopes[fires].min() > 2, "a grazing output has an unbounded gradient"
    gradient = exact_and_grid(case, FINE, loss=loss)
    found = engine(case, FINE, loss=loss).run(trials(case, FINE)).loss
    assert found == pytest.approx(measure(case.reference, run, LABEL), rel=0.01)
    for key in ("input.w", "recurrent.w", "readout.w", (0, "tau_m"), (0, "tau_s")):
        ours, theirs = compared(case, key, gradient, elements=6, measure=measure)
        assert np.linalg.norm(theirs) > 0
        assert cosine(ours, theirs) > 0.999, key
        assert error(ours, theirs) < 0.06, key


@pytest.mark.parametrize("loss", [FirstSpike(**TIMES), MaxCrossEntropy()])
def test_engine_has_the_value_and_the_error_of_the_definition(loss):
    """Also of a silent label, which has a phantom spike, and of outputs that count as grazing."""
    case = lif_case(5)
    grazing = FirstSpike(**TIMES | {"tau_1": 0.1 * ms, "alpha": 0.0})
    for one in (loss, FirstSpike(v_th=50.0), grazing):
        machine = engine(case, 1e-3, learn=(), rule=EventProp(), loss=one)
        batch = trials(case, 1e-3)
        found, result = machine.simulate(batch), machine.run(batch, gradient=True)
        weights = one.step_weights(found.n_steps, machine.net.dt)
        value, error_t = one.value_and_error(found.output[0], LABEL, weights)
        assert result.loss == pytest.approx(value, rel=1e-12)
        np.testing.assert_allclose(result.scores[0], one.scores(found.output[0], weights))
        # the readout is linear: its gradient is the error filtered by the response to one spike
        assert np.abs(error_t).max() > 0
        step, neuron = found.spikes["hidden"][0]
        assert len(step) >= 4
        expected = np.zeros_like(result.gradient["readout.w"])
        t = np.arange(1, found.n_steps[0] + 1) * 1e-3
        kernel = (np.exp(-t / 5e-3) - np.exp(-t / 20e-3)) * 5 / (5 - 20)
        for at, j in zip(step, neuron, strict=True):
            later = error_t[at + 1 :]
            expected[j] += kernel[: len(later)] @ later
        np.testing.assert_allclose(result.gradient["readout.w"], expected, rtol=1e-9, atol=1e-14)


@pytest.mark.parametrize("loss", [FirstSpike(), MaxCrossEntropy()])
def test_losses_of_moments_need_a_smooth_output(loss):
    net = SpikingNetwork(Input(N_IN), Layer(equations.CurrentLIF(), 4), Readout(3))
    with pytest.raises(ValueError, match="output jumps at a spike"):
        Engine(net, EventProp(), loss)
    Engine(net, EProp(), loss)
