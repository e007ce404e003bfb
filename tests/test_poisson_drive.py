"""Poisson spikes from outside: their distribution, the same draws in Brian2, files, gradients, scripts."""

import math

import numpy as np
import pytest
from brian2 import (
    Hz,
    Network,
    NeuronGroup,
    PoissonInput,
    SpikeMonitor,
    Synapses,
    TimedArray,
    defaultclock,
    ms,
    mV,
    prefs,
    volt,
)

from neurosnn import (
    BPTT,
    Draws,
    EventProp,
    Input,
    NeuronModel,
    PoissonDrive,
    Population,
    Projection,
    Readout,
    SpikingNetwork,
)
from neurosnn.core.binomial import Binomial
from neurosnn.cuda import CudaEngine
from neurosnn.data import SpikeTrials
from neurosnn.engine import Engine
from neurosnn.losses import MeanSquareError

prefs.codegen.target = "numpy"

CELL = NeuronModel(
    name="cell",
    equations="""dv/dt = (g - v)/(10*ms) : volt (unless refractory)
    dg/dt = -g/(3*ms) : volt""",
    threshold="v > 10*mV",
    reset="v = 2*mV",
    refractory=2 * ms,
    method="exact",
    inputs=("v", "g"),
    surrogate="0.3*clip(1 - abs(v - 10*mV)/(10*mV), 0, 1)/(10*mV)",
)


def network(rate=100 * Hz, **settings):
    """Two populations that excite each other, driven in both ways: few spikes a step, and many."""
    return SpikingNetwork.from_graph(
        {"one": Population(CELL, 5), "two": Population(CELL, 4)},
        [
            Projection("input", "one", input="g", weight=2 * mV),
            PoissonDrive("one", 30, rate, weight=2 * mV),
            Projection("one", "two", input="v", weight=3 * mV, delay=1 * ms, learn=()),
            PoissonDrive(
                "two", 200, 400 * Hz, weight=[0.3, 0, 0.5, 0.4] * mV, input="g", name="many"
            ),
            Projection("two", "one", input="v", weight=-1 * mV, learn=()),
            PoissonDrive("two", 5, rate, weight=4 * mV, input="v"),
        ],
        Readout(2),
        input=Input(2),
        dt=0.1 * ms,
        seed=3,
        **settings,
    )


def trials(n=2, steps=300):
    random = np.random.default_rng(0)
    return SpikeTrials(
        times=np.sort(random.choice(steps, (n, 8)), axis=1).ravel() * 0.1 * ms,
        units=random.integers(0, 2, 8 * n),
        offsets=np.arange(n + 1) * 8,
        labels=np.arange(n) % 2,
        n_channels=2,
        duration=steps * 0.1 * ms,
    )


@pytest.mark.parametrize(("n", "p"), [(7, 0.3), (1000, 0.002), (6, 0.9), (1, 0.0), (3, 1.0)])
def test_the_table_is_that_of_the_binomial_distribution(n, p):
    expected = np.cumsum([math.comb(n, k) * p**k * (1 - p) ** (n - k) for k in range(n + 1)])
    table = Binomial(n, p).table
    assert table[-1] == 1
    np.testing.assert_allclose(table, expected[: len(table)], rtol=1e-12, atol=1e-15)
    key = Draws().key(0)
    counts = Binomial(n, p).drawn(key, 0, np.arange(500)[:, None], 0, np.arange(40))
    assert set(counts.ravel()) <= set(range(n + 1))
    error = np.sqrt(max(n * p * (1 - p), 1e-30) / counts.size)
    assert abs(counts.mean() - n * p) <= 4 * error


def test_many_spikes_a_step_are_normal_as_in_brian2():
    counts = Binomial(20, 0.4)
    assert counts.is_normal
    drawn = counts.drawn(Draws().key(0), 0, np.arange(500)[:, None], 0, np.arange(40))
    assert abs(drawn.mean() - 8) < 4 * math.sqrt(4.8 / 20000)
    assert abs(drawn.std() - math.sqrt(4.8)) < 0.05


