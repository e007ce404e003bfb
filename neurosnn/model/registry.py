"""Which model a Brian2 group was made from, so that a rule can find it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

from brian2.groups.subgroup import Subgroup

from neurosnn.core.messages import message

if TYPE_CHECKING:
    from neurosnn.model.neuron import NeuronModel

__all__ = ["made_by", "model_of", "owner_of", "remember"]

_MODELS: WeakKeyDictionary[Any, NeuronModel] = WeakKeyDictionary()


def remember(group: Any, model: NeuronModel) -> None:
    """Note the model that a group was made from, for as long as the group lives."""
    _MODELS[group] = model


def made_by(group: Any) -> NeuronModel | None:
    """The model that a group was made from, None if no model made it."""
    return _MODELS.get(group)


def owner_of(group: Any) -> Any:
    """The group itself, or the one that a subgroup is part of."""
    if isinstance(group, Subgroup):
        # A subgroup holds a weak proxy, but a bound method knows its object.
        return group.source.run_regularly.__self__
    return group


def model_of(group: Any, *, where: str) -> NeuronModel:
    """The model that a group, or the group that a subgroup is part of, was made from.

    Parameters
    ----------
    group : NeuronGroup or Subgroup
        The group.
    where : str
        What asks for it, for the message.

    Returns
    -------
    NeuronModel
        Its model.

    Raises
    ------
    ValueError
        If no model made the group.
    """
    owner = owner_of(group)
    if owner not in _MODELS:
        name = getattr(group, "name", repr(group))
        raise ValueError(
            message(
                f"the group '{name}' was not made by a NeuronModel.",
                where,
                "The eligibility traces are derived from the strings of the neuron.",
                "Make the group with model.group(n), or pass model=, for example "
                "model=NeuronModel.from_group(group, surrogate=...).",
            )
        )
    return _MODELS[owner]
