"""Losses: the error is the derivative of the value, and the weights are what the docstrings say."""

import numpy as np
import pytest
from brian2 import ms, mV

from neurosnn.losses import (
    CrossEntropy,
    CrossEntropyPerStep,
    FirstSpike,
    MaxCrossEntropy,
    MeanSquareError,
    as_loss,
)

RNG = np.random.default_rng(5)
OUTPUTS = RNG.normal(size=(7, 4))
WEIGHTS = RNG.uniform(0.1, 1, size=7)
CASES = [
    (CrossEntropy(), 2),
    (CrossEntropyPerStep(), np.array([0, 3, -1, 1, 1, -1, 2])),
    (MeanSquareError(), RNG.normal(size=(7, 4))),
    (FirstSpike(tau_0=3000 * ms, tau_1=5000 * ms, alpha=0.3, v_th=0.2), 2),
]


@pytest.mark.parametrize(("loss", "targets"), CASES, ids=lambda case: getattr(case, "kind", ""))
def test_error_is_the_derivative_of_the_loss(loss, targets):
    value, error = loss.value_and_error(OUTPUTS, targets, WEIGHTS)
    assert value > 0.1
    for t, k in np.ndindex(OUTPUTS.shape):
        moved = [OUTPUTS.copy(), OUTPUTS.copy()]
        moved[0][t, k] += 1e-5
        moved[1][t, k] -= 1e-5
        up, down = (loss.value_and_error(outputs, targets, WEIGHTS)[0] for outputs in moved)
        assert error[t, k] == pytest.approx((up - down) / 2e-5, abs=1e-9)


def test_values_written_out():
    logits = WEIGHTS @ OUTPUTS
    assert CrossEntropy().value_and_error(OUTPUTS, 2, WEIGHTS)[0] == pytest.approx(
        np.log(np.exp(logits).sum()) - logits[2]
    )
    labels = CASES[1][1]
    expected = sum(
        WEIGHTS[t] * (np.log(np.exp(OUTPUTS[t]).sum()) - OUTPUTS[t, labels[t]])
        for t in range(7)
        if labels[t] >= 0
    )
    value, error = CrossEntropyPerStep().value_and_error(OUTPUTS, labels, WEIGHTS)
    assert value == pytest.approx(expected)
    assert not error[labels < 0].any()
    assert error[labels >= 0].all()
    value, _ = MeanSquareError().value_and_error(OUTPUTS, 0 * OUTPUTS + 1, WEIGHTS)
    assert value == pytest.approx(0.5 * np.sum(WEIGHTS[:, None] * (OUTPUTS - 1) ** 2))


def test_first_spikes_written_out():
    loss = FirstSpike(tau_0=2 * ms, tau_1=5 * ms, alpha=0.5)
    outputs = np.array([[0.0, 0.2, 0.0], [0.5, 1.4, 0.0], [1.5, 0.0, 0.9]])
    dt = np.full(3, 1e-3)
    times = np.array([2 + 0.5, 1 + 0.8 / 1.2, 3.0])  # ms; the last one is silent
    np.testing.assert_allclose(loss.scores(outputs, dt), -times / 2)
    for label in range(3):
        value, error = loss.value_and_error(outputs, label, dt)
        expected = np.log(np.exp(-times / 2).sum()) + times[label] / 2
        assert value == pytest.approx(expected + 0.5 * np.expm1(times[label] / 5))
        assert not error[:2, 2].any()
        # only a silent label is pulled up
        assert (error[2, 2] < 0) == (label == 2)
    pull = (1 - np.exp(-1.5) / np.exp(-times / 2).sum()) / 2e-3 + 0.5 * np.exp(3 / 5) / 5e-3
    assert error[2, 2] == pytest.approx(-pull / 200)


def test_a_grazing_output_has_a_bounded_error():
    loss = FirstSpike(tau_0=1 * ms, tau_1=10 * ms, alpha=0.0)
    _, error = loss.value_and_error([[0.999999, 0.0], [1.0000001, 2.0]], 0, [1e-3, 1e-3])
    assert np.abs(error).max() < 1e3 / (0.1 / 10e-3)


def test_the_maximum_at_a_kink_is_read_on_both_sides():
    outputs = np.array([[0.0, 0.0], [3.0, 0.0], [2.0, 1.0]])
    _, error = MaxCrossEntropy().value_and_error(outputs, 1, np.ones(3))
    share = np.exp(3) / (np.exp(3) + np.exp(1))
    np.testing.assert_allclose(error, [[share / 4, 0], [3 * share / 4, 0], [0, -share]])


@pytest.mark.parametrize(
    ("changed", "reason"),
    [
        ({"tau_0": 1.0}, "tau_0 must be"),
        ({"tau_1": 0 * ms}, "tau_1 must be"),
        ({"alpha": -1.0}, "alpha must be"),
        ({"v_th": 0.0}, "v_th must be"),
    ],
)
def test_refused_first_spike(changed, reason):
    with pytest.raises(ValueError, match=reason):
        FirstSpike(**changed)


def test_large_outputs_do_not_overflow():
    value, error = CrossEntropy().value_and_error([[1000.0, 0.0]], 1, [1.0])
    assert value == 1000
    assert error.tolist() == [[1.0, -1.0]]


