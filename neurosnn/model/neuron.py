"""A spiking neuron as data: Brian2 strings, parameters with units, and the source of each number."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from functools import cached_property
from types import MappingProxyType

import numpy as np
from brian2.core.namespace import get_local_namespace
from brian2.equations.equations import (
    DIFFERENTIAL_EQUATION,
    PARAMETER,
    SUBEXPRESSION,
    Equations,
)
from brian2.groups.neurongroup import NeuronGroup
from brian2.groups.subgroup import Subgroup
from brian2.input.timedarray import TimedArray
from brian2.units.allunits import second
from brian2.units.fundamentalunits import DIMENSIONLESS, Quantity, get_dimensions

from neurosnn.core.arguments import explained
from neurosnn.core.messages import did_you_mean, message
from neurosnn.core.statements import without_comments
from neurosnn.core.symbolic import expand
from neurosnn.core.texts import check_texts
from neurosnn.core.units import si_unit
from neurosnn.core.values import Range
from neurosnn.model.from_group import fields_of_group
from neurosnn.model.namespace import Namespace, parse_equations
from neurosnn.model.neuron_checks import check_parameters, check_strings
from neurosnn.model.neuron_group import GroupStrings, make_group
from neurosnn.model.noise import random_names
from neurosnn.model.plain_data import plain_fields, read_plain_fields
from neurosnn.model.shown import neuron_html, neuron_line
from neurosnn.model.surrogate import written_surrogate
from neurosnn.model.timed import check_arrays, check_calls

__all__ = ["NeuronModel", "Range", "si_unit"]


@explained(
    equations='NeuronModel(equations="dv/dt = -v/tau_m : 1", ...)',
    positional='Write NeuronModel(equations="...", threshold="v > v_th", ...).',
    parameters='parameters={"tau_m": 20*ms}',
    unknown='Values of names in the strings go into parameters={"tau_m": 20*ms}.',
)
@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class NeuronModel:
    r"""A spiking neuron, or a readout, written as Brian2 strings.

    One step of the model is, in Brian2's order: state update (the differential equations and
    `method`), `step`, `threshold`, arrival of presynaptic spikes, `reset`. Everything else in the
    package (gradients, the fast engine, torch layers, exports) is derived from these strings.

    Parameters
    ----------
    equations : str
        Brian2 equations with units; a state without dynamics of its own is declared ``I : 1``.
    threshold : str, optional
        Condition for a spike. A model without one is a readout.
    reset : str, optional
        Statements executed at a spike.
    refractory : str or Quantity or bool, optional
        Refractory period: a time, or an expression such as the name of a parameter.
    step : str, optional
        Brian2 statements executed once a step, after the state update and before the threshold:
        what differential equations cannot say.
    method : str, optional
        Brian2 state updater. All that Brian2 writes as statements can be differentiated: "exact",
        "exponential_euler", "euler", "rk2", "rk4", and "heun" and "milstein", which without noise are
        "euler"; not those of the GSL library.
    inputs : tuple of str, optional
        Variables that presynaptic spikes add to; a weight carries the unit of its variable.
    surrogate : str, optional
        Pseudo-derivative psi of the spike with respect to the margin of the threshold
        (``v - v_th`` for ``v > v_th``), evaluated right after the thresholds, when
        ``not_refractory`` is already false for the neurons that spike. Needed for learning. Those of
        ``equations.surrogates`` take the margin from the threshold: ``surrogates.triangle(width=10*mV)``.
    spike_gradient : tuple of str, optional
        Variables through which the gradient follows the neuron's own spike (the adaptation of an
        ALIF neuron). The effect of the spike on all others, usually the reset of v, is treated as
        a constant, as in Bellec et al. 2020.
    transmits : str, optional
        State whose value a spike carries, so that a synapse adds ``w*value`` (graded spikes); "":
        a spike is a spike. The surrogate is then the derivative of the carried value, which the
        reset may use in a linear way.
    parameters : mapping of str to Quantity or float or array
        Values of all parameters. One number is the value of all neurons, and is learned as one; an
        array gives every neuron its own, learned neuron by neuron. A declaration in the equations,
        such as ``tau : second (constant)``, changes nothing of this.
    ranges : mapping of str to Range
        Allowed values of a parameter.
    sources : mapping of str to str
        Where each number comes from.
    initial : mapping of str to Quantity or str
        Initial values that are not zero; a string is a Brian2 expression.
    timed_arrays : mapping of str to TimedArray
        Values that change in time, which the strings read as ``I_ext(t)`` or, with a column for each neuron,
        ``I_ext(t, i)``. A trial begins at t = 0. They are constants for the gradients.
    eligibility_bounds : mapping of str to float
        Eligibility vectors that are clipped to [-bound, bound] after each step (van der Veen 2022
        needs this for the Izhikevich neuron); a clipped trace has no factored form.
    dt : Quantity (second), optional
        The only time step that the model may run with; None: any.
    name : str, optional
        Name used in messages and plots.
    reference : str, optional
        Citation of the publication that the model follows.

    Raises
    ------
    ValueError
        For unknown names, inconsistent units, reserved names, a threshold that is not a condition,
        parameters out of range, missing or superfluous parameters, a TimedArray that is read at times or in
        columns that depend on variables of the neurons.

    Notes
    -----
    Deviation from a plain dataclass: two models are compared with ``a.to_dict() == b.to_dict()``.

    Examples
    --------
    >>> from brian2 import ms, mV
    >>> from neurosnn import NeuronModel
    >>> model = NeuronModel(
    ...     equations="dv/dt = (v_rest - v)/tau_m : volt",
    ...     threshold="v > v_th",
    ...     reset="v = v_rest",
    ...     surrogate="clip(1 - abs(v - v_th)/(10*mV), 0, 1)/(10*mV)",
    ...     parameters={"tau_m": 20*ms, "v_rest": -70*mV, "v_th": -50*mV},
    ... )
    >>> model.group(3).N
    3
    """

    equations: str
    threshold: str = ""
    reset: str = ""
    refractory: str | Quantity | bool = False
    step: str = ""
    method: str = "exact"
    inputs: tuple[str, ...] = ("v",)
    surrogate: str = ""
    spike_gradient: tuple[str, ...] = ()
    transmits: str = ""
    parameters: Mapping[str, Quantity | float] = dataclasses.field(default_factory=dict)
    ranges: Mapping[str, Range] = dataclasses.field(default_factory=dict)
    sources: Mapping[str, str] = dataclasses.field(default_factory=dict)
    initial: Mapping[str, Quantity | float | str] = dataclasses.field(default_factory=dict)
    timed_arrays: Mapping[str, TimedArray] = dataclasses.field(default_factory=dict)
    eligibility_bounds: Mapping[str, float] = dataclasses.field(default_factory=dict)
    dt: Quantity | None = None
    name: str = "NeuronModel"
    reference: str = ""

    def __post_init__(self):
        mappings = ("parameters", "initial", "timed_arrays", "ranges", "eligibility_bounds")
        for field in (*mappings, "sources"):
            object.__setattr__(self, field, MappingProxyType(dict(getattr(self, field))))
        for field in ("inputs", "spike_gradient"):
            value = getattr(self, field)
            if isinstance(value, str):
                value = (value,)
            object.__setattr__(self, field, tuple(value))
        check_texts(
            self,
            code=("equations", "threshold", "reset", "step", "surrogate"),
            mappings=mappings,
            where=type(self).__name__,
        )
        for field in ("threshold", "surrogate"):  # Brian2 reads comments of statements only
            object.__setattr__(self, field, without_comments(getattr(self, field)))
        check_arrays(self)
        check_parameters(self)
        object.__setattr__(self, "surrogate", written_surrogate(self))
        check_strings(self)
        check_calls(self)

    def __repr__(self) -> str:
        return neuron_line(self)

    def _repr_html_(self) -> str:
        return neuron_html(self)

    # -- what the strings say ---------------------------------------------------------------

    @cached_property
    def brian_equations(self) -> Equations:
        """The equations together with the declarations of the parameters."""
        equations = parse_equations(self.equations, where=self.name)
        declarations = []
        for name, value in self.parameters.items():
            if name in equations.names:
                continue
            flags = "constant" if np.ndim(value) else "constant, shared"
            declarations.append(f"{name} : {si_unit(get_dimensions(value))} ({flags})")
        return parse_equations("\n".join([self.equations, *declarations]), where=self.name)

    @cached_property
    def states(self) -> tuple[str, ...]:
        """Variables that keep a value from step to step: with dynamics, declared, and `held`."""
        equations = [
            eq for eq in self.brian_equations.values() if eq.varname not in self.parameters
        ]
        dynamic = [eq.varname for eq in equations if eq.type == DIFFERENTIAL_EQUATION]
        declared = [eq.varname for eq in equations if eq.type == PARAMETER]
        return (*dynamic, *declared, *self.held)

    @cached_property
    def held(self) -> tuple[str, ...]:
        """Subexpressions ``(constant over dt)``, in the order of their computation.

        Brian2 makes a variable of each, zero before the first step, and computes it at the very
        start of every step: threshold and reset read that value.
        """
        return tuple(
            eq.varname
            for eq in self.brian_equations.ordered
            if eq.type == SUBEXPRESSION and "constant over dt" in eq.flags
        )

    @cached_property
    def initial_code(self) -> dict[str, Quantity | float | str]:
        """Initial values in the order in which they are assigned, subexpressions written out.

        A string sees the values that the ones before it have left, zero where there is none yet.
        """
        definitions = {
            name: eq.expr.code
            for name, eq in self.brian_equations.items()
            if eq.type == SUBEXPRESSION and name not in self.held
        }
        return {
            name: expand(value, definitions) if isinstance(value, str) else value
            for name, value in self.initial.items()
        }

    @property
    def spikes(self) -> bool:
        """Whether the model emits spikes; a readout does not."""
        return bool(self.threshold)

    @cached_property
    def dimensions(self) -> Mapping[str, object]:
        """Physical dimensions of every state, parameter and subexpression."""
        return {name: eq.dim for name, eq in self.brian_equations.items()}

    @cached_property
    def noise(self) -> tuple[str, ...]:
        """What is random in a step: ``xi``, ``rand`` and the like, as they are called in the strings."""
        return random_names(self)

    def is_real(self, name: str) -> bool:
        """Whether a state is a real number: no gradient goes through a truth value or an integer."""
        return bool(self.brian_equations[name].var_type == "float")

    def per_neuron(self, name: str) -> bool:
        """Whether a parameter is given a value for each neuron; how it is declared plays no part."""
        return bool(np.ndim(self.parameters[name]))

    @cached_property
    def namespace(self) -> Namespace:
        """Every name the strings may use, with its dimensions."""
        equations = self.brian_equations
        dimensions = dict(self.dimensions)
        booleans = {name for name, eq in equations.items() if eq.var_type == "boolean"}
        integers = {name for name, eq in equations.items() if eq.var_type == "integer"}
        shared = {name for name, eq in equations.items() if "shared" in eq.flags}
        constant = {name for name, eq in equations.items() if "constant" in eq.flags}
        if self.refractory is not False:
            dimensions |= {"lastspike": second.dim, "not_refractory": DIMENSIONLESS}
            booleans.add("not_refractory")
        return Namespace(
            dimensions,
            booleans=booleans,
            integers=integers,
            scalars=shared,
            constants=constant,
            functions=self.timed_arrays,
            where=self.name,
        )

    # -- use --------------------------------------------------------------------------------

    def group(self, n: int, *, name: str = "neurons*", dtype=None, dt=None) -> NeuronGroup:
        """A Brian2 NeuronGroup of `n` neurons of this model.

        Parameters
        ----------
        n : int
            Number of neurons.
        name : str, optional
            Name of the group.
        dtype : dtype, optional
            Floating-point type of the states, Brian2's default if None.
        dt : Quantity (second), optional
            Time step, the model's or that of Brian2's default clock if None.

        Returns
        -------
        NeuronGroup
            With parameters and initial values set; `step` runs in slot "groups", after the state
            update.

        Raises
        ------
        ValueError
            If a parameter or an initial value is an array whose length is not `n`, or for another
            `dt` than the model's.
        """
        return make_group(self, GroupStrings.of(self), n, name=name, dtype=dtype, dt=dt)

    def with_parameters(self, **values) -> NeuronModel:
        """The same model with other parameter values.

        Parameters
        ----------
        **values : Quantity or float or array
            New values by name.

        Returns
        -------
        NeuronModel
            A changed copy.

        Raises
        ------
        ValueError
            For a name that is not a parameter of the model.
        """
        for name in values:
            if name not in self.parameters:
                raise ValueError(
                    message(
                        f"'{name}' is not a parameter.",
                        self.name,
                        "",
                        did_you_mean(name, self.parameters),
                    )
                )
        return dataclasses.replace(self, parameters={**self.parameters, **values})

    @classmethod
    def from_group(
        cls,
        group: NeuronGroup | Subgroup,
        *,
        namespace: Mapping | None = None,
        level: int = 0,
        synapses=None,
        **fields,
    ) -> NeuronModel:
        """Read a model from an existing NeuronGroup, all of it.

        Constants of the equations, variables that nothing changes and the names of the script become
        parameters, TimedArrays ``timed_arrays``; all other variables are states, with their present
        values as initial values.

        Parameters
        ----------
        group : NeuronGroup or Subgroup
            The neurons; of a subgroup the values of its slice are read.
        namespace : mapping, optional
            Where names are looked up that neither the group nor its own namespace knows; the local and
            global variables of the caller if None, as ``Network.run`` does it.
        level : int, optional
            How many frames further out the caller is, as for ``Network.run``.
        synapses : Synapses, PoissonInput, Network or iterable of them, optional
            What reaches the group: the variables that arriving spikes add to become ``inputs``. All
            such objects that exist if None. If none is found, the only state of the model is its
            input; a model with several has none, and says so where spikes would reach it.
        **fields
            What a NeuronGroup does not know: ``surrogate``, ``spike_gradient``, ``ranges``,
            ``sources``, ``reference``; ``inputs`` where no synapse shows them. Values of
            ``parameters`` and ``initial`` are added to those of the group.

        Returns
        -------
        NeuronModel
            A model whose ``group(n)`` behaves as `group` does.

        Raises
        ------
        ValueError
            With the name of what cannot come along: events other than spikes, another schedule,
            ``run_regularly`` elsewhere than between state update and threshold, linked variables,
            functions of the script, unknown names, neurons that have spiked.
        TypeError
            If `group` is no Brian2 object.

        Examples
        --------
        >>> from brian2 import NeuronGroup, ms
        >>> from neurosnn import NeuronModel
        >>> tau = 20*ms
        >>> group = NeuronGroup(2, "dv/dt = (I - v)/tau : 1\\nI : 1", threshold="v > 1", reset="v = 0")
        >>> group.I = [1.5, 2]
        >>> model = NeuronModel.from_group(group)
        >>> model.method, model.parameters["tau"], model.parameters["I"]
        ('exact', 20. * msecond, array([1.5, 2. ]))
        """
        if namespace is None:
            namespace = get_local_namespace(level=level + 1)
        return cls(**fields_of_group(group, namespace, synapses, fields))

    def to_dict(self) -> dict:
        """The model as plain strings and numbers, for files and for comparison."""
        return plain_fields(self)

    @classmethod
    def from_dict(cls, data: Mapping) -> NeuronModel:
        """Rebuild a model from :meth:`to_dict`; the strings are checked as at any construction.

        Parameters
        ----------
        data : mapping
            What :meth:`to_dict` returned.

        Returns
        -------
        NeuronModel
            An equal model.
        """
        return cls(**read_plain_fields(cls, data))
