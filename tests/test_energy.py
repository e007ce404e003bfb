"""Energies of networks: events counted from their spikes, and the numbers of a device."""

from __future__ import annotations

import numpy as np
import pytest
from engine_cases import spike_trials

from neurosnn import Input, Layer, Readout, SpikingNetwork, equations
from neurosnn.analysis.energy import LOIHI, V100, count_network_events, energy
from neurosnn.engine import Engine


def test_energies_are_those_of_the_publications():
    """Davies et al. 2018, table 2 (pJ); data sheet of the Tesla V100 SXM2."""
    numbers = (LOIHI.spike, LOIHI.synaptic_event, LOIHI.update, LOIHI.neuron_update)
    assert numbers == pytest.approx((1.7e-12, 23.6e-12, 120e-12, 52e-12))
    assert pytest.approx(300 / 15.7e12) == V100


def test_events_of_a_network_are_its_spikes_times_their_synapses():
    """Sparse, masked and full connections; each spike is counted by hand."""
    trials = spike_trials(3, 12, 150, rate=40.0, seed=2)
    layers = [
        Layer(equations.ALIF(), 16, recurrent=True, weight_scale=4.0),
        Layer(equations.ALIF(), 9, connectivity=0.4, weight_scale=8.0),
    ]
    net = SpikingNetwork(Input(12), *layers, Readout(3), seed=1)
    counts = count_network_events(net, trials)
    spikes = Engine(net).simulate(trials).spikes
    _, _, channels = trials.steps(net.dt)
    sent = {"input": channels} | {
        name: np.concatenate([neurons for _, neurons in trains]) for name, trains in spikes.items()
    }
    assert all(len(neurons) > 20 for neurons in sent.values())
    events = 0
    for connection in net.connections.values():
        reached = np.abs(connection.matrix()) > 0
        events += sum(int(reached[neuron].sum()) for neuron in sent[connection.source])
    assert counts.synaptic_events == pytest.approx(events / 3)
    assert counts.spikes == pytest.approx(sum(map(len, sent.values())) / 3)
    assert counts.neuron_updates == (16 + 9 + 3) * 150
    assert counts.updates == counts.constant_inputs == 0
    assert energy(counts, LOIHI)["synaptic events"] == pytest.approx(events / 3 * 23.6e-12)
    real = SpikingNetwork(Input(12, real_valued=True), Layer(equations.LIF(), 4), Readout(2))
    with pytest.raises(ValueError, match="input of the network is real-valued"):
        count_network_events(real, trials)
