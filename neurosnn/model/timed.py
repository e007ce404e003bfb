"""TimedArrays in the strings of a model: what may stand there, where it is read, and which row that is."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from brian2.core.functions import DEFAULT_FUNCTIONS
from brian2.core.namespace import DEFAULT_CONSTANTS, DEFAULT_UNITS
from brian2.input.timedarray import TimedArray
from brian2.units.allunits import second
from brian2.units.fundamentalunits import Quantity
from brian2.utils.stringtools import get_identifiers, word_substitute

from neurosnn.core.messages import message, shortened
from neurosnn.core.statements import without_comments
from neurosnn.core.symbolic import MARK, evaluate, to_string, to_symbolic
from neurosnn.core.texts import check_identifier
from neurosnn.core.units import from_plain, to_plain
from neurosnn.core.values import Range, check_value

if TYPE_CHECKING:
    from neurosnn.model.neuron import NeuronModel

__all__ = [
    "Lookup",
    "check_arrays",
    "check_calls",
    "check_columns",
    "name_lookups",
    "plain_array",
    "read_plain_array",
    "refuse_timed_arrays",
    "with_calls",
]

#: Brian2 writes the dt of a TimedArray with 18 digits after the point.
SHORTEST = Range(1e-15 * second)
#: What a lookup's time and column may depend on besides numbers, units and constants.
TIMES, COLUMNS = {"t", "dt"}, {"i", "N"}
#: How the names begin that stand for the values of lookups.
TIMED = f"{MARK}timed_"


class Lookup(NamedTuple):
    """A value of a TimedArray that the strings of a model ask for in each step.

    Attributes
    ----------
    name : str
        What stands in the strings instead of the call.
    array : str
        Name of the TimedArray.
    time : str
        Brian2 expression of its first argument.
    column : str
        Brian2 expression of its second argument, empty for an array without columns.
    """

    name: str
    array: str
    time: str
    column: str

    def rows(self, array: TimedArray, n_steps: int, dt: float) -> np.ndarray:
        r"""The row that is read in each step of a trial, as Brian2's C++ finds it.

        .. math::  \lfloor (t/\epsilon + 1/2)/K \rfloor, \qquad \epsilon = \Delta/K, \qquad
           K = \max(2^{\lceil \log_2(8 \Delta/dt) \rceil}, 1)

        with the time step :math:`\Delta` of the array: a time that is a multiple of it up to rounding belongs
        to that row. Before the first row it is the first one, after the last row the last one.

        Parameters
        ----------
        array : TimedArray
            The array.
        n_steps : int
            Steps of the trial, whose first one is at t = 0.
        dt : float
            Time step of the simulation in seconds.

        Returns
        -------
        ndarray (n_steps,)
            Of integers.
        """
        upsampled = max(int(2 ** np.ceil(np.log2(8 / dt * array.dt))), 1)
        epsilon = float(f"{array.dt:.18f}") / upsampled
        time = evaluate(self.time, {"t": np.arange(n_steps) * dt, "dt": dt})
        row = np.trunc((np.broadcast_to(time, (n_steps,)) / epsilon + 0.5) / upsampled)
        return np.clip(row, 0, len(array.values) - 1).astype(np.int64)

    def columns(self, array: TimedArray, n: int, *, where: str) -> np.ndarray:
        """The column that each of n neurons reads.

        Parameters
        ----------
        array : TimedArray
            The array.
        n : int
            Neurons.
        where : str
            For messages.

        Returns
        -------
        ndarray (n,)
            Of integers.

        Raises
        ------
        ValueError
            If one is not whole, or there is no such column: Brian2 would go on with numbers that are none.
        """
        if not self.column:
            return np.zeros(n, dtype=np.int64)
        column = np.broadcast_to(evaluate(self.column, {"i": np.arange(n), "N": n}), (n,))
        n_columns = array.values.shape[1]
        outside = (column < 0) | (column >= n_columns) | (column != np.trunc(column))
        if outside.any():
            raise ValueError(
                message(
                    f"{self.array}({self.time}, {self.column}) reads column {column[outside][0]:g} for "
                    f"{n} neurons.",
                    where,
                    f"The TimedArray has the columns 0 to {n_columns - 1}.",
                    f"Give it a column for each neuron, or write for example i % {n_columns}.",
                )
            )
        return column.astype(np.int64)


def name_lookups(code: str, arrays: Iterable[str], lookups: list[Lookup]) -> str:
    """Code with a name in place of each call of a TimedArray.

    Parameters
    ----------
    code : str
        Brian2 code.
    arrays : iterable of str
        Names of the TimedArrays.
    lookups : list of Lookup
        Those named so far; the new ones are added to it. Equal calls have one name.

    Returns
    -------
    str
        The code, of which all is a function of named values.
    """
    for call in _calls(code, arrays):
        array, *arguments = _parts(call)
        # in sympy's order, as integration methods write them
        time, column = (*(to_string(to_symbolic(text)) for text in arguments), "")[:2]
        known = {lookup[1:]: lookup.name for lookup in lookups}
        if (array, time, column) not in known:
            name = f"{TIMED}{len(lookups)}"
            lookups.append(Lookup(name, array, time, column))
            known[array, time, column] = name
        code = re.sub(rf"\b{re.escape(call)}", known[array, time, column], code)
    return code


def with_calls(code: str, lookups: Iterable[Lookup]) -> str:
    """Code with the calls in place of the names that :func:`name_lookups` gave them."""
    calls = {
        lookup.name: f"{lookup.array}({', '.join(filter(None, lookup[2:]))})" for lookup in lookups
    }
    return word_substitute(code, calls) if calls else code


def _calls(code: str, arrays: Iterable[str]) -> list[str]:
    """The calls in a code as they are written, the longest first."""
    names = "|".join(map(re.escape, arrays))
    calls = set()
    for match in re.finditer(rf"\b(?:{names})\s*\(", code) if names else ():
        depth, end = 1, match.end()
        while depth and end < len(code):
            depth += {"(": 1, ")": -1}.get(code[end], 0)
            end += 1
        calls.add(code[match.start() : end])
    return sorted(calls, key=len, reverse=True)


def _parts(call: str) -> list[str]:
    """Name and arguments of a call."""
    tree = ast.parse(call, mode="eval").body
    assert isinstance(tree, ast.Call)
    return [ast.unparse(part) for part in (tree.func, *tree.args)]


def check_arrays(model: NeuronModel) -> None:
    """Refuse what is no TimedArray, or has a name or values that Brian2 could not read.

    Parameters
    ----------
    model : NeuronModel
        Only its ``timed_arrays`` are looked at.

    Raises
    ------
    ValueError
        For a name that means something else, values that are not finite, and a time step that is none.
    TypeError
        If it is no TimedArray.
    """
    for name, array in model.timed_arrays.items():
        _check_array(name, array, model.name)


def check_calls(model: NeuronModel) -> None:
    """Refuse strings that read a TimedArray otherwise than at given times and in given columns.

    Parameters
    ----------
    model : NeuronModel
        Its strings have been read by Brian2.

    Raises
    ------
    ValueError
        For an array that nothing reads, and calls at a time or in a column that depends on variables of the
        neurons.
    """
    text = _text(model)

    def refuse(what: str, why: str, fix: str) -> None:
        raise ValueError(message(what, model.name, why, fix))

    for name in model.timed_arrays:
        if name not in get_identifiers(text):
            refuse(
                f"the TimedArray '{name}' is not used in any string.",
                "An array without effect is usually a misspelt name.",
                f"Write {name}(t), or leave it out.",
            )
        if len(re.findall(rf"\b{name}\b", text)) > len(re.findall(rf"\b{name}\s*\(", text)):
            refuse(
                f"the TimedArray '{name}' is not called.",
                "It is a function of time.",
                f"Write {name}(t).",
            )
    for value in model.initial.values():
        if isinstance(value, str) and get_identifiers(value) & set(model.timed_arrays):
            refuse(
                f"the initial value {shortened(value, 80)!r} reads a TimedArray.",
                "Initial values are known before the time begins.",
                "Write the number.",
            )
    for call in _calls(text, model.timed_arrays):
        name, *arguments = _parts(call)
        wanted = model.timed_arrays[name].values.ndim
        if len(arguments) != wanted:
            refuse(
                f"{shortened(call, 80)} has {len(arguments)} arguments.",
                "A TimedArray with columns is called with the time and the column, another one with the "
                "time.",
                f"Write {name}({'t, i' if wanted == 2 else 't'}).",
            )
        for argument, allowed in zip(arguments, (TIMES, COLUMNS), strict=False):
            known = allowed | set(DEFAULT_UNITS) | set(DEFAULT_CONSTANTS)
            read = sorted(get_identifiers(argument) - known)
            if read:
                refuse(
                    f"{shortened(call, 80)} reads '{read[0]}'.",
                    f"Which value it is follows from {' and '.join(sorted(allowed))} alone.",
                    "Write numbers with units; sort the columns of the array by neuron.",
                )


def check_columns(model: NeuronModel, n: int) -> None:
    """Refuse n neurons of a model if a TimedArray has no column for one of them.

    Parameters
    ----------
    model : NeuronModel
        The model.
    n : int
        Neurons.

    Raises
    ------
    ValueError
        As :meth:`Lookup.columns` says.
    """
    lookups: list[Lookup] = []
    name_lookups(_text(model), model.timed_arrays, lookups)
    for lookup in lookups:
        lookup.columns(model.timed_arrays[lookup.array], n, where=model.name)


def _text(model: NeuronModel) -> str:
    """All strings of a model that may call a TimedArray."""
    strings = [equation.expr.code for equation in model.brian_equations.values() if equation.expr]
    strings += map(without_comments, (model.threshold, model.reset, model.step, model.surrogate))
    strings += [model.refractory] if isinstance(model.refractory, str) else []
    return "\n".join(strings)


def _check_array(name: str, array: Any, where: str) -> None:
    if not isinstance(array, TimedArray):
        raise TypeError(
            message(
                f"'{name}' is a {type(array).__name__}, no TimedArray.",
                where,
                "Values that change in time have a time step of their own.",
                f"Pass timed_arrays={{'{name}': TimedArray(values, dt=1*ms)}}.",
            )
        )
    taken = (DEFAULT_FUNCTIONS, DEFAULT_UNITS, DEFAULT_CONSTANTS, TIMES | COLUMNS)
    if name == "xi" or name.startswith(("_", "xi_")) or any(name in names for names in taken):
        raise ValueError(
            message(
                f"a TimedArray is called '{name}'.",
                where,
                "Brian2 has another meaning for this name.",
                f"Choose another name, for example '{name.strip('_')}_values'.",
            )
        )
    check_value(f"dt of the TimedArray '{name}'", array.dt * second, SHORTEST, where=where)
    if not array.values.size or not np.all(np.isfinite(array.values)):
        raise ValueError(
            message(
                f"the TimedArray '{name}' has no values, or some that are not finite.",
                where,
                "Its last row is held for ever.",
                "Give it finite numbers, one row or more.",
            )
        )


def refuse_timed_arrays(model: NeuronModel, *, why: str, fix: str) -> None:
    """An error if a model reads TimedArrays, with the reason ``why`` they cannot be had here."""
    if model.timed_arrays:
        name = next(iter(model.timed_arrays))
        raise ValueError(message(f"the model reads the TimedArray '{name}'.", model.name, why, fix))


def plain_array(array: TimedArray) -> dict[str, Any]:
    """A TimedArray as JSON can hold it."""
    return {"values": to_plain(Quantity(array.values, dim=array.dim)), "dt": float(array.dt)}


def read_plain_array(name: str, data: Mapping[str, Any]) -> TimedArray:
    """The TimedArray that :func:`plain_array` was given."""
    check_identifier(name, field="a name in timed_arrays", where="NeuronModel")
    return TimedArray(
        from_plain(data["values"]), dt=float(data["dt"]) * second, name=f"timed_{name}*"
    )
