"""PLIF: the paper's recursions forwards and backwards, its networks, layers and training."""

import numpy as np
import pytest
from brian2 import ms

from neurosnn import data, equations

pytest.importorskip("torch", reason="PyTorch is not installed (extra neurosnn[torch])")
import torch
from torch import nn

from neurosnn.torch import (
    Ahead,
    EveryStep,
    FixedDropout,
    StepBatchNorm,
    Voting,
    accuracy,
    fit,
    image_tensors,
    layers,
    plif_network,
    rate_loss,
    shifted,
    to_torch,
)
from neurosnn.torch.plif import ARCHITECTURES

#: Fang et al. 2021 as released: weights, two parameters a channel of batch norm, one tau a layer.
COUNTS = {
    "MNIST": (13.20, 4),
    "Fashion-MNIST": (13.20, 4),
    "N-MNIST": (17.13, 4),
    "CIFAR-10": (36.72, 8),
    "CIFAR10-DVS": (17.43, 6),
    "DVS128 Gesture": (1.70, 7),
}


@pytest.mark.parametrize("name", COUNTS)
def test_parameter_counts_of_the_published_networks(name):
    with torch.device("meta"):
        net = plif_network(name)
    millions, layers = COUNTS[name]
    assert round(sum(p.numel() for p in net.parameters()) / 1e6, 2) == millions
    taus = [p for key, p in net.named_parameters() if key.endswith("free_tau_m")]
    assert len(taus) == layers
    assert all(tau.numel() == 1 for tau in taus)
    assert set(ARCHITECTURES) == {*COUNTS, "small"}


def test_number_of_weights_of_mnist_by_hand():
    with torch.device("meta"):
        net = plif_network("MNIST")
    convolutions = 9 * 128 + 9 * 128 * 128 + 2 * 2 * 128
    assert sum(p.numel() for p in net.parameters()) == (
        convolutions + 128 * 7 * 7 * 2048 + 2048 * 100 + 4
    )


@pytest.mark.parametrize("detached", [True, False])
def test_recursions_of_the_paper_forwards_and_backwards(detached):
    rng = np.random.default_rng(0)
    n_steps, n, tau = 30, 6, 3.0
    x = rng.normal(1.0, 2.0, (n_steps, n))
    upstream = rng.normal(size=(n_steps, n))
    k, v = 1 / tau, np.zeros(n)
    H, S, before = (np.zeros((n_steps, n)) for _ in range(3))
    for t in range(n_steps):
        before[t] = v
        H[t] = v + k * (-v + x[t])
        S[t] = H[t] >= 1
        v = H[t] * (1 - S[t])
    assert S.sum() > 20
    slope = 1 / (1 + (np.pi * (H - 1)) ** 2)
    gH, gx = np.zeros(n), np.zeros((n_steps, n))
    ga = 0.0
    for t in range(n_steps - 1, -1, -1):
        through_reset = (1 - S[t]) if detached else (1 - S[t]) - H[t] * slope[t]
        gH = upstream[t] * slope[t] + gH * (1 - k) * through_reset
        gx[t] = k * gH
        ga += (k * (1 - k) * gH * (x[t] - before[t])).sum()

    model = equations.PLIF(tau_m=tau * ms, detach_reset=detached)
    neuron = to_torch(model, {"tau_m": "leak_rate"}, dtype=torch.float64)
    given = torch.tensor(x, requires_grad=True)
    spikes = neuron(given, ahead=True)
    np.testing.assert_array_equal(spikes.detach(), S)
    (spikes * torch.tensor(upstream)).sum().backward()
    np.testing.assert_allclose(given.grad, gx, rtol=1e-10, atol=1e-14)
    assert neuron.free_tau_m.grad.item() == pytest.approx(ga, rel=1e-10)


def test_threshold_itself_fires_and_undecayed_input():
    x = torch.zeros(3, 2, dtype=torch.float64)
    x[0] = torch.tensor([2.0, 1.0])
    decayed = to_torch(equations.PLIF(), dtype=torch.float64)(x, ahead=True)
    assert decayed.tolist() == [[1, 0], [0, 0], [0, 0]]
    model = equations.PLIF(decay_input=False, v_reset=-0.5)
    state, neuron = None, to_torch(model, dtype=torch.float64)
    seen = []
    for part in x:
        _, state = neuron.step((part,), state)
        seen.append(state.values["v"].tolist())
    # 1.5 is reached and reset; 0.5 decays to -0.5 by halves
    assert seen[1] == [-0.5, 0.5]
    assert seen[2] == [-0.5, 0.0]


def test_layers_of_sequences():
    torch.manual_seed(0)
    x = torch.rand(5, 8, 3)
    norm = StepBatchNorm(nn.BatchNorm1d(3))
    plain = nn.BatchNorm1d(3)
    expected = torch.stack([plain(part) for part in x])
    torch.testing.assert_close(norm(x), expected)
    torch.testing.assert_close(norm.norm.running_var, plain.running_var)
    merged = StepBatchNorm(nn.BatchNorm1d(3), merge=True)
    torch.testing.assert_close(merged(x).mean((0, 1)), torch.zeros(3), atol=1e-6, rtol=0)
    assert norm(x).mean((0, 1)).abs().max() < 1e-6
    assert norm(x)[0].mean(0).abs().max() < 1e-6 < merged(x)[0].mean(0).abs().max()
    norm.eval()
    torch.testing.assert_close(norm(x), torch.stack([norm.norm(part) for part in x]))

    drop = FixedDropout(0.25)
    kept = drop(torch.ones(6, 400, 10))
    assert torch.equal(kept, kept[:1].expand_as(kept))
    assert kept.unique().tolist() == [0.0, pytest.approx(4 / 3)]
    assert (kept[0] == 0).float().mean().item() == pytest.approx(0.25, abs=0.03)
    drop.eval()
    assert torch.equal(drop(x), x)
    assert Voting(2)(torch.tensor([[1.0, 0.0, 1.0, 1.0]])).tolist() == [[0.5, 1.0]]
    linear = nn.Linear(3, 2)
    torch.testing.assert_close(EveryStep(linear)(x), linear(x))