def test_spikes_equal_brian2_with_the_same_draws():
    net, given = network(), trials()
    result = Engine(net, dtype="float64", threads=1).simulate(given, draws=Draws(2))
    simulation = net.brian2(given, record=("spikes",), draws=Draws(2))
    schedule = net.trial_times(given)
    simulation.run(schedule.duration, namespace={})
    for name in ("one", "two"):
        monitor = simulation[f"{name}_spikes"]
        place = schedule.locate(monitor.t[:])
        expected = sorted(
            event
            for event in zip(place.trial, place.step, monitor.i[:], strict=True)
            if event[0] >= 0
        )
        spikes = [
            (trial, step, neuron)
            for trial, found in enumerate(result.spikes[name])
            for step, neuron in zip(*found, strict=True)
        ]
        assert len(expected) > 20
        assert sorted(spikes) == expected


def test_the_kernels_draw_the_same():
    net = network()
    plain, kernels = (
        kind(net, dtype="float64", **settings).simulate(trials(), draws=Draws(1))
        for kind, settings in ((Engine, {"threads": 1}), (CudaEngine, {"device": "processor"}))
    )
    assert plain.counts["one"].sum() > 20
    for name in ("one", "two"):
        np.testing.assert_array_equal(kernels.counts[name], plain.counts[name])
    np.testing.assert_array_equal(kernels.output, plain.output)


def test_single_precision_draws_nearly_the_same():
    """24 bits of a draw decide: one in ten million draws is another."""
    net = network()
    counts = [
        Engine(net, dtype=dtype).simulate(trials(1, 100)).output for dtype in ("float32", "float64")
    ]
    np.testing.assert_allclose(*counts, rtol=1e-3, atol=1e-6)


def test_brian2_draws_its_own_without_them():
    """The rate of the population, within what chance allows, is that of the engine."""
    net = network()
    given = trials(1, 2000)
    simulation = net.brian2(given, record=("spikes",))
    simulation.run(200 * ms, namespace={})
    own = Engine(net, dtype="float64", threads=1).simulate(given).counts["two"].sum()
    other = simulation["two_spikes"].num_spikes
    assert own > 100
    assert abs(own - other) < 5 * math.sqrt(own)


def test_a_file_keeps_them_in_their_places(tmp_path):
    net, given = network(), trials(1)
    net.save(tmp_path / "net.npz")
    again = SpikingNetwork.load(tmp_path / "net.npz")
    assert [placed.place for placed in again.drives] == [1, 2, 3]
    np.testing.assert_array_equal(
        Engine(net, dtype="float64").simulate(given).output,
        Engine(again, dtype="float64").simulate(given).output,
    )


def test_the_gradient_goes_along_the_path():
    """Neurons that do not spike: finite differences with the same draws are exact."""
    quiet = NeuronModel(
        name="quiet",
        equations="dv/dt = -v/(10*ms) : volt",
        threshold="v > 1*volt",
        reset="v = 0*volt",
        method="exact",
        surrogate="0.3*clip(1 - abs(v - 5*mV)/(20*mV), 0, 1)/(20*mV)",
    )
    net = SpikingNetwork.from_graph(
        {"cells": Population(quiet, 3)},
        [
            Projection("input", "cells", weight=2 * mV),
            PoissonDrive("cells", 30, 100 * Hz, weight=1 * mV),
        ],
        Readout(2),
        input=Input(2),
        dt=0.1 * ms,
    )
    engine = Engine(net, BPTT(), MeanSquareError(), dtype="float64", threads=1)
    target = np.ones((300, 2))
    with_drive = engine.run(trials(), target, gradient=True).gradient
    without = SpikingNetwork.from_graph(
        {"cells": Population(quiet, 3)},
        [Projection("input", "cells", weight=2 * mV)],
        Readout(2),
        input=Input(2),
        dt=0.1 * ms,
    )
    without.set_parameters(dict(net.parameters))
    other = Engine(without, BPTT(), MeanSquareError(), dtype="float64", threads=1)
    plain = other.run(trials(), target, gradient=True).gradient
    # the pseudo-derivative follows the state, which the drive moves
    assert np.all(with_drive["input_to_cells.w"] != 0)
    assert not np.allclose(with_drive["input_to_cells.w"], plain["input_to_cells.w"], rtol=0.05)


