"""Convolutions in networks that learn by equilibrium propagation: wiring, engine, directions, energy."""

from __future__ import annotations

import numpy as np
import pytest
from brian2 import ms

from neurosnn import Adam, data
from neurosnn.analysis.energy import LOIHI, PROCESSOR_45NM, count_events, energy
from neurosnn.analysis.equilibrium import (
    learning_window,
    steady_state,
    steady_state_gradient,
    update_directions,
)
from neurosnn.rules.equilibrium import Convolution, EquilibriumEngine, EquilibriumNetwork
from neurosnn.rules.equilibrium.wiring import SharedWiring
from neurosnn.training import EquilibriumTrainer

RANDOM = np.random.default_rng(3)
#: Kernels that are even and odd, with and without zeros around, blocks that overhang nothing.
TWO = ((8, 6), Convolution(3, 3, pool=2, padding=1), Convolution(4, 2), 3)
#: Two channels of input, blocks of three.
COLOUR = ((7, 7, 2), Convolution(3, 2, pool=2), Convolution(2, 3, pool=3, padding=1), 3)
TARGETS = np.eye(3)
BETA = np.array([2.0, -1.5, 1.0])


def network(structure=TWO, **options):
    options = {"free": 120 * ms, "nudged": 60 * ms, "seed": 4, "scale": 2.5, **options}
    net = EquilibriumNetwork(structure, **options)
    random = np.random.default_rng(5)
    for name, array in net.parameters.items():
        if name.endswith(".b"):
            array += random.uniform(0.1, 0.4, array.shape)
    return net


def pixels(net, n=3):
    x = np.random.default_rng(6).random((n, net.sizes[0]))
    return x * (x > 0.3)


# -- wiring -----------------------------------------------------------------------------------------


