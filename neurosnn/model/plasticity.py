"""A plasticity rule as data: Brian2 Synapses strings, parameters with units, and their sources."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from functools import cached_property
from types import MappingProxyType

from brian2.equations.equations import DIFFERENTIAL_EQUATION, Equations
from brian2.synapses.synapses import Synapses
from brian2.units.allunits import second
from brian2.units.fundamentalunits import DIMENSIONLESS, Quantity, get_dimensions

from neurosnn.core.arguments import explained
from neurosnn.core.messages import did_you_mean, message
from neurosnn.core.units import from_plain, si_unit, to_plain
from neurosnn.core.values import Range, check_value, unit_name
from neurosnn.model.namespace import Namespace, parse_equations
from neurosnn.model.plasticity_checks import check_rule, refuse
from neurosnn.model.registry import model_of
from neurosnn.model.shown import rule_html, rule_line

__all__ = ["PlasticityRule"]

NON_NEGATIVE_TIME = Range(0 * second, includes_low=True)
# The neurons' own updates in slot "groups" have order 0 (equations) and 1 (`step` of their model).
AFTER_NEURONS = 2
# Brian2 gives the pathways of presynaptic spikes the order -1, those of postsynaptic ones 1.
BEFORE_PRE = -2


@explained
@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class PlasticityRule:
    """A rule of synaptic plasticity, written as strings of a Brian2 Synapses object.

    The weight is the variable ``w``. In one time step the order is: clock-driven equations of the
    synapses, `step` (both after the neurons' own updates), arrival of presynaptic spikes
    (`on_pre`), then of postsynaptic ones (`on_post`): of two spikes that reach the synapse in the
    same step, the presynaptic one counts as the earlier.

    Parameters
    ----------
    equations : str
        Brian2 equations of the synapse with units; ``w`` and the traces. Differential equations are
        flagged ``(event-driven)`` or ``(clock-driven)``.
    on_pre, on_post : str, optional
        Statements executed when a presynaptic or a postsynaptic spike reaches the synapse.
    step : str, optional
        Statements executed once a time step, in the slot `step_slot`.
    step_slot : str, optional
        Slot of Brian2's schedule for `step`.
    step_dt : Quantity (second), optional
        Time between two executions of `step`, the first at the start of the run; None: every step.
    spike_slot : str, optional
        Slot of Brian2's schedule in which spikes reach the synapse: "synapses" (before the resets),
        or "after_resets" if the strings read a trace that the reset of the same spike changes.
    transmission : str, optional
        What a presynaptic spike adds to the postsynaptic neuron, ``w`` by default.
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
        Values of all parameters; ``(shared, constant)`` in the synapses.
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
        superfluous parameters, bounds in the wrong order, or a rule that never changes ``w``.
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
    on_pre: str = ""
    on_post: str = ""
    step: str = ""
    step_slot: str = "groups"
    step_dt: Quantity | None = None
    spike_slot: str = "synapses"
    transmission: str = "w"
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
    ranges: Mapping[str, Range] = dataclasses.field(default_factory=dict)
    sources: Mapping[str, str] = dataclasses.field(default_factory=dict)
    name: str = "PlasticityRule"
    reference: str = ""

    def __post_init__(self):
        for field in ("requires", "requires_pre", "parameters", "ranges", "sources"):
            object.__setattr__(self, field, MappingProxyType(dict(getattr(self, field))))
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
        given = {name: value for name, value in bounds.items() if value is not None}
        return MappingProxyType({**self.parameters, **given})

    @cached_property
    def brian_equations(self) -> Equations:
        """The equations together with the declarations of the parameters."""
        declarations = [
            f"{name} : {si_unit(get_dimensions(value))} (shared, constant)"
            for name, value in self.constants.items()
        ]
        return parse_equations("\n".join([self.equations, *declarations]), where=self.name)

    @cached_property
    def weight_dimensions(self):
        """Physical dimensions of the weight ``w``."""
        return self.brian_equations["w"].dim

    @cached_property
    def clock_driven(self) -> bool:
        """Whether the synapses do something in every time step and not only at spikes."""
        return (bool(self.step.strip()) and self.step_dt is None) or any(
            equation.type == DIFFERENTIAL_EQUATION and "event-driven" not in equation.flags
            for equation in self.brian_equations.values()
        )

    @cached_property
    def namespace(self) -> Namespace:
        """Every name the strings may use, with its dimensions."""
        equations = self.brian_equations
        dimensions = {name: equation.dim for name, equation in equations.items()}
        dimensions["j"] = DIMENSIONLESS
        for required, side in ((self.requires, "post"), (self.requires_pre, "pre")):
            for name, unit in required.items():
                dimensions[f"{name}_{side}"] = get_dimensions(unit)
        return Namespace(
            dimensions,
            booleans={name for name, eq in equations.items() if eq.var_type == "boolean"},
            integers={"j", *(name for name, eq in equations.items() if eq.var_type == "integer")},
            scalars={name for name, eq in equations.items() if "shared" in eq.flags},
            constants={name for name, eq in equations.items() if "constant" in eq.flags},
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
            before the change that this spike causes. None: the first input of the NeuronModel that
            made `post`; if none did, or for ``""``, the synapses learn and transmit nothing.
        back : str, optional
            Variable of the presynaptic neuron to which a postsynaptic spike adds ``sign*w``: one
            synapse with one weight serves both directions.
        sign : {1, -1}, optional
            -1 for an inhibitory current; the weight itself stays positive.
        name : str, optional
            Name of the Synapses.
        dt : Quantity (second), optional
            Time step of the clock-driven parts; None: that of `post`.

        Returns
        -------
        Synapses
            With all parameters set; ``w`` and the third factor are zero.

        Raises
        ------
        ValueError
            If `post` lacks a variable that the rule needs, or the target has another unit than w.

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
        for required, unit in self.requires.items():
            self._check_variable(post, required, get_dimensions(unit), "the rule reads it")
        for required, unit in self.requires_pre.items():
            self._check_variable(pre, required, get_dimensions(unit), "the rule reads it")
        transmit = ""
        if target is None:
            target = first_input(post)
        if target:
            self._check_variable(post, target, self.weight_dimensions, "the weight adds to it")
            if sign not in (1, -1):
                raise refuse(self, f"sign must be 1 or -1, got {sign!r}.", "", "Scale w instead.")
            transmit = f"{target}_post {'+' if sign > 0 else '-'}= {self.transmission}"
        if delay is not None:
            check_value("delay", delay, NON_NEGATIVE_TIME, where=self.name)
        if self.delay_placement == "axonal":
            on_pre = {"pre": f"{transmit}\n{self.on_pre}"}
            delays = {"pre": delay}
        else:
            on_pre = {"pre": self.on_pre} | ({"transmit": transmit} if transmit else {})
            delays = {"post": delay} | ({"transmit": delay} if transmit else {})
        returned = ""
        if back:
            self._check_variable(pre, back, self.weight_dimensions, "the weight adds to it")
            returned = f"{back}_pre {'+' if sign > 0 else '-'}= w"
        on_post = {"post": f"{returned}\n{self.on_post}"}
        on_post = {pathway: code for pathway, code in on_post.items() if code.strip()}
        on_pre = {pathway: code for pathway, code in on_pre.items() if code.strip()}
        synapses = Synapses(
            pre,
            post,
            self.brian_equations,
            on_pre=on_pre or None,
            on_post=on_post or None,
            delay={
                pathway: value
                for pathway, value in delays.items()
                if value is not None and pathway in on_pre | on_post
            },
            method=self.method,
            namespace={},
            order=AFTER_NEURONS,
            clock=post.clock if dt is None else None,
            dt=dt,
            name=name,
        )
        if "transmit" in on_pre:
            synapses.transmit.order = BEFORE_PRE
        for pathway in on_pre | on_post:
            getattr(synapses, pathway).when = self.spike_slot
        if self.step.strip():
            step_name, order = f"{synapses.name}_step", AFTER_NEURONS + 1
            synapses.run_regularly(
                self.step, dt=self.step_dt, when=self.step_slot, order=order, name=step_name
            )
        if connect is True:
            synapses.connect()
        elif isinstance(connect, str):
            synapses.connect(condition=connect, namespace={})
        elif isinstance(connect, Mapping):
            synapses.connect(**{"namespace": {}, **connect})
        for key, value in self.constants.items():
            # Not by attribute: that is refused while there are no connections.
            synapses.variables[key].set_value(float(value))
        return synapses

    def _check_variable(self, group, name, dimensions, reason):
        if name not in group.variables:
            raise refuse(
                self,
                f"the group '{group.name}' has no variable '{name}'.",
                f"In each of its neurons {reason}.",
                did_you_mean(name, [key for key in group.variables if not key.startswith("_")]),
            )
        found = group.variables[name].dim
        if found is not dimensions:
            raise refuse(
                self,
                f"'{name}' of the group '{group.name}' is in {unit_name(found)}, but must be in "
                f"{unit_name(dimensions)}.",
                f"In each of its neurons {reason}.",
                "Give the parameters of the rule the units of that neuron.",
            )

    # -- files ------------------------------------------------------------------------------

    def to_dict(self) -> dict:
        """The rule as plain strings and numbers, for files and for comparison."""
        result = {}
        for field in dataclasses.fields(self):
            value = getattr(self, field.name)
            if field.name in ("parameters", "requires", "requires_pre"):
                value = {key: to_plain(entry) for key, entry in value.items()}
            elif field.name == "ranges":
                value = {
                    key: [to_plain(entry) for entry in limits] for key, limits in value.items()
                }
            elif field.name in ("w_min", "w_max", "step_dt"):
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
        for name in ("parameters", "requires", "requires_pre"):
            fields[name] = {key: from_plain(value) for key, value in fields.get(name, {}).items()}
        fields["ranges"] = {
            key: Range(*(from_plain(entry) for entry in limits))
            for key, limits in fields.get("ranges", {}).items()
        }
        for name in ("w_min", "w_max", "step_dt"):
            fields[name] = from_plain(fields.get(name))
        return cls(**fields)


def first_input(group) -> str:
    """The first input of the model that made a group, or nothing."""
    try:
        return model_of(group, where="synapses").inputs[0]
    except ValueError:
        return ""
