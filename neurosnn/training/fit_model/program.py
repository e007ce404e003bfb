"""The generated program of a fit: one neuron, many sets of parameters, derivatives by the free ones."""

from __future__ import annotations

import copy
import os
from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np

from neurosnn.calculus.tangent import tangent_map
from neurosnn.engine.backward import package_templates
from neurosnn.engine.codegen import render
from neurosnn.engine.layout import initial_values
from neurosnn.engine.program import REAL, Program
from neurosnn.engine.translate import Translator, product_sum
from neurosnn.model import NeuronModel
from neurosnn.training.fit_model.recording import Recording

__all__ = ["LOSSES", "FitProgram", "Squares"]

#: Sets of parameters that one thread carries at once, as many as fill its vector registers twice.
LANES = 8
#: What residuals are summed apart for, in the order of the generated file.
LOSSES = ("voltage", "spikes")
PARTS = len(LOSSES) + 1


class Squares(NamedTuple):
    """Sums over all residuals r with derivatives J, of each loss and each set of parameters.

    Attributes
    ----------
    error : ndarray (n_sets, 2)
        Sum of r*r.
    slope : ndarray (n_sets, 2, P)
        Sum of r*J, half of the gradient; empty without derivatives.
    curvature : ndarray (n_sets, 2, P, P)
        Sum of J*J', half of the Gauss-Newton matrix; empty without derivatives.
    timing : ndarray (n_sets, P, P)
        Sum of sigma*sigma' over all spikes, which move by sigma with the parameters; empty without
        derivatives.
    traces : dict of str to ndarray (n_trials, n_steps, n_sets)
        "voltage", and of a spiking model "fired" and "filtered", if they were asked for.
    """

    error: np.ndarray
    slope: np.ndarray
    curvature: np.ndarray
    timing: np.ndarray
    traces: dict[str, np.ndarray]

    def of(self, sets: np.ndarray) -> Squares:
        """Those of some sets, without traces."""
        return Squares(
            self.error[sets], self.slope[sets], self.curvature[sets], self.timing[sets], {}
        )

    def replaced(self, sets: np.ndarray, others: Squares) -> Squares:
        """With those of other simulations for some sets."""
        parts = [own.copy() for own in (self.error, self.slope, self.curvature, self.timing)]
        new = (others.error, others.slope, others.curvature, others.timing)
        for part, other in zip(parts, new, strict=True):
            part[sets] = other[sets]
        return Squares(parts[0], parts[1], parts[2], parts[3], {})


