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
    own = {name for name, equation in group.user_equations.items() if equation.var_type == "float"}
    for thing in _objects(objects):
        if isinstance(thing, PoissonInput):
            if _belongs(thing._group, group):
                added.add(thing.target_var)
            continue
        sides = [
            suffix
            for suffix, end in (("_post", thing.target), ("_pre", thing.source))
            if _belongs(end, group)
        ]
        if "_post" in sides:
            sides.append("")  # a plain name that the synapse lacks is one of the target
            written |= {name.removesuffix("_post") for name in thing.summed_updaters}
        for pathway in thing.contained_objects:
            if not isinstance(pathway, SynapticPathway):
                continue
            for statement in split_statements(pathway.code):
                if statement.variable in thing.equations.names:
                    continue
                for suffix in sides:
                    name = statement.variable.removesuffix(suffix)
                    if name in own and statement.variable == name + suffix:
                        written.add(name)
                        if _adds(statement):
                            added.add(name)
    order = [name for name in group.user_equations if name in added]
    return Reached(tuple(order), written | added)


def _adds(statement: Statement) -> bool:
    """Whether a statement adds something that does not depend on the variable itself."""
    variable = symbol(statement.variable)
    return variable not in (to_symbolic(statement.value) - variable).expand().free_symbols


def _objects(given: Any) -> list[Any]:
    """Synapses and PoissonInputs in what is given, or all that exist."""
    kinds = (Synapses, PoissonInput)
    if given is None:
        alive = [reference() for kind in kinds for reference in list(kind.__instances__())]
        # one whose making failed has no parts
        return [thing for thing in alive if getattr(thing, "contained_objects", None) is not None]
    if isinstance(given, Network):
        given = given.objects
    elif isinstance(given, kinds):
        given = [given]
    return [thing for thing in given if isinstance(thing, kinds)]


def _belongs(end: Any, group: NeuronGroup) -> bool:
    """Whether one end of a synapse is the group or a part of it."""
    return getattr(owner_of(end), "variables", None) is group.variables
