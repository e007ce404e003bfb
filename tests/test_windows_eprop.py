"""Windows of rules that read a neuron: e-prop, and the neuron that is held for them."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from brian2 import ms, mV, nA
from reference.windows_numpy import LAGS, isolated_pairing, stdp_lif_from_rest

from neurosnn import NeuronModel, analysis, equations
from neurosnn.analysis.holding import hold, voltage_of
from neurosnn.analysis.protocols import private_brian
from neurosnn.rules.eprop import EProp

LIF_MV = NeuronModel(
    name="LIF in mV",
    equations="dv/dt = (v_rest - v)/tau_m : volt",
    threshold="v > v_th",
    reset="v = v_rest",
    parameters={"tau_m": 20 * ms, "v_rest": -70 * mV, "v_th": -50 * mV},
    initial={"v": "v_rest"},
)
PSI = "clip(1 - abs(v - v_th)/(20*mV), 0, 1)/(20*mV)"
CURRENT = NeuronModel(
    name="synaptic current",
    equations="dv/dt = (R*I - v)/tau_m : volt\ndI/dt = -I/tau_s : amp",
    threshold="v > v_th",
    reset="v = 0*mV",
    inputs=("I",),
    parameters={"tau_m": 20 * ms, "tau_s": 5 * ms, "R": 20 * mV / nA, "v_th": 15 * mV},
)
#: Its reset ends above the threshold.
STUCK = dataclasses.replace(LIF_MV, reset="v = -40*mV", initial={"v": "-40*mV"})
QUADRATIC = NeuronModel(
    name="quadratic",
    equations="dv/dt = (v*(v - 1) + I)/tau_m : 1\nI : 1",
    step="I = 0",
    threshold="v >= 2",
    reset="v = 0",
    method="euler",
    inputs=("I",),
    parameters={"tau_m": 10 * ms},
)


# -- e-prop -----------------------------------------------------------------------------------------

# The constants of papers/eprop.md, section 9.2.
CONSTANTS = {"tau_m": -1 / np.log(0.95) * ms, "t_ref": 5 * ms}
ADAPTATION = {"tau_a": -1 / np.log(0.99) * ms, "beta": 0.2}
EPROP_MODELS = {
    "lif": equations.LIF(**CONSTANTS),
    "stdp_lif": equations.STDP_LIF(**CONSTANTS),
    "alif": equations.ALIF(**CONSTANTS, **ADAPTATION),
    "stdp_alif": equations.STDP_ALIF(**CONSTANTS, **ADAPTATION),
}
PUBLISHED = {  # at lags 30, 10, 5, 2, 1, 0, -1, ..., -5, -10, -20
    "lif": "3.394 3.026 2.858 2.734 2.689 2.830 2.979 3.136 3.301 3.475 3.481 3.508 3.545",
    "stdp_lif": "2.719 1.142 .423 -.105 -.300 -1.080 -.821 -.548 -.261 .041 1.846 2.243 2.787",
    "alif": ".850 .719 .623 .544 .512 .539 .568 .598 .629 .662 .665 .676 .694",
    "stdp_alif": "1.036 .575 .235 -.050 -.160 -.505 -.373 -.246 -.121 .000 .289 .373 .534",
}


@pytest.mark.parametrize("name", EPROP_MODELS)
def test_window_of_eprop(name):
    """The table to its precision, the plain-numpy recursion to rounding."""
    window = analysis.stdp_window(EProp(), post=EPROP_MODELS[name], max_lag=30 * ms)
    lags = np.asarray(window.lag / ms).round().astype(int)
    wanted = [isolated_pairing(lag, name) for lag in lags]
    assert np.max(np.abs(window.dw - wanted)) < 1e-12
    table = window.dw[np.searchsorted(lags, LAGS)]
    assert np.max(np.abs(table - np.array(PUBLISHED[name].split(), dtype=float))) < 0.002


def test_window_of_eprop_from_rest():
    window = analysis.stdp_window(
        EProp(), post=EPROP_MODELS["stdp_lif"], background=0, max_lag=10 * ms
    )
    lags = np.asarray(window.lag / ms).round().astype(int)
    assert np.max(np.abs(window.dw - [stdp_lif_from_rest(lag) for lag in lags])) < 1e-12
    assert np.min(window.dw) == pytest.approx(-1.1129625)
    # An isolated pair from rest leaves LIF without a trace: psi is 0 at rest and while refractory.
    assert not np.any(
        analysis.stdp_window(EProp(), post=equations.LIF(), background=0, max_lag=3 * ms).dw
    )


def test_window_of_eprop_is_proportional_to_the_learning_signal_and_delayed():
    arguments = {"post": EPROP_MODELS["stdp_lif"], "background": 0, "max_lag": 8 * ms}
    plain = analysis.stdp_window(EProp(), **arguments)
    scaled = analysis.stdp_window(EProp(), **arguments, learning_signal=-2.0, delay=3 * ms)
    assert np.max(np.abs(scaled.dw[3:] + 2 * plain.dw[:-3])) < 1e-12
    assert np.max(np.abs(scaled.dw)) > 2


def test_window_of_eprop_of_izhikevich_needs_a_background_it_can_hold():
    window = analysis.stdp_window(
        EProp(), post=equations.Izhikevich(), background=0, max_lag=10 * ms, step=5 * ms
    )
    assert np.all(window.dw > 0)
    with pytest.raises(ValueError, match="derived from a postsynaptic neuron, and there is none"):
        analysis.stdp_window(EProp())
    with pytest.raises(ValueError, match="weight = 0.5 has no effect"):
        analysis.stdp_window(
            EProp(), post=equations.LIF(), background=0, max_lag=1 * ms, weight=0.5
        )


def test_a_learning_signal_that_the_model_cannot_hold():
    model = dataclasses.replace(LIF_MV, equations=LIF_MV.equations + "\nL : integer", surrogate=PSI)
    with pytest.raises(ValueError, match="L cannot hold learning_signal = 0.5"):
        analysis.stdp_window(EProp(), post=model, max_lag=1 * ms, learning_signal=0.5)


def test_eligibility_trace_of_eprop_and_its_components():
    trace = analysis.eligibility_trace(
        EProp(), post=EPROP_MODELS["stdp_alif"], lag=5 * ms, after=400 * ms
    )
    assert set(trace.components) == {"eps_v", "eps_a"}
    t = np.asarray(trace.t / ms).round().astype(int)
    assert not np.any(trace.e[t <= -5])
    # In eps_v one step after the presynaptic spike, alpha a step, gone at the reset after the spike.
    eps_v = trace.components["eps_v"]
    before = (t > -5) & (t <= 0)
    assert eps_v[before] == pytest.approx(0.95 ** (t[before] + 4.0))
    assert not np.any(eps_v[t > 0])
    assert trace.e.sum() == pytest.approx(isolated_pairing(5, "stdp_alif"), abs=1e-3)


# -- the held neuron --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("model", "background", "v", "drive"),
    [
        (equations.LIF(), 0.6, 0.6, 0.6 * (1 - np.exp(-1 / 20))),
        (equations.ALIF(tau_m=10 * ms, v_th=0.5), 0.5, 0.25, 0.25 * (1 - np.exp(-1 / 10))),
        (equations.STDP_ALIF(), 0.0, 0.0, 0.0),
        (LIF_MV, 0.5, -0.06, 0.01 * (np.exp(1 / 20) - 1)),
        # v = R*I; a step adds to I what it loses in the next one, read halfway in its decay.
        (CURRENT, 0.8, 0.012, None),
        (QUADRATIC, 0.1, 0.2, 0.2 * 0.8),
    ],
    ids=lambda value: getattr(value, "name", None),
)
def test_constant_input_that_holds_a_neuron(model, background, v, drive):
    with private_brian(1 * ms):
        held = hold(model, background, 1 * ms)
    # A model whose input is v itself gets it after the threshold of the step.
    arrived = held.drive if model.inputs == ("v",) else 0.0
    assert held.states["v"] - arrived == pytest.approx(v, rel=1e-10, abs=1e-12)
    if drive is not None:
        assert held.drive == pytest.approx(drive, rel=1e-9)
    assert held.drive >= 0


@pytest.mark.parametrize(
    ("model", "background", "match"),
    [
        (equations.LIF(), 1.0, "background must be >= 0 and < 1"),
        (equations.LIF(), -0.1, "background must be >= 0 and < 1"),
        (equations.LeakyReadout(), 0.6, "has no threshold"),
        (equations.Izhikevich(), 0.6, "no constant input holds v at 0.6"),
        (STUCK, 0.6, "does not come to rest, not even with v clamped"),
    ],
)
def test_neuron_that_cannot_be_held(model, background, match):
    with pytest.raises(ValueError, match=match):
        analysis.stdp_window(
            equations.PairSTDP(), post=model, background=background, max_lag=1 * ms
        )


# -- neurons of all kinds ---------------------------------------------------------------------------

PSI_OF = "clip(1 - abs({0} - v_th)/(20*mV), 0, 1)/(20*mV)"
RESTING = dataclasses.replace(
    LIF_MV,
    surrogate=PSI_OF.format("v"),
    reset="v = E",
    equations="dv/dt = (v_rest - v)/tau_m : volt",
    parameters={**LIF_MV.parameters, "E": -70 * mV},
)


def window_of(model, background=0.6):
    window = analysis.stdp_window(
        EProp(), post=model, background=background, max_lag=4 * ms, step=2 * ms
    )
    assert np.abs(window.dw).max() > 0
    return np.asarray(window.dw)


@pytest.fixture(scope="module")
def of_a_resting_neuron():
    return window_of(RESTING)


def test_tonic_neuron_is_clamped():
    """At lags from 0 on the window is that of a neuron held at the same voltage, since the flow is linear.

    A presynaptic spike alone leaves psi(v)*exp(-n/20) in the n-th step after it, for ever, at the clamp;
    the reset after the neuron's own spike ends the trace.
    """
    tonic = RESTING.with_parameters(v_rest=-45 * mV)
    with private_brian(1 * ms):
        held = hold(tonic, 0.6, 1 * ms)
    assert (held.drive, held.clamp) == (0, pytest.approx(-58e-3))
    with pytest.warns(UserWarning, match="v of the postsynaptic neuron is clamped.*without input"):
        found = window_of(tonic)
    alpha, psi = np.exp(-1 / 20), (1 - 8 / 20) / 20e-3
    kicked = (1 - 12 / 20) / 20e-3  # 20 mV above the clamp
    alone = psi * alpha / (1 - alpha)
    sums = [alone * (1 - alpha ** (n - 1)) + kicked * alpha**n for n in (2, 4)]
    assert found[3:] == pytest.approx(sums, rel=1e-8)
    assert found[:2] == pytest.approx(alone, rel=1e-6)
    with pytest.raises(ValueError, match="does not stay at rest without input.*clamp=False out"):
        analysis.stdp_window(EProp(), post=tonic, max_lag=1 * ms, clamp=False)


def test_neuron_that_spikes_again_is_clamped():
    """With the spikes at the chosen times, a rule that reads nothing else has its closed form."""
    burster = NeuronModel(
        name="burster", equations="dv/dt = -v/(20*ms) : 1", threshold="v >= 1", reset="v -= 0.1"
    )
    rule, options = equations.PairSTDP(), {"post": burster, "max_lag": 3 * ms}
    with pytest.raises(ValueError, match="burster: the postsynaptic neuron spikes on its own"):
        analysis.stdp_window(rule, clamp=False, **options)
    with pytest.warns(UserWarning, match="burster: v of the .* clamped. It spikes more than once"):
        found = analysis.stdp_window(rule, **options)
    np.testing.assert_array_equal(found.dw, analysis.stdp_window(rule, max_lag=3 * ms).dw)


def test_clamp_where_a_trace_grows_without_a_bound():
    """Clamped at 0.8 of the way the membrane of a quadratic neuron would grow by itself."""
    model = dataclasses.replace(QUADRATIC, surrogate="clip(1 - abs(v - 2), 0, 1)")
    with pytest.raises(ValueError, match="grows beyond all numbers.*smaller background"):
        analysis.stdp_window(EProp(), post=model, background=0.8, max_lag=1 * ms, clamp=True)


def test_state_that_never_settles(of_a_resting_neuron):
    timer = dataclasses.replace(
        RESTING,
        equations=f"{RESTING.equations}\ndsince/dt = 1 : second",
        threshold="v > v_th and since > 0.5*ms",
        reset="v = E\nsince = 0*ms",
        method="exponential_euler",
    )
    assert window_of(timer) == pytest.approx(of_a_resting_neuron, rel=1e-8)


def test_membrane_of_another_name_and_threshold_of_a_subexpression(of_a_resting_neuron):
    other = dataclasses.replace(
        RESTING,
        equations="dx/dt = -x/(5*ms) : volt\ndV_m/dt = (v_rest + x - V_m)/tau_m : volt\n"
        "distance = (V_m - v_th)/mV : 1",
        threshold="distance > 0",
        reset="V_m = E",
        surrogate="clip(1 - abs(distance)/20, 0, 1)/20",
        inputs=("V_m",),
        initial={"V_m": "v_rest"},
    )
    assert voltage_of(other) == "V_m"
    assert window_of(other) == pytest.approx(of_a_resting_neuron, rel=1e-8)


def test_threshold_that_is_not_linear_in_the_membrane():
    # a rate of escape exp((v - v_th)/(2*mV)) that reaches 1/2
    model = dataclasses.replace(
        RESTING,
        equations=f"{RESTING.equations}\nrate = exp((v - v_th)/(2*mV)) : 1",
        threshold="rate > 0.5",
    )
    with private_brian(1 * ms):
        held = hold(model, 0.0, 1 * ms)
    assert held.kick == pytest.approx(20e-3 + 2e-3 * np.log(0.5), rel=1e-8)


def test_slow_adaptation_settles():
    # v = E0 - u and u = 0.25*(v + 70 mV) at rest; 20 s are 20,000 time steps, and thirty of them 600,000
    model = dataclasses.replace(
        RESTING,
        equations="dv/dt = (v_rest - u - v)/tau_m : volt\n"
        "du/dt = (0.25*(v - E) - u)/(20*second) : volt",
        parameters={**RESTING.parameters, "v_rest": -60 * mV},
        method="euler",
    )
    with private_brian(1 * ms):
        held = hold(model, 0.0, 1 * ms)
    assert held.states["u"] == pytest.approx(2e-3, rel=1e-9)
    assert held.states["v"] == pytest.approx(-62e-3, rel=1e-9)