def test_weights_of_each_readout():
    lengths = [2, 4]
    assert CrossEntropy().step_weights(lengths, ms).tolist() == [0.5] * 2 + [0.25] * 4
    assert CrossEntropy(readout="last").step_weights(lengths, ms).tolist() == [0, 1, 0, 0, 0, 1]
    window = CrossEntropy(readout="window", start=1 * ms, stop=3 * ms)
    assert window.step_weights(lengths, 1 * ms).tolist() == [0, 1, 0, 0.5, 0.5, 0]
    weights = CrossEntropy(readout="exponential", tau=3 * ms).step_weights(lengths, 1.5 * ms)
    assert weights[1] / weights[0] == pytest.approx(np.exp(-0.5))
    assert weights[:2].sum() == pytest.approx(1)
    assert weights[2:].sum() == pytest.approx(1)
    weights = CrossEntropy(readout="linear").step_weights(lengths, ms)
    assert weights == pytest.approx([2 / 3, 1 / 3, 0.4, 0.3, 0.2, 0.1])
    weights = CrossEntropy(readout="sigmoid").step_weights([4], ms)
    assert weights[2] / weights[0] == pytest.approx((1 + np.exp(-2.5)) / 2)
    assert weights.sum() == pytest.approx(1)


def test_window_edges_survive_rounding():
    # 0.3 ms / 0.1 ms is 2.9999999999999996
    loss = CrossEntropy(readout="window", start=0.3 * ms, stop=0.6 * ms)
    assert np.flatnonzero(loss.step_weights([10], 0.1 * ms)).tolist() == [3, 4, 5]


def test_negative_times_count_from_the_end_of_each_trial():
    loss = MeanSquareError(start=-2 * ms, reduction="sum")
    assert loss.step_weights([3, 5], 1 * ms).tolist() == [0, 1, 1, 0, 0, 0, 1, 1]
    loss = CrossEntropyPerStep(stop=-1 * ms)
    assert loss.step_weights([3, 2], 1 * ms).tolist() == [0.5, 0.5, 0, 1, 0]


def test_masked_steps_leave_their_weight_to_the_others():
    labels = np.array([1, -1, 2, -1, -1, 0, 0, 0])
    weights = CrossEntropyPerStep().step_weights([3, 2, 3], 1 * ms, labels)
    assert weights == pytest.approx([0.5, 0, 0.5, 0, 0, 1 / 3, 1 / 3, 1 / 3])


def test_mean_square_reductions():
    assert MeanSquareError().step_weights([4], 1 * ms).tolist() == [0.25] * 4
    assert MeanSquareError(reduction="sum").step_weights([4], 1 * ms).tolist() == [1] * 4


def test_equal_and_readable():
    assert CrossEntropy(readout="window", start=10 * ms) == CrossEntropy(
        readout="window", start=10 * ms
    )
    assert repr(CrossEntropy(readout="exponential", tau=20 * ms)) == (
        "CrossEntropy(readout='exponential', tau=20. * msecond)"
    )
    assert repr(CrossEntropyPerStep()) == "CrossEntropyPerStep()"


@pytest.mark.parametrize("name", ["cross_entropy", "cross_entropy_per_step", "mean_square"])
def test_names_stand_for_losses(name):
    assert as_loss(name).name == name
    assert as_loss(as_loss(name)) == as_loss(name)


def test_refusals():
    with pytest.raises(ValueError, match=r"readout='first' is not known.*Known names: exponential"):
        CrossEntropy(readout="first")
    with pytest.raises(ValueError, match="readout='exponential' with tau=None"):
        CrossEntropy(readout="exponential")
    with pytest.raises(ValueError, match="The time constant belongs to the exponential readout"):
        CrossEntropy(tau=20 * ms)
    with pytest.raises(ValueError, match="A window has a start or a stop"):
        CrossEntropy(readout="window")
    with pytest.raises(ValueError, match="A window has a start or a stop"):
        CrossEntropy(start=20 * ms)
    with pytest.raises(
        ValueError, match=r"start must be a time, got 20 .*Did you mean start=20\*ms"
    ):
        CrossEntropyPerStep(start=20)
    with pytest.raises(ValueError, match="stop must be a time, got 20. mV"):
        MeanSquareError(stop=20 * mV)
    with pytest.raises(ValueError, match="tau must be > 0"):
        CrossEntropy(readout="exponential", tau=-1 * ms)
    with pytest.raises(ValueError, match="start must be one time"):
        MeanSquareError(start=[1, 2] * ms)
    with pytest.raises(ValueError, match="no step of trial 1 lies between start=5"):
        MeanSquareError(start=5 * ms).step_weights([9, 4], 1 * ms)
    with pytest.raises(ValueError, match="reduction='max' is not known"):
        MeanSquareError(reduction="max")
    with pytest.raises(ValueError, match="n_steps must be the lengths of the trials, at least 1"):
        CrossEntropy().step_weights([3, 0], 1 * ms)
    with pytest.raises(ValueError, match=r"labels has shape \(2,\) for 3 steps"):
        CrossEntropyPerStep().step_weights([3], 1 * ms, [0, 1])
    with pytest.raises(
        ValueError, match=r"loss='crossentopy' is not known.*Did you mean 'cross_entropy'"
    ):
        as_loss("crossentopy")
    with pytest.raises(TypeError, match="loss must be a loss or its name"):
        as_loss(CrossEntropy)
