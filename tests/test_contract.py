"""What holds for every named rule with every named neuron, on every backend and in both precisions.

Rules are found in ``neurosnn.rules.NAMED`` and neurons in ``neurosnn.equations``: a new one is tested by
being there. All neurons that a rule takes are layers of one network, side by side between the input and the
readout, so that a rule costs one program for each precision.
"""

from __future__ import annotations

import functools
import inspect

import numpy as np
import pytest
from brian2 import Hz, hertz, ms
from brian2.units.fundamentalunits import DIMENSIONLESS
from engine_cases import spike_trials
from eventprop_cases import lif_case
from test_eventprop import CASES, FINE, compared, cosine, error, exact_and_grid

import neurosnn
from neurosnn import Adam, NeuronModel, Trainer, equations
from neurosnn.core.messages import MESSAGE
from neurosnn.engine import Engine
from neurosnn.losses import CrossEntropy
from neurosnn.network import Connection, Input, Layer, Readout, SpikingNetwork
from neurosnn.rules import NAMED as RULES
from neurosnn.training.backends import BACKENDS

N_IN, N, N_OUT, N_STEPS = 12, 6, 3, 120
#: Neurons in physical units with an upstroke of the spike: their step and weights are those of
#: test_named_neurons.py and test_zoo.py, where they go through all routes.
ELSEWHERE = {
    "AdEx",
    "ExponentialIF",
    "QuadraticIF",
    "HodgkinHuxley",
    "TraubMiles",
    "WangBuzsaki",
    "MorrisLecar",
}
NEURONS = {
    name: model
    for name, make in vars(equations).items()
    if inspect.isfunction(make)
    and name in equations.__all__
    and name not in ELSEWHERE
    and isinstance(model := make(), NeuronModel)
    and model.spikes
}
REST = 5
#: In place of defaults: a refractory period long enough to be felt, and clipped traces have no adjoint.
VARIANTS = {
    "Izhikevich": equations.Izhikevich(clip_eligibility=False),
    **{
        name: getattr(equations, name)(t_ref=REST * ms)
        for name, model in NEURONS.items()
        if "t_ref" in model.parameters
    },
}
TRIALS = spike_trials(2, N_IN, N_STEPS, rate=60.0, n_classes=N_OUT, seed=5)

STEP_CODE = "the model has step code"
NO_SURROGATE = "the model has no surrogate"
#: What a rule does not take, and what it says.
REFUSED = {
    **dict.fromkeys([("eprop", "EqSpikeLIF"), ("bptt", "EqSpikeLIF")], NO_SURROGATE),
    **dict.fromkeys([("eprop", "RegularInput"), ("bptt", "RegularInput")], NO_SURROGATE),
    **dict.fromkeys([("eprop", "ConstantInput"), ("bptt", "ConstantInput")], NO_SURROGATE),
    **dict.fromkeys([("eprop", "GatedLIF"), ("bptt", "GatedLIF")], "its spikes carry the value"),
    **{("eventprop", name): STEP_CODE for name in ("LIF", "ALIF", "STDP_LIF", "STDP_ALIF", "PLIF")},
    **{("eventprop", name): STEP_CODE for name in ("Izhikevich", "GatedLIF", "EqSpikeLIF")},
    **{("eventprop", name): STEP_CODE for name in ("SE_adLIF", "BalancedResonateAndFire")},
    ("eventprop", "ConstantInput"): "the input variable 'x' has no differential equation",
}
#: Parameters that no gradient leads to: what only the pseudo-derivative or the rest contains, and, where
#: spike times are differentiated, the threshold.
CONSTANT = {
    "eprop": {"t_ref", "gamma", "psi_refractory", "steepness", "height"},
    "bptt": {"t_ref", "gamma", "psi_refractory", "steepness", "height"},
    "eventprop": {"v_th", "gamma", "beta"},
}
#: Mean weight of an input with which most neurons spike, in the unit of the input.
WEIGHT = {"LIF": 0.35, "PLIF": 1.0, "Izhikevich": 25.0, "CurrentLIF": 1.0, "SE_adLIF": 8.0}
WEIGHT["BalancedResonateAndFire"] = 60.0

PAIRS = [(rule, neuron) for rule in RULES for neuron in NEURONS]
#: At rest between arrivals: the time of each spike is that of the arrival that causes it.
CAUSED = ("eventprop", "RegularInput")
TAKEN = [pair for pair in PAIRS if pair not in REFUSED and pair != CAUSED]
each_rule = pytest.mark.parametrize("rule", RULES)
each_dtype = pytest.mark.parametrize("dtype", ["float32", "float64"])
each_pair = pytest.mark.parametrize(("rule", "neuron"), TAKEN)


