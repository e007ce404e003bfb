"""Losses of single moments: when an output reaches its threshold, and how high it rises."""

from __future__ import annotations

import dataclasses
from typing import ClassVar

import numpy as np
from brian2.units import ms, second
from brian2.units.fundamentalunits import Quantity

from neurosnn.core.values import Range, check_value
from neurosnn.losses.readout_losses import Loss, check_time, log_softmax

__all__ = ["FirstSpike", "MaxCrossEntropy"]

#: The output's slope is at least this part of ``v_th/tau_1``: a grazing output has none.
SMALLEST_SLOPE = 0.1


@dataclasses.dataclass(frozen=True, kw_only=True)
class MaxCrossEntropy(Loss):
    r"""Cross-entropy of one label a trial, on the largest value of each output.

    .. math::
        s_k = \max_t y_k^t, \qquad E = -\log \frac{e^{s_{label}}}{\sum_k e^{s_k}}, \qquad
        \frac{\partial E}{\partial s_k} = \pi_k - \delta_{k, label}

    with pi the softmax of s. The error goes to the step m of the maximum and the one before, in the
    parts phi and 1 - phi,

    .. math:: \phi = \frac{y^m - y^{m-1}}{(y^m - y^{m-1}) + (y^m - y^{m+1})}

    At a smooth maximum any phi is right up to order dt, for its time has no effect on its height.
    Often the maximum is a kink, where an inhibitory spike arrives: a later spike would let the output
    rise further. Read before the arrival, the spike's time has no effect; read after it, too much;
    phi is what gives the exact ``dy/dt`` before the spike.

    EventProp needs a readout in which spikes add to a current (``equations.CurrentReadout``).

    References
    ----------
    Wunderlich & Pehle, Sci. Rep. 11:12829 (2021), eq. 6.

    Examples
    --------
    >>> from neurosnn.losses.event_losses import MaxCrossEntropy
    >>> outputs = [[0.0, 0.0], [1.0, -1.0], [0.0, -1.0]]
    >>> loss, error = MaxCrossEntropy().value_and_error(outputs, 0, [1.0, 1.0, 1.0])
    >>> round(loss, 4), error.round(3).tolist()
    (0.3133, [[-0.134, 0.269], [-0.134, 0.0], [0.0, 0.0]])
    """

    kind: ClassVar[str] = "max_cross_entropy"
    decides_trials: ClassVar[bool] = True

    def scores(self, outputs: np.ndarray, weights: np.ndarray) -> np.ndarray:
        """The largest value of each output.

        Parameters
        ----------
        outputs : ndarray (n_steps, n_out)
            Output of the readout at the end of each step.
        weights : ndarray (n_steps,)
            Not used.

        Returns
        -------
        ndarray (n_out,)
        """
        return outputs.max(axis=0)

    def _weights(self, lengths, trial, step, dt, labels) -> np.ndarray:
        return np.ones(len(trial))

    def _value_and_error(self, outputs, targets, weights) -> tuple[float, np.ndarray]:
        label, last = int(targets), len(outputs) - 1
        log_pi = log_softmax(outputs.max(axis=0))
        pull = np.exp(log_pi)
        pull[label] -= 1
        error = np.zeros(outputs.shape)
        for k, m in enumerate(outputs.argmax(axis=0)):
            phi = 1.0
            if 0 < m < last:
                rise, fall = outputs[m, k] - outputs[[m - 1, m + 1], k]
                phi = rise / (rise + fall) if rise + fall > 0 else 1.0
            error[m - 1, k] += (1 - phi) * pull[k]
            error[m, k] += phi * pull[k]
        return -log_pi[label], error


