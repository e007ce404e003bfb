"""How a training stops, goes wrong, and is reported: callbacks, Ctrl-C, nan, history, progress."""

import os
import re
import signal

import matplotlib.pyplot as plt
import numpy as np
import pytest
from brian2 import ms
from reference.killed_training import drop_spikes, make_trials
from reference.linear_backend import LinearBackend

from neurosnn import equations
from neurosnn.data import SpikeTrials
from neurosnn.losses import CrossEntropy, as_loss
from neurosnn.network import Input, Layer, Readout, SpikingNetwork
from neurosnn.training import Trainer
from neurosnn.training.callbacks import Callback, EarlyStopping
from neurosnn.training.checkpoint import load_checkpoint
from neurosnn.training.history import History
from neurosnn.training.optimizers import Adam

TRIALS = make_trials()


def make_net(seed=1, n=5, **settings):
    return SpikingNetwork(Input(8), Layer(equations.LIF(), n, **settings), Readout(3), seed=seed)


def make_trainer(net=None, before=(), **settings):
    net = net or make_net()
    backend = LinearBackend(
        net, as_loss(settings.get("loss", "cross_entropy")), before=list(before)
    )
    return Trainer(net, "rule", backend=backend, **settings)


def fit(trainer, trials=TRIALS, **settings):
    return trainer.fit(trials, **{"epochs": 3, "progress": False, **settings})


def weights_of(trainer):
    return {name: array.copy() for name, array in trainer.net.parameters.items()}


def same(a, b):
    return all(np.array_equal(a[name], b[name]) for name in a)


# -- stopping ---------------------------------------------------------------------------------


def test_early_stopping_keeps_the_best_weights(tmp_path):
    """The validation labels are wrong, so that learning makes the validation worse from some epoch."""
    train, held = TRIALS[:45], TRIALS[45:]
    wrong = SpikeTrials(
        times=held.times,
        units=held.units,
        offsets=held.offsets,
        labels=np.where(np.arange(15) < 3, (held.labels + 1) % 3, held.labels),
        n_channels=8,
        duration=20 * ms,
        class_names=("a", "b", "c"),
    )
    kept = {}

    def keep(trainer, row):
        kept[row["validation_loss"]] = weights_of(trainer)

    def run(**settings):
        trainer = make_trainer(optimizer=Adam(0.02), seed=2)
        path = tmp_path / "stopped.npz"
        fit(
            trainer,
            train,
            epochs=60,
            validation=wrong,
            early_stopping=4,
            checkpoint=path,
            **settings,
        )
        return trainer

    trainer = run(callbacks=keep)
    losses = trainer.history["validation_loss"]
    best = int(np.argmin(losses))
    assert 0 < best == len(losses) - 5 < 55
    assert same(weights_of(trainer), kept[losses[best]])
    assert not same(weights_of(trainer), kept[losses[-1]])
    assert trainer.evaluate(wrong)["loss"] == losses[best]
    again = run()
    assert again.backend.calls == 0
    assert same(weights_of(again), weights_of(trainer))


def test_early_stopping_settings():
    stopping = EarlyStopping(3, monitor="validation_accuracy", min_change=0.1)
    assert stopping.improved(0.75, 0.5)
    assert not stopping.improved(0.55, 0.5)
    assert not EarlyStopping(3).improved(0.8, 0.7)
    with pytest.raises(ValueError, match="patience must be a whole number from 1, got 0"):
        EarlyStopping(0)
    with pytest.raises(ValueError, match="monitor='loss' is not known"):
        EarlyStopping(3, monitor="loss")
    with pytest.raises(ValueError, match="min_change must be zero or more"):
        EarlyStopping(3, min_change=-1)
    with pytest.raises(ValueError, match="early_stopping without a validation"):
        fit(make_trainer(), early_stopping=3)


