"""Windows, traces and frequency curves against closed forms; nothing of the user's Brian2 is touched."""

from __future__ import annotations

import importlib

import numpy as np
import pytest
from brian2 import (
    Hz,
    Network,
    NeuronGroup,
    collect,
    defaultclock,
    get_device,
    ms,
    mV,
    nS,
    prefs,
    run,
    second,
    set_device,
)
from plasticity_reference import periodic_triplet, triplet, voltage

from neurosnn import BPTT, EventProp, NeuronModel, analysis, equations
from neurosnn.analysis.protocols import private_brian
from neurosnn.equations.triplet_stdp import FITS

VALUES = {"A_plus": 0.01, "A_minus": -0.0105, "tau_plus": 20 * ms, "tau_minus": 30 * ms}
LIF_MV = NeuronModel(
    name="LIF in mV",
    equations="dv/dt = (v_rest - v)/tau_m : volt",
    threshold="v > v_th",
    reset="v = v_rest",
    parameters={"tau_m": 20 * ms, "v_rest": -70 * mV, "v_th": -50 * mV},
    initial={"v": "v_rest"},
)


def closed_form(lag, *, A_plus, A_minus, tau_plus, tau_minus):
    """The window of pair STDP; lag 0 belongs to the positive side."""
    lag = np.asarray(lag / second)
    positive = A_plus * np.exp(-np.abs(lag) / float(tau_plus))
    return np.where(lag > -1e-9, positive, A_minus * np.exp(-np.abs(lag) / float(tau_minus)))


# -- pair STDP --------------------------------------------------------------------------------------


@pytest.mark.smoke
@pytest.mark.parametrize("pairing", ["all", "nearest"])
def test_window_of_pair_stdp_equals_the_closed_form(pairing):
    window = analysis.stdp_window(
        equations.PairSTDP(**VALUES, pairing=pairing), max_lag=50 * ms, step=1 * ms
    )
    assert np.asarray(window.lag / ms) == pytest.approx(np.arange(-50, 51))
    assert np.max(np.abs(window.dw - closed_form(window.lag, **VALUES))) < 1e-12
    assert window.dw[50] == pytest.approx(0.01, abs=1e-15)  # lag 0


@pytest.mark.parametrize(("step", "dt"), [(1, 1), (1, 0.5), (0.1, 0.1), (2.5, 0.5)])
def test_window_does_not_depend_on_the_time_step(step, dt):
    window = analysis.stdp_window(
        equations.PairSTDP(**VALUES), max_lag=7 * ms, step=step * ms, dt=dt * ms
    )
    n = int(7 / step + 1e-9)
    assert np.asarray(window.lag / ms) == pytest.approx(np.arange(-n, n + 1) * step)
    assert np.max(np.abs(window.dw - closed_form(window.lag, **VALUES))) < 1e-12


@pytest.mark.parametrize(("placement", "shift"), [("axonal", -5), ("dendritic", 5)])
def test_delay_shifts_the_window(placement, shift):
    """Axonal: the presynaptic spike is late, so the lag at the synapse is shorter; dendritic: longer."""
    rule = equations.PairSTDP(**VALUES, delay_placement=placement)
    window = analysis.stdp_window(rule, max_lag=20 * ms, delay=5 * ms)
    wanted = closed_form(window.lag + shift * ms, **VALUES)
    assert np.max(np.abs(window.dw - wanted)) < 1e-12
    at_border = window.dw[np.flatnonzero(np.asarray(window.lag / ms).round() == -shift)[0]]
    assert at_border == pytest.approx(0.01, abs=1e-15)


@pytest.mark.parametrize("weight", [None, 0.1, 0.9])
def test_window_with_soft_bounds(weight):
    rule = equations.PairSTDP(**VALUES, bounds="soft", mu=0.5, w_min=0.0, w_max=2.0)
    window = analysis.stdp_window(rule, max_lag=20 * ms, step=2 * ms, weight=weight)
    fraction = (1.0 if weight is None else weight) / 2
    hard = closed_form(window.lag, **VALUES)
    wanted = hard * np.where(hard > 0, 1 - fraction, fraction) ** 0.5
    assert np.max(np.abs(window.dw - wanted)) < 1e-12