def plain(before, w, convolution):
    """Convolution, then the mean over blocks, position by position."""
    height, width, _ = before.shape
    k, pool, m = convolution.kernel, convolution.pool, convolution.padding
    padded = np.zeros((height + 2 * m, width + 2 * m, before.shape[2]))
    padded[m : m + height, m : m + width] = before
    seen = np.zeros((height + 2 * m - k + 1, width + 2 * m - k + 1, w.shape[3]))
    for y in range(seen.shape[0]):
        for x in range(seen.shape[1]):
            seen[y, x] = np.einsum("ijc,ijcd->d", padded[y : y + k, x : x + k], w)
    blocks = seen.reshape(seen.shape[0] // pool, pool, seen.shape[1] // pool, pool, -1)
    return blocks.mean(axis=(1, 3))


WIRINGS = [
    ((8, 6, 2), Convolution(3, 3, pool=2, padding=1)),
    ((7, 9, 2), Convolution(2, 2, pool=2)),
    ((7, 4, 3), Convolution(2, 3, pool=3, padding=2)),
    ((4, 5, 1), Convolution(3, 1)),
    ((3, 4, 2), Convolution(2, 2, pool=1, padding=3)),  # zeros of which some are never seen
]


@pytest.mark.parametrize("case", range(len(WIRINGS)))
def test_wiring_is_that_of_a_plain_convolution(case):
    before, convolution = WIRINGS[case]
    wiring = SharedWiring(before, convolution.shape(before, "test"), convolution)
    n_pre, n_post = int(np.prod(before)), int(np.prod(wiring.after))
    w, pre, post = (RANDOM.normal(size=s) for s in (wiring.shape, (2, n_pre), (2, n_post)))
    wanted = np.stack([plain(one.reshape(before), w, convolution).ravel() for one in pre])
    np.testing.assert_allclose(wiring.forward(pre, w), wanted, atol=1e-12)
    matrix = wiring.forward(np.eye(n_pre), w)
    np.testing.assert_allclose(wiring.backward(post, w), post @ matrix.T, atol=1e-12)
    # one synapse for each pair, with the weight that the plain convolution gives it
    i, j = wiring.synapses()
    of_synapses = np.zeros((n_pre, n_post))
    np.add.at(of_synapses, (i, j), wiring.synaptic(w))
    np.testing.assert_allclose(of_synapses, matrix, atol=1e-12)
    assert len(np.unique(i * n_post + j)) == len(i)
    np.testing.assert_array_equal(wiring.reach(), np.bincount(i, minlength=n_pre))
    # what a weight gets is the derivative of pre . W . post, which is linear in it
    product = wiring.product(pre, post)
    direct = np.zeros(w.size)
    for k, one in enumerate(np.eye(w.size)):
        direct[k] = ((pre @ wiring.forward(np.eye(n_pre), one.reshape(w.shape))) * post).sum()
    np.testing.assert_allclose(product.ravel(), direct, atol=1e-11)
    np.testing.assert_allclose(wiring.gathered((pre[:, i] * post[:, j]).sum(0)), product)


# -- the engine against stock Brian2 ----------------------------------------------------------------

CASES = {
    "constant input": {},
    "spiking input, product of traces": {
        "input": "spikes",
        "variant": "trace_product",
        "structure": COLOUR,
    },
}


@pytest.mark.parametrize("case", CASES)
def test_engine_equals_brian2(case):
    """Spikes, and G of the synapses that share a weight, which Brian2 holds one by one."""
    net = network(**CASES[case])
    x = pixels(net, 1)
    phase = np.random.default_rng(7).random(x.shape)
    given = {"targets": TARGETS[:1], "beta": 2.0, "phase": phase}
    engine = EquilibriumEngine(net, dtype="float64", threads=1)
    result = engine.run(x, record=True, **given)
    brian = net.brian2(x, **given)
    brian.run(net.trial, namespace={})
    for name, trains in result.trains.items():
        monitor, (step, neuron) = brian[f"{name}_spikes"], trains[0]
        assert len(step) > 10, f"{name} is silent"
        np.testing.assert_array_equal(step, np.round(np.asarray(monitor.t / net.dt)).astype(int))
        np.testing.assert_array_equal(neuron, monitor.i)
    for connection in net.connections:
        change = connection.wiring.gathered(np.array(brian[f"{connection.name}_synapses"].G))
        found = result.gradient[f"{connection.name}.w"]
        assert found.shape == net.parameters[f"{connection.name}.w"].shape
        assert np.abs(change).max() > 1e-3
        np.testing.assert_allclose(-found, change, rtol=1e-9, atol=1e-13)
    for name in ("hidden1", "hidden2", "output"):
        change = np.array(brian[f"one_{name}_synapses"].G).reshape(-1, net.shapes[name][-1]).sum(0)
        assert np.abs(change).max() > 1e-3
        np.testing.assert_allclose(-result.gradient[f"{name}.b"], change, rtol=1e-9, atol=1e-13)


def test_both_signs_and_a_margin():
    """Nudged by both signs: the mean of two trials; ahead by the margin: no change."""
    net = network()
    x, given = pixels(net), {"targets": TARGETS, "beta": BETA}
    engine = EquilibriumEngine(net, dtype="float64", threads=1)
    towards, away = (engine.run(x, targets=TARGETS, beta=sign * BETA) for sign in (1, -1))
    both = engine.run(x, both=True, **given)
    right = both.free["output"][np.arange(3), TARGETS.argmax(axis=1)]
    lead = right - np.where(TARGETS == 1, -np.inf, both.free["output"]).max(axis=1)
    most = int(lead.argmax())
    rest = np.arange(3) != most
    some = engine.run(x, margin=float(np.sort(lead)[1]), **given)
    np.testing.assert_array_equal(some.phases, rest)
    fewer = engine.run(x[rest], targets=TARGETS[rest], beta=BETA[rest])
    for name, gradient in both.gradient.items():
        wanted = (towards.gradient[name] + away.gradient[name]) / 2
        np.testing.assert_allclose(gradient, wanted, rtol=1e-9, atol=1e-13)
        assert np.abs(gradient).max() > 1e-3
        wanted = fewer.gradient[name] * 2 / 3
        np.testing.assert_allclose(some.gradient[name], wanted, rtol=1e-9, atol=1e-13)


def test_precision_threads_and_batches():
    net = network()
    x = np.tile(pixels(net), (4, 1))
    given = {"targets": np.tile(TARGETS, (4, 1)), "beta": np.tile(BETA, 4)}
    double = EquilibriumEngine(net, dtype="float64", threads=1)
    results = [EquilibriumEngine(net, threads=threads).run(x, **given) for threads in (1, 3)]
    wanted = double.run(x, **given).gradient
    single = [
        double.run(x[k : k + 1], targets=TARGETS[k : k + 1], beta=BETA[k]).gradient
        for k in range(3)
    ]
    for name, gradient in results[0].gradient.items():
        assert gradient.dtype == np.float32
        assert gradient.tobytes() == results[1].gradient[name].tobytes()
        scale = np.abs(wanted[name]).max()
        np.testing.assert_allclose(gradient, wanted[name], atol=1e-4 * scale)
        mean = np.mean([part[name] for part in single], axis=0)
        np.testing.assert_allclose(wanted[name], mean, rtol=1e-9, atol=1e-13)


# -- directions -------------------------------------------------------------------------------------

DIGITS = data.digits_8x8()[0]


def digits_network(**options):
    structure = ((8, 8), Convolution(6, 3, pool=2), 10)
    return network(structure, seed=5, scale=(2.5, 1.0), free=300 * ms, nudged=150 * ms, **options)


def test_adjoint_of_the_steady_state_equals_finite_differences():
    net = digits_network()
    x, targets = DIGITS.pixels()[:3], np.eye(10)[DIGITS.labels[:3]]
    found = steady_state_gradient(net, x, targets)
    gain = float(net.neuron.parameters["gain"])

    def cost():
        rates = steady_state(net, x).rates["output"]
        return ((rates - targets) ** 2).sum() / (2 * 3 * gain)

    for name, array in net.parameters.items():
        k = np.abs(found[name]).argmax()
        value, costs = array.flat[k], []
        for step in (1e-6, -1e-6):
            array.flat[k] = value + step
            costs.append(cost())
        array.flat[k] = value
        assert abs(costs[0] - costs[1]) > 1e-9
        assert found[name].flat[k] == pytest.approx((costs[0] - costs[1]) / 2e-6, rel=1e-4)


def test_direction_of_the_updates():
    """A little below the measured cosines: 0.999 and 0.995; 0.93 and 0.96."""
    net = digits_network()
    x, targets = DIGITS.pixels()[:40], np.eye(10)[DIGITS.labels[:40]]
    signs = np.where(np.arange(40) % 2, 2.0, -2.0)
    result = EquilibriumEngine(net, threads=1).run(x, targets=targets, beta=signs, record=True)
    to_two_point, to_exact, _ = update_directions(net, result, x, targets, signs)
    assert to_two_point["input_hidden.w"] > 0.999
    assert to_two_point["hidden_output.w"] > 0.98
    assert to_exact["input_hidden.w"] > 0.8
    assert to_exact["hidden_output.w"] > 0.9
    assert to_exact["hidden.b"] > 0.8


def test_learning_window_reads_the_pairs_that_are_connected():
    net = network()
    result = EquilibriumEngine(net, threads=1).run(
        pixels(net), targets=TARGETS, beta=BETA, record=True
    )
    window = learning_window(net, result, connection="hidden1_hidden2", max_lag=200, width=40)
    linked = np.zeros((36, 24), bool)
    linked[net.connections[1].wiring.synapses()] = True
    expected = 0  # every update whose partner spikes at all is in the window once
    for pre, post in zip(result.trains["hidden1"], result.trains["hidden2"], strict=True):
        for here, there, pairs in ((pre, post, linked), (post, pre, linked.T)):
            late = here[1][here[0] >= net.free_steps]
            expected += pairs[late][:, np.unique(there[1])].sum()
    assert window.n.sum() == expected > 1000


# -- events and energy ------------------------------------------------------------------------------


def test_events_are_the_synapses_that_spikes_reach():
    net = network(input="spikes", structure=COLOUR)
    x = pixels(net)
    result = EquilibriumEngine(net, threads=1).run(x, targets=TARGETS, beta=BETA, record=True)
    total = np.zeros((2, 2))
    for connection in net.connections:
        i, j = connection.wiring.synapses()
        for side, (name, ends) in enumerate(((connection.source, i), (connection.target, j))):
            if side and not connection.back:
                continue
            fan = np.bincount(ends, minlength=net.layers[name][1])
            for k, (step, neuron) in enumerate(result.trains[name]):
                for phase, chosen in enumerate((step < net.free_steps, step >= net.free_steps)):
                    reached = fan[neuron[chosen]].sum()
                    assert result.events[connection.name][k, phase, side] == reached
                    total[phase, side] += reached / 3
    assert total.min() > 50
    inference = count_events(net, result, x, learning=False)
    training = count_events(net, result, x, learning=True)
    assert inference.synaptic_events == pytest.approx(total[0].sum())
    assert training.synaptic_events == pytest.approx(total.sum())
    assert training.updates == pytest.approx(total[1].sum())


def test_energy_has_the_traffic_of_the_memory():
    net = network()
    x = pixels(net)
    result = EquilibriumEngine(net, threads=1).run(x, targets=TARGETS, beta=BETA)
    counts = count_events(net, result, x, learning=True)
    i, _ = net.connections[0].wiring.synapses()
    assert counts.constant_inputs == pytest.approx((x[:, i] != 0).sum() / 3)
    # four states a neuron, of an output six, 180 steps; every number has four bytes
    n = [net.layers[name][1] for name in ("hidden1", "hidden2", "output")]
    states = 2 * 180 * (4 * (n[0] + n[1]) + 6 * n[2])
    synapses = 3 * (counts.synaptic_events + counts.constant_inputs + counts.updates)
    assert counts.traffic == pytest.approx(4 * (states + synapses + 2 * counts.spikes))
    assert count_events(net, result, x, learning=True, number=8).traffic > 1.9 * counts.traffic
    joules = energy(counts, PROCESSOR_45NM)
    assert joules["memory"] == pytest.approx(counts.traffic * 12.5e-12)
    assert joules["memory"] > joules["neurons"] + joules["updates"] + joules["synaptic events"]
    assert energy(counts, LOIHI)["memory"] == 0


# -- learning ---------------------------------------------------------------------------------------


def test_a_convolution_learns_digits():
    net = EquilibriumNetwork(
        ((8, 8), Convolution(8, 3, pool=2), 10), dt=2 * ms, scale=(2.5, 1.0), seed=1
    )
    before = net.copy_parameters()
    trainer = EquilibriumTrainer(net, optimizer=Adam(5e-3), threads=1, seed=1)
    trainer.fit(DIGITS[:600], epochs=6, progress=False)
    found = trainer.evaluate(DIGITS[600:900])
    assert found["accuracy"] > 0.7
    assert 3 < found["rate.hidden"] < 100
    for name, array in net.parameters.items():
        assert np.abs(array - before[name]).max() > 1e-3


def test_a_training_goes_on_only_with_the_same_convolutions():
    settings = [
        EquilibriumTrainer(network(((6, 6), part, 3)), threads=1)._settings()["network"]
        for part in (Convolution(2, 3, pool=2), Convolution(2, 3, pool=2), Convolution(2, 4, 1, 0))
    ]
    assert settings[0] == settings[1] != settings[2]


# -- errors -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("make", "match"),
    [
        (lambda: Convolution(0, 3), "channels must be"),
        (lambda: Convolution(2, 2.5), "kernel must be a whole number from 1"),
        (lambda: Convolution(2, 3, pool=0), "pool must be"),
        (lambda: network((64, Convolution(2, 3), 3)), "follows a layer that has no height"),
        (lambda: network(((8, 8), 20, Convolution(2, 3), 3)), "follows a layer that has no height"),
        (lambda: network(((8, 8), Convolution(2, 9), 3)), "does not fit a layer of 8 x 8"),
        (lambda: network(((8, 8), Convolution(2, 4, pool=2), 3)), "5 x 5 positions, of which"),
        (lambda: network(((8, 8), Convolution(2, 3))), "sizes must name at least an input"),
        (lambda: network(((8, 8, 1, 1), 3)), "sizes must name at least an input"),
        (lambda: network(((8, 8), (4, 4), 3)), "sizes must name at least an input"),
        (
            lambda: network().brian2(np.ones((1, 48)), learning_rate=0.1),
            "learning_rate is 0.1, and the network has convolutions",
        ),
        (
            lambda: network().load(dict(network(COLOUR).parameters)),
            r"input_hidden1.w has shape \(2, 2, 2, 3\), not \(3, 3, 1, 3\)",
        ),
    ],
)
def test_errors(make, match):
    with pytest.raises(ValueError, match=match):
        make()


def test_a_convolution_is_named_in_the_network():
    net = network()
    assert repr(net) == "EquilibriumNetwork 8x6x1-4x3x3-3x2x4-3, constant input, spike_derivative"
    assert net.structure == TWO
