"""Published plasticity rules as people write them: read from their Synapses, and the same everywhere."""

from __future__ import annotations

import dataclasses
import json
from contextlib import contextmanager

import numpy as np
import pytest
from brian2 import (
    Network,
    NeuronGroup,
    Quantity,
    SpikeGeneratorGroup,
    StateMonitor,
    Synapses,
    TimedArray,
    defaultclock,
    ms,
    mV,
    nS,
    prefs,
)
from brian2.core.variables import DynamicArrayVariable
from zoo.plasticity_rules import NEURON, NEURON_CONSTANTS, NEURON_RESET, RULES, pair_window

from neurosnn import NeuronModel, PlasticityRule, analysis, equations
from neurosnn.analysis import locality

DT, DURATION = 0.5 * ms, 60 * ms
#: Steps of the spikes: three neurons before the synapses, two behind; some in the same step.
PRE = {0: (4, 30, 31, 70, 100), 1: (9, 44, 60, 61, 90), 2: (20, 40, 75, 76, 110)}
POST = {0: (6, 30, 33, 62, 80, 101), 1: (12, 41, 42, 73, 91, 111)}
READ = ("ge", "g", "s_tot", "gap", "v")
PAIRS = [name for name, rule in RULES.items() if rule.window in ("pairs", "a third factor")]
ONE = {"gain": 1.0}


def neurons(spikes, name):
    """Neurons that spike in given steps and let synapses act on their variables."""
    steps = np.zeros((round(DURATION / DT), len(spikes)))
    for neuron, found in spikes.items():
        steps[list(found), neuron] = 1
    group = NeuronGroup(
        len(spikes),
        NEURON,
        threshold="spiking(t, i) > 0",
        reset=NEURON_RESET,
        method="euler",
        name=name,
        namespace={**NEURON_CONSTANTS, "spiking": TimedArray(steps, dt=DT, name=f"{name}_spikes")},
    )
    group.v = "-70*mV + 4*i*mV"
    return group


def script(key, pre, post, name, connect="i + j != 3", **values):
    """The synapses of a rule as its script makes them."""
    rule = RULES[key]
    synapses = Synapses(pre, post, name=name, **rule.synapses)
    synapses.connect(connect, namespace={})
    for variable, value in {**rule.values, **values}.items():
        setattr(synapses, variable, value)
    if rule.step:
        synapses.run_regularly(**rule.step)
    return synapses


def read(key, synapses, **fields):
    rule = PlasticityRule.from_synapses(
        synapses, namespace=RULES[key].constants, **RULES[key].read, **fields
    )
    return PlasticityRule.from_dict(json.loads(json.dumps(rule.to_dict())))


class Course:
    """All rules in one simulation, as in their scripts or as they were read.

    The names of the synapses are in the same order, in which Brian2 lets them act on the neurons.
    """

    def __init__(self, rules=None):
        pre, post = neurons(PRE, "source"), neurons(POST, "target")
        self.synapses = {}
        for k, key in enumerate(RULES):
            if rules is None:
                found = script(key, pre, post, f"script{k:02}")
                found.namespace.update(RULES[key].constants)
            else:
                connect = {"i": CONNECTED[0], "j": CONNECTED[1]}
                found = rules[key].synapses(pre, post, connect=connect, name=f"ours{k:02}")
            self.synapses[key] = found
        self.states = StateMonitor(post, READ, record=True, when="end")
        self.network = Network(pre, post, self.synapses.values(), self.states)

    def run(self):
        self.start = {key: self.values(key) for key in RULES}
        self.network.run(DURATION, namespace={})
        return self

    def values(self, key):
        """All variables of the synapses, event-driven ones too."""
        synapses = self.synapses[key]
        names = set(synapses.equations.names)
        names |= set(synapses.event_driven.names if synapses.event_driven is not None else ())
        return {
            name: np.array(synapses.variables[name].get_value())
            for name in sorted(names)
            if isinstance(synapses.variables[name], DynamicArrayVariable)
        }


