"""Spiking networks without a time grid: exact events, and central differences of the loss.

Spikes add to a synaptic current, the last row of a population's state::

    tau_m dv/dt = I - v,   tau_s dI/dt = -I,   v = v_th: v <- 0, then v stays 0 for t_ref

    v(t) = (v - c I) exp(-t/tau_m) + c I exp(-t/tau_s),   c = tau_s/(tau_s - tau_m)

A spike of neuron i that leaves at s arrives at s + delay_i. Spike times are roots, found to 1e-13 of
the interval. Where spikes add to the membrane itself (:class:`DeltaLIF`), one that brings it over the
threshold causes a spike at its own time. The loss is ``-log softmax(m)[label]`` of the time average m of
the outputs, which is a sum over arrivals: the readout is linear. Other neurons (:class:`Smooth`) are
integrated by RK4 up to each event, with an error of order step^4 instead of a grid error of order dt.
"""

import heapq
from dataclasses import dataclass, replace
from math import exp, log

import numpy as np

__all__ = [
    "INPUT",
    "OUTPUT",
    "CurrentLIF",
    "DeltaLIF",
    "Link",
    "Network",
    "Run",
    "Smooth",
    "cross_entropy",
    "differences",
    "loss",
    "simulate",
]

INPUT, OUTPUT = -1, -2
# What an entry of the queue is; of events at the same time, the end of a rest comes first.
SOURCE, RELEASE, ARRIVAL = 0, 1, 2
ITERATIONS = 100


@dataclass(frozen=True)
class CurrentLIF:
    """A population with closed-form flow; times in seconds, one value per neuron."""

    tau_m: np.ndarray
    tau_s: np.ndarray
    v_th: float = 1.0
    t_ref: float = 0.0

    def start(self):
        return np.zeros((2, len(self.tau_m)))

    def advance(self, state, free, h):
        v, current = state
        b = self.tau_s / (self.tau_s - self.tau_m) * current
        slow, fast = np.exp(-h / self.tau_m), np.exp(-h / self.tau_s)
        return np.array([np.where(free, (v - b) * slow + b * fast, v), current * fast])

    def crossing(self, state, free, horizon):
        """Time to the first spike before `horizon` and its neuron, or (inf, -1)."""
        best, who = np.inf, -1
        # v rises through v_th only where I is above it, and I falls
        for j in np.flatnonzero(free & (state[1] > self.v_th)):
            v, current = map(float, state[:, j])
            tau_m, tau_s = float(self.tau_m[j]), float(self.tau_s[j])
            b = tau_s / (tau_s - tau_m) * current
            a = v - b

            def above(t, a=a, b=b, tau_m=tau_m, tau_s=tau_s):
                return a * exp(-t / tau_m) + b * exp(-t / tau_s) - self.v_th

            ratio = -b * tau_m / (a * tau_s) if a else 0.0
            peak = log(ratio) / (1 / tau_s - 1 / tau_m) if ratio > 0 else 0.0
            top = min(peak, horizon) if peak > 0 else horizon
            if above(top) > 0:
                time = root(above, 0.0, top)
                if time < best:
                    best, who = time, j
        return best, who

    def slope(self, state, j):
        """dv/dt at a spike, per membrane time constant."""
        return state[1, j] - self.v_th

    def reset(self, state, j):
        state[0, j] = 0.0


@dataclass(frozen=True)
class DeltaLIF:
    """``tau_m dv/dt = b - v``, ``v = v_th: v <- jump(v)``; spikes add to v itself and may cause a spike."""

    tau_m: np.ndarray
    b: np.ndarray
    v_th: float = 1.0
    subtracts: bool = False
    t_ref: float = 0.0

    def start(self):
        return np.zeros((1, len(self.tau_m)))

    def advance(self, state, free, h):
        return np.array([self.b + (state[0] - self.b) * np.exp(-h / self.tau_m)])

    def crossing(self, state, free, horizon):
        with np.errstate(divide="ignore", invalid="ignore"):
            wait = self.tau_m * np.log((state[0] - self.b) / (self.v_th - self.b))
        rises = free & (self.b > self.v_th) & (state[0] <= self.v_th)
        wait = np.where(rises & (wait <= horizon), wait, np.inf)
        who = int(np.argmin(wait))
        return (wait[who], who) if np.isfinite(wait[who]) else (np.inf, -1)

    def above(self, state, free):
        """Neurons that spike at once."""
        return np.flatnonzero(free & (state[0] > self.v_th))

    def slope(self, state, j):
        """dv/dt at a spike, per membrane time constant."""
        return self.b[j] - self.v_th

    def reset(self, state, j):
        state[0, j] = state[0, j] - self.v_th if self.subtracts else 0.0


