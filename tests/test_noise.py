"""Noise: one generator in numpy, in the engine and in Brian2, and gradients along the path of its draws."""

import dataclasses

import numpy as np
import pytest
from brian2 import Hz, NeuronGroup, PoissonGroup, Synapses, ms
from engine_cases import raster, spike_trials
from scipy import stats
from test_engine import brian_spikes

from neurosnn import BPTT, Adam, EProp, EventProp, NeuronModel, Trainer, equations
from neurosnn.calculus.step import model_code
from neurosnn.core.draws import DRAWS_OF_A_LAYER, Draws, normal, philox4x32, uniform
from neurosnn.cuda import CudaEngine
from neurosnn.cuda.machines import Processor
from neurosnn.engine import Engine
from neurosnn.losses import CrossEntropy, MeanSquareError
from neurosnn.network import Input, Layer, Readout, SpikingNetwork
from neurosnn.rules.equilibrium.engine import EquilibriumEngine
from neurosnn.rules.equilibrium.network import EquilibriumNetwork

# one call of each kind in each place: held value, equations of two noises, step code, threshold,
# refractory period, reset
EVERYWHERE = NeuronModel(
    name="noise everywhere",
    equations="""
    dv/dt = (held - v + 0.3*randn())/tau + 0.3*v*xi_a*tau**-0.5 + 0.2*xi_b*tau**-0.5 : 1 (unless refractory)
    du/dt = (rand() - u)/tau + xi_a*tau**-0.5 : 1
    held = rand() + 0.1*randn() : 1 (constant over dt)
    """,
    threshold="v > 1 + 0.1*randn()",
    reset="v = 0.2*rand()\nu += 0.1*randn()",
    refractory="5*ms*rand()",
    step="u += 0.01*randn()",
    method="heun",
    inputs=("v",),
    parameters={"tau": 10 * ms},
)
NOISY_READOUT = NeuronModel(
    equations="dy/dt = -y/tau_out + sigma_out*y*xi*tau_out**-0.5 : 1",
    method="heun",
    inputs=("y",),
    parameters={"tau_out": 15 * ms, "sigma_out": 0.2},
)
# multiplicative and additive noise, a noisy threshold, and a reset of a random size that is differentiated
NEURON = NeuronModel(
    equations="dv/dt = -v/tau + sigma*v*xi_m*tau**-0.5 + 0.1*xi_a*tau**-0.5 : 1",
    threshold="v > 1 + 0.1*randn()",
    reset="v -= 0.8 + 0.2*rand()",
    spike_gradient=("v",),
    surrogate="0.4*clip(1 - abs(v - 1), 0, 1)",
    method="heun",
    inputs=("v",),
    parameters={"tau": 10 * ms, "sigma": 0.3},
)


def network(model, *sizes, recurrent=False, readout=NOISY_READOUT, n_in=30, learn=()):
    layers = [Layer(model, n, recurrent=recurrent, learn=learn, weight_scale=2.0) for n in sizes]
    return SpikingNetwork(Input(n_in), *layers, Readout(3, model=readout), dt=1 * ms, seed=1)


def number(layer, call):
    return layer * DRAWS_OF_A_LAYER + call


@pytest.mark.parametrize(
    ("counter", "key", "expected"),
    [
        ([0] * 4, [0] * 2, [0x6627E8D5, 0xE169C58D, 0xBC57AC4C, 0x9B00DBD8]),
        ([2**32 - 1] * 4, [2**32 - 1] * 2, [0x408F276D, 0x41C83B0E, 0xA20BC7C6, 0x6D5451FD]),
        (
            [0x243F6A88, 0x85A308D3, 0x13198A2E, 0x03707344],
            [0xA4093822, 0x299F31D0],
            [0xD16CFE09, 0x94FDCCEB, 0x5001E420, 0x24126EA1],
        ),
    ],
)
def test_philox_gives_the_known_answers_of_its_authors(counter, key, expected):
    """Random123 1.14, tests/kat_vectors, philox4x32 10."""
    assert philox4x32(np.array(counter), np.array(key)).tolist() == expected


