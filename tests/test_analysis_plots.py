"""Plots by the data of their artists: nothing shown, nothing changed, labels with units."""

from __future__ import annotations

import ast
import importlib.util
from pathlib import Path

import numpy as np
import pytest
from brian2 import Hz, ms, mV, nS, second
from matplotlib import colors, pyplot

from neurosnn import EProp, EventProp, analysis, equations
from neurosnn.core.drawing import COLORS, mark_quick_runs


@pytest.fixture(scope="module")
def window():
    return analysis.stdp_window(equations.PairSTDP(A_plus=0.01, A_minus=-0.02), max_lag=5 * ms)


@pytest.fixture(scope="module")
def trace():
    return analysis.eligibility_trace(equations.RewardSTDP(), before=5 * ms, after=20 * ms)


def drawn(ax):
    """Lines of data, without those through the origin."""
    return [line for line in ax.lines if line.get_gid() != "neurosnn-zero"]


MEASURED = analysis.MeasuredWindow(
    [-1, 0, 1] * ms,
    np.array([-1.0, np.nan, 2.0]) * nS,
    np.array([3, 0, 5]),
    np.array([[0.5, np.nan, 0.1], [-0.5, np.nan, 0.3]]) * nS,
)


def recorded(n=1):
    """A recorder as it is after a training."""
    recorder = analysis.AlignmentRecorder({f"rule {k}": EProp() for k in range(n)}, None)
    recorder.epochs = [0, 1]
    recorder.cosines = {
        f"rule {k}": [{"all": 0.1 * k, "w": -0.3}, {"all": 0.5, "w": 0.9}] for k in range(n)
    }
    return recorder


def every_plot(window, trace):
    return {
        "plot_stdp_window": (window,),
        "plot_eligibility": (trace,),
        "plot_raster": ([1, 2] * ms, [0, 3]),
        "plot_state": ([1, 2] * ms, [-70, -60] * mV),
        "plot_learning_curve": ({"loss": [2.0, 1.0]},),
        "plot_frequency_curve": (([10, 20] * Hz, [0.1, 0.2]),),
        "plot_quadruplets": (analysis.QuadrupletCurve([-9, 9] * ms, [0.1, 0.2]),),
        "plot_credit": (analysis.CreditCurve([1, 9] * ms, [1.0, 0.2]),),
        "plot_measured_window": (MEASURED,),
        "plot_alignment": (recorded(),),
    }


@pytest.mark.parametrize("name", sorted(every_plot(None, None)))
def test_axes_are_used_and_returned(name, window, trace, monkeypatch):
    monkeypatch.setattr(pyplot, "show", lambda *_, **__: pytest.fail("shown"))
    draw, data = getattr(analysis, name), every_plot(window, trace)[name]
    figure, (left, right) = pyplot.subplots(1, 2)
    assert draw(*data, ax=left) is left
    assert draw(*data) is right is pyplot.gca()
    assert len(drawn(left)) == len(drawn(right)) == 1
    assert pyplot.get_fignums() == [figure.number]
    assert left.get_xlabel()
    assert left.get_ylabel() or name == "plot_state"


def test_window_is_drawn(window):
    lag, dw = np.array(window.lag), window.dw.copy()
    ax = analysis.plot_stdp_window(window, label="pair", linewidth=3)
    (line,) = drawn(ax)
    x, y = line.get_data()
    seen = ~np.isnan(y)  # the gap at lag 0
    assert x[seen] == pytest.approx(np.arange(-5, 6))
    assert np.array_equal(y[seen], dw)
    assert (line.get_label(), line.get_linewidth()) == ("pair", 3)
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("t_post - t_pre (ms)", "Δw")
    assert np.array_equal(np.array(window.lag), lag)
    assert window.lag.dim is second.dim
    assert np.array_equal(window.dw, dw)


def test_no_line_crosses_the_jump_of_a_window():
    lag = np.arange(-10.0, 11)
    curve = np.where(lag < 0, -1, 1) * np.exp(-np.abs(lag) / 10)
    (line,) = drawn(analysis.plot_stdp_window((lag, curve)))
    x, y = line.get_data()
    (gap,) = np.flatnonzero(np.isnan(y))
    assert (x[gap - 1], x[gap + 1]) == (-1, 0)
    assert np.array_equal(np.delete(y, gap), curve)
    for smooth in (np.exp(-np.abs(lag) / 10), (lag == 0) * 1.0):  # a cusp, a peak at lag 0
        (line,) = drawn(analysis.plot_stdp_window((lag, smooth), ax=pyplot.figure().gca()))
        assert np.array_equal(line.get_ydata(), smooth)


