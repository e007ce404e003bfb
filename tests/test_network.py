"""Networks: what they consist of, what is drawn from a seed, and what is refused."""

from __future__ import annotations

import tracemalloc

import numpy as np
import pytest
from brian2 import ms, mV, nA, siemens
from reference.networks import (
    CONDUCTANCE,
    CURRENT,
    N_IN,
    ONE_CONDUCTANCE,
    TWO_UNITS,
    N,
    network,
    real_valued_network,
    spike_trials,
)

from neurosnn import NeuronModel, equations
from neurosnn.network import Input, Layer, Readout, SpikingNetwork

# -- what it consists of ----------------------------------------------------------------------


@pytest.mark.smoke
def test_names_of_one_and_of_several_layers():
    net = network()
    assert [layer.name for layer in net.layers] == ["hidden"]
    assert list(net.connections) == ["input", "recurrent", "readout"]
    assert set(net.parameters) == {"input.w", "recurrent.w", "readout.w", "readout.b"}
    net = network(layers=2, readout=Readout(3, bias=False))
    assert list(net.connections) == [
        "input", "recurrent1", "forward2", "recurrent2", "readout1", "readout2",
    ]  # fmt: skip
    assert [(c.source, c.target) for c in net.connections.values()] == [
        ("input", "hidden1"), ("hidden1", "hidden1"), ("hidden1", "hidden2"), ("hidden2", "hidden2"),
        ("hidden1", "readout"), ("hidden2", "readout"),
    ]  # fmt: skip
    assert set(net.parameters) == {f"{name}.w" for name in net.connections}
    assert net.layer("hidden2") is net.layers[1]
    with pytest.raises(KeyError, match=r"there is no layer 'hidden3'.*Did you mean 'hidden"):
        net.layer("hidden3")


def test_parameters_are_the_arrays_of_the_connections():
    net = network()
    assert net.parameters["recurrent.w"] is net.connections["recurrent"].w
    net.parameters["recurrent.w"][:] = 0
    net.parameters["readout.b"][:] = [1, 2, 3]
    simulation = net.brian2()
    assert not np.any(simulation["recurrent"].w[:])
    np.testing.assert_array_equal(simulation["readout"].output[:], [1, 2, 3])
    with pytest.raises(TypeError, match="assignment"):
        net.parameters["recurrent.w"] = np.zeros((N, N))
    assert net.n_parameters == N_IN * N + N * (N - 1) + 3 * N + 3


def test_a_seed_gives_the_same_network_and_another_seed_another():
    settings = {"connectivity": 0.3}
    first, again = network(**settings), network(**settings)
    other = SpikingNetwork(first.input, first.layers[0], first.readout, seed=2)
    for name, connection in first.connections.items():
        np.testing.assert_array_equal(connection.matrix(), again.connections[name].matrix())
        assert np.any(connection.matrix() != other.connections[name].matrix())
        assert connection.sparse == (name != "readout")


@pytest.mark.parametrize(
    ("model", "settings", "scale"),
    [
        (equations.LIF(v_th=0.5), {"weight_scale": 3.0}, 1.5),
        (equations.LIF(v_th=0.5), {"weight_scale": 3.0, "connectivity": 0.2}, 1.5),
        (equations.LIF(v_th=np.full(400, 0.5)), {}, 0.5),
        (equations.Izhikevich(), {"weight_scale": 2.0}, 2.0),
        (CURRENT.with_parameters(), {"weight_scale": 2.0}, 2e-9),
        (CURRENT.with_parameters(), {"weight_scale": 0.3 * nA}, 0.3e-9),
    ],
)
def test_size_of_the_initial_weights(model, settings, scale):
    if model.name == "Current":
        model = NeuronModel.from_dict({**model.to_dict(), "initial": {}})
    net = SpikingNetwork(Input(100), Layer(model, 400, recurrent=True, **settings), Readout(50))
    fraction = settings.get("connectivity", 1.0)
    for name, n_pre in (("input", 100), ("recurrent", 400)):
        connection = net.connections[name]
        there = connection.matrix() != 0
        w = connection.matrix()[there]
        assert np.std(w) == pytest.approx(scale / np.sqrt(n_pre * fraction), rel=0.05)
        assert abs(np.mean(w)) < 4 * np.std(w) / np.sqrt(w.size)
        assert np.mean(there) == pytest.approx(fraction, abs=0.02)
    assert np.std(net.parameters["readout.w"]) == pytest.approx(1 / 20, rel=0.05)


