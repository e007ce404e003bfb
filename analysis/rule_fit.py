"""What the fit of a plasticity rule has come to: parameters with intervals, changes, a picture, a file."""

from __future__ import annotations

import dataclasses
import os
from typing import TYPE_CHECKING, Any

import numpy as np
from brian2.units.fundamentalunits import Quantity, get_dimensions

from neurosnn.analysis.pairing import PairingProtocol
from neurosnn.analysis.published import PublishedPoints
from neurosnn.core.drawing import COLORS, current_axes, plain, zero_lines
from neurosnn.core.files import Damaged, write_arrays
from neurosnn.core.messages import drawable
from neurosnn.core.units import from_plain, to_plain
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

    _format = "neurosnn rule fit 1"

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

    # -- files ------------------------------------------------------------------------------

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the result to an npz file, all at once; `load` reads it.

        Parameters
        ----------
        path : str or path
            The file; replaced if it exists.

        Raises
        ------
        OSError
            If it cannot be written.
        """
        arrays = {"starts": self.starts, "start_errors": self.start_errors}
        information = {
            "format": self._format,
            "rule": self.rule.to_dict(),
            "parameters": {name: to_plain(x) for name, x in self.parameters.items()},
            "intervals": {name: list(map(to_plain, x)) for name, x in self.intervals.items()},
            "undetermined": list(self.undetermined),
            "error": self.error,
            "error_before": self.error_before,
            "measurements": [_points_to_plain(points) for points in self.measurements],
            "changes": to_plain(self.changes),
            "seed": self.seed,
        }
        write_arrays(path, arrays, information)

    @classmethod
    def _from_file(cls, arrays: dict[str, np.ndarray], information: dict[str, Any]) -> RuleFit:
        rule = PlasticityRule.from_dict(information["rule"])
        if not {*rule.parameters} >= {*information["parameters"], *information["undetermined"]}:
            raise Damaged("it has a parameter that its rule has not")
        return cls(
            rule=rule,
            parameters={name: from_plain(x) for name, x in information["parameters"].items()},
            intervals={
                name: (from_plain(low), from_plain(high))
                for name, (low, high) in information["intervals"].items()
            },
            undetermined=tuple(information["undetermined"]),
            error=information["error"],
            error_before=information["error_before"],
            measurements=tuple(map(_points_from_plain, information["measurements"])),
            changes=from_plain(information["changes"]),
            starts=arrays["starts"],
            start_errors=arrays["start_errors"],
            seed=information["seed"],
        )


def _points_to_plain(points: PublishedPoints) -> dict[str, Any]:
    """Measurements as texts and numbers."""
    return {
        "x": to_plain(points.x),
        "dw": to_plain(points.dw),
        "error": to_plain(points.error),
        "source": points.source,
        "protocol": {
            "pre": [to_plain(times) for times in points.protocol.pre],
            "post": [to_plain(times) for times in points.protocol.post],
            "n_repeats": int(points.protocol.n_repeats),
            "rate": to_plain(points.protocol.rate),
        },
    }


def _points_from_plain(data: dict[str, Any]) -> PublishedPoints:
    """What :func:`_points_to_plain` was given."""
    spikes = data["protocol"]
    return PublishedPoints(
        x=from_plain(data["x"]),
        dw=from_plain(data["dw"]),
        error=from_plain(data["error"]),
        source=data["source"],
        protocol=PairingProtocol(
            pre=[from_plain(times) for times in spikes["pre"]],
            post=[from_plain(times) for times in spikes["post"]],
            n_repeats=spikes["n_repeats"],
            rate=from_plain(spikes["rate"]),
        ),
    )


def _labels(x: Any) -> list[str]:
    """What was varied, as text with its unit."""
    values = np.asarray(x, dtype=float)
    unit: Any = Quantity(x).get_best_unit() if isinstance(x, Quantity) else 1.0
    shown = np.atleast_1d(values / float(unit))
    name = f" {unit}" if isinstance(x, Quantity) else ""
    return [", ".join(f"{number:.4g}" for number in np.atleast_1d(row)) + name for row in shown]
