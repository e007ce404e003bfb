"""What holds for everything that the loop trains: checks that take one case of a thing that learns.

A case makes the same training anew each time it is asked. Every case has at least three batches an
epoch and random augmentation or dropout.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest

from neurosnn.training.callbacks import Callback, EarlyStopping
from neurosnn.training.checkpoint import Checkpoint, load_checkpoint, save_checkpoint

EPOCHS = 3
TIMES = ("seconds", "trials_per_second")


@dataclass
class Training:
    """One training.

    Parameters
    ----------
    fit : callable
        Trains; takes what `Trainer.fit` takes but the trials, and has a validation.
    weights : callable
        Copies of all that is learned, by name.
    learner : type
        The class that the loop sees.
    spoil : callable
        Makes the next gradient one that is not finite.
    shake : callable
        Adds a number to all weights.
    """

    fit: Callable[..., Any]
    weights: Callable[[], dict[str, np.ndarray]]
    learner: type
    spoil: Callable[[], None]
    shake: Callable[[float], None]


class Killed(BaseException):
    """What no handler of the package expects."""


def same(one, other):
    assert one.keys() == other.keys()
    for name, array in one.items():
        np.testing.assert_array_equal(other[name], array, err_msg=name)


def differs(one, other):
    return any(not np.array_equal(array, other[name]) for name, array in one.items())


def rows(history):
    """The history but for the times that it took."""
    return [{k: v for k, v in row.items() if k not in TIMES} for row in history.rows]


def same_files(one, other):
    """All that checkpoints keep, but for times."""
    one, other = load_checkpoint(one), load_checkpoint(other)
    for block in ("weights", "optimizer", "best"):
        same(getattr(one, block), getattr(other, block))
    for state in (one, other):
        for row in state.progress["history"]:
            for name in TIMES:
                row.pop(name)
    assert one.progress == other.progress


def stop_at(monkeypatch, training, number, method="gradient", how=Killed):
    """Let the training end when a method of the learner has been called so often, after it has."""
    real, calls = getattr(training.learner, method), 0

    def counted(self, *arguments):
        nonlocal calls
        calls += 1
        value = real(self, *arguments)
        if calls == number:
            if how is KeyboardInterrupt:
                os.kill(os.getpid(), signal.SIGINT)
            else:
                raise how
        return value

    monkeypatch.setattr(training.learner, method, counted)


class Drawing(Callback):
    """Draws random numbers of the trainer wherever it is called, and moves the weights by them."""

    def __init__(self, training, draw):
        self.training, self.draw = training, draw

    def epoch_begin(self, trainer, epoch):
        self.training.shake(1e-3 * self.draw(trainer))

    def batch_end(self, trainer, result):
        self.training.shake(1e-3 * self.draw(trainer))

    def epoch_end(self, trainer, row):
        self.training.shake(1e-3 * self.draw(trainer))


def goes_on_bit_equal_after_a_kill_at_any_batch(make, draw, folder, monkeypatch):
    whole = make()
    start = whole.weights()
    history = whole.fit(epochs=EPOCHS, checkpoint=folder / "whole.npz")
    assert differs(start, whole.weights())
    counts = count_batches(make)
    assert min(counts) >= 3
    for number in (1, 2, counts[0], counts[0] + 1, sum(counts[:2]) + 2):
        file = folder / f"{number}.npz"
        broken, again = make(), make()
        with monkeypatch.context() as patched:
            stop_at(patched, broken, number)
            with pytest.raises(Killed):
                broken.fit(epochs=EPOCHS, checkpoint=Checkpoint(file, every_batches=1))
        assert file.exists() == (number > 1)
        resumed = again.fit(epochs=EPOCHS, checkpoint=file)
        same(again.weights(), whole.weights())
        assert rows(resumed) == rows(history)
        same_files(file, folder / "whole.npz")
    assert len(make().fit(epochs=EPOCHS, checkpoint=file)) == EPOCHS  # nothing is left to do
    assert len(make().fit(epochs=EPOCHS + 1, checkpoint=file)) == EPOCHS + 1


def count_batches(make):
    """Updates of each epoch."""
    counts = [0]

    class Count(Callback):
        def batch_end(self, trainer, result):
            counts[-1] += 1

        def epoch_end(self, trainer, row):
            counts.append(0)

    make().fit(epochs=EPOCHS, callbacks=Count())
    return counts[:-1]


def goes_on_bit_equal_if_callbacks_draw_and_change_weights(make, draw, folder, monkeypatch):
    whole = make()
    history = whole.fit(
        epochs=EPOCHS, callbacks=Drawing(whole, draw), checkpoint=folder / "whole.npz"
    )
    plain = make()
    plain.fit(epochs=EPOCHS)
    assert differs(plain.weights(), whole.weights())
    counts = count_batches(make)
    for number in (2, counts[0] + 1, sum(counts[:2]) + 2):
        file = folder / f"{number}.npz"
        broken, again = make(), make()
        with monkeypatch.context() as patched:
            stop_at(patched, broken, number)
            with pytest.raises(Killed):
                broken.fit(
                    epochs=EPOCHS,
                    callbacks=Drawing(broken, draw),
                    checkpoint=Checkpoint(file, every_batches=1),
                )
        resumed = again.fit(epochs=EPOCHS, callbacks=Drawing(again, draw), checkpoint=file)
        same(again.weights(), whole.weights())
        assert rows(resumed) == rows(history)
        same_files(file, folder / "whole.npz")


def ctrl_c_leaves_a_whole_batch_and_a_checkpoint(make, draw, folder, monkeypatch):
    whole = make()
    history = whole.fit(epochs=EPOCHS, checkpoint=folder / "whole.npz")
    for method, number in (("gradient", 2), ("update", 2), ("validate", 1), ("batches", 2)):
        file = folder / f"{method}.npz"
        broken, again = make(), make()
        with monkeypatch.context() as patched:
            stop_at(patched, broken, number, method, KeyboardInterrupt)
            with pytest.raises(KeyboardInterrupt):
                broken.fit(epochs=EPOCHS, checkpoint=file)
        kept = load_checkpoint(file)
        same(broken.weights(), {name: kept.weights[name] for name in broken.weights()})
        done = {"gradient": (0, 1), "update": (0, 2), "batches": (1, 0)}.get(method)
        if done is not None:
            assert (kept.progress["epoch"], kept.progress["fit"]["batch"]) == done
        resumed = again.fit(epochs=EPOCHS, checkpoint=file)
        same(again.weights(), whole.weights())
        assert rows(resumed) == rows(history)
        same_files(file, folder / "whole.npz")


def ctrl_c_waits_for_callbacks_and_pressed_twice_ends_them(make, draw, folder, monkeypatch):
    for presses in (1, 2):
        training, file, finished = make(), folder / f"{presses}.npz", []

        def press(trainer, row, presses=presses, finished=finished):
            for _ in range(presses if row["epoch"] == 2 else 0):
                os.kill(os.getpid(), signal.SIGINT)
            finished.append(row["epoch"])

        with pytest.raises(KeyboardInterrupt):
            training.fit(epochs=EPOCHS, callbacks=press, checkpoint=file)
        assert finished == [1, 2][: 3 - presses]
        assert load_checkpoint(file).progress["epoch"] == 3 - presses


def an_error_in_a_callback_leaves_the_checkpoint_before_it(make, draw, folder, monkeypatch):
    def fail(trainer, row):
        if row["epoch"] == 2:
            raise RuntimeError("callback")

    with pytest.raises(RuntimeError, match="callback"):
        make().fit(epochs=EPOCHS, callbacks=fail, checkpoint=folder / "a.npz")
    whole, again = make(), make()
    history = whole.fit(epochs=EPOCHS)
    resumed = again.fit(epochs=EPOCHS, checkpoint=folder / "a.npz")
    assert rows(resumed) == rows(history)
    same(again.weights(), whole.weights())


def what_is_not_finite_stops_with_the_weights_before_it(make, draw, folder, monkeypatch):
    training, before, place = make(), {}, []

    class Spoiler(Callback):
        def batch_end(self, trainer, result):
            place.append(1)
            if len(place) == 2:
                training.spoil()
                before.update(training.weights())

    with pytest.raises(FloatingPointError, match="in epoch 1, batch 3"):
        training.fit(epochs=EPOCHS, callbacks=Spoiler(), checkpoint=folder / "a.npz")
    same(training.weights(), before)
    assert not (folder / "a.npz").exists()


def the_best_weights_are_kept(make, draw, folder, monkeypatch):
    """Which epoch is best is decided here: the validation returns what the test says."""
    losses = [3.0, 1.0, 2.0, 4.0, 0.5]
    for early, length, best in (
        (2, 4, 2),
        (EarlyStopping(None), 5, 5),
        (EarlyStopping(1, monitor="validation_accuracy"), 2, 1),
    ):
        training, kept, values = make(), [], iter(losses)

        def validated(self, values=values):
            value = next(values)
            return {"loss": value, "accuracy": value / 10}

        def keep(trainer, row, training=training, kept=kept):
            kept.append(training.weights())

        with monkeypatch.context() as patched:
            patched.setattr(training.learner, "validate", validated)
            history = training.fit(epochs=5, callbacks=keep, early_stopping=early)
        assert len(history) == length
        same(training.weights(), kept[best - 1])
        others = [weights for k, weights in enumerate(kept) if k != best - 1]
        assert all(differs(weights, kept[best - 1]) for weights in others)


def early_stopping_goes_on(make, draw, folder, monkeypatch):
    """Killed in epoch 4, with the best weights of epoch 2 and one epoch that was no better."""
    losses = [3.0, 1.0, 2.0, 4.0, 0.5, 0.4]

    def validated(self):
        return {"loss": losses[self.trainer.epoch], "accuracy": 0.5}

    training, again, kept = make(), make(), []
    monkeypatch.setattr(training.learner, "validate", validated)
    calls = sum(count_batches(make)[:3])

    def keep(trainer, row):
        kept.append(training.weights())

    how = {"epochs": 6, "early_stopping": 2, "checkpoint": Checkpoint(folder / "a.npz")}
    with monkeypatch.context() as patched:
        stop_at(patched, training, calls + 1)
        with pytest.raises(Killed):
            training.fit(callbacks=keep, **how)
    assert len(again.fit(**how)) == 4
    same(again.weights(), kept[1])
    monkeypatch.setattr(training.learner, "validate", lambda self: {"accuracy": 0.5})
    with pytest.raises(ValueError, match=r"watches 'validation_loss', which .* does not have"):
        make().fit(epochs=1, early_stopping=2)


def a_callback_ends_the_training_after_a_batch(make, draw, folder, monkeypatch):
    class Enough(Callback):
        def __init__(self, number):
            self.left = number

        def batch_end(self, trainer, result):
            self.left -= 1
            return self.left == 0

    counts = count_batches(make)
    how = {"checkpoint": folder / "a.npz"}
    history = make().fit(epochs=EPOCHS, callbacks=Enough(counts[0] + 2), **how)
    assert len(history) == 2
    broken, file = make(), folder / "b.npz"
    with monkeypatch.context() as patched:
        stop_at(patched, broken, 2, "validate", KeyboardInterrupt)
        with pytest.raises(KeyboardInterrupt):
            broken.fit(epochs=EPOCHS, callbacks=Enough(counts[0] + 2), checkpoint=file)
    assert len(load_checkpoint(file).progress["history"]) == 1
    assert rows(make().fit(epochs=EPOCHS, checkpoint=file)) == rows(history)
    same_files(file, folder / "a.npz")
    kept = load_checkpoint(folder / "a.npz")
    assert (kept.progress["epoch"], kept.progress["fit"]["stopped"]) == (2, True)
    assert len(make().fit(epochs=EPOCHS, **how)) == 2
    assert len(make().fit(epochs=EPOCHS + 1, **how)) == EPOCHS + 1


def a_damaged_position_is_refused_and_changes_nothing(make, draw, folder, monkeypatch):
    file = folder / "a.npz"
    training = make()
    with monkeypatch.context() as patched:
        stop_at(patched, training, 3)
        with pytest.raises(Killed):
            training.fit(epochs=EPOCHS, checkpoint=Checkpoint(file, every_batches=1))

    def fit(name, value):
        return lambda state: state.progress["fit"].update({name: value})

    def order(state):
        state.order[0] = state.order[1]

    def beyond(state):
        state.order[0] = 10**6

    def nameless(state):
        state.progress["fit"]["totals"] = {}

    for damage in (
        *(fit("batch", -1), fit("batch", 10**6), fit("sizes", [1]), fit("totals", {"loss": "a"})),
        *(order, beyond, nameless, lambda state: state.progress.pop("random")),
        lambda state: state.progress.update(history=[{"loss": "low"}]),
        lambda state: next(iter(state.weights.values())).fill(np.nan),
    ):
        state = load_checkpoint(file)
        damage(state)
        save_checkpoint(folder / "b.npz", state)
        training = make()
        before = training.weights()
        with pytest.raises(ValueError, match="b.npz"):
            training.fit(epochs=EPOCHS, checkpoint=folder / "b.npz")
        same(training.weights(), before)


def the_history_has_the_same_columns(make, draw, folder, monkeypatch):
    history = make().fit(epochs=2)
    assert history["epoch"].tolist() == [1, 2]
    for name in ("loss", "accuracy", "validation_loss", "validation_accuracy"):
        assert np.all(np.isfinite(history[name])), name
    assert (history["learning_rate"][1] != history["learning_rate"][0]) == make.changing_rate
    assert np.all(history["trials_per_second"] > 0)
    assert np.all(history["seconds"] > 0)
    assert str(history).count("\n") == 2


def another_training_is_not_continued(make, draw, folder, monkeypatch):
    file = folder / "a.npz"
    make().fit(epochs=1, checkpoint=file)
    for change, name in make.changes:
        with pytest.raises(ValueError, match=f"this training had another {name}.*resume=False"):
            make(**change).fit(epochs=1, checkpoint=file)
    with pytest.raises(ValueError, match="this training had another early_stopping"):
        make().fit(epochs=1, checkpoint=file, early_stopping=3)


def a_full_disk_leaves_the_last_checkpoint(make, draw, folder, monkeypatch):
    file = folder / "a.npz"
    make().fit(epochs=1, checkpoint=file)
    before = file.read_bytes()

    def full(*_):
        raise OSError(28, "No space left")

    with monkeypatch.context() as patched:
        patched.setattr("os.replace", full)
        with pytest.raises(OSError, match="No space left"):
            make().fit(epochs=2, checkpoint=file)
    assert file.read_bytes() == before


def wrong_arguments_are_refused(make, draw, folder, monkeypatch):
    for settings, error, match in (
        ({"epochs": 0}, ValueError, "epochs must be a whole number from 1, got 0"),
        ({"batch_size": 2.5}, ValueError, "batch_size must be a whole number from 1, got 2.5"),
        ({"callbacks": ["log"]}, TypeError, "'log' is not a callback"),
        ({"checkpoint": 7}, TypeError, "checkpoint must be a path, got 7"),
        ({"validation": None, "early_stopping": 2}, ValueError, "without a validation"),
    ):
        with pytest.raises(error, match=match):
            make().fit(**{"epochs": 1, **settings})


CONTRACT = [
    goes_on_bit_equal_after_a_kill_at_any_batch,
    goes_on_bit_equal_if_callbacks_draw_and_change_weights,
    ctrl_c_leaves_a_whole_batch_and_a_checkpoint,
    ctrl_c_waits_for_callbacks_and_pressed_twice_ends_them,
    an_error_in_a_callback_leaves_the_checkpoint_before_it,
    what_is_not_finite_stops_with_the_weights_before_it,
    the_best_weights_are_kept,
    early_stopping_goes_on,
    a_callback_ends_the_training_after_a_batch,
    a_damaged_position_is_refused_and_changes_nothing,
    the_history_has_the_same_columns,
    another_training_is_not_continued,
    a_full_disk_leaves_the_last_checkpoint,
    wrong_arguments_are_refused,
]
