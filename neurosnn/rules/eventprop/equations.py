"""The adjoint of EventProp as Brian2 strings."""

from __future__ import annotations

from dataclasses import dataclass

import sympy
from brian2.units.fundamentalunits import DIMENSIONLESS

from neurosnn.calculus.hybrid import hybrid_map
from neurosnn.core.symbolic import differentiate, substitute, symbol, to_string, to_symbolic
from neurosnn.core.units import si_unit
from neurosnn.model import NeuronModel

__all__ = ["AdjointEquations", "adjoint_equations"]

REST = "int(not_refractory)"


@dataclass(frozen=True)
class AdjointEquations:
    """EventProp for one neuron model, in reverse time; the adjoint of x is ``lam_x`` = dE/dx.

    Attributes
    ----------
    dynamics : str
        Differential equations between spikes.
    spike : str
        What happens at a spike of the neuron itself; names of states are their values in the
        forward pass just before it, and ``feedback`` is what the spike's arrivals have collected.
    feedback : dict of str to str
        For each input variable, what ``feedback`` of the presynaptic neuron grows by at the arrival
        of its spike at a postsynaptic neuron, per unit weight.
    gradient : dict of str to str
        For each input variable, what the gradient of a weight grows by at each arrival. That of a
        delay grows by minus weight times feedback.
    parameters : dict of str to str
        Integrands of the gradients of parameters, over the whole trial.
    release : str
        What happens at the end of a refractory period, with the states of the forward pass then.
    slope : str
        The slope of the margin at a spike, as it stands in `spike`. On a time grid the engine takes the
        secant of the margin over the step where that is steeper.
    """

    dynamics: str
    spike: str
    feedback: dict[str, str]
    gradient: dict[str, str]
    parameters: dict[str, str]
    release: str = ""
    slope: str = ""

    def __str__(self) -> str:
        lines = ["# reverse time, between spikes", self.dynamics]
        if self.spike:
            lines += ["# spike of the neuron", self.spike]
        if self.release:
            lines += ["# end of its refractory period", self.release]
        for name, text in self.feedback.items():
            lines += [
                f"# arrival of a presynaptic spike that adds w to {name}",
                f"dE_dw += {_post(self.gradient[name])}",
                f"feedback_pre += w*({_post(text)})",
            ]
        lines += [f"dE_d{name} += dt*({text})" for name, text in self.parameters.items()]
        return "\n".join(lines)

    @property
    def on_pre(self) -> str:
        """Brian2 code of Synapses for the first input variable."""
        name = next(iter(self.feedback))
        return (
            f"dE_dw += {_post(self.gradient[name])}\n"
            f"feedback_pre += w*({_post(self.feedback[name])})"
        )


def _post(text: str) -> str:
    """The same expression in Synapses, where the variables are those of the target."""
    expression = to_symbolic(text)
    names = [str(s) for s in expression.free_symbols]
    return to_string(substitute(expression, {name: symbol(f"{name}_post") for name in names}))


def adjoint_equations(model: NeuronModel, learn: tuple[str, ...] = ()) -> AdjointEquations:
    """Derive the adjoint of a model from its hybrid map.

    Parameters
    ----------
    model : NeuronModel
        A spiking model or a readout.
    learn : tuple of str, optional
        Parameters whose gradient is wanted.

    Returns
    -------
    AdjointEquations
        Brian2 strings; ``print`` shows them.
    """
    hybrid = hybrid_map(model, tuple(learn))
    states = hybrid.states
    flow = {name: to_symbolic(text) for name, text in hybrid.flow.items()}
    lam = {name: symbol(f"lam_{name}") for name in states}

    def total(terms) -> sympy.Expr:
        return sympy.expand(sum(terms, sympy.S.Zero))

    dynamics = "\n".join(
        f"dlam_{column}/dt = "
        f"{to_string(total(lam[row] * differentiate(flow[row], column) for row in states))}"
        f" : {_inverse(model, column)}"
        for column in states
    )
    spike = rise = ""
    if model.spikes:
        free, resting = to_symbolic(REST), to_symbolic("0")
        reset = {name: to_symbolic(text) for name, text in hybrid.reset.items()}
        slope = {key: to_symbolic(text) for key, text in hybrid.reset_slope.items()}
        before = {name: f.xreplace({free: sympy.S.One}) for name, f in flow.items()}
        still = resting if model.refractory is not False else sympy.S.One
        after = {name: substitute(f.xreplace({free: still}), reset) for name, f in flow.items()}
        kept = {
            column: total(lam[row] * slope.get((row, column), 0) for row in states)
            for column in states
        }
        margin = {name: to_symbolic(text) for name, text in hybrid.margin.items()}
        shift = total(
            [lam[name] * after[name] - kept[name] * before[name] for name in states]
            + [symbol("feedback")]
        )
        rise = to_string(sum(g * before[name] for name, g in margin.items()))
        lines = [f"shift = ({to_string(shift)})/({rise})"]
        lines += [
            f"lam_{name} = {to_string(kept[name] + margin.get(name, 0) * symbol('shift'))}"
            for name in states
            if kept[name] != lam[name] or name in margin
        ]
        spike = "\n".join(lines)
    ends = total(
        lam[name] * flow[name].xreplace({to_symbolic(REST): sympy.S.One})
        for name in hybrid.held
        if name in states
    )
    slopes = {key: to_symbolic(text) for key, text in hybrid.input_slope.items()}
    return AdjointEquations(
        dynamics=dynamics,
        spike=spike,
        feedback={
            channel: to_string(total(lam[row] * slopes.get((row, channel), 0) for row in states))
            for channel in model.inputs
        },
        gradient={channel: f"lam_{channel}" for channel in model.inputs},
        parameters={
            name: to_string(total(lam[row] * differentiate(flow[row], name) for row in states))
            for name in learn
        },
        release=f"feedback += {to_string(ends)}" if ends != 0 else "",
        slope=rise,
    )


def _inverse(model: NeuronModel, name: str) -> str:
    dimensions = model.dimensions[name]
    return "1" if dimensions is DIMENSIONLESS else si_unit(dimensions**-1)
