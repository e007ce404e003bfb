"""PLIF: the paper's recursions forwards and backwards, its networks, layers and training."""

import runpy

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
    count_operations,
    fit,
    image_tensors,
    layers,
    plif_network,
    rate_loss,
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


def test_a_network_is_one_graph_for_the_compiler():
    """What --compiled network of the recipe needs: nothing in a step that torch.compile cannot follow."""
    torch.manual_seed(0)
    net = plif_network(
        "small", convolutions=((3,), (3,)), hidden=12, n_steps=2, dropout=0.0
    ).train()
    for layer in (layer for layer in net.modules() if isinstance(layer, nn.Linear)):
        layer.weight.data *= 8  # so that the last layer spikes
    x = 5 * torch.rand(3, 1, 28, 28)
    whole = torch.compile(lambda net, x: net(x), fullgraph=True, backend="eager")
    expected = net(x)
    assert expected.sum() > 0
    torch.testing.assert_close(whole(net, x), expected)


def test_training_ends_in_time_with_a_learning_rate_that_falls_to_zero(monkeypatch):
    now, rates = [100.0], []
    monkeypatch.setattr("neurosnn.torch.training.time.perf_counter", lambda: now[0])

    class Net(nn.Linear):
        def forward(self, x):
            # 20 s for the first batch, which compiles; 5 s for each later one, 1 s a validation
            now[0] += (20 if not rates else 5) if self.training else 1
            return super().forward(x)

    class Adam(torch.optim.Adam):
        def step(self, *arguments, **settings):
            rates.append(self.param_groups[0]["lr"])
            return super().step(*arguments, **settings)

    monkeypatch.setattr(torch.optim, "Adam", Adam)
    sets = (torch.rand(8, 3), torch.arange(8) % 2)
    settings = {"epochs": 9, "batch_size": 2, "validation": sets, "progress": False}
    settings |= {"learning_rate": 0.1, "half_period": 2}
    history = fit(Net(3, 2), sets, nn.functional.cross_entropy, minutes=1, **settings)
    # seconds after the first update at which the rate of each was set; 40 s are left from there on
    after = np.array([0, 0, 5, 10, 15, 21, 26, 31, 36])
    np.testing.assert_allclose(rates, 0.05 * (1 + np.cos(np.pi * after / 40)), rtol=1e-9)
    assert history["epoch"].tolist() == [1, 2, 3]
    assert history["seconds"][2] == pytest.approx(6)
    with pytest.raises(ValueError, match="minutes"):
        fit(Net(3, 2), sets, nn.functional.cross_entropy, minutes=0, **settings)


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
    history = fit(
        net,
        train,
        rate_loss,
        epochs=2,
        validation=test,
        learning_rate=3e-3,
        seed=1,
        progress=False,
    )
    assert history["loss"][-1] < history["loss"][0]
    assert accuracy(net, *test) == max(history["validation_accuracy"]) > 0.5
    assert all(count > 0 for count in counts[-4:]), "a layer is silent"
    assert all(abs(tau / ms - 2) > 0.02 for tau in net.time_constants())


def test_images_are_standardized_by_channel():
    images = data.Images(
        images=np.array([[[[0, 51, 255]]], [[[102, 102, 0]]]], dtype=np.uint8), labels=[0, 1]
    )
    x, labels = image_tensors(images, mean=(0.2, 0.4, 0.5), deviation=(0.1, 0.2, 0.5))
    np.testing.assert_allclose(x[:, :, 0, 0], [[-2, -1, 1], [2, 0, -1]], atol=1e-5)
    assert labels.tolist() == [0, 1]


def write_cifar10(root):
    rng = np.random.default_rng(0)
    for name in (*(f"data_batch_{k}.bin" for k in range(1, 6)), "test_batch.bin"):
        records = rng.integers(0, 256, (8, 3073)).astype(np.uint8)
        records[:, 0] = np.arange(8) % 4
        (root / name).write_bytes(records.tobytes())


def write_gestures(root):
    rng = np.random.default_rng(0)
    for user in (1, 2, 3, 4, 24):
        folder = root / f"user{user:02d}_lab"
        folder.mkdir()
        for gesture in range(11):
            x, y = rng.integers(0, 128, (2, 90))
            events = np.stack([x, y, rng.integers(0, 2, 90), np.sort(rng.random(90))], axis=1)
            np.save(folder / f"{gesture}.npy", events)