def test_window_with_hard_bounds_is_clipped():
    rule = equations.PairSTDP(**VALUES)
    window = analysis.stdp_window(rule, max_lag=20 * ms, step=2 * ms, weight=0.995)
    wanted = np.minimum(closed_form(window.lag, **VALUES), 0.005)
    assert np.max(wanted) == 0.005
    assert np.max(np.abs(window.dw - wanted)) < 1e-12


def test_window_of_a_weight_with_unit():
    rule = equations.PairSTDP(A_plus=0.01 * nS, A_minus=-0.02 * nS, w_min=0 * nS, w_max=1 * nS)
    window = analysis.stdp_window(rule, max_lag=2 * ms)
    assert window.dw[2] / nS == pytest.approx(0.01)


# -- other rules ------------------------------------------------------------------------------------


def test_window_of_inhibitory_stdp():
    rule = equations.InhibitorySTDP(eta=0.01, rho0=5 * Hz)
    window = analysis.stdp_window(rule, max_lag=30 * ms, step=3 * ms)
    wanted = 0.01 * (np.exp(-np.abs(np.asarray(window.lag / ms)) / 20) - 2 * 5 * 0.02)
    assert np.max(np.abs(window.dw - wanted)) < 1e-12


@pytest.mark.parametrize("fit", FITS, ids=str)
def test_window_of_triplet_stdp_is_its_pair_part(fit):
    data_set, pairing, minimal = fit
    rule = equations.TripletSTDP(data_set=data_set, pairing=pairing, minimal=minimal)
    window = analysis.stdp_window(rule, max_lag=20 * ms, step=5 * ms)
    values = rule.parameters
    wanted = closed_form(
        window.lag,
        A_plus=values["A2_plus"],
        A_minus=-values["A2_minus"],
        tau_plus=16.8 * ms,
        tau_minus=33.7 * ms,
    )
    assert np.max(np.abs(window.dw - wanted)) < 1e-12


@pytest.mark.parametrize("signal", [1.0, -0.5])
def test_window_with_a_third_factor(signal):
    rule = equations.RewardSTDP(**VALUES, tau_c=50 * ms)
    window = analysis.stdp_window(
        rule, max_lag=20 * ms, step=5 * ms, dt=1 * ms, learning_signal=signal, duration=2 * second
    )
    assert np.max(np.abs(window.dw - signal * closed_form(window.lag, **VALUES))) < 1e-12


def test_window_runs_until_the_eligibility_is_gone():
    rule = equations.RewardSTDP(**VALUES)
    window = analysis.stdp_window(rule, max_lag=20 * ms, step=20 * ms, dt=10 * ms)
    assert np.max(np.abs(window.dw / closed_form(window.lag, **VALUES) - 1)) < 1e-6
    assert np.all(analysis.stdp_window(rule, max_lag=5 * ms, learning_signal=0).dw == 0)


@pytest.mark.parametrize("background", [0.0, 0.6])
def test_window_of_voltage_stdp(background):
    """The neuron: held, then one step far above threshold, then reset."""
    rule = equations.VoltageSTDP(theta_minus=-69 * mV, theta_plus=-52 * mV)
    window = analysis.stdp_window(
        rule, post=LIF_MV, background=background, max_lag=15 * ms, step=3 * ms, dt=1 * ms
    )
    held, decay = -70 + 20 * background, np.exp(-1 / 20)  # v when the threshold is tested
    n, spike = 1500, 700
    u = np.full(n, held)
    u[spike] = held + 20
    for step in range(spike + 1, n):  # reset to rest, then back to the held voltage
        # the reset also takes away the input that arrived in the step of the spike
        after_input = -70.0 if step == spike + 1 else u[step - 1] + (held + 70) * (1 / decay - 1)
        u[step] = -70 + (after_input + 70) * decay
    wanted = []
    for lag in np.asarray(window.lag / ms).round().astype(int):
        course = voltage(
            u, {spike - lag}, theta_minus=-69, theta_plus=-52, A_LTD=14e-5, A_LTP=8e-5,
            tau_x=15, tau_minus=10, tau_plus=7, dt=1.0, w=0.5, u0=held,
        )  # fmt: skip
        wanted.append(course[-1] - 0.5)
    if background:  # potentiation on top of the depression that the background alone causes
        assert wanted[6] > wanted[10] + 1e-4
    else:  # the filters never pass theta_minus before the spike
        assert np.max(np.abs(wanted[6:])) == 0
    assert np.min(wanted) < -1e-4
    assert (
        np.max(np.abs(window.dw - wanted)) < 1e-8
    )  # the kick is 1e-9 too large, the drive 1e-12 off


