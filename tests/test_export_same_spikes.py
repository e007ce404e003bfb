"""The same spikes everywhere: runtime, stock standalone, engine, exported program; and fast math.

The contract: the same input spikes and initial state, no generator in the loop, float64, no fast math.
"""

from __future__ import annotations

import shutil

import numpy as np
import pytest
from brian2 import Network, NeuronGroup, StateMonitor, get_device, ms, second, set_device
from export_cases import make, run
from reference.networks import N, network, simulate, spike_trials, spikes

from neurosnn import export, read_results
from neurosnn.engine import Engine

pytestmark = [pytest.mark.standalone, pytest.mark.slow]


def net_and_trials():
    """Recurrent with delays; some 300 spikes a trial."""
    net = network(delay=np.arange(N) % 3 * ms, connectivity=0.8)
    return net, spike_trials(3, seed=7)


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    net, trials = net_and_trials()
    return make(export(net, tmp_path_factory.mktemp("same") / "net", inputs=trials))


def of_trials(found, dt=1 * ms):
    return [
        list(zip(np.rint(s.t / dt).astype(int).tolist(), s.i.tolist(), strict=True)) for s in found
    ]


def test_spikes_are_the_same_in_all_four(project, tmp_path):
    net, trials = net_and_trials()
    run(project)
    program = read_results(project)
    trial_times = net.trial_times(trials)
    runtime = simulate(net, trials)
    place = trial_times.locate(runtime["hidden_spikes"].t)
    neuron = np.asarray(runtime["hidden_spikes"].i)
    engine = Engine(net, dtype="float64").simulate(trials).spikes["hidden"]
    for k, listed in enumerate(of_trials(program.spikes["hidden"])):
        here = place.trial == k
        assert listed == list(zip(place.step[here].tolist(), neuron[here].tolist(), strict=True))
        # Within a step the engine lists spikes in its own order.
        assert sorted(listed) == sorted((int(a), int(b)) for a, b in zip(*engine[k], strict=True))
        assert len(listed) > 100
    np.testing.assert_allclose(
        np.concatenate(program.output),
        np.concatenate([runtime["readout_states"].output.T[k * trial_times.period :][:60] for k in range(3)]),
        rtol=1e-12, atol=1e-14,
    )  # fmt: skip
    # Stock Brian2: its own build.
    set_device("cpp_standalone", build_on_run=False)
    simulation = net.brian2(trials, record=("spikes",))
    simulation.run(trial_times.duration, namespace={})
    get_device().build(directory=str(tmp_path / "stock"), with_output=False)
    assert spikes(simulation["hidden_spikes"]) == spikes(runtime["hidden_spikes"])


def test_what_optimization_and_fast_math_change(project, tmp_path):
    """Optimization nothing; fast math at most the last digits, which takes many spikes to show in a spike."""
    run(project)
    exact = read_results(project)
    shutil.copytree(project, tmp_path / "fast")
    make(tmp_path / "fast", "-B", "-s")
    run(tmp_path / "fast")
    optimized = read_results(tmp_path / "fast")
    for name, array in exact.arrays.items():
        np.testing.assert_array_equal(optimized.arrays[name], array)
    make(tmp_path / "fast", "-B", "CXXFLAGS=-O1", "FAST_MATH=-ffast-math")
    run(tmp_path / "fast")
    fast = read_results(tmp_path / "fast")
    assert of_trials(exact.spikes["hidden"]) == of_trials(fast.spikes["hidden"])
    for one, other in zip(exact.output, fast.output, strict=True):
        np.testing.assert_allclose(other, one, rtol=1e-9, atol=1e-12)
    # Checks of values must not become true or false for ever.
    np.save(tmp_path / "fast" / "inputs" / "readout.b.npy", np.array([0.0, np.nan, 0.0]))
    with pytest.raises(AssertionError, match=r"readout.b.npy: value 1 is not finite"):
        run(tmp_path / "fast")


def two_clocks():
    """A slow clock looks at what a fast one counts, before it counts on."""
    group = NeuronGroup(1, "n : 1\nseen : 1", dt=100 * ms, name="group")
    group.run_regularly("seen = n", dt=700 * ms, when="start", name="look")
    group.run_regularly("n += 1", when="end", name="count")
    return Network(group, StateMonitor(group, "seen", record=True, name="states"))


def test_clocks_meet_as_in_brian2_after_a_long_time(tmp_path):
    """From 64 s on, 0.7 s * k and 0.1 s * 7k can be more than 1e-14 s apart."""
    path = make(export(two_clocks, tmp_path / "clocks", duration=80 * second))
    run(path)
    network = two_clocks()
    network.run(80 * second, namespace={})
    found = read_results(path).arrays["states.seen"][:, 0]
    np.testing.assert_array_equal(found, network["states"].seen[0])
    assert found[-1] == 798


def test_threads_are_openmp(tmp_path):
    net, trials = net_and_trials()
    path = export(net, tmp_path / "threads", inputs=trials, threads=2)
    assert "OPENMP ?= -fopenmp" in (path / "makefile").read_text()
    assert "omp_set_num_threads(2);" in (path / "main.cpp").read_text()
