"""When the parts of a Brian2 group run: only Brian2's own order is what a NeuronModel means."""

from __future__ import annotations

from typing import Any

from brian2.core.magic import magic_network
from brian2.core.preferences import prefs
from brian2.groups.group import CodeRunner
from brian2.groups.neurongroup import (
    NeuronGroup,
    Resetter,
    StateUpdater,
    SubexpressionUpdater,
    Thresholder,
)
from brian2.groups.subgroup import Subgroup
from brian2.synapses.synapses import Synapses, SynapticPathway

from neurosnn.core.messages import message
from neurosnn.core.statements import plain_code

__all__ = ["cannot_read", "check_schedule", "is_run_regularly", "step_code"]

#: Brian2's default order of the slots of a step.
SCHEDULE = ("start", "groups", "thresholds", "synapses", "resets", "end")
SLOTS = {StateUpdater: "groups", Thresholder: "thresholds", Resetter: "resets"}


def check_schedule(group: NeuronGroup) -> None:
    """Refuse events other than spikes and parts that do not run when Brian2 runs them by default.

    Parameters
    ----------
    group : NeuronGroup
        The group.

    Raises
    ------
    ValueError
        With the part that cannot come along.
    """
    events = sorted(set(group.events) - {"spike"})
    if events:
        raise cannot_read(
            group,
            f"the event '{events[0]}' cannot be part of a NeuronModel.",
            "Learning rules are derived for spikes only.",
            "Remove the event or express it with 'step'.",
        )
    if magic_network.schedule != list(SCHEDULE):
        raise cannot_read(
            group,
            f"the schedule is {', '.join(magic_network.schedule)}.",
            "A model means Brian2's default schedule.",
            f"Keep {', '.join(SCHEDULE)}.",
        )
    if group._refractory is not False and prefs["legacy.refractory_timing"]:
        raise cannot_read(
            group,
            "prefs.legacy.refractory_timing is set.",
            "A model counts the refractory period in steps, as Brian2 does by default.",
            "Set it to False.",
        )
    for part in group.contained_objects:
        if not part.active:
            raise cannot_read(
                group,
                f"'{part.name}' is switched off.",
                "A model has no parts that are switched off.",
                "Set active = True, or write the group without that part.",
            )
        slot = SLOTS.get(type(part))
        if slot and part.when != slot:
            raise cannot_read(
                group,
                f"'{part.name}' runs in slot '{part.when}'.",
                "A model means Brian2's default schedule.",
                f"Leave it in slot '{slot}'.",
            )
        of_brian2 = (*SLOTS, SubexpressionUpdater, Subgroup)
        if type(part) not in of_brian2 and not is_run_regularly(part):
            raise cannot_read(
                group,
                f"it contains '{part.name}', a {type(part).__name__}.",
                "A model consists of equations, threshold, reset, refractoriness and step code.",
                "Remove that part from the group.",
            )


def step_code(group: NeuronGroup, part: slice) -> str:
    """The code of run_regularly, where it means the same as the step code of a model.

    Parameters
    ----------
    group : NeuronGroup
        The group.
    part : slice
        The neurons that are read.

    Returns
    -------
    str
        Statements in the order in which they run.

    Raises
    ------
    ValueError
        If some run at another moment, at other times or in other neurons.
    """
    regular = [runner for runner in group.contained_objects if is_run_regularly(runner)]
    for sub in group.contained_objects:
        if isinstance(sub, Subgroup) and sub.start < part.stop and part.start < sub.stop:
            if (sub.start, sub.stop) != (part.start, part.stop):
                raise cannot_read(
                    group,
                    f"run_regularly of '{sub.name}' changes some neurons only.",
                    "All neurons of a model run the same code.",
                    "Read the subgroup by itself.",
                )
            regular += [runner for runner in sub.contained_objects if is_run_regularly(runner)]
    order = _moments()
    update = _moment(group.state_updater, order)
    threshold = group.thresholder.get("spike")
    until = (order["thresholds"],) if threshold is None else _moment(threshold, order)
    anywhere = not group.equations.diff_eq_names and group._refractory is False
    regular.sort(key=lambda runner: _moment(runner, order))
    for runner in regular:
        if runner.clock.dt_ != group.clock.dt_:
            raise cannot_read(
                group,
                f"'{runner.name}' (run_regularly) runs every {runner.clock.dt}, the group every "
                f"{group.clock.dt}.",
                "The step code of a model runs once a step.",
                "Use t in the equations, or send the values as input.",
            )
        moment = _moment(runner, order)
        if not (moment < until and (anywhere or update < moment)):
            raise cannot_read(
                group,
                f"'{runner.name}' (run_regularly) runs in slot '{runner.when}', order {runner.order}.",
                "The step code of a model runs after the state update and before the threshold.",
                "If it may run there, use run_regularly(code, when='groups', order=1).",
            )
    return "\n".join(plain_code(runner.abstract_code) for runner in regular)


def cannot_read(group: Any, what: str, why: str, fix: str) -> ValueError:
    """The error of a group or of synapses that no model or rule can be read from."""
    synaptic = isinstance(group, Synapses | SynapticPathway)
    reader = "PlasticityRule.from_synapses" if synaptic else "NeuronModel.from_group"
    return ValueError(message(what, f"{reader}({group.name})", why, fix))


def is_run_regularly(part: Any) -> bool:
    """Whether a part of a Brian2 object is code of its run_regularly."""
    return type(part) is CodeRunner and part.template == "stateupdate"


def _moments() -> dict[str, int]:
    """The slots of Brian2's default schedule in their order."""
    names = [f"{prefix}{slot}" for slot in SCHEDULE for prefix in ("before_", "", "after_")]
    return {name: place for place, name in enumerate(names)}


def _moment(part: Any, order: dict[str, int]) -> tuple:
    """When a part runs within a step, as Brian2 sorts them."""
    return order.get(part.when, len(order)), part.order, part.name
