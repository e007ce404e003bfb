"""The adjoint of EventProp as Brian2 strings."""

from __future__ import annotations

from dataclasses import dataclass

import sympy
from brian2.core.namespace import DEFAULT_CONSTANTS, DEFAULT_UNITS
from brian2.units.fundamentalunits import DIMENSIONLESS

from neurosnn.calculus.hybrid import MOVES, HybridMap, hybrid_map
from neurosnn.calculus.step import OPEN
from neurosnn.core.symbolic import differentiate, substitute, symbol, to_string, to_symbolic
from neurosnn.core.units import si_unit
from neurosnn.core.written_out import written_out
from neurosnn.model import NeuronModel
from neurosnn.model.timed import refuse_timed_arrays

__all__ = ["AdjointEquations", "adjoint_equations"]

#: Names that mean the same in neurons and in synapses.
KNOWN = {"t", "dt", *DEFAULT_UNITS, *DEFAULT_CONSTANTS}


@dataclass(frozen=True)
class AdjointEquations:
    """EventProp for one neuron model, in reverse time; the adjoint of x is ``lam_x`` = dE/dx.

    Attributes
    ----------
    dynamics : str
        Differential equations between spikes; of ``feedback`` too if they read the time of the last
        spike.
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
    caused : str
        What happens instead at a spike that the arrival of a presynaptic spike has caused at once: its time
        is that of the arrival, whose sender's ``feedback`` grows by ``cause``.
    waited : str
        What happens instead at a spike that was above the threshold before its refractory period
        ended: it crosses nothing, and its time is that of the end.
    release : str
        What happens at the end of a refractory period, with the states of the forward pass then;
        ``waiting`` comes from a spike that has waited for it.
    slope : str
        The slope of the margin at a spike, as it stands in `spike`. On a time grid the engine takes the
        secant of the margin over the step where that is steeper.
    """

    dynamics: str
    spike: str
    feedback: dict[str, str]
    gradient: dict[str, str]
    parameters: dict[str, str]
    caused: str = ""
    waited: str = ""
    release: str = ""
    slope: str = ""

    def __str__(self) -> str:
        lines = ["# reverse time, between spikes", self.dynamics]
        if self.spike:
            lines += ["# spike of the neuron", self.spike]
        if self.caused:
            lines += ["# or, if a presynaptic spike has brought it over the threshold", self.caused]
            lines += ["# arrival of that presynaptic spike", "feedback_pre += cause_post"]
        if self.waited:
            lines += ["# or, if it has waited for the end of its refractory period", self.waited]
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
    names = {str(s) for s in expression.free_symbols} - KNOWN
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
    refuse_timed_arrays(
        model,
        why="These strings run in reverse time, at which the array would be read.",
        fix="Train with EventProp() on the engine, which keeps the values of the way there.",
    )
    hybrid = hybrid_map(model, tuple(learn))
    states = hybrid.states
    flow = {name: to_symbolic(text) for name, text in hybrid.flow.items()}
    lam = {name: symbol(f"lam_{name}") for name in states}

    dynamics = "\n".join(
        f"dlam_{column}/dt = "
        f"{_text(_total(lam[row] * differentiate(flow[row], column) for row in states), model)}"
        f" : {_inverse(model, column)}"
        for column in states
    )
    drift = _total(-lam[row] * differentiate(flow[row], "lastspike") for row in states)
    if drift != 0:
        dynamics += f"\ndfeedback/dt = {_text(drift, model)} : Hz"
    spike, caused, waited, rise = _at_spike(hybrid, flow, lam) if model.spikes else ("", "", "", "")
    slopes = {key: to_symbolic(text) for key, text in hybrid.input_slope.items()}
    return AdjointEquations(
        dynamics=dynamics,
        spike=spike,
        feedback={
            channel: _text(
                _total(lam[row] * slopes.get((row, channel), 0) for row in states), model
            )
            for channel in model.inputs
        },
        gradient={
            channel: f"lam_{channel}" + f"*{MOVES}" * (channel in hybrid.gated)
            for channel in model.inputs
        },
        parameters={
            name: _text(_total(lam[row] * differentiate(flow[row], name) for row in states), model)
            for name in learn
        },
        caused=caused,
        waited=waited,
        release=_at_release(hybrid, lam),
        slope=rise,
    )