CONNECTED = np.array([(i, j) for i in range(3) for j in range(2) if i + j != 3]).T


@contextmanager
def brian2_with(dt):
    """As for a single test (conftest), for what several share."""
    before = prefs["codegen.target"]
    prefs["codegen.target"] = "numpy"
    defaultclock.dt = dt
    try:
        yield
    finally:
        prefs["codegen.target"] = before
        defaultclock.dt = 0.1 * ms


@pytest.fixture(scope="module")
def courses():
    """The scripts, what was read from them before the run, and both simulations."""
    with brian2_with(DT):
        scripts = Course()
        np.testing.assert_array_equal(scripts.synapses["additive"].i[:], CONNECTED[0])
        rules = {key: read(key, synapses) for key, synapses in scripts.synapses.items()}
        return scripts.run(), rules, Course(rules).run()


@pytest.mark.parametrize("key", RULES)
def test_the_rule_that_was_read_does_what_the_script_does(courses, key):
    """Weights and traces to the last bit."""
    scripts, rules, ours = courses
    wanted, found = scripts.values(key), ours.values(key)
    weight = RULES[key].weight
    assert rules[key].weight == weight
    assert set(wanted) <= set(found)
    for name, values in wanted.items():
        np.testing.assert_array_equal(found[name], values, err_msg=name)
    moved = np.abs(wanted[weight] - scripts.start[key][weight])
    if weight in rules[key].changed:
        assert moved.min() > 1e-6 * np.abs(wanted[weight]).max()
    else:
        assert moved.max() == 0
    assert rules[key].targets


def test_the_neurons_receive_the_same(courses):
    scripts, rules, ours = courses
    assert set().union(*(rule.targets for rule in rules.values())) == set(READ)
    for name in READ:
        theirs = getattr(scripts.states, name)
        assert np.abs(np.diff(theirs, axis=1)).max() > 0
        np.testing.assert_array_equal(getattr(ours.states, name), theirs, err_msg=name)


def test_what_was_read(courses):
    """The parts of some rules by hand."""
    rules = courses[1]
    assert {key: rule.weight for key, rule in rules.items()} == {
        key: rule.weight for key, rule in RULES.items()
    }
    assert rules["additive"].external == {"tau_pre", "tau_post", "A_pre", "A_post"}
    assert rules["power law"].delays == {"pre": 0.5 * ms}
    assert rules["triplet"].delays == {"transmit": 1 * ms}
    assert rules["triplet"].parameters["tau_y"] == 114 * ms
    assert [p.name for p in rules["triplet"].pathways] == ["learn", "transmit", "post"]
    assert rules["calcium"].parameters["w1"] == 1.0
    assert rules["calcium"].method == "euler"
    assert rules["voltage"].requires == {"v": 1 * Quantity(1, dim=mV.dim)}
    assert rules["scaling"].step_dt == 5 * ms
    assert rules["reward"].third_factor == "reward"
    assert rules["gap junction"].targets == ("gap",)
    targets = {key: rule.targets for key, rule in rules.items()}
    assert targets["multiplicative"] == targets["power law"] == ("ge",)
    assert targets["nearest neighbour"] == ("v",)
    assert targets["NMDA"] == ("s_tot",)
    assert rules["NMDA"].clock_driven
    assert not rules["additive"].clock_driven
    assert locality(rules["additive"]).pre_trace
    assert not locality(rules["scaling"]).pre_trace
    assert locality(rules["voltage"]).post_state
    assert locality(rules["reward"]).third_factor


# -- windows ----------------------------------------------------------------------------------------

MAX, STEP = 20, 5
EXTRA = {"calcium": 30 * ms, "reward": 30 * ms}


