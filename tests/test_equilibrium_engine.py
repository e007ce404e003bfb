"""The engine of symmetric networks against stock Brian2 objects made from the same strings."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import brian2_programs
import numpy as np
import pytest
from brian2 import ms, set_device

from neurosnn.equations import EqSpike, EqSpikeLIF
from neurosnn.rules.equilibrium import EquilibriumNetwork
from neurosnn.rules.equilibrium.engine import EquilibriumEngine
from neurosnn.training.equilibrium import two_point_gradient

RANDOM = np.random.default_rng(3)
X = RANDOM.random((3, 12)) * (RANDOM.random((3, 12)) < 0.7)
TARGETS = np.eye(3)
BETA = np.array([2.0, -1.5, 1.0])
PHASE = RANDOM.random((3, 12))


def network(sizes=(12, 9, 3), **options):
    options = {"free": 120 * ms, "nudged": 60 * ms, "seed": 4, "scale": 1.5, **options}
    net = EquilibriumNetwork(sizes, **options)
    net.parameters["output.b"] += 0.3
    return net


def brian_changes(net, brian):
    """G of all synapses, by the names of the parameters."""
    found = {}
    for connection in net.connections:
        shape = net.parameters[f"{connection.name}.w"].shape
        found[f"{connection.name}.w"] = np.reshape(brian[f"{connection.name}_synapses"].G, shape)
    for name in net.layers:
        if name != "input":
            found[f"{name}.b"] = np.array(brian[f"one_{name}_synapses"].G)
    return found


CASES = {
    "constant input": {},
    "spiking input": {"input": "spikes"},
    "presynaptic": {"variant": "presynaptic"},
    "trace product": {"variant": "trace_product"},
    "antisymmetric": {"variant": "antisymmetric"},
    "shorter steps": {"input": "spikes", "dt": 0.5 * ms},
    "two hidden layers": {"sizes": (12, 9, 7, 3), "scale": 2.5},
}


@pytest.mark.parametrize("case", CASES)
def test_engine_equals_brian2(case):
    net = network(**CASES[case])
    engine = EquilibriumEngine(net, dtype="float64", threads=1)
    for k in range(2):  # nudged towards the target, and away from it
        given = {"targets": TARGETS[k : k + 1], "beta": BETA[k], "phase": PHASE[k : k + 1]}
        result = engine.run(X[k : k + 1], record=True, **given)
        brian = net.brian2(X[k : k + 1], **given)
        brian.run(net.trial, namespace={})
        for name in net.layers:
            if name in result.trains:
                step, neuron = result.trains[name][0]
                monitor = brian[f"{name}_spikes"]
                wanted = np.round(np.asarray(monitor.t) / float(net.dt)).astype(int)
                assert len(step) > 5, f"{name} is silent"
                np.testing.assert_array_equal(step, wanted)
                np.testing.assert_array_equal(neuron, monitor.i)
        for name, change in brian_changes(net, brian).items():
            assert np.abs(change).max() > 1e-5, name
            np.testing.assert_allclose(-result.gradient[name], change, rtol=1e-10, atol=1e-14)
        for name, q in result.nudged.items():
            np.testing.assert_allclose(q[0], brian[name].q, rtol=1e-10)


def test_batch_is_the_mean_of_its_trials():
    net = network(input="spikes")
    engine = EquilibriumEngine(net, dtype="float64", threads=1)
    together = engine.run(X, targets=TARGETS, beta=BETA, phase=PHASE)
    for name, gradient in together.gradient.items():
        single = [
            engine.run(
                X[k : k + 1], targets=TARGETS[k : k + 1], beta=BETA[k], phase=PHASE[k : k + 1]
            ).gradient[name]
            for k in range(3)
        ]
        np.testing.assert_allclose(gradient, np.mean(single, axis=0), rtol=1e-12, atol=1e-15)


@pytest.mark.parametrize("case", CASES)
def test_nudged_by_both_signs_is_the_mean_of_two_trials(case):
    net = network(**CASES[case])
    engine = EquilibriumEngine(net, dtype="float64", threads=1)
    given = {"targets": TARGETS, "phase": PHASE, "record": True}
    towards, away = (engine.run(X, beta=sign * BETA, **given) for sign in (1, -1))
    both = engine.run(X, beta=BETA, both=True, **given)
    assert (both.phases == 2).all()
    for name, gradient in both.gradient.items():
        wanted = (towards.gradient[name] + away.gradient[name]) / 2
        assert np.abs(wanted).max() > 1e-6
        np.testing.assert_allclose(gradient, wanted, rtol=1e-9, atol=1e-14)
    points = [
        two_point_gradient(net, X, result, beta)
        for result, beta in ((both, BETA), (towards, BETA), (away, -BETA))
    ]
    for name, gradient in points[0].items():
        wanted = (points[1][name] + points[2][name]) / 2
        np.testing.assert_allclose(gradient, wanted, rtol=1e-9, atol=1e-14)
    for name, q in towards.free.items():
        assert both.free[name].tobytes() == q.tobytes()
        assert both.nudged[name].tobytes() == towards.nudged[name].tobytes()
        assert both.opposed[name].tobytes() == away.nudged[name].tobytes()
    for name, count in towards.spikes.items():
        np.testing.assert_array_equal(both.spikes[name][:, 0], count[:, 0])
        second = count[:, 1] + away.spikes[name][:, 1]
        np.testing.assert_array_equal(both.spikes[name][:, 1], second)
        step, neuron = both.trains[name][1]
        before = (away.trains[name][1][0] < net.free_steps).sum()
        np.testing.assert_array_equal(
            neuron[-second[1] :][: count[1, 1]], towards.trains[name][1][1][before:]
        )
        np.testing.assert_array_equal(
            neuron[len(neuron) - away.spikes[name][1, 1] :], away.trains[name][1][1][before:]
        )
        assert step.max() < net.free_steps + 2 * net.nudged_steps
    for name, reached in towards.events.items():
        np.testing.assert_array_equal(both.events[name][:, 0], reached[:, 0])
        np.testing.assert_array_equal(
            both.events[name][:, 1], reached[:, 1] + away.events[name][:, 1]
        )


@pytest.mark.parametrize("both", [False, True])
@pytest.mark.parametrize("case", ["constant input", "spiking input", "trace product"])
def test_trials_that_lead_by_the_margin_change_nothing(case, both):
    net = network(**CASES[case])
    engine = EquilibriumEngine(net, dtype="float64", threads=1)
    x, targets = np.tile(X, (4, 1)), np.repeat(TARGETS, 4, axis=0)
    beta, phase = np.tile(BETA, 4), np.tile(PHASE, (4, 1))
    output = engine.run(x, phase=phase).free["output"]
    targets[::2] = np.eye(3)[output[::2].argmax(axis=1)]  # half of the trials are right
    right = output[np.arange(12), targets.argmax(axis=1)]
    lead = right - np.where(targets == 1, -np.inf, output).max(axis=1)
    margin = float(np.sort(lead)[9])
    nudged = lead <= margin
    assert margin > 0.02
    assert 6 <= nudged.sum() < 12
    result = engine.run(x, targets=targets, beta=beta, phase=phase, both=both, margin=margin)
    np.testing.assert_array_equal(result.phases, nudged * (2 if both else 1))
    some = engine.run(
        x[nudged], targets=targets[nudged], beta=beta[nudged], phase=phase[nudged], both=both
    )
    for name, gradient in some.gradient.items():
        assert np.abs(gradient).max() > 1e-6
        np.testing.assert_allclose(
            result.gradient[name], gradient * nudged.mean(), rtol=1e-9, atol=1e-14
        )
    for name, q in result.free.items():
        for after in (result.nudged[name], result.opposed[name]) if both else [result.nudged[name]]:
            np.testing.assert_array_equal(after[~nudged], q[~nudged])
            assert (after[nudged] != q[nudged]).any()
    for name, count in result.spikes.items():
        assert not count[~nudged, 1].any()
        np.testing.assert_array_equal(count[nudged], some.spikes[name])


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_number_of_threads_changes_no_bit(dtype):
    net = network(input="spikes")
    x = np.tile(X, (7, 1))
    results = [
        EquilibriumEngine(net, dtype=dtype, threads=threads).run(
            x, targets=np.tile(TARGETS, (7, 1)), beta=np.tile(BETA, 7), phase=np.tile(PHASE, (7, 1))
        )
        for threads in (1, 2, 3)
    ]
    for other in results[1:]:
        for name, gradient in results[0].gradient.items():
            assert gradient.dtype == dtype
            assert gradient.tobytes() == other.gradient[name].tobytes()
        for name, q in results[0].nudged.items():
            assert q.tobytes() == other.nudged[name].tobytes()


def test_single_precision_is_close_to_double():
    net = network()
    single, double = (
        EquilibriumEngine(net, dtype=dtype, threads=1).run(X, targets=TARGETS, beta=BETA)
        for dtype in ("float32", "float64")
    )
    assert np.array_equal(single.spikes["hidden"], double.spikes["hidden"])
    for name, gradient in double.gradient.items():
        np.testing.assert_allclose(
            single.gradient[name], gradient, atol=1e-4 * np.abs(gradient).max()
        )


def test_learning_over_trials_equals_gradient_descent_on_the_engine():
    """Brian2 adds eta*G to w at the start of each trial, which is SGD with one trial a batch."""
    net = network()
    brian = net.brian2(X, targets=TARGETS, beta=BETA, learning_rate=0.5)
    engine = EquilibriumEngine(net, dtype="float64", threads=1)
    before = net.copy_parameters()
    for k in range(3):
        result = engine.run(X[k : k + 1], targets=TARGETS[k : k + 1], beta=BETA[k])
        if k < 2:
            for name, gradient in result.gradient.items():
                net.parameters[name] -= 0.5 * gradient
    brian.run(3 * net.trial, namespace={})
    learned = np.reshape(brian["hidden_output_synapses"].w, (9, 3))
    np.testing.assert_allclose(learned, net.parameters["hidden_output.w"], rtol=1e-10)
    assert np.abs(learned - before["hidden_output.w"]).max() > 1e-3
    for name, change in brian_changes(net, brian).items():
        np.testing.assert_allclose(-result.gradient[name], change, rtol=1e-8, atol=1e-12)


@pytest.mark.standalone
@pytest.mark.slow
def test_standalone_program_learns_the_same(tmp_path):
    net = network()
    given = {"targets": TARGETS, "beta": BETA, "learning_rate": 0.5}
    runtime = net.brian2(X, **given)
    runtime.run(3 * net.trial, namespace={})
    wanted = np.array(runtime["hidden_output_synapses"].w)
    set_device("cpp_standalone", directory=None, build_on_run=False)
    standalone = net.brian2(X, **given)
    standalone.run(3 * net.trial, namespace={})
    brian2_programs.build(tmp_path / "project")
    np.testing.assert_allclose(standalone["hidden_output_synapses"].w, wanted, rtol=1e-6)


#: Memory is limited once the network and the program exist: enough for a thread, and not for the sums
#: of four blocks, 32 MB each. In a process of its own, which has no free memory left over from before.
LIMITED = """
import resource
from pathlib import Path

