"""Plasticity rules against plain-numpy loops and closed forms."""

from __future__ import annotations

import numpy as np
import pytest
from brian2 import (
    Hz,
    Network,
    NeuronGroup,
    PoissonGroup,
    SpikeGeneratorGroup,
    SpikeMonitor,
    StateMonitor,
    Synapses,
    TimedArray,
    ms,
    mV,
    nS,
    prefs,
    second,
)
from brian2.codegen.runtime.cython_rt import CythonCodeObject
from brian2.codegen.runtime.numpy_rt import NumpyCodeObject
from plasticity_reference import inhibitory, pair, reward, triplet, voltage

from neurosnn import equations
from neurosnn.equations.triplet_stdp import FITS

# Each order of spikes with and without coincidences: pre before post in one step, then apart, then
# bursts of either side that begin or end in a coincidence.
PRE = np.array([5, 12, 20, 21, 22, 40, 55, 56, 70, 90, 91, 92])
POST = np.array([5, 10, 20, 23, 30, 40, 41, 54, 57, 70, 71, 92])


def source(times_ms, codeobj_class=None):
    """A neuron that spikes at given times."""
    times = np.asarray(times_ms)
    return SpikeGeneratorGroup(
        1, np.zeros(len(times), dtype=int), times * ms, dt=1 * ms, codeobj_class=codeobj_class
    )


def simulate(rule, pre=PRE, post=POST, w=0.5, duration=100 * ms, **kwargs):
    """The synapse of one pair of neurons after the given spikes."""
    pre, post = source(pre), source(post)
    synapses = rule.synapses(pre, post, dt=1 * ms, **kwargs)
    synapses.w = w
    Network(pre, post, synapses).run(duration, namespace={})
    return synapses


# -- pairs ------------------------------------------------------------------------------------------


@pytest.mark.smoke
@pytest.mark.parametrize("pairing", ["all", "nearest"])
@pytest.mark.parametrize(
    ("bounds", "mu"), [("hard", None), ("soft", 0.4), ("multiplicative", None)]
)
def test_pair_stdp_equals_an_event_loop(pairing, bounds, mu):
    values = {"A_plus": 0.03, "A_minus": -0.02}
    rule = equations.PairSTDP(
        **values, tau_plus=17 * ms, tau_minus=34 * ms, pairing=pairing, bounds=bounds, mu=mu
    )
    exponent = {"hard": 0.0, "soft": 0.4, "multiplicative": 1.0}[bounds]
    wanted = pair(
        PRE,
        POST,
        **values,
        tau_plus=17,
        tau_minus=34,
        w=0.5,
        nearest=pairing == "nearest",
        mu=exponent,
    )
    assert abs(wanted - 0.5) > 1e-3
    assert simulate(rule).w[0] == pytest.approx(wanted, abs=1e-14)


def test_kinds_of_pairing_and_of_bounds_differ():
    results = [
        simulate(equations.PairSTDP(A_plus=0.03, A_minus=-0.02, pairing=pairing, bounds=bounds)).w[
            0
        ]
        for pairing in ("all", "nearest")
        for bounds in ("hard", "soft")
    ]
    assert np.min(np.abs(np.subtract.outer(results, results))[~np.eye(4, dtype=bool)]) > 1e-4


@pytest.mark.parametrize(
    ("pre", "post", "wanted"),
    [
        ([10], [10], "P"),  # together: pre first
        ([10], [11], "P*a"),
        ([11], [10], "D*b"),
        ([10, 20], [10], "P + D*b**10"),  # together, then pre
        ([10, 20], [20], "P*a**10 + P"),  # pre, then together: both pre spikes count
        ([10], [10, 20], "P + P*a**10"),  # together, then post
        ([20], [10, 20], "D*b**10 + P"),  # post, then together
        ([10, 20], [10, 20], "P + D*b**10 + P*(1 + a**10)"),  # together twice
    ],
)
def test_coincident_spikes_in_each_order(pre, post, wanted):
    rule = equations.PairSTDP(A_plus=0.01, A_minus=-0.02, tau_plus=10 * ms, tau_minus=30 * ms)
    values = {"P": 0.01, "D": -0.02, "a": np.exp(-1 / 10), "b": np.exp(-1 / 30)}
    change = simulate(rule, pre, post).w[0] - 0.5
    assert change == pytest.approx(eval(wanted, {}, values), abs=1e-15)