def stock_window(names, dt):
    """Independent pairs of neurons in stock Brian2, with the strings of the scripts."""
    lags = np.arange(-MAX, MAX + STEP, STEP)
    n, per = len(lags), round(1 / dt)
    post_step = MAX * per + 2
    pre = SpikeGeneratorGroup(n, np.arange(n), (post_step - lags * per) * dt * ms)
    post = NeuronGroup(
        n,
        "v : volt\nge : siemens\ng : 1",
        threshold=f"timestep(t, dt) == {post_step}",
        reset="",
        namespace={},
    )
    synapses = {}
    for key in names:
        values = {name: value for name, value in ONE.items() if name in RULES[key].values}
        weight = RULES[key].weight
        values[weight] = {"gsyn": 0.2 * nS, "s": 1.0}.get(weight, 0.4)
        found = script(key, pre, post, f"pairs{len(synapses)}", "i == j", **values)
        found.namespace.update(RULES[key].constants)
        synapses[key] = (found, values[weight])
    rules = {key: read(key, found) for key, (found, _) in synapses.items()}
    steps = {}
    for key in names:
        delays = [float(value) for value in rules[key].delays.values()]
        more = round(max(delays, default=0) * 1e3 / dt) + round(EXTRA.get(key, 0 * ms) / ms / dt)
        steps[key] = post_step + MAX * per + 2 + more
    Network(pre, post, [found for found, _ in synapses.values()]).run(
        max(steps.values()) * dt * ms, namespace={}
    )
    changes = {
        key: np.array(found.variables[RULES[key].weight].get_value()) - float(weight)
        for key, (found, weight) in synapses.items()
    }
    return rules, changes


@pytest.fixture(scope="module")
def windows():
    """Those with clock-driven parts have a simulation of their own: it has to end in the same step."""
    with brian2_with(0.5 * ms):
        rules, changes = stock_window([key for key in PAIRS if key not in EXTRA], 0.5)
    for key, dt in (("calcium", 0.1), ("reward", 0.5)):
        with brian2_with(dt * ms):
            more = stock_window([key], dt)
        rules |= more[0]
        changes |= more[1]
    return rules, changes


@pytest.mark.parametrize("key", PAIRS)
def test_the_window_is_that_of_stock_brian2(windows, key):
    rules, changes = windows
    options = {"duration": EXTRA[key]} if key in EXTRA else {}
    if key == "reward":
        options["learning_signal"] = 0.5
    window = analysis.stdp_window(
        rules[key],
        max_lag=MAX * ms,
        step=STEP * ms,
        dt=(0.1 if key == "calcium" else 0.5) * ms,
        **options,
    )
    found = np.asarray(window.dw)
    assert np.abs(found).max() > 1e-6 * abs(
        float(np.asarray(rules[key].initial[rules[key].weight]))
    )
    np.testing.assert_array_equal(found, changes[key])
    wanted = pair_window(key, np.asarray(window.lag / ms).round())
    if wanted is not None:
        np.testing.assert_allclose(found, wanted, rtol=1e-9, atol=1e-12 * np.abs(wanted).max())


def test_the_window_of_the_voltage_rule_is_that_of_the_named_one():
    group = neurons(POST, "group")
    found = read("voltage", script("voltage", group, group, "s"))
    found = dataclasses.replace(found, initial={"w": 0.5})
    model = NeuronModel(
        equations="dv/dt = (-70*mV - v)/(20*ms) : volt", threshold="v > -50*mV", reset="v = -70*mV",
        initial={"v": "-70*mV"},
    )  # fmt: skip
    options = {"post": model, "background": 0.6, "max_lag": 10 * ms, "step": 10 * ms, "dt": 1 * ms}
    options["duration"] = 60 * ms
    ours, named = (
        analysis.stdp_window(rule, **options).dw for rule in (found, equations.VoltageSTDP())
    )
    assert np.abs(named).min() > 1e-6
    np.testing.assert_allclose(ours, named, rtol=1e-9)


