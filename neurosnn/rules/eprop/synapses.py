"""Online e-prop as stock Brian2 objects: eligibility traces in Synapses."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from brian2.equations.equations import Equations
from brian2.synapses.synapses import Synapses
from brian2.units.fundamentalunits import Quantity

from neurosnn.calculus.filters import read_filter
from neurosnn.core.messages import message
from neurosnn.core.units import unit_text
from neurosnn.core.values import check_value
from neurosnn.model import NeuronModel
from neurosnn.model.neuron_checks import NON_NEGATIVE_TIME
from neurosnn.model.registry import model_of, owner_of
from neurosnn.rules.eprop.traces import (
    LEARNING_SIGNAL,
    OnlineEquations,
    online_equations,
)

__all__ = ["add_variables", "eprop_synapses", "prepare"]

#: Order of the neurons and of the synapses within the slot "after_thresholds".
NEURONS, SYNAPSES = 0, 2


def eprop_synapses(
    rule: Any,
    pre: Any,
    post: Any,
    *,
    model: NeuronModel | None = None,
    connect: Any = True,
    delay: Quantity | None = None,
    target: str | None = None,
    readout_filter: Any = None,
    amplitude: str = "",
    equations: str = "",
    order: int = 0,
    name: str = "synapses*",
    dtype: Any = None,
    taken: Iterable[str] = (),
) -> Synapses:
    """See `EProp.synapses`; `taken` are names that the variables of the rule must not have."""
    owner = owner_of(post)
    if model is None:
        model = model_of(post, where="EProp.synapses")
    if amplitude and amplitude not in pre.variables:
        raise ValueError(
            message(
                f"the group '{pre.name}' has no variable '{amplitude}'.",
                "EProp.synapses",
                "It multiplies the spikes of each presynaptic neuron.",
                "Leave amplitude out, or name a variable of the presynaptic group.",
            )
        )
    code = online_equations(
        model,
        channel=target,
        readout_filter=read_filter(readout_filter, owner.clock.dt),
        amplitude=amplitude,
        rate=rule.rate_strength > 0,
        threshold=owner.events.get("spike", ""),
        known=owner.variables,
        taken=taken,
    )
    prepare(owner, code)
    if owner is not post:
        for variable in code.neuron_variables:
            if variable not in post.variables:
                post.variables.add_reference(variable, owner)
    if delay is not None:
        check_value("delay", delay, NON_NEGATIVE_TIME, where="EProp.synapses")
    synapses = Synapses(
        pre,
        post,
        f"{code.synapse}\n{equations}",
        on_pre=code.on_pre,
        delay=delay,
        clock=owner.clock,
        order=order,
        namespace={},
        name=name,
        dtype=dtype,
    )
    synapses.run_regularly(
        code.step, when="after_thresholds", order=SYNAPSES, name=f"{synapses.name}_eprop"
    )
    if connect is True:
        synapses.connect()
    elif isinstance(connect, str):
        synapses.connect(condition=connect, namespace={})
    elif isinstance(connect, Mapping):
        synapses.connect(**{"namespace": {}, **connect})
    for key, value in code.constants.items():
        setattr(synapses, key, value)
    return synapses


def prepare(group: Any, code: OnlineEquations) -> None:
    """Give the neurons of a group what their synapses need; a second time changes nothing.

    Parameters
    ----------
    group : NeuronGroup
        The postsynaptic group.
    code : OnlineEquations
        The strings of its model.

    Raises
    ------
    ValueError
        If the group has a variable of the same name with another meaning.
    """
    names = {obj.name for obj in group.contained_objects}
    if f"{group.name}_eprop" in names:
        return
    wanted = dict(code.neuron_variables)
    for variable, dimensions in code.neuron_variables.items():
        if variable in group.variables:
            if (
                variable == code.names(LEARNING_SIGNAL)
                and group.variables[variable].dim is dimensions
            ):
                del wanted[variable]
                continue
            raise ValueError(
                message(
                    f"the group '{group.name}' has a variable '{variable}' already.",
                    "EProp.synapses",
                    "E-prop adds a variable of this name to each neuron.",
                    "Choose another name in the model.",
                )
            )
    add_variables(group, wanted)
    slots = {
        "before_groups": (code.before_groups, 0, "_coefficients"),
        "after_thresholds": (code.after_thresholds, NEURONS, "_eprop"),
        "before_resets": (code.before_resets, 0, "_at_reset"),
    }
    for slot, (text, order, suffix) in slots.items():
        if text:
            group.run_regularly(text, when=slot, order=order, name=f"{group.name}{suffix}")


def add_variables(group: Any, variables: Mapping[str, Any]) -> None:
    """Give each neuron of a group further variables, by name and dimensions."""
    for name, dimensions in variables.items():
        group.variables.add_array(name, size=len(group), dimensions=dimensions)
        # Also as an equation: only such variables can be sums over synapses.
        group.equations = group.equations + Equations(f"{name} : {unit_text(dimensions)}")