def test_rate_loss():
    rates = torch.tensor([[0.5, 0.0], [0.25, 1.0]])
    assert rate_loss(rates, torch.tensor([0, 1])).item() == pytest.approx((0.25 + 0.0625) / 4)


@pytest.mark.parametrize("name", ["MNIST", "DVS128 Gesture"])
def test_published_network_learns_from_a_batch(name):
    torch.manual_seed(0)
    net = plif_network(name)
    shape = net.architecture
    x = torch.rand(2, shape.channels, shape.side, shape.side)
    x = 3 * x.expand(2, *x.shape) if shape.frames else x
    rates = net(x) if shape.frames else net(x, n_steps=2)
    assert rates.shape == (2, shape.classes)
    rate_loss(rates, torch.tensor([0, 1])).backward()
    taus = {k: p.grad for k, p in net.named_parameters() if k.endswith("tau_m")}
    assert all(gradient is not None for gradient in taus.values())
    assert sum(gradient.abs().item() > 0 for gradient in taus.values()) >= 2


def test_small_network_learns_digits_and_its_time_constants():
    train, test = data.digits_8x8()
    train, test = image_tensors(train, mean=0.3, deviation=0.37), image_tensors(test[:200])
    test = ((test[0] - 0.3) / 0.37, test[1])
    torch.manual_seed(1)
    net = plif_network("small", side=8, convolutions=((8,), (16,)), dropout=0.0, n_steps=4)
    counts = []
    for layer in net.layers:
        if isinstance(layer, Ahead):
            layer.watch = lambda spikes: counts.append(spikes.mean().item())
    rows = fit(net, train, test, rate_loss, epochs=2, batch=16, learning_rate=3e-3, seed=1)
    assert rows[-1]["loss"] < rows[0]["loss"]
    assert accuracy(net, *test) == max(row["validation_accuracy"] for row in rows) > 0.5
    assert all(count > 0 for count in counts[-4:]), "a layer is silent"
    assert all(abs(tau / ms - 2) > 0.02 for tau in net.time_constants())


def test_compiled_neurons_are_the_same(monkeypatch):
    traced = torch.compile(layers._ahead, backend="aot_eager")
    monkeypatch.setattr(layers, "compiled_by_torch", lambda function: traced)
    found = []
    for compiled in (False, True):
        neuron = to_torch(equations.PLIF(), {"tau_m": "leak_rate"})
        x = (2.0 * torch.rand(4, 3, 5, generator=torch.Generator().manual_seed(1))).requires_grad_()
        spikes = Ahead(neuron, compiled=compiled)(x)
        weighted = (spikes * torch.arange(5.0)).sum()
        found.append([spikes, *torch.autograd.grad(weighted, [x, neuron.free_tau_m])])
    assert 0.1 < found[0][0].mean() < 0.9
    torch.testing.assert_close(found[1], found[0])


def test_shifts_move_whole_trials_and_repeat_the_edge():
    x = torch.arange(2 * 3 * 1 * 6 * 7, dtype=torch.float32).view(2, 3, 1, 6, 7)
    torch.manual_seed(0)
    seen = set()
    for _ in range(60):
        moved = shifted(x, 1)
        assert moved.shape == x.shape
        for before, after in zip(x, moved, strict=True):
            # the numbers tell from where the middle comes
            origin = int((after[0, 0, 2, 3] - before[0, 0, 0, 0]).item())
            row, column = divmod(origin, 7)
            rows = torch.arange(row - 2, row + 4).clamp(0, 5)
            columns = torch.arange(column - 3, column + 4).clamp(0, 6)
            assert torch.equal(after, before[:, :, rows][:, :, :, columns])
            seen.add((row - 2, column - 3))
    assert seen == {(dy, dx) for dy in (-1, 0, 1) for dx in (-1, 0, 1)}


def test_augmentation_is_shown_in_training_only():
    x, labels = torch.ones(8, 1, 4, 4), torch.zeros(8, dtype=torch.int64)
    seen = {True: set(), False: set()}

    class Watch(nn.Linear):
        def forward(self, x):
            seen[self.training].add(x.max().item())
            return super().forward(x.flatten(1))

    fit(
        Watch(16, 2),
        (x, labels),
        (x, labels),
        rate_loss,
        epochs=1,
        batch=4,
        augment=lambda x: 3 * x,
    )
    assert seen == {True: {3.0}, False: {1.0}}


def test_what_is_refused():
    with pytest.raises(ValueError, match="unknown network 'minst'.*Known names: CIFAR-10"):
        plif_network("minst")
    with pytest.raises(ValueError, match="unknown pool 'mean'.*average, max"):
        plif_network("small", pool="mean")
    x, labels = torch.zeros(4, 1, 28, 28), torch.zeros(4, dtype=torch.int64)
    net = plif_network("small")
    with pytest.raises(ValueError, match="4 trials for a batch of 16"):
        fit(net, (x, labels), (x, labels), rate_loss, epochs=1)
    with pytest.raises(FloatingPointError, match="the loss is nan in epoch 1"):
        fit(net, (x, labels), (x, labels), lambda *_: torch.tensor(float("nan")), epochs=1, batch=4)