def test_no_neuron_connects_to_itself_and_missing_synapses_are_zero():
    connection = network().connections["recurrent"]
    assert not connection.mask.diagonal().any()
    assert np.all((connection.w != 0) == connection.mask)
    assert connection.n_synapses == N * (N - 1) == np.count_nonzero(connection.matrix())
    assert network().connections["input"].mask is None
    connection = network(connectivity=0.5).connections["recurrent"]
    assert not np.any(connection.pre == connection.post)
    assert connection.n_synapses == connection.w.size < 0.6 * N * N
    assert np.all(np.diff(connection.pre * N + connection.post) > 0)
    there = connection.matrix() != 0
    np.testing.assert_array_equal(np.argwhere(there), np.c_[connection.pre, connection.post])
    np.testing.assert_array_equal(connection.matrix()[there], connection.w)


def test_a_sparse_network_never_needs_a_full_matrix():
    tracemalloc.start()
    layer = Layer(equations.LIF(), 10_000, recurrent=True, connectivity=0.001)
    net = SpikingNetwork(Input(10), layer, Readout(2))
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert net.connections["recurrent"].n_synapses == pytest.approx(100_000, rel=0.02)
    assert peak < 20e6  # a full matrix of 10 000 x 10 000 bytes is 100e6


def test_weights_of_a_sparse_connection_have_one_dimension():
    net = network(connectivity=0.5, excitatory=0.5)
    recurrent = net.connections["recurrent"]
    net.set_parameters({"recurrent.w": 2 * recurrent.w})
    with pytest.raises(ValueError, match=r"one value for each synapse.*matrix\[c.pre, c.post\]"):
        net.set_parameters({"recurrent.w": np.zeros((N, N))})
    with pytest.raises(
        ValueError, match=rf"recurrent.w\[0\] is -1, but neuron {recurrent.pre[0]} has"
    ):
        net.set_parameters({"recurrent.w": np.full(recurrent.w.shape, -1.0)})


def test_excitatory_and_inhibitory_neurons():
    net = network(layers=2, excitatory=0.75, delay=np.arange(N) % 3 * ms)
    for name in ("recurrent1", "forward2", "recurrent2"):
        connection = net.connections[name]
        np.testing.assert_array_equal(connection.sign, [1] * 15 + [-1] * 5)
        assert np.all(connection.w[:15] >= 0)
        assert np.all(connection.w[15:] <= 0)
        assert np.any(connection.w[15:] < 0)
        assert not connection.channel.any()
        np.testing.assert_array_equal(connection.delay, np.arange(N) % 3)
    for name in ("input", "readout1", "readout2"):
        assert net.connections[name].sign is None
        assert not net.connections[name].delay.any()
    assert net.max_delay == 2


def test_conductances_are_never_negative_and_inhibition_has_its_own():
    net = network(CONDUCTANCE, excitatory=0.75)
    recurrent = net.connections["recurrent"]
    np.testing.assert_array_equal(recurrent.channel, [0] * 15 + [1] * 5)
    assert np.all(recurrent.w >= 0)
    assert np.all(net.connections["input"].w > 0)
    assert np.all(recurrent.sign == 1)
    assert recurrent.dimensions is siemens.dim
    simulation = net.brian2()
    assert set(simulation["recurrent"].i[:]) == set(range(15))
    assert set(simulation["recurrent_inhibitory"].i[:]) == set(range(15, 20))
    assert "g_i_post += w" in simulation["recurrent_inhibitory"].pre.code
    assert np.all(network(ONE_CONDUCTANCE).connections["recurrent"].w >= 0)


def test_repr_is_a_table():
    text = repr(network(CURRENT, excitatory=0.5, delay=np.linspace(0, 19, N) * ms))
    assert text.splitlines()[0] == "SpikingNetwork: 1,043 parameters, dt = 1 ms, seed = 1"
    assert "hidden           20  Current" in text
    assert (
        "recurrent.w        380 synapses  hidden -> hidden, 0 to 19 ms, signs fixed, in A" in text
    )


# -- what is refused --------------------------------------------------------------------------

LIF = equations.LIF()


