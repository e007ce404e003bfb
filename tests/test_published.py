"""Published measurements, how well the published fits describe them, and how they are drawn."""

from __future__ import annotations

import numpy as np
import pytest
from brian2 import Hz, ms
from plasticity_reference import pair, triplet

from neurosnn import analysis, equations
from neurosnn.equations.triplet_stdp import FITS, NAMES

WANG = ("pairs", "pre-post-pre", "post-pre-post", "quadruplets")
#: In ms; fixed in the fits.
TAU = {"tau_plus": 16.8, "tau_minus": 33.7}


def trains(points, protocol):
    """Presynaptic and postsynaptic spikes (ms) of each point, and the interval between repetitions."""
    for x in np.asarray(points.x / (Hz if protocol in (10, -10) else ms)):
        if protocol in (10, -10):
            yield [0.0], [protocol], 1000 / x
        elif protocol == "pairs":
            yield [0.0], [x], 1000
        elif protocol == "pre-post-pre":  # lags of the middle spike to both others
            yield [0.0, x[0] - x[1]], [x[0]], 1000
        elif protocol == "post-pre-post":
            yield [0.0], [x[0], x[1]], 1000
        else:  # a post-pre pair of 5 ms, and the middle of a pre-post pair x later
            yield [2.5, x - 2.5], [-2.5, x + 2.5], 1000


def changes(rule, measured):
    """Changes by 60 repetitions in an event loop, for all measured points in order."""
    found = []
    for protocol, points in measured.items():
        for pre, post, period in trains(points, protocol):
            every = np.arange(60)[:, None] * period
            found.append(rule((every + pre).ravel() + 100, (every + post).ravel() + 100))
    return np.array(found)


def measurements(data_set):
    if data_set == "visual_cortex":
        return {lag: analysis.sjostrom_2001(lag * ms) for lag in (10, -10)}
    return {protocol: analysis.wang_2005(protocol) for protocol in WANG}


def triplet_rule(fit):
    values = {name: float(value) for name, value in zip(NAMES, FITS[fit], strict=True)}
    values |= {name: 1000 * values[name] for name in ("tau_x", "tau_y")}
    nearest = fit[1] == "nearest"
    return lambda pre, post: triplet(pre, post, **values, **TAU, w=0.0, nearest=nearest)


#: E of the printed parameters, which have two digits, over 10 and 13 points.
ERRORS = {
    ("visual_cortex", "all", False): 0.34,
    ("visual_cortex", "all", True): 0.36,
    ("visual_cortex", "nearest", False): 0.23,
    ("visual_cortex", "nearest", True): 0.35,
    ("hippocampus", "all", False): 2.8,
    ("hippocampus", "all", True): 3.3,
    ("hippocampus", "nearest", False): 2.7,
    ("hippocampus", "nearest", True): 2.7,
}


@pytest.mark.parametrize("fit", FITS)
def test_published_triplet_fits_describe_what_they_were_fitted_to(fit):
    measured = measurements(fit[0])
    error = analysis.fit_error(changes(triplet_rule(fit), measured), *measured.values())
    assert error == pytest.approx(ERRORS[fit], rel=0.03)


@pytest.mark.parametrize(("data_set", "worse"), [("visual_cortex", 15), ("hippocampus", 3)])
def test_no_pair_rule_describes_the_measurements_as_well(data_set, worse):
    """The best pair rule with these time constants: its changes are linear in its two amplitudes."""
    measured = measurements(data_set)
    columns = [
        changes(
            lambda pre, post, a=a, b=b: pair(
                pre, post, A_plus=a, A_minus=b, **TAU, w=0.0, low=-100.0, high=100.0
            ),
            measured,
        )
        for a, b in ((1e-3, 0.0), (0.0, -1e-3))
    ]
    dw, sigma = (
        np.concatenate([getattr(points, name) for points in measured.values()])
        for name in ("dw", "error")
    )
    design = np.column_stack(columns)
    amplitudes = np.linalg.lstsq(design / sigma[:, None], dw / sigma, rcond=None)[0]
    error = analysis.fit_error(design @ amplitudes, *measured.values())
    best = min(value for fit, value in ERRORS.items() if fit[0] == data_set)
    assert error > worse * best


def test_the_protocols_are_those_of_the_event_loops():
    rule = equations.TripletSTDP(
        data_set="hippocampus", pairing="nearest", minimal=True, w_min=-100.0, w_max=100.0
    )
    ours = triplet_rule(("hippocampus", "nearest", True))
    for order in ("pre-post-pre", "post-pre-post"):
        points = analysis.wang_2005(order)
        intervals = np.abs(np.asarray(points.x)) * 1000 * ms
        found = analysis.triplet_changes(rule, intervals, order=order)
        np.testing.assert_allclose(found.dw, changes(ours, {order: points}), atol=1e-9)
        np.testing.assert_allclose(
            np.column_stack([found.first, found.second]), np.asarray(points.x), atol=1e-12
        )
    points = analysis.wang_2005("quadruplets")
    found = analysis.quadruplet_curve(rule, points.x)
    np.testing.assert_allclose(found.dw, changes(ours, {"quadruplets": points}), atol=1e-9)


def test_measurements_are_drawn_beside_the_curve():
    points = analysis.sjostrom_2001(-10 * ms)
    ax = analysis.plot_frequency_curve(([10, 50], [-0.3, 0.7]), published=points, label="model")
    drawn = next(line for line in ax.lines if line.get_gid() == "neurosnn-published")
    assert drawn.get_xdata().tolist() == [0.1, 10, 20, 40, 50]
    assert drawn.get_ydata().tolist() == points.dw.tolist()
    curve = next(line for line in ax.lines if line.get_gid() == "neurosnn")
    assert drawn.get_color() == curve.get_color()
    analysis.plot_frequency_curve(([10], [0.1]), ax=ax, published=analysis.sjostrom_2001())
    labels = ax.get_legend_handles_labels()[1]
    assert labels == ["model", "Sjostrom et al. (2001)"]


def test_measured_triplets_stand_at_their_bars():
    points = analysis.wang_2005("pre-post-pre")
    changes = analysis.TripletChanges([5, 10] * ms, [-15, -10] * ms, [0.1, 0.0], "pre-post-pre")
    ax = analysis.plot_triplets(changes, published=points)
    drawn = next(line for line in ax.lines if line.get_gid() == "neurosnn-published")
    assert dict(zip(drawn.get_xdata(), drawn.get_ydata(), strict=True)) == {2: 0.03, 1: 0.24}
    with pytest.raises(ValueError, match="no measured triplet is among those drawn"):
        analysis.plot_triplets(changes, ax=ax, published=analysis.wang_2005("post-pre-post"))


def test_measured_quadruplets_are_drawn():
    points = analysis.wang_2005("quadruplets")._replace(source="my own")
    curve = analysis.QuadrupletCurve([-20, 20] * ms, np.array([0.1, 0.2]))
    ax = analysis.plot_quadruplets(curve, published=points)
    drawn = next(line for line in ax.lines if line.get_gid() == "neurosnn-published")
    assert drawn.get_xdata() == pytest.approx([-89, 20, 84])
    assert ax.get_legend_handles_labels()[1] == ["my own"]


def test_other_measurements_are_refused():
    with pytest.raises(ValueError, match="no measurements for a lag of 5"):
        analysis.sjostrom_2001(5 * ms)
    with pytest.raises(ValueError, match="protocol='triplets' is not known"):
        analysis.wang_2005("triplets")
    with pytest.raises(ValueError, match="there are 2 measurements"):
        analysis.fit_error([0.1], analysis.wang_2005("pairs"))
