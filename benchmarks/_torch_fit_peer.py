"""The peer of fit.py in torch: the same neuron as a module, moved by Adam from the same starts."""

import time

import numpy as np
import torch
from brian2.units.fundamentalunits import Quantity, get_dimensions
from scipy.stats import qmc

from neurosnn.torch import to_torch

#: A usual pseudo-derivative of a spike, over 5 mV.
SURROGATE = "1/(1 + abs(v - v_th)/(5*mV))**2/(5*mV)"
#: Adam's step, as a part of each range.
RATE = 0.02


def module(model, values, dt):
    """The neuron with one value of each parameter for each start, which torch learns."""
    return to_torch(
        model.with_parameters(**values),
        learn=dict.fromkeys(values, "identity"),
        dt=dt,
        surrogate=SURROGATE,
        detach_reset=False,
        dtype=torch.float64,
    )


def losses_of(neuron, recording, starts):
    """The loss of each start, all trials together."""
    current, voltage, weight = (
        torch.as_tensor(np.ascontiguousarray(np.asarray(a).T))[..., None] for a in recording
    )
    nothing = torch.zeros((current.shape[1], starts), dtype=torch.float64)
    constants = neuron.constants()
    state, trace = neuron.initial_state(nothing, constants), []
    for held in current:
        state.values["I"] = nothing + held
        trace.append(state.values["v"])
        sent, pending = neuron.fire(state, constants)
        state = neuron.receive((nothing,), sent, pending, constants)
    return (weight * (torch.stack(trace) - voltage) ** 2).sum(dim=(0, 1))


def by_adam(model, free, recording, dt, *, goal, starts, seed, limit):
    """Adam until the goal is reached or the time is over.

    Parameters
    ----------
    model : NeuronModel
        The neuron.
    free : mapping of str to (low, high)
        Bounds.
    recording : tuple of ndarray (n_trials, n_steps)
        Current, voltage and the weight of each squared deviation.
    dt : Quantity (second)
        Time step.
    goal : float
        Loss at which it stops.
    starts, seed : int
        As for `fit_model`, which draws the same.
    limit : float
        Seconds of one processor after which it stops.

    Returns
    -------
    (float, float, int)
        Best loss, seconds of the processor, steps of Adam.
    """
    torch.set_num_threads(1)
    draws = qmc.LatinHypercube(len(free), seed=np.random.default_rng(seed)).random(starts)
    ends = np.array([[float(low), float(high)] for low, high in free.values()]).T
    wide = (ends[0] > 0) & (ends[1] >= 10 * ends[0])
    linear = ends[0] + (ends[1] - ends[0]) * draws
    values = np.where(wide, ends[0] * np.abs(ends[1] / ends[0]) ** draws, linear)
    start = {
        name: Quantity(column, dim=get_dimensions(low))
        for (name, (low, _)), column in zip(free.items(), values.T, strict=True)
    }
    neuron = module(model, start, dt)
    parameters = dict(neuron.named_parameters())
    groups = [
        {"params": [parameters[f"free_{name}"]], "lr": RATE * (high - low)}
        for name, low, high in zip(free, *ends, strict=True)
    ]
    adam = torch.optim.Adam(groups)
    best, steps, begin = np.inf, 0, time.process_time()
    while best > goal and time.process_time() - begin < limit:
        losses = losses_of(neuron, recording, starts)
        best = min(best, float(losses.detach().min()))
        adam.zero_grad()
        losses.sum().backward()
        adam.step()
        with torch.no_grad():
            for name, low, high in zip(free, *ends, strict=True):
                parameters[f"free_{name}"].clamp_(low, high)
        steps += 1
    return best, time.process_time() - begin, steps
