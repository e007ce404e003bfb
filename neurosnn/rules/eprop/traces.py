"""The strings of online e-prop, derived from the step map of a neuron."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

from brian2.core.functions import DEFAULT_FUNCTIONS
from brian2.core.namespace import DEFAULT_CONSTANTS, DEFAULT_UNITS
from brian2.equations.equations import PARAMETER
from brian2.units.fundamentalunits import DIMENSIONLESS
from brian2.utils.stringtools import get_identifiers, word_substitute

from neurosnn.calculus.chain import simplify
from neurosnn.calculus.filters import ReadoutFilter, in_place
from neurosnn.calculus.step import (
    OPEN,
    PSI,
    SPIKED,
    StepMap,
    model_code,
    pseudo_derivative,
    refuse_noise,
    step_map,
)
from neurosnn.core.messages import did_you_mean, message
from neurosnn.core.names import FreeNames
from neurosnn.core.symbolic import MARK, symbol, to_string, to_symbolic
from neurosnn.core.units import unit_text
from neurosnn.core.written_out import written_out
from neurosnn.model import NeuronModel
from neurosnn.model.neuron_checks import check_inputs
from neurosnn.model.timed import with_calls

__all__ = ["OnlineEquations", "eprop_names", "online_equations"]

#: Names that mean the same in neurons and in synapses.
KNOWN = {"dt", *DEFAULT_FUNCTIONS, *DEFAULT_UNITS, *DEFAULT_CONSTANTS}

#: Variables of the neurons and of the synapses besides those of the neuron's model.
LEARNING_SIGNAL, SURROGATE, FLAG = "L", PSI, "spiked"
#: Not "e" for the trace: that is a constant of Brian2.
ARRIVED, GRADIENT, TRACE, FILTERED, SUM = "pre_in", "G", "etrace", "ebar", "etrace_sum"


@dataclass(frozen=True)
class OnlineEquations:
    """Online e-prop for one neuron model as Brian2 strings; ``print`` shows them.

    Attributes
    ----------
    name : str
        Name of the model.
    neuron_variables : mapping of str to Dimension
        What every postsynaptic neuron gets in addition to the variables of its model.
    before_groups, after_thresholds, before_resets : str
        What every neuron computes, by the slot in which it does.
    synapse : str
        Brian2 equations of the synapses.
    on_pre : str
        What a presynaptic spike does.
    step : str
        What every synapse computes in a step, in slot "after_thresholds".
    eligibility : tuple of str
        Names of the components of the eligibility vector.
    constants : mapping of str to float
        Values of the shared constants of the synapses.
    names : FreeNames
        ``names("G")`` is what G is called here: ``neurosnn_G`` if the neurons have a G of their own.
    """

    name: str
    neuron_variables: Mapping[str, Any]
    before_groups: str
    after_thresholds: str
    before_resets: str
    synapse: str
    on_pre: str
    step: str
    eligibility: tuple[str, ...]
    constants: Mapping[str, float] = field(default_factory=dict)
    names: FreeNames = field(default_factory=FreeNames)

    def __str__(self) -> str:
        declared = "\n".join(
            f"{name} : {unit_text(dim)}" for name, dim in self.neuron_variables.items()
        )
        parts = [
            (f"e-prop of {self.name}: variables of each postsynaptic neuron", declared),
            (
                "each neuron, slot before_groups (state left by the previous step)",
                self.before_groups,
            ),
            ("each neuron, slot after_thresholds", self.after_thresholds),
            ("each neuron, slot before_resets", self.before_resets),
            ("variables of each synapse", self.synapse),
            ("each synapse, when a presynaptic spike arrives", self.on_pre),
            ("each synapse, slot after_thresholds, after the neurons", self.step),
        ]
        return "\n\n".join(f"# {title}\n{code.strip()}" for title, code in parts if code.strip())


def online_equations(
    model: NeuronModel,
    *,
    channel: str | None = None,
    readout_filter: ReadoutFilter | None = None,
    amplitude: str = "",
    rate: bool = False,
    threshold: str | None = None,
    known: Iterable[str] | None = None,
    taken: Iterable[str] = (),
) -> OnlineEquations:
    """Write down online e-prop for a neuron model.

    Parameters
    ----------
    model : NeuronModel
        The postsynaptic neuron.
    channel : str, optional
        The variable that the synapses add to, the first of the model's inputs if None.
    readout_filter : ReadoutFilter, optional
        Filter of the eligibility trace.
    amplitude : str, optional
        Variable of the presynaptic group that multiplies each spike.
    rate : bool, optional
        Whether to keep the sum of the trace, for the firing-rate term.
    threshold : str, optional
        Condition of the group, if it is not that of the model.
    known : iterable of str, optional
        Variables of the group; a parameter that is not among them stands in the namespace of the group.
    taken : iterable of str, optional
        Names, besides those of the model, that no variable of e-prop may have.

    Returns
    -------
    OnlineEquations
        The strings.

    Raises
    ------
    ValueError
        If the model has no such input, or cannot be differentiated.
    """
    if not model.spikes:
        raise ValueError(
            message(
                f"the model {model.name} has no threshold.",
                "EProp",
                "An eligibility trace follows the effect of a weight on the spikes of a neuron.",
                "Choose a spiking neuron; the weights of a readout need no trace.",
            )
        )
    check_inputs(model, where="EProp")
    channel = model.inputs[0] if channel is None else channel
    if channel not in model.inputs:
        raise ValueError(
            message(
                f"'{channel}' is not an input of {model.name}.",
                "EProp",
                "The eligibility vector starts at the variable that a spike adds to.",
                did_you_mean(channel, model.inputs),
            )
        )
    refuse_noise(
        model,
        why="Synapses in Brian2 do not see the draws of their neurons, which the traces depend on.",
    )
    names = eprop_names(model, taken)
    return _Writer(model, step_map(model), threshold, known, names).write(
        channel, readout_filter, amplitude, rate
    )


def eprop_names(model: NeuronModel, taken: Iterable[str] = ()) -> FreeNames:
    """Names for the variables of e-prop, taken by no variable of the model."""
    taken_by_model = set(model.brian_equations.names)
    if LEARNING_SIGNAL in taken_by_model and _is_signal(model):
        taken_by_model.remove(LEARNING_SIGNAL)
    return FreeNames(taken_by_model | set(taken))


def _is_signal(model: NeuronModel) -> bool:
    """Whether a model declares the learning signal itself: a number that its own dynamics do not read."""
    equation = model.brian_equations[LEARNING_SIGNAL]
    if equation.type != PARAMETER or equation.dim is not DIMENSIONLESS:
        return False
    read = [eq.expr.code for eq in model.brian_equations.values() if eq.expr is not None]
    read += [model.threshold, model.reset, model.step, model.surrogate, str(model.refractory)]
    parameters = LEARNING_SIGNAL in model.parameters
    return not parameters and LEARNING_SIGNAL not in get_identifiers(" ".join(read))


class _Writer:
    """Collects the variables and statements of one neuron model."""

    def __init__(self, model, slopes: StepMap, threshold: str | None, known, free_name: FreeNames):
        self.free_name = free_name
        self.model, self.slopes, self.code = model, slopes, model_code(model)
        self.threshold = self.as_calls(self.code.threshold) if threshold is None else threshold
        inside = set(model.parameters) if known is None else set(known)
        self.shared = {p for p in model.parameters if p in inside and not model.per_neuron(p)}
        self.fixed = {p for p in model.parameters if p in inside}
        self.names = model.namespace
        self.flag, self.psi = free_name(FLAG), free_name(SURROGATE)
        self.variables: dict[str, Any] = {
            free_name(LEARNING_SIGNAL): DIMENSIONLESS,
            self.flag: DIMENSIONLESS,
        }
        #: What the names of the step map become in the neurons.
        self.renamed = {SPIKED: self.flag}
        #: And those of its intermediate values.
        self.local: dict[str, str] = {}
        self.before: list[str] = []
        self.add_intermediate(slopes.intermediate)
        self.after: list[str] = []

    def write(self, channel, readout_filter, amplitude, rate) -> OnlineEquations:
        slopes, model = self.slopes, self.model
        margin_dim = self.names.dimensions_of(
            self.as_calls(pseudo_derivative(model, self.code)[0]), field="threshold"
        )
        psi = self.as_calls(slopes.psi)
        self.variables[self.psi] = self.names.dimensions_of(psi, field="surrogate")
        if model.refractory is False:
            spiked = f"int({self.threshold})"
        else:
            spiked = "int(timestep(t - lastspike, dt) == 0)"
        self.after += [f"{self.flag} = {spiked}", f"{self.psi} = {psi}"]
        at_reset = {name: self.with_units(text) for name, text in slopes.at_reset.items()}
        for name, text in at_reset.items():
            self.renamed[name] = self.new_variable(
                name.removeprefix(MARK), self.names.dimensions_of(text, field=name)
            )
        margin = {
            state: self.coefficient(
                f"margin_{state}",
                to_symbolic(text),
                margin_dim,
                model.dimensions[state],
                self.after,
            )
            for state, text in slopes.margin.items()
        }
        jacobian = {}
        for row in slopes.states:
            for column in slopes.states:
                entry = to_symbolic(slopes.transition.get((row, column), "0"))
                if row in slopes.jump and column in margin:
                    at_spike = to_symbolic(slopes.jump[row]) * symbol(self.psi)
                    entry += at_spike * margin[column].in_neuron
                entry = simplify(entry)
                if entry != 0:
                    jacobian[row, column] = self.coefficient(
                        f"J_{row}_{column}",
                        entry,
                        model.dimensions[row],
                        model.dimensions[column],
                        self.before,
                    )
        drive = {
            (row, ch): self.coefficient(
                f"b_{row}_{ch}",
                to_symbolic(text),
                model.dimensions[row],
                model.dimensions[ch],
                self.before,
            )
            for (row, ch), text in slopes.drive.items()
        }
        before_resets = [f"{self.renamed[name]} = {text}" for name, text in at_reset.items()]
        start = {row: drive[row, channel] for row in slopes.states if (row, channel) in drive}
        return self.synapse_part(
            channel,
            jacobian,
            margin,
            start,
            readout_filter,
            amplitude,
            rate,
            "\n".join(before_resets),
        )

    def synapse_part(
        self, channel, jacobian, margin, start, readout_filter, amplitude, rate, at_reset
    ) -> OnlineEquations:
        model, free_name = self.model, self.free_name
        arrived_name, gradient, summed = free_name(ARRIVED), free_name(GRADIENT), free_name(SUM)
        trace_name, signal = free_name(TRACE), free_name(LEARNING_SIGNAL)
        w_dim = model.dimensions[channel]
        alive = _reachable(set(start), {(col, row) for row, col in jacobian})
        alive &= _reachable(set(margin), set(jacobian))
        rows = [row for row in self.slopes.states if row in alive]
        eps = {row: free_name(f"eps_{row}") for row in rows}
        expressions, depends = {}, {}
        for row in rows:
            terms = {col: jacobian[row, col] for col in rows if (row, col) in jacobian}
            parts = [entry.in_synapse * symbol(eps[col]) for col, entry in terms.items()]
            parts += [start[row].in_synapse * symbol(arrived_name)] if row in start else []
            text = to_string(sum(parts))
            if row in model.eligibility_bounds:
                unit = unit_text(self.ratio(row, channel))
                limit = repr(float(model.eligibility_bounds[row]))
                limit = limit if unit == "1" else f"{limit}*{unit}"
                text = f"clip({text}, -{limit}, {limit})"
            expressions[eps[row]] = text
            depends[eps[row]] = {eps[col] for col in terms}
        trace = to_string(
            sum(margin[row].in_synapse * symbol(eps[row]) for row in rows if row in margin)
        )
        filtered = free_name(FILTERED)
        step = [f"{gradient} += {signal}_post*{filtered if readout_filter else trace_name}"]
        step += [in_place(expressions, depends, free_name), f"{arrived_name} = 0"]
        trace = trace if trace.isidentifier() else f"({trace})"
        e_unit = unit_text(DIMENSIONLESS / w_dim)
        trace = f"{self.psi}_post*{trace}" if rows else f"0*{e_unit}"  # no way to the threshold
        step += [f"{trace_name} = {trace}"]
        declared = [f"{free_name('w')} : {unit_text(w_dim)}", f"{arrived_name} : 1"]
        declared += [f"{eps[row]} : {unit_text(self.ratio(row, channel))}" for row in rows]
        declared += [f"{trace_name} : {e_unit}"]
        constants = {}
        if readout_filter:
            names = readout_filter.variables(FILTERED, free_name)
            declared += [f"{name} : {e_unit}" for name in names.values()]
            step += [readout_filter.update(FILTERED, trace_name, free_name)]
            for key, name in readout_filter.factors.items():
                constants[free_name(name)] = readout_filter.transition[key]
            declared += [f"{name} : 1 (shared, constant)" for name in constants]
        declared += [f"{gradient} : {e_unit}"]
        if rate:
            declared += [f"{summed} : {e_unit}"]
            step += [f"{summed} += {trace_name}"]
        sent = f"*{amplitude}_pre" if amplitude else ""
        arrived = f"{amplitude}_pre" if amplitude else "1"
        return OnlineEquations(
            name=model.name,
            neuron_variables=MappingProxyType(self.variables),
            before_groups="\n".join(self.before),
            after_thresholds="\n".join(self.after),
            before_resets=at_reset,
            synapse="\n".join(declared),
            on_pre=f"{channel}_post += {free_name('w')}{sent}\n{arrived_name} += {arrived}",
            step="\n".join(step),
            eligibility=tuple(eps.values()),
            constants=MappingProxyType(constants),
            names=free_name,
        )

    def ratio(self, row: str, channel: str) -> Any:
        """Dimensions of a component of the eligibility vector."""
        dimensions: Mapping[str, Any] = self.model.dimensions
        return dimensions[row] / dimensions[channel]

    def coefficient(self, name, expression, above, below, statements) -> _Coefficient:
        """A coefficient that is written out if it is cheap, else computed once per neuron."""
        text = word_substitute(self.with_units(to_string(expression)), self.renamed)
        used = get_identifiers(text) - KNOWN
        if used <= self.shared or (used <= self.fixed and "(" not in text):
            expression = to_symbolic(text)
            in_synapse = expression.xreplace({symbol(key): symbol(f"{key}_post") for key in used})
            return _Coefficient(expression, in_synapse)
        name = self.new_variable(name, above / below)
        now = text if statements is self.after else self.at_start_of_step(text)
        statements.append(f"{name} = {now}")
        return _Coefficient(symbol(name), symbol(f"{name}_post"))

    def with_units(self, text: str) -> str:
        """A derivative as Brian2 reads it."""
        text = self.as_calls(word_substitute(text, self.local))
        return written_out(text, lambda part: self.names.dimensions_of(part, field="trace"))

    def as_calls(self, text: str) -> str:
        """An expression that calls the TimedArrays, which the neurons have and the synapses do not."""
        return with_calls(text, self.code.lookups)

    def add_intermediate(self, values: Iterable[tuple[str, str]]) -> None:
        """Values that only the coefficients of a step read: local variables of the statements."""
        for name, text in values:
            written = self.with_units(text)
            self.local[name] = variable = self.free_name(f"neurosnn_{name.removeprefix(MARK)}")
            dimensions = self.names.dimensions_of(
                word_substitute(written, {OPEN: "1"}), field="trace"
            )
            self.names = self.names.with_variables({variable: dimensions})
            self.before.append(f"{variable} = {self.at_start_of_step(written)}")

    def new_variable(self, name: str, dimensions: Any) -> str:
        """A variable of the neurons, under a name that nothing else has."""
        name = self.free_name(name)
        while name in self.variables:  # states a, a_b, b and b_c make a_b_c twice
            name = self.free_name(f"neurosnn_{name}")
        self.variables[name] = dimensions
        return name

    def at_start_of_step(self, text: str) -> str:
        """An expression of the step map with the flags as they are in slot "before_groups"."""
        if self.model.refractory is False:
            return word_substitute(text, {OPEN: "1"})
        refractory = self.as_calls(self.code.refractory)
        text = word_substitute(text, {"not_refractory": f"({refractory})"})
        return word_substitute(text, {OPEN: "int(not_refractory)"})


@dataclass(frozen=True)
class _Coefficient:
    """The same value as the neurons and as the synapses write it."""

    in_neuron: Any
    in_synapse: Any


def _reachable(start: set[str], edges: set[tuple[str, str]]) -> set[str]:
    """All nodes that can be reached along edges (from, to)."""
    reached, new = set(start), set(start)
    while new:
        new = {b for a, b in edges if a in new} - reached
        reached |= new
    return reached
