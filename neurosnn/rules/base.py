"""The type of a learning rule: what the trainer, the engine and the analysis may ask of it."""

from __future__ import annotations

import dataclasses
import difflib
import re
from abc import ABC, abstractmethod
from typing import Any, ClassVar

from brian2.units.fundamentalunits import Quantity

from neurosnn.core import html
from neurosnn.core.messages import described, message
from neurosnn.engine.backward import Backward
from neurosnn.model import NeuronModel, PlasticityRule

__all__ = ["EXACT_GRADIENT", "Rule", "as_rule", "no_online_form", "rate_term"]

#: What a synapse needs for the exact gradient, of the hybrid system or of a step with pseudo-derivative.
EXACT_GRADIENT = frozenset(
    {
        "pre_trace",
        "post_state",
        "neuron_error",
        "weight_transport",
        "backward_in_time",
        "other_synapses",
    }
)


class Rule(ABC):
    """A rule that says how the weights of a network should change, from trials and a loss.

    Attributes
    ----------
    name : str
        Short name, for recipes and the command line.
    reference : str
        The publication.
    """

    name: ClassVar[str]
    reference: ClassVar[str] = ""
    #: Whether the rule can be written as traces in the synapses of stock Brian2.
    has_traces: ClassVar[bool] = False

    def _repr_html_(self) -> str:
        rows: list[tuple[str, Any]] = []
        if dataclasses.is_dataclass(self):
            rows = [(field.name, getattr(self, field.name)) for field in dataclasses.fields(self)]
        parts = [html.table(("setting", "value"), rows)] if rows else []
        said = (type(self).__doc__ or "").strip().partition("\n")[0].replace("``", "")
        return html.block(
            f"{type(self).__name__} (learning rule)",
            html.paragraph(said),
            *parts,
            html.paragraph(self.reference),
        )

    @abstractmethod
    def backward(self, net: Any, loss: Any) -> Backward:
        """What the engine needs to compute the gradient.

        Parameters
        ----------
        net : SpikingNetwork
            The network.
        loss : Loss or None
            What is trained for.

        Returns
        -------
        Backward
            The adjoint of each layer, templates, numbers and arrays.

        Raises
        ------
        ValueError
            If the rule cannot differentiate the network or the loss, with the reason.
        """

    def online(self, net: Any, loss: Any) -> Any:
        """What runs the rule in stock Brian2, with traces in the synapses; an error if nothing does.

        Parameters
        ----------
        net : SpikingNetwork
            The network.
        loss : Loss or None
            What is trained for.

        Returns
        -------
        backend
            An object with ``run(trials, targets=None, gradient=False)``.

        Raises
        ------
        ValueError
            If the rule has no online form.
        """
        raise no_online_form(self, where="backend='brian2'")

    def needs_brian2(self, net: Any) -> str:
        """Why this network can only be trained in stock Brian2; "" if the engine can."""
        return ""

    @property
    def needs(self) -> frozenset[str]:
        """What a synapse has to know: names of fields of ``analysis.Locality``.

        Raises
        ------
        TypeError
            If the rule does not say.
        """
        raise TypeError(
            message(
                f"{type(self).__name__} does not say what a synapse has to know.",
                "locality",
                "It cannot be read from a gradient.",
                "Give the rule a property needs, or call analysis.register_locality.",
            )
        )

    def equations(self, model: NeuronModel) -> Any:
        """The rule for a neuron as Brian2 strings, to be printed; an error if it has none."""
        raise ValueError(
            message(
                f"{type(self).__name__} has no Brian2 strings.",
                "equations",
                "It exists as generated C++ only.",
                "Use EProp(), EventProp() or BPTT().",
            )
        )


def no_online_form(rule: Any, *, where: str) -> ValueError:
    """The error for a rule that cannot be written as traces in synapses."""
    return ValueError(
        message(
            f"the rule {type(rule).__name__} has no online form.",
            where,
            "Its gradient is computed backwards in time, which no synapse can do.",
            "Use EProp(), or backend='engine'.",
        )
    )


def as_rule(rule: Any, *, where: str) -> Rule:
    """The rule itself, or an error that says what was passed instead.

    Parameters
    ----------
    rule : Rule
        What a user gave.
    where : str
        For the message.

    Returns
    -------
    Rule
        The same object.

    Raises
    ------
    TypeError
        For a class, a name, a plasticity rule or anything else.
    """
    if isinstance(rule, Rule):
        return rule
    why, fix = "A rule says where the gradient comes from.", "Write for example EProp()."
    what = f"the rule is {described(rule)}, not a rule."
    if isinstance(rule, type) or (callable(rule) and hasattr(rule, "__name__")):
        kind = "class" if isinstance(rule, type) else "function"
        what = f"the rule is the {kind} {rule.__name__}, not an object."
        fix = f"Write {rule.__name__}()."
    elif isinstance(rule, str):
        what = f"the rule is the text {rule[:40]!r}, not an object."
        fix = _rule_of_that_name(rule)
    elif isinstance(rule, PlasticityRule):
        what = f"{rule.name} is a plasticity rule."
        why = "Its weights change by spikes alone; it follows no loss that could be trained for."
        fix = (
            "Use it in Synapses (rule.synapses(pre, post)) or analysis.stdp_window(rule), or train "
            "with EProp()."
        )
    elif isinstance(rule, NeuronModel):
        what = f"the rule is the neuron {rule.name}."
        fix = "Pass a rule; stdp_window takes the neuron as post=."
    raise TypeError(message(what, where, why, fix))


def rate_term(target: Quantity, strength: float) -> dict[str, float]:
    """Numbers of the firing-rate term ``c/2 sum_j (f_j - f_target)^2`` as a backward pass reads them."""
    return {"rate_strength": float(strength), "rate_target": float(target)}


def _rule_of_that_name(name: str) -> str:
    """How to make the rule that a text names."""
    from neurosnn import equations
    from neurosnn.rules import NAMED

    plain = re.sub(r"[\W_]", "", name.lower())
    known = {
        re.sub(r"[\W_]", "", key): f"{rule_type.__name__}()" for key, rule_type in NAMED.items()
    }
    known |= {key.lower().replace("_", ""): f"equations.{key}()" for key in equations.__all__}
    close = difflib.get_close_matches(plain, known, n=1)
    return f"Write {known[close[0]]}." if close else "Write for example EProp()."
