"""The adjoint of a neuron's step, with a pseudo-derivative in the place of the spike's derivative."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import sympy

from neurosnn.calculus.step import PSI, step_map
from neurosnn.core.messages import message
from neurosnn.core.symbolic import (
    MARK,
    differentiate,
    substitute,
    symbol,
    to_string,
    to_symbolic,
)
from neurosnn.engine.backward import Backward
from neurosnn.engine.codegen import LayerCode
from neurosnn.engine.layout import aligned
from neurosnn.engine.translate import Translator, product_sum
from neurosnn.model import NeuronModel

__all__ = ["SurrogateBackward", "refuse_learned_delays"]


class SurrogateBackward(Backward):
    """What e-prop and backpropagation through time have in common on the engine.

    The error of the readout reaches a layer through its feedback weights, the readout's own unless
    ``feedback`` has others.

    Parameters
    ----------
    numbers : mapping of str to float
        Strength and target of the firing-rate term.
    feedback : mapping of str to ndarray (n, n_outputs), optional
        Feedback weights by layer.
    """

    by_sender = frozenset({"float32", "float64"})

    def __init__(
        self, numbers: Mapping[str, float], feedback: Mapping[str, np.ndarray] | None = None
    ):
        super().__init__(numbers)
        self.feedback = dict(feedback or {})

    def fields(self, layers: list[LayerCode]) -> list[tuple[str, str]]:
        """A pointer to the feedback weights of each layer."""
        return [(f"feedback_{layer.index}", "const real*") for layer in layers if layer.spiking]

    def values(self, net: Any, index: Mapping[str, LayerCode], dtype: np.dtype) -> dict[str, Any]:
        """Feedback weights, transposed: a row for each output; zero where the readout reads nothing."""
        read = {c.source: c.w for c in net.connections.values() if c.target == "readout"}
        read |= self.feedback
        return {
            f"feedback_{index[layer.name].index}": aligned(
                read.get(layer.name, np.zeros((layer.n, net.readout.n))).T, dtype
            )
            for layer in net.layers
        }

    def check_model(self, model: NeuronModel, learn: tuple[str, ...]) -> None:
        """Refuse a model whose step has no derivative."""
        step_map(model, learn)

    def derive(self, translator: Translator, learn: tuple[str, ...]) -> LayerCode:
        """Coefficients from the derivatives of one step (``calculus.step``)."""
        model, layer = translator.model, translator.layer
        slopes = step_map(model, learn)
        translator.varying |= set(slopes.at_reset)
        before = (layer.coefficients, layer.stored_before)
        after = (layer.after_threshold, layer.stored_after)
        layer.gradient_states = slopes.states
        translator.intermediate(slopes.intermediate)
        transition = {
            (row, column): translator.entry(f"M_{row}_{column}", text, *before)
            for (row, column), text in slopes.transition.items()
        }
        drive = {
            (row, channel): translator.entry(f"b_{row}_{channel}", text, *before)
            for (row, channel), text in slopes.drive.items()
        }
        layer.input_gradient = [
            (
                channel,
                product_sum(f"lam_{row}*{b}" for (row, c), b in drive.items() if c == channel),
            )
            for channel in model.inputs
        ]
        margin = {}
        if model.spikes:
            layer.at_reset = [
                (key.removeprefix(MARK), translator.expression(text))
                for key, text in slopes.at_reset.items()
            ]
            jump = {
                row: translator.entry(f"Z_{row}", text, *before)
                for row, text in slopes.jump.items()
            }
            layer.after_threshold.append((PSI, translator.expression(slopes.psi)))
            layer.stored_after.append(PSI)
            margin = {
                row: translator.entry(f"m_{row}", text, *after)
                for row, text in slopes.margin.items()
            }
            layer.spike_gradient = "".join(f" + lam_{row}*{value}" for row, value in jump.items())
            for parameter in learn:
                effect = slopes.parameters[parameter]
                direct = (layer.coefficients, layer.stored_parameter)
                terms = [
                    f"new_{row}*{translator.entry(f'u_{parameter}_{row}', text, *direct)}"
                    for row, text in effect.state.items()
                ]
                if effect.margin != "0":
                    terms.append(f"z*{translator.entry(f'n_{parameter}', effect.margin, *after)}")
                layer.parameter_gradient.append((parameter, product_sum(terms)))
        layer.initial_gradient = _through_initial_values(translator, transition, learn)
        layer.adjoint = [
            (
                column,
                product_sum(
                    [f"lam_{row}*{M}" for (row, c), M in transition.items() if c == column]
                    + ([f"z*{margin[column]}"] if column in margin else [])
                ),
            )
            for column in slopes.states
        ]
        return translator.finish()


def _through_initial_values(translator: Translator, transition: dict, learn: tuple) -> list:
    """Gradient of parameters that stand in an initial value, from the adjoint of the first step."""
    model, gradients = translator.model, []
    initial: dict[str, Any] = dict.fromkeys(model.states, sympy.S.Zero)
    for state, value in model.initial_code.items():
        if isinstance(value, str):
            initial[state] = substitute(to_symbolic(value), initial)
        else:
            initial[state] = symbol(state) if np.ndim(value) else sympy.Float(float(value))
    for parameter in learn:
        terms = []
        for (row, column), M in transition.items():
            slope = differentiate(initial[column], parameter)
            several = {str(name) for name in slope.free_symbols} & set(model.states)
            if several:
                raise ValueError(
                    message(
                        f"'{parameter}' cannot be learned: the initial value of {column} reads that "
                        f"of {min(several)}, which is an array.",
                        model.name,
                        "The gradient goes through initial values as expressions.",
                        f"Make the initial values of {min(several)} a parameter, and name that.",
                    )
                )
            if slope != 0:
                terms.append(f"lam_{row}*{M}*{translator.expression(to_string(slope))}")
        if terms:
            gradients.append((parameter, product_sum(terms)))
    return gradients


def refuse_learned_delays(net: Any, rule: str) -> None:
    """Refuse a network that learns a delay, which acts through the time of a spike."""
    for name in net.learned:
        if name.endswith(".delay"):
            raise ValueError(
                message(
                    f"{rule} cannot learn '{name}'.",
                    rule,
                    "It follows weights and parameters of a neuron; a delay acts through the time of a "
                    "spike.",
                    'Use EventProp(), or leave "delay" out of learn.',
                )
            )
