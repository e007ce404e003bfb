"""Gradients of a fit against torch's autograd of the same neurons, spikes that move included."""

import numpy as np
import pytest
from brian2.units.fundamentalunits import Quantity
from test_fit_model import CASES, DT, program_of, values_at

pytest.importorskip("torch", reason="the oracle is torch, which is not installed")
import torch

from neurosnn.torch import to_torch

THRESHOLD = {
    "membrane": None,
    "LIF": "v_th",
    "AdEx": "v_peak",
    "Izhikevich": "v_peak",
    "HodgkinHuxley": "v_th",
    "MorrisLecar": "v_th",
}
HELD = {"LIF": ("v",)}
#: Steps in which each has two spikes.
STEPS = {"HodgkinHuxley": 300}


def at(name, program):
    """The parameters at which gradients are compared, with units."""
    near = CASES[name][3]
    return {
        key: Quantity([float(value)], dim=program.model.dimensions[key])
        for key, value in near.items()
    }


def gradients(name, program, recording):
    """Of both losses, by autograd.

    A spike does not move on the grid. The shift by which it would move in continuous time, to first order the
    margin divided by its slope, is a zero that has a derivative. It moves the filtered train, and states are
    followed to the shifted spike, reset, and followed for so much less in the step after it.
    """
    dt, tau = float(DT), recording.tau
    learn = dict.fromkeys(program.free, "identity")
    spiking = THRESHOLD[name] is not None
    settings = {"surrogate": "0*v/v**2"} if spiking else {}
    neuron = to_torch(
        program.model.with_parameters(**at(name, program)),
        learn,
        dt=DT,
        dtype=torch.float64,
        **settings,
    )
    constants = neuron.constants()
    nothing = torch.zeros(1, dtype=torch.float64)
    state = neuron.initial_state(nothing, constants)
    resets, threshold = bool(program.model.reset.strip()), THRESHOLD[name]
    shift, due, was_free = nothing, False, True
    once = twice = voltage_loss = spike_loss = nothing
    decay = np.exp(-dt / tau)
    spikes = 0
    for step in range(recording.n_steps):
        away = state.values["v"] - recording.voltage[0, step]
        voltage_loss = voltage_loss + (recording.weight[0, step] * away) ** 2
        for key, array in recording.currents.items():
            state.values[key] = nothing + array[0, step]
        before = dict(state.values)
        _, (values, free, since, number, fired) = neuron.fire(state, constants)
        flow = {key: ((values[key] - before[key]) / dt).detach() for key in values}
        fires = spiking and bool(fired)
        is_free = free is None or bool(free) or fires
        if resets and (due or (is_free and not was_free)):
            moved = values if due else HELD[name]
            for key in moved:
                values[key] = values[key] - flow[key] * shift
        due = False
        was_free = free is None or bool(free)
        if spiking:
            twice = decay * (twice + dt / tau * once)
            once = decay * once
        if fires:
            spikes += 1
            margin = values["v"] - neuron.parameter(threshold)
            earlier = before["v"] - neuron.parameter(threshold)
            if float(earlier) <= 0:
                rise = ((margin - earlier) / dt).detach()
                shift = -(margin - margin.detach()) / rise
            once = once + 1 + shift / tau
            twice = twice - shift / tau
            if resets:
                values = {key: value + flow[key] * shift for key, value in values.items()}
                due = True
        state = neuron.receive(
            (nothing,) * len(program.model.inputs),
            nothing + float(fires),
            (values, free, since, number, fired),
            constants,
        )
        if spiking:
            apart = recording.train_weight * (twice - recording.train[0, step])
            spike_loss = spike_loss + apart**2
    leaves = [getattr(neuron, f"free_{key}") for key in program.free]
    found, losses = [], []
    for loss in (voltage_loss, spike_loss):
        parts = (
            torch.autograd.grad(loss.sum(), leaves, retain_graph=True)
            if loss.requires_grad
            else (nothing,) * len(leaves)
        )
        found.append([float(part) for part in parts])
        losses.append(float(loss.detach()))
    return np.array(found), np.array(losses), spikes


@pytest.mark.parametrize("name", THRESHOLD)
def test_gradients_of_both_losses_equal_autograd(name):
    program, recording = program_of(name, steps=STEPS.get(name, 500))
    expected, losses, spikes = gradients(name, program, recording)
    rows = [[float(value) for value in CASES[name][3].values()]]
    squares = program.run(values_at(program, rows))
    np.testing.assert_allclose(squares.error[0], losses, rtol=1e-9)
    if THRESHOLD[name]:
        assert spikes >= 2, "the neuron is silent"
        assert np.all(expected[1] != 0)
    assert np.all(expected[0] != 0)
    scale = np.abs(rows[0])
    for got, wanted in zip(2 * squares.slope[0], expected, strict=True):
        np.testing.assert_allclose(
            got * scale, wanted * scale, rtol=0, atol=1e-9 * np.abs(wanted * scale).max()
        )