def test_callbacks():
    calls = []

    class Log(Callback):
        def epoch_begin(self, trainer, epoch):
            calls.append(("begin", epoch))

        def batch_end(self, trainer, result):
            calls.append(("batch", sorted(result)))

        def epoch_end(self, trainer, row):
            calls.append(("end", row["epoch"]))
            return row["epoch"] == 2

    history = fit(make_trainer(), epochs=9, batch_size=40, callbacks=[Log()])
    batch = ("batch", ["accuracy", "gradient_norm", "loss"])
    assert calls == [("begin", 1), batch, batch, ("end", 1), ("begin", 2), batch, batch, ("end", 2)]
    assert len(history) == 2
    with pytest.raises(TypeError, match="'log' is not a callback"):
        fit(make_trainer(), callbacks=["log"])
    with pytest.raises(TypeError, match="Callback.* is not a callback"):
        fit(make_trainer(), callbacks=[Callback])


def test_a_training_stopped_by_a_callback_stays_stopped_unless_more_is_wanted(tmp_path):
    def stop(trainer, row):
        return row["epoch"] == 2

    settings = {"callbacks": stop, "checkpoint": tmp_path / "training.npz"}
    fit(make_trainer(), epochs=5, **settings)
    again = make_trainer()
    assert len(fit(again, epochs=5, **settings)) == 2
    assert again.backend.calls == 0
    assert len(fit(again, epochs=6, **settings)) == 6


@pytest.mark.parametrize("when", ["gradient", "update", "validation"])
def test_ctrl_c_leaves_a_whole_batch_and_a_checkpoint(when, tmp_path):
    path = tmp_path / "training.npz"
    held = TRIALS[:10]
    expected = make_trainer(augment=[drop_spikes])
    fit(expected, validation=held)

    class Interrupted(Adam):
        def update(self, parameters, gradient, state, learning_rate=None):
            if when == "update" and int(state["steps"]) == 2:
                os.kill(os.getpid(), signal.SIGINT)
            super().update(parameters, gradient, state, learning_rate)

    def interrupt(backend):
        # Three calls an epoch: two batches and the validation.
        if backend.calls == {"gradient": 4, "validation": 5}.get(when):
            os.kill(os.getpid(), signal.SIGINT)

    optimizer = Interrupted(1e-3)
    trainer = make_trainer(before=[interrupt], augment=[drop_spikes], optimizer=optimizer)
    with pytest.raises(KeyboardInterrupt):
        fit(trainer, validation=held, checkpoint=path)
    state = load_checkpoint(path)
    done = {"gradient": 3, "update": 3, "validation": 4}[when]
    assert trainer.updates == done == state.progress["updates"]
    assert int(state.optimizer["steps"]) == done
    assert same(weights_of(trainer), state.weights)
    when = "never"
    again = make_trainer(augment=[drop_spikes], optimizer=Interrupted(1e-3))
    history = fit(again, validation=held, checkpoint=path)
    assert same(weights_of(again), weights_of(expected))
    assert np.array_equal(history["loss"], expected.history["loss"])
    assert np.array_equal(history["validation_loss"], expected.history["validation_loss"])


# -- gradients that are none --------------------------------------------------------------------


class Spoiled(LinearBackend):
    """A backend that returns something bad in one call."""

    at, block, value = 4, "input.w", np.nan

    def run(self, trials, targets=None, gradient=False):
        result = super().run(trials, targets, gradient)
        if self.calls == self.at and gradient:
            if self.block == "loss":
                result.loss = self.value
            else:
                result.gradient[self.block].flat[0] = self.value
        return result


def spoiled(**settings):
    net = make_net()
    names = ("at", "block", "value")
    backend = Spoiled(net, CrossEntropy())
    for name in names:
        if name in settings:
            setattr(backend, name, settings.pop(name))
    return Trainer(net, "rule", backend=backend, **settings)


def test_nan_stops_with_the_block_the_epoch_and_the_batch(tmp_path):
    path = tmp_path / "training.npz"
    trainer, good = spoiled(), make_trainer()
    expected = (
        r"the gradient of 'input.w' \(input to hidden\) is not finite in epoch 2, batch 2 "
        r"\(1 of 40 values\).*Lower the learning rate"
    )
    with pytest.raises(FloatingPointError, match=expected):
        fit(trainer, checkpoint=path)
    fit(good, epochs=1)
    state = load_checkpoint(path)
    assert state.progress["epoch"] == 1
    assert same(weights_of(good), state.weights)
    assert trainer.updates == 3
    assert all(np.isfinite(array).all() for array in trainer.net.parameters.values())