def _total(terms) -> sympy.Expr:
    return sympy.expand(sum(terms, sympy.S.Zero), power_exp=False)


def _text(expression: sympy.Expr, model: NeuronModel) -> str:
    """An expression of the states as Brian2 reads it."""
    # only the names of the model stand in comparisons
    return written_out(
        to_string(expression),
        lambda part: model.namespace.dimensions_of(part, field="equations"),
    )


def _at_spike(hybrid: HybridMap, flow: dict, lam: dict) -> tuple[str, str, str, str]:
    """Code of a spike that crosses the threshold, is caused by an arrival or has waited, and the slope."""
    states, feedback, shift = hybrid.states, symbol("feedback"), symbol("shift")
    rests = hybrid.model.refractory is not False
    free, still = to_symbolic(MOVES), sympy.S.Zero if rests else sympy.S.One
    reset = {name: to_symbolic(text) for name, text in hybrid.reset.items()}
    reset["lastspike"] = symbol("t")
    slope = {key: to_symbolic(text) for key, text in hybrid.reset_slope.items()}
    rate = {name: to_symbolic(text) for name, text in hybrid.reset_rate.items()}
    margin = {name: to_symbolic(text) for name, text in hybrid.margin.items()}
    before = {name: f.xreplace({free: sympy.S.One}) for name, f in flow.items()}
    after = {name: substitute(f.xreplace({free: still}), reset) for name, f in flow.items()}
    kept = {
        column: _total(lam[row] * slope.get((row, column), 0) for row in states)
        for column in states
    }
    worth = _total(
        [
            lam[name] * (after[name] - rate.get(name, 0)) - kept[name] * before[name]
            for name in states
        ]
        + [feedback]
    )
    rise = _text(
        sum(g * before[name] for name, g in margin.items()) + to_symbolic(hybrid.margin_rate),
        hybrid.model,
    )
    by_last_spike = to_symbolic(hybrid.margin_last_spike)

    def jumps(shift) -> list[str]:
        return [
            f"lam_{name} = {_text(kept[name] + margin.get(name, 0) * shift, hybrid.model)}"
            for name in states
            if kept[name] + margin.get(name, 0) * shift != lam[name]
        ]

    lines = [f"shift = ({_text(worth, hybrid.model)})/({rise})", *jumps(shift)]
    if by_last_spike != 0:
        lines.append(f"feedback = {_text(-by_last_spike * shift, hybrid.model)}")
    caused = waited = ""
    if hybrid.direct:
        cause = f"cause = {_text(worth, hybrid.model)}"
        caused = "\n".join([cause, *jumps(sympy.S.Zero)])
    if hybrid.release is not None:
        keeper = "waiting" if hybrid.release.margin else "feedback"
        carried = [] if keeper == str(worth) else [f"{keeper} = {_text(worth, hybrid.model)}"]
        waited = "\n".join([*carried, *jumps(sympy.S.Zero)])
    return "\n".join(lines), caused, waited, rise


def _at_release(hybrid: HybridMap, lam: dict) -> str:
    """Code of the end of a refractory period."""
    release = hybrid.release
    if release is None:
        return ""
    worth = _total(lam[name] * to_symbolic(text) for name, text in release.jump.items())
    if not release.margin:
        return f"feedback += {_text(worth, hybrid.model)}" if worth != 0 else ""
    resting = to_symbolic(release.slope).xreplace({symbol(OPEN): sympy.S.Zero})
    lines = [
        f"wait = ({_text(worth + symbol('waiting'), hybrid.model)})/({_text(resting, hybrid.model)})"
    ]
    lines += [
        f"lam_{name} += {_text(to_symbolic(text) * symbol('wait'), hybrid.model)}"
        for name, text in release.margin.items()
    ]
    by_last_spike = to_symbolic(release.last_spike)
    if by_last_spike != 0:
        lines.append(f"feedback += {_text(-by_last_spike * symbol('wait'), hybrid.model)}")
    return "\n".join(lines)


def _inverse(model: NeuronModel, name: str) -> str:
    dimensions = model.dimensions[name]
    return "1" if dimensions is DIMENSIONLESS else si_unit(dimensions**-1)
