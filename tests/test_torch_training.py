"""Training in PyTorch: the contract of all learners, and plain torch loops that come to the same bits."""

from __future__ import annotations

import copy

import numpy as np
import pytest
from brian2 import ms
from learning_contract import CONTRACT, Training

from neurosnn.data import FrameTrials
from neurosnn.training.callbacks import LiftSilent
from neurosnn.training.checkpoint import load_checkpoint

torch = pytest.importorskip("torch")
from neurosnn.torch import SequenceNetwork, cut, fit, fit_sequences  # noqa: E402
from neurosnn.torch.learner import TorchLearner, checked_norm  # noqa: E402
from neurosnn.torch.sequences import _Sequences  # noqa: E402
from neurosnn.torch.training import _Classifier  # noqa: E402

functional = torch.nn.functional


def points(n, seed):
    """Four clouds of points, and the numbers of their clouds."""
    random = np.random.default_rng(seed)
    labels = np.arange(n) % 4
    x = 2 * np.eye(5)[labels] + random.normal(size=(n, 5))
    return torch.from_numpy(x.astype(np.float32)), torch.from_numpy(labels)


TRAIN, HELD = points(70, 0), points(40, 1)


def sequences(n, seed):
    """Frames near one of four prototypes; some are not scored."""
    random = np.random.default_rng(seed)
    offsets = np.append(0, np.cumsum(random.integers(15, 30, n)))
    labels = np.repeat(random.integers(0, 4, offsets[-1] // 5 + 1), 5)[: offsets[-1]]
    features = np.eye(4, 6)[labels] + 0.5 * random.normal(size=(offsets[-1], 6))
    labels[::11] = -1
    return FrameTrials(features=features, offsets=offsets, frame=10 * ms, labels=labels)


SPOKEN, SPOKEN_HELD = sequences(12, 0), sequences(8, 1)


def jittered(x):
    """Augmentation that draws from torch's generator."""
    return x + 0.1 * torch.randn_like(x)


def classifier_net():
    torch.manual_seed(3)
    return torch.nn.Sequential(
        torch.nn.Linear(5, 12),
        torch.nn.BatchNorm1d(12),
        torch.nn.ReLU(),
        torch.nn.Dropout(0.2),
        torch.nn.Linear(12, 4),
    )


def sequence_net(kind="v2"):
    torch.manual_seed(4)
    return SequenceNetwork(kind, 6, 4, size=8, dropout=0.2)


def training_of(net, learner, fit_it):
    def weights():
        return {name: tensor.numpy().copy() for name, tensor in net.state_dict().items()}

    def spoil():
        with torch.no_grad():
            next(net.parameters()).view(-1)[0] = np.nan

    def shake(amount):
        with torch.no_grad():
            for parameter in net.parameters():
                parameter += amount

    training = Training(fit_it, weights, learner, spoil, shake)
    training.net = net
    return training


def classifier(**settings):
    net = classifier_net()
    given = {"learning_rate": 1e-2, "half_period": 5, "seed": 6, "augment": jittered}
    given |= {"loss": functional.cross_entropy, **settings}

    def fit_it(**how):
        how = {"validation": HELD, "progress": False, **given, **how}
        return fit(net, TRAIN, **how)

    return training_of(net, _Classifier, fit_it)


def sequence(**settings):
    net = sequence_net()
    given = {"batch_size": 5, "learning_rate": 1e-2, "seed": 6, "curriculum": [12, 20, 30]}
    given |= settings

    def fit_it(**how):
        how = {"validation": SPOKEN_HELD, "progress": False, **given, **how}
        return fit_sequences(net, SPOKEN, **how)

    return training_of(net, _Sequences, fit_it)


COMMON = [({"learning_rate": 0.1}, "learning_rate"), ({"seed": 7}, "seed")]
classifier.changes = [*COMMON, ({"augment": None}, "augment"), ({"half_period": 6}, "half_period")]
sequence.changes = [*COMMON, ({"clip": 1.0}, "clip"), ({"curriculum": [12]}, "curriculum")]
classifier.changing_rate, sequence.changing_rate = True, False
CASES = [classifier, sequence]


def draw(trainer):
    return trainer.random.normal() + float(torch.randn(()))


@pytest.mark.parametrize("check", CONTRACT, ids=lambda check: check.__name__)
@pytest.mark.parametrize("make", CASES, ids=lambda make: make.__name__)
def test_contract(make, check, tmp_path, monkeypatch):
    check(make, draw, tmp_path, monkeypatch)


def same_module(one, other):
    for name, tensor in one.state_dict().items():
        assert torch.equal(tensor, other.state_dict()[name]), name


def test_a_plain_loop_comes_to_the_same_bits():
    """Adam, torch's cosine, whole batches in the order of randperm, the best weights."""
    net = classifier_net()
    (x, labels), (held, held_labels) = TRAIN, HELD
    torch.manual_seed(6)
    optimizer = torch.optim.Adam(net.parameters(), lr=0.3)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, T_max=2)
    accuracies, losses, kept = [], [], []
    for _ in range(5):
        net.train()
        order, total = torch.randperm(70), 0.0
        for k in range(4):
            chosen = order[16 * k : 16 * k + 16]
            optimizer.zero_grad()
            loss = functional.cross_entropy(net(jittered(x[chosen])), labels[chosen])
            loss.backward()
            optimizer.step()
            total += loss.item()
        schedule.step()
        net.eval()
        accuracies.append((net(held).argmax(1) == held_labels).float().mean().item())
        losses.append(total / 4)
        kept.append(copy.deepcopy(net))
    best = int(np.argmax(accuracies))
    assert 0 < best < 4
    training = classifier(learning_rate=0.3, half_period=2)
    history = training.fit(epochs=5)
    same_module(training.net, kept[best])
    assert not torch.equal(training.net[0].weight, kept[-1][0].weight)
    np.testing.assert_allclose(history["validation_accuracy"], accuracies, rtol=1e-6)
    np.testing.assert_allclose(history["loss"], losses, rtol=1e-6)
    cosine = [0.3, 0.15, 0.0, 0.15, 0.3]
    np.testing.assert_allclose(history["learning_rate"], cosine, atol=1e-12)


@pytest.mark.parametrize("clip", [None, 0.05])
def test_a_plain_loop_over_sequences_comes_to_the_same_bits(clip):
    net, curriculum = sequence_net(), [12, 20, 30]
    torch.manual_seed(6)
    random = np.random.default_rng(6)
    optimizer = torch.optim.Adam(net.parameters(), lr=1e-2)
    norms = []
    for epoch in range(3):
        pieces = cut(SPOKEN, curriculum[epoch])
        order = np.argsort(pieces.lengths + random.random(len(pieces)), kind="stable")
        groups = [order[k : k + 5] for k in range(0, len(order), 5)]
        net.train()
        for k in random.permutation(len(groups)):
            longest = int(pieces.lengths[groups[k]].max())
            x, y = torch.zeros(longest, len(groups[k]), 6), -torch.ones(longest, len(groups[k]))
            for column, piece in enumerate(groups[k]):
                frames = slice(pieces.offsets[piece], pieces.offsets[piece + 1])
                n = pieces.lengths[piece]
                x[:n, column] = torch.from_numpy(np.array(pieces.features[frames]))
                y[:n, column] = torch.from_numpy(np.array(pieces.labels[frames]))
            optimizer.zero_grad()
            loss = functional.cross_entropy(
                net(x).flatten(0, 1), y.long().flatten(), ignore_index=-1
            )
            loss.backward()
            if clip is not None:
                norms.append(float(torch.nn.utils.clip_grad_norm_(net.parameters(), clip)))
            optimizer.step()
    training = sequence(clip=clip)
    history = training.fit(epochs=3, validation=None)
    same_module(training.net, net)
    assert clip is None or min(norms) > clip
    assert "validation_loss" not in history


def test_a_learning_rate_that_is_to_be_halved_is_halved_after_a_break(tmp_path, monkeypatch):
    """The validation stays as it is, so that epochs 3 and 5 halve what follows them."""
    monkeypatch.setattr(_Sequences, "validate", lambda self: {"loss": 1.0, "accuracy": 0.5})
    wanted = [0.01, 0.01, 0.01, 0.005, 0.005, 0.0025]
    for epochs in range(1, 6):
        file = tmp_path / f"{epochs}.npz"
        sequence().fit(epochs=epochs, checkpoint=file)
        np.testing.assert_allclose(
            sequence().fit(epochs=6, checkpoint=file)["learning_rate"], wanted, rtol=1e-12
        )


def test_loss_and_accuracy_of_the_validation():
    """Against all trials at once; the last epoch is made the best one."""
    training = classifier()
    history = training.fit(epochs=1)
    training.net.eval()
    with torch.no_grad():
        output = training.net(HELD[0])
    loss = functional.cross_entropy(output, HELD[1]).item()
    assert history["validation_loss"][0] == pytest.approx(loss, rel=1e-5)
    right = (output.argmax(1) == HELD[1]).float().mean().item()
    assert history["validation_accuracy"][0] == pytest.approx(right)
    training = sequence()
    history = training.fit(epochs=1)
    losses, right = [], []
    training.net.eval()
    for k in range(len(SPOKEN_HELD)):
        frames = slice(SPOKEN_HELD.offsets[k], SPOKEN_HELD.offsets[k + 1])
        y = torch.from_numpy(np.array(SPOKEN_HELD.labels[frames]))
        with torch.no_grad():
            scores = training.net(torch.from_numpy(np.array(SPOKEN_HELD.features[frames]))[:, None])
        kept = y >= 0
        losses.append(functional.cross_entropy(scores[kept, 0], y[kept], reduction="none"))
        right.append(scores[kept, 0].argmax(1) == y[kept])
    assert history["validation_loss"][0] == pytest.approx(torch.cat(losses).mean().item(), rel=1e-5)
    accuracy = torch.cat(right).float().mean().item()
    assert history["validation_accuracy"][0] == pytest.approx(accuracy)


def test_a_share_is_held_out_by_class():
    seen = []
    training = classifier()
    training.fit(epochs=1, validation=0.2, batch_size=8, callbacks=lambda one, _: seen.append(one))
    (learner,) = seen
    assert learner.held_out[1].bincount().tolist() == [4, 4, 3, 3]
    assert len(learner.labels) + len(learner.held_out[1]) == 70
    rows = {tuple(row) for row in learner.x.tolist()}
    assert not rows & {tuple(row) for row in learner.held_out[0].tolist()}
    sequence().fit(epochs=1, validation=0.25, callbacks=lambda one, _: seen.append(one))
    assert (len(seen[1].train), len(seen[1].held_out)) == (9, 3)


def test_clipped_gradients_and_those_that_are_not_finite():
    """The loss has the slope 30 by the only weight."""
    weight = torch.nn.Parameter(torch.zeros(()))
    optimizer = torch.optim.SGD([weight], lr=1.0)
    assert checked_norm(optimizer, 30 * weight, "epoch 1", where="fit").item() == 30.0
    roots = torch.nn.Parameter(torch.zeros(2))
    with pytest.raises(FloatingPointError, match="gradient is not finite in epoch 3, though"):
        checked_norm(torch.optim.SGD([roots]), roots.sqrt().sum(), "epoch 3", where="fit")
    with pytest.raises(FloatingPointError, match="the loss is inf in epoch 2.*before this batch"):
        checked_norm(optimizer, weight + np.inf, "epoch 2", where="fit")


def test_an_interruption_between_gradient_and_update_takes_the_buffers_back():
    training = classifier()
    learner = _Classifier(
        training.net,
        TRAIN,
        functional.cross_entropy,
        validation=None,
        batch_size=16,
        learning_rate=0.1,
        half_period=2,
        seed=0,
        augment=None,
    )
    before = training.weights()
    learner.gradient(np.arange(16), "epoch 1")
    assert not np.array_equal(training.weights()["1.running_mean"], before["1.running_mean"])
    kept = learner.state().weights
    np.testing.assert_array_equal(kept["1.running_mean"], before["1.running_mean"])
    np.testing.assert_array_equal(training.weights()["1.running_mean"], before["1.running_mean"])


def test_bfloat16_is_kept_bit_by_bit(tmp_path):
    def make():
        torch.manual_seed(0)
        return torch.nn.Linear(5, 4).bfloat16()

    train = TRAIN[0].bfloat16(), TRAIN[1]
    how = {"epochs": 2, "progress": False, "checkpoint": tmp_path / "a.npz", "validation": train}
    whole, again = make(), make()
    fit(whole, train, functional.cross_entropy, **how)
    assert load_checkpoint(tmp_path / "a.npz").weights["weight"].dtype == np.int16
    fit(again, train, functional.cross_entropy, **how)
    same_module(again, whole)


def test_what_is_refused(tmp_path):
    loss = functional.cross_entropy
    with pytest.raises(ValueError, match="70 trials for a batch of 71.*smaller batch_size="):
        fit(classifier_net(), TRAIN, loss, epochs=1, batch_size=71)
    with pytest.raises(ValueError, match="learning_rate must be > 0"):
        classifier(learning_rate=0.0).fit(epochs=1)
    with pytest.raises(ValueError, match="half_period must be > 0"):
        classifier(half_period=0).fit(epochs=1)
    with pytest.raises(ValueError, match="clip must be > 0"):
        sequence(clip=0).fit(epochs=1)
    with pytest.raises(ValueError, match="does not count the spikes of single neurons"):
        classifier().fit(epochs=1, callbacks=LiftSilent())

    class Odd(torch.nn.Linear):
        def get_extra_state(self):
            return {"a": 1}

    with pytest.raises(TypeError, match="the state '_extra_state' of the module is not a tensor"):
        fit(Odd(5, 4), TRAIN, loss, epochs=1)
    file = tmp_path / "a.npz"
    classifier().fit(epochs=1, checkpoint=file)
    small = torch.nn.Linear(5, 4)
    with pytest.raises(ValueError, match="this training had another network"):
        fit(
            small,
            TRAIN,
            loss,
            epochs=1,
            checkpoint=file,
            validation=HELD,
            learning_rate=1e-2,
            half_period=5,
            seed=6,
            augment=jittered,
        )
    state = load_checkpoint(file)
    state.progress["learning_rates"] = ["fast"]
    learner = TorchLearner.__new__(_Classifier)
    TorchLearner.__init__(learner, small, where="fit", batch_size=16, learning_rate=0.1, seed=0)
    with pytest.raises(ValueError, match=r"a.npz: this checkpoint cannot be read \(ValueError"):
        TorchLearner.restore(learner, state, file)
    state = load_checkpoint(file)
    with pytest.raises(ValueError, match=r"the optimizer's state '0/exp_avg' has shape \(12, 5\)"):
        TorchLearner.restore(learner, state, file)
