"""Exported programs that learn: their weights equal those that Python learns."""

from __future__ import annotations

import shutil

import numpy as np
import pytest
from brian2 import ms
from export_cases import equilibrium, every_neuron, make, plastic, run, start
from reference.networks import N_IN, N_STEPS, simulate, spike_trials

from neurosnn import (
    SGD,
    Adam,
    EProp,
    Input,
    Layer,
    Readout,
    SpikingNetwork,
    equations,
    export,
    read_results,
    write_inputs,
)
from neurosnn.data import FrameTrials, SpikeTrials
from neurosnn.losses import MeanSquareError
from neurosnn.training.online import OnlineTraining

pytestmark = [pytest.mark.standalone, pytest.mark.slow]


def labelled(n_trials, seed=0):
    trials = spike_trials(n_trials, seed=seed, rate=0.12)
    return SpikeTrials(
        times=trials.times,
        units=trials.units,
        offsets=trials.offsets,
        labels=np.arange(n_trials) % 2,
        n_channels=N_IN,
        duration=N_STEPS * ms,
    )


def same_learning(results, training, net, rtol=1e-12):
    """Every block has learned, and as in Python."""
    assert set(results.parameters) == set(training.parameters)
    for name, wanted in training.parameters.items():
        found = results.parameters[name]
        scale = np.abs(wanted).max()
        np.testing.assert_allclose(found, wanted, rtol=rtol, atol=rtol * scale, err_msg=name)
        if name in net.parameters:
            assert np.abs(found - net.parameters[name]).max() > 1e-4 * scale, name
    np.testing.assert_allclose(results.losses, training.losses, rtol=1e-10)
    assert results.losses.min() > 0


@pytest.fixture(scope="session")
def every(tmp_path_factory):
    """All named neurons learn in one program."""
    path = tmp_path_factory.mktemp("learning") / "every"
    export(
        every_neuron(),
        path,
        rule=EProp(),
        inputs=labelled(3),
        optimizer=SGD(1e-2),
        batch_size=2,
        epochs=2,
    )
    run(make(path))
    return path


def test_all_named_neurons_learn_as_in_python(every):
    net, trials = every_neuron(), labelled(3)[[0, 1, 2, 0, 1, 2]]
    training = OnlineTraining(net, EProp(), trials, optimizer=SGD(1e-2), batch_size=2)
    training.run()
    same_learning(read_results(every), training, net)
    alive = simulate(net, trials)
    for layer in net.layers:
        assert alive[f"{layer.name}_spikes"].num_spikes > 20, layer.name


def test_other_data_and_going_on_from_what_was_learned(every, tmp_path):
    """Without momentum, two runs of whole batches are one long run."""
    net, first, second = every_neuron(), labelled(4, seed=1), labelled(2, seed=2)
    write_inputs(every, tmp_path / "first", first)
    run(every, "--input", tmp_path / "first", "--out", tmp_path / "learned")
    write_inputs(
        every,
        tmp_path / "second",
        second,
        parameters=read_results(tmp_path / "learned").parameters,
    )
    run(every, "--input", tmp_path / "second", "--out", tmp_path / "more")
    training = OnlineTraining(net, EProp(), first, optimizer=SGD(1e-2), batch_size=2)
    training.run()
    same_learning(read_results(tmp_path / "learned"), training, net)
    net.set_parameters(training.parameters)
    training = OnlineTraining(net, EProp(), second, optimizer=SGD(1e-2), batch_size=2)
    training.run()
    same_learning(read_results(tmp_path / "more"), training, every_neuron())


def test_a_learning_program_refuses_what_it_cannot_change(every, tmp_path):
    """The readout's time constant is part of the traces, so it is built in; data come whole."""
    ran = start(every, "--set", "readout.tau=0.03")
    assert ran.returncode == 2
    assert "--set readout.tau: there is no such parameter" in ran.stderr
    shutil.copytree(every / "inputs", tmp_path / "in")
    np.save(tmp_path / "in" / "target.npy", np.zeros((10, 2)))
    ran = start(every, "--input", tmp_path / "in")
    assert ran.returncode == 1
    assert "target.npy has the shape (10, 2), not (367, 2)" in ran.stderr
    (tmp_path / "in" / "target.npy").unlink()
    ran = start(every, "--input", tmp_path / "in")
    assert ran.returncode == 1
    assert "target.npy is missing; it belongs to" in ran.stderr
    assert len(read_results(every).losses) == 6


def test_adaptive_feedback_rates_and_a_signal_from_real_values(tmp_path):
    rng = np.random.default_rng(3)
    frames = FrameTrials(features=rng.normal(0, 2, (70, 4)), offsets=[0, 30, 70], frame=1 * ms)
    targets = rng.normal(0, 1, (2, 40, 3))
    net = SpikingNetwork(
        Input(4, real_valued=True),
        Layer(equations.ALIF(), 8, recurrent=True, weight_scale=2.0),
        Readout(3),
        seed=1,
    )
    settings = {"loss": MeanSquareError(), "optimizer": Adam(1e-2, weight_decay=0.01)}
    rule = EProp(feedback="adaptive", rate_strength=1e-3)
    path = make(
        export(net, tmp_path / "net", rule=rule, inputs=frames, targets=targets, **settings)
    )
    run(path)
    training = OnlineTraining(net, rule, frames, targets=targets, **settings)
    training.run()
    results = read_results(path)
    same_learning(results, training, net)
    assert "feedback.hidden" in results.parameters
    write_inputs(path, tmp_path / "in", frames[[1, 0, 0]], targets=targets[[1, 0, 0]])
    run(path, "--input", tmp_path / "in", "--out", tmp_path / "out")
    training = OnlineTraining(net, rule, frames[[1, 0, 0]], targets=targets[[1, 0, 0]], **settings)
    training.run()
    same_learning(read_results(tmp_path / "out"), training, net)


