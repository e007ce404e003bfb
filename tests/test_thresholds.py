"""Thresholds and resets of any form: forward they mean what Brian2 makes of them; gates in gradients."""

import dataclasses

import numpy as np
import pytest
from brian2 import Network, defaultclock, ms
from engine_cases import spike_trials
from export_cases import make, run
from test_engine import brian_spikes, network

from neurosnn import (
    EProp,
    EventProp,
    Input,
    Layer,
    NeuronModel,
    Readout,
    SpikingNetwork,
    equations,
    export,
    read_results,
)
from neurosnn.calculus.step import step_map
from neurosnn.core.statements import copying_code
from neurosnn.core.symbolic import evaluate, expand
from neurosnn.engine import Engine
from neurosnn.equations.surrogates import triangle
from neurosnn.losses import CrossEntropy
from neurosnn.model.margin import margin_and_gate
from neurosnn.rules.eprop.backend import OnlineBackend

BASE = NeuronModel(
    name="two states",
    equations="""
    dv/dt = (-v - 0.2*a)/tau : 1
    da/dt = -a/(50*ms) : 1
    """,
    threshold="v > 1",
    reset="v = 0; a += 1  # adaptation",
    surrogate="0.3*clip(1 - abs(v - 1), 0, 1)",
    spike_gradient=("a",),
    parameters={"tau": 20 * ms},
)
#: With a state that is true or false, which has no gradient.
CALM = dataclasses.replace(
    BASE,
    equations=f"{BASE.equations}\ncalm : boolean",
    reset="v = 0; a += 1  # adaptation\n   calm = a < 2",
    step="a = clip(a, 0, 5); calm = a < 3",
)
THRESHOLDS = {
    "a product": "(v)*(v) > 1  # squared",
    "and": "v > 1 and calm",
    "or": "v > 1.5 or (a > 0.5 and v > 0.8)",
    "not": "not (v < 1) and not (a > 3)",
    "a state": "calm",
    "from the right": "1 + 0.1*a < v",
}


def of_form(form):
    changes = {"threshold": THRESHOLDS[form]}
    if form == "a state":
        changes |= {"step": "calm = v > 1 + 0.1*a", "reset": "v = 0; a += 1; calm = False"}
    return dataclasses.replace(CALM, **changes)


