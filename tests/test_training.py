"""The trainer on a quick exact backend: what it computes, that it repeats itself, what it refuses."""

import shutil
import warnings
from types import SimpleNamespace

import numpy as np
import pytest
from brian2 import ms, mV
from reference.killed_training import drop_spikes, make_trials
from reference.linear_backend import LinearBackend

from neurosnn import NeuronModel, equations
from neurosnn.data import FrameTrials
from neurosnn.losses import CrossEntropy, MeanSquareError, as_loss
from neurosnn.network import Input, Layer, Readout, SpikingNetwork
from neurosnn.rules.eprop import EProp
from neurosnn.training import Trainer, backends
from neurosnn.training.callbacks import Callback, LiftSilent, MeanWeights
from neurosnn.training.optimizers import SGD, Adam
from neurosnn.training.schedules import Exponential

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


# -- what it computes -------------------------------------------------------------------------


def test_it_learns_and_says_so():
    trainer = make_trainer(optimizer=Adam(1e-2), schedule=Exponential(0.9))
    before = trainer.evaluate(TRIALS)
    history = fit(trainer, epochs=10, validation=0.2)
    after = trainer.evaluate(TRIALS, batch_size=7)
    assert after["accuracy"] > 0.8 > 0.6 > before["accuracy"]
    assert after["loss"] < 0.5 * before["loss"]
    assert after["rate.hidden"] == pytest.approx(10 / 5 / 0.02)
    assert trainer.evaluate(TRIALS)["loss"] == pytest.approx(after["loss"], rel=1e-12)
    assert history is trainer.history
    assert trainer.epoch == len(history) == 10
    assert trainer.updates == 20
    assert history["epoch"].tolist() == list(range(1, 11))
    assert history["learning_rate"] == pytest.approx(1e-2 * 0.9 ** np.arange(10))
    assert history["rate.hidden"] == pytest.approx(np.full(10, 100.0))
    assert (history["loss"][-1], history["validation_loss"][-1]) < (history["loss"][0],) * 2
    assert history["trials_per_second"].min() > 0
    predicted = trainer.predict(TRIALS)
    assert np.mean(predicted == TRIALS.labels) == pytest.approx(after["accuracy"])
    assert np.array_equal(np.argmax(trainer.scores(TRIALS, batch_size=9), axis=1), predicted)