def fan(rule, neurons=None, *, learn=True):
    """The neurons side by side; recurrent where the rule sees no path from one neuron to another."""
    taken = [name for key, name in TAKEN if key == rule and (neurons is None or name in neurons)]
    layers, connections = [], {}
    for name in taken:
        model, rng = VARIANTS.get(name, NEURONS[name]), np.random.default_rng(len(layers))
        constant = CONSTANT[rule]
        learned = tuple(key for key in model.parameters if key not in constant) if learn else ()
        layers.append(Layer(model, N, name=name, learn=learned))
        weight = WEIGHT.get(name, WEIGHT["LIF"])
        inward = rng.uniform(0.3, 1.7, (N_IN, N)) * weight
        within = rng.choice([-0.5, 0.3], (N, N)) * weight * (1 - np.eye(N))
        outward = rng.normal(size=(N, N_OUT))
        connections[f"{name}_input"] = connection(f"{name}_input", "input", name, inward, 3)
        if rule == "eprop":
            connections[f"{name}_recurrent"] = connection(
                f"{name}_recurrent", name, name, within, 3
            )
        connections[f"{name}_readout"] = connection(f"{name}_readout", name, "readout", outward, 1)
    net = SpikingNetwork(
        Input(N_IN), *layers, Readout(N_OUT, tau=15 * ms), dt=1 * ms, connections=connections
    )
    net.parameters["readout.b"][:] = [0.3, -0.2, 0.1]
    return net


def connection(name, source, target, w, longest):
    """Dense, with delays of 0 up to so many steps."""
    return Connection(
        name=name,
        source=source,
        target=target,
        n_post=w.shape[1],
        w=w,
        mask=None,
        pre=None,
        post=None,
        fixed_delay=np.arange(len(w), dtype=np.int32) % longest,
        channel=np.zeros(len(w), np.int32),
        sign=None,
        dimensions=DIMENSIONLESS,
        dt=1e-3,
    )


@functools.lru_cache
def computed(rule, dtype):
    """The network, and what the engine makes of the trials."""
    net = fan(rule)
    engine = Engine(net, RULES[rule](), CrossEntropy(), dtype=dtype, threads=1)
    return net, engine, engine.run(TRIALS, gradient=True)


@functools.lru_cache
def by_traces(rule):
    """Loss, gradient and spikes of stock Brian2 with the traces of e-prop in its synapses."""
    online = RULES["eprop"]().online(fan(rule, learn=False), CrossEntropy())
    return online.run(TRIALS, gradient=True)


# -- oracles: what each rule is compared with ---------------------------------------------------------


def traces(rule, neuron, dtype):
    """The online form of e-prop. Without paths between neurons, BPTT is the same."""
    _, _, ours = computed(rule, dtype)
    theirs = by_traces(rule)
    assert ours.spikes[neuron] == theirs.spikes[neuron]
    assert ours.loss == pytest.approx(theirs.loss, rel=1e-5 if dtype == "float32" else 1e-12)
    names = [name for name in theirs.gradient if name.startswith(neuron)] + ["readout.b"]
    assert len(names) == (4 if rule == "eprop" else 3)
    for name in names:
        worst = np.abs(ours.gradient[name] - theirs.gradient[name]).max()
        assert worst < (1e-3 if dtype == "float32" else 1e-10) * np.abs(theirs.gradient[name]).max()


def differences_of_exact_spike_times(rule, neuron, dtype):
    """Difference quotients of a simulation that knows no grid of time."""
    kind, (seed, *_) = CASES["delays"]
    case = lif_case(seed, **kind)
    gradient = exact_and_grid(case, FINE, dtype=dtype, rule=RULES[rule]())
    for key in ("input.w", "recurrent.w", (0, "tau_m"), (0, "tau_s")):
        ours, theirs = compared(case, key, gradient, elements=4)
        assert np.linalg.norm(theirs) > 0
        assert cosine(ours, theirs) > 0.999, key
        assert error(ours, theirs) < 0.06, key


ORACLES = {"eprop": traces, "bptt": traces, "eventprop": differences_of_exact_spike_times}


# -- the contract -------------------------------------------------------------------------------------


@pytest.mark.parametrize(("rule", "neuron"), sorted(REFUSED))
def test_what_a_rule_does_not_take_is_refused_with_the_reason(rule, neuron):
    net = SpikingNetwork(Input(2), Layer(NEURONS[neuron], 2), Readout(2))
    with pytest.raises(ValueError, match=REFUSED[rule, neuron]) as caught:
        Engine(net, RULES[rule](), CrossEntropy())
    assert len(str(caught.value)) <= MESSAGE


@each_dtype
@each_pair
def test_gradient_reaches_every_parameter(rule, neuron, dtype):
    net, _, result = computed(rule, dtype)
    assert (result.counts[neuron] > 0).mean() >= 0.2, f"{neuron} is silent: give it a WEIGHT"
    assert result.spikes[neuron] < 0.3 * N * len(TRIALS) * N_STEPS
    names = [name for name in net.parameters if name.startswith((f"{neuron}.", f"{neuron}_"))]
    learned = set(NEURONS[neuron].parameters) - CONSTANT[rule]
    assert {f"{neuron}.{key}" for key in learned} < set(names)
    for name in names:
        assert np.isfinite(result.gradient[name]).all(), name
        assert np.abs(result.gradient[name]).max() > 0, f"{name} has no gradient"


