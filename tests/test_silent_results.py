"""Models that once ran to a wrong result without a word, on every route, against stock Brian2."""

import dataclasses

import numpy as np
import pytest
from brian2 import Network, SpikeMonitor, ms

from neurosnn import EProp, NeuronModel
from neurosnn.data import SpikeTrials
from neurosnn.engine import Engine
from neurosnn.losses import CrossEntropy
from neurosnn.network import Input, Layer, Readout, SpikingNetwork


def no_spikes(steps, dt=1 * ms, n_channels=1):
    """One trial without input."""
    return SpikeTrials(
        times=np.zeros(0), units=np.zeros(0, np.int32), offsets=[0, 0], labels=[0],
        n_channels=n_channels, duration=steps * dt,
    )  # fmt: skip


def network(model, n=4, dt=1 * ms, **settings):
    return SpikingNetwork(Input(1), Layer(model, n, **settings), Readout(2), dt=dt, seed=1)


def engine_spikes(model, n=4, *, steps=300, dt=1 * ms):
    """(step, neuron) of all spikes without input."""
    result = Engine(network(model, n, dt), dtype="float64").simulate(no_spikes(steps, dt))
    steps, neurons = result.spikes["hidden"][0]
    return sorted(zip(steps.tolist(), neurons.tolist(), strict=True))


def brian2_spikes(group, *, steps=300, dt=1 * ms):
    """The same of a stock group."""
    monitor = SpikeMonitor(group)
    Network(group, monitor).run(steps * dt, namespace={})
    return sorted(
        zip(np.rint(monitor.t / dt).astype(int).tolist(), monitor.i[:].tolist(), strict=True)
    )


DECLARED = NeuronModel(
    equations="dv/dt = (I - v)/tau : 1\nI : 1\ntau : second (constant)",
    threshold="v > 1",
    reset="v = 0",
    surrogate="0.3*clip(1 - abs(v - 1), 0, 1)",
    parameters={"I": 1.5, "tau": 20 * ms},
)


class TestParametersDeclaredInTheEquations:
    """One value, or one a neuron, is decided by the value, not by how it is declared."""

    def test_one_value_holds_for_all_neurons(self):
        spikes = engine_spikes(DECLARED)
        assert [sum(j == k for _, j in spikes) for k in range(4)] == [13, 13, 13, 13]
        assert spikes == brian2_spikes(DECLARED.group(4, dt=1 * ms))

    def test_a_value_a_neuron(self):
        model = DECLARED.with_parameters(I=np.array([1.1, 1.5, 0.9, 3.0]), tau=[5, 10, 20, 40] * ms)
        spikes = engine_spikes(model)
        assert len({j for _, j in spikes}) == 3
        assert spikes == brian2_spikes(model.group(4, dt=1 * ms))

    def test_is_learned_as_given(self):
        """The gradient equals that of the same model whose parameters are not declared."""
        plain = dataclasses.replace(DECLARED, equations="dv/dt = (I - v)/tau : 1")
        gradients = []
        for model in (DECLARED, plain):
            net = network(model, learn=("tau", "I"))
            trials = SpikeTrials(
                times=[0.004], units=[0], offsets=[0, 1], labels=[1], n_channels=1, duration=99 * ms
            )
            result = Engine(net, EProp(), CrossEntropy(), dtype="float64").run(
                trials, gradient=True
            )
            assert result.spikes["hidden"] > 4
            gradients.append(result.gradient)
        for name, value in gradients[1].items():
            np.testing.assert_array_equal(gradients[0][name], value)
            assert np.all(value != 0)
        assert gradients[0]["hidden.tau"].shape == ()

    def test_shared_with_an_array_is_refused(self):
        with pytest.raises(ValueError, match="declared .shared. and given 2 values"):
            dataclasses.replace(
                DECLARED,
                equations="dv/dt = (I - v)/tau : 1\nI : 1 (shared)",
                parameters={"I": np.array([1.0, 2.0]), "tau": 20 * ms},
            )

    def test_values_of_each_trial_fit_the_trials(self):
        engine = Engine(network(DECLARED), dtype="float64")
        for wrong in (np.ones((1, 4)), np.ones(2)):
            with pytest.raises(ValueError, match=r"hidden.I has shape"):
                engine.simulate(no_spikes(9), parameters={("hidden", "I"): wrong})
        with pytest.raises(
            ValueError, match="no 'J' among the parameters of 'hidden'. .*Known names: I, tau"
        ):
            engine.simulate(no_spikes(9), parameters={("hidden", "J"): np.ones(1)})
        with pytest.raises(ValueError, match="no 'v' among the states of 'hiden'. .*'hidden'"):
            engine.simulate(no_spikes(9), initial={("hiden", "v"): np.ones((1, 4))})
        varied = Engine(network(DECLARED.with_parameters(I=np.ones(4))), dtype="float64")
        counts = varied.simulate(no_spikes(300), parameters={("hidden", "I"): [1.5]}).counts
        assert counts["hidden"].tolist() == [[13] * 4]
