"""Triplets, quadruplets and rate curves against plain numpy, mean-field theory and the papers."""

from __future__ import annotations

import numpy as np
import pytest
from brian2 import Hz, defaultclock, ms, nS, second
from plasticity_reference import pair, periodic_triplet, triplet
from scipy import stats

from neurosnn import EProp, analysis, equations
from neurosnn.analysis.rates import poisson_trains

WIDE = {"w_min": -100.0, "w_max": 100.0}
PAIR = {"A_plus": 0.01, "A_minus": -0.012, "tau_plus": 17 * ms, "tau_minus": 34 * ms}


def numbers(rule):
    """Parameters as numpy_reference wants them: times in ms."""
    return {
        name: float(value / ms) if name.startswith("tau") else float(value)
        for name, value in rule.parameters.items()
    }


def repeated(times, period, n):
    return [time + k * period for k in range(n) for time in times]


# -- patterns ---------------------------------------------------------------------------------------


def test_patterns_equal_the_event_loop():
    rule = equations.TripletSTDP(data_set="hippocampus", **WIDE)
    patterns = [([0, 7, 30], [3, 12]), ([-4], [-9, 0, 8]), ([5, 6], [])]
    dw = analysis.pattern_change(
        rule,
        [pre * ms for pre, _ in patterns],
        [np.array(post, dtype=float) * ms for _, post in patterns],
        n_repeats=4,
        rate=20 * Hz,
    )
    for k, (pre, post) in enumerate(patterns):
        wanted = triplet(
            repeated(pre, 50, 4), repeated(post, 50, 4), **numbers(rule), w=0.0, nearest=False
        )
        assert dw[k] == pytest.approx(wanted, abs=1e-12)
    assert dw[2] == 0
    assert np.all(dw[:2] != 0)


@pytest.mark.parametrize("order", ["pre-post-pre", "post-pre-post"])
def test_triplets_equal_the_event_loop(order):
    rule = equations.TripletSTDP(data_set="hippocampus", minimal=True, **WIDE)
    intervals = np.array([[5, 5], [10, 10], [15, 5], [5, 15]])
    changes = analysis.triplet_changes(rule, intervals * ms, order=order, n_repeats=3, rate=10 * Hz)
    sign = 1 if order == "pre-post-pre" else -1
    assert np.asarray(changes.first / ms) == pytest.approx(sign * intervals[:, 0])
    assert np.asarray(changes.second / ms) == pytest.approx(-sign * intervals[:, 1])
    for k, (a, b) in enumerate(intervals):
        outer, inner = repeated([0, a + b], 100, 3), repeated([a], 100, 3)
        pre, post = (outer, inner) if order == "pre-post-pre" else (inner, outer)
        wanted = triplet(pre, post, **numbers(rule), w=0.0, nearest=False)
        assert changes.dw[k] == pytest.approx(wanted, abs=1e-12)


def test_triplets_of_the_published_fit_are_not_symmetric_as_wang_found():
    """Post-pre-post potentiates clearly, pre-post-pre about as little as nothing (Wang 2005, fig. 2)."""
    rule = equations.TripletSTDP(data_set="hippocampus", minimal=True, **WIDE)
    both = [
        analysis.triplet_changes(
            rule, [[5, 5], [10, 10]] * ms, order=order, n_repeats=5, rate=2 * Hz
        )
        for order in ("post-pre-post", "pre-post-pre")
    ]
    assert np.all(both[0].dw > 3 * np.abs(both[1].dw))
    # A pair rule of the same amplitudes makes no difference between them at equal intervals.
    pair_rule = equations.PairSTDP(**PAIR, **WIDE)
    same = [
        analysis.triplet_changes(
            pair_rule, [[5, 5]] * ms, order=order, n_repeats=5, rate=2 * Hz
        ).dw[0]
        for order in ("post-pre-post", "pre-post-pre")
    ]
    assert same[0] == pytest.approx(same[1], rel=1e-3)


def test_quadruplets_equal_the_event_loop():
    rule = equations.PairSTDP(**PAIR, **WIDE)
    separations = [-40, -10, 10, 40]
    curve = analysis.quadruplet_curve(rule, separations * ms, n_repeats=3, rate=5 * Hz)
    assert np.asarray(curve.separation / ms) == pytest.approx(separations)
    values = numbers(rule)
    for k, T in enumerate(separations):
        pre = repeated([0, T - 5], 200, 3)
        post = repeated([-5, T], 200, 3)
        wanted = pair(pre, post, **values, w=0.0, low=-100, high=100)
        assert curve.dw[k] == pytest.approx(wanted, abs=1e-12)