@dataclass(frozen=True)
class Smooth:
    """A population with ``dh/dt = flow(h, p)``, threshold ``margin(h, p) = 0`` and ``jump(h, p)``.

    Each acts on arrays (states, n); `values` holds arrays (n,) by the names of the parameters.
    """

    flow: object
    margin: object
    jump: object
    initial: np.ndarray
    values: dict
    step: float
    t_ref: float = 0.0

    def start(self):
        return np.array(self.initial, dtype=float)

    def _step(self, state, free, h):
        def f(h):
            slope = np.array(self.flow(h, self.values))
            slope[0] *= free
            return slope

        k1 = f(state)
        k2 = f(state + h / 2 * k1)
        k3 = f(state + h / 2 * k2)
        k4 = f(state + h * k3)
        return state + h / 6 * (k1 + 2 * k2 + 2 * k3 + k4)

    def _steps(self, h):
        n = int(np.ceil(h / self.step - 1e-9))
        return n, h / max(n, 1)

    def advance(self, state, free, h):
        n, part = self._steps(h)
        for _ in range(n):
            state = self._step(state, free, part)
        return state

    def crossing(self, state, free, horizon):
        n, part = self._steps(horizon)
        for k in range(n):
            after = self._step(state, free, part)
            found = np.flatnonzero((self.margin(after, self.values) > 0) & free)
            if len(found):
                times = [root(self._margin_after(state, free, j), 0.0, part) for j in found]
                return k * part + min(times), int(found[np.argmin(times)])
            state = after
        return np.inf, -1

    def _margin_after(self, state, free, j):
        return lambda t: self.margin(self._step(state, free, t), self.values)[j]

    def slope(self, state, j):
        """dv/dt at a spike."""
        return np.array(self.flow(state, self.values))[0, j]

    def reset(self, state, j):
        values = {name: value[j] for name, value in self.values.items()}
        state[:, j] = self.jump(state[:, j], values)


def root(f, low, high):
    """Bisection and regula falsi in turn: the bracket shrinks to 1e-13 of its length."""
    f_low, f_high = f(low), f(high)
    tolerance = 1e-14 * high
    for k in range(ITERATIONS):
        middle = low - f_low * (high - low) / (f_high - f_low) if k % 2 else (low + high) / 2
        value = f(middle)
        if value < 0:
            low, f_low = middle, value
        else:
            high, f_high = middle, value
        if high - low < tolerance or value == 0:
            break
    return high


@dataclass(frozen=True)
class Link:
    """Synapses from `source` (INPUT or a layer) to `target` (a layer or OUTPUT), delays in s."""

    source: int
    target: int
    w: np.ndarray
    delay: np.ndarray


@dataclass(frozen=True)
class Network:
    """Layers, links by name, and a readout ``tau_m dy/dt = I - y``, or, with tau_s 0, dy/dt = -y/tau_m."""

    layers: tuple
    links: dict
    tau_m: float
    tau_s: float
    duration: float


@dataclass(frozen=True)
class Run:
    """Spikes and ends of rest (time, layer, neuron), arrivals (time, target, link, neuron).

    `slopes` holds how fast each spike crossed the threshold: at zero a spike appears or vanishes.
    """

    spikes: list
    releases: list
    arrivals: list
    mean: np.ndarray
    slopes: list

    def meetings(self):
        """For each spike and end of rest of a neuron, what has arrived at its layer before."""
        found = {}
        for kind, events in enumerate((self.spikes, self.releases)):
            for time, layer, neuron in sorted(events):
                before = sorted(e[2:] for e in self.arrivals if e[1] == layer and e[0] < time)
                found.setdefault((kind, layer, neuron), []).append(before)
        return found


