"""Cross-entropy of one label a trial, on the largest value of each output."""

from __future__ import annotations

import dataclasses
from typing import ClassVar

import numpy as np

from neurosnn.core.arguments import explained
from neurosnn.losses.base import Loss, log_softmax

__all__ = ["MaxCrossEntropy"]


@explained
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
    >>> from neurosnn.losses import MaxCrossEntropy
    >>> outputs = [[0.0, 0.0], [1.0, -1.0], [0.0, -1.0]]
    >>> loss, error = MaxCrossEntropy().value_and_error(outputs, 0, [1.0, 1.0, 1.0])
    >>> round(loss, 4), error.round(3).tolist()
    (0.3133, [[-0.134, 0.269], [-0.134, 0.0], [0.0, 0.0]])
    """

    name: ClassVar[str] = "max_cross_entropy"
    decides_trials: ClassVar[bool] = True
    needs_smooth_output: ClassVar[bool] = True
    cpp: ClassVar[str] = """
        const int64_t label = b.labels[trial];
        vector<double> probability(K), part(K);
        vector<int64_t> when(K);
        for (int64_t k = 0; k < K; k++) {
            when[k] = 0;
            for (int64_t step = 1; step < steps; step++)
                if (output[step*K + k] > output[when[k]*K + k]) when[k] = step;
            const double* y = output.data() + when[k]*K + k;
            scores[k] = *y;
            part[k] = 1;
            // the part that is read after the spikes of the step: a maximum may be a kink
            if (when[k] && when[k] < steps - 1) {
                const double rise = *y - *(y - K), fall = *y - *(y + K);
                if (rise + fall > 0) part[k] = rise/(rise + fall);
            }
        }
        const double loss = -log_softmax(scores.data(), K, label, probability.data());
        probability[label] -= 1;
        fill(output.begin(), output.begin() + steps*K, 0.0);
        for (int64_t k = 0; k < K; k++) {
            output[when[k]*K + k] = part[k]*probability[k];
            if (when[k]) output[(when[k] - 1)*K + k] = (1 - part[k])*probability[k];
        }
        correct = best(scores.data(), K) == label;
        total = 1;
        return loss;
    """

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