def test_draws_have_their_distributions_and_do_not_depend_on_each_other():
    trial, step, neuron = np.arange(8)[:, None, None], np.arange(60)[:, None], np.arange(100)
    for function, distribution in ((normal, stats.norm), (uniform, stats.uniform)):
        every = [
            function(Draws(presentation).key(seed), trial, step, call, neuron)
            for seed, presentation, call in ((0, 0, 0), (0, 0, 1), (0, 1, 0), (1, 0, 0))
        ]
        for x in every:
            assert stats.kstest(x.ravel(), distribution.cdf).pvalue > 1e-3
            for axis in range(3):  # of neighbours in trial, step, neuron (pairs too)
                one, other = np.moveaxis(x, axis, 0)[:-1], np.moveaxis(x, axis, 0)[1:]
                assert abs(np.corrcoef(one.ravel(), other.ravel())[0, 1]) < 0.02
        correlation = np.corrcoef([x.ravel() for x in every])
        assert np.abs(correlation - np.eye(4)).max() < 0.02


def test_series_are_the_functions_of_the_library():
    x = uniform(Draws().key(0), 0, np.arange(200)[:, None], 0, np.arange(100))
    first, second = x[:, ::2], x[:, 1::2]
    radius, angle = np.sqrt(-2 * np.log1p(-first)), 2 * np.pi * second
    z = normal(Draws().key(0), 0, np.arange(200)[:, None], 0, np.arange(100))
    np.testing.assert_allclose(z[:, ::2], radius * np.cos(angle), rtol=1e-13, atol=1e-14)
    np.testing.assert_allclose(z[:, 1::2], radius * np.sin(angle), rtol=1e-13, atol=1e-14)


MIRROR = NeuronModel(  # states that are the draws themselves
    equations="x : 1\nz : 1\ny : 1\ndv/dt = -v/(10*ms) : 1",
    step="x = rand()\nz = randn()",
    threshold="y == 0",
    reset="y = randn()",
    inputs=("v",),
)


@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_the_engine_draws_the_numbers_of_numpy(dtype):
    """float64: the same bits. float32: rounded, those of rand() down so that they stay below 1."""
    net, trials = network(MIRROR, 3, 33), spike_trials(5, n_steps=20)
    states = tuple(("hidden2", name) for name in "xzy")
    engine = Engine(net, dtype=dtype, threads=2)
    result = engine.simulate(trials, record=states, draws=Draws(4, 7))
    place = (Draws(4).key(net.seed), 7 + np.arange(5)[:, None, None])
    for name, call, function in (("x", 0, uniform), ("z", 1, normal)):
        expected = function(*place, np.arange(19)[:, None], number(1, call), np.arange(33))
        drawn = result.states["hidden2", name][:, 1:]
        if dtype == "float64":
            np.testing.assert_array_equal(drawn, expected)
        else:
            np.testing.assert_allclose(drawn, expected, rtol=1.2e-7, atol=2**-24)
            assert name == "z" or np.all(drawn <= expected)
    # every neuron fires in the first step, and then never
    expected = normal(*place, 0, number(1, 2), np.arange(33)).astype(dtype)
    y = result.states["hidden2", "y"][:, 1:]
    np.testing.assert_allclose(y, np.broadcast_to(expected, y.shape), rtol=1.2e-7)
    alone = engine.simulate(trials[3:4], record=states, draws=Draws(4, 10))
    for state in states:
        np.testing.assert_array_equal(alone.states[state][0], result.states[state][3])
    again = engine.simulate(trials, record=states)
    assert not np.array_equal(again.states["hidden2", "z"], result.states["hidden2", "z"])


def test_spikes_equal_stock_brian2_with_the_same_draws():
    net, trials = network(EVERYWHERE, 21, 8), spike_trials(3, n_steps=300)
    draws = Draws(2, 5)
    expected, output, period = brian_spikes(net, trials, draws=draws)
    result = Engine(net, dtype="float64").simulate(trials, draws=draws)
    for layer in net.layers:
        ours = sorted(
            (k, step, neuron)
            for k, (steps, neurons) in enumerate(result.spikes[layer.name])
            for step, neuron in zip(steps, neurons, strict=True)
        )
        assert ours == expected[layer.name]
        assert (result.counts[layer.name].sum(axis=0) > 0).all()
    for k, y in enumerate(result.output):
        np.testing.assert_allclose(
            y, output[k * period : k * period + len(y)], rtol=1e-12, atol=1e-12
        )
    other = Engine(net, dtype="float64").simulate(trials)
    assert other.counts["hidden1"].tolist() != result.counts["hidden1"].tolist()