def test_window_is_the_same_with_a_neuron():
    rule = equations.PairSTDP(**VALUES)
    for model, background in ((equations.LIF(), 0.6), (LIF_MV, 0.3)):
        window = analysis.stdp_window(
            rule, post=model, background=background, max_lag=10 * ms, step=5 * ms, dt=1 * ms
        )
        assert np.max(np.abs(window.dw - closed_form(window.lag, **VALUES))) < 1e-12


# -- nothing else is touched ------------------------------------------------------------------------


def test_users_brian2_is_untouched():
    devices = importlib.import_module("brian2.devices.device")
    defaultclock.dt = 0.2 * ms
    group = NeuronGroup(
        1, "dv/dt = 1/(10*ms) : 1", method="euler", name="neurosnn_post", namespace={}
    )
    run(3 * ms, namespace={})
    before = (
        get_device(), len(devices.previous_devices), defaultclock.dt / ms, defaultclock.t / ms,
        prefs["codegen.target"], np.random.get_state()[1].tolist(), {obj.name for obj in collect()},
    )  # fmt: skip
    prefs["codegen.target"] = "auto"
    analysis.stdp_window(
        equations.RewardSTDP(), post=equations.LIF(), max_lag=2 * ms, duration=5 * ms
    )
    analysis.eligibility_trace(equations.RewardSTDP(), after=10 * ms)
    with pytest.raises(ValueError, match="does not divide|not a multiple"):
        analysis.stdp_window(equations.PairSTDP(), delay=0.5 * ms)
    assert prefs["codegen.target"] == "auto"
    prefs["codegen.target"] = before[4]
    after = (
        get_device(), len(devices.previous_devices), defaultclock.dt / ms, defaultclock.t / ms,
        prefs["codegen.target"], np.random.get_state()[1].tolist(), {obj.name for obj in collect()},
    )  # fmt: skip
    assert after == before
    run(2 * ms, namespace={})
    assert group.v[0] == pytest.approx(0.5)


def test_window_while_standalone_mode_is_on(tmp_path):
    set_device("cpp_standalone", directory=str(tmp_path), build_on_run=False)
    device = get_device()
    group = NeuronGroup(1, "v : 1", namespace={})
    queue = list(device.main_queue)
    window = analysis.stdp_window(equations.PairSTDP(**VALUES), max_lag=3 * ms)
    assert np.max(np.abs(window.dw - closed_form(window.lag, **VALUES))) < 1e-12
    assert get_device() is device
    assert device.main_queue == queue
    assert not list(tmp_path.iterdir())
    assert group.N == 1


def test_window_inside_an_error_restores_everything():
    class Stop(Exception):
        pass

    clock, target = get_device().defaultclock, prefs["codegen.target"]

    def fail():
        with private_brian(0.5 * ms):
            assert get_device().defaultclock is not clock
            raise Stop

    with pytest.raises(Stop):
        fail()
    assert get_device().defaultclock is clock
    assert prefs["codegen.target"] == target


# -- eligibility ------------------------------------------------------------------------------------


@pytest.mark.parametrize("lag", [7, -4, 0])
def test_time_course_of_eligibility(lag):
    rule = equations.RewardSTDP(**VALUES, tau_c=80 * ms)
    trace = analysis.eligibility_trace(rule, lag=lag * ms, before=5 * ms, after=40 * ms)
    t = np.asarray(trace.t / ms).round()
    assert t[0] == -5 - max(lag, 0)
    assert t[-1] == 40 + max(-lag, 0)
    start = max(-lag, 0)
    wanted = closed_form(lag * ms, **VALUES) * np.exp(-(t - start) / 80) * (t >= start)
    assert np.max(np.abs(trace.e - wanted)) < 1e-12
    assert np.any(trace.e)


# -- frequency --------------------------------------------------------------------------------------