def test_a_window_of_e_prop_is_called_a_gradient():
    window = analysis.GradientWindow([-1, 1] * ms, np.array([1.0, 2.0]))
    assert analysis.plot_stdp_window(window).get_ylabel() == "gradient Σ L e"
    measured = analysis.stdp_window(EProp(), post=equations.LIF(), max_lag=2 * ms)
    assert isinstance(measured, analysis.GradientWindow)


def test_windows_on_the_same_axes_differ_in_colour_and_share_the_origin(window):
    ax = analysis.plot_stdp_window(window)
    n_zero = len(ax.lines) - 1
    analysis.plot_stdp_window(window, ax=ax)
    analysis.plot_stdp_window(window, ax=ax, color="red")
    # Measured points, in ms as on the axis
    analysis.plot_stdp_window(([-10.0, 10.0], [-0.5, 0.5]), ax=ax, linestyle="none")
    lines = drawn(ax)
    assert [line.get_color() for line in lines] == [COLORS[0], COLORS[1], "red", COLORS[3]]
    assert len(ax.lines) == len(lines) + n_zero
    assert lines[3].get_xdata().tolist() == [-10, 10]


def test_window_of_a_weight_with_unit_has_it_on_the_axis():
    ax = analysis.plot_stdp_window(([-1, 1] * ms, [-2, 3] * nS))
    assert ax.get_ylabel() == "Δw (nS)"
    assert drawn(ax)[0].get_ydata() == pytest.approx([-2, 3])


def test_colours_can_be_told_apart():
    """Lightness alone separates neighbours in the cycle enough for any kind of colour vision."""
    linear = np.array([colors.to_rgb(color) for color in COLORS]) ** 2.2
    assert len(set(COLORS)) == len(COLORS) == 8
    luminance = linear @ [0.2126, 0.7152, 0.0722]
    assert np.min(np.abs(np.diff(luminance[[0, 1, 3, 4]]))) > 0.02
    assert luminance[6] == 0


def test_eligibility_is_drawn_with_its_components(trace):
    ax = analysis.plot_eligibility(trace)
    (line,) = drawn(ax)
    assert line.get_xdata() == pytest.approx(np.arange(-15, 21))
    assert np.array_equal(line.get_ydata(), trace.e)
    assert ax.get_legend() is None
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("t - t_post (ms)", "eligibility trace")
    parts = analysis.EligibilityTrace(trace.t, trace.e, {"x": 2 * trace.e, "y": 3 * trace.e})
    lines = drawn(analysis.plot_eligibility(parts, ax=pyplot.figure().gca(), components=True))
    assert [line.get_label() for line in lines] == ["e", "x", "y"]
    assert np.array_equal(lines[2].get_ydata(), 3 * trace.e)


def test_raster_is_drawn():
    times, units = np.array([3, 1, 2]) * ms, np.array([5, 0, 2])
    ax = analysis.plot_raster(times, units, color="green")
    (line,) = drawn(ax)
    assert line.get_xdata() == pytest.approx([3, 1, 2])
    assert line.get_ydata().tolist() == [5, 0, 2]
    assert (line.get_linestyle(), line.get_marker(), line.get_color()) == ("None", "|", "green")
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("time (ms)", "neuron")


def test_states_are_drawn_in_a_unit_of_their_size():
    values = np.array([[-70, -60, -50], [-1, -2, -3]]) * mV
    before = np.array(values)
    ax = analysis.plot_state([1, 2, 3] * ms, values, name="v", label="cell")
    assert ax.get_ylabel() == "v (mV)"
    assert [line.get_ydata().tolist() for line in drawn(ax)] == [
        pytest.approx([-70, -60, -50]),
        pytest.approx([-1, -2, -3]),
    ]
    assert drawn(ax)[0].get_label() == "cell"
    assert np.array_equal(np.array(values), before)
    plain = analysis.plot_state([1, 2], [0.5, 0.7], ax=pyplot.figure().gca(), name="a")
    assert plain.get_ylabel() == "a"


