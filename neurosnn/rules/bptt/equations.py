"""A step of backpropagation through time as Brian2 expressions, to be read."""

from __future__ import annotations

from dataclasses import dataclass

from neurosnn.calculus.step import step_map
from neurosnn.core.symbolic import MARK
from neurosnn.model import NeuronModel
from neurosnn.model.timed import refuse_timed_arrays

__all__ = ["StepAdjoint", "step_adjoint"]


@dataclass(frozen=True)
class StepAdjoint:
    """One step of a neuron backwards in time; ``lam_x`` is dE/dx of the state that the step leaves.

    Attributes
    ----------
    worth : dict of str to str
        For each input variable, what a unit that arrives in the step is worth: a weight's gradient grows
        by it at a spike, and ``feedback`` of the presynaptic neuron by w times it.
    psi : str
        The pseudo-derivative, evaluated right after the threshold; empty for a readout.
    spike : str
        What a spike of the neuron in the step is worth, times `psi`: ``L`` is the error of the readout
        through its weights.
    adjoint : dict of str to str
        ``lam`` of each state one step earlier; all are computed before any is replaced. Values of states
        are those of the forward pass, ``spiked`` is 1 where the neuron spiked in it.
    """

    worth: dict[str, str]
    psi: str
    spike: str
    adjoint: dict[str, str]

    def __str__(self) -> str:
        lines = ["# a step back in time: what arrives in it"]
        for name, text in self.worth.items():
            lines += [
                f"# a presynaptic spike that adds w to {name}",
                f"dE_dw += {text}",
                f"feedback_pre += w*({text})",
            ]
        if self.psi:
            lines += ["# the spike of the neuron itself", f"psi = {self.psi}", f"z = {self.spike}"]
        lines.append("# the states before the step, all at once")
        lines += [f"lam_{name} = {text}" for name, text in self.adjoint.items()]
        return "\n".join(lines).replace(MARK, "")


def step_adjoint(model: NeuronModel) -> StepAdjoint:
    """The adjoint of a model's step.

    Parameters
    ----------
    model : NeuronModel
        A spiking model or a readout.

    Returns
    -------
    StepAdjoint

    Raises
    ------
    ValueError
        If the step has no derivative, with the reason.
    """
    refuse_timed_arrays(
        model,
        why="These strings run in reverse time, at which the array would be read.",
        fix="Train with BPTT() on the engine, which keeps the values of the way there.",
    )
    slopes = step_map(model)
    jumps = [("lam_" + row, text) for row, text in slopes.jump.items()]
    adjoint = {}
    for column in slopes.states:
        terms = [
            (f"lam_{row}", text) for (row, c), text in slopes.transition.items() if c == column
        ]
        if column in slopes.margin:
            terms.append(("z", slopes.margin[column]))
        adjoint[column] = _sum(terms)
    return StepAdjoint(
        worth={
            channel: _sum(
                [(f"lam_{row}", text) for (row, c), text in slopes.drive.items() if c == channel]
            )
            for channel in model.inputs
        },
        psi=slopes.psi if model.spikes else "",
        spike=f"psi*({' + '.join(['L', 'feedback', *(_product(*one) for one in jumps)])})",
        adjoint=adjoint,
    )


def _sum(terms: list[tuple[str, str]]) -> str:
    return " + ".join(_product(name, factor) for name, factor in terms) or "0"


def _product(name: str, factor: str) -> str:
    return name if factor == "1" else f"{name}*({factor})"
