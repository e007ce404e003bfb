"""The contract of everything that the one loop trains, for what needs no PyTorch."""

from __future__ import annotations

import numpy as np
import pytest
from brian2 import ms
from learning_contract import CONTRACT, Training
from reference.killed_training import drop_spikes, make_trials
from reference.linear_backend import LinearBackend

from neurosnn import SGD, Adam, Trainer, data, equations
from neurosnn.losses import CrossEntropy
from neurosnn.network import Input, Layer, Readout, SpikingNetwork
from neurosnn.rules.equilibrium import EquilibriumNetwork
from neurosnn.training import EquilibriumTrainer, RateEquilibrium
from neurosnn.training.image_trainer import ImageLearner
from neurosnn.training.schedules import Cosine
from neurosnn.training.trial_learner import TrialLearner

TRIALS = make_trials()
IMAGES = data.digits_8x8()[0][:50]
#: Of the images, the others are for validation; four batches.
TRAINED, BATCH = 40, 11


def noisy(x, random):
    """Augmentation that draws random numbers."""
    return np.clip(x + random.normal(0, 0.05, x.shape), 0, 1)


def training_of(trainer, learner, parameters, fit, spoil):
    def shake(amount):
        for array in parameters.values():
            array += np.asarray(amount, array.dtype)

    def weights():
        return {name: array.copy() for name, array in parameters.items()}

    training = Training(fit, weights, learner, spoil, shake)
    training.trainer = trainer
    return training


def network(**settings):
    net = SpikingNetwork(
        Input(8), Layer(equations.LIF(), 6, recurrent=True, excitatory=0.5), Readout(3), seed=2
    )
    given = {"optimizer": Adam(3e-3), "augment": drop_spikes, "schedule": Cosine(4, 0.1), "seed": 7}
    trainer = Trainer(net, "rule", backend=LinearBackend(net, CrossEntropy()), **given | settings)

    def fit(**how):
        how = {"batch_size": 16, "validation": TRIALS[:10], "progress": False, **how}
        return trainer.fit(TRIALS[10:], **how)

    def spoil():
        net.parameters["input.w"][0, 0] = np.nan

    return training_of(trainer, TrialLearner, net.parameters, fit, spoil)


def images(trainer, parameters):
    def fit(**how):
        how = {"batch_size": BATCH, "validation": IMAGES[TRAINED:], "progress": False, **how}
        return trainer.fit(IMAGES[:TRAINED], **how)

    def spoil():
        settle, name = trainer._settle, next(iter(parameters))

        def wrong(x, labels):
            settled = settle(x, labels)
            settled.gradient[name][0, 0] = np.inf
            return settled

        trainer._settle = wrong

    return training_of(trainer, ImageLearner, parameters, fit, spoil)


def spiking(input="constant", **settings):
    net = EquilibriumNetwork((64, 12, 10), input=input, free=60 * ms, nudged=40 * ms, seed=1)
    # Biases of outputs that would be silent, so that all that is learned moves.
    net.parameters["output.b"] += 0.2
    given = {"optimizer": Adam(3e-3), "augment": noisy, "schedule": Cosine(4, 0.1), "threads": 1}
    return images(EquilibriumTrainer(net, seed=2, **given | settings), net.parameters)


def spiking_input(**settings):
    return spiking("spikes", **settings)


def rates(**settings):
    given = {"optimizer": Adam(3e-3), "augment": noisy, "schedule": Cosine(4, 0.1)}
    trainer = RateEquilibrium((64, 12, 10), seed=2, **given | settings)
    return images(trainer, trainer.parameters)


COMMON = [
    ({"augment": None}, "augment"),
    ({"optimizer": SGD(0.1)}, "optimizer"),
    ({"schedule": None}, "schedule"),
]
network.changes = [({"augment": ()}, "augment"), *COMMON[1:], ({"clip_gradient": 1.0}, "clip_g")]
spiking.changes = [*COMMON, ({"beta": 2.0}, "beta"), ({"input": "spikes"}, "network")]
spiking_input.changes = [*COMMON, ({"sign": "batch"}, "sign")]
rates.changes = [*COMMON, ({"beta": 2.0}, "beta")]
CASES = [network, spiking, spiking_input, rates]
for case in CASES:
    case.changing_rate = True


def draw(trainer):
    return trainer.random.normal()


@pytest.mark.parametrize("check", CONTRACT, ids=lambda check: check.__name__)
@pytest.mark.parametrize("make", CASES, ids=lambda make: make.__name__)
def test_contract(make, check, tmp_path, monkeypatch):
    check(make, draw, tmp_path, monkeypatch)