def test_noises_are_numbered_by_their_names():
    """Brian2 has them in a set, whose order is another in each process."""
    names = [f"xi_{k}" for k in "qwertyasdf"]
    noise = " + ".join(f"{name}*tau**-0.5" for name in names)
    model = NeuronModel(
        equations=f"dv/dt = -v/tau + {noise} : 1", method="euler", parameters={"tau": 10 * ms}
    )
    lines = model_code(model).update.split("\n")[: len(names)]
    assert [line.split()[0] for line in lines] == sorted(names)
    assert [line.split()[-1] for line in lines] == [f"___draw_{k}" for k in range(len(names))]


def test_the_mean_and_the_variance_are_those_of_the_process():
    """Ornstein-Uhlenbeck: sigma^2/2 in the stationary state, up to a factor of the Euler step."""
    model = NeuronModel(
        equations="dv/dt = (0.7 - v)/tau + sigma*xi*tau**-0.5 : 1",
        method="euler",
        inputs=("v",),
        threshold="v > 100",
        reset="",
        parameters={"tau": 10 * ms, "sigma": 0.4},
    )
    net, trials = network(model, 200), spike_trials(4, n_steps=400, rate=1e-9)
    v = Engine(net).simulate(trials, record=(("hidden", "v"),)).states["hidden", "v"][:, 100:]
    assert abs(v.mean() - 0.7) < 0.005
    assert abs(v.var() - 0.16 / (2 - 0.1)) < 0.003


def test_a_poisson_group_of_a_script_becomes_a_population_that_draws():
    rates = np.array([50.0, 100.0, 200.0, 10.0])
    noise = PoissonGroup(4, rates * Hz, dt=1 * ms, name="noise")
    cells = NeuronGroup(
        8, "dv/dt = -v/(10*ms) : 1", threshold="v > 1", reset="v = 0", name="cells", dt=1 * ms
    )
    synapses = Synapses(noise, cells, on_pre="v += 0.4", delay=2 * ms, dt=1 * ms)
    synapses.connect(condition="i != j")
    net = SpikingNetwork.from_brian2((noise, cells, synapses), readout=Readout(3), inputs=[])
    trials = spike_trials(4, 1, 500, rate=1e-9)
    expected, _, _ = brian_spikes(net, trials, draws=Draws())
    result = Engine(net, dtype="float64").simulate(trials)
    for name, spikes in expected.items():
        ours = [
            (k, step, neuron)
            for k, (steps, neurons) in enumerate(result.spikes[name])
            for step, neuron in zip(steps, neurons, strict=True)
        ]
        assert sorted(ours) == spikes
        assert len(spikes) > 100
    counts = result.counts["noise"].sum(axis=0)
    assert (np.abs(counts - 2 * rates) < 4 * np.sqrt(2 * rates)).all()


# -- gradients --------------------------------------------------------------------------------------


def held_draws(net, steps):
    """The draws of NEURON and NOISY_READOUT in trial 0 of the first presentation."""
    key, t = Draws().key(net.seed), np.arange(steps)[:, None]
    hidden, out = np.arange(net.layers[0].n), np.arange(3)
    kinds = (normal, normal, normal, uniform)  # xi_a, xi_m, threshold, reset
    drawn = [f(key, 0, t, number(0, k), hidden) for k, f in enumerate(kinds)]
    return [*drawn, normal(key, 0, t, number(1, 0), out)]


