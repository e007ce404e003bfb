"""EventProp: the adjoint of the flow between spikes and the transposed saltation at spikes."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from functools import cached_property

from neurosnn.calculus.hybrid import MOVES, Release, hybrid_map
from neurosnn.core.symbolic import substitute, symbol, to_string, to_symbolic
from neurosnn.engine.backward import Backward, package_templates
from neurosnn.engine.codegen import LayerCode
from neurosnn.engine.translate import Translator, product_sum
from neurosnn.model import NeuronModel

__all__ = ["EventPropBackward"]


class EventPropBackward(Backward):
    """The backward pass of EventProp."""

    learns_delays = True
    by_sender = frozenset({"float32"})
    threaded = True

    @cached_property
    def templates(self) -> Mapping[str, str]:
        """The flow of all layers, then the arrivals and the spikes of the step."""
        return package_templates(
            "neurosnn.rules.eventprop", layer="layer_eventprop.jinja", trial="trial_eventprop.jinja"
        )

    def for_threads(self, layer: LayerCode) -> LayerCode:
        """What inputs are worth is kept for all steps."""
        return dataclasses.replace(layer, keeps_worth=True)

    def check_model(self, model: NeuronModel, learn: tuple[str, ...]) -> None:
        """Refuse a model without a differentiable flow."""
        hybrid_map(model, learn)

    def derive(self, translator: Translator, learn: tuple[str, ...]) -> LayerCode:
        """Coefficients from the flow, the jump and the crossing (``calculus.hybrid``)."""
        model, layer = translator.model, translator.layer
        slopes = hybrid_map(model, learn)
        states = slopes.states
        before = (layer.coefficients, layer.stored_before)
        arrival = (layer.after_arrival, layer.stored_arrival)
        layer.gradient_states = states
        translator.intermediate(slopes.intermediate)
        transition = {
            (row, column): translator.entry(f"M_{row}_{column}", text, *before)
            for (row, column), text in slopes.transition.items()
        }
        layer.adjoint = [
            (
                column,
                product_sum(f"lam_{row}*{M}" for (row, c), M in transition.items() if c == column),
            )
            for column in states
        ]
        slope = {
            (row, channel): translator.entry(f"q_{row}_{channel}", text, *arrival)
            for (row, channel), text in slopes.input_slope.items()
        }
        layer.input_slope = [
            (channel, product_sum(f"mu_{row}*{q}" for (row, c), q in slope.items() if c == channel))
            for channel in model.inputs
        ]
        layer.input_gradient = [
            (
                channel,
                f"mu_{channel}*{translator.entry(f'open_{channel}', MOVES, *arrival)}"
                if channel in slopes.gated
                else f"mu_{channel}",
            )
            for channel in model.inputs
        ]
        if not model.spikes:
            return translator.finish()
        layer.last_spike_adjoint = " - ".join(
            [
                "",
                *(
                    f"lam_{row}*{translator.entry(f'M_{row}_lastspike', text, *before)}"
                    for row, text in slopes.last_spike.items()
                ),
            ]
        )

        def at_spike(key: str, text: str) -> str:
            while key in dict(layer.at_spike):  # states a, a_b, b_c and c make R_a_b_c twice
                key += "_"
            layer.at_spike.append((key, translator.expression(text)))
            return key

        reset = {name: to_symbolic(text) for name, text in slopes.reset.items()}
        flow_before = {name: at_spike(f"before_{name}", text) for name, text in slopes.flow.items()}
        after = {**reset, "lastspike": symbol("t")}
        flow_after = {
            name: at_spike(f"after_{name}", to_string(substitute(_resting(text, model), after)))
            for name, text in slopes.flow.items()
        }
        kept = {
            (row, column): at_spike(f"R_{row}_{column}", text)
            for (row, column), text in slopes.reset_slope.items()
        }
        layer.crossing = translator.expression(slopes.crossing)
        margin = {name: at_spike(f"g_{name}", text) for name, text in slopes.margin.items()}
        layer.reset_adjoint = [
            (column, product_sum(f"mu_{row}*{R}" for (row, c), R in kept.items() if c == column))
            for column in states
        ]
        layer.time_gradient = product_sum(
            [f"mu_{name}*{flow_after[name]}" for name in states]
            + [f"(-nu_{name}*{flow_before[name]})" for name in states]
            + [
                f"(-mu_{name}*{at_spike(f'rate_{name}', text)})"
                for name, text in slopes.reset_rate.items()
            ]
        )
        layer.margin = list(margin.items())
        layer.direct, layer.reset_inputs = slopes.direct, slopes.reset_inputs
        layer.spike_gradient = product_sum(f"{g}*{flow_before[name]}" for name, g in margin.items())
        if slopes.margin_rate != "0":
            layer.spike_gradient += f" + {at_spike('g_t', slopes.margin_rate)}"
        if slopes.margin_last_spike != "0":
            layer.margin_last_spike = at_spike("g_lastspike", slopes.margin_last_spike)
        at_spike("room", to_string(-substitute(to_symbolic(slopes.crossing), after)))
        _add_release(translator, slopes.release)
        for parameter in learn:
            direct = (layer.coefficients, layer.stored_parameter)
            terms = [
                f"lam_{row}*{translator.entry(f'u_{parameter}_{row}', text, *direct)}"
                for row, text in slopes.parameters[parameter].items()
            ]
            layer.parameter_gradient.append((parameter, product_sum(terms)))
        return translator.finish()


def _add_release(translator: Translator, release: Release | None) -> None:
    """The end of a refractory period; one that is fixed at the spike moves with the spike alone."""
    if release is None or not (release.jump or release.margin):
        return
    layer = translator.layer
    layer.at_release = [
        (f"release_{name}", translator.expression(text)) for name, text in release.jump.items()
    ]
    layer.release_gradient = product_sum(f"mu_{name}*release_{name}" for name in release.jump)
    if release.margin:
        layer.release_crossing = translator.expression(release.crossing)
        layer.release_slope = translator.expression(release.slope)
        layer.release_last_spike = translator.expression(release.last_spike)
        layer.release_margin = [
            (name, translator.expression(text)) for name, text in release.margin.items()
        ]


def _resting(text: str, model) -> object:
    """The flow right after a spike: at rest if the model is refractory then."""
    flow = to_symbolic(text)
    if model.refractory is False:
        return flow
    return flow.xreplace({to_symbolic(MOVES): to_symbolic("0")})