@pytest.mark.parametrize(
    ("name", "write", "input_shape", "classes"),
    [
        ("CIFAR-10", write_cifar10, (3, 32, 32), 10),
        ("DVS128 Gesture", write_gestures, (3, 2, 128, 128), 11),
    ],
)
def test_recipe_reads_data_that_are_not_at_hand(
    name, write, input_shape, classes, project_root, tmp_path
):
    write(tmp_path)
    recipe = runpy.run_path(str(project_root / "examples/frompapers/fang_2021_plif.py"))
    sets, shape = recipe["read"](name, tmp_path, None, 3, 0.15)
    assert all(x.shape[1:] == input_shape for x, _ in sets)
    assert len(sets[0][1]) > len(sets[1][1]) > 0
    net = plif_network("small", convolutions=((2,), (2,)), **shape)
    rates = recipe["TimeFirst"](net)(sets[2][0])
    assert rates.shape == (len(sets[2][1]), classes)


@pytest.mark.parametrize("pool", ["max", "average"])
def test_operations_are_those_of_each_element_that_is_sent(pool):
    """Convolutions of marks with weights of 1 count what meets; a second pair of eyes."""
    torch.manual_seed(3)
    shape = {"side": 8, "convolutions": ((3,), (4,)), "hidden": 6, "n_steps": 3}
    net = plif_network("small", pool=pool, **shape).eval()
    for parameter in net.parameters():
        parameter.data *= 3 if parameter.ndim > 1 else 1  # enough for spikes
    images = torch.rand(2, 1, 8, 8)
    weights = additions = 0.0
    x, repeated = images[None], False
    for layer in net.layers:
        if isinstance(layer, StepBatchNorm) and not repeated:
            x, repeated = layer(x).expand(3, *x.shape[1:2], 3, 8, 8), True
            continue
        inner = getattr(layer, "layer", None)
        if isinstance(inner, (nn.Conv2d, nn.Linear)):
            ones = torch.ones_like(inner.weight)
            for marks, into in ((x != 0, "additions"), ((x != 0) & (x != 1), "weights")):
                marks = marks.flatten(0, 1).float()
                meets = (
                    nn.functional.conv2d(marks, ones, padding=1)
                    if ones.ndim > 2
                    else marks @ ones.T
                )
                if into == "weights":
                    weights += float(meets.sum()) / 2
                else:
                    additions += float(meets.sum()) / 2
        x = layer(x)
    count = count_operations(net, images)
    of_pixels = 22**2 * 3
    assert count["weights"] == weights
    assert count["additions"] == additions > of_pixels
    assert (count["weights"] == of_pixels) == (pool == "max")
    assert count["neurons"] == 3 * (3 * 64 + 4 * 16 + 6 + 100)
    assert count["multiplications"] == count["weights"] + count["neurons"]
    assert count["dense"] == of_pixels + 3 * (3 * 4 * 10**2 + 16 * 6 + 6 * 100)


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


def test_mixed_layers_round_weights_in_training_only():
    torch.manual_seed(0)
    layer = torch.nn.Linear(40, 7, bias=False)
    spikes = (torch.rand(4, 3, 40) < 0.3).float().requires_grad_()
    mixed = EveryStep(layer, mixed=True)
    out = mixed(spikes)
    torch.testing.assert_close(mixed.eval()(spikes), layer(spikes), rtol=0, atol=0)
    assert out.dtype == torch.float32
    rounded = layer.weight.bfloat16().float()
    # sums are float32, rounded once more at the end
    torch.testing.assert_close(out, spikes @ rounded.T, rtol=2**-8, atol=1e-6)
    weights = torch.tensor([1.0, -2.0, 0.5, 4.0, 0.0, 1.0, -0.25])
    (gradient,) = torch.autograd.grad((out * weights).sum(), spikes)
    torch.testing.assert_close(
        gradient, (weights @ rounded).expand(4, 3, -1), rtol=2**-8, atol=1e-6
    )


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
        rate_loss,
        epochs=1,
        batch_size=4,
        validation=(x, labels),
        progress=False,
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
        fit(net, (x, labels), rate_loss, epochs=1)
    with pytest.raises(FloatingPointError, match="the loss is nan in epoch 1"):
        fit(net, (x, labels), lambda *_: torch.tensor(float("nan")), epochs=1, batch_size=4)