def test_nearest_pairs_only_with_the_last_spike():
    rule = equations.PairSTDP(A_plus=0.01, A_minus=-0.02, pairing="nearest")
    change = simulate(rule, [10, 20], [30]).w[0] - 0.5
    assert change == pytest.approx(0.01 * np.exp(-10 / 20), abs=1e-15)


@pytest.mark.parametrize("bounds", ["hard", "soft"])
def test_weight_stays_within_its_bounds(bounds):
    low, high = 0.2, 0.7
    up = equations.PairSTDP(A_plus=0.3, A_minus=0.0, w_min=low, w_max=high, bounds=bounds)
    down = equations.PairSTDP(A_plus=0.0, A_minus=-0.3, w_min=low, w_max=high, bounds=bounds)
    top, bottom = simulate(up).w[0], simulate(down).w[0]
    if bounds == "hard":
        assert top == high
        assert bottom == low
    else:
        assert 0.69 < top <= high
        assert low <= bottom < 0.21


def test_weight_with_unit():
    rule = equations.PairSTDP(A_plus=0.03 * nS, A_minus=-0.02 * nS, w_min=0 * nS, w_max=1 * nS)
    plain = equations.PairSTDP(A_plus=0.03, A_minus=-0.02)
    assert float(simulate(rule, w=0.5 * nS).w[0] / nS) == pytest.approx(
        simulate(plain).w[0], abs=1e-12
    )


@pytest.mark.cython
def test_same_weight_on_the_cython_target():
    values = {"A_plus": 0.03, "A_minus": -0.02}
    wanted = pair(PRE, POST, **values, tau_plus=20, tau_minus=20, w=0.5)
    prefs["codegen.target"] = "numpy"  # Cython would compile the creation of the synapse too
    pre, post = source(PRE, NumpyCodeObject), source(POST, NumpyCodeObject)
    synapses = equations.PairSTDP(**values).synapses(pre, post, dt=1 * ms)
    synapses.w = 0.5
    prefs["codegen.target"] = "cython"
    Network(pre, post, synapses).run(100 * ms, namespace={})
    learning = [path.codeobj for path in (synapses.pre, synapses.post)]
    assert all(isinstance(one, CythonCodeObject) for one in learning)
    assert synapses.w[0] == pytest.approx(wanted, abs=1e-14)


# -- delays and transmission ------------------------------------------------------------------------


@pytest.mark.parametrize(("placement", "shift"), [("axonal", 7), ("dendritic", -7)])
def test_delay_shifts_the_pairs(placement, shift):
    values = {"A_plus": 0.03, "A_minus": -0.02}
    rule = equations.PairSTDP(**values, delay_placement=placement)
    wanted = pair(PRE + shift, POST, **values, tau_plus=20, tau_minus=20, w=0.5)
    assert abs(wanted - pair(PRE, POST, **values, tau_plus=20, tau_minus=20, w=0.5)) > 1e-3
    assert simulate(rule, delay=7 * ms, duration=120 * ms).w[0] == pytest.approx(wanted, abs=1e-14)