def test_learning_curve_is_drawn():
    history = {
        "epoch": [1, 2, 3],
        "loss": [2.0, 1.0, 0.5],
        "accuracy": [0.1, 0.5, 0.9],
        "validation_accuracy": [np.nan, 0.4, 0.8],
        "rate.hidden": [10, 11, 12],
    }
    ax = analysis.plot_learning_curve(history)
    lines = drawn(ax)
    assert [line.get_label() for line in lines] == ["training", "validation"]
    assert lines[0].get_ydata().tolist() == [10, 50, 90]
    assert lines[1].get_ydata()[1:].tolist() == [40, 80]
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("epoch", "accuracy (%)")
    loss = analysis.plot_learning_curve(history, quantity="loss", ax=pyplot.figure().gca())
    assert drawn(loss)[0].get_ydata().tolist() == [2, 1, 0.5]
    assert loss.get_legend() is None
    rate = analysis.plot_learning_curve(history, quantity="rate.hidden", ax=pyplot.figure().gca())
    assert rate.get_ylabel() == "firing rate of hidden (Hz)"


def test_learning_curve_of_a_history():
    from neurosnn.training.history import History

    history = History([{"epoch": 1, "loss": 2.0}, {"epoch": 2, "loss": 1.5}])
    (line,) = drawn(analysis.plot_learning_curve(history))
    assert line.get_xdata().tolist() == [1, 2]
    assert line.get_ydata().tolist() == [2, 1.5]


def test_frequencies_and_quadruplets_are_drawn():
    (line,) = drawn(analysis.plot_frequency_curve(([10, 50] * Hz, [-0.1, 0.2] * nS), color="k"))
    assert line.get_xdata().tolist() == [10, 50]
    assert line.get_ydata() == pytest.approx([-100, 200])
    assert line.axes.get_ylabel() == "Δw (pS)"
    ax = analysis.plot_quadruplets(
        analysis.QuadrupletCurve([-9, -6, 6] * ms, [1.0, 2.0, 3.0]), ax=pyplot.figure().gca()
    )
    x, y = drawn(ax)[0].get_data()
    assert x.tolist()[:2] == pytest.approx([-9, -6])
    assert np.isnan(x[2])
    assert np.isnan(y[2])
    assert y[3] == 3


def test_triplets_are_drawn_as_bars():
    changes = analysis.TripletChanges([5, 10] * ms, [-5, -15] * ms, [0.1, -0.2], "pre-post-pre")
    ax = analysis.plot_triplets(changes)
    assert [patch.get_height() for patch in ax.patches] == [0.1, -0.2]
    assert [text.get_text() for text in ax.get_xticklabels()] == ["(+5, -5)", "(+10, -15)"]
    assert ax.get_xlabel() == "t_post - t_pre (ms), pre-post-pre"


def test_rate_curve_is_drawn_with_its_error_and_threshold():
    curve = analysis.RateCurve([5, 10] * Hz, [-1, 1] * Hz, [0.1, 0.2] * Hz, 7.5 * Hz)
    ax = analysis.plot_rate_curve(curve, label="triplet")
    line = next(line for line in drawn(ax) if line.get_gid() == "neurosnn")
    mark = next(line for line in ax.lines if line.get_gid() == "neurosnn-threshold")
    assert line.get_ydata().tolist() == [-1, 1]
    assert mark.get_xdata() == [7.5]
    low, high = ax.collections[0].get_datalim(ax.transData).intervaly
    assert (low, high) == pytest.approx((-1.2, 1.4))
    assert ax.get_ylabel() == "mean dw/dt (1/s)"
    none = curve._replace(threshold=np.nan * Hz)
    ax = analysis.plot_rate_curve(none, ax=pyplot.figure().gca())
    assert not [line for line in ax.lines if line.get_gid() == "neurosnn-threshold"]


def test_measured_window_is_drawn_with_its_control():
    ax = analysis.plot_measured_window(MEASURED)
    (line,) = drawn(ax)
    assert line.get_ydata()[[0, 2]] == pytest.approx([-1, 2])
    assert ax.get_ylabel() == "Δw per pair (nS)"
    low, high = ax.collections[0].get_datalim(ax.transData).intervaly
    assert low == pytest.approx(-0.475)
    assert high == pytest.approx(0.475)


def test_alignment_is_drawn_for_each_reference():
    ax = analysis.plot_alignment(recorded(2), block="all")
    assert [list(line.get_ydata()) for line in drawn(ax)] == [[0.0, 0.5], [0.1, 0.5]]
    labels = [text.get_text() for text in ax.get_legend().get_texts()]
    assert labels == ["with rule 0", "with rule 1"]
    assert ax.get_ylim()[1] == 1.05
    assert analysis.plot_alignment(recorded(), block="w").get_ylim()[0] < -0.3


def test_credit_is_drawn_on_a_logarithmic_axis_without_zeros():
    ax = analysis.plot_credit(analysis.CreditCurve([1, 2, 3] * ms, np.array([1, 0, 0.1])))
    assert np.isnan(drawn(ax)[0].get_ydata()[1])
    assert ax.get_yscale() == "log"