@each_dtype
@each_pair
def test_gradient_equals_the_oracle(rule, neuron, dtype):
    ORACLES[rule](rule, neuron, dtype)


def shortest_interval(spikes):
    """Steps between two spikes of a neuron in a trial."""
    places = sorted((k, neuron, step) for k, step, neuron in spikes)
    pairs = zip(places, places[1:], strict=False)
    return min(after[2] - before[2] for before, after in pairs if after[:2] == before[:2])


@each_rule
def test_spikes_and_output_equal_stock_brian2(rule):
    net, engine, result = computed(rule, "float64")
    ours, schedule = engine.simulate(TRIALS), net.trial_times(TRIALS)
    simulation = fan(rule, learn=False).brian2(TRIALS, record=("spikes", "output"))
    simulation.run(schedule.duration, namespace={})
    for layer in net.layers:
        monitor = simulation[f"{layer.name}_spikes"]
        place = schedule.locate(monitor.t[:])
        theirs = zip(place.trial, place.step, monitor.i[:], strict=True)
        found = [
            (k, step, neuron)
            for k, spikes in enumerate(ours.spikes[layer.name])
            for step, neuron in zip(*spikes, strict=True)
        ]
        assert sorted(found) == sorted(event for event in theirs if event[0] >= 0)
        assert len(found) == result.spikes[layer.name] > 0
        if "t_ref" in layer.model.parameters:
            assert shortest_interval(found) == REST, "no neuron would fire in its refractory period"
    output = np.asarray(simulation["readout_states"].output).T
    for k in range(len(TRIALS)):
        part = output[k * schedule.period :][:N_STEPS]
        np.testing.assert_allclose(ours.output[k], part, rtol=1e-12, atol=1e-12)


@each_rule
def test_a_saved_network_is_the_same(rule, tmp_path):
    models = [VARIANTS.get(name, NEURONS[name]) for key, name in TAKEN if key == rule]
    layers = [Layer(model, N, recurrent=True) for model in models]
    net = SpikingNetwork(Input(N_IN), *layers, Readout(N_OUT), seed=2)
    net.save(tmp_path / "net.npz")
    again = SpikingNetwork.load(tmp_path / "net.npz")
    assert repr(again) == repr(net)
    assert [layer.model.to_dict() for layer in again.layers] == [m.to_dict() for m in models]
    assert again.parameters.keys() == net.parameters.keys()
    for name, array in net.parameters.items():
        np.testing.assert_array_equal(again.parameters[name], array)


@each_rule
def test_a_rule_is_what_it_shows(rule):
    names = {"hertz": hertz, **{name: getattr(neurosnn, name) for name in neurosnn.__all__}}
    for made in (RULES[rule](), RULES[rule](rate_target=20 * Hz, rate_strength=0.5)):
        assert eval(repr(made), names) == made
    assert made != RULES[rule]()


@each_rule
@pytest.mark.parametrize(
    ("backend", "dtype"),
    [("brian2", "float64"), ("engine", "float32"), ("engine", "float64")],
)
def test_a_training_goes_on_with_the_same_bits(rule, backend, dtype, tmp_path):
    """Of one neuron in Brian2, of all of them on the engine."""
    online = backend == "brian2"

    def trained(epochs, path):
        net = fan(rule, ["LIF"] if online else None, learn=not online)
        trainer = Trainer(
            net, RULES[rule](), optimizer=Adam(1e-3), backend=backend, dtype=dtype, seed=1
        )
        history = trainer.fit(TRIALS, epochs=epochs, batch_size=1, checkpoint=path, progress=False)
        return history["loss"].tolist(), net.parameters

    if online and not RULES[rule].has_traces:
        with pytest.raises(ValueError, match=f"{RULES[rule].__name__} has no online form"):
            Trainer(fan("eprop", ["LIF"], learn=False), RULES[rule](), backend=backend)
        return
    losses, whole = trained(2, None)
    trained(1, tmp_path / "a.npz")
    again, resumed = trained(2, tmp_path / "a.npz")
    assert again == losses
    for name, array in fan(rule, ["LIF"] if online else None, learn=not online).parameters.items():
        assert not np.array_equal(array, whole[name]), f"{name} does not learn"
        np.testing.assert_array_equal(resumed[name], whole[name])


def test_every_rule_and_backend_is_here():
    assert set(ORACLES) == set(CONSTANT) == set(RULES)
    # the kernels of "cuda" run in test_cuda.py on the processor: rules, layers, both precisions
    assert set(BACKENDS) == {"brian2", "engine", "cuda"}
    assert set(REFUSED) < set(PAIRS)