def simulated(weights, x, draws, target, path=None, cut=False):
    """Loss and path of the test's network, written by hand.

    A spike is z = H(g); on a given path it is the linear function z + psi (g - g') around it, so that
    the loss has derivatives. With `cut` neurons see the spikes of the path of each other, as in e-prop.
    """
    xi_a, xi_m, threshold, reset, xi_out = draws
    dt, tau, tau_out = 1e-3, 10e-3, 15e-3
    root = np.sqrt(dt / tau)
    sigma, W_in, W_rec, W_out, b = (weights[k] for k in ("sigma", "in", "rec", "out", "b"))
    v, y = np.zeros(W_in.shape[1]), np.zeros(3)
    loss, new = 0.0, []
    for t in range(len(x)):
        # Heun's method for noise: the predictor goes along the noise only, one for each noise
        first = v + sigma * v * xi_m[t] * root
        v = v - dt / tau * v + 0.5 * sigma * (v + first) * xi_m[t] * root + 0.1 * xi_a[t] * root
        g = v - 1 - 0.1 * threshold[t]
        psi = 0.4 * np.clip(1 - np.abs(v - 1), 0, 1)
        z = np.where(g > 0, 1.0, 0.0)
        new.append((z, psi, g))
        if path is not None:
            z = path[t][0] + path[t][1] * (g - path[t][2])
        v = v + x[t] @ W_in + (path[t][0] if cut else z) @ W_rec - z * (0.8 + 0.2 * reset[t])
        first = y + 0.2 * y * xi_out[t] * np.sqrt(dt / tau_out)
        y = y - dt / tau_out * y + 0.1 * (y + first) * xi_out[t] * np.sqrt(dt / tau_out) + z @ W_out
        loss += 0.5 * np.sum((y + b - target[t]) ** 2) / len(x)
    return loss, new


@pytest.mark.parametrize("rule", [BPTT(), EProp()], ids=lambda rule: rule.name)
def test_gradient_equals_central_differences_with_the_draws_held(rule):
    net = network(NEURON, 6, recurrent=True, n_in=12, learn=("sigma",))
    net.parameters["input.w"][...] += 0.4
    net.parameters["readout.b"][...] = 0.1
    trials, target = spike_trials(1, 12, 80, rate=60.0, seed=5), np.full((80, 3), 0.5)
    result = Engine(net, rule, MeanSquareError(), dtype="float64").run(
        trials, target, gradient=True
    )
    x, draws = raster(trials, 0, 80), held_draws(net, 80)
    names = {"in": "input.w", "rec": "recurrent.w", "out": "readout.w", "b": "readout.b"}
    names["sigma"] = "hidden.sigma"
    weights = {key: np.array(net.parameters[name]) for key, name in names.items()}
    loss, path = simulated(weights, x, draws, target)
    assert loss == pytest.approx(result.loss, rel=1e-12)
    z = np.array([step[0] for step in path])
    assert (z.sum(axis=0) >= 2).all()
    assert int(z.sum()) == result.spikes["hidden"]
    for key, name in names.items():
        flat, differences = weights[key].reshape(-1), np.zeros(weights[key].size)
        for k in np.flatnonzero(flat):  # a neuron has no synapse to itself
            value, sides = flat[k], []
            for side in (1e-5, -1e-5):
                flat[k] = value + side
                sides.append(
                    simulated(weights, x, draws, target, path, cut=rule.name == "eprop")[0]
                )
            flat[k] = value
            differences[k] = (sides[0] - sides[1]) / 2e-5
        gradient = result.gradient[name].reshape(-1)
        assert np.abs(gradient).max() > 1e-4, name
        np.testing.assert_allclose(
            gradient, differences, rtol=0, atol=1e-6 * np.abs(differences).max()
        )


# -- other machines and rules -------------------------------------------------------------------------


def test_many_threads_of_a_block_draw_the_same_numbers():
    net, trials = network(NEURON, 13, recurrent=True), spike_trials(2, n_steps=40, rate=60)
    engines = [
        Engine(net, BPTT(), CrossEntropy(), dtype="float64"),
        CudaEngine(
            net, BPTT(), CrossEntropy(), dtype="float64", device=Processor(threads=4, lanes=2)
        ),
    ]
    ours, theirs = (
        engine.run(trials, gradient=True, draws=Draws(3, first_trial=4)) for engine in engines
    )
    assert ours.spikes == theirs.spikes
    assert ours.spikes["hidden"] > 10
    for name, gradient in ours.gradient.items():
        assert np.abs(gradient).max() > 0
        np.testing.assert_array_equal(theirs.gradient[name], gradient)