@pytest.mark.parametrize("placement", ["axonal", "dendritic"])
@pytest.mark.parametrize("sign", [1, -1])
def test_spike_is_transmitted_after_the_whole_delay_with_the_weight_before_it(placement, sign):
    rule = equations.PairSTDP(A_plus=0.0, A_minus=-0.1, delay_placement=placement)
    pre = source([10])
    # This neuron spikes at 10 ms; with either placement the presynaptic spike then depresses.
    post = NeuronGroup(
        1, "g : 1", threshold="timestep(t, dt) == 5", reset="", dt=1 * ms, namespace={}
    )
    synapses = rule.synapses(pre, post, target="g", sign=sign, delay=3 * ms)
    synapses.w = 0.5
    monitor = StateMonitor(post, "g", record=True, when="end", dt=1 * ms)
    Network(pre, post, synapses, monitor).run(20 * ms, namespace={})
    arrival = 13
    assert np.all(monitor.g[0][:arrival] == 0)
    depressed = simulate(rule, [10], [5], delay=3 * ms).w[0]
    assert depressed < 0.45
    assert synapses.w[0] == pytest.approx(depressed, abs=1e-15)
    # Axonal: spike and depression arrive together. Dendritic: the depression was 3 ms earlier.
    sent = 0.5 if placement == "axonal" else depressed
    assert np.all(monitor.g[0][arrival:] == pytest.approx(sign * sent, abs=1e-15))


@pytest.mark.parametrize("placement", ["axonal", "dendritic"])
def test_without_delay_the_weight_before_the_spike_is_sent(placement):
    rule = equations.PairSTDP(A_plus=0.0, A_minus=-0.1, delay_placement=placement)
    pre = source([10])
    post = NeuronGroup(
        1, "g : 1", threshold="timestep(t, dt) == 5", reset="", dt=1 * ms, namespace={}
    )
    synapses = rule.synapses(pre, post, target="g")
    synapses.w = 0.5
    Network(pre, post, synapses).run(20 * ms, namespace={})
    assert synapses.w[0] < 0.45
    assert post.g[0] == 0.5


def test_first_input_of_a_model_is_the_default_target():
    pre, neurons = source([1]), equations.LIF().group(1, dt=1 * ms)
    heard = equations.PairSTDP().synapses(pre, neurons)
    heard.w = 0.25
    Network(pre, neurons, heard).run(3 * ms, namespace={})
    assert neurons.v[0] == pytest.approx(0.25)
    with pytest.raises(
        ValueError, match="'I' of the group .* is in dimensionless, but must be in S"
    ):
        equations.PairSTDP(A_plus=1 * nS, A_minus=-1 * nS, w_min=0 * nS, w_max=1 * nS).synapses(
            pre, neurons
        )


def test_without_a_target_nothing_is_transmitted():
    post = NeuronGroup(1, "g : 1", threshold="False", reset="", dt=1 * ms, namespace={})
    pre = source([1, 2])
    synapses = equations.PairSTDP().synapses(pre, post)
    synapses.w = 1
    Network(pre, post, synapses).run(5 * ms, namespace={})
    assert post.g[0] == 0


def test_connections_by_condition_arguments_or_later():
    group = equations.LIF().group(4)
    rule = equations.PairSTDP()
    assert len(rule.synapses(group, group)) == 16
    assert len(rule.synapses(group, group, connect="i != j")) == 12
    assert len(rule.synapses(group, group, connect={"i": [0, 1], "j": [2, 3]})) == 2
    later = rule.synapses(group, group, connect=False, name="mine")
    assert isinstance(later, Synapses)
    assert later.name == "mine"
    later.connect(i=0, j=0)
    assert len(later) == 1


# -- triplets ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("fit", FITS, ids=str)
def test_triplet_stdp_equals_an_event_loop(fit):
    data_set, pairing, minimal = fit
    rule = equations.TripletSTDP(
        data_set=data_set, pairing=pairing, minimal=minimal, w_min=-10, w_max=10
    )
    values = {
        name: float(value) * (1e3 if name.startswith("tau") else 1)
        for name, value in rule.parameters.items()
    }
    wanted = triplet(PRE, POST, **values, w=0.5, nearest=pairing == "nearest")
    assert abs(wanted - 0.5) > 1e-3
    assert simulate(rule).w[0] == pytest.approx(wanted, abs=1e-13)


