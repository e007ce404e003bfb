"""A plasticity rule as data: Brian2 Synapses strings, parameters with units, and their sources."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from functools import cached_property
from types import MappingProxyType

import numpy as np
from brian2.core.namespace import get_local_namespace
from brian2.equations.equations import DIFFERENTIAL_EQUATION, Equations
from brian2.synapses.synapses import Synapses
from brian2.units.allunits import second
from brian2.units.fundamentalunits import DIMENSIONLESS, Dimension, Quantity, get_dimensions

from neurosnn.core.arguments import explained
from neurosnn.core.messages import did_you_mean, message
from neurosnn.core.statements import assigned, plain_code
from neurosnn.core.units import from_plain, si_unit, to_plain
from neurosnn.core.values import Range, check_value, unit_name
from neurosnn.model.from_synapses import fields_of_synapses
from neurosnn.model.namespace import Namespace, parse_equations
from neurosnn.model.pathways import (
    Pathway,
    changed_names,
    locals_of,
    pathways_of,
    without_transmission,
    written_to_neurons,
)
from neurosnn.model.plasticity_checks import check_rule, refuse
from neurosnn.model.registry import model_of
from neurosnn.model.shown import rule_html, rule_line

__all__ = ["PlasticityRule"]

QUANTITIES = ("parameters", "requires", "requires_pre", "initial", "delays")
MAPPINGS = (*QUANTITIES, "ranges", "sources", "orders")
NON_NEGATIVE_TIME = Range(0 * second, includes_low=True)
# The neurons' own updates in slot "groups" have order 0 (equations) and 1 (`step` of their model).
AFTER_NEURONS = 2
# Brian2 gives the pathways of presynaptic spikes the order -1, those of postsynaptic ones 1.
BEFORE_PRE = -2


@explained
@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class PlasticityRule:
    """A rule of synaptic plasticity, written as strings of a Brian2 Synapses object.

    In one time step the order is: clock-driven equations of the synapses, `step` (both after the
    neurons' own updates), arrival of presynaptic spikes (`on_pre`), then of postsynaptic ones
    (`on_post`): of two spikes that reach the synapse in the same step, the presynaptic one counts as
    the earlier.

    What a presynaptic spike does to the postsynaptic neuron stands in `on_pre`, as in any script
    (``g_post += w*nS``), or is left open: such a rule sends `transmission` to the variable that
    :meth:`synapses` is told. Short-term plasticity is a part of `on_pre`; an effect that lasts is a
    sum over the synapses, ``s_tot_post = w*s : 1 (summed)``.

    Parameters
    ----------
    equations : str
        Brian2 equations of the synapse with units; the weight and the traces. Differential equations
        are flagged ``(event-driven)`` or ``(clock-driven)``.
    on_pre, on_post : str or mapping of str to str, optional
        Statements executed when a presynaptic or a postsynaptic spike reaches the synapse; several
        pathways by name.
    step : str, optional
        Statements executed once a time step, in the slot `step_slot`.
    step_slot : str, optional
        Slot of Brian2's schedule for `step`.
    step_dt : Quantity (second), optional
        Time between two executions of `step`, the first at the start of the run; None: every step.
    spike_slot : str, optional
        Slot of Brian2's schedule in which spikes reach the synapse: "synapses" (before the resets),
        or "after_resets" if the strings read a trace that the reset of the same spike changes.
    transmission : str or None, optional
        What a presynaptic spike adds to the postsynaptic neuron, if `on_pre` does not say it; "": the
        weight; None: nothing.
    weight : str, optional
        Name of the weight, a variable of the equations.
    orders : mapping of str to float, optional
        Place of a pathway among those of the same step (-1 for presynaptic spikes, 1 for postsynaptic
        ones); of the clock-driven "equations" in slot "groups" (2), and of the "step" in its slot (3).
        The neurons' own equations have 0.
    delays : mapping of str to Quantity, optional
        Delays of the pathways, one or one for each synapse.
    dt : Quantity (second), optional
        Time step of the clock-driven parts; None: that of the postsynaptic neurons.
    method : str, optional
        Brian2 state updater of the clock-driven equations.
    w_min, w_max : Quantity or float, optional
        Bounds of the weight, for use in the strings; None if the rule has no such bound.
    pairing : {"all", "nearest"}, optional
        Whether every pair of spikes counts or only the nearest ones. The strings do what it says.
    delay_placement : {"axonal", "dendritic"}, optional
        Where the delay lies. Axonal: the presynaptic spike reaches the synapse late. Dendritic: it
        reaches the synapse at once, the postsynaptic spike does so late, and the effect on the
        postsynaptic neuron is late.
    requires : mapping of str to Quantity or float, optional
        Variables of the postsynaptic neuron that the strings read as ``name_post``, each with a
        value in its unit, for example ``{"v": 1*mV}``.
    requires_pre : mapping of str to Quantity or float, optional
        The same for the presynaptic neuron, read as ``name_pre``.
    third_factor : str, optional
        Shared parameter of the equations that the user sets, a reward for instance.
    eligibility : str, optional
        The variable that is the eligibility trace.
    parameters : mapping of str to Quantity or float
        Values of all parameters; ``(shared, constant)`` in the synapses. Those whose name ends in
        ``_pre`` or ``_post`` are in their namespace: Brian2 has no such variables.
    initial : mapping of str to Quantity or float or array
        Values of the variables of the synapses that are not zero at the start, one or one for each.
    ranges : mapping of str to Range
        Allowed values of a parameter.
    sources : mapping of str to str
        Where each number comes from.
    name : str, optional
        Name used in messages and plots.
    reference : str, optional
        Citation of the publication that the rule follows.

    Raises
    ------
    ValueError
        For unknown names, inconsistent units, reserved names, parameters out of range, missing or
        superfluous parameters, bounds in the wrong order, pathways that do not exist, or strings that
        change neither the weight nor what is sent.
    TypeError
        If a parameter is not a number.

    Notes
    -----
    Deviation from a plain dataclass: two rules are compared with ``a.to_dict() == b.to_dict()``.

    Examples
    --------
    >>> from brian2 import ms
    >>> from neurosnn import PlasticityRule
    >>> rule = PlasticityRule(
    ...     equations="w : 1\\ndx/dt = -x/tau : 1 (event-driven)",
    ...     on_pre="x += 1",
    ...     on_post="w += A*x",
    ...     parameters={"tau": 20*ms, "A": 0.01},
    ... )
    >>> rule.clock_driven
    False
    """

    equations: str
    on_pre: str | Mapping[str, str] = ""
    on_post: str | Mapping[str, str] = ""
    step: str = ""
    step_slot: str = "groups"
    step_dt: Quantity | None = None
    spike_slot: str = "synapses"
    transmission: str | None = ""
    weight: str = "w"
    orders: Mapping[str, float] = dataclasses.field(default_factory=dict)
    delays: Mapping[str, Quantity] = dataclasses.field(default_factory=dict)
    dt: Quantity | None = None
    method: str = "exact"
    w_min: Quantity | float | None = None
    w_max: Quantity | float | None = None
    pairing: str = "all"
    delay_placement: str = "axonal"
    requires: Mapping[str, Quantity | float] = dataclasses.field(default_factory=dict)
    requires_pre: Mapping[str, Quantity | float] = dataclasses.field(default_factory=dict)
    third_factor: str = ""
    eligibility: str = ""
    parameters: Mapping[str, Quantity | float] = dataclasses.field(default_factory=dict)
    initial: Mapping[str, Quantity | float] = dataclasses.field(default_factory=dict)
    ranges: Mapping[str, Range] = dataclasses.field(default_factory=dict)
    sources: Mapping[str, str] = dataclasses.field(default_factory=dict)
    name: str = "PlasticityRule"
    reference: str = ""

    def __post_init__(self):
        for field in MAPPINGS:
            object.__setattr__(self, field, MappingProxyType(dict(getattr(self, field))))
        for field in ("on_pre", "on_post"):
            code = getattr(self, field)
            if isinstance(code, Mapping):
                code = MappingProxyType({name: with_newlines(text) for name, text in code.items()})
            object.__setattr__(self, field, with_newlines(code))
        check_rule(self)

    def __repr__(self) -> str:
        return rule_line(self)

    def _repr_html_(self) -> str:
        return rule_html(self)

    # -- what the strings say ---------------------------------------------------------------

    @cached_property
    def constants(self) -> Mapping[str, Quantity | float]:
        """All parameters, with the bounds of the weight."""
        bounds = {"w_min": self.w_min, "w_max": self.w_max}
        bounds_set = {name: value for name, value in bounds.items() if value is not None}
        return MappingProxyType({**self.parameters, **bounds_set})

    @cached_property
    def external(self) -> frozenset[str]:
        """Parameters that are in the namespace of the synapses, by their ending."""
        return frozenset(name for name in self.constants if name.endswith(("_pre", "_post")))

    @cached_property
    def own_names(self) -> frozenset[str]:
        """Variables that the equations declare."""
        equations = parse_equations(self.equations, where=self.name)
        return frozenset(name for name, eq in equations.items() if "summed" not in eq.flags)

    @cached_property
    def brian_equations(self) -> Equations:
        """The equations together with the declarations of the parameters."""
        declarations = [
            f"{name} : {si_unit(get_dimensions(value))} (shared, constant)"
            for name, value in self.constants.items()
            if name not in self.external
        ]
        return parse_equations("\n".join([self.equations, *declarations]), where=self.name)

    @cached_property
    def weight_dimensions(self):
        """Physical dimensions of the weight."""
        return self.brian_equations[self.weight].dim

    @cached_property
    def pathways(self) -> tuple[Pathway, ...]:
        """What happens at spikes, in the order in which it happens in a step."""
        return pathways_of(self)

    @cached_property
    def written(self) -> Mapping[str, Dimension]:
        """Variables of the neurons that the strings write, as ``name_post``, and their units."""
        return MappingProxyType(written_to_neurons(self))

    @cached_property
    def changed(self) -> frozenset[str]:
        """Variables of the synapse that the strings change."""
        return frozenset(changed_names(self))

    @cached_property
    def targets(self) -> tuple[str, ...]:
        """Variables of the postsynaptic neuron that the strings themselves send something to."""
        sent = set()
        for pathway in self.pathways:
            if pathway.side == "pre":
                sent |= {name for name in self.written if name in assigned(pathway.code)}
        sent |= {name for name, eq in self.brian_equations.items() if "summed" in eq.flags}
        return tuple(sorted(name[:-5] for name in sent if name.endswith("_post")))

    @property
    def transmitted(self) -> str:
        """What is added to the target that :meth:`synapses` is told; "" for nothing."""
        if self.transmission is None or self.targets:
            return ""
        return self.transmission or self.weight

    @cached_property
    def silent(self) -> PlasticityRule:
        """The rule that learns in the same way and acts on no neuron, as in the protocols of analysis."""
        if not self.targets:
            return self
        return dataclasses.replace(self, **without_transmission(self))

    @cached_property
    def clock_driven(self) -> bool:
        """Whether the synapses do something in every time step and not only at spikes."""
        return (bool(self.step.strip()) and self.step_dt is None) or any(
            (equation.type == DIFFERENTIAL_EQUATION and "event-driven" not in equation.flags)
            or "summed" in equation.flags
            for equation in self.brian_equations.values()
        )

    @cached_property
    def namespace(self) -> Namespace:
        """Every name the strings may use, with its dimensions."""
        return self.names(self.written)

    def names(self, more: Mapping[str, Dimension]) -> Namespace:
        """The names of the equations, parameters and required variables, and some more.

        Parameters
        ----------
        more : mapping of str to Dimension
            Further names.

        Returns
        -------
        Namespace
            To check strings with.
        """
        equations = self.brian_equations
        declared = {name: eq for name, eq in equations.items() if "summed" not in eq.flags}
        dimensions = dict.fromkeys(("j", "N_incoming", "N_outgoing"), DIMENSIONLESS)
        for required, side in ((self.requires, "post"), (self.requires_pre, "pre")):
            for name, unit in required.items():
                dimensions[f"{name}_{side}"] = get_dimensions(unit)
                if side == "post":
                    dimensions.setdefault(name, get_dimensions(unit))
        dimensions |= {name: get_dimensions(self.constants[name]) for name in self.external}
        dimensions |= {**more, **{name: equation.dim for name, equation in declared.items()}}
        if any("event-driven" in eq.flags for eq in declared.values()):
            dimensions["lastupdate"] = second.dim
        kinds = {
            kind: {name for name, eq in declared.items() if eq.var_type == kind}
            for kind in ("boolean", "integer")
        }
        return Namespace(
            dimensions,
            booleans=kinds["boolean"] | {"not_refractory_pre", "not_refractory_post"},
            integers=kinds["integer"] | {"j", "N_incoming", "N_outgoing"},
            scalars={name for name, eq in declared.items() if "shared" in eq.flags} | self.external,
            constants={name for name, eq in declared.items() if "constant" in eq.flags}
            | self.external,
            where=self.name,
        )

    # -- use --------------------------------------------------------------------------------

    def synapses(
        self,
        pre,
        post,
        *,
        connect=True,
        delay=None,
        target=None,
        back: str = "",
        sign=1,
        name: str = "synapses*",
        dt=None,
    ) -> Synapses:
        """Brian2 Synapses that follow this rule.

        Parameters
        ----------
        pre, post : SpikeSource
            The connected groups, for example NeuronGroup or SpikeGeneratorGroup.
        connect : bool or str or mapping, optional
            True: all to all; False: not yet; a condition such as ``"i != j"``; or the arguments of
            ``Synapses.connect``, for example ``{"p": 0.1}``.
        delay : Quantity (second), optional
            Total delay from the presynaptic spike to its effect, placed as `delay_placement` says;
            None: zero, and changeable per synapse through ``pre.delay`` (axonal) or ``post.delay``
            and ``transmit.delay`` (dendritic).
        target : str, optional
            Variable of the postsynaptic neuron to which a presynaptic spike adds ``sign*w``, with w
            before the change that this spike causes. None: what `on_pre` itself says; if it says
            nothing, the first input of the NeuronModel that made `post`. If no model did, or for
            ``""``, the synapses learn and transmit nothing.
        back : str, optional
            Variable of the presynaptic neuron to which a postsynaptic spike adds ``sign*w``: one
            synapse with one weight serves both directions.
        sign : {1, -1}, optional
            -1 for an inhibitory current; the weight itself stays positive.
        name : str, optional
            Name of the Synapses.
        dt : Quantity (second), optional
            Time step of the clock-driven parts; None: that of the rule, or of `post`.

        Returns
        -------
        Synapses
            With all parameters and initial values set; what has none is zero.

        Raises
        ------
        ValueError
            If `post` lacks a variable that the rule needs, the target has another unit than what is
            sent, a name of the strings means something else in these neurons, or there are values for
            another number of synapses.

        Examples
        --------
        >>> from brian2 import SpikeGeneratorGroup, ms
        >>> from neurosnn import equations
        >>> neurons = equations.LIF().group(2)
        >>> source = SpikeGeneratorGroup(1, [0], [1]*ms)
        >>> synapses = equations.PairSTDP().synapses(source, neurons, target="I", delay=2*ms)
        >>> len(synapses), synapses.tau_plus[:]
        (2, 20. * msecond)
        """
        if target == "" and self.targets:
            return self.silent.synapses(
                pre, post, connect=connect, delay=delay, target="", back=back, name=name, dt=dt
            )
        self._check_neurons(pre, post)
        transmit = ""
        if self.targets and (target or sign != 1):
            raise refuse(
                self,
                f"target={target!r}, sign={sign} together with strings that act on "
                f"{', '.join(self.targets)}.",
                "They say themselves what a spike adds to what.",
                "Leave out target and sign, or change the strings.",
            )
        if target is None and self.transmitted:
            target = first_input(post)
        if target:
            if not self.transmitted:
                raise refuse(
                    self,
                    f"target={target!r}, but the rule transmits nothing.",
                    "Its transmission is None.",
                    "Leave out the target, or give the rule transmission=''.",
                )
            sent = self.namespace.dimensions_of(self.transmitted, field="transmission")
            self._check_variable(post, target, sent, "the weight adds to it")
            if sign not in (1, -1):
                raise refuse(self, f"sign must be 1 or -1, got {sign!r}.", "", "Scale w instead.")
            transmit = f"{target}_post {'+' if sign > 0 else '-'}= {self.transmitted}"
        if delay is not None:
            check_value("delay", delay, NON_NEGATIVE_TIME, where=self.name)
            if self.delays:
                raise refuse(
                    self,
                    f"delay={delay} for pathways with delays of their own.",
                    f"The rule delays {', '.join(self.delays)}.",
                    "Leave out delay, or give the rule other delays.",
                )
        # The strings themselves, not the pathways, so that the objects read as the rule is written.
        code_by_side = {
            side: {side: code} if isinstance(code, str) else dict(code)
            for side, code in (("pre", self.on_pre), ("post", self.on_post))
        }
        on_pre, on_post = code_by_side["pre"], code_by_side["post"]
        if self.delay_placement == "axonal":
            if transmit and isinstance(self.on_pre, str):
                on_pre = {"pre": f"{transmit}\n{self.on_pre}"}
            elif transmit:
                on_pre = {"transmit": transmit} | on_pre
            delays = dict.fromkeys(on_pre, delay)
        else:
            on_pre = on_pre | ({"transmit": transmit} if transmit else {})
            delays = {"post": delay} | ({"transmit": delay} if transmit else {})
        if back:
            self._check_variable(pre, back, self.weight_dimensions, "the weight adds to it")
            returned = f"{back}_pre {'+' if sign > 0 else '-'}= {self.weight}"
            on_post = on_post | {"post": f"{returned}\n{on_post.get('post', '')}"}
        on_pre, on_post = (
            {pathway: plain_code(code) for pathway, code in side.items() if code.strip()}
            for side in (on_pre, on_post)
        )
        fixed = {name: value for name, value in self.delays.items() if not np.ndim(value)}
        dt = self.dt if dt is None else dt
        synapses = Synapses(
            pre,
            post,
            self.brian_equations,
            on_pre=on_pre or None,
            on_post=on_post or None,
            delay={
                pathway: value
                for pathway, value in (delays | fixed).items()
                if value is not None and pathway in on_pre | on_post
            },
            method=self.method,
            namespace={name: self.constants[name] for name in self.external},
            order=self.orders.get("equations", AFTER_NEURONS),
            clock=post.clock if dt is None else None,
            dt=dt,
            name=name,
        )
        for pathway in on_pre | on_post:
            getattr(synapses, pathway).when = self.spike_slot
            if pathway in self.orders:
                getattr(synapses, pathway).order = self.orders[pathway]
        if transmit and "transmit" in on_pre:
            orders = [pathway.order for pathway in self.pathways if pathway.side == "pre"]
            synapses.transmit.order = min([BEFORE_PRE, *(order - 1 for order in orders)])
        if self.step.strip():
            synapses.run_regularly(
                plain_code(self.step),
                dt=self.step_dt,
                when=self.step_slot,
                order=self.orders.get("step", AFTER_NEURONS + 1),
                name=f"{synapses.name}_step",
            )
        if connect is True:
            synapses.connect()
        elif isinstance(connect, str):
            synapses.connect(condition=connect, namespace={})
        elif isinstance(connect, Mapping):
            synapses.connect(**{"namespace": {}, **connect})
        set_values(self, synapses, connect)
        return synapses

    def _check_neurons(self, pre, post):
        """The names of the strings mean in these neurons what they mean in the rule."""
        required_units = {"post": dict(self.requires), "pre": dict(self.requires_pre)}
        for name, unit in self.written.items():
            side = name.rpartition("_")[2]
            required_units[side].setdefault(name.removesuffix(f"_{side}"), Quantity(1, dim=unit))
        for side, group in (("post", post), ("pre", pre)):
            for required, unit in required_units[side].items():
                self._check_variable(group, required, get_dimensions(unit), "the rule uses it")
        occupied = {name: post for name in locals_of(self) if name in post.variables}
        for side, group in (("post", post), ("pre", pre)):
            for name in (*self.own_names, *self.constants):
                hides = name in self.external and name.removesuffix(f"_{side}") in group.variables
                if hides or name in group.variables:
                    occupied[name] = group
        for name, group in sorted(occupied.items()):
            raise refuse(
                self,
                f"'{name}' of the rule is also a variable of the group '{group.name}'.",
                "In a synapse Brian2 would read one for the other, or refuse both.",
                f"Choose another name in the rule, for example '{name}_syn'.",
            )

    def _check_variable(self, group, name, dimensions, reason):
        if name not in group.variables:
            raise refuse(
                self,
                f"the group '{group.name}' has no variable '{name}'.",
                f"In each of its neurons {reason}.",
                did_you_mean(name, [key for key in group.variables if not key.startswith("_")]),
            )
        unit = group.variables[name].dim
        if unit is not dimensions:
            raise refuse(
                self,
                f"'{name}' of the group '{group.name}' is in {unit_name(unit)}, but must be in "
                f"{unit_name(dimensions)}.",
                f"In each of its neurons {reason}.",
                "Give the parameters of the rule the units of that neuron.",
            )

    @classmethod
    def from_synapses(
        cls,
        synapses: Synapses,
        *,
        namespace: Mapping | None = None,
        level: int = 0,
        **fields,
    ) -> PlasticityRule:
        """Read a rule from existing Synapses, all of it.

        Constants of the script become parameters; values of the variables that are not zero become
        `initial`, one for each synapse where they differ.

        Parameters
        ----------
        synapses : Synapses
            The synapses, before they run.
        namespace : mapping, optional
            Where names are looked up that neither the synapses nor their own namespace knows; the local
            and global variables of the caller if None, as ``Network.run`` does it.
        level : int, optional
            How many frames further out the caller is, as for ``Network.run``.
        **fields
            What Synapses do not know: ``weight``, if several variables could be it; ``third_factor``,
            ``eligibility``, ``ranges``, ``sources``, ``reference``. Values of ``parameters`` and
            ``initial`` are added to those of the synapses.

        Returns
        -------
        PlasticityRule
            A rule whose ``synapses(pre, post, connect={"i": synapses.i, "j": synapses.j})`` behave as
            `synapses` do.

        Raises
        ------
        ValueError
            With the name of what cannot come along: events other than spikes, linked variables,
            TimedArrays and functions of the script, unknown names, synapses between synapses, pending
            spikes; or if it is not clear which variable is the weight.
        TypeError
            If `synapses` is something else.

        Examples
        --------
        >>> from brian2 import NeuronGroup, Synapses, ms
        >>> from neurosnn import PlasticityRule
        >>> tau, A = 20*ms, 0.01
        >>> group = NeuronGroup(2, "dv/dt = -v/tau : 1", threshold="v > 1", reset="v = 0")
        >>> synapses = Synapses(group, group, "w : 1\\ndx/dt = -x/tau : 1 (event-driven)",
        ...                     on_pre="v_post += w; x += 1", on_post="w = clip(w + A*x, 0, 1)")
        >>> synapses.connect(i=[0, 1], j=[1, 0])
        >>> synapses.w = 0.5
        >>> rule = PlasticityRule.from_synapses(synapses)
        >>> rule.weight, rule.targets, rule.parameters["A"], rule.initial["w"]
        ('w', ('v',), 0.01, 0.5)
        """
        if namespace is None:
            namespace = get_local_namespace(level=level + 1)
        return cls(**fields_of_synapses(synapses, namespace, fields))

    # -- files ------------------------------------------------------------------------------

    def to_dict(self) -> dict:
        """The rule as plain strings and numbers, for files and for comparison."""
        result = {}
        for field in dataclasses.fields(self):
            value = getattr(self, field.name)
            if field.name in QUANTITIES:
                value = {key: to_plain(entry) for key, entry in value.items()}
            elif field.name == "ranges":
                value = {
                    key: [to_plain(entry) for entry in limits] for key, limits in value.items()
                }
            elif field.name in ("w_min", "w_max", "step_dt", "dt"):
                value = to_plain(value)
            elif isinstance(value, Mapping):
                value = dict(value)
            result[field.name] = value
        return result

    @classmethod
    def from_dict(cls, data: Mapping) -> PlasticityRule:
        """Rebuild a rule from :meth:`to_dict`; the strings are checked as at any construction.

        Parameters
        ----------
        data : mapping
            What :meth:`to_dict` returned.

        Returns
        -------
        PlasticityRule
            An equal rule.

        Raises
        ------
        ValueError
            If `data` has a field that rules do not have.
        """
        known = {field.name for field in dataclasses.fields(cls)}
        for name in sorted(set(data) - known):
            raise ValueError(
                message(
                    f"'{name}' is not a field of a PlasticityRule.",
                    cls.__name__,
                    "The data were written by another program or version.",
                    did_you_mean(name, known),
                )
            )
        fields = dict(data)
        for name in QUANTITIES:
            fields[name] = {key: from_plain(value) for key, value in fields.get(name, {}).items()}
        fields["ranges"] = {
            key: Range(*(from_plain(entry) for entry in limits))
            for key, limits in fields.get("ranges", {}).items()
        }
        for name in ("w_min", "w_max", "step_dt", "dt"):
            fields[name] = from_plain(fields.get(name))
        return cls(**fields)


def first_input(group) -> str:
    """The first input of the model that made a group, or nothing."""
    try:
        return model_of(group, where="synapses").inputs[0]
    except ValueError:
        return ""


def set_values(rule: PlasticityRule, synapses: Synapses, connect) -> None:
    """Give new synapses the values of the rule."""
    for key, value in rule.constants.items():
        if key not in rule.external:
            # Not by attribute: that is refused while there are no connections.
            synapses.variables[key].set_value(float(value))
    n = count(synapses, connect)
    for field, values in (("initial", rule.initial), ("delays", rule.delays)):
        for key, value in values.items():
            each = np.ndim(value) or not (field == "delays" or synapses.variables[key].scalar)
            if connect is False and each:
                raise refuse(
                    rule,
                    f"{field} has values of '{key}' for synapses that do not exist yet.",
                    "They would be lost: connect=False makes none.",
                    "Say in connect which there are.",
                )
            if np.ndim(value) and np.size(value) != n:
                raise refuse(
                    rule,
                    f"{field} has {np.size(value)} values of '{key}' for {n} synapses.",
                    "There is one value, or one for each synapse.",
                    "Make the same synapses with connect={'i': ..., 'j': ...}, or give one value.",
                )
    for key, value in rule.initial.items():
        synapses.variables[key].set_value(np.asarray(value))
    for key, value in rule.delays.items():
        if np.ndim(value):
            getattr(synapses, key).variables["delay"].set_value(np.asarray(value))


def count(synapses: Synapses, connect) -> int:
    """How many synapses there are; a program that is not built yet knows those given one by one."""
    try:
        return len(synapses)
    except NotImplementedError:
        return int(np.size(connect["i"])) if isinstance(connect, Mapping) and "i" in connect else -1


def with_newlines(code):
    """Text with lines as they end in Python also where Windows ends them; anything else as it is."""
    return code.replace("\r\n", "\n") if isinstance(code, str) else code