@pytest.mark.parametrize("form", THRESHOLDS)
def test_the_engine_spikes_as_brian2_does(form):
    net = network(of_form(form), n=15, layers=1)
    trials = spike_trials(1, n_steps=300, rate=40)
    expected, output, _ = brian_spikes(net, trials)
    result = Engine(net, dtype="float64").simulate(trials)
    assert (result.counts["hidden"] > 0).mean() >= 0.2
    steps, neurons = result.spikes["hidden"][0]
    ours = sorted((0, int(s), int(i)) for s, i in zip(steps, neurons, strict=True))
    assert ours == expected["hidden"]
    np.testing.assert_allclose(result.output[0], output[:300], rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize(
    ("threshold", "variables", "margin", "gate"),
    [
        ("v > 1", "v", "(v) - (1)", ""),
        ("v > 1 and calm", "v", "(v) - (1)", "(calm)"),
        ("a < 2 and (v >= 1 and t > 3*ms)", "v", "(v) - (1)", "(a < 2) and (t > 3 * ms)"),
        ("a < 2 and v >= 1", "a", "(2) - (a)", "(v >= 1)"),
    ],
)
def test_margin_and_gate(threshold, variables, margin, gate):
    assert margin_and_gate(threshold, {variables}, "X") == (margin, gate)


def test_what_has_no_margin():
    with pytest.raises(ValueError, match=r"2 conditions of the threshold .* involve v"):
        margin_and_gate("v > 1 and v < 2", {"v"}, "X")
    with pytest.raises(ValueError, match=r"the threshold .*or.* is not one comparison"):
        margin_and_gate("v > 1 or a > 1", {"v"}, "X")
    with pytest.raises(ValueError, match="is not one comparison"):
        EProp().equations(dataclasses.replace(BASE, threshold="v > 1 or a > 3"))
    current = dataclasses.replace(
        equations.CurrentLIF(), threshold="v > v_th and t > 5*ms", refractory=False
    )
    with pytest.raises(ValueError, match="is not one comparison"):
        EventProp().equations(current)


def gradients(model, rule=None):
    net, trials = network(model, n=8, layers=1, delays=False), spike_trials(2, n_steps=120, rate=40)
    loss = CrossEntropy()
    engine = Engine(net, rule or EProp(), loss, dtype="float64").run(trials, gradient=True)
    return net, trials, engine


def test_a_gate_closes_the_pseudo_derivative():
    gated = dataclasses.replace(BASE, threshold="v > 1 and a < 1.5")
    assert step_map(gated).psi == "(0.3*clip(1 - abs(v - 1), 0, 1))*int((a < 1.5))"
    net, trials, engine = gradients(gated)
    online = OnlineBackend(net, EProp(), CrossEntropy()).run(trials, None, gradient=True)
    assert online.spikes == engine.spikes
    for key, block in engine.gradient.items():
        assert np.abs(block).max() > 0
        np.testing.assert_allclose(
            online.gradient[key], block, rtol=0, atol=1e-10 * np.abs(block).max()
        )
    # a gate that is always open changes nothing, one that is closed sometimes does
    _, _, plain = gradients(BASE)
    _, _, open_ = gradients(dataclasses.replace(BASE, threshold="v > 1 and a > -1"))
    _, _, shut = gradients(dataclasses.replace(BASE, threshold="v > 1 and t > 60*ms"))
    for key, block in plain.gradient.items():
        np.testing.assert_array_equal(open_.gradient[key], block)
        if not key.startswith("readout"):
            assert not np.allclose(shut.gradient[key], block, rtol=0.1)


def test_the_flag_of_refractoriness_is_no_gate():
    """Brian2 asks for it at every threshold: written or not, a spike has the same pseudo-derivative."""
    plain = dataclasses.replace(BASE, refractory=2 * ms)
    written = dataclasses.replace(plain, threshold="v > 1 and not_refractory")
    assert step_map(written).psi == step_map(plain).psi == BASE.surrogate


def test_surrogate_of_the_models_own_threshold():
    """The margin is that of the one comparison; the width is how far a spike moves it, unless it is said."""
    distance = dataclasses.replace(
        BASE, threshold="x > 0.5 and not_refractory", equations=f"{BASE.equations}\nx = (v - 1)/2 : 1",
        refractory=2 * ms, surrogate=triangle(width=0.25),
    )  # fmt: skip
    assert distance.surrogate == triangle("(x) - (0.5)", 0.25)
    by_scale = dataclasses.replace(distance, surrogate=triangle(height=0.3))
    v = np.linspace(-1, 4, 11)
    wanted = 0.3 * np.clip(1 - np.abs((v - 1) / 2 - 0.5), 0, 1)  # x is reset from 0.5 to -0.5
    psi = expand(by_scale.surrogate, {"x": "(v - 1)/2"})
    np.testing.assert_allclose(evaluate(psi, {"v": v}), wanted, rtol=1e-12, atol=1e-15)
    with pytest.raises(ValueError, match="the surrogate has no width.*depends on the state"):
        dataclasses.replace(BASE, reset="v *= 0.5 + v", surrogate=triangle())
    with pytest.raises(ValueError, match="2 conditions of the threshold"):
        dataclasses.replace(BASE, threshold="v > 1 and a < 2", surrogate=triangle())


@pytest.mark.parametrize("part", ["reset", "step"])
def test_a_copy_of_a_state_stays_as_it_was(part):
    """Brian2's C++ copies; for its numpy target both names would be one array."""
    code = {part: "w = v; v -= 1; u = w; w += 10"}
    model = NeuronModel(equations="v : 1\nw : 1\nu : 1", threshold="v > 1", inputs=(), **code)
    group = model.group(2)
    group.v = [3, 5]
    Network(group).run(defaultclock.dt, namespace={})
    np.testing.assert_array_equal([group.v, group.u, group.w], [[2, 4], [3, 5], [13, 15]])
    assert copying_code("c = d; d = a > 1", {"d"}) == "c = d\nd = a > 1"
    assert copying_code("c = True; c = a > 1") == "c = True\nc = a > 1"
    model = dataclasses.replace(model, initial={"v": 3}, inputs=("v",))
    net = SpikingNetwork(Input(1), Layer(model, 2, name="copies"), Readout(1), dt=1 * ms)
    record = [("copies", name) for name in "vuw"]
    states = Engine(net, threads=1).simulate(
        spike_trials(1, n_channels=1, n_steps=2, rate=0), record=record
    )
    found = [states.states[key][0][1, 0] for key in record]
    assert found == [2, 3, 13]


@pytest.mark.standalone
@pytest.mark.slow
def test_the_exported_program_spikes_as_brian2_does(tmp_path):
    """Two layers, whose thresholds are a state and conditions joined by or, from per-neuron values."""
    first = dataclasses.replace(of_form("a state"), initial={"v": np.linspace(0, 0.9, 12)})
    parts = [Layer(m, 12, recurrent=True, weight_scale=2.0) for m in (first, of_form("or"))]
    net = SpikingNetwork(Input(30), *parts, Readout(3), seed=1)
    trials = spike_trials(2, n_steps=150, rate=40)
    expected, _, _ = brian_spikes(net, trials)
    project = make(export(net, tmp_path / "net", inputs=trials))
    run(project)
    for layer in net.layers:
        found = read_results(project).spikes[layer.name]
        ours = [
            (k, round(t / ms), i)
            for k, s in enumerate(found)
            for t, i in zip(s.t, s.i, strict=True)
        ]
        assert len({i for _, _, i in ours}) > 4
        assert sorted(ours) == expected[layer.name]
