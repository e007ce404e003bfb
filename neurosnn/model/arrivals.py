"""Which variables of a group the Brian2 objects around it write to."""

from __future__ import annotations

from typing import Any, NamedTuple

from brian2.core.network import Network
from brian2.groups.neurongroup import NeuronGroup
from brian2.input.poissoninput import PoissonInput
from brian2.synapses.synapses import Synapses, SynapticPathway

from neurosnn.core.statements import Statement, split_statements
from neurosnn.core.symbolic import symbol, to_symbolic
from neurosnn.model.registry import owner_of

__all__ = ["Reached", "variables_reached"]


class Reached(NamedTuple):
    """Variables of a group that other objects write to.

    Attributes
    ----------
    inputs : tuple of str
        Those that arriving spikes add to, in the order of the equations.
    written : set of str
        All of them.
    """

    inputs: tuple[str, ...]
    written: set[str]


def variables_reached(group: NeuronGroup, objects: Any = None) -> Reached:
    """Look at the Synapses and PoissonInputs of a group.

    Parameters
    ----------
    group : NeuronGroup
        The group.
    objects : Synapses, PoissonInput, Network or iterable of them, optional
        What to look at; all that exist if None.

    Returns
    -------
    Reached
        Names of variables.
    """
    added: set[str] = set()
    written: set[str] = set()
    variables = {
        name for name, equation in group.user_equations.items() if equation.var_type == "float"
    }
    for entry in _objects(objects):
        if isinstance(entry, PoissonInput):
            if _belongs(entry._group, group):
                added.add(entry.target_var)
            continue
        sides = [
            suffix
            for suffix, end in (("_post", entry.target), ("_pre", entry.source))
            if _belongs(end, group)
        ]
        if "_post" in sides:
            sides.append("")  # a plain name that the synapse lacks is one of the target
            written |= {name.removesuffix("_post") for name in entry.summed_updaters}
        for pathway in entry.contained_objects:
            if not isinstance(pathway, SynapticPathway):
                continue
            for statement in split_statements(pathway.code):
                if statement.variable in entry.equations.names:
                    continue
                for suffix in sides:
                    name = statement.variable.removesuffix(suffix)
                    if name in variables and statement.variable == name + suffix:
                        written.add(name)
                        if _adds(statement):
                            added.add(name)
    order = [name for name in group.user_equations if name in added]
    return Reached(tuple(order), written | added)


def _adds(statement: Statement) -> bool:
    """Whether a statement adds something that does not depend on the variable itself."""
    variable = symbol(statement.variable)
    return variable not in (to_symbolic(statement.value) - variable).expand().free_symbols


def _objects(objects: Any) -> list[Any]:
    """Synapses and PoissonInputs in what is given, or all that exist."""
    kinds = (Synapses, PoissonInput)
    if objects is None:
        alive = [reference() for kind in kinds for reference in list(kind.__instances__())]
        # one whose making failed has no parts
        return [entry for entry in alive if getattr(entry, "contained_objects", None) is not None]
    if isinstance(objects, Network):
        objects = objects.objects
    elif isinstance(objects, kinds):
        objects = [objects]
    return [entry for entry in objects if isinstance(entry, kinds)]


def _belongs(end: Any, group: NeuronGroup) -> bool:
    """Whether one end of a synapse is the group or a part of it."""
    return getattr(owner_of(end), "variables", None) is group.variables
