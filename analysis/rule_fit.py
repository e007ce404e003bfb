"""What the fit of a plasticity rule has come to: parameters with intervals, changes, a picture."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any

import numpy as np
from brian2.units.fundamentalunits import Quantity, get_dimensions

from neurosnn.analysis.published import PublishedPoints
from neurosnn.core.drawing import COLORS, current_axes, plain, zero_lines
from neurosnn.core.messages import drawable
from neurosnn.model import PlasticityRule
from neurosnn.training.fit_model.shown import FittedParameters

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["RuleFit"]


@dataclasses.dataclass(frozen=True, eq=False)
class RuleFit(FittedParameters):
    """The result of :func:`fit_rule`.

    Parameters
    ----------
    rule : PlasticityRule
        The rule with the fitted parameters.
    parameters : dict of str to Quantity or float
        The fitted values.
    intervals : dict of str to (Quantity, Quantity)
        95 % intervals from the curvature of the error, inside the bounds.
    undetermined : tuple of str
        Parameters that the measurements do not determine: the interval is more than half of the range
        that was searched, or the value lies at a bound.
    error : float
        Mean square distance in standard errors, :func:`fit_error`.
    error_before : float
        That of the rule as it was passed, for example with published parameters.
    measurements : tuple of PublishedPoints
        What was fitted.
    changes : ndarray or Quantity, shape (n,)
        Changes by the fitted rule, for all measurements one after the other.
    starts : ndarray (n_starts, P)
        Where each start ended, in SI units, in the order of `parameters`.
    start_errors : ndarray (n_starts,)
        The error there.
    seed : int
        Seed of the starts.
    """

    rule: PlasticityRule
    parameters: dict[str, Any]
    intervals: dict[str, tuple[Any, Any]]
    undetermined: tuple[str, ...]
    error: float
    error_before: float
    measurements: tuple[PublishedPoints, ...]
    changes: Any
    starts: np.ndarray
    start_errors: np.ndarray
    seed: int

    def __repr__(self) -> str:
        return "\n".join([self._title(), *self._lines()])

    def _repr_html_(self) -> str:
        return self._html(f"Fit of {self.rule.name}", self._title())

    def _title(self) -> str:
        return f"Fit of {self.rule.name}: E = {self.error:.3g} ({self.error_before:.3g} before)"

    def plot(self, *, ax: Axes | None = None) -> Axes:
        """Draw all measured changes with their standard errors, and those of the fitted rule.

        Parameters
        ----------
        ax : Axes, optional
            Where to draw; the current Axes if None.

        Returns
        -------
        Axes
            The Axes drawn in; measurements are side by side, sets of them apart.
        """
        ax = current_axes(ax)
        zero_lines(ax, vertical=False)
        labels = [_labels(points.x) for points in self.measurements]
        sizes = [len(names) for names in labels]
        places = np.arange(sum(sizes)) + np.repeat(np.arange(len(sizes)), sizes)
        dim = get_dimensions(self.changes)
        measured, errors = (
            np.concatenate([np.asarray(getattr(p, name), dtype=float) for p in self.measurements])
            for name in ("dw", "error")
        )
        changes, unit = plain(self.changes)
        scale = 1.0
        if not dim.is_dimensionless:
            scale = float(Quantity(self.changes).get_best_unit())
        ax.errorbar(
            places,
            measured / scale,
            errors / scale,
            fmt="o",
            color="0.4",
            capsize=2,
            label="measured",
        )
        ax.plot(places, changes, "_", color=COLORS[1], ms=12, mew=2.5, label="fitted")
        ax.set_xticks(places, [text for names in labels for text in names], rotation=90)
        ax.set(ylabel="Δw" + unit, title=drawable(f"{self.rule.name}, E = {self.error:.2g}"))
        ax.legend(fontsize="small")
        return ax


def _labels(x: Any) -> list[str]:
    """What was varied, as text with its unit."""
    values = np.asarray(x, dtype=float)
    unit: Any = Quantity(x).get_best_unit() if isinstance(x, Quantity) else 1.0
    shown = np.atleast_1d(values / float(unit))
    name = f" {unit}" if isinstance(x, Quantity) else ""
    return [", ".join(f"{number:.4g}" for number in np.atleast_1d(row)) + name for row in shown]