def script(order=0):
    """A driven group and a part of another."""
    tau = 10 * ms
    cells = NeuronGroup(
        6,
        "dv/dt = -v/tau : volt (unless refractory)\nscale : 1 (constant)",
        threshold="v > 5*mV",
        reset="v = 0*mV",
        refractory=1 * ms,
        method="exact",
        name="cells",
        namespace={"tau": tau},
    )
    cells.scale = np.arange(6) / 3
    synapses = Synapses(cells, cells, on_pre="v += 0.7*mV", name="synapses", delay=0.3 * ms)
    synapses.connect("i != j")
    whole = PoissonInput(cells, "v", 20, 50 * Hz, weight="0.4*mV*scale", order=order)
    part = PoissonInput(cells[2:4], "v", 1000, 20 * Hz, weight=0.1 * mV)
    return cells, synapses, whole, part


def test_a_script_is_read_with_its_drives():
    made = script()
    net = SpikingNetwork.from_brian2(made, readout=Readout(2))
    assert [placed.place for placed in net.drives] == [1, 1]  # Brian2's order of pathways is -1
    whole, part = (placed.drive for placed in net.drives)
    np.testing.assert_allclose(whole.weight / mV, 0.4 * np.arange(6) / 3)
    np.testing.assert_allclose(part.weight / mV, [0, 0, 0.1, 0.1, 0, 0])
    assert (part.n, float(part.rate), part.input) == (1000, 20.0, "v")
    # the script with the same draws in place of Brian2's
    cells, synapses, _, _ = script()
    given = SpikeTrials(
        times=[] * ms,
        units=np.zeros(0, int),
        offsets=[0, 0],
        labels=[0],
        n_channels=1,
        duration=100 * ms,
    )
    key = Draws().key(net.seed)
    for number, placed in enumerate(net.drives):
        table = placed.added(net, key, 0, np.arange(1000))
        cells.namespace[f"table_{number}"] = TimedArray(table * volt, dt=defaultclock.dt)
        cells.run_regularly(f"v += table_{number}(t, i)", when="synapses", name=f"drive_{number}")
    monitor = SpikeMonitor(cells)
    Network(cells, synapses, monitor).run(100 * ms, namespace={})
    steps, neurons = Engine(net, dtype="float64", threads=1).simulate(given).spikes["cells"][0]
    expected = np.rint(monitor.t / defaultclock.dt).astype(int)
    assert len(expected) > 50
    assert sorted(zip(steps, neurons, strict=True)) == sorted(
        zip(expected, monitor.i[:], strict=True)
    )


def test_the_order_of_a_drive_is_that_of_the_script():
    net = SpikingNetwork.from_brian2(script(order=-2), readout=Readout(2))
    assert [placed.place for placed in net.drives] == [0, 1]


def changing(weight):
    cells = script()[0]
    return SpikingNetwork.from_brian2(
        [cells, PoissonInput(cells, "v", 3, 1 * Hz, weight)], readout=Readout(2)
    )


@pytest.mark.parametrize(
    ("make", "what"),
    [
        (lambda: PoissonDrive("E", 0, 1 * Hz, weight=1), "n must be"),
        (lambda: PoissonDrive("E", 1, -1 * Hz, weight=1), "rate"),
        (lambda: PoissonDrive("E", 1, [1, 2] * Hz, weight=1), "rate has shape"),
        (lambda: PoissonDrive("E", 1, 1 * Hz, weight=np.nan), "weight"),
        (lambda: network(rate=20000 * Hz), "at most once a step"),
        (lambda: driven("too", 1 * mV), "no population 'too'"),
        (lambda: driven("one", 1), "weight is in"),
        (lambda: driven("one", [1, 2] * mV), "weight has shape"),
        (lambda: driven("one", 1 * mV, input="u"), "no input"),
        (lambda: driven("one", 1 * mV, name="input"), "the name 'input'"),
        (lambda: Engine(network(), EventProp(), MeanSquareError()), "is a PoissonDrive"),
        (lambda: changing("v"), "reads 'v'"),
        (lambda: changing("rand()*mV"), "not a constant"),
    ],
)
def test_what_does_not_fit_is_refused(make, what):
    with pytest.raises(ValueError, match="Poisson") as refused:
        make()
    assert what in str(refused.value)


def driven(target, weight, **settings):
    return SpikingNetwork.from_graph(
        {"one": Population(CELL, 5)},
        [PoissonDrive(target, 3, 1 * Hz, weight=weight, **settings)],
        Readout(2),
        input=Input(1),
    )


def test_it_is_shown():
    assert "30 sources of 100. Hz -> each of one" in str(network())
    assert "outside to one" in network()._repr_html_()