def test_patterns_work_with_units_delays_and_derived_rules():
    rule = equations.PairSTDP(A_plus=0.01 * nS, A_minus=-0.02 * nS, w_min=0 * nS, w_max=1 * nS)
    dw = analysis.pattern_change(rule, [[0] * ms], [[12] * ms], n_repeats=1, delay=2 * ms)
    assert dw[0] / nS == pytest.approx(0.01 * np.exp(-10 / 20))
    single = analysis.pattern_change(
        EProp(), [[0] * ms], [[10] * ms], n_repeats=1, post=equations.STDP_LIF(t_ref=5 * ms)
    )
    window = analysis.stdp_window(
        EProp(), post=equations.STDP_LIF(t_ref=5 * ms), max_lag=10 * ms, step=10 * ms
    )
    assert single[0] == pytest.approx(window.dw[2], rel=1e-6)
    assert single[0] != 0
    assert defaultclock.dt == 0.1 * ms


@pytest.mark.parametrize(
    ("arguments", "options", "match"),
    [
        (([[0] * ms], []), {}, "1 patterns of presynaptic and 0"),
        (([[0] * ms], [[0.5] * ms]), {}, "not a multiple of the time step"),
        (([[0, 0] * ms], [[1] * ms]), {}, "two spikes in one time step"),
        (([[0] * ms], [[90] * ms]), {"rate": 20 * Hz}, "would overlap"),
        (([[0] * ms], [[1] * ms]), {"n_repeats": 0}, "n_repeats must be"),
    ],
)
def test_bad_patterns_are_refused(arguments, options, match):
    with pytest.raises(ValueError, match=match):
        analysis.pattern_change(equations.PairSTDP(), *arguments, **options)


def test_bad_triplets_and_quadruplets_are_refused():
    rule = equations.PairSTDP()
    with pytest.raises(ValueError, match="must have the shape"):
        analysis.triplet_changes(rule, [[1, 2, 3]] * ms)
    with pytest.raises(ValueError, match="order='x' is not known"):
        analysis.triplet_changes(rule, [[1, 2]] * ms, order="x")
    with pytest.raises(ValueError, match="The two pairs would overlap"):
        analysis.quadruplet_curve(rule, [3] * ms)


# -- frequency --------------------------------------------------------------------------------------


def test_frequency_curve_has_the_shape_of_the_published_fits():
    """Visual cortex (Sjostrom 2001, fig. 6 of Pfister & Gerstner 2006).

    Pre before post: nothing at 0.1 Hz, more potentiation with each frequency. Post before pre:
    depression at 0.1 to 20 Hz that turns into potentiation at 40 and 50 Hz. 60 pairs, 10 ms.
    """
    rule = equations.TripletSTDP(data_set="visual_cortex", minimal=True, **WIDE)
    values = numbers(rule)
    frequency = np.array([0.1, 10, 20, 40, 50])

    def change(lag):
        return np.array([periodic_triplet(1000 / f, lag, 60, **values) for f in frequency])

    before, after = change(10.0), change(-10.0)
    assert abs(before[0]) < 0.02
    assert np.all(np.diff(before) > 0)
    assert before[-1] > 0.4
    assert np.all(after[:3] < -0.1)
    assert np.all(after[3:] > 0)
    # The Brian2 protocol is the closed form; the lowest frequency alone would take ten minutes.
    for lag, wanted in ((10, before), (-10, after)):
        curve = analysis.pairing_frequency_curve(rule, frequency[3:] * Hz, lag=lag * ms, n_pairs=60)
        assert curve.dw == pytest.approx(wanted[3:], abs=1e-10)


# -- rates ------------------------------------------------------------------------------------------


def mean_field(rule, pre, post, dt=1.0):
    """Drift per second of the triplet rule for independent Bernoulli spikes, exact for the grid."""
    v = numbers(rule)
    px, py = pre * dt / 1000, post * dt / 1000
    q = {name: np.exp(-dt / v[name]) for name in ("tau_plus", "tau_minus", "tau_x", "tau_y")}
    before = {name: value / (1 - value) for name, value in q.items()}
    r1 = px / (1 - q["tau_plus"])  # with the presynaptic spike of the same step
    plus = py * r1 * (v["A2_plus"] + v["A3_plus"] * py * before["tau_y"])
    minus = px * py * before["tau_minus"] * (v["A2_minus"] + v["A3_minus"] * px * before["tau_x"])
    return (plus - minus) * 1000 / dt