@pytest.mark.parametrize(
    ("make", "match"),
    [
        (lambda: Input(0), r"Input: n must be a whole number from 1, got 0"),
        (lambda: Input(True), r"n must be a whole number"),
        (lambda: Input(2.5), r"n must be a whole number"),
        (lambda: Input(3, real_valued="no"), r"real_valued must be True or False, got 'no'"),
        (lambda: Layer(LIF, -1), r"Layer: n must be a whole number"),
        (lambda: Layer(LIF, 3, recurrent=1), r"recurrent must be True or False"),
        (lambda: Layer(equations.LeakyReadout(), 3), r"LeakyReadout has no threshold.*Readout\(n, model"),
        (lambda: Layer(LIF, 3, name="a b"), r"Layer a b: the name must be an identifier, got 'a b'"),
        (lambda: Layer(LIF, 3, name=5), r"must be an identifier, got 5"),
        (lambda: Layer(equations.ALIF(beta=np.ones(4)), 3), r"beta has shape \(4,\) for 3 neurons"),
        (lambda: Layer(CURRENT, 3), r"v has shape \(20,\) for 3 neurons"),
        (lambda: Layer(LIF, 3, delay=2), r"delay must be a time.*Did you mean delay=2\*ms"),
        (lambda: Layer(LIF, 3, delay=-1 * ms), r"delay must be >= 0"),
        (lambda: Layer(LIF, 3, delay=[1, 2] * ms), r"delay has shape \(2,\) for 3 neurons"),
        (lambda: Layer(LIF, 3, connectivity=0), r"connectivity must be > 0 and <= 1, got 0"),
        (lambda: Layer(LIF, 3, connectivity=1.1), r"connectivity must be > 0 and <= 1"),
        (lambda: Layer(LIF, 3, excitatory=80), r"excitatory must be >= 0 and <= 1, got 80"),
        (lambda: Layer(LIF, 3, weight_scale=0), r"weight_scale must be > 0"),
        (lambda: Layer(LIF, 3, weight_scale=1 * nA), r"weight_scale must be dimensionless"),
        (lambda: Layer(CURRENT, N, weight_scale=1 * mV), r"weight_scale must be a current"),
        (lambda: Readout(0), r"Readout: n must be"),
        (lambda: Readout(2, bias=0.5), r"bias must be True or False"),
        (lambda: Readout(2, tau=20), r"tau must be a time, got 20"),
        (lambda: Readout(2, tau=5 * ms, model=equations.LeakyReadout()), r"both tau and model"),
        (lambda: Readout(2, model=LIF), r"Readout: the model LIF has a threshold"),
        (lambda: Readout(2, model=equations.LeakyReadout(tau=[1, 2, 3] * ms)), r"tau has shape \(3,\) for 2"),
        (
            lambda: Readout(2, model=NeuronModel(equations="db/dt = -b/tau : 1", inputs=("b",),
                                                 parameters={"tau": 1 * ms})),
            r"has a variable 'b'.*Choose another name",
        ),
        (lambda: SpikingNetwork(), r"must be Input, Layer \(one or more\), Readout.*got nothing"),
        (lambda: SpikingNetwork(Layer(LIF, 3), Input(2), Readout(2)), r"in this order, got Layer, Input, Re"),
        (lambda: SpikingNetwork(Input(2), Readout(2)), r"in this order, got Input, Readout"),
        (lambda: network(weight_scale=1.0, name="input"), r"the name 'input' is that of the input"),
        (lambda: network(name="recurrent"), r"is that of the connection 'recurrent'"),
        (lambda: network(layers=2, name="x"), r"the name 'x' is that of another layer"),
        (lambda: network(recurrent=False, delay=1 * ms), r"delay has no effect.*recurrent=True"),
        (lambda: network(recurrent=False, excitatory=0.8), r"excitatory has no effect"),
        (lambda: network(delay=1.5 * ms), r"delay must be a multiple of dt = 1. ms, got 1.5"),
        (lambda: network(ONE_CONDUCTANCE, excitatory=0.8), r"one conductance only.*inputs=\('g_e', 'g_i'\)"),
        (lambda: network(TWO_UNITS, excitatory=0.8), r"inputs I and v of NeuronModel have different units"),
        (lambda: SpikingNetwork(Input(2), Layer(LIF, 3), Readout(2), dt=1), r"dt must be a time, got 1"),
        (lambda: SpikingNetwork(Input(2), Layer(LIF, 3), Readout(2), dt=0 * ms), r"dt must be > 0"),
        (lambda: SpikingNetwork(Input(2), Layer(LIF, 3), Readout(2), dt=[1, 2] * ms), r"dt must be one time"),
        (lambda: SpikingNetwork(Input(2), Layer(LIF, 3), Readout(2), seed=-1), r"seed must be a whole"),
        (lambda: SpikingNetwork(Input(2), Layer(LIF, 3), Readout(2), seed=None), r"seed must be .* got None"),
        (lambda: network().steps(3), r"duration must be a time"),
    ],
)  # fmt: skip
def test_refused_at_construction(make, match):
    with pytest.raises(ValueError, match=match):
        make()