@pytest.mark.parametrize("lag", [10, -10])
@pytest.mark.parametrize("minimal", [True, False])
def test_frequency_curve_of_triplet_stdp_equals_geometric_sums(lag, minimal):
    rule = equations.TripletSTDP(minimal=minimal, w_min=-10, w_max=10)
    curve = analysis.pairing_frequency_curve(
        rule, [5, 10, 20, 40, 50] * Hz, lag=lag * ms, n_pairs=30
    )
    values = {
        name: float(value) * (1e3 if name.startswith("tau") else 1)
        for name, value in rule.parameters.items()
    }
    intervals = 1e3 / np.asarray(curve.frequency / Hz)
    wanted = [periodic_triplet(interval, lag, 30, **values) for interval in intervals]
    assert np.max(np.abs(curve.dw - wanted)) < 1e-12
    # The sums and the loop are independent of each other.
    pre = 10 + np.arange(30) * 25
    loop = triplet(pre, pre + lag, **values, w=0.0, nearest=False)
    assert periodic_triplet(25, lag, 30, **values) == pytest.approx(loop, abs=1e-12)


def test_triplets_explain_the_frequency_dependence_and_pairs_do_not():
    """Sjoestroem 2001: post before pre depresses at 10 Hz and potentiates at 50 Hz."""
    three = equations.TripletSTDP(minimal=True, w_min=-10, w_max=10)
    two = equations.PairSTDP(
        A_plus=5e-3, A_minus=-7.1e-3, tau_plus=16.8 * ms, tau_minus=33.7 * ms, w_min=-10, w_max=10
    )
    curves = {
        (name, lag): analysis.pairing_frequency_curve(
            rule, [10, 50] * Hz, lag=lag * ms, n_pairs=40
        ).dw
        for name, rule in (("three", three), ("two", two))
        for lag in (10, -10)
    }
    assert curves["three", -10][0] < -0.1
    assert curves["three", -10][1] > 0.1
    assert curves["three", 10][1] > 4 * curves["three", 10][0] > 0
    assert np.all(curves["two", -10] < 0)
    assert curves["two", 10][1] < curves["two", 10][0]


def test_frequency_curve_with_unit_and_rounded_intervals():
    rule = equations.PairSTDP(A_plus=0.01 * nS, A_minus=0 * nS, w_min=0 * nS, w_max=1 * nS)
    curve = analysis.pairing_frequency_curve(rule, [30] * Hz, lag=5 * ms, n_pairs=1)
    assert curve.frequency / Hz == pytest.approx(1000 / 33)
    assert curve.dw / nS == pytest.approx(0.01 * np.exp(-5 / 20))


# -- errors -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "error", "match"),
    [
        ({"rule": "STDP"}, TypeError, "the rule is the text 'STDP', not an object"),
        ({"rule": EventProp()}, TypeError, "EventProp has no window of single pairs of spikes"),
        ({"rule": BPTT()}, TypeError, "BPTT has no window.*measured_window"),
        ({"max_lag": 50}, ValueError, "max_lag must be a time"),
        ({"step": -1 * ms}, ValueError, "step must be >"),
        ({"dt": 0.3 * ms}, ValueError, "step = 1. ms is not a multiple of the time step"),
        ({"dt": 2 * ms}, ValueError, "step = 1. ms is not a multiple"),
        ({"delay": 1.5 * ms}, ValueError, "delay = 1.5 ms is not a multiple"),
        ({"weight": 2.0}, ValueError, "weight = 2.0 is not between 0.0 and 1.0"),
        ({"weight": 2 * nS}, ValueError, "weight = 2. nS, but w is in dimensionless"),
        ({"learning_signal": 2}, ValueError, "learning_signal = 2 has no effect"),
        ({"rule": equations.VoltageSTDP()}, ValueError, "reads v of the postsynaptic neuron"),
        ({"duration": 5}, ValueError, "duration must be a time"),
    ],
)
def test_bad_window_is_refused(arguments, error, match):
    with pytest.raises(error, match=match):
        analysis.stdp_window(**{"rule": equations.PairSTDP(), "max_lag": 3 * ms, **arguments})


def test_bad_trace_or_curve_is_refused():
    with pytest.raises(ValueError, match="no eligibility trace"):
        analysis.eligibility_trace(equations.PairSTDP())
    with pytest.raises(ValueError, match="come every 10 steps at a lag of 10"):
        analysis.pairing_frequency_curve(equations.PairSTDP(), [100] * Hz, lag=10 * ms)
    with pytest.raises(ValueError, match="frequencies must be a rate"):
        analysis.pairing_frequency_curve(equations.PairSTDP(), [100])
    with pytest.raises(ValueError, match="n_pairs must be >= 1"):
        analysis.pairing_frequency_curve(equations.PairSTDP(), [10] * Hz, n_pairs=0)
    assert isinstance(Network(), Network)