def test_distributions_are_drawn_with_their_unit():
    weights = analysis.Histogram([0, 1, 2] * nS, np.array([3, 4]))
    ax = analysis.plot_distribution(weights, name="weight")
    assert ax.patches[0].get_data().values.tolist() == [3, 4]
    assert ax.patches[0].get_data().edges == pytest.approx([0, 1, 2])
    assert ax.get_xlabel() == "weight (nS)"
    rates = analysis.Histogram([0, 5, 10] * Hz, np.array([3, 4]))
    ax = analysis.plot_distribution(rates, name="rate", ax=pyplot.figure().gca())
    assert ax.get_xlabel() == "rate (Hz)"


def test_locality_is_drawn_as_squares():
    rules = {"pairs": equations.PairSTDP(), "EventProp": EventProp()}
    ax = analysis.plot_locality(rules)
    filled = [line for line in ax.lines if line.get_markerfacecolor() != "none"]
    assert len(ax.lines) == 16
    assert len(filled) == sum(sum(analysis.locality(rule)) for rule in rules.values())
    assert {line.get_markerfacecolor() for line in filled} == {COLORS[0], COLORS[1]}


@pytest.mark.parametrize(
    ("draw", "match"),
    [
        (lambda: analysis.plot_frequency_curve(([1] * ms, [0])), "the rates are in"),
        (lambda: analysis.plot_alignment(recorded(), block="v"), "no block 'v'"),
        (lambda: analysis.plot_stdp_window(([1, 2] * mV, [0, 0])), "the times are in V"),
        (lambda: analysis.plot_raster([1, 2, 3] * ms, [0, 1]), "3 times for 2 units"),
        (lambda: analysis.plot_state([1, 2] * ms, [1, 2, 3]), "3 values for 2 times"),
        (lambda: analysis.plot_learning_curve({}), "no column 'loss'.*No epoch has ended"),
        (
            lambda: analysis.plot_learning_curve({"loss": [1]}, quantity="los"),
            "no column 'los'.*Did you mean 'loss'",
        ),
    ],
)
def test_bad_data_is_refused(draw, match):
    with pytest.raises(ValueError, match=match):
        draw()


@pytest.mark.parametrize("name", ["analysis.plotting", "core.drawing"])
def test_analysis_imports_matplotlib_only_when_it_draws(name):
    path = Path(importlib.util.find_spec(f"neurosnn.{name}").origin)
    body = ast.parse(path.read_text(encoding="utf-8")).body
    names = [ast.unparse(node) for node in body if isinstance(node, ast.Import | ast.ImportFrom)]
    assert names
    assert not [name for name in names if "matplotlib" in name]


def test_study_is_drawn_as_means_with_intervals():
    from neurosnn.study import StudyTable

    rows = [
        {"n": n, "rule": rule, "seed": seed, "y": n * seed + (rule == "b"), "status": "done"}
        for rule in "ab"
        for n in (16, 8)
        for seed in (1, 3)
    ]
    table = StudyTable([*rows, {"n": 8, "rule": "a", "seed": 5, "status": "failed"}])
    ax = analysis.plot_study(table, "y", by="n", groups="rule")
    line, _, (bars,) = ax.containers[1].lines
    assert line.get_xdata().tolist() == [8, 16]
    assert line.get_ydata().tolist() == [17, 33]
    low, high = bars.get_segments()[0][:, 1]
    assert (high - 17, 17 - low) == pytest.approx([12.706 * 8] * 2, rel=1e-4)
    assert [text.get_text() for text in ax.get_legend().get_texts()] == ["a", "b"]
    names = analysis.plot_study(table, "y", by="rule", ax=pyplot.figure().gca())
    assert [text.get_text() for text in names.get_xticklabels()] == ["a", "b"]
    scattered = [line for line in names.lines if line.get_gid() == "neurosnn-points"]
    assert len(scattered[0].get_xdata()) == 8
    units = StudyTable([{"tau": tau * ms, "y": 1.0} for tau in (20, 10)])
    ax = analysis.plot_study(units, "y", by="tau", ax=pyplot.figure().gca())
    assert ax.get_xlabel() == "tau (ms)"
    assert ax.containers[0].lines[0].get_xdata() == pytest.approx([10, 20])


def test_figures_of_quick_runs_say_so():
    with pyplot.rc_context():
        mark_quick_runs()
        texts = [text.get_text() for text in pyplot.figure().texts]
    assert texts == ["quick run: only a test"]
    assert not pyplot.figure().texts