def test_the_gradient_is_that_of_the_loss_and_step_follows_it():
    net = make_net()
    trainer = make_trainer(net, optimizer=SGD(0.1))
    gradient = trainer.gradient(TRIALS)
    before = weights_of(trainer)
    for name in ("input.w", "readout.w", "readout.b"):
        w = net.parameters[name]
        index = tuple(size // 2 for size in w.shape)
        w[index] += 1e-6
        up = trainer.evaluate(TRIALS)["loss"]
        w[index] -= 2e-6
        down = trainer.evaluate(TRIALS)["loss"]
        w[index] = before[name][index]
        assert gradient[name][index] == pytest.approx((up - down) / 2e-6, rel=1e-5)
    result = trainer.step(TRIALS)
    assert not trainer.history.rows
    norm = np.sqrt(sum(np.sum(block**2) for block in gradient.values()))
    assert result["gradient_norm"] == pytest.approx(norm)
    assert 0 <= result["accuracy"] <= 1
    for name, w in net.parameters.items():
        assert w == pytest.approx(before[name] - 0.1 * gradient[name])


def test_an_epoch_sees_every_trial_once_in_a_new_order():
    seen = []

    class Watching(LinearBackend):
        def run(self, trials, targets=None, gradient=False):
            seen.append(trials.times[trials.offsets[:-1]].tolist())
            return super().run(trials, targets, gradient)

    net = make_net()
    trainer = Trainer(net, "rule", backend=Watching(net, CrossEntropy()))
    fit(trainer, epochs=2, batch_size=25)
    assert [len(batch) for batch in seen] == [25, 25, 10] * 2
    first, second = sum(seen[:3], []), sum(seen[3:], [])
    assert sorted(first) == sorted(second) == sorted(TRIALS.times[TRIALS.offsets[:-1]])
    assert first != second


def test_the_loss_of_an_epoch_is_the_mean_of_its_trials():
    """With a learning rate of zero, unequal batches must not weigh more or less."""
    trainer = make_trainer(schedule=lambda epoch: 0.0)
    history = fit(trainer, epochs=1, batch_size=50)
    assert history["loss"][0] == pytest.approx(trainer.evaluate(TRIALS)["loss"], rel=1e-12)
    assert history["accuracy"][0] == trainer.evaluate(TRIALS)["accuracy"]


def test_the_schedule_follows_batches_within_an_epoch():
    moments = []
    fit(make_trainer(schedule=lambda epoch: moments.append(epoch) or 1.0), epochs=2, batch_size=20)
    assert sorted(set(moments)) == pytest.approx([0, 1 / 3, 2 / 3, 1, 4 / 3, 5 / 3])


def test_clipping_and_bounds():
    trainer = make_trainer(
        optimizer=SGD(1.0), clip_gradient=1e-3, weight_bounds={"input.w": (-0.01, 0.02)}
    )
    before = weights_of(trainer)
    assert trainer.step(TRIALS)["gradient_norm"] > 0.1
    moved = np.concatenate(
        [(trainer.net.parameters[n] - before[n]).ravel() for n in ("readout.w", "readout.b")]
    )
    assert 0 < np.linalg.norm(moved) < 1e-3
    assert trainer.net.parameters["input.w"].min() == -0.01
    assert trainer.net.parameters["input.w"].max() == 0.02


def test_absent_synapses_and_signs_survive_training():
    net = make_net(n=20, recurrent=True, connectivity=0.4, excitatory=0.7)
    trainer = make_trainer(net, optimizer=Adam(0.1, weight_decay=0.1))
    recurrent, given = net.connections["recurrent"], net.connections["input"]
    before = given.w.copy()
    fit(trainer, epochs=5)
    assert given.sparse
    assert given.w.size == given.n_synapses == before.size
    assert np.mean(given.w != before) > 0.9
    assert np.all(recurrent.w * recurrent.sign[recurrent.pre] >= 0)
    assert np.all(recurrent.pre != recurrent.post)


def test_the_gradient_of_absent_synapses_moves_nothing_and_has_no_length():
    """Whatever a backend leaves there: else it would shorten all others by the clipping."""

    class Leaving(LinearBackend):
        def run(self, trials, targets=None, gradient=False):
            result = super().run(trials, targets, gradient)
            if gradient:
                np.fill_diagonal(result.gradient["recurrent.w"], 1e6)
            return result

    results = []
    for backend in (LinearBackend, Leaving):
        net = make_net(recurrent=True)
        trainer = Trainer(
            net,
            "rule",
            backend=backend(net, CrossEntropy()),
            optimizer=Adam(0.1),
            clip_gradient=1.0,
        )
        results.append((trainer.step(TRIALS)["gradient_norm"], weights_of(trainer)))
        assert not np.diagonal(net.parameters["recurrent.w"]).any()
    (norm, weights), (norm_left, weights_left) = results
    assert norm_left == norm > 0
    assert same(weights, weights_left)


def volts_net():
    model = NeuronModel(
        equations="dv/dt = -v/tau_m : volt",
        threshold="v > v_th",
        reset="v = 0*mV",
        surrogate="clip(1 - abs(v - v_th)/v_th, 0, 1)/v_th",
        parameters={"tau_m": 20 * ms, "v_th": 10 * mV},
    )
    return SpikingNetwork(Input(8), Layer(model, 5), Readout(3))


def test_silent_neurons_are_lifted_by_millivolts():
    trainer = make_trainer(volts_net())
    before = weights_of(trainer)
    trainer.counts = {"hidden": np.array([0, 3, 0, 1, 9])}
    LiftSilent(0.25).epoch_end(trainer, {})
    moved = trainer.net.parameters["input.w"] - before["input.w"]
    np.testing.assert_allclose(moved, np.tile([0.25e-3, 0, 0.25e-3, 0, 0], (8, 1)), atol=1e-12)


def test_mean_of_the_weights_over_updates():
    """The closed form: the update that lies n updates back counts (1 - 1/k)^n/k, the first one the rest."""
    seen = []

    class Seen(Callback):
        def batch_end(self, trainer, result):
            seen.append(weights_of(trainer))

    mean, trainer = MeanWeights(4), make_trainer(optimizer=Adam(1e-2))
    with pytest.raises(ValueError, match="no mean yet"):
        mean.put_into(trainer.net)
    fit(trainer, callbacks=[Seen(), mean])
    assert len(seen) > 5
    share = 0.75 ** np.arange(len(seen))[::-1] * np.append(1, np.full(len(seen) - 1, 0.25))
    last = weights_of(trainer)
    mean.put_into(trainer.net)
    for name, array in trainer.net.parameters.items():
        wanted = np.tensordot(share, [weights[name] for weights in seen], 1)
        np.testing.assert_allclose(array, wanted, rtol=1e-12)
        assert np.abs(array - last[name]).max() > 1e-3


def test_a_mean_is_of_a_network_of_ours():
    with pytest.raises(ValueError, match="updates"):
        MeanWeights(0)
    with pytest.raises(TypeError, match="AveragedModel"):
        MeanWeights().batch_end(SimpleNamespace(net=SimpleNamespace(parameters=list)), {})


def test_weights_with_a_unit_are_learned_in_millivolts():
    """Adam moves by the learning rate in its first step: 0.1 mV, not 0.1 V."""
    net = volts_net()
    trainer = make_trainer(net, optimizer=Adam(0.1))
    before = weights_of(trainer)
    trainer.step(TRIALS)
    moved = np.abs(net.parameters["input.w"] - before["input.w"])
    assert moved == pytest.approx(np.full(moved.shape, 1e-4), rel=1e-2)
    assert np.abs(net.parameters["readout.b"] - before["readout.b"]) == pytest.approx(0.1, rel=1e-3)


def test_weights_with_a_unit_keep_their_bits_where_nothing_is_learned():
    """Dividing by mV and multiplying again would move a weight by an ulp, update by update."""
    volts = NeuronModel(
        equations="dv/dt = -v/tau_m : volt",
        threshold="v > v_th",
        reset="v = 0*mV",
        surrogate="clip(1 - abs(v - v_th)/v_th, 0, 1)/v_th",
        parameters={"tau_m": 20 * ms, "v_th": 10 * mV},
    )
    net = SpikingNetwork(Input(40), Layer(volts, 30), Readout(3), seed=5)
    trainer = make_trainer(net, optimizer=Adam(0.1, factors={"input.w": 0}))
    before = weights_of(trainer)
    assert np.any(before["input.w"] / 1e-3 * 1e-3 != before["input.w"])
    for _ in range(3):
        trainer.step(make_trials(channels=40))
    assert np.array_equal(net.parameters["input.w"], before["input.w"])
    assert not np.array_equal(net.parameters["readout.w"], before["readout.w"])


def test_arrays_that_a_backend_learns_are_updated_and_kept(tmp_path):
    class Adaptive(LinearBackend):
        def __init__(self, net, loss):
            super().__init__(net, loss)
            self.parameters = {"feedback": np.ones((5, 3))}

        def run(self, trials, targets=None, gradient=False):
            result = super().run(trials, targets, gradient)
            if gradient:
                result.gradient["feedback"] = result.gradient["readout.w"]
            return result

    def make():
        net = make_net()
        return Trainer(net, "rule", backend=Adaptive(net, CrossEntropy()), optimizer=SGD(0.1))

    trainer, path = make(), tmp_path / "training.npz"
    before = weights_of(trainer)["readout.w"]
    fit(trainer, checkpoint=path)
    change = trainer.net.parameters["readout.w"] - before
    assert np.abs(change).max() > 1e-3
    assert trainer.backend.parameters["feedback"] - 1 == pytest.approx(change)
    again = make()
    fit(again, checkpoint=path)
    assert np.array_equal(
        again.backend.parameters["feedback"], trainer.backend.parameters["feedback"]
    )


# -- the same again ---------------------------------------------------------------------------


def test_one_seed_one_result():
    def trained(seed=0, **settings):
        trainer = make_trainer(seed=seed, augment=[drop_spikes], **settings)
        fit(trainer)
        return weights_of(trainer)

    assert same(trained(), trained())
    assert not same(trained(), trained(seed=1))


def test_two_calls_go_on():
    whole, parts = make_trainer(), make_trainer()
    fit(whole, epochs=4)
    fit(parts, epochs=1)
    fit(parts, epochs=3)
    assert same(weights_of(whole), weights_of(parts))
    assert parts.history["epoch"].tolist() == [1, 2, 3, 4]


def test_neither_validation_nor_evaluation_changes_the_training():
    train, held = TRIALS[:40], TRIALS[40:]
    plain, watched = make_trainer(), make_trainer()
    fit(plain, train)
    fit(
        watched,
        train,
        validation=held,
        callbacks=lambda trainer, row: trainer.evaluate(held) and None,
    )
    assert same(weights_of(plain), weights_of(watched))


def test_augmentation_is_for_training_only():
    changed = []

    def note(trials, rng):
        changed.append(len(trials))
        return trials

    trainer = make_trainer(augment=note)
    trainer.evaluate(TRIALS)
    trainer.step(TRIALS)
    assert not changed
    fit(trainer, epochs=1, batch_size=40)
    assert changed == [40, 20]


# -- signals and frames -------------------------------------------------------------------------


def test_regression_with_one_signal_for_all_or_one_each():
    signal_ = np.sin(np.linspace(0, 3, 20))[:, None] * np.ones(3)
    shared, single = make_trainer(loss=MeanSquareError()), make_trainer(loss="mean_square")
    history = fit(shared, targets=signal_, validation=TRIALS[:10])
    fit(single, targets=np.repeat(signal_[None], 60, axis=0), validation=(TRIALS[:10], signal_))
    assert same(weights_of(shared), weights_of(single))
    assert history["loss"][-1] < history["loss"][0]
    assert "accuracy" not in history.columns
    assert sorted(shared.evaluate(TRIALS, targets=signal_)) == ["loss", "mse", "r2", "rate.hidden"]
    assert shared.gradient(TRIALS, signal_)["readout.b"].any()
    fraction = make_trainer(loss="mean_square")
    rows = fit(fraction, targets=np.repeat(signal_[None], 60, axis=0), validation=0.5).rows
    assert rows[0]["validation_loss"] > 0


def test_targets_that_do_not_fit():
    trainer = make_trainer(loss="mean_square")
    with pytest.raises(ValueError, match="the loss 'mean_square' has no targets"):
        trainer.step(TRIALS)
    with pytest.raises(
        ValueError, match=r"targets have shape \(20, 2\), it must be \(60, 20, 3\) or \(20, 3\)"
    ):
        trainer.step(TRIALS, np.zeros((20, 2)))
    with pytest.raises(ValueError, match="targets hold a value that is not finite"):
        trainer.step(TRIALS, np.full((20, 3), np.nan))
    with pytest.raises(ValueError, match="targets are .*not numbers"):
        trainer.step(TRIALS, np.array([["a"]]))
    with pytest.raises(ValueError, match="the validation trials have no targets of their own"):
        fit(trainer, targets=np.zeros((60, 20, 3)), validation=TRIALS[:9])
    with pytest.raises(ValueError, match="targets= with the loss 'cross_entropy'"):
        make_trainer().step(TRIALS, np.zeros((20, 3)))
    labels = make_trainer(loss="cross_entropy_per_step")
    with pytest.raises(ValueError, match="targets are float64, labels are whole numbers"):
        labels.step(TRIALS, np.zeros((60, 20)))
    with pytest.raises(ValueError, match="there is a label 3, but the readout has 3 outputs"):
        labels.step(TRIALS, np.full((60, 20), 3))
    net = SpikingNetwork(Input(2, real_valued=True), Layer(equations.LIF(), 4), Readout(3))
    ragged = FrameTrials(features=np.ones((5, 2)), offsets=[0, 2, 5], frame=1 * ms)
    with pytest.raises(ValueError, match="targets for trials of 2 to 3 steps"):
        make_trainer(net, loss="mean_square").step(ragged, np.zeros((3, 3)))


def test_labels_of_steps_count_where_they_are_not_masked():
    trainer = make_trainer(loss="cross_entropy_per_step")
    labels = np.repeat(TRIALS.labels[:, None], 20, axis=1)
    assert trainer.evaluate(TRIALS, targets=labels)["loss"] > 0
    assert trainer.evaluate(TRIALS, targets=np.full((60, 20), -1))["loss"] == 0


def test_frames_need_a_loss_per_step():
    net = SpikingNetwork(Input(2, real_valued=True), Layer(equations.LIF(), 4), Readout(3))
    frames = {"features": np.ones((5, 2)), "offsets": [0, 2, 5], "frame": 1 * ms}
    trials = FrameTrials(**frames, labels=[0, 1, 2, -1, 0])
    with pytest.raises(ValueError, match="the loss 'cross_entropy' with one label a frame"):
        make_trainer(net).step(trials)
    with pytest.raises(ValueError, match="the loss 'cross_entropy_per_step' needs labels"):
        make_trainer(net, loss="cross_entropy_per_step").step(FrameTrials(**frames))
    with pytest.raises(ValueError, match="the trials hold spikes, the network reads real values"):
        make_trainer(net).step(make_trials(channels=2))


# -- what it refuses --------------------------------------------------------------------------


def test_trials_that_do_not_fit():
    trainer = make_trainer()
    with pytest.raises(ValueError, match="Trainer.fit: there are no trials"):
        fit(trainer, TRIALS[:0])
    with pytest.raises(ValueError, match=r"have 9 channels, the network has 8.*Input\(9\)"):
        trainer.evaluate(make_trials(channels=9))
    with pytest.raises(TypeError, match="is no set of trials.*One trial is trials"):
        trainer.step(TRIALS[0])
    many = SpikingNetwork(Input(8), Layer(equations.LIF(), 5), Readout(2))
    with pytest.raises(ValueError, match="there is a label 2, but the readout has 2 outputs"):
        make_trainer(many).fit(TRIALS, epochs=1)
    with pytest.raises(ValueError, match="Trainer.fit validation: there are no trials"):
        fit(trainer, validation=TRIALS[:0])
    with pytest.raises(ValueError, match="Trainer.fit validation.*between 0 and 1"):
        fit(trainer, validation=1.5)


def test_settings_that_make_no_sense():
    net = make_net()
    with pytest.raises(TypeError, match="optimizer must be an optimizer, got the class"):
        make_trainer(net, optimizer=Adam)
    with pytest.raises(TypeError, match="schedule must be a function, got 0.95"):
        make_trainer(net, schedule=0.95)
    with pytest.raises(TypeError, match="augment must be functions, got 0.1"):
        make_trainer(net, augment=[0.1])
    with pytest.raises(ValueError, match="clip_gradient must be > 0"):
        make_trainer(net, clip_gradient=0)
    with pytest.raises(ValueError, match="seed must be a whole number from 0, got 0.5"):
        make_trainer(net, seed=0.5)
    with pytest.raises(ValueError, match="threads must be a whole number from 1"):
        make_trainer(net, threads=0)
    with pytest.raises(ValueError, match="dtype must be float32 or float64, got 'float16'"):
        make_trainer(net, dtype="float16")
    with pytest.raises(ValueError, match="backend='gpu' is not known"):
        Trainer(net, "rule", backend="gpu")
    with pytest.raises(TypeError, match="backend must be a name or have a method run"):
        Trainer(net, "rule", backend=3)
    with pytest.raises(ValueError, match="epochs must be a whole number from 1, got 0"):
        fit(make_trainer(net), epochs=0)
    with pytest.raises(ValueError, match=r"batch_size must be a whole number from 1, got 2.5"):
        fit(make_trainer(net), batch_size=2.5)
    with pytest.raises(ValueError, match="the schedule gave -1.0 for epoch 0"):
        make_trainer(net, schedule=lambda epoch: -1).step(TRIALS)
    with pytest.raises(ValueError, match="An augmentation changes spikes, not the number"):
        fit(make_trainer(net, augment=lambda trials, rng: trials[:2]))


def test_a_backend_must_give_all_gradients():
    class Partial(LinearBackend):
        def run(self, trials, targets=None, gradient=False):
            result = super().run(trials, targets, gradient)
            result.gradient.pop("readout.b", None)
            return result

    net = make_net()
    with pytest.raises(ValueError, match="the backend gave no gradient for 'readout.b'"):
        Trainer(net, "rule", backend=Partial(net, CrossEntropy())).step(TRIALS)


# -- which backend ----------------------------------------------------------------------------


def test_without_a_compiler_brian2_is_used_and_said(monkeypatch):
    made = []

    class Stub:
        def __init__(self, name, settings):
            made.append((name, *settings))

        def run(self, trials, targets=None, gradient=False):
            raise NotImplementedError

    for name in ("engine", "brian2"):
        make = lambda net, rule, loss, settings, name=name: Stub(name, settings)  # noqa: E731
        monkeypatch.setitem(backends.BACKENDS, name, make)
    monkeypatch.setattr("shutil.which", lambda name: None)
    with pytest.warns(UserWarning, match="no C\\+\\+ compiler was found.*much slower"):
        Trainer(make_net(), EProp())
    net = make_net()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        Trainer(net, EProp(), backend="brian2")
        monkeypatch.setattr("shutil.which", lambda name: "/usr/bin/" + name)
        Trainer(net, EProp(), dtype=np.float64, threads=3)
    assert [name for name, *_ in made] == ["brian2", "brian2", "engine"]
    assert made[-1] == ("engine", "float64", 3)


@pytest.mark.skipif(not shutil.which("c++"), reason="there is no C++ compiler")
def test_with_the_engine_it_learns_resumes_and_does_not_depend_on_threads(tmp_path):
    def train(threads, path=None, epochs=4):
        layer = Layer(equations.LIF(), 12, recurrent=True, weight_scale=3)
        net = SpikingNetwork(Input(8), layer, Readout(3), seed=1)
        trainer = Trainer(net, EProp(), threads=threads, optimizer=Adam(0.01), augment=drop_spikes)
        fit(trainer, epochs=epochs, batch_size=16, checkpoint=path)
        return trainer

    whole = train(1)
    assert whole.history["rate.hidden"].min() > 5
    assert whole.history["loss"][-1] < 0.95 * whole.history["loss"][0]
    train(2, tmp_path / "training.npz", epochs=2)
    resumed = train(2, tmp_path / "training.npz")
    assert resumed.history["loss"].tolist() == whole.history["loss"].tolist()
    assert same(weights_of(resumed), weights_of(whole))


@pytest.mark.skipif(not shutil.which("c++"), reason="there is no C++ compiler")
def test_trials_that_the_engine_prepares_change_no_bit(monkeypatch):
    from neurosnn.engine import Engine

    def train():
        layer = Layer(equations.LIF(), 12, recurrent=True, weight_scale=3)
        net = SpikingNetwork(Input(8), layer, Readout(3), seed=1)
        trainer = Trainer(net, EProp(), threads=1, optimizer=Adam(0.01))
        fit(trainer, epochs=2, batch_size=16, validation=0.2)
        return trainer

    given, prepared = [], train()
    monkeypatch.setattr(Engine, "prepare", lambda _, trials: given.append(trials) or trials)
    plain = train()
    assert [len(trials) for trials in given] == [48, 12]
    assert same(weights_of(plain), weights_of(prepared))
    assert plain.history["loss"].tolist() == prepared.history["loss"].tolist()
    losses = prepared.history["validation_loss"].tolist()
    assert plain.history["validation_loss"].tolist() == losses
