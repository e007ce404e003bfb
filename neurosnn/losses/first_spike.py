"""Cross-entropy of the times at which the outputs first reach a threshold."""

from __future__ import annotations

import dataclasses
from typing import ClassVar

import numpy as np
from brian2.units import ms, second
from brian2.units.fundamentalunits import Quantity

from neurosnn.core.arguments import explained
from neurosnn.core.values import Range, check_value
from neurosnn.losses.base import Loss, log_softmax
from neurosnn.losses.time_windows import check_time

__all__ = ["FirstSpike"]

#: The output's slope is at least this part of ``v_th/tau_1``: a grazing output has none.
SMALLEST_SLOPE = 0.1


@explained
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
        If a value is not a positive time or number.

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
    >>> from neurosnn.losses import FirstSpike
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

    name: ClassVar[str] = "first_spike"
    decides_trials: ClassVar[bool] = True
    needs_smooth_output: ClassVar[bool] = True
    constant_names: ClassVar[tuple[str, ...]] = (
        "tau_0",
        "tau_1",
        "alpha",
        "v_th",
        "slope",
        "smallest_slope",
    )
    cpp: ClassVar[str] = """
        const int64_t label = b.labels[trial];
        vector<double> probability(K), part(K), slope(K);
        vector<int64_t> when(K);
        for (int64_t k = 0; k < K; k++) {
            int64_t step = 0;
            while (step < steps && output[step*K + k] < b.loss_v_th) step++;
            when[k] = step;
            double time = steps*b.dt;
            if (step < steps) {
                const double before = step ? output[(step - 1)*K + k] : 0.0;
                const double rise = output[step*K + k] - before;
                part[k] = (b.loss_v_th - before)/rise;
                slope[k] = max(rise/b.dt, b.loss_smallest_slope);
                time = (step + part[k])*b.dt;
            }
            scores[k] = -time/b.loss_tau_0;
        }
        const double likely = log_softmax(scores.data(), K, label, probability.data());
        const double late = b.loss_alpha*exp(-scores[label]*b.loss_tau_0/b.loss_tau_1);
        fill(output.begin(), output.begin() + steps*K, 0.0);
        for (int64_t k = 0; k < K; k++) {
            double by_time = -probability[k]/b.loss_tau_0;
            if (k == label) by_time += 1/b.loss_tau_0 + late/b.loss_tau_1;
            if (when[k] < steps) {
                output[when[k]*K + k] = -part[k]*by_time/slope[k];
                if (when[k]) output[(when[k] - 1)*K + k] = -(1 - part[k])*by_time/slope[k];
            } else if (k == label) {
                output[(steps - 1)*K + k] = -by_time/b.loss_slope;
            }
        }
        correct = best(scores.data(), K) == label;
        total = 1;
        return late - b.loss_alpha - likely;
    """

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