class FitProgram:
    """A model compiled for many sets of its free parameters.

    Parameters
    ----------
    model : NeuronModel
        The free parameters are arrays of one value.
    free : tuple of str
        Their names.
    recording : Recording
        Currents, voltages and spikes, and how they are weighted.
    threads : int, optional
        All processors if None. It changes no bit of the results.

    Raises
    ------
    ValueError
        If no derivative is known of the model.
    RuntimeError
        If there is no C++ compiler.
    """

    def __init__(
        self,
        model: NeuronModel,
        free: tuple[str, ...],
        recording: Recording,
        *,
        threads: int | None = None,
    ):
        self.model, self.free, self.recording = model, free, recording
        self.threads = threads or os.cpu_count() or 1
        self._layer, source = self._source()
        self._program = Program(source, self._fields, np.dtype("float64"))

    def of(self, recording: Recording) -> FitProgram:
        """The same program with trials of another recording of the same variables.

        Parameters
        ----------
        recording : Recording
            The other recording.

        Returns
        -------
        FitProgram
        """
        other = copy.copy(self)
        other.recording = recording
        return other

    def run(
        self,
        values: Mapping[str, np.ndarray],
        *,
        gradient: bool = True,
        keep: float | None = None,
        shifts: bool = True,
        traces: bool = False,
    ) -> Squares:
        """Simulate all trials with many sets of parameters.

        Parameters
        ----------
        values : mapping of str to ndarray (n_sets,)
            Values of the free parameters in SI units.
        gradient : bool, optional
            Whether derivatives are wanted.
        keep : float, optional
            How much of its deviation from the recording the voltage keeps in each step, while the recorded
            spikes drive the resets; None: the model runs on its own.
        shifts : bool, optional
            Whether spikes move with the parameters. False: the derivative of the sum as it is, in which
            a spike stays in its step.
        traces : bool, optional
            Whether voltages and spikes are wanted.

        Returns
        -------
        Squares
            What is not finite came from a simulation that went beyond all bounds.
        """
        n_sets = len(next(iter(values.values())))
        padded = -(-n_sets // LANES) * LANES
        columns = np.minimum(np.arange(padded), n_sets - 1)
        recording, width = self.recording, len(self.free)
        shape = (recording.n_trials, recording.n_steps, padded)
        results = {"error": np.zeros((recording.n_trials, PARTS, padded))}
        if gradient:
            pairs = width * (width + 1) // 2
            for name, rows in (("slope", width), ("curvature", pairs)):
                results[name] = np.zeros((recording.n_trials, PARTS, rows, padded))
        if traces:
            results["trace"] = np.zeros(shape)
            if self.model.spikes:
                results["fired"] = np.zeros(shape, np.int32)
                results["filtered"] = np.zeros(shape)
        parameters = {
            name: np.ascontiguousarray(
                values[name][columns] if name in values else [float(value)], dtype=float
            )
            for name, value in self.model.parameters.items()
        }
        start = initial_values(self.model, parameters, padded)
        numbers = {
            "n_trials": recording.n_trials,
            "n_steps": recording.n_steps,
            "n_sets": padded,
            "n_threads": self.threads,
            "gradient": gradient,
            "forced": keep is not None,
            "shifts": shifts,
            "keep": 1.0 if keep is None else keep,
            **recording.numbers(forced=keep is not None),
        }
        arrays = {
            **{f"p_{name}": value for name, value in parameters.items()},
            **{f"init_{name}": np.ascontiguousarray(value, float) for name, value in start.items()},
            **recording.arrays(forced=keep is not None),
            **results,
        }
        with np.errstate(all="ignore"):
            self._program.run(numbers | arrays)
        by_set = {
            name: results[name].sum(axis=0)[..., :n_sets]
            for name in ("error", "slope", "curvature")
            if name in results
        }
        curvature = np.zeros((n_sets, PARTS, width, width))
        slope = np.zeros((n_sets, PARTS, width))
        if gradient:
            slope = np.moveaxis(by_set["slope"], -1, 0)
            row, column = np.tril_indices(width)
            curvature[:, :, row, column] = np.moveaxis(by_set["curvature"], -1, 0)
            curvature[:, :, column, row] = curvature[:, :, row, column]
        names = {"trace": "voltage", "fired": "fired", "filtered": "filtered"}
        kept = {
            word: results[name][..., :n_sets] for name, word in names.items() if name in results
        }
        losses = slice(len(LOSSES))
        return Squares(
            by_set["error"].T[:, losses],
            slope[:, losses],
            curvature[:, losses],
            curvature[:, -1],
            kept,
        )

    # -- the C++ ----------------------------------------------------------------------------

    @property
    def _fields(self) -> list[tuple[str, str]]:
        """Names and C++ types of what Python passes."""
        fields = [
            (name, "int64_t")
            for name in (
                "n_trials",
                "n_steps",
                "n_sets",
                "n_threads",
                "gradient",
                "forced",
                "shifts",
            )
        ]
        fields += [
            (name, "double")
            for name in ("dt", "keep", "train_weight", "threshold_weight", "decay", "rise", "jump")
        ]
        fields += [(f"p_{name}", "const double*") for name in self.model.parameters]
        fields += [(f"init_{name}", "const double*") for name in self.model.states]
        fields += [(f"clamp_{name}", "const double*") for name in self.recording.currents]
        fields += [(name, "const double*") for name in ("target", "weight", "train")]
        fields += [("measured", "const int32_t*"), ("fired", "int32_t*")]
        return fields + [
            (name, "double*") for name in ("error", "slope", "curvature", "trace", "filtered")
        ]

    def _source(self) -> tuple[Any, str]:
        model, names = self.model, self.free
        clamped = tuple(self.recording.currents)
        translator = Translator(0, "neuron", model, names)
        tangent = tangent_map(model, names, clamped)
        place = {name: number for number, name in enumerate(tangent.states)}
        translator.intermediate(tangent.intermediate)
        stored: list[str] = []
        values: list[tuple[str, str]] = []
        after: list[tuple[str, str]] = []

        def kept(key: str, text: str, moment: list[tuple[str, str]]) -> str:
            """C++ of a coefficient outside of the loop that computes it."""
            name = translator.entry(key, text, moment, stored)
            return f"{name}[j]" if name in stored else name

        step = {
            (row, by): kept(f"{place[row]}_{by}", text, values)
            for part in (tangent.transition, tangent.effect)
            for (row, by), text in part.items()
        }
        margin = {
            by: kept(f"margin_{by}", text, after)
            for part in (tangent.margin_slope, tangent.margin_effect)
            for by, text in part.items()
        }
        reset = {
            (row, by): translator.expression(text)
            for part in (tangent.reset_slope, tangent.reset_effect)
            for (row, by), text in part.items()
        }

        def sums(coefficients: dict[tuple[str, str], str]) -> list[dict[str, Any]]:
            return [
                {"p": p, "sums": [(row, _row(coefficients, row, name, place)) for row in place]}
                for p, name in enumerate(names)
            ]

        crossing = [
            product_sum(
                [
                    *(f"({margin[s]})*d_{s}[{p}][j]" for s in place if s in margin),
                    *([f"({margin[name]})"] if name in margin else []),
                ]
            )
            for p, name in enumerate(names)
        ]
        initial = {
            (row, names.index(name)): translator.expression(text)
            for (row, name), text in tangent.initial_effect.items()
        }
        period = {
            names.index(name): translator.expression(text)
            for name, text in tangent.period_effect.items()
        }
        margin_code = translator.expression(tangent.margin) if tangent.margin else ""
        layer = translator.finish()
        return layer, render(
            "fit.cpp.jinja",
            package_templates("neurosnn.training.fit_model"),
            layer=layer,
            fields=self._fields,
            real=REAL["float64"],
            lanes=LANES,
            free=names,
            states=tangent.states,
            stored=stored,
            values=values,
            values_after=after,
            tangents=sums(step),
            reset_tangents=sums(reset),
            crossing=crossing,
            margin=margin_code,
            initial_effect=initial,
            period_effect=period,
            clamped=clamped,
            recorded=self.recording.recorded,
            resets=bool(model.reset.strip()),
            held=[s for s in tangent.states if s in _held_while_refractory(model)],
        )


def _row(
    coefficients: dict[tuple[str, str], str], row: str, name: str, place: dict[str, int]
) -> str:
    """One state's new derivative by a parameter, from the derivatives d0, d1 and so on before."""
    terms = [f"({coefficients[row, s]})*d{k}" for s, k in place.items() if (row, s) in coefficients]
    direct = [f"({coefficients[row, name]})"] if (row, name) in coefficients else []
    return str(product_sum([*terms, *direct]))


def _held_while_refractory(model: NeuronModel) -> set[str]:
    """States that stand still in a refractory period."""
    if model.refractory is False:
        return set()
    return {
        name
        for name, equation in model.brian_equations.items()
        if "unless refractory" in equation.flags
    }