def test_triplet_without_triplet_terms_is_pair_stdp():
    times = {"tau_plus": 17 * ms, "tau_minus": 34 * ms}
    three = equations.TripletSTDP(A2_plus=0.03, A2_minus=0.02, A3_plus=0.0, A3_minus=0.0, **times)
    two = equations.PairSTDP(A_plus=0.03, A_minus=-0.02, **times)
    assert simulate(three).w[0] == pytest.approx(simulate(two).w[0], abs=1e-15)


def test_published_numbers_of_the_triplet_rule():
    # Pfister & Gerstner 2006, tables 3 and 4: rows "full", all-to-all
    visual = equations.TripletSTDP().parameters
    assert [visual[name] for name in ("A2_plus", "A3_plus", "A2_minus", "A3_minus")] == [
        5e-10, 6.2e-3, 7e-3, 2.3e-4,
    ]  # fmt: skip
    assert (visual["tau_x"], visual["tau_y"]) == (101 * ms, 125 * ms)
    culture = equations.TripletSTDP(data_set="hippocampus").parameters
    assert [culture[name] for name in ("A2_plus", "A3_plus", "A2_minus", "A3_minus")] == [
        6.1e-3, 6.7e-3, 1.6e-3, 1.4e-3,
    ]  # fmt: skip
    assert (culture["tau_x"], culture["tau_y"]) == (946 * ms, 27 * ms)


# -- inhibitory -------------------------------------------------------------------------------------


def test_inhibitory_stdp_equals_an_event_loop():
    rule = equations.InhibitorySTDP(eta=0.02, rho0=5 * Hz)
    wanted = inhibitory(PRE, POST, eta=0.02, alpha=2 * 5 * 0.02, tau=20, w=0.5)
    assert abs(wanted - 0.5) > 1e-2
    assert simulate(rule).w[0] == pytest.approx(wanted, abs=1e-14)


def test_inhibitory_weights_stop_drifting_at_the_target_rate():
    """Uncorrelated trains: dw/dt = 2 tau eta r_pre (r_post - rho0)."""
    rate, eta, tau, n, duration = 50.0, 1e-4, 0.02, 2000, 2.0
    drift = {}
    for post_rate in (0.0, 20.0, 40.0):
        pre = PoissonGroup(n, rate * Hz, dt=1 * ms, namespace={})
        post = PoissonGroup(n, post_rate * Hz, dt=1 * ms, namespace={})
        rule = equations.InhibitorySTDP(eta=eta, rho0=20 * Hz)
        synapses = rule.synapses(pre, post, connect="i == j")
        synapses.w = 50
        Network(pre, post, synapses).run(duration * second, namespace={})
        drift[post_rate] = (np.mean(synapses.w) - 50) / duration
    slope = 2 * tau * eta * rate
    assert drift[0.0] == pytest.approx(-20 * slope, rel=0.02)
    assert abs(drift[20.0]) < 1.0 * slope
    # Coincidences of one step are one pair each and not half a pair: 2.5 % more in steps of 1 ms.
    assert drift[40.0] == pytest.approx(20 * slope, rel=0.15)


def test_inhibitory_synapses_bring_a_neuron_to_its_target_rate():
    neuron = NeuronGroup(
        40,
        "dv/dt = (1.4 - v + g)/(20*ms) : 1\ndg/dt = -g/(10*ms) : 1",
        threshold="v > 1",
        reset="v = 0",
        method="exact",
        dt=1 * ms,
        namespace={},
    )
    pre = PoissonGroup(40, 40 * Hz, dt=1 * ms, namespace={})
    rule = equations.InhibitorySTDP(eta=1e-3, rho0=10 * Hz)
    synapses = rule.synapses(pre, neuron, target="g", sign=-1)
    spikes = SpikeMonitor(neuron)
    network = Network(pre, neuron, synapses, spikes)
    network.run(0.1 * second, namespace={})
    start = spikes.num_spikes / 40 / 0.1
    network.run(2 * second, namespace={})
    before = spikes.num_spikes
    network.run(1 * second, namespace={})
    assert start > 20
    assert (spikes.num_spikes - before) / 40 == pytest.approx(10, abs=1.5)


