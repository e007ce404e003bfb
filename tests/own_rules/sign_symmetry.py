"""Two learning rules from outside the package, as a user would write them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from neurosnn.engine.backward import LAYER, TRIAL, Backward
from neurosnn.engine.layout import aligned
from neurosnn.rules import Rule
from neurosnn.rules.eprop.adjoint import EPropBackward


class SignFeedback(EPropBackward):
    """E-prop's adjoint; a layer hears the error through the signs of the readout's weights."""

    def __init__(self) -> None:
        super().__init__({"rate_strength": 0.0, "rate_target": 0.0}, {}, adaptive=False)

    def values(self, net: Any, index: Any, dtype: np.dtype) -> dict[str, Any]:
        return {
            f"feedback_{index[c.source].index}": aligned(np.sign(c.w).T, dtype)
            for c in net.connections.values()
            if c.target == "readout"
        }


@dataclass(frozen=True)
class SignSymmetry(Rule):
    """Learning without weight transport but with the right signs (Liao, Leibo & Poggio 2016)."""

    name: ClassVar[str] = "sign_symmetry"
    reference: ClassVar[str] = "Liao, Leibo & Poggio, AAAI (2016)"
    needs: ClassVar[frozenset[str]] = frozenset({"pre_trace", "post_state", "neuron_error"})

    def backward(self, net: Any, loss: Any) -> Backward:
        return SignFeedback()


class DeltaBackward(Backward):
    """The delta rule of the readout: its error times the filtered spikes; hidden weights stay.

    With the readout ``y' = kappa y + w z`` the filtered spikes are computed forwards in time.
    """

    templates: ClassVar[dict[str, str]] = {
        LAYER: "",
        TRIAL: """
    void backward(const Batch& b, int64_t trial, Gradients& g) {
        const int64_t steps = b.n_steps[trial], K = b.n_{{ readout.index }};
        for (int64_t step = 0; step < steps; step++)
            for (int64_t k = 0; k < K; k++) g.d_bias[k] += output[step*K + k];
        {%- for c in connections if c.target == readout.object %}
        vector<double> filtered(b.n_pre_{{ c.name }}, 0.0);
        for (int64_t step = 0; step < steps; step++) {
            for (double& z : filtered) z *= b.kappa;
            for (const int32_t* i = {{ c.arrivals }}.begin(step); i != {{ c.arrivals }}.end(step); i++)
                filtered[*i] += 1;
            for (size_t i = 0; i < filtered.size(); i++)
                for (int64_t k = 0; k < K; k++)
                    g.d_{{ c.name }}[i*K + k] += real(filtered[i]*output[step*K + k]);
        }
        {%- endfor %}
    }
""",
    }

    def derive(self, translator: Any, learn: tuple[str, ...]) -> Any:
        return translator.finish()


@dataclass(frozen=True)
class DeltaRule(Rule):
    """Only the readout learns (Widrow & Hoff 1960), as in a liquid state machine."""

    name: ClassVar[str] = "delta"
    needs: ClassVar[frozenset[str]] = frozenset({"pre_trace", "neuron_error"})

    def backward(self, net: Any, loss: Any) -> Backward:
        tau = net.readout.model.parameters["tau"]
        return DeltaBackward({"kappa": float(np.exp(-net.dt / tau))})
