"""The neurons of `engine_cases` in torch, one step of each written by hand, and their networks.

Nothing here is derived from the equation strings: `flow` is the state update and the step code,
`margin` what a spike needs above zero, `psi` its pseudo-derivative and `reset` what follows. In the
reset, `z` is the spike that the gradient follows and `fired` the same number as a constant.
Gradients are torch's own.
"""

from types import SimpleNamespace

import numpy as np
import torch

NEVER = -(10**9)
torch.set_num_threads(1)


def steps_in(time, dt):
    """Whole steps in a time, as Brian2 counts them."""
    return int((float(time) + 1e-3 * dt) / dt)


def triangle(x):
    return torch.clamp(1.0 - torch.abs(x), 0.0, 1.0)


class Neurons:
    """What all models share: parameters `p` as tensors, the refractory period, initial zeros."""

    states, inputs, strict = ("v", "I"), ("I",), False

    def __init__(self, parameters, n, dt):
        self.p, self.n, self.dt = SimpleNamespace(**parameters), n, dt
        self.refractory_steps = self.refractory()

    def refractory(self):
        """Steps after a spike in which there is no other; None without refractoriness."""
        return steps_in(self.p.t_ref, self.dt) if hasattr(self.p, "t_ref") else None

    def decay(self, tau):
        return torch.exp(-self.dt / tau)

    def initial(self):
        return {name: torch.zeros(self.n, dtype=torch.float64) for name in self.states}

    def arrive(self, state, channel, x, free):
        return {**state, self.inputs[channel]: state[self.inputs[channel]] + x}


class LIF(Neurons):
    adaptive = False

    def flow(self, s, free, since):
        new = {"v": s["v"] * self.decay(self.p.tau_m) + s["I"], "I": torch.zeros_like(s["I"])}
        if self.adaptive:
            new["a"] = s["a"] * self.decay(self.p.tau_a)
        return new

    def margin(self, s):
        raised = self.p.beta * s["a"] if self.adaptive else 0.0
        return s["v"] - (self.p.v_th + raised)

    def psi(self, s, free):
        return free * self.p.gamma / self.p.v_th * triangle(self.margin(s) / self.p.v_th)

    def reset(self, s, z, fired):
        return {**s, "I": s["I"] - self.p.v_th * fired} | self.adapted(s, z)

    def adapted(self, s, z):
        return {"a": s["a"] + z / self.decay(self.p.tau_a)} if self.adaptive else {}


class ALIF(LIF):
    states, adaptive = ("v", "a", "I"), True


class STDP_LIF(LIF):
    def flow(self, s, free, since):
        new = super().flow(s, free, since)
        kept = ((since != 1) & (since != self.refractory_steps + 1)).to(torch.float64)
        return {**new, "v": s["v"] * self.decay(self.p.tau_m) * kept + s["I"]}

    def psi(self, s, free):
        outside = self.p.gamma * triangle(self.margin(s) / self.p.v_th)
        return free * outside + (1.0 - free) * self.p.psi_refractory

    def reset(self, s, z, fired):
        return {**s} | self.adapted(s, z)


class STDP_ALIF(STDP_LIF):
    states, adaptive = ("v", "a", "I"), True


class Izhikevich(Neurons):
    states = ("v", "u", "I")

    def initial(self):
        zero = torch.zeros(self.n, dtype=torch.float64)
        return {"v": self.p.c + zero, "u": self.p.b * self.p.c + zero, "I": zero}

    def flow(self, s, free, since):
        v, u, h = s["v"], s["u"], self.dt / 1e-3
        return {
            "v": v + h * (0.04 * v**2 + 5.0 * v + 140.0 - u + s["I"]),
            "u": u + h * self.p.a * (self.p.b * v - u),
            "I": torch.zeros_like(s["I"]),
        }

    def margin(self, s):
        return s["v"] - self.p.v_peak

    def psi(self, s, free):
        peak = self.p.v_peak
        return self.p.gamma * torch.exp((torch.minimum(s["v"], peak + 0.0 * s["v"]) - peak) / peak)

    def reset(self, s, z, fired):
        v = s["v"] * (1.0 - fired) + self.p.c * fired
        return {**s, "v": v, "u": s["u"] + self.p.d * fired}