def test_the_window_of_the_sliding_threshold_equals_a_loop():
    """With a change at presynaptic spikes, too: a first postsynaptic spike has no rate before it."""
    strings = {
        **RULES["sliding threshold"].synapses,
        "on_pre": "g_post += w; x += 1; w = clip(w + eta*y_post*(y_post - theta_post), 0, 1)",
    }
    group = neurons(POST, "group")
    synapses = Synapses(group, group, **strings)
    rule = PlasticityRule.from_synapses(synapses, namespace=RULES["sliding threshold"].constants)
    model = NeuronModel(
        equations="dv/dt = -v/(20*ms) : 1\ndy/dt = -y/(20*ms) : 1\n"
        "dtheta/dt = (y**2 - theta)/(100*ms) : 1",
        threshold="v > 1", reset="v = 0; y += 1", method="euler", inputs="v",
    )  # fmt: skip
    window = analysis.stdp_window(
        rule, post=model, background=0.0, weight=0.5, max_lag=12 * ms, step=4 * ms, dt=1 * ms
    )
    y, theta, wanted = 1.0, 0.0, {}
    for step in range(1, 13):
        y, theta = y - y / 20, theta + (y**2 - theta) / 100
        wanted[-step] = 0.01 * y * (y - theta)
    lags = np.asarray(window.lag / ms).round().astype(int)
    expected = [wanted.get(lag, 0.0) for lag in lags]
    assert expected[0] > 1e-3
    np.testing.assert_allclose(window.dw, expected, rtol=1e-12, atol=1e-15)


@pytest.mark.parametrize("key", ["short-term", "NMDA", "gap junction"])
def test_rules_whose_weight_stays_have_no_window(courses, key):
    with pytest.raises(ValueError, match="no spike changes the weight 'w'.*StateMonitor"):
        analysis.stdp_window(courses[1][key])


def test_a_window_is_that_of_one_synapse(courses):
    rules = courses[1]
    with pytest.raises(ValueError, match=r"'w' has a value for each of 5 synapses.*weight="):
        analysis.stdp_window(rules["additive"])
    with pytest.raises(ValueError, match="'gain' has a value for each of 5 synapses"):
        analysis.stdp_window(rules["short-term and additive"], weight=0.4)
    with pytest.raises(ValueError, match="calcium = 13.7 ms is not a multiple of the time step"):
        analysis.stdp_window(rules["calcium"], max_lag=5 * ms, step=5 * ms, dt=0.5 * ms)


# -- exported programs ------------------------------------------------------------------------------


@pytest.mark.standalone
@pytest.mark.slow
def test_all_rules_learn_in_one_exported_program(courses, tmp_path):
    from export_cases import make, run

    from neurosnn import export, read_results

    rules = courses[1]

    def network():
        defaultclock.dt = DT
        pre, post = neurons(PRE, "source"), neurons(POST, "target")
        connect = {"i": CONNECTED[0], "j": CONNECTED[1]}
        made = [
            rule.synapses(pre, post, connect=connect, name=f"rule{k}")
            for k, rule in enumerate(rules.values())
        ]
        return Network(pre, post, made, StateMonitor(post, READ, record=True, name="states"))

    path = make(export(network, tmp_path / "zoo", duration=DURATION))
    run(path)
    results, wanted = read_results(path), network()
    wanted.run(DURATION, namespace={})
    for k, key in enumerate(rules):
        name = RULES[key].weight
        theirs = np.asarray(wanted[f"rule{k}"].variables[name].get_value())
        found = np.asarray(results.arrays[f"rule{k}.{name}"])
        np.testing.assert_allclose(found, theirs, rtol=1e-12, err_msg=key)
    for name in READ:
        found = np.asarray(results.arrays[f"states.{name}"]).T
        theirs = np.asarray(getattr(wanted["states"], name))
        np.testing.assert_allclose(found, theirs, rtol=1e-12, atol=1e-12 * np.abs(theirs).max())