import numpy as np
from brian2 import ms

from neurosnn.rules.equilibrium import EquilibriumNetwork
from neurosnn.rules.equilibrium.engine import EquilibriumEngine

net = EquilibriumNetwork((12, 2000, 2000), free=120 * ms, nudged=60 * ms, seed=4)
engine = EquilibriumEngine(net, threads=2)
run = engine._program.run

def limited(values):
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    most = pages * resource.getpagesize() + 100 * 2**20
    resource.setrlimit(resource.RLIMIT_AS, (most, most))
    run(values)

engine._program.run = limited
try:
    engine.run(np.ones((4, 12)), targets=np.zeros((4, 2000)), beta=1.0)
except MemoryError as error:
    print(error)
"""


@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="memory is read from /proc")
def test_a_thread_with_no_memory_is_an_error():
    """Also one that is not the first."""
    child = subprocess.run([sys.executable, "-c", LIMITED], capture_output=True, text=True)
    assert "not enough memory for one trial per thread" in child.stdout, child.stderr


def test_errors():
    with pytest.raises(ValueError, match="dtype must be float32 or float64"):
        EquilibriumEngine(network(), dtype="float16")
    engine = EquilibriumEngine(network(), threads=1)
    with pytest.raises(ValueError, match=r"x must have shape \(3, 12\), got \(3, 11\)"):
        engine.run(X[:, 1:])
    with pytest.raises(ValueError, match=r"targets must have shape \(3, 3\)"):
        engine.run(X, targets=TARGETS[:2])
    net = network()
    net.bias_rule = EqSpike(variant="constant_input")  # changes the weight at once
    with pytest.raises(ValueError, match="the engine cannot run"):
        EquilibriumEngine(net)
    uneven = network(neuron=EqSpikeLIF().with_parameters(tau_2=np.full(9, 50) * ms))
    with pytest.raises(ValueError, match="'tau_2' differs between the neurons"):
        EquilibriumEngine(uneven)


def test_a_call_does_not_depend_on_the_one_before():
    engine = EquilibriumEngine(network(input="spikes"), dtype="float64", threads=1)
    alone = engine.run(X, phase=PHASE)
    engine.run(np.tile(X, (9, 1)), targets=np.full((27, 3), np.nan), beta=1.0)
    again = engine.run(X, phase=PHASE)
    assert np.array_equal(alone.free["output"], again.free["output"])
    assert not again.gradient
    assert not again.nudged