class Exponential(Neurons):
    strict = True

    def refractory(self):
        return steps_in(2e-3, self.dt)

    def initial(self):
        zero = torch.zeros(self.n, dtype=torch.float64)
        return {"v": self.p.E + zero, "I": zero}

    def flow(self, s, free, since):
        p, v, current = self.p, s["v"], s["I"]
        slope = (p.E - v + p.D * torch.exp((v - p.V_T) / p.D)) / p.tau_m + current / p.tau_s
        return {"v": v + self.dt * slope, "I": current - self.dt * current / p.tau_s}

    def margin(self, s):
        return s["v"] - (self.p.V_T + 3.0 * self.p.D)

    def psi(self, s, free):
        return triangle(self.margin(s) / 15e-3) / 15e-3

    def reset(self, s, z, fired):
        return {**s, "v": s["v"] * (1.0 - fired) + self.p.E * fired}


class TwoAdaptations(Neurons):
    states, inputs, strict = ("v", "a", "c"), ("v",), True

    def flow(self, s, free, since):
        fast, slow = self.decay(self.p.tau_a), self.decay(3.0 * self.p.tau_a)
        return {
            "v": s["v"] * self.decay(self.p.tau_m),
            "a": s["a"] * fast,
            "c": s["c"] * slow + s["a"] * (slow - fast) / 2.0,
        }

    def margin(self, s):
        return s["v"] - (1.0 + 0.1 * s["a"] + 0.2 * s["c"])

    def psi(self, s, free):
        return 0.3 * triangle(self.margin(s))

    def reset(self, s, z, fired):
        return {**s, "v": s["v"] - fired, "a": s["a"] + z}


class Conductance(Neurons):
    states, inputs, strict = ("v", "g"), ("g",), True

    def refractory(self):
        return steps_in(2e-3, self.dt)

    def initial(self):
        zero = torch.zeros(self.n, dtype=torch.float64)
        return {"v": self.p.E_L + zero, "g": zero}

    def flow(self, s, free, since):
        p, v, g = self.p, s["v"], s["g"]
        rate = -1.0 / p.tau_m - g / p.C
        rest = (p.E_L / p.tau_m + g * p.E_e / p.C) / -rate
        moved = rest + (v - rest) * torch.exp(self.dt * rate)
        return {"v": free * moved + (1.0 - free) * v, "g": g * self.decay(p.tau_s)}

    def margin(self, s):
        return s["v"] - self.p.v_th

    def psi(self, s, free):
        return triangle(self.margin(s) / 10e-3) / 10e-3

    def reset(self, s, z, fired):
        return {**s, "v": s["v"] * (1.0 - fired) + self.p.E_L * fired}


class Gated(Neurons):
    """Input enters v itself, which is frozen and closed while refractory."""

    states, inputs = ("v", "u"), ("v",)

    def flow(self, s, free, since):
        p, v, u = self.p, s["v"], s["u"]
        moved = v + self.dt * (-v - u) / p.tau_m
        return {
            "v": free * moved + (1.0 - free) * v,
            "u": u + self.dt * (p.k * v - u) / p.tau_u,
        }

    def arrive(self, state, channel, x, free):
        return {**state, "v": state["v"] + free * x}

    def margin(self, s):
        return s["v"] - self.p.v_th

    def psi(self, s, free):
        return 0.4 * triangle(self.margin(s))

    def reset(self, s, z, fired):
        v, u = s["v"], s["u"] + 0.1 * s["v"] * z
        return {"v": v * (1.0 - fired) + (self.p.v_r + 0.2 * (v - self.p.v_r)) * fired, "u": u}


class TwoConductances(Neurons):
    states, inputs, strict = ("v", "g_e", "g_i"), ("g_e", "g_i"), True

    def refractory(self):
        return steps_in(2e-3, self.dt)

    def initial(self):
        zero = torch.zeros(self.n, dtype=torch.float64)
        return {"v": self.p.E_L + zero, "g_e": zero, "g_i": zero}

    def flow(self, s, free, since):
        p, v, g_e, g_i = self.p, s["v"], s["g_e"], s["g_i"]
        total = p.g_L + g_e + g_i
        rest = (p.E_L * p.g_L + g_e * p.E_e + g_i * p.E_i) / total
        moved = rest + (v - rest) * torch.exp(-self.dt * total / p.C)
        return {
            "v": free * moved + (1.0 - free) * v,
            "g_e": g_e * self.decay(p.tau_e),
            "g_i": g_i * self.decay(p.tau_i),
        }

    def margin(self, s):
        return s["v"] - self.p.v_th

    def psi(self, s, free):
        return triangle(self.margin(s) / 10e-3) / 10e-3

    def reset(self, s, z, fired):
        return {**s, "v": s["v"] * (1.0 - fired) + self.p.E_L * fired}


