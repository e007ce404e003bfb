"""What a trained network gives back: outputs, recordings, values, classes and their confusion."""

from __future__ import annotations

import shutil

import numpy as np
import pytest
from brian2 import ms
from engine_cases import spike_trials

from neurosnn import (
    EProp,
    Input,
    Layer,
    MeanSquareError,
    Readout,
    SpikingNetwork,
    Trainer,
    analysis,
    data,
    equations,
)
from neurosnn.losses import as_loss
from neurosnn.training.confusion import confusion_matrix
from neurosnn.training.regression import regression

needs_compiler = pytest.mark.skipif(shutil.which("c++") is None, reason="no C++ compiler")


@pytest.fixture(scope="module")
def case():
    """A living network and trials of different lengths."""
    net = SpikingNetwork(
        Input(30), Layer(equations.ALIF(), 12, weight_scale=1.5), Readout(3), dt=1 * ms, seed=1
    )
    events = spike_trials(5)
    trials = data.SpikeTrials(
        times=events.times,
        units=events.units,
        offsets=events.offsets,
        labels=[0, 1, 2, 0, 1],
        n_channels=30,
        duration=events.duration,
        durations=np.asarray(events.durations) * [1, 1, 1, 1, 1],
        class_names=("left", "right", "up"),
    )
    return net, trials


@pytest.fixture(scope="module")
def trainer(case):
    return Trainer(case[0], EProp(), dtype="float64", loss="mse")


@needs_compiler
def test_outputs_and_records_are_those_of_brian2(case, trainer):
    net, trials = case
    simulation, schedule = (
        net.brian2(trials, record=("spikes", "v", "output")),
        net.trial_times(trials),
    )
    simulation.run(schedule.duration, namespace={})
    output = np.asarray(simulation["readout_states"].output).T
    v = np.asarray(simulation["hidden_states"].v).T
    monitor = simulation["hidden_spikes"]
    place = schedule.locate(monitor.t[:])
    assert len(monitor.t) > 20
    ours = trainer.outputs(trials, batch_size=2)
    recording = trainer.record(trials, ["spikes", "hidden.v", "output"], batch_size=3)
    np.testing.assert_array_equal(recording.output, ours)
    assert list(recording.states) == ["hidden.v"]
    steps = int(recording.n_steps.max())
    for k in range(len(trials)):
        part = slice(k * schedule.period, k * schedule.period + recording.n_steps[k])
        np.testing.assert_allclose(
            ours[k, : recording.n_steps[k]], output[part], rtol=1e-12, atol=1e-12
        )
        states = np.asarray(recording.states["hidden.v"][k])
        # a monitor of net.brian2 reads at the end of a step
        np.testing.assert_allclose(states[1:steps], v[part][: steps - 1], rtol=1e-12, atol=1e-14)
        spikes = recording.spikes["hidden"]
        found = sorted(zip(spikes[k].times / ms, spikes[k].units, strict=True))
        mine = place.trial == k
        expected = sorted(zip(place.step[mine], monitor.i[mine], strict=True))
        assert [(round(t), i) for t, i in found] == [(int(t), int(i)) for t, i in expected]
    assert recording.spikes["hidden"].class_names == trials.class_names
    assert repr(recording).startswith("Recording: 5 trials of up to")


@needs_compiler
def test_values_are_predicted_by_the_mean_output(case, trainer):
    _, trials = case
    values = np.random.default_rng(0).normal(size=(5, 3))
    found = trainer.evaluate(trials, targets=values, batch_size=2)
    outputs = trainer.outputs(trials)
    predicted = np.nanmean(outputs, axis=1)
    np.testing.assert_allclose(trainer.predict(trials), predicted, rtol=1e-12)
    assert np.abs(predicted).max() > 1e-3
    squares = np.sum((predicted - values) ** 2)
    assert found["mse"] == pytest.approx(squares / 15, rel=1e-10)
    assert found["r2"] == pytest.approx(1 - squares / np.sum((values - values.mean(axis=0)) ** 2))
    # the same as the signal that stays at the value
    signal = np.repeat(values[:, None], outputs.shape[1], axis=1)
    as_signal = trainer.evaluate(trials, targets=signal)
    assert as_signal["loss"] == pytest.approx(found["loss"], rel=1e-12)
    mean = signal.mean(axis=(0, 1))
    assert as_signal["mse"] == pytest.approx(np.mean((outputs - signal) ** 2), rel=1e-10)
    assert as_signal["r2"] == pytest.approx(
        1 - np.sum((outputs - signal) ** 2) / np.sum((signal - mean) ** 2), rel=1e-9
    )
    for name, array in trainer.gradient(trials, signal).items():
        np.testing.assert_allclose(trainer.gradient(trials, values)[name], array, rtol=1e-12)
        assert np.abs(array).max() > 0
    assert np.isnan(trainer.evaluate(trials, targets=np.zeros((5, 3)))["r2"])