@pytest.mark.parametrize(
    ("make", "match"),
    [
        (lambda: Layer(equations.LIF, 3), r"Layer: model must be a NeuronModel.*Did you mean LIF\(\)\?"),
        (lambda: Layer("LIF", 3), r"model must be a NeuronModel, got 'LIF'"),
        (lambda: Layer(NeuronModel(equations="dv/dt = -v/ms : 1", threshold="v > 1", inputs=()), 3),
         r"has no inputs.*inputs=\('v',\)"),
        (lambda: Readout(2, model=20 * ms), r"model must be a NeuronModel"),
        (lambda: SpikingNetwork(Input(2), LIF, Readout(2)), r"is not a part of a network.*Layer\(model, n\)"),
    ],
)  # fmt: skip
def test_things_that_are_no_models_or_parts(make, match):
    with pytest.raises((TypeError, ValueError), match=match):
        make()


@pytest.mark.parametrize(
    ("values", "match"),
    [
        (
            {"recurrent": np.zeros((N, N))},
            r"unknown parameter 'recurrent'. Did you mean 'recurrent.w'",
        ),
        (
            {"input.w": np.zeros((N, N_IN))},
            r"input.w must have shape \(30, 20\), got \(20, 30\).*Transpose",
        ),
        ({"input.w": np.full((N_IN, N), np.nan)}, r"input.w holds a value that is not finite"),
        ({"input.w": np.full((N_IN, N), "a")}, r"input.w is not an array of numbers"),
        ({"input.w": np.ones((N_IN, N)) * mV}, r"input.w must be in dimensionless, got V"),
        ({"recurrent.w": np.eye(N)}, r"recurrent.w\[0, 0\] is 1, but there is no such synapse"),
        (
            {"recurrent.w": -1.0 * ~np.eye(N, dtype=bool)},
            r"recurrent.w\[0, 1\] is -1, but neuron 0 has sign",
        ),
    ],
)
def test_refused_parameters_change_nothing(values, match):
    net = network(excitatory=0.5)
    before = {name: array.copy() for name, array in net.parameters.items()}
    with pytest.raises(ValueError, match=match):
        net.set_parameters({"readout.b": np.ones(3), **values})
    for name, array in net.parameters.items():
        np.testing.assert_array_equal(array, before[name])


def test_set_parameters_writes_in_place_and_takes_units():
    net, other = network(CURRENT), network(CURRENT)
    w = net.parameters["input.w"]
    net.set_parameters({"input.w": np.full((N_IN, N), 0.2) * nA})
    assert net.parameters["input.w"] is w
    np.testing.assert_allclose(w, 0.2e-9, rtol=1e-15)
    other.set_parameters(net.parameters)
    np.testing.assert_array_equal(other.parameters["input.w"], w)


@pytest.mark.parametrize(
    ("use", "error", "match"),
    [
        (lambda net: net.brian2(np.zeros((5, N_IN))), TypeError, r"must be a trial or trials.*got ndarray"),
        (lambda net: net.brian2(spike_trials()[:0]), ValueError, r"there is no trial"),
        (lambda net: SpikingNetwork(Input(4), Layer(LIF, 3), Readout(2)).brian2(spike_trials()), ValueError,
         r"the trials have 30 channels, the network's input has 4.*Input\(30\)"),
        (lambda net: net.brian2(record=("spikes", "vv")), ValueError, r"'vv' cannot be recorded.*Did you"),
        (lambda net: real_valued_network().brian2(np.full((5, 4), np.nan)), TypeError, r"finite numbers"),
        (lambda net: real_valued_network().brian2(np.zeros((5, 3))), ValueError, r"have 3 channels"),
        (lambda net: real_valued_network().brian2(spike_trials()), TypeError, r"input is real-valued"),
    ],
)  # fmt: skip
def test_refused_inputs_and_records(use, error, match):
    with pytest.raises(error, match=match):
        use(network())