NEURONS = {
    "LIF": LIF,
    "ALIF": ALIF,
    "STDP_LIF": STDP_LIF,
    "STDP_ALIF": STDP_ALIF,
    "Izhikevich": Izhikevich,
    "exponential": Exponential,
    "two_adaptations": TwoAdaptations,
    "conductance": Conductance,
    "gated": Gated,
    "two_conductances": TwoConductances,
}


def gradient(net, name, learn, trial, label, *, step_weight, feedback=None):
    """Loss, gradients by the engine's names, and spike counts of one trial.

    Parameters
    ----------
    net : SpikingNetwork
        All of its layers have the model `name`.
    name : str
        A key of `NEURONS`.
    learn : tuple of str
        Parameters with a gradient, in every layer.
    trial : ndarray (n_steps, n_channels)
        Input spikes, or real values.
    label : int
    step_weight : ndarray (n_steps,)
        Weight of the output of each step in the scores.
    feedback : dict of str to ndarray (n, n_out), optional
        Feedback weights by layer, those of the readout if None.

    Returns
    -------
    loss : float
    gradients : dict of str to ndarray
    counts : dict of str to ndarray
    """
    dt, leaves, layers = float(net.dt), {}, {}
    for layer in net.layers:
        values = {k: torch.tensor(np.asarray(v, float)) for k, v in layer.model.parameters.items()}
        for key in learn:
            leaves[f"{layer.name}.{key}"] = values[key].requires_grad_()
        layers[layer.name] = NEURONS[name](values, layer.n, dt)
    for key, value in net.parameters.items():
        leaves[key] = torch.tensor(value).requires_grad_()
    weights = {key: leaves[f"{key}.w"] for key in net.connections}
    kappa = float(np.exp(-net.dt / net.readout.tau))
    n_steps = len(trial)
    trial = torch.tensor(np.asarray(trial, float))
    spikes = {
        layer: torch.zeros(n_steps, part.n, dtype=torch.float64) for layer, part in layers.items()
    }
    state = {layer: part.initial() for layer, part in layers.items()}
    last = {layer: torch.full((part.n,), NEVER) for layer, part in layers.items()}
    y = torch.zeros(net.readout.n, dtype=torch.float64)
    scores = torch.zeros(net.readout.n, dtype=torch.float64)
    for t in range(n_steps):
        followed, fired_now, free_after = {}, {}, {}
        for layer, part in layers.items():
            since = t - last[layer]
            free = torch.ones(part.n, dtype=torch.float64)
            if part.refractory_steps is not None:
                free = (since >= part.refractory_steps).to(torch.float64)
            state[layer] = part.flow(state[layer], free, since)
            margin = part.margin(state[layer])
            above = margin > 0 if part.strict else margin >= 0
            fired = above.to(torch.float64) * free
            last[layer] = torch.where(fired > 0, torch.tensor(t), last[layer])
            if part.refractory_steps is not None:
                free = free * (1.0 - fired)
            psi = part.psi(state[layer], free).detach()
            spikes[layer][t] = fired_now[layer] = fired
            followed[layer] = fired + psi * (margin - margin.detach())
            free_after[layer] = free
        for key, connection in net.connections.items():
            if connection.source == "input":
                arriving = trial[t]
            else:
                delay = torch.tensor(connection.delay.astype(np.int64))
                sent = torch.clamp(t - delay, min=0)
                neurons = torch.arange(len(delay))
                arriving = spikes[connection.source][sent, neurons] * (t >= delay)
            if connection.target == "readout":
                z = followed[connection.source]
                back = weights[key].detach()
                if feedback is not None:
                    back = torch.tensor(feedback[connection.source])
                y = y + arriving @ weights[key] + (z - z.detach()) @ back
                continue
            for channel in np.unique(connection.channel):
                chosen = torch.tensor(connection.channel == channel, dtype=torch.float64)
                x = (arriving * chosen) @ weights[key]
                target = connection.target
                state[target] = layers[target].arrive(
                    state[target], int(channel), x, free_after[target]
                )
        for layer, part in layers.items():
            state[layer] = part.reset(state[layer], followed[layer], fired_now[layer])
        output = y + leaves["readout.b"]
        scores = scores + step_weight[t] * output
        y = y * kappa
    loss = -torch.log_softmax(scores, 0)[label]
    loss.backward()
    gradients = {key: leaf.grad.numpy() for key, leaf in leaves.items()}
    for key, connection in net.connections.items():
        if connection.mask is not None:
            gradients[f"{key}.w"] *= connection.mask
    counts = {layer: z.sum(0).numpy() for layer, z in spikes.items()}
    return float(loss.detach()), gradients, counts