@dataclasses.dataclass(frozen=True, kw_only=True)
class FirstSpike(Loss):
    r"""Cross-entropy of the times of the first spikes: the output that fires first is the answer.

    .. math::
        E = -\log \frac{e^{-t_{label}/\tau_0}}{\sum_k e^{-t_k/\tau_0}}
        + \alpha \left(e^{t_{label}/\tau_1} - 1\right)

    t_k is when output k first reaches `v_th`, by linear interpolation between the ends of two
    steps, so that it depends smoothly on the outputs: with y^- and y^+ before and after, and s the
    slope ``(y^+ - y^-)/dt``,

    .. math::
        t_k = t^- + \frac{v_{th} - y^-}{s}, \qquad
        \frac{\partial t_k}{\partial y^-} = -\frac{1 - f}{s}, \qquad
        \frac{\partial t_k}{\partial y^+} = -\frac{f}{s}, \qquad f = \frac{t_k - t^-}{dt}

    An output neuron's reset acts on nothing else once its first spike has counted. So a readout
    without spikes has exactly the first spikes of a spiking one, and no second kind of readout is
    needed. All outputs start at zero.

    Parameters
    ----------
    tau_0 : Quantity (second), optional
        How much earlier the right output should be (Wunderlich & Pehle 2021, Yin-Yang: 0.5 ms).
    tau_1 : Quantity (second), optional
        Time constant of the term that favours early answers (there 6.4 ms).
    alpha : float, optional
        Strength of that term (there 3e-3).
    v_th : float, optional
        Threshold of the outputs, in SI units of the readout's first state.

    Raises
    ------
    ValueError
        If a value is no positive time or number.

    Notes
    -----
    A silent output counts as firing at the end T of the trial. If the label's is silent it gets a
    phantom spike at T, with the slope v_th/tau_1, which raises its last value. Slopes below
    ``0.1 v_th/tau_1`` are taken as that: an output that only grazes the threshold has no bound.
    Choose dt well below tau_0: spikes of hidden neurons lie on the grid.

    EventProp needs a readout in which spikes add to a current (``equations.CurrentReadout``).

    References
    ----------
    Wunderlich & Pehle, Sci. Rep. 11:12829 (2021), eq. 7; the phantom spike: Nowotny et al. 2025.

    Examples
    --------
    >>> from neurosnn.losses.event_losses import FirstSpike
    >>> outputs = [[0.5, 0.0], [1.5, 0.5], [1.0, 1.0]]
    >>> loss = FirstSpike()
    >>> loss.scores(outputs, [1e-3] * 3)  # -t_k/tau_0
    array([-3., -6.])
    >>> round(loss.value_and_error(outputs, 0, [1e-3] * 3)[0], 4)
    0.0494
    """

    tau_0: Quantity = dataclasses.field(default_factory=lambda: 0.5 * ms)
    tau_1: Quantity = dataclasses.field(default_factory=lambda: 6.4 * ms)
    alpha: float = 3e-3
    v_th: float = 1.0

    kind: ClassVar[str] = "first_spike"
    decides_trials: ClassVar[bool] = True

    def __post_init__(self) -> None:
        where = type(self).__name__
        for name in ("tau_0", "tau_1"):
            check_time(name, getattr(self, name), where)
            check_value(name, getattr(self, name), Range(0 * second), where=where)
        check_value("alpha", self.alpha, Range(0, includes_low=True), where=where)
        check_value("v_th", self.v_th, Range(0), where=where)

    @property
    def constants(self) -> dict[str, float]:
        """Its parameters in SI values."""
        tau_1 = float(self.tau_1)
        return {
            "tau_0": float(self.tau_0),
            "tau_1": tau_1,
            "alpha": float(self.alpha),
            "v_th": float(self.v_th),
            "slope": float(self.v_th) / tau_1,
            "smallest_slope": SMALLEST_SLOPE * float(self.v_th) / tau_1,
        }

    def scores(self, outputs: np.ndarray, weights: np.ndarray) -> np.ndarray:
        """The negative times of the first spikes in units of tau_0.

        Parameters
        ----------
        outputs : ndarray (n_steps, n_out)
            Output of the readout at the end of each step.
        weights : ndarray (n_steps,)
            Length of each step in seconds.

        Returns
        -------
        ndarray (n_out,)
        """
        times, *_ = self._first(np.asarray(outputs, dtype=float), np.asarray(weights))
        return -times / float(self.tau_0)

    def _weights(self, lengths, trial, step, dt, labels) -> np.ndarray:
        return np.full(len(trial), float(dt))

    def _first(self, outputs, weights):
        """Times, their steps, fractions and slopes; silent outputs: the end, step -1."""
        k, dt = np.arange(outputs.shape[1]), weights[0]
        above = outputs >= self.v_th
        fires, step = above.any(axis=0), above.argmax(axis=0)
        before = np.where(step > 0, outputs[step - 1, k], 0.0)
        rise = np.where(fires, outputs[step, k] - before, 1.0)
        fraction = np.where(fires, (self.v_th - before) / rise, 0.0)
        times = np.where(fires, (step + fraction) * dt, len(weights) * dt)
        return times, np.where(fires, step, -1), fraction, rise / dt

    def _value_and_error(self, outputs, targets, weights) -> tuple[float, np.ndarray]:
        label, c = int(targets), self.constants
        times, step, fraction, slope = self._first(outputs, weights)
        log_pi = log_softmax(-times / c["tau_0"])
        late = c["alpha"] * np.exp(times[label] / c["tau_1"])
        by_time = -np.exp(log_pi) / c["tau_0"]
        by_time[label] += 1 / c["tau_0"] + late / c["tau_1"]
        error = np.zeros(outputs.shape)
        for k, (at, pull) in enumerate(zip(step, by_time, strict=True)):
            if at < 0:
                if k == label:
                    error[-1, k] = -pull / c["slope"]
                continue
            steepness = max(slope[k], c["smallest_slope"])
            error[at, k] = -fraction[k] * pull / steepness
            if at:
                error[at - 1, k] = -(1 - fraction[k]) * pull / steepness
        return late - c["alpha"] - log_pi[label], error
