"""The factored form of e-prop: the adjoint of one neuron, with the paths through others cut."""

from __future__ import annotations

from neurosnn.calculus.step import PSI, step_map
from neurosnn.core.symbolic import MARK, differentiate, to_string, to_symbolic
from neurosnn.engine.codegen import LayerCode
from neurosnn.engine.translate import Translator, product_sum

__all__ = ["add_eprop"]


def add_eprop(translator: Translator, learn: tuple[str, ...]) -> LayerCode:
    """Add the coefficients of e-prop's backward pass to a layer.

    Parameters
    ----------
    translator : Translator
        Holds the forward pass.
    learn : tuple of str
        Parameters whose gradient is wanted.

    Returns
    -------
    LayerCode
        The complete layer.
    """
    model, layer = translator.model, translator.layer
    slopes = step_map(model, learn)
    translator.varying |= set(slopes.at_reset)
    before = (layer.coefficients, layer.stored_before)
    after = (layer.after_threshold, layer.stored_after)
    layer.gradient_states = slopes.states
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
            row: translator.entry(f"Z_{row}", text, *before) for row, text in slopes.jump.items()
        }
        layer.after_threshold.append((PSI, translator.expression(slopes.psi)))
        layer.stored_after.append(PSI)
        margin = {
            row: translator.entry(f"m_{row}", text, *after) for row, text in slopes.margin.items()
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
    for parameter in learn:
        terms = []
        for (row, column), M in transition.items():
            initial = model.initial.get(column, "")
            if isinstance(initial, str) and initial:
                slope = to_string(differentiate(to_symbolic(initial), parameter))
                if slope != "0":
                    terms.append(f"lam_{row}*{M}*{translator.expression(slope)}")
        if terms:
            gradients.append((parameter, product_sum(terms)))
    return gradients