# -- plasticity rules ---------------------------------------------------------------------------


@pytest.fixture(scope="session")
def plain(tmp_path_factory):
    """All classical rules in one program, which a user's function makes."""
    path = tmp_path_factory.mktemp("plain") / "rules"
    return make(export(plastic, path, duration=40 * ms))


RULES = ("pair", "triplet", "inhibitory", "reward", "voltage")


def test_all_plasticity_rules_change_the_weights_of_python(plain):
    run(plain)
    results = read_results(plain)
    network = plastic()
    network.run(40 * ms, namespace={})
    for name in RULES:
        wanted = np.asarray(network[name].w)
        np.testing.assert_allclose(results.arrays[f"{name}.w"], wanted, rtol=1e-13)
        assert np.abs(wanted - (0.2 + 0.1 * network[name].i)).max() > 1e-5, name
    np.testing.assert_array_equal(results.arrays["spikes.t"], network["spikes"].t)
    assert len(results.arrays["spikes.t"]) > 2
    np.testing.assert_array_equal(results.arrays["states.v"].T, network["states"].v)


def test_other_spikes_weights_parameters_and_duration(plain, tmp_path):
    neuron, time = np.array([2, 0, 1, 1]), np.array([0.002, 0.021, 0.022, 0.07])
    weights = np.linspace(0.1, 0.6, 6)
    (tmp_path / "in").mkdir()
    for name, array in (("source.i", neuron), ("source.t", time), ("pair.w", weights),
                        ("drive", [40.0, 80.0])):  # fmt: skip
        np.save(tmp_path / "in" / f"{name}.npy", array)
    options = ("--set", "duration=0.08", "--set", "pair.A_plus=0.02", "--set", "reward.reward=-1")
    run(plain, "--input", tmp_path / "in", "--out", tmp_path / "out", *options)
    results = read_results(tmp_path / "out")
    network = plastic()
    network["source"].set_spikes(neuron, time * 1000 * ms)
    drive = network["neurons"].namespace["drive"]
    network["neurons"].namespace["drive"] = type(drive)([40.0, 80.0], dt=8 * ms, name="drive2")
    network["pair"].w = weights
    network["pair"].variables["A_plus"].set_value(0.02)
    network["reward"].variables["reward"].set_value(-1.0)
    network.run(80 * ms, namespace={})
    for name in RULES:
        np.testing.assert_allclose(
            results.arrays[f"{name}.w"], np.asarray(network[name].w), rtol=1e-13
        )
    np.testing.assert_array_equal(results.arrays["spikes.t"], network["spikes"].t)
    assert len(results.arrays["spikes.t"]) > 2


@pytest.mark.parametrize(
    ("options", "text"),
    [
        (["--set", "duration=-1"], "duration must be a positive time, got -1"),
        (["--set", "duration=inf"], "duration must be a positive time"),
        (["--set", "pair.tau_plus=0"], "pair.tau_plus must be > 0 s, got 0"),
        (["--set", "neurons.v_th=-1"], "neurons.v_th must be > 0, got -1"),
    ],
)
def test_values_that_make_no_sense(plain, options, text, tmp_path):
    ran = start(plain, *options, "--out", tmp_path / "out")
    assert ran.returncode == 1
    assert text in ran.stderr
    assert not (tmp_path / "out").exists()


def test_eqspike_learns_as_in_python(tmp_path):
    """Also from other pixels, without a rebuild."""
    net, build = equilibrium()
    path = make(export(build, tmp_path / "eqspike", duration=3 * net.trial))
    shutil.copytree(path / "inputs", tmp_path / "in")
    pixels = [file for file in (tmp_path / "in").iterdir() if np.load(file).shape == (3, 3)]
    assert len(pixels) == 1
    np.save(pixels[0], np.load(pixels[0])[::-1])
    run(path)
    run(path, "--input", tmp_path / "in", "--out", tmp_path / "out")
    results, others = read_results(path), read_results(tmp_path / "out")
    network = build()
    network.run(3 * net.trial, namespace={})
    for name in ("hidden", "output"):
        found = results.arrays[f"{name}_spikes.t"]
        np.testing.assert_array_equal(found, network[f"{name}_spikes"].t)
        assert len(found) > 10
    for name in ("input_hidden_synapses", "hidden_output_synapses", "one_output_synapses"):
        wanted = np.asarray(network[name].w)
        np.testing.assert_allclose(results.arrays[f"{name}.w"], wanted, rtol=1e-12, atol=1e-15)
        assert np.abs(others.arrays[f"{name}.w"] - wanted).max() > 1e-6
    start_of = np.ravel(net.parameters["hidden_output.w"])
    assert np.abs(results.arrays["hidden_output_synapses.w"] - start_of).max() > 1e-3
