"""Trials and networks to other formats and back: nothing is lost, and what cannot go is refused."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from brian2 import ms, second

from neurosnn import (
    Input,
    Layer,
    NeuronModel,
    Readout,
    SpikingNetwork,
    data,
    equations,
)
from neurosnn.engine.backend import Engine
from neurosnn.network.nir import from_nir, to_nir


def trials(n_channels=700, durations=False):
    rng = np.random.default_rng(4)
    counts = [5, 0, 9]
    times = np.concatenate([np.sort(rng.random(n) * 0.08) for n in counts])
    return data.SpikeTrials(
        times=times,
        units=rng.integers(0, n_channels, len(times)),
        offsets=np.append(0, np.cumsum(counts)),
        labels=[2, 0, 19],
        n_channels=n_channels,
        duration=100 * ms,
        durations=[0.1, 0.09, 0.1] if durations else None,
        class_names=[f"word {k}" for k in range(20)],
        speaker=[1, 0, 1],
        speaker_names=["a", "b"],
        name="shd",
    )


def same(a, b):
    for name in ("times", "units", "offsets", "labels"):
        assert np.array_equal(getattr(a, name), getattr(b, name)), name
    assert (a.n_channels, a.class_names) == (b.n_channels, b.class_names)


# -- trials -----------------------------------------------------------------------------------------


def test_shd_layout_is_read_back_by_the_reader(tmp_path):
    pytest.importorskip("h5py")
    for part in ("train", "test"):
        data.write_shd(tmp_path / f"shd_{part}.h5", trials())
    read, _ = data.read_shd(tmp_path, duration=100 * ms)
    same(read, trials())
    assert read.speaker.tolist() == [1, 0, 1]
    before = (tmp_path / "shd_train.h5").read_bytes()
    with pytest.raises(OSError, match="a folder is to be|this is a folder"):
        data.write_shd(tmp_path, trials())
    assert (tmp_path / "shd_train.h5").read_bytes() == before


def test_shd_layout_is_that_of_the_original_files(tmp_path):
    h5py = pytest.importorskip("h5py")
    data.write_shd(tmp_path / "x.h5", trials())
    with h5py.File(tmp_path / "x.h5") as file:
        assert set(file) == {"spikes", "labels", "extra"}
        assert [len(t) for t in file["spikes/times"]] == [5, 0, 9]
        assert file["spikes/units"][0].dtype == np.uint16
        assert file["extra/keys"][0] == b"word 0"
        assert (file.attrs["n_channels"], file.attrs["duration"]) == (700, 0.1)


def test_events_as_of_tonic():
    kind = [("x", "<i2"), ("y", "<i2"), ("p", "?"), ("t", "<i8")]
    first = np.array([(3, 1, True, 5000), (0, 0, False, 1000), (2, 1, False, 90_000)], dtype=kind)
    found = data.from_events(
        [first, first[:0]], [1, 0], sensor_size=(4, 2, 2), duration=50 * ms, class_names=["a", "b"]
    )
    assert found.times == pytest.approx([0.001, 0.005])
    assert found.units.tolist() == [0, 8 + 4 + 3]
    assert found.offsets.tolist() == [0, 2, 2]
    assert found.n_channels == 16
    # Sound: one dimension, another unit of time
    sound = np.array([(7, 2.0)], dtype=[("x", int), ("t", float)])
    found = data.from_events([sound], [0], sensor_size=(700, 1, 1), time_unit=1 * ms)
    assert (found.times[0], found.units[0], found.n_channels) == (0.002, 7, 700)


@pytest.mark.parametrize(
    ("change", "match"),
    [
        ({"labels": []}, "1 recordings and 0 labels"),
        ({"recordings": [np.zeros(3)]}, "is not an array of events"),
        ({"sensor_size": (2, 1, 1)}, "has an event at x = 3"),
        ({"recordings": [np.array([(-5, 0)], dtype=[("t", int), ("x", int)])]}, "starts at -5e-06"),
        ({"time_unit": 3}, "time_unit must be a time"),
    ],
)
def test_bad_events_are_refused(change, match):
    arguments = {
        "recordings": [np.array([(1, 3)], dtype=[("t", int), ("x", int)])],
        "labels": [0],
        "sensor_size": (4, 1, 1),
    } | change
    with pytest.raises(ValueError, match=match):
        data.from_events(arguments.pop("recordings"), arguments.pop("labels"), **arguments)


def test_neo_and_back():
    pytest.importorskip("neo")
    block = data.to_neo(trials(n_channels=12, durations=True))
    assert [len(s.spiketrains) for s in block.segments] == [12] * 3
    assert block.segments[0].annotations == {"label": 2, "class_name": "word 2"}
    assert float(block.segments[1].spiketrains[0].t_stop) == 0.09
    back = data.from_neo(block)
    same(dataclasses.replace(back, class_names=trials().class_names), trials(n_channels=12))
    assert back.durations == pytest.approx([0.1, 0.09, 0.1])
    assert back.class_names[2] == "word 2"
    assert data.from_neo(block, labels=[0, 0, 1]).labels.tolist() == [0, 0, 1]
    del block.segments[1].annotations["label"]
    with pytest.raises(ValueError, match="no annotation 'label'"):
        data.from_neo(block)
    block.segments[1].spiketrains.pop()
    with pytest.raises(ValueError, match=r"the segments have \[11, 12\] spike trains"):
        data.from_neo(block)


def test_spikes_of_a_monitor_as_neo():
    pytest.importorskip("neo")
    trains = data.spike_trains([3, 1, 2] * ms, [1, 1, 0], 3, t_stop=0.01 * second)
    assert [train.rescale("ms").magnitude.tolist() for train in trains] == [
        pytest.approx([2]),
        pytest.approx([1, 3]),
        [],
    ]
    assert trains[1].annotations == {"unit": 1}


# -- networks ---------------------------------------------------------------------------------------


def network(*, layers=1, delay=0 * ms, readout=None, model=None):
    model = model or equations.CurrentLIF(tau_m=np.linspace(10, 30, 15) * ms, tau_s=4 * ms)
    return SpikingNetwork(
        Input(20),
        *[Layer(model, 15, recurrent=True, delay=delay, weight_scale=14.0) for _ in range(layers)],
        readout or Readout(3),
        dt=0.5 * ms,
        seed=2,
    )


def spikes():
    rng = np.random.default_rng(1)
    times = np.sort(rng.integers(0, 200, 150)) * 0.5e-3
    return data.SpikeTrials(
        times=times,
        units=rng.integers(0, 20, 150),
        offsets=[0, 150],
        labels=[0],
        n_channels=20,
        duration=100 * ms,
    )


@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"layers": 2, "delay": 2 * ms},
        {"readout": Readout(3, model=equations.CurrentReadout(), bias=False)},
    ],
    ids=["one layer", "two with delay", "current readout"],
)
def test_a_network_comes_back_from_a_nir_file_and_does_the_same(settings, tmp_path):
    nir = pytest.importorskip("nir")
    net = network(**settings)
    if "readout.b" in net.parameters:
        net.set_parameters({"readout.b": [0.1, -0.2, 0.3]})
    nir.write(tmp_path / "net.nir", to_nir(net))
    back = from_nir(nir.read(tmp_path / "net.nir"), dt=0.5 * ms)
    for name, values in net.parameters.items():
        assert back.parameters[name] == pytest.approx(values, rel=1e-12)
    results = [Engine(one, dtype="float64").simulate(spikes()) for one in (net, back)]
    for name in results[0].counts:
        assert results[0].counts[name].sum() > 20
        assert np.array_equal(results[0].counts[name], results[1].counts[name])
    assert results[0].output == pytest.approx(results[1].output, abs=1e-9)


def test_weights_mean_the_jump_that_the_equations_of_nir_give():
    """tau_syn dI/dt = -I + w_in W delta(t): I jumps by W w_in/tau_syn; LI: v by W R/tau."""
    pytest.importorskip("nir")
    net = network()
    graph = to_nir(net)
    hidden, readout = graph.nodes["hidden"], graph.nodes["readout"]
    jump = graph.nodes["input_w"].weight * (hidden.w_in / hidden.tau_syn)[:, None]
    assert pytest.approx(net.parameters["input.w"]) == jump.T
    assert hidden.tau_mem == pytest.approx(np.linspace(0.01, 0.03, 15))
    jump = graph.nodes["readout_w"].weight * (readout.r / readout.tau)[:, None]
    assert pytest.approx(net.parameters["readout.w"]) == jump.T
    # Another scale of the same neuron: half the input weight, twice the resistance and matrix.
    hidden.w_in, hidden.r = hidden.w_in / 2, 2 * hidden.r
    assert from_nir(graph).parameters["input.w"] == pytest.approx(net.parameters["input.w"])


@pytest.mark.parametrize(
    ("make", "match"),
    [
        (lambda: network(model=equations.LIF()), "no node for the model LIF"),
        (lambda: network(model=equations.ALIF()), "no node for the model ALIF"),
        (
            lambda: network(model=equations.CurrentLIF(t_ref=2 * ms)),
            "without adaptation, refractory period",
        ),
        (
            lambda: network(
                readout=Readout(
                    3,
                    model=NeuronModel(
                        name="Odd",
                        equations="dy/dt = -2*y/tau : 1",
                        inputs=("y",),
                        parameters={"tau": 5 * ms},
                    ),
                )
            ),
            "no node for the readout Odd",
        ),
        (
            lambda: SpikingNetwork(
                Input(2, real_valued=True), Layer(equations.CurrentLIF(), 2), Readout(1)
            ),
            "the input is real-valued",
        ),
    ],
)
def test_what_nir_cannot_express_is_refused(make, match):
    pytest.importorskip("nir")
    with pytest.raises(ValueError, match=match):
        to_nir(make())


def broken(**changes):
    """A graph of `network`, changed."""
    import nir

    graph = to_nir(network())
    nodes, edges = dict(graph.nodes), list(graph.edges)
    nodes |= changes.get("nodes", {})
    edges += changes.get("edges", [])
    edges = [edge for edge in edges if edge not in changes.get("without", [])]
    return nir.NIRGraph(nodes, edges, type_check=False)


def test_graphs_that_are_no_network_are_refused():
    nir = pytest.importorskip("nir")
    ones = np.ones(15)
    lif = {"tau_syn": ones, "tau_mem": ones, "r": ones, "v_leak": ones, "v_threshold": ones}
    cases = [
        (broken(nodes={"x": nir.IF(ones, ones)}), "the node 'x' is a IF"),
        (broken(nodes={"hidden": nir.CubaLIF(**lif)}), "v_leak other than zero"),
        (broken(nodes={"x": nir.CubaLIF(**lif)}), "the layer 'x' cannot be reached"),
        (
            broken(nodes={"input_w": nir.Affine(np.ones((15, 20)), ones)}),
            "the Affine node 'input_w' has a bias",
        ),
        (broken(nodes={"x": nir.Input(np.array([2]))}), "there are 2 Input nodes"),
        (broken(nodes={"bias": nir.Affine(np.ones((3, 3)), np.ones(3))}), "mixes its inputs"),
        (
            broken(without=[("bias", "output")], edges=[("hidden", "output")]),
            "the output comes from hidden",
        ),
    ]
    for graph, match in cases:
        with pytest.raises(ValueError, match=match):
            from_nir(graph)