def test_rate_curve_equals_mean_field_theory_and_has_a_bcm_threshold():
    rule = equations.TripletSTDP(data_set="visual_cortex", minimal=True, **WIDE)
    rates = np.array([0.0, 5.0, 10.0, 20.0, 40.0])
    curve = analysis.rate_curve(rule, rates * Hz, duration=4 * second, n_repeats=60, seed=3)
    drift, error = np.asarray(curve.drift), np.asarray(curve.error)
    wanted = np.array([mean_field(rule, 10.0, rate) for rate in rates])
    assert drift[0] == 0
    assert np.all(np.abs(drift[1:] - wanted[1:]) < 4 * error[1:])
    assert np.all(error[1:] < 0.2 * np.abs(wanted).max())
    assert drift[1] < -3 * error[1]
    assert drift[4] > 10 * error[4]
    # A2- tau- / (A3+ tau+ tau_y) = 19 Hz in continuous time.
    v = rule.parameters
    theory = v["A2_minus"] * v["tau_minus"] / (v["A3_plus"] * v["tau_plus"] * v["tau_y"])
    assert float(theory) == pytest.approx(19.2, abs=0.1)
    assert abs(float(curve.threshold) - float(theory)) < 3


def test_rate_curve_equals_the_event_loop_on_the_same_spikes():
    rule = equations.TripletSTDP(data_set="hippocampus", pairing="nearest", **WIDE)
    curve = analysis.rate_curve(
        rule, [8, 30] * Hz, duration=0.4 * second, settle=0.1 * second, n_repeats=3, seed=5
    )
    pre, post = poisson_trains(np.array([8.0, 30.0]), 10.0, 3, 500, 1e-3, 5)

    def weight(neuron, last):
        spikes = [(one.step[one.neuron == neuron]).tolist() for one in (pre, post)]
        spikes = [[t for t in train if t < last] for train in spikes]
        return triplet(*spikes, **numbers(rule), w=0.0, nearest=True)

    change = np.array([weight(k, 500) - weight(k, 100) for k in range(6)]).reshape(2, 3) / 0.4
    assert np.asarray(curve.drift) == pytest.approx(change.mean(axis=1), abs=1e-10)
    assert np.asarray(curve.error) == pytest.approx(
        change.std(axis=1, ddof=1) / np.sqrt(3), abs=1e-10
    )


def test_a_pair_rule_has_no_bcm_threshold():
    rule = equations.PairSTDP(**PAIR, **WIDE)
    curve = analysis.rate_curve(rule, [5, 20, 40] * Hz, duration=1 * second, n_repeats=30)
    assert np.all(np.asarray(curve.drift) < 0)
    assert np.isnan(float(curve.threshold))


@pytest.mark.parametrize(
    ("rates", "options", "match"),
    [
        ([-1] * Hz, {}, "rates"),
        ([2000] * Hz, {}, "more than one spike in each time step"),
        ([10] * Hz, {"n_repeats": 1}, "n_repeats must be"),
        ([50] * Hz, {"duration": 5 * second, "n_repeats": 2}, "a weight has reached a bound"),
    ],
)
def test_bad_rate_curves_are_refused(rates, options, match):
    rule = equations.PairSTDP(A_plus=0.1, A_minus=-0.01)
    with pytest.raises(ValueError, match=match):
        analysis.rate_curve(rule, rates, **options)


@pytest.mark.parametrize("right", [0, 7, 297, 300])
def test_wilson_interval_is_that_of_scipy(right):
    theirs = stats.binomtest(right, 300).proportion_ci(method="wilson")
    np.testing.assert_allclose(
        analysis.wilson_interval(right / 300, 300), [theirs.low, theirs.high], rtol=0, atol=1e-12
    )
    low, high = analysis.wilson_interval(right / 300, 300, level=0.5)
    assert high - low < theirs.high - theirs.low
    with pytest.raises(ValueError, match="share must be"):
        analysis.wilson_interval(1.2, 300)