# -- voltage ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "names", [("aaa", "zzz"), ("zzz", "aaa")], ids=["neuron first", "synapse first"]
)
@pytest.mark.parametrize("data_set", ["visual_cortex", "somatosensory_cortex"])
def test_voltage_stdp_equals_an_euler_loop(data_set, names):
    """Also: the rule sees the voltage of the same step, whatever the objects are called."""
    generator = np.random.default_rng(3)
    u = -70.6 + 8 * generator.standard_normal(200)
    u[[40, 41, 90, 120, 121, 160]] = 30.0  # spikes
    pre_steps = [10, 35, 38, 60, 88, 90, 92, 118, 124, 150, 170]
    rule = equations.VoltageSTDP(data_set=data_set)
    recording = TimedArray(u * mV, dt=1 * ms)
    neuron = NeuronGroup(
        1,
        "v : volt",
        threshold="v > 0*mV",
        reset="",
        dt=1 * ms,
        name=names[0],
        namespace={"recording": recording},
    )
    neuron.run_regularly("v = recording(t)", when="groups")
    pre = source(pre_steps)
    synapses = rule.synapses(pre, neuron, dt=1 * ms, name=names[1])
    synapses.w = 0.5
    synapses.u_minus = synapses.u_plus = -70.6 * mV
    monitor = StateMonitor(synapses, "w", record=True, when="end", dt=1 * ms)
    Network(pre, neuron, synapses, monitor).run(200 * ms, namespace={})
    values = {name: float(value) for name, value in rule.parameters.items()}
    wanted = voltage(
        u, pre_steps, dt=1.0, w=0.5, u0=-70.6,
        theta_minus=values["theta_minus"] * 1e3, theta_plus=values["theta_plus"] * 1e3,
        A_LTD=values["A_LTD"] * 1e-3, A_LTP=values["A_LTP"] * 1e-6,
        **{name: values[name] * 1e3 for name in ("tau_x", "tau_minus", "tau_plus")},
    )  # fmt: skip
    assert np.max(np.diff(wanted)) > 1e-3
    assert np.min(np.diff(wanted)) < -1e-3
    assert np.max(np.abs(monitor.w[0] - wanted)) < 1e-12


@pytest.mark.parametrize("clamp", [-75.0, -60.0, -44.0, -20.0])
def test_voltage_clamp_equals_its_closed_form(clamp):
    """Each spike changes w by -A_LTD [u - theta_-]_+ + A_LTP [u - theta_+]_+ [u - theta_-]_+."""
    neuron = NeuronGroup(1, "v : volt", threshold="False", reset="", dt=1 * ms, namespace={})
    neuron.v = clamp * mV
    pre = source([10, 30, 35])
    synapses = equations.VoltageSTDP().synapses(pre, neuron, dt=1 * ms)
    synapses.w = 0.5
    synapses.u_minus = synapses.u_plus = clamp * mV
    Network(pre, neuron, synapses).run(700 * ms, namespace={})
    minus, plus = max(clamp + 70.6, 0), max(clamp + 45.3, 0)
    assert synapses.w[0] - 0.5 == pytest.approx(
        3 * (-14e-5 * minus + 8e-5 * plus * minus), abs=1e-12
    )


def test_voltage_stdp_without_units_and_with_another_name():
    rule = equations.VoltageSTDP(
        theta_minus=0.0, theta_plus=0.5, A_LTD=0.01, A_LTP=0.02, voltage="u"
    )
    neuron = NeuronGroup(1, "u : 1", threshold="False", reset="", dt=1 * ms, namespace={})
    neuron.u = 0.4
    pre = source([10])
    synapses = rule.synapses(pre, neuron, dt=1 * ms)
    synapses.w, synapses.u_minus = 0.5, 0.4
    Network(pre, neuron, synapses).run(20 * ms, namespace={})
    assert synapses.w[0] == pytest.approx(0.5 - 0.01 * 0.4, abs=1e-14)