def test_other_things_that_are_not_finite():
    with pytest.raises(
        FloatingPointError, match="gradient of 'readout.b' is not finite in epoch 1, batch 1"
    ):
        fit(spoiled(at=1, block="readout.b", value=np.inf))
    with pytest.raises(
        FloatingPointError, match="the loss is nan in update 1, with a finite gradient"
    ):
        spoiled(at=1, block="loss").step(TRIALS)
    with pytest.raises(
        FloatingPointError, match="has exploded in epoch 1, batch 1: the square of its norm"
    ):
        fit(spoiled(at=1, value=1e200))


def test_an_explosion_stops_unless_gradients_are_clipped():
    with pytest.raises(
        FloatingPointError,
        match=r"'input.w' .* has exploded in epoch 7, batch 1: its norm is 1e\+09, it was",
    ):
        fit(spoiled(at=13, value=1e9), epochs=9)
    assert len(fit(spoiled(at=13, value=1e9, clip_gradient=1.0), epochs=9)) == 9
    # Before anything is known to be usual, anything goes.
    assert len(fit(spoiled(at=3, value=1e9), epochs=2)) == 2


# -- history and progress ---------------------------------------------------------------------


ROWS = [
    {"epoch": 1, "loss": 2.3, "accuracy": 0.125, "validation_accuracy": 0.25, "rate.h": 12.0},
    {"epoch": 2, "loss": 1.5, "accuracy": 0.5, "validation_accuracy": 0.5, "rate.h": 10.0},
]


def test_history_as_a_table_and_as_columns():
    history = History(ROWS)
    assert repr(history).splitlines() == [
        "epoch    loss  accuracy  val. accuracy  h [Hz]",
        "    1  2.3000     12.5%          25.0%    12.0",
        "    2  1.5000     50.0%          50.0%    10.0",
    ]
    assert history.to_dict()["loss"] == [2.3, 1.5]
    assert list(history) == list(history.columns)
    assert "accuracy" in history
    assert "validation_loss" not in history
    assert repr(History()) == "History: no epoch has ended yet"
    assert (
        History([{"epoch": 1, "loss": 1.0}, {"epoch": 2, "loss": float("nan")}])
        .line(1)
        .endswith("-")
    )
    with pytest.raises(KeyError, match="there is no column 'los'.*Did you mean 'loss'"):
        history["los"]


def test_history_drawn():
    _, (left, right) = plt.subplots(1, 2)
    ax = History(ROWS).plot(left)
    assert ax is left
    assert [line.get_ydata().tolist() for line in ax.lines] == [[12.5, 50], [25, 50]]
    assert ax.lines[0].get_xdata().tolist() == [1, 2]
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("epoch", "accuracy [%]")
    assert [text.get_text() for text in ax.get_legend().get_texts()] == ["training", "validation"]
    plt.sca(right)
    assert History(ROWS).plot(quantity="rate.h") is right
    assert right.get_ylabel() == "firing rate of h [Hz]"
    assert History([{"epoch": 1, "loss": 2.0}]).plot(right).lines[-1].get_ydata().tolist() == [2]


def test_progress_is_a_line_an_epoch_without_a_terminal(capsys):
    fit(make_trainer(), epochs=2, progress=True)
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 3
    assert lines[0].split()[:3] == ["epoch", "loss", "accuracy"]
    assert lines[2].split()[0] == "2"
    fit(make_trainer(), epochs=1)
    assert capsys.readouterr().err == ""


def test_progress_on_a_terminal(capsys, monkeypatch):
    monkeypatch.setattr("sys.stderr.isatty", lambda: True, raising=False)
    fit(make_trainer(), epochs=2, progress=True)
    shown = capsys.readouterr().err
    assert "epoch 1" in shown
    assert re.search(r"2/2 .*loss=", shown)
