"""One neuron model as C++: its forward pass, and coefficients for a backward pass."""

from __future__ import annotations

import ast

from brian2.core.namespace import DEFAULT_CONSTANTS, DEFAULT_UNITS
from brian2.utils.stringtools import get_identifiers

from neurosnn.calculus import OPEN, SPIKED, model_code
from neurosnn.engine.codegen import LayerCode
from neurosnn.engine.cpp import FUNCTIONS, OWN, Hoister, c_type
from neurosnn.model import NeuronModel
from neurosnn.symbolic import statements

__all__ = ["Translator", "product_sum"]

INTEGERS = {"since_spike", SPIKED, OPEN, "not_refractory"}


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
        self.varying = {"t", "lastspike", *INTEGERS, *model.states}
        self.hoister = Hoister(
            shared | {"dt", "N"} | set(units),
            per_neuron | {"i"},
            lambda name: name in self.varying,
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
        )
        self.layer.update = self.lines(code.update + "\n" + code.step, code.conditional)
        if model.spikes:
            self.layer.threshold = self.expression(code.threshold)
            self.layer.refractory = self.expression(code.refractory) if code.refractory else ""
            self.layer.reset = self.lines(code.reset, ())

    def expression(self, text: str) -> str:
        """A Brian2 expression as C++."""
        return self.hoister.expression(text)

    def lines(self, text: str, conditional: tuple[str, ...]) -> list[str]:
        """Brian2 statements as C++; `conditional` variables keep their value while refractory."""
        out, local = [], set()
        for variable, expression in statements(text):
            value = self.expression(expression)
            if variable in self.model.states:
                if variable in conditional:
                    value = f"not_refractory ? real({value}) : {OWN}{variable}"
                out.append(f"{OWN}{variable} = {value};")
            else:
                kind = c_type(ast.parse(expression, mode="eval").body, INTEGERS)
                declaration = "" if variable in local else f"{kind} "
                local.add(variable)
                self.varying.add(variable)
                out.append(f"{declaration}{OWN}{variable} = {value};")
        return out

    def entry(self, key: str, text: str, values: list, stored: list) -> str:
        """A coefficient: a constant of the trial, or the name of one kept for every step."""
        if self.hoister.is_fixed(text):
            return self.expression(text)
        values.append((key, self.expression(text)))
        stored.append(key)
        return key

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
        name: repr(float(DEFAULT_CONSTANTS[name].value))
        for name in names
        if name in DEFAULT_CONSTANTS and name != "inf"
    }
    return dict(sorted({**units, **constants}.items()))
