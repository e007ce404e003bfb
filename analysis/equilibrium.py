"""How good the updates of equilibrium propagation are, and how they depend on spike times."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from scipy.sparse.linalg import LinearOperator, gmres

from neurosnn.analysis.gradients import alignment
from neurosnn.core.messages import message
from neurosnn.rules.equilibrium import EquilibriumNetwork
from neurosnn.rules.equilibrium.engine import EquilibriumResult
from neurosnn.training.equilibrium import two_point_gradient

__all__ = [
    "LearningWindow",
    "SteadyState",
    "UpdateDirections",
    "cosines",
    "learning_window",
    "steady_state",
    "steady_state_gradient",
    "update_directions",
]

SETTLED, MOST_ITERATIONS, DAMPING = 1e-12, 20_000, 0.2


class SteadyState(NamedTuple):
    """Where the rates of a network settle, in the mean-field limit.

    Attributes
    ----------
    rates : dict of str to ndarray, shape (n_trials, n)
        Firing rates of each layer in units of the largest rate.
    slopes : dict of str to ndarray, shape (n_trials, n)
        Derivative of each rate with respect to the input of the neuron.
    """

    rates: dict[str, np.ndarray]
    slopes: dict[str, np.ndarray]


class UpdateDirections(NamedTuple):
    """Cosines between what the spikes did and what they should have done, by parameter.

    Attributes
    ----------
    to_two_point : dict of str to float
        Update to the two-point rule.
    to_exact : dict of str to float
        Update to the exact gradient of the steady state.
    two_point_to_exact : dict of str to float
        The two-point rule itself to the exact gradient.
    """

    to_two_point: dict[str, float]
    to_exact: dict[str, float]
    two_point_to_exact: dict[str, float]


class LearningWindow(NamedTuple):
    """Weight updates of a running network by the lag of the nearest spikes.

    Attributes
    ----------
    lag : ndarray, shape (n_bins,)
        ``t_post - t_pre`` in time steps, middle of the bin.
    dw : ndarray, shape (n_bins,)
        Mean slope a at a spike whose nearest partner has that lag (1/s); nan for an empty bin.
    shuffled : ndarray, shape (n_bins,)
        The same with the spikes of the presynaptic layer taken from another trial.
    n : ndarray of int, shape (n_bins,)
        Updates in each bin.
    """

    lag: np.ndarray
    dw: np.ndarray
    shuffled: np.ndarray
    n: np.ndarray


def steady_state(
    net: EquilibriumNetwork, x: np.ndarray, start: dict[str, np.ndarray] | None = None
) -> SteadyState:
    r"""The fixed point of the rates, from the rate curve of the neuron.

    .. math::
        \rho = \frac{t_{ref}}{t_{ref} - dt/2 + \tau_m \ln\frac{u}{u - 1}} \;(u > 1), \qquad
        u_j = d + g \Big(\sum_i w_{ij} \rho_i + b_j\Big)

    Parameters
    ----------
    net : EquilibriumNetwork
        A network of EqSpikeLIF neurons.
    x : ndarray (n_trials, n_inputs)
        Pixels.
    start : dict of str to ndarray, optional
        Rates to start from, for example those of the spiking network: with strong weights there
        are several fixed points. 0 if None.

    Returns
    -------
    SteadyState
        Rates and slopes.

    Raises
    ------
    ValueError
        If the rates do not settle: a network whose weights are too large oscillates.

    Notes
    -----
    Of a spiking network this is the limit of slow synapses; with those of 25 ms the rates differ by
    a few hundredths, most near the threshold.
    """
    names = [name for name in net.layers if name != "input"]
    rates = {name: np.zeros((len(x), net.layers[name][1])) for name in names}
    if start is not None:
        rates = {name: np.array(start[name], float) for name in names}
    for _ in range(MOST_ITERATIONS):
        before = dict(rates)
        for name in names:
            rate, _ = _rate(net, _drive(net, x, rates, name))
            rates[name] = (1 - DAMPING) * rates[name] + DAMPING * rate
        if max(np.abs(rates[name] - before[name]).max() for name in names) < SETTLED:
            break
    else:
        raise ValueError(
            message(
                "the rates do not settle.",
                "steady_state",
                "Near the threshold the rate curve is infinitely steep.",
                "Use smaller weights or more drive.",
            )
        )
    slopes = {name: _rate(net, _drive(net, x, rates, name))[1] for name in names}
    return SteadyState(rates, slopes)


def steady_state_gradient(
    net: EquilibriumNetwork,
    x: np.ndarray,
    targets: np.ndarray,
    start: dict[str, np.ndarray] | None = None,
) -> dict[str, np.ndarray]:
    r"""Exact gradient of the squared error of the steady state, by its adjoint.

    .. math:: C = \frac{1}{2g} \sum_k (y_k - \rho_k)^2, \qquad \text{mean over the trials}

    The nudge beta (y - r) enters the neuron without the gain g; with 1/g in the cost the two-point
    change of equilibrium propagation tends to minus this gradient for a small beta.

    Parameters
    ----------
    net : EquilibriumNetwork
        The network.
    x : ndarray (n_trials, n_inputs)
        Pixels.
    targets : ndarray (n_trials, n_outputs)
        Wanted rates.
    start : dict of str to ndarray, optional
        As for :func:`steady_state`.

    Returns
    -------
    dict of str to ndarray
        By the names of the parameters.

    Raises
    ------
    ValueError
        If the rates, or their adjoint, do not settle.

    Notes
    -----
    Solves linear equations in the rates of all neurons for each trial by GMRES (scipy): some ten times
    the sums over all synapses between the layers.
    """
    state = steady_state(net, x, start)
    names = [name for name in net.layers if name != "input"]
    gain, n = float(net.neuron.parameters["gain"]), len(x)
    sizes = [net.layers[name][1] for name in names]
    first = dict(zip(names, np.cumsum([0, *sizes]), strict=False))
    part = {
        name: slice(first[name], first[name] + size)
        for name, size in zip(names, sizes, strict=True)
    }
    slopes = np.concatenate([state.slopes[name] for name in names], axis=1)
    error = np.zeros((n, sum(sizes)))
    error[:, part["output"]] = (state.rates["output"] - targets) / gain

    def solved(slope: np.ndarray, cost: np.ndarray) -> np.ndarray:
        def left_side(adjoint: np.ndarray) -> np.ndarray:
            sent = {name: adjoint[None, part[name]] for name in names}
            heard = np.concatenate([_heard(net, sent, name)[0] for name in names])
            return adjoint - gain * slope * heard

        matrix = LinearOperator((len(slope), len(slope)), matvec=left_side, dtype=float)
        adjoint, failed = gmres(matrix, slope * cost, rtol=1e-12, atol=0.0, restart=200)
        if failed:
            raise ValueError(
                message(
                    "the adjoint of the rates does not settle.",
                    "steady_state_gradient",
                    "The rates are near a point where they would jump.",
                    "Use smaller weights or more drive.",
                )
            )
        return adjoint

    adjoint = np.stack([solved(slope, cost) for slope, cost in zip(slopes, error, strict=True)])
    # S (I - g W S)^-1 = (I - g S W)^-1 S: what a change of the input of each neuron is worth
    rates = {"input": np.asarray(x, float), **state.rates}
    value = {name: gain * adjoint[:, part[name]] / n for name in names}
    gradient = {}
    for connection in net.connections:
        source, target = connection.source, connection.target
        product = connection.wiring.product
        total = product(rates[source], value[target])
        if connection.back:
            total = total + product(value[source], rates[target])
        gradient[f"{connection.name}.w"] = total
        gradient[f"{target}.b"] = net.gathered_biases(target, value[target].sum(axis=0))
    return gradient


def cosines(first: dict[str, np.ndarray], second: dict[str, np.ndarray]) -> dict[str, float]:
    """Cosine of the angle between two gradients, for each parameter.

    Parameters
    ----------
    first, second : dict of str to ndarray
        Gradients by the names of the parameters; those in both are compared.

    Returns
    -------
    dict of str to float
        1 for the same direction, 0 for a right angle.

    Raises
    ------
    ValueError
        If a gradient is zero: a silent network has no direction.
    """
    cosine = alignment(first, second)
    del cosine["all"]
    for name, value in cosine.items():
        if np.isnan(value):
            raise ValueError(
                message(
                    f"the gradient of '{name}' is zero.",
                    "cosines",
                    "A silent layer learns nothing, and zero has no direction.",
                    "Raise the drive or the weights.",
                )
            )
    return dict(sorted(cosine.items()))


def update_directions(
    net: EquilibriumNetwork,
    result: EquilibriumResult,
    x: np.ndarray,
    targets: np.ndarray,
    beta: np.ndarray,
) -> UpdateDirections:
    """Where the updates of a batch point, layer by layer.

    Parameters
    ----------
    net : EquilibriumNetwork
        The network.
    result : EquilibriumResult
        Of a batch with a nudged phase.
    x : ndarray (n_trials, n_inputs)
        Pixels of the batch.
    targets : ndarray (n_trials, n_outputs)
        Rates that its output was nudged to.
    beta : ndarray (n_trials,)
        Its nudges.

    Returns
    -------
    UpdateDirections
        Three sets of cosines.

    Raises
    ------
    ValueError
        If a gradient is zero.

    Examples
    --------
    >>> import numpy as np
    >>> from neurosnn.analysis.equilibrium import update_directions
    >>> from neurosnn.rules.equilibrium.engine import EquilibriumEngine
    >>> from neurosnn.rules.equilibrium.network import EquilibriumNetwork
    >>> net = EquilibriumNetwork((4, 5, 2), seed=1, scale=2.0)
    >>> net.parameters["output.b"] += 0.2
    >>> batch = {"targets": np.eye(2), "beta": np.array([1.0, -1.0])}
    >>> x = np.array([[1.0, 0.5, 0.0, 0.2], [0.0, 0.3, 1.0, 0.6]])
    >>> result = EquilibriumEngine(net, threads=1).run(x, **batch)
    >>> sorted(update_directions(net, result, x, **batch).to_exact)
    ['hidden.b', 'hidden_output.w', 'input_hidden.w', 'output.b']
    """
    two_point = two_point_gradient(net, x, result, beta)
    exact = steady_state_gradient(net, x, targets, start=result.free)
    return UpdateDirections(
        cosines(result.gradient, two_point),
        cosines(result.gradient, exact),
        cosines(two_point, exact),
    )


def learning_window(
    net: EquilibriumNetwork,
    result: EquilibriumResult,
    *,
    connection: str = "hidden_output",
    max_lag: int = 60,
    width: int = 4,
    seed: int = 0,
) -> LearningWindow:
    """Updates of a learning network by the lag to the nearest spike on the other side.

    The update at a spike is the slope a of the other neuron (``EqSpike``, both sides); as a control
    the presynaptic trains come from another trial, which keeps all trains and cuts what ties them.

    Parameters
    ----------
    net : EquilibriumNetwork
        The network.
    result : EquilibriumResult
        Of trials with a nudged phase and ``record=True``.
    connection : str, optional
        A connection between two spiking layers.
    max_lag : int, optional
        Longest lag, in time steps.
    width : int, optional
        Steps in a bin.
    seed : int, optional
        Of the shuffling.

    Returns
    -------
    LearningWindow
        Mean updates and their control.

    Raises
    ------
    ValueError
        If the spikes were not recorded, or a trial was not nudged just once.
    """
    if not result.trains:
        raise ValueError(
            message(
                "the result holds no spikes.",
                "learning_window",
                "They are needed one by one.",
                "Run the engine with record=True.",
            )
        )
    if (result.phases != 1).any():
        raise ValueError(
            message(
                "the trials were nudged with both signs, or some not at all.",
                "learning_window",
                "Pairs of spikes are counted in one nudged phase of each trial.",
                "Run the engine without both= and margin=.",
            )
        )
    (chosen,) = [c for c in net.connections if c.name == connection]
    steps = net.free_steps + net.nudged_steps
    sides = [
        [_spikes_and_slope(net, train, net.layers[name][1], steps) for train in result.trains[name]]
        for name in (chosen.source, chosen.target)
    ]
    n = len(sides[0])
    other = (np.arange(n) + np.random.default_rng(seed).integers(1, n)) % n if n > 1 else [0]
    linked = np.zeros((net.layers[chosen.source][1], net.layers[chosen.target][1]), bool)
    linked[chosen.wiring.synapses()] = True
    edges = np.arange(-max_lag - width / 2, max_lag + width, width)
    sums, counts = np.zeros((2, len(edges) - 1)), np.zeros((2, len(edges) - 1))
    for row, partner in enumerate((np.arange(n), other)):
        for k in range(n):
            pre, post = sides[0][partner[k]], sides[1][k]
            _bin(pre, post, linked, 1, net.free_steps, edges, sums[row], counts[row])
            _bin(post, pre, linked.T, -1, net.free_steps, edges, sums[row], counts[row])
    mean = np.where(counts > 0, sums / np.maximum(counts, 1), np.nan)
    return LearningWindow((edges[1:] + edges[:-1]) / 2, mean[0], mean[1], counts[0].astype(int))


def _drive(net, x, rates, name):
    gain, drive = (float(net.neuron.parameters[key]) for key in ("gain", "drive"))
    return drive + gain * (net.biases(name) + _heard(net, {"input": np.asarray(x), **rates}, name))


def _heard(net, rates, name):
    """What a layer gets from those whose rates are given, through its synapses."""
    total = np.zeros((len(next(iter(rates.values()))), net.layers[name][1]))
    for connection in net.connections:
        w, wiring = net.parameters[f"{connection.name}.w"], connection.wiring
        if connection.target == name and connection.source in rates:
            total = total + wiring.forward(rates[connection.source], w)
        elif connection.source == name:
            total = total + wiring.backward(rates[connection.target], w)
    return total


def _rate(net, u):
    """Rate and slope of the neuron at a constant input."""
    t_ref, tau_m = (float(net.neuron.parameters[key]) for key in ("t_ref", "tau_m"))
    above = np.maximum(u, 1 + 1e-12)
    # spikes fall on the grid: on average half a step after the crossing, one step less is refractory
    period = t_ref - float(net.dt) / 2 - tau_m * np.log1p(-1 / above)
    rate = np.where(u > 1, t_ref / period, 0.0)
    slope = np.where(u > 1, rate**2 / t_ref * tau_m / (above * (above - 1)), 0.0)
    return rate, slope


def _spikes_and_slope(net, train, n, steps):
    """Spikes as an array (steps, n), and the slope a after the spikes of each step."""
    dt = float(net.dt)
    tau_s, tau_2, t_ref = (float(net.neuron.parameters[key]) for key in ("tau_s", "tau_2", "t_ref"))
    spikes = np.zeros((steps, n), bool)
    spikes[train[0], train[1]] = True
    slope, r, q = np.zeros((steps, n)), np.zeros(n), np.zeros(n)
    keep_r, keep_q = np.exp(-dt / tau_s), np.exp(-dt / tau_2)
    for t in range(steps):
        q = r + (q - r) * keep_q
        r = r * keep_r + spikes[t] * (t_ref / tau_s)
        slope[t] = (r - q) / tau_2
    return spikes, slope


def _nearest(spikes):
    """Steps from each moment to the nearest spike (its time minus now), far away if there is none."""
    steps = len(spikes)
    far = 10**6
    last = np.where(spikes, np.arange(steps)[:, None], -far)
    last = np.maximum.accumulate(last, axis=0)
    following = np.where(spikes, np.arange(steps)[:, None], far)
    following = np.minimum.accumulate(following[::-1], axis=0)[::-1]
    now = np.arange(steps)[:, None]
    return np.where(now - last <= following - now, last - now, following - now)


def _bin(here, there, linked, sign, first, edges, sums, counts):
    """Add the updates at the spikes of one layer to the bins of their lags."""
    step, neuron = np.nonzero(here[0])
    nudged = step >= first
    step, reached = step[nudged], linked[neuron[nudged]]
    lag = sign * _nearest(there[0])[step][reached]
    value = there[1][step][reached]
    index = np.digitize(lag, edges) - 1
    inside = (index >= 0) & (index < len(sums))
    np.add.at(sums, index[inside], value[inside])
    np.add.at(counts, index[inside], 1)
