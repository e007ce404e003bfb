"""One neuron model as C++: its forward pass, and coefficients for a backward pass."""

from __future__ import annotations

import ast
from collections.abc import Iterable

from brian2.core.namespace import DEFAULT_CONSTANTS, DEFAULT_UNITS
from brian2.utils.stringtools import get_identifiers, word_substitute

from neurosnn.calculus.step import OPEN, SPIKED, model_code
from neurosnn.core.draws import DRAWS_OF_A_LAYER
from neurosnn.core.symbolic import MARK, SINCE_SPIKE, statements
from neurosnn.engine.codegen import LayerCode
from neurosnn.engine.cpp import FUNCTIONS, OWN, Hoister, c_type
from neurosnn.engine.slow_calls import Phases
from neurosnn.model import NeuronModel

__all__ = ["Translator", "product_sum"]

#: Brian2's ``not_refractory`` in the generated file; without refractoriness a model may have its own.
NOT_REFRACTORY = f"{MARK}not_refractory"

INTEGERS = {SINCE_SPIKE, SPIKED, OPEN, NOT_REFRACTORY}


class Translator:
    """Fills a LayerCode from the strings of a model.

    Parameters
    ----------
    index : int
        Number of the layer in the generated file.
    name : str
        Name of the layer, for comments.
    model : NeuronModel
        The model.
    learn : tuple of str
        Parameters whose gradient is wanted.
    """

    def __init__(self, index: int, name: str, model: NeuronModel, learn: tuple[str, ...]):
        self.model = model
        code = model_code(model)
        per_neuron = {key for key in model.parameters if model.per_neuron(key)}
        shared = set(model.parameters) - per_neuron
        units = _units(model, code)
        self.constants: dict[str, str] = {}
        self.varying = {"t", "lastspike", *INTEGERS, *model.states}
        self.varying |= {value.name for value in (*code.draws, *code.lookups)}
        self.hoister = Hoister(
            shared | {"dt", "N"} | set(units),
            per_neuron | {"i"},
            lambda name: name in self.varying,
            flag=NOT_REFRACTORY if model.refractory is not False else "",
            listed={lookup.name for lookup in code.lookups},
        )
        self.layer = LayerCode(
            index=index,
            name=name,
            spiking=model.spikes,
            states=model.states,
            channels=model.inputs,
            gated=tuple(name for name in model.inputs if name in code.conditional),
            parameters=tuple(model.parameters),
            shared=tuple(sorted(shared)),
            learned=learn,
            output=model.states[0],
            units=list(units.items()),
            lookups=[(name.removeprefix(MARK), *read) for name, *read in code.lookups],
        )
        for number, draw in enumerate(code.draws):
            drawn = self.layer.reset_draws if draw.at_reset else self.layer.draws
            name, place = draw.name.removeprefix(MARK), index * DRAWS_OF_A_LAYER + number
            drawn.append((name, draw.is_normal, place))
        start = word_substitute(code.start, {"not_refractory": OPEN})
        update = "\n".join([start, code.update, code.step])
        phases = Phases()
        self.layer.update = self.lines(update, code.conditional, phases)
        if phases.calls_slow_functions:
            self.layer.slow_calls, self.layer.phased = phases.calls, phases.lines
        if model.spikes:
            self.layer.threshold = self.expression(code.threshold)
            self.layer.refractory = self.expression(code.refractory) if code.refractory else ""
            self.layer.reset = self.lines(code.reset, ())

    def expression(self, text: str) -> str:
        """A Brian2 expression as C++."""
        return self.hoister.expression(self._marked(text))

    def _marked(self, text: str) -> str:
        """With the names of Brian2 for a refractory model, and of constants, in the generated file."""
        renamed = dict(self.constants)
        if self.model.refractory is not False:
            renamed["not_refractory"] = NOT_REFRACTORY
        return word_substitute(text, renamed) if renamed else text

    def lines(
        self, text: str, conditional: tuple[str, ...], phases: Phases | None = None
    ) -> list[str]:
        """Brian2 statements as C++; `conditional` variables keep their value while refractory.

        The same statements are added to `phases`.
        """
        out, local = [], set()
        flag = NOT_REFRACTORY.removeprefix(MARK)
        for variable, expression in statements(text):
            is_kept = variable in self.model.states and variable in conditional
            before, after = f"{OWN}{variable} = ", ";"
            if is_kept:
                before, after = f"{before}{flag} ? real(", f") : {OWN}{variable};"
            elif variable not in self.model.states:
                tree = ast.parse(self._marked(expression), mode="eval").body
                kind = c_type(tree, INTEGERS)
                before = before if variable in local else f"{kind} {before}"
            out.append(f"{before}{self.expression(expression)}{after}")
            if phases is not None:
                tree = self.hoister.tree(self._marked(expression))
                phases.add(before, tree, after, variable, keeps=is_kept)
            if variable not in self.model.states:
                local.add(variable)
                self.varying.add(variable)
        return out

    def entry(self, key: str, text: str, values: list, stored: list) -> str:
        """A coefficient: a constant of the trial, or the name of one kept for every step."""
        if self.hoister.is_fixed(self._marked(text)):
            return self.expression(text)
        key = f"c_{key}"
        while key in self.layer.stored:  # states a, a_b, b and b_c make a_b_c twice
            key += "_"
        values.append((key, self.expression(text)))
        stored.append(key)
        return key

    def intermediate(self, values: Iterable[tuple[str, str]]) -> None:
        """Named values that the coefficients of a step read; those that never change are constants."""
        for name, text in values:
            if self.hoister.is_scalar(self._marked(text)):
                self.constants[name] = MARK + self.hoister.scalar(self._marked(text))
            else:
                self.varying.add(name)
                self.layer.intermediate.append((name.removeprefix(MARK), self.expression(text)))

    def finish(self) -> LayerCode:
        """The pieces, with the constants that were taken out of the loops."""
        self.layer.scalars, self.layer.arrays = self.hoister.definitions()
        self.layer.scalar_type = {
            key: c_type(ast.parse(text, mode="eval").body)
            for text, key in self.hoister.scalars.items()
        }
        return self.layer


def product_sum(terms) -> str:
    """A sum of C++ products, or zero."""
    return " + ".join(terms) or "real(0)"


def _units(model: NeuronModel, code) -> dict[str, str]:
    """Units and constants of Brian2 that occur in the strings, as numbers in SI."""
    text = " ".join(
        [
            model.equations,
            code.refractory,
            code.update,
            code.step,
            code.threshold,
            code.reset,
            code.surrogate,
        ]
    )
    names = get_identifiers(text) - set(model.brian_equations.names) - set(FUNCTIONS)
    units = {name: repr(float(DEFAULT_UNITS[name])) for name in names if name in DEFAULT_UNITS}
    constants = {
        name: repr(float(DEFAULT_CONSTANTS[name].value)).replace("inf", "INFINITY")
        for name in names
        if name in DEFAULT_CONSTANTS
    }
    return dict(sorted({**units, **constants}.items()))