def test_mse_and_r2_do_not_depend_on_the_reduction(case):
    """Weighted by the steps that count, against plain numpy."""
    net, trials = case
    steps = int(trials.n_steps(net.dt)[0])
    rng = np.random.default_rng(1)
    outputs, signal = rng.normal(size=(2, 5, steps, 3))
    inside = slice(10, 15)
    expected = np.mean((outputs - signal)[:, inside] ** 2)
    from neurosnn.engine.results import BatchResult
    from neurosnn.training.batches import TrialSource

    for reduction in ("mean", "sum"):
        loss = MeanSquareError(start=10 * ms, stop=15 * ms, reduction=reduction)
        weights = loss.step_weights([steps], net.dt)
        values = [
            loss.value_and_error(y, s, weights)[0] for y, s in zip(outputs, signal, strict=True)
        ]
        results = [
            (BatchResult({}, float(np.mean(part)), np.zeros((len(part), 3)), 0, 0, {}), len(part))
            for part in (values[:2], values[2:])
        ]
        source = TrialSource.check(trials, signal, net=net, loss=loss, where="test")
        found = regression(source, results, loss, net.dt)
        assert found["mse"] == pytest.approx(expected, rel=1e-12)
        counted = signal[:, inside]
        total = np.sum((counted - counted.mean(axis=(0, 1))) ** 2)
        assert found["r2"] == pytest.approx(1 - expected * counted.size / total, rel=1e-12)


def test_targets_that_can_be_read_in_two_ways_are_refused(case):
    from neurosnn.training.batches import TrialSource

    net, _ = case
    square = data.SpikeTrials.from_dense(np.zeros((4, 4, 30)), 1 * ms)
    with pytest.raises(ValueError, match=r"can be read in two ways.*targets\[:, None, :\]"):
        TrialSource.check(square, np.zeros((4, 3)), net=net, loss=as_loss("mse"), where="test")
    rows = np.arange(12.0).reshape(4, 3)
    by_trial = TrialSource.check(square, rows[:, None], net=net, loss=as_loss("mse"), where="test")
    by_step = TrialSource.check(square, rows[None], net=net, loss=as_loss("mse"), where="test")
    np.testing.assert_array_equal(by_trial.values, rows)
    np.testing.assert_array_equal(by_trial.take([2]).targets[0], np.repeat(rows[2:3], 4, axis=0))
    assert by_step.values is None
    np.testing.assert_array_equal(by_step.targets[1], rows)
    mixed = data.SpikeTrials.from_dense([np.zeros((4, 30)), np.zeros((6, 30))], 1 * ms)
    values = TrialSource.check(mixed, rows[:2], net=net, loss=as_loss("mse"), where="test")
    assert values.targets.shape == (2, 6, 3)
    with pytest.raises(ValueError, match=r"one value a trial \(trials, n_out\) fits"):
        TrialSource.check(mixed, np.zeros((2, 6, 3)), net=net, loss=as_loss("mse"), where="test")


@needs_compiler
def test_confusion_is_counted_by_true_and_predicted_class(case, tmp_path):
    net, trials = case
    trainer = Trainer(net, EProp(), dtype="float64")
    trainer.step(trials)
    table = trainer.confusion(trials)
    predicted = trainer.predict(trials)
    expected = np.zeros((3, 3), dtype=int)
    for label, answer in zip(trials.labels, predicted, strict=True):
        expected[label, answer] += 1
    np.testing.assert_array_equal(table.counts, expected)
    assert table.class_names == ("left", "right", "up")
    assert table.accuracy == pytest.approx(trainer.evaluate(trials)["accuracy"])
    assert "left" in table.table()
    others = data.SpikeTrials.from_lists([[1] * ms], [[0]], ["up"], n_channels=30)
    with pytest.raises(ValueError, match="class 0 is 'up', and was 'left' in the training"):
        trainer.evaluate(others)
    assert trainer.evaluate(
        data.SpikeTrials.from_lists(
            [[1] * ms], [[0]], ["up"], n_channels=30, class_names=trials.class_names
        )
    )["loss"]
    net.save(tmp_path / "net.npz")
    loaded = SpikingNetwork.load(tmp_path / "net.npz")
    assert loaded.class_names == ("left", "right", "up")
    with pytest.raises(ValueError, match="class 0 is 'up'"):
        Trainer(loaded, EProp(), dtype="float64").evaluate(others)
    with pytest.raises(ValueError, match="nothing called 'hidden.u'.*Did you mean 'hidden.[va]'"):
        trainer.record(trials, ["hidden.u"])


def test_a_picture_of_a_confusion():
    from matplotlib import pyplot

    table = confusion_matrix([0, 0, 1, -1], [0, 1, 1, 0], ("$a$", "b", "c"))
    assert table.counts.tolist() == [[1, 1, 0], [0, 1, 0], [0, 0, 0]]
    np.testing.assert_array_equal(table.class_accuracy, [0.5, 1, np.nan])
    _, ax = pyplot.subplots()
    analysis.plot_confusion(table, ax=ax)
    image = ax.images[0].get_array()
    np.testing.assert_allclose(image[:2], [[0.5, 0.5, 0], [0, 1, 0]])
    assert [label.get_text() for label in ax.get_yticklabels()] == [r"\$a\$", "b", "c"]
    assert sorted(text.get_text() for text in ax.texts) == ["1", "1", "1"]
    pyplot.close("all")
    with pytest.raises(ValueError, match="labels have shape"):
        confusion_matrix([0], [0, 1])


@pytest.mark.parametrize(
    ("name", "wanted"),
    [
        ("mse", "mean_square"),
        ("MSE", "mean_square"),
        ("mean squared error", "mean_square"),
        ("MeanSquareError", "mean_square"),
        ("cross-entropy", "cross_entropy"),
        ("CrossEntropy", "cross_entropy"),
    ],
)
def test_losses_have_the_names_that_people_use(name, wanted):
    assert as_loss(name).name == wanted