@pytest.mark.parametrize("make", CASES, ids=lambda make: make.__name__)
def test_every_update_has_the_learning_rate_of_its_moment(make):
    rates_used = []

    class Noting(SGD):
        def update(self, parameters, gradient, state, learning_rate=None):
            rates_used.append(learning_rate)
            super().update(parameters, gradient, state, learning_rate)

    training = make(optimizer=Noting(0.01), schedule=Cosine(4, 0.1))
    history = training.fit(epochs=2)
    n = len(rates_used) // 2
    moments = [epoch + k / n for epoch in range(2) for k in range(n)]
    assert n >= 3
    np.testing.assert_allclose(rates_used, [0.01 * Cosine(4, 0.1)(m) for m in moments], rtol=1e-12)
    np.testing.assert_allclose(history["learning_rate"], [rates_used[n - 1], rates_used[-1]])
    training.trainer.epoch = 3
    if make is network:
        training.trainer.step(TRIALS)
    else:
        training.trainer.step(IMAGES[:5].pixels(), IMAGES.labels[:5])
    assert rates_used[-1] == pytest.approx(0.01 * Cosine(4, 0.1)(3), rel=1e-12)


@pytest.mark.parametrize("make", [spiking, spiking_input, rates], ids=lambda make: make.__name__)
def test_images_that_do_not_fit_are_refused(make):
    trainer = make().trainer
    with pytest.raises(TypeError, match=r"fit: 7 are no images.*Pass an Images"):
        trainer.fit(7, epochs=1)
    with pytest.raises(ValueError, match="evaluate: there are no images"):
        trainer.evaluate(IMAGES[:0])
    other = data.Images(images=np.zeros((2, 3, 3), dtype=np.uint8), labels=[0, 1])
    with pytest.raises(ValueError, match="the images have 9 pixels .* the network 64 inputs"):
        trainer.predict(other)
    labels = data.Images(images=np.zeros((1, 8, 8), dtype=np.uint8), labels=[10])
    with pytest.raises(ValueError, match="labels up to 10, the network 64 inputs and 10 outputs"):
        trainer.fit(IMAGES[:20], epochs=1, validation=labels)
    with pytest.raises(TypeError, match="augment must be a function, got 3"):
        make(augment=3)
    with pytest.raises(TypeError, match="optimizer must be an optimizer, got 'adam'"):
        make(optimizer="adam")
    with pytest.raises(ValueError, match="the schedule gave -1.0 for epoch 0"):
        make(schedule=lambda epoch: -1.0).fit(epochs=1)


@pytest.mark.parametrize("make", [spiking, rates], ids=lambda make: make.__name__)
def test_scores_of_images(make):
    """Cost and accuracy against what the outputs say, and the share that is held out."""
    trainer = make().trainer
    outputs = trainer._outputs(IMAGES.pixels())
    assert outputs.max() > 0.05
    values = trainer.evaluate(IMAGES)
    factor = 0.5 if make is spiking else 1.0
    distance = np.square(np.eye(10)[IMAGES.labels] - outputs).sum(axis=1)
    assert values["loss"] == pytest.approx(factor * distance.mean())
    predicted = trainer.predict(IMAGES)
    assert values["accuracy"] == np.mean(predicted == IMAGES.labels)
    seen = []
    trainer.fit(
        IMAGES,
        epochs=1,
        validation=0.2,
        batch_size=1000,
        progress=False,
        callbacks=lambda trainer, row: seen.append(row),
    )
    rest, held = IMAGES.split(0.2, seed=trainer.seed)
    assert len(rest) + len(held) == len(IMAGES)
    assert seen[0]["validation_accuracy"] == trainer.evaluate(held)["accuracy"]


def test_firing_rates_of_an_epoch_are_those_of_its_trials():
    training = spiking(augment=None, schedule=None, optimizer=SGD(1e-12), sign="fixed")
    trainer = training.trainer
    row = training.fit(epochs=1).rows[0]
    result = trainer.engine.run(
        IMAGES[:TRAINED].pixels(),
        targets=trainer.targets(IMAGES.labels[:TRAINED]),
        beta=trainer.beta,
    )
    for name, n in (("hidden", 12), ("output", 10)):
        hertz = result.spikes[name].sum() / (TRAINED * n * 0.1)
        assert hertz > 1
        assert row[f"rate.{name}"] == pytest.approx(hertz)
    free = trainer.evaluate(IMAGES[:TRAINED])
    assert free["rate.hidden"] == pytest.approx(
        result.spikes["hidden"][:, 0].sum() / (TRAINED * 12 * 0.06)
    )
