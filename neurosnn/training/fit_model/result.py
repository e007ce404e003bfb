"""What a fit has come to: parameters with intervals, the fitted model, traces, a picture, a file."""

from __future__ import annotations

import dataclasses
import os
from typing import TYPE_CHECKING, Any

import numpy as np
from brian2.units.allunits import second
from brian2.units.fundamentalunits import DIMENSIONLESS, Quantity, get_dimensions
from brian2.units.stdunits import ms

from neurosnn.core.drawing import COLORS, current_axes
from neurosnn.core.files import Damaged, write_arrays
from neurosnn.core.messages import drawable, message
from neurosnn.core.units import from_plain, to_plain
from neurosnn.core.values import check_whole
from neurosnn.model import NeuronModel
from neurosnn.training.fit_model.free import fitted_model
from neurosnn.training.fit_model.shown import FittedParameters, labels_of

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["ModelFit"]

MEASURED, FITTED = "0.6", COLORS[0]


@dataclasses.dataclass(frozen=True, eq=False)
class ModelFit(FittedParameters):
    """The result of :func:`neurosnn.fit_model`.

    Parameters
    ----------
    model : NeuronModel
        The model with the fitted parameters; a fitted state has its initial value. Of several cells it
        is that of a group with a neuron for each; `models` has one for each cell.
    parameters : dict of str to Quantity
        The fitted values; of several cells an array (n_cells,), or one value if it is shared.
    intervals : dict of str to (Quantity, Quantity)
        95 % intervals from the curvature of the loss, inside the bounds, in the shape of the values.
    undetermined : tuple of str
        Parameters that the recording does not determine: the interval is more than half of the range
        that was searched, or ends at a bound. "g_L[2]" is that of cell 2.
    loss : float
        What was made small: of several cells the mean of their losses.
    losses : dict of str to float
        Its parts, "voltage" and "spikes".
    starts : ndarray (n_starts, P), of several cells (n_starts, n_cells, P)
        Where each start ended, in SI units, in the order of `parameters`.
    start_losses : ndarray (n_starts,), of several cells (n_starts, n_cells)
        The loss there; infinite for a start that was given up on the way.
    method : str
        "gradient" or "differential_evolution".
    seed : int
        Seed of the starts.
    simulated : Quantity (second)
        Simulated time, all starts and trials together.
    voltage, fitted_voltage : Quantity (n_trials, n_steps)
        The recording, NaN where none was made, and the voltage of the fitted model.
    spikes, fitted_spikes : list of Quantity (second)
        Times of recorded spikes and of those of the fitted model, a train a trial; empty without.
    dt : Quantity (second)
        The time step.
    cells : ndarray (n_trials,) of int, optional
        Of which cell each trial is; None if all are of one.
    """

    model: NeuronModel
    parameters: dict[str, Any]
    intervals: dict[str, tuple[Any, Any]]
    undetermined: tuple[str, ...]
    loss: float
    losses: dict[str, float]
    starts: np.ndarray
    start_losses: np.ndarray
    method: str
    seed: int
    simulated: Quantity
    voltage: Any
    fitted_voltage: Any
    spikes: list[Quantity]
    fitted_spikes: list[Quantity]
    dt: Quantity
    cells: np.ndarray | None = None

    _format = "neurosnn model fit 1"

    @property
    def models(self) -> tuple[NeuronModel, ...]:
        """The model of each cell, with one value of each parameter."""
        if self.cells is None:
            return (self.model,)
        return tuple(
            fitted_model(
                self.model,
                {name: x[k] if np.ndim(x) else x for name, x in self.parameters.items()},
            )
            for k in range(self._n_cells)
        )

    @property
    def _n_cells(self) -> int:
        return 1 if self.cells is None else int(self.cells.max()) + 1

    @property
    def _title(self) -> str:
        if self.cells is None:
            return f"Fit of {self.model.name}"
        cells = "cell" if self._n_cells == 1 else "cells"
        return f"Fit of {self.model.name} to {self._n_cells} {cells}"

    def __repr__(self) -> str:
        return "\n".join([f"{self._title}: loss {self.loss:.4g}", *self._lines()])

    def _repr_html_(self) -> str:
        return self._html(self._title, f"loss {self.loss:.4g}, {len(self.start_losses)} starts")

    def plot(self, *, trial: int = 0, ax: Axes | None = None) -> Axes:
        """Draw the recorded and the fitted voltage, and the spikes above them.

        Parameters
        ----------
        trial : int, optional
            Which trial.
        ax : Axes, optional
            Where to draw; the current Axes if None.

        Returns
        -------
        Axes
            The Axes drawn in.

        Raises
        ------
        ValueError
            If there is no such trial.
        """
        check_whole("trial", trial, 0, where="ModelFit.plot")
        if trial >= len(self.voltage):
            raise ValueError(
                message(
                    f"there is no trial {trial}.",
                    "ModelFit.plot",
                    f"The recording has {len(self.voltage)}, counted from 0.",
                    f"Choose one up to {len(self.voltage) - 1}.",
                )
            )
        ax = current_axes(ax)
        plain = get_dimensions(self.voltage) is DIMENSIONLESS
        unit = 1.0 if plain else Quantity(self.voltage[trial]).get_best_unit()
        time = np.arange(self.voltage.shape[1]) * float(self.dt / ms)
        traces = ((self.voltage, MEASURED, "recorded"), (self.fitted_voltage, FITTED, "fitted"))
        drawn = [np.asarray(trace[trial]) / float(unit) for trace, _, _ in traces]
        for values, (_, color, label) in zip(drawn, traces, strict=True):
            ax.plot(time, values, color=color, label=label, lw=1)
        top = np.nanmax(drawn)
        height = 0.06 * (top - np.nanmin(drawn))
        pairs = ((self.spikes, MEASURED), (self.fitted_spikes, FITTED))
        for row, (trains, color) in enumerate(pairs):
            if trains:
                times = np.asarray(trains[trial]) / float(ms)
                ax.plot(times, np.full(len(times), top + (2 - row) * height), "|", color=color)
        ax.set(xlabel="time (ms)", ylabel="voltage" if plain else f"voltage ({unit})")
        cell = "" if self.cells is None else f", cell {self.cells[trial]}"
        ax.set_title(drawable(f"{self.model.name}{cell}"))
        ax.legend(loc="upper right", fontsize="small")
        return ax

    def coincidence(self, window: Quantity = 4 * ms) -> float:
        r"""The coincidence factor of recorded and fitted spikes.

        .. math::
            \Gamma = \frac{N_{coinc} - 2 \nu \Delta N}{\tfrac12 (N + \hat N)}\,\frac{1}{1 - 2 \nu \Delta}

        with the fitted model's rate :math:`\nu` and the window :math:`\Delta`; 1: the same spikes within the
        window, 0: as many coincidences as those of a Poisson process with the rate of the model.

        Parameters
        ----------
        window : Quantity (second), optional
            How far apart two spikes may be.

        Returns
        -------
        float
            The factor over all trials; nan if no spikes were recorded and the model has none.

        References
        ----------
        Kistler, Gerstner & van Hemmen, Neural Computation 9:1015 (1997); Jolivet et al., J. Neurosci.
        Methods 169:417 (2008).
        """
        near, recorded, fitted = 0, 0, 0
        for theirs, ours in zip(self.spikes, self.fitted_spikes, strict=True):
            a, b = np.asarray(theirs), np.asarray(ours)
            recorded, fitted = recorded + len(a), fitted + len(b)
            if len(a) and len(b):
                near += int((np.abs(a[:, None] - b).min(axis=1) <= float(window)).sum())
        if not recorded + fitted:
            return float("nan")
        rate = fitted / (self.voltage.size * float(self.dt))
        by_chance = 2 * rate * float(window)
        return (near - by_chance * recorded) / (0.5 * (recorded + fitted)) / (1 - by_chance)

    # -- files ------------------------------------------------------------------------------

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the result to an npz file, all at once.

        Parameters
        ----------
        path : str or path
            The file; replaced if it exists.

        Raises
        ------
        OSError
            If it cannot be written.
        """
        arrays = {
            "starts": self.starts,
            "start_losses": self.start_losses,
            "voltage": np.asarray(self.voltage),
            "fitted_voltage": np.asarray(self.fitted_voltage),
        }
        for name, trains in (("spikes", self.spikes), ("fitted_spikes", self.fitted_spikes)):
            arrays |= {f"{name}/{k}": np.asarray(train) for k, train in enumerate(trains)}
        information = {
            "format": self._format,
            "model": self.model.to_dict(),
            "parameters": {name: to_plain(x) for name, x in self.parameters.items()},
            "intervals": {name: list(map(to_plain, x)) for name, x in self.intervals.items()},
            "undetermined": list(self.undetermined),
            "loss": self.loss,
            "losses": self.losses,
            "method": self.method,
            "seed": self.seed,
            "simulated": float(self.simulated),
            "dt": float(self.dt),
            "unit": to_plain(Quantity(1.0, dim=get_dimensions(self.voltage))),
            "n_trains": len(self.spikes),
            "cells": None if self.cells is None else self.cells.tolist(),
        }
        write_arrays(path, arrays, information)

    @classmethod
    def _from_file(cls, arrays: dict[str, np.ndarray], information: dict[str, Any]) -> ModelFit:
        unit = from_plain(information["unit"])
        model = NeuronModel.from_dict(information["model"])
        parameters = {name: from_plain(x) for name, x in information["parameters"].items()}
        labels = {label for name, x in parameters.items() for label in labels_of(name, x)}
        known = {*model.parameters, *model.states} >= {*parameters}
        if not known or not labels >= {*information["undetermined"]}:
            raise Damaged("it has a parameter that its model has not")
        cells = information.get("cells")  # files of older versions are of one
        if cells is not None:
            cells = np.array(cells, dtype=np.int64)
            if cells.shape != arrays["voltage"].shape[:1] or cells.min() < 0:
                raise Damaged("its cells are not those of its trials")

        def trains(name: str) -> list[Quantity]:
            return [arrays[f"{name}/{k}"] * second for k in range(information["n_trains"])]

        return cls(
            model=model,
            parameters=parameters,
            intervals={
                name: (from_plain(low), from_plain(high))
                for name, (low, high) in information["intervals"].items()
            },
            undetermined=tuple(information["undetermined"]),
            loss=information["loss"],
            losses=information["losses"],
            starts=arrays["starts"],
            start_losses=arrays["start_losses"],
            method=information["method"],
            seed=information["seed"],
            simulated=information["simulated"] * second,
            voltage=arrays["voltage"] * unit,
            fitted_voltage=arrays["fitted_voltage"] * unit,
            spikes=trains("spikes"),
            fitted_spikes=trains("fitted_spikes"),
            dt=information["dt"] * second,
            cells=cells,
        )
