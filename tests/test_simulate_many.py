"""simulate_many: every set is stock Brian2, features are a row a set, what is refused."""

from __future__ import annotations

import sys

import numpy as np
import pytest
from brian2 import Mohm, Network, SpikeMonitor, StateMonitor, TimedArray, ms, mV, pA

from neurosnn import NeuronModel, Simulations, simulate_many, spike_features

MODULE = sys.modules["neurosnn.training.fit_model.simulate_many"]

DT = 0.1 * ms
NEURON = NeuronModel(
    name="LIF",
    equations="""
        dv/dt = (E_L - v + R*(I - w))/tau_m : volt (unless refractory)
        dw/dt = -w/(50*ms) : amp
        I : amp
        """,
    threshold="v > v_th",
    reset="v = v_r; w += 20*pA",
    refractory=2 * ms,
    method="euler",
    inputs=("I",),
    parameters={
        "E_L": -70 * mV, "R": 100 * Mohm, "tau_m": 20 * ms, "v_th": -50 * mV, "v_r": -65 * mV,
    },
    initial={"v": "E_L"},
)  # fmt: skip
RNG = np.random.default_rng(0)
CURRENT = np.repeat(RNG.uniform(0, 600, (2, 20)), 50, axis=1) * pA
SETS = {
    "R": RNG.uniform(50, 200, 11) * Mohm,
    "v": RNG.uniform(-75, -55, 11) * mV,
    "v_r": RNG.uniform(-75, -55, 11) * mV,
}


@pytest.fixture(scope="module")
def many():
    return simulate_many(NEURON, SETS, current=CURRENT, dt=DT, threads=1)


def test_every_set_is_stock_brian2(many):
    assert many.voltage.shape == many.fired.shape == (11, 2, 1000)
    group = NEURON.with_parameters(
        **{name: np.repeat(SETS[name], 2) for name in ("R", "v_r")}
    ).group(22, dt=DT)
    group.v = np.repeat(SETS["v"], 2)
    group.namespace["injected"] = TimedArray(CURRENT.T, dt=DT)
    group.run_regularly("I = injected(t, i % 2)", dt=DT, when="start")
    monitor, spikes = StateMonitor(group, "v", record=True), SpikeMonitor(group)
    Network(group, monitor, spikes).run(1000 * DT)
    assert spikes.num_spikes > 50
    assert np.asarray(many.voltage).reshape(22, -1) == pytest.approx(
        np.asarray(monitor.v), rel=1e-9
    )
    neuron, step = np.nonzero(many.fired.reshape(22, -1))
    expected = sorted(zip(spikes.i, np.round(spikes.t / DT).astype(int), strict=True))
    assert list(zip(neuron, step, strict=True)) == expected


def test_features_are_rows_and_blocks_change_nothing(many, monkeypatch):
    rows = spike_features(many)
    assert rows.shape == (11, 10)
    for k, trial in ((0, 0), (3, 1), (7, 0)):
        steps = np.flatnonzero(many.fired[k, trial])
        volts = np.asarray(many.voltage[k, trial])
        expected = [
            len(steps),
            1e-4 * steps[0],
            1e-4 * np.diff(steps).mean(),
            volts.mean(),
            volts.std(),
        ]
        assert len(steps) > 1
        assert rows[k, 5 * trial : 5 * trial + 5] == pytest.approx(expected)
    sizes = []

    def noted(simulations):
        sizes.append(len(simulations.fired))
        return spike_features(simulations)

    monkeypatch.setattr(MODULE, "MEMORY", 4 * MODULE.SAMPLE * CURRENT.size)
    again = simulate_many(NEURON, SETS, current=CURRENT, dt=DT, features=noted, threads=2)
    assert sizes == [4, 4, 3]
    assert np.array_equal(again, rows)
    silent = Simulations(np.zeros((1, 1, 5)) * mV, np.zeros((1, 1, 5), bool), DT)
    assert spike_features(silent)[0, :3] == pytest.approx([0, 5e-4, 5e-4])


def test_wrong_calls_are_refused():
    def refused(match, parameters=SETS, *, model=NEURON, error=ValueError, **options):
        with pytest.raises(error, match=match):
            simulate_many(model, parameters, **{"current": CURRENT, "dt": DT, **options})

    refused("model is", model="LIF", error=TypeError)
    refused("parameters are", {})
    refused("'tau' cannot be set.*tau_m", {"tau": [1, 2] * ms})
    refused("'I' cannot be set.*sets it in every step", {"I": [1, 2] * pA})
    refused("R is in V", {"R": [1, 2] * mV})
    refused("3 values of R, 2 values of v_r", {"R": [1, 2, 3] * Mohm, "v_r": [1, 2] * mV})
    refused("a value that is not finite", {"R": [1, np.nan] * Mohm})
    refused("'x' is no state with an equation", state="x")
    refused("features returned the shape", features=lambda simulations: np.zeros(3))
    refused("the unit V", current=np.zeros(10) * mV)
