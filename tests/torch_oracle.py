"""Networks of `to_torch` neurons, whose gradients are torch's own.

What a neuron computes in a step is held against stock Brian2 in test_torch_neuron.py; here it
serves as the oracle of the derivatives that calculus.py derives by sympy.
"""

import numpy as np
import torch

from neurosnn.torch import to_torch

torch.set_num_threads(1)


def gradient(net, learn, trial, label, *, step_weight, feedback=None, cut=True):
    """Loss, gradients by the engine's names, and spike counts of one trial.

    Parameters
    ----------
    net : SpikingNetwork
    learn : tuple of str
        Parameters with a gradient, in every layer.
    trial : ndarray (n_steps, n_channels)
        Input spikes, or real values.
    label : int
    step_weight : ndarray (n_steps,)
        Weight of the output of each step in the scores.
    feedback : dict of str to ndarray (n, n_out), optional
        Feedback weights by layer, those of the readout if None.
    cut : bool
        Whether the gradient stops at the spikes that arrive from other neurons, as in e-prop.

    Returns
    -------
    loss : float
    gradients : dict of str to ndarray
    counts : dict of str to ndarray
    """
    layers = {
        layer.name: to_torch(
            layer.model, dict.fromkeys(learn, "identity"), dt=net.dt, dtype=torch.float64
        )
        for layer in net.layers
    }
    leaves = {
        f"{name}.{key}": getattr(neuron, f"free_{key}")
        for name, neuron in layers.items()
        for key in learn
    }
    for key, value in net.parameters.items():
        leaves[key] = torch.tensor(value).requires_grad_()
    weights = {key: leaves[f"{key}.w"] for key in net.connections}
    kappa = float(np.exp(-net.dt / net.readout.tau))
    trial = torch.tensor(np.asarray(trial, float))
    constants = {name: neuron.constants() for name, neuron in layers.items()}
    state = {
        layer.name: layers[layer.name].initial_state(
            torch.zeros(layer.n, dtype=torch.float64), constants[layer.name]
        )
        for layer in net.layers
    }
    history = {name: [] for name in layers}
    states = {}
    y = scores = torch.zeros(net.readout.n, dtype=torch.float64)
    for t in range(len(trial)):
        pending = {}
        for name, neuron in layers.items():
            sent, pending[name] = neuron.fire(state[name], constants[name])
            history[name].append(sent)
        arriving = {
            layer.name: [torch.zeros(layer.n, dtype=torch.float64) for _ in layer.model.inputs]
            for layer in net.layers
        }
        for key, connection in net.connections.items():
            if connection.source == "input":
                came = delayed(trial[: t + 1], connection.delay)
            else:
                came = delayed(history[connection.source], connection.delay)
            if connection.target == "readout":
                back = weights[key].detach()
                if feedback is not None:
                    back = torch.tensor(feedback[connection.source])
                z = history[connection.source][t]
                y = y + came.detach() @ weights[key] + (z - z.detach()) @ back
                continue
            if cut:
                came = came.detach()
            if connection.synapse is not None:
                came, states[key] = plastic(came, states.get(key), connection, leaves, net.dt)
            for channel in np.unique(connection.channel):
                chosen = torch.tensor(connection.channel == channel, dtype=torch.float64)
                target = arriving[connection.target]
                target[channel] = target[channel] + (came * chosen) @ weights[key]
        for name, neuron in layers.items():
            state[name] = neuron.receive(
                arriving[name], history[name][t], pending[name], constants[name]
            )
        scores = scores + step_weight[t] * (y + leaves["readout.b"])
        y = y * kappa
    loss = -torch.log_softmax(scores, 0)[label]
    loss.backward()
    gradients = {key: leaf.grad.numpy() for key, leaf in leaves.items()}
    for key, connection in net.connections.items():
        if connection.mask is not None:
            gradients[f"{key}.w"] *= connection.mask
    counts = {name: torch.stack(z).sum(0).detach().numpy() for name, z in history.items()}
    return float(loss.detach()), gradients, counts


def plastic(came, state, connection, leaves, dt):
    """What synapses after Markram et al. send for spikes `came`, and the state (u, x) that they are in."""
    constants = {
        key: leaves.get(f"{connection.name}.{key}", torch.tensor(float(value), dtype=torch.float64))
        for key, value in connection.synapse.parameters.items()
    }
    u, x = (torch.zeros_like(came), torch.ones_like(came)) if state is None else state
    u = u * torch.exp(-float(dt) / constants["tau_f"])
    x = 1 + (x - 1) * torch.exp(-float(dt) / constants["tau_d"])
    used = u + constants["U"] * (1 - u)
    sent = came * used * x
    return sent, (u + came * (used - u), x - sent)


def delayed(history, delay):
    """What arrives now from each neuron, sent `delay` steps ago."""
    came = torch.zeros_like(history[-1])
    for steps in np.unique(delay):
        if steps < len(history):
            came = came + history[-1 - int(steps)] * torch.tensor(delay == steps)
    return came