# -- third factor -----------------------------------------------------------------------------------


def test_no_reward_no_change():
    synapses = simulate(equations.RewardSTDP())
    assert synapses.w[0] == 0.5
    assert abs(synapses.c[0]) > 0.01


def test_eligibility_decays_and_reward_turns_it_into_change():
    rule = equations.RewardSTDP(tau_c=50 * ms)
    pre, post = source([10]), source([15])
    synapses = rule.synapses(pre, post, dt=1 * ms)
    synapses.w = 0.5
    network = Network(pre, post, synapses)
    network.run(16 * ms, namespace={})
    e0 = 0.1 * np.exp(-5 / 20)
    assert synapses.c[0] == pytest.approx(e0, abs=1e-15)
    network.run(30 * ms, namespace={})
    assert synapses.c[0] == pytest.approx(e0 * np.exp(-30 / 50), abs=1e-15)
    assert synapses.w[0] == 0.5
    synapses.reward = 2.0
    network.run(20 * ms, namespace={})
    gained = 2 * e0 * (np.exp(-30 / 50) - np.exp(-50 / 50))
    assert synapses.w[0] == pytest.approx(0.5 + gained, abs=1e-14)
    synapses.reward = -1.0
    network.run(1 * second, namespace={})
    assert synapses.w[0] == pytest.approx(0.5 + gained - e0 * np.exp(-50 / 50), abs=1e-9)


def test_lasting_reward_gives_what_pair_stdp_gives():
    values = {"A_plus": 0.03, "A_minus": -0.02}
    pre, post = source(PRE), source(POST)
    synapses = equations.RewardSTDP(**values, tau_c=5 * ms, w_max=1).synapses(pre, post, dt=1 * ms)
    synapses.w, synapses.reward = 0.5, 1.0
    Network(pre, post, synapses).run(300 * ms, namespace={})
    wanted = pair(PRE, POST, **values, tau_plus=20, tau_minus=20, w=0.5)
    assert synapses.w[0] == pytest.approx(wanted, abs=1e-12)


@pytest.mark.parametrize("tau_d", [None, 40.0])
def test_reward_that_decays_equals_a_fine_integration(tau_d):
    rule = equations.RewardSTDP(tau_c=60 * ms, tau_d=None if tau_d is None else tau_d * ms)
    pre, post = source(PRE), source(POST)
    synapses = rule.synapses(pre, post, dt=1 * ms)
    synapses.w, synapses.reward = 1.0, 0.7
    Network(pre, post, synapses).run(150 * ms, namespace={})
    rate = 0.0 if tau_d is None else 1 / tau_d
    course = [(0.7 * np.exp(-rate * step), rate) for step in range(150)]
    wanted = reward(
        PRE,
        POST,
        course,
        A_plus=0.1,
        A_minus=-0.15,
        tau_plus=20,
        tau_minus=20,
        tau_c=60,
        dt=1,
        w=1.0,
    )
    assert abs(wanted - 1) > 1e-3
    assert synapses.w[0] == pytest.approx(wanted, abs=1e-9)


def test_reward_of_the_postsynaptic_neurons_gates_each_one():
    post = NeuronGroup(
        2, "m : 1", threshold="timestep(t, dt) == 15", reset="", dt=1 * ms, namespace={}
    )
    post.m = [0, 1]
    pre = source([10])
    synapses = equations.RewardSTDP(reward="m").synapses(pre, post, dt=1 * ms)
    synapses.w = 0.5
    Network(pre, post, synapses).run(100 * ms, namespace={})
    assert synapses.w[0] == 0.5
    assert synapses.w[1] == pytest.approx(
        0.5 + 0.1 * np.exp(-5 / 20) * (1 - np.exp(-84 / 1000)), abs=1e-14
    )