def simulate(net, times, channels):
    """Run the network on input spikes at `times` (s) in `channels`."""
    queue = [(t, SOURCE, INPUT, int(c)) for t, c in zip(times, channels, strict=True)]
    heapq.heapify(queue)
    states = [layer.start() for layer in net.layers]
    free = [np.ones(state.shape[1], bool) for state in states]
    spikes, releases, arrivals, slopes, now = [], [], [], [], 0.0
    outputs = next(link.w.shape[1] for link in net.links.values() if link.target == OUTPUT)
    mean = np.zeros(outputs)

    def send(source, neuron):
        for name, link in net.links.items():
            if link.source == source:
                heapq.heappush(queue, (now + link.delay[neuron], ARRIVAL, name, neuron))

    def arrive(name, neuron):
        link = net.links[name]
        arrivals.append((now, link.target, name, neuron))
        if link.target == OUTPUT:
            mean[:] += link.w[neuron] * _area(net, now)
        else:
            states[link.target][-1] += link.w[neuron]

    def spike(k, neuron):
        spikes.append((now, k, neuron))
        slopes.append(net.layers[k].slope(states[k], neuron))

    def end(k, neuron):
        net.layers[k].reset(states[k], neuron)
        if net.layers[k].t_ref:
            free[k][neuron] = False
            heapq.heappush(queue, (now + net.layers[k].t_ref, RELEASE, k, neuron))

    def cascade():
        """Spikes that arrivals have caused, in rounds: a test of the thresholds, arrivals, resets."""
        nonlocal now
        while True:
            fired = [
                (k, int(j))
                for k, layer in enumerate(net.layers)
                if hasattr(layer, "above")
                for j in layer.above(states[k], free[k])
            ]
            if not fired:
                return
            now = np.nextafter(now, np.inf)  # after what has caused it
            for k, j in fired:
                spike(k, j)
            for k, j in fired:
                for name, link in net.links.items():
                    if link.source == k and not link.delay[j]:
                        arrive(name, j)
            for k, j in fired:
                end(k, j)
                for name, link in net.links.items():
                    if link.source == k and link.delay[j]:
                        heapq.heappush(queue, (now + link.delay[j], ARRIVAL, name, j))

    while True:
        if not queue or queue[0][0] > now:
            cascade()
        due = min(queue[0][0] if queue else np.inf, net.duration)
        parts = list(zip(net.layers, states, free, strict=True))
        first = [layer.crossing(state, ok, due - now) for layer, state, ok in parts]
        k = min(range(len(first)), key=lambda k: first[k][0])
        wait, neuron = first[k]
        spiking = now + wait <= due
        step = wait if spiking else due - now
        states = [layer.advance(state, ok, step) for layer, state, ok in parts]
        now = now + wait if spiking else due
        if spiking:
            spike(k, neuron)
            end(k, neuron)
            send(k, neuron)
            continue
        if now >= net.duration:
            return Run(spikes, releases, arrivals, mean, slopes)
        _, kind, name, neuron = heapq.heappop(queue)
        if kind == SOURCE:
            send(name, neuron)
        elif kind == RELEASE:
            releases.append((now, name, neuron))
            free[name][neuron] = True
        else:
            arrive(name, neuron)


def _area(net, arrival):
    """Time average of the output after one unit spike."""
    left = net.duration - arrival

    def integral(tau):
        return tau * -np.expm1(-left / tau)

    if not net.tau_s:
        return integral(net.tau_m) / net.duration
    c = net.tau_s / (net.tau_s - net.tau_m)
    return c * (integral(net.tau_s) - integral(net.tau_m)) / net.duration


def cross_entropy(net, run, label):
    """Cross-entropy of the mean outputs."""
    return np.log(np.exp(run.mean - run.mean[label]).sum())


def loss(net, times, channels, label, measure=cross_entropy):
    """The loss of one trial, ``measure(net, run, label)``, and its run."""
    run = simulate(net, times, channels)
    return measure(net, run, label), run


def _changed(net, key, index, by):
    """The network with one number changed; key "<link>.w", "<link>.delay" or (layer, parameter)."""
    if isinstance(key, str):
        name, kind = key.split(".")
        array = getattr(net.links[name], kind).copy()
        array[index] += by
        return replace(net, links={**net.links, name: replace(net.links[name], **{kind: array})})
    k, parameter = key
    layer = net.layers[k]
    if isinstance(layer, Smooth):
        values = {name: value.copy() for name, value in layer.values.items()}
        values[parameter][index] += by
        changed = replace(layer, values=values)
    else:
        array = getattr(layer, parameter).copy()
        array[index] += by
        changed = replace(layer, **{parameter: array})
    layers = tuple(changed if at == k else one for at, one in enumerate(net.layers))
    return replace(net, layers=layers)


def _array(net, key):
    if isinstance(key, str):
        name, kind = key.split(".")
        return getattr(net.links[name], kind)
    layer = net.layers[key[0]]
    return layer.values[key[1]] if isinstance(layer, Smooth) else getattr(layer, key[1])


def differences(net, times, channels, label, key, *, at=None, relative=1e-6, measure=cross_entropy):
    """Central differences of the loss by elements of a parameter, all or those `at` an index.

    Returns
    -------
    gradient : ndarray
        NaN where a spike appears or vanishes, or two events of a neuron change their order.
    """
    array = _array(net, key)
    scale = relative * max(np.abs(array).max(), 1e-3)
    elements = list(np.ndindex(array.shape)) if at is None else list(zip(*at, strict=True))
    gradient = np.full(len(elements), np.nan)
    for k, index in enumerate(elements):
        up, run_up = loss(_changed(net, key, index, scale), times, channels, label, measure)
        down, run_down = loss(_changed(net, key, index, -scale), times, channels, label, measure)
        if run_up.meetings() == run_down.meetings():
            gradient[k] = (up - down) / (2 * scale)
    return gradient if at is not None else gradient.reshape(array.shape)
