"""From torch back to Brian2: the same spikes, folded normalization, limits, export."""

import numpy as np
import pytest
from brian2 import ms
from export_cases import make, run

from neurosnn import export, read_results

pytest.importorskip("torch", reason="PyTorch is not installed (extra neurosnn[torch])")
import torch
from torch import nn

from neurosnn.torch import Ahead, SequenceNetwork, plif_network, to_brian2


def unsettled(module):
    """The module in float64, with normalizations that are not the identity, in evaluation."""
    rng = torch.Generator().manual_seed(4)
    for part in module.modules():
        if isinstance(part, nn.BatchNorm1d | nn.BatchNorm2d):
            part.running_mean.normal_(0, 0.2, generator=rng)
            part.running_var.uniform_(0.5, 2, generator=rng)
            part.weight.data.uniform_(2, 4, generator=rng)
            part.bias.data.normal_(0.5, 0.5, generator=rng)
    return module.double().eval()


def strengthen(module):
    """Weights with which the layers without normalization spike as well."""
    for layer in module.layers:
        if hasattr(layer, "layer") and isinstance(layer.layer, nn.Linear):
            layer.layer.weight.data.mul_(14.0)


def simulated(converted, x, record=("spikes", "output")):
    """Spikes of each layer, (n_steps, n), and the readout's output."""
    inputs = converted.inputs(x)
    simulation = converted.net.brian2(inputs, record=record)
    simulation.run(len(inputs) * ms, namespace={})
    spikes = {}
    for layer in converted.net.layers:
        monitor = simulation[f"{layer.name}_spikes"]
        spikes[layer.name] = np.zeros((len(inputs), layer.n))
        spikes[layer.name][np.rint(monitor.t / ms).astype(int), monitor.i] = 1
    return spikes, np.asarray(simulation["readout_states"].output).T, simulation


@pytest.mark.parametrize("pool", ["max", "average"])
@pytest.mark.parametrize("frames", [False, True])
def test_plif_network_spike_for_spike(pool, frames):
    torch.manual_seed(2)
    module = plif_network(
        "small",
        side=7,
        channels=2,
        convolutions=((3,), (4, 3)),
        hidden=12,
        classes=3,
        n_steps=6,
        frames=frames,
        pool=pool,
        tau=1.5,
    )
    strengthen(module)
    module = unsettled(module)
    shape = (6, 1, 2, 7, 7) if frames else (1, 2, 7, 7)
    x = torch.rand(*shape, dtype=torch.float64) * 2
    seen = []
    for layer in module.layers:
        if isinstance(layer, Ahead):
            layer.watch = lambda spikes: seen.append(spikes.detach().flatten(2)[:, 0].numpy())
    with torch.no_grad():
        rates = module(x)[0].numpy()
    converted = to_brian2(module)
    spikes, output, _ = simulated(converted, x[:, 0] if frames else x[0])
    layers = [layer.name for layer in converted.net.layers if layer.name.startswith("plif")]
    assert len(layers) == len(seen) == 5
    for name, wanted in zip(layers, seen, strict=True):
        assert wanted.sum() > 5, f"{name} is silent"
        begin = converted.lag[name]
        np.testing.assert_array_equal(spikes[name][begin : begin + 6], wanted)
        assert spikes[name].sum() == wanted.sum(), "spikes outside of the trial"
    np.testing.assert_allclose(output[-1] / 6, rates, rtol=1e-12, atol=1e-14)
    assert rates.max() > 0


def recurrent(kind):
    """A recurrent network whose quantizers have seen their input, and such an input."""
    torch.manual_seed(1)
    module = SequenceNetwork(kind, 5, 3, size=6, leak=0.8)
    x = torch.randn(20, 4, 5, dtype=torch.float64)
    module.double().train()
    with torch.no_grad():
        module(x)  # the ranges follow
    return unsettled(module), x


@pytest.mark.parametrize("kind", ["v2", "v1", "conventional"])
def test_sequence_network_value_for_value(kind):
    module, x = recurrent(kind)
    with torch.no_grad():
        sent = [part[:, 0].numpy() for part in module.activity(x[:, :1])]
        scores = module(x[:, :1])[:, 0].numpy()
    converted = to_brian2(module)
    spikes, output, simulation = simulated(converted, x[:, 0], record=("spikes", "output", "y"))
    for layer, wanted in zip(converted.net.layers, sent, strict=True):
        begin = converted.lag[layer.name]
        values = np.asarray(simulation[f"{layer.name}_states"].y).T[begin : begin + 20]
        assert 0.05 < (wanted != 0).mean() < 1, f"{layer.name} is silent"
        np.testing.assert_array_equal(spikes[layer.name][begin : begin + 20], wanted != 0)
        np.testing.assert_allclose(values * (wanted != 0), wanted, rtol=1e-9, atol=1e-12)
    begin = converted.lag["readout"]
    np.testing.assert_allclose(output[begin : begin + 20], scores, rtol=1e-8, atol=1e-10)


def the_program(converted, x, folder):
    """What the exported program gives for x, built and run without our environment."""
    export(converted.net, folder / "here", inputs=converted.inputs(x))
    project = (folder / "here").rename(folder / "elsewhere")
    make(project)
    run(project)
    return read_results(project)


@pytest.mark.slow
@pytest.mark.standalone
def test_exported_plif_network_gives_the_rates_of_torch(tmp_path):
    torch.manual_seed(2)
    module = plif_network(
        "small", side=4, convolutions=((3,),), hidden=12, classes=3, n_steps=5, tau=1.5
    )
    strengthen(module)
    module = unsettled(module)
    x = torch.rand(1, 1, 4, 4, dtype=torch.float64) * 2
    with torch.no_grad():
        rates = module(x)[0].numpy()
    assert rates.max() > 0
    results = the_program(to_brian2(module), x[0], tmp_path)
    np.testing.assert_allclose(results.output[0][-1] / 5, rates, rtol=1e-12, atol=1e-14)


@pytest.mark.slow
@pytest.mark.standalone
def test_exported_gated_network_gives_the_scores_of_torch(tmp_path):
    module, x = recurrent("v2")
    with torch.no_grad():
        scores = module(x[:, :1])[:, 0].numpy()
    converted = to_brian2(module)
    results = the_program(converted, x[:, 0], tmp_path)
    begin = converted.lag["readout"]
    np.testing.assert_allclose(results.output[0][begin : begin + 20], scores, rtol=1e-8, atol=1e-10)


def test_what_is_refused(tmp_path):
    with pytest.raises(
        ValueError, match=r"the network has [\d,]+ synapses or more, 1,000 are allowed"
    ):
        to_brian2(plif_network("small"), max_synapses=1000)
    with pytest.raises(ValueError, match="a network of LSTM does not spike"):
        to_brian2(SequenceNetwork("LSTM", 3, 2, size=4))
    with pytest.raises(TypeError, match="Linear cannot be translated"):
        to_brian2(nn.Linear(2, 2))
    module = plif_network("small", side=4, convolutions=((2,),), hidden=4, classes=2, n_steps=2)
    converted = to_brian2(module)
    with pytest.raises(ValueError, match="a frame has 32 values, the network 16 channels"):
        converted.inputs(torch.ones(2, 1, 4, 4))
    with pytest.raises(ValueError, match="given connections cannot be saved"):
        converted.net.save(tmp_path / "a.npz")