def test_kernels_that_draw_numbers_compile_for_a_graphics_processor():
    pytest.importorskip("cuda.core", reason="the extra gpu is needed")
    from neurosnn.cuda.machines import _constants, compile_cubin

    net = network(NEURON, 13, recurrent=True)
    engine = CudaEngine(net, BPTT(), CrossEntropy(), device=Processor(threads=1))
    sizes = {"0": 13, "1": net.readout.n, "INPUT": net.input.n}
    text = _constants(sizes, 64, 32) + engine._source()
    assert "draw_of" in text
    assert compile_cubin(text, real="float", architecture="sm_90")[:4] == b"\x7fELF"


def test_training_has_new_noise_in_each_update_and_evaluation_the_same():
    def trainer():
        net = network(NEURON, 6, n_in=12)
        return Trainer(net, EProp(), optimizer=Adam(1e-3), dtype="float64")

    trials = spike_trials(6, 12, 60, rate=100.0)
    first = trainer()
    values = first.evaluate(trials, batch_size=2)
    assert values == pytest.approx(first.evaluate(trials), rel=1e-12)
    assert values["rate.hidden"] > 5
    scores = first.scores(trials, batch_size=4)
    assert np.array_equal(scores, first.scores(trials))
    record = first.record(trials, ["output"], batch_size=4)
    assert np.allclose(np.nanmean(record.output, axis=1), scores, rtol=1e-9)
    # two presentations of one batch, with the same weights
    before = first.gradient(trials)["input.w"]
    assert np.array_equal(before, first.gradient(trials)["input.w"])
    weights = {name: w.copy() for name, w in first.net.parameters.items()}
    first.step(trials)
    first.net.set_parameters(weights)
    after = first.gradient(trials)["input.w"]
    assert np.abs(after - before).max() > 0.05 * np.abs(before).max()
    # a training that goes on is the one that was not interrupted
    whole, part, rest = trainer(), trainer(), trainer()
    whole.fit(trials, epochs=2, batch_size=4, progress=False)
    part.fit(trials, epochs=1, batch_size=4, progress=False)
    rest._restore(part._state(), "memory")
    rest.fit(trials, epochs=1, batch_size=4, progress=False)
    for name, w in whole.net.parameters.items():
        np.testing.assert_array_equal(rest.net.parameters[name], w)


@pytest.mark.parametrize(
    ("make", "reason"),
    [
        (lambda net: Engine(net, EventProp(), CrossEntropy()), "noise: rand, randn, xi_a, xi_m"),
        (lambda net: Trainer(net, EProp(), backend="brian2"), "do not see the draws"),
        (lambda net: EProp().equations(NEURON), "do not see the draws"),
        (
            lambda net: Engine(network(dataclasses.replace(NEURON, reset="v = 0.1*poisson(2)"), 2)),
            "poisson",
        ),
        (
            lambda net: Engine(
                network(dataclasses.replace(NEURON, surrogate="rand()"), 2), BPTT(), CrossEntropy()
            ),
            "surrogate is random",
        ),
        (
            lambda net: network(dataclasses.replace(NEURON, initial={"v": "rand()"}), 2).brian2(
                draws=Draws()
            ),
            "initial value of v is random",
        ),
        (
            lambda net: dataclasses.replace(
                NEURON, equations=f"{NEURON.equations}\nk = rand() : 1"
            ),
            "subexpression 'k' is random",
        ),
        (
            lambda net: dataclasses.replace(NEURON, reset="v = rand() - rand()"),
            "more than one call of rand",
        ),
        (
            lambda net: dataclasses.replace(
                NEURON, equations="dv/dt = (v*rand() + rand())/tau + sigma*xi/tau**0.5 : 1"
            ),
            "calls a random function twice",
        ),
        (
            lambda net: EquilibriumEngine(
                EquilibriumNetwork(
                    (4, 3, 2),
                    neuron=dataclasses.replace(equations.EqSpikeLIF(), reset="v = 0.1*rand()"),
                )
            ),
            "phases of a trial",
        ),
        (lambda net: Draws(presentation=-1), "presentation must be a whole number"),
    ],
)
def test_what_cannot_be_random_is_refused(make, reason):
    with pytest.raises(ValueError, match=reason):
        make(network(NEURON, 2))
