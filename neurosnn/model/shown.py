"""Models and plasticity rules as people see them: a line of text, and HTML for notebooks."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping
from typing import Any

import numpy as np
from brian2.equations.equations import DIFFERENTIAL_EQUATION, SUBEXPRESSION
from brian2.units.fundamentalunits import DIMENSIONLESS

from neurosnn.core import html
from neurosnn.core.messages import shortened
from neurosnn.core.values import unit_name

__all__ = ["line_of_parameters", "neuron_html", "neuron_line", "rule_html", "rule_line"]

_LONGEST = 400


def line_of_parameters(parameters: Mapping[str, Any]) -> str:
    """Names and values; of arrays how many there are."""
    return ", ".join(
        f"{name}={f'{np.size(value)} values' if np.ndim(value) else value}"
        for name, value in parameters.items()
    )


def neuron_line(model: Any) -> str:
    """What a neuron is, in a line."""
    kind = f"spikes at {' '.join(model.threshold.split())}" if model.threshold else "no spikes"
    text = f"NeuronModel {model.name!r}: {', '.join(model.states)}; {kind}; "
    return shortened(text + line_of_parameters(model.parameters), _LONGEST)


def rule_line(rule: Any) -> str:
    """What a plasticity rule is, in a line."""
    text = (
        f"PlasticityRule {rule.name!r}: {rule.pairing} pairs; {line_of_parameters(rule.constants)}"
    )
    return shortened(text, _LONGEST)


def neuron_html(model: Any) -> str:
    """Equations as mathematics, statements, and a table of the parameters with their sources."""
    parts = [_equations(model)]
    parts += _statements(model, ("threshold", "reset", "step", "surrogate"))
    about = {
        "refractory": model.refractory if model.refractory is not False else "",
        "method": model.method,
        "inputs": ", ".join(model.inputs),
        "TimedArrays": ", ".join(
            f"{name} ({len(array.values)} rows, {1e3 * array.dt:g} ms each)"
            for name, array in model.timed_arrays.items()
        ),
    }
    parts.append(
        html.paragraph("; ".join(f"{name}: {words}" for name, words in about.items() if words))
    )
    parts.append(_parameters(model.parameters, model.sources))
    parts.append(html.paragraph(model.reference))
    return html.block(f"{model.name} (neuron model)", *parts)


def rule_html(rule: Any) -> str:
    """Equations as mathematics, what happens at spikes, and a table of the parameters."""
    parts = [_equations(rule)]
    parts += _statements(rule, ("on_pre", "on_post", "step"))
    parts.append(html.paragraph(f"pairs: {rule.pairing}; delay: {rule.delay_placement}"))
    parts.append(_parameters(rule.constants, rule.sources))
    parts.append(html.paragraph(rule.reference))
    return html.block(f"{rule.name} (plasticity rule)", *parts)


def _equations(model: Any) -> str:
    """Each differential equation and subexpression as a formula, or as its text."""
    lines = []
    parameters = getattr(model, "parameters", {})
    for equation in model.brian_equations.values():
        name = equation.varname
        if name in parameters or equation.expr is None:
            if name not in parameters and name not in getattr(model, "constants", {}):
                lines.append(html.code(f"{name} : {unit_name(equation.dim)}"))
            continue
        left_side = html.math_of(name)
        right_side = html.math_of(equation.expr.code)
        text = f"{name} = {equation.expr.code} : {unit_name(equation.dim)}"
        if left_side is None or right_side is None:
            lines.append(html.code(f"d{text}" if equation.type == DIFFERENTIAL_EQUATION else text))
            continue
        unit = (
            "" if equation.dim is DIMENSIONLESS else rf" \quad [\mathrm{{{_unit(equation.dim)}}}]"
        )
        if equation.type == DIFFERENTIAL_EQUATION:
            left_side = rf"\frac{{d{left_side}}}{{dt}}"
        elif equation.type != SUBEXPRESSION:
            continue
        lines.append(html.formula(f"{left_side} = {right_side}{unit}"))
    return "".join(lines)


def _unit(dimensions: Any) -> str:
    return "".join(
        c if c.isalnum() else rf"\{c}" if c in "%&_#" else c for c in unit_name(dimensions)
    )


def _statements(model: Any, fields: tuple[str, ...]) -> list[str]:
    blocks = []
    for field in fields:
        lines = textwrap.dedent(getattr(model, field)).strip()
        if lines:
            blocks += [html.paragraph(f"{field}:"), html.code(lines)]
    return blocks


def _parameters(parameters: Mapping[str, Any], sources: Mapping[str, str]) -> str:
    if not parameters:
        return ""
    rows = [
        (name, html.value(number), sources.get(name, "")) for name, number in parameters.items()
    ]
    return html.table(("parameter", "value", "source"), rows)
