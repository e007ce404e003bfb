"""Time constants, delays and other parameters that are learned besides weights."""

import json

import numpy as np
import pytest
from brian2 import ms, mV

from neurosnn import (
    SGD,
    Adam,
    EProp,
    EventProp,
    Input,
    Layer,
    Readout,
    SpikingNetwork,
    Trainer,
    data,
    equations,
    export,
    gamma_distributed,
)
from neurosnn.engine import Engine
from neurosnn.training.callbacks import LiftSilent

N_IN, N = 10, 8


def spikes(seed=0, n=6):
    rng = np.random.default_rng(seed)
    times = np.sort(rng.uniform(0, 0.03, (n, 30)), axis=1)
    return data.SpikeTrials(
        times=times.ravel(),
        units=rng.integers(0, N_IN, n * 30),
        offsets=np.arange(n + 1) * 30,
        labels=np.arange(n) % 2,
        n_channels=N_IN,
        duration=45 * ms,
    )


def network(*, learn=("tau_m", "tau_s", "delay"), second=True, tau_m=20 * ms, dt=0.5 * ms):
    rng = np.random.default_rng(1)
    delays = rng.uniform(0, 6, N_IN) * ms
    layers = [
        Layer(
            equations.CurrentLIF(tau_m=tau_m),
            N,
            recurrent=True,
            learn=learn,
            delay=rng.uniform(0, 4, N) * ms if "delay" in learn else 0 * ms,
            weight_scale=2.0,
            weight_mean=0.8,
        )
    ]
    if second:
        layers.append(Layer(equations.CurrentLIF(), N, weight_scale=2.0, weight_mean=1.0))
    net = SpikingNetwork(
        Input(N_IN, delay=delays, learn=("delay",)) if "delay" in learn else Input(N_IN),
        *layers,
        Readout(2, model=equations.CurrentReadout()),
        dt=dt,
        seed=3,
    )
    net.layer_name = net.layers[0].name
    return net


def test_names_shapes_and_start():
    tau_m = gamma_distributed(20 * ms, N, smallest=3 * ms, seed=0)
    net = network(tau_m=tau_m)
    assert set(net.learned) == {
        "input.delay", "hidden1.tau_m", "hidden1.tau_s", "hidden1.delay",
    }  # fmt: skip
    np.testing.assert_array_equal(net.parameters["hidden1.tau_m"], np.asarray(tau_m))
    assert net.parameters["hidden1.tau_s"] == 5e-3
    assert net.parameters["hidden1.tau_s"].shape == ()
    plain = network(learn=())
    assert net.n_parameters == plain.n_parameters + N_IN + 2 * N + 1
    # what is learned changes neither the weights nor which synapses exist
    for name in plain.parameters:
        np.testing.assert_array_equal(plain.parameters[name], net.parameters[name])


def test_delays_are_rounded_to_steps_in_the_simulation_only():
    net = network()
    delay = net.parameters["input.delay"]
    delay[:3] = [0.74e-3, 0.76e-3, 0.2e-3]
    assert net.connections["input"].delay[:3].tolist() == [1, 2, 0]
    assert delay[0] == 0.74e-3
    for name in ("recurrent1", "forward2"):
        steps = np.rint(net.parameters["hidden1.delay"] / 0.5e-3)
        np.testing.assert_array_equal(net.connections[name].delay, steps)
    assert not net.connections["readout1"].delay.any()
    assert net.max_delay >= 8


def test_gradient_is_that_of_the_engine_and_of_all_axons():
    net = network()
    for connection in net.connections.values():
        connection.fixed_delay[:] = connection.delay
    given = Engine(net, EventProp(), Trainer(net, EventProp()).loss, dtype="float64")
    result = given.run(spikes(), gradient=True)
    assert min(result.spikes.values()) > 20
    gradient = result.gradient
    np.testing.assert_allclose(
        gradient["hidden1.delay"], gradient["recurrent1.delay"] + gradient["forward2.delay"]
    )
    assert np.count_nonzero(gradient["input.delay"]) == N_IN
    assert gradient["hidden1.tau_m"].shape == ()
    # the same parameters neuron by neuron: the shared gradient is their sum
    apart = network(tau_m=np.full(N, 20) * ms)
    single = Engine(apart, EventProp(), given.loss, dtype="float64").run(spikes(), gradient=True)
    np.testing.assert_allclose(single.gradient["hidden1.tau_m"].sum(), gradient["hidden1.tau_m"])


@pytest.mark.parametrize("rule", [EventProp(), EProp()], ids=["eventprop", "eprop"])
def test_the_trainer_moves_them_in_ms_and_within_their_ranges(rule):
    learn = ("tau_m", "tau_s") + (("delay",) if isinstance(rule, EventProp) else ())
    net = network(learn=learn)
    start = {name: value.copy() for name, value in net.learned.items()}
    optimizer = Adam(1e-3, factors={f"*.{key}": 300 for key in learn})
    trainer = Trainer(net, rule, optimizer=optimizer, weight_bounds={"*.tau_m": (19.5 * ms, None)})
    gradient = trainer.gradient(spikes())
    trainer.step(spikes())
    for name, before in start.items():
        moved = net.learned[name] - before
        slope = 1e-3 * gradient[name]  # per ms
        expected = -0.3e-3 * slope / (np.abs(slope) + 1e-8)  # the first step of Adam
        low = 19.5e-3 if name.endswith("tau_m") else 0.0
        expected = np.maximum(before + expected, low) - before
        np.testing.assert_allclose(moved, expected, rtol=1e-3, atol=1e-9)
    Trainer(net, rule, optimizer=SGD(1e12, factors={"*.w": 0, "*.b": 0})).step(spikes())
    assert net.learned["hidden1.tau_s"] >= 0.5e-3, "a time constant stays at dt or above"


def test_learning_lowers_the_loss_through_delays_alone():
    net = network(second=False)
    factors = {"*.w": 0, "*.b": 0, "*.delay": 300, "*.tau_*": 0}
    trainer = Trainer(net, EventProp(), optimizer=Adam(1e-3, factors=factors))
    before = trainer.evaluate(spikes())["loss"]
    start = net.connections["input"].delay.copy()
    for _ in range(60):
        trainer.step(spikes())
    assert trainer.evaluate(spikes())["loss"] < before - 0.004
    assert np.any(net.connections["input"].delay != start)


def test_brian2_simulates_the_learned_values():
    net = network()
    rng = np.random.default_rng(7)
    net.parameters["hidden1.tau_m"][...] = 12.3e-3
    net.parameters["input.delay"][:] = rng.uniform(0, 9e-3, N_IN)
    trials = spikes()
    found = Engine(net, dtype="float64").simulate(trials)
    simulation = net.brian2(trials, record=("spikes",))
    trial_times = net.trial_times(trials)
    simulation.run(trial_times.duration, namespace={})
    for name in ("hidden1", "hidden2"):
        monitor = simulation[f"{name}_spikes"]
        place = trial_times.locate(monitor.t[:])
        theirs = sorted(
            (k, s, i)
            for k, s, i in zip(place.trial, place.step, monitor.i[:], strict=True)
            if k >= 0
        )
        ours = sorted(
            (k, s, i)
            for k, (step, neuron) in enumerate(found.spikes[name])
            for s, i in zip(step, neuron, strict=True)
        )
        assert len(ours) > 20
        assert ours == theirs


def test_saved_exported_and_resumed(tmp_path):
    net = network(tau_m=np.linspace(10, 30, N) * ms)
    settings = {"optimizer": Adam(1e-2, factors={"*.delay": 20, "*.tau_*": 10}), "seed": 4}
    fit = {"epochs": 3, "batch_size": 2, "progress": False}
    trainer = Trainer(net, EventProp(), **settings)
    trainer.fit(spikes(), **fit)
    net.save(tmp_path / "net.npz")
    loaded = SpikingNetwork.load(tmp_path / "net.npz")
    assert loaded.layers[0].learn == ("tau_m", "tau_s", "delay")
    for name, value in net.parameters.items():
        np.testing.assert_array_equal(loaded.parameters[name], value)
    np.testing.assert_array_equal(
        Trainer(loaded, EventProp()).scores(spikes()), trainer.scores(spikes())
    )
    again = network(tau_m=np.linspace(10, 30, N) * ms)
    first = Trainer(again, EventProp(), **settings)
    first.fit(spikes(), **{**fit, "epochs": 1}, checkpoint=tmp_path / "check.npz")
    resumed = network(tau_m=np.linspace(10, 30, N) * ms)
    last = Trainer(resumed, EventProp(), **settings)
    last.fit(spikes(), **fit, checkpoint=tmp_path / "check.npz")
    for name, value in net.parameters.items():
        np.testing.assert_array_equal(resumed.parameters[name], value)


def test_silent_neurons_are_lifted():
    net = network(learn=(), second=False)
    w = net.parameters["input.w"]
    w[:, 2] = -1.0
    net.parameters["recurrent.w"][:, 2] = 0.0
    trainer = Trainer(net, EventProp(), optimizer=SGD(1e-12))
    before = w.copy()
    trainer.fit(spikes(), epochs=2, progress=False, callbacks=LiftSilent(0.1))
    silent = trainer.counts["hidden"] == 0
    assert silent[2]
    assert 0 < silent.sum() < N
    np.testing.assert_allclose(w - before, 0.2 * np.broadcast_to(silent, w.shape), atol=1e-6)
    assert not net.parameters["recurrent.w"][:, 2].any()
    with pytest.raises(ValueError, match="does not count"):
        LiftSilent().epoch_end(Trainer(net, EventProp()), {})
    with pytest.raises(ValueError, match="amount must be"):
        LiftSilent(0.0)


def test_two_strengths_of_the_rate():
    net = network(learn=(), second=False)
    loss = Trainer(net, EventProp()).loss
    gradients = [
        Engine(net, EventProp(rate_strength=c, rate_target=60 / (1000 * ms)), loss, dtype="float64")
        .run(spikes(), gradient=True)
        .gradient["input.w"]
        for c in (0.0, (2e-3, 0.0), (0.0, 2e-3), 2e-3)
    ]
    none, below, above, both = gradients
    np.testing.assert_allclose(below + above - none, both, atol=1e-12)
    assert np.abs(below - none).max() > 1e-6
    assert np.abs(above - none).max() > 1e-6
    with pytest.raises(ValueError, match="one or two numbers"):
        EventProp(rate_strength=(1.0, 2.0, 3.0))


def test_gamma_distributed():
    values = gamma_distributed(20 * ms, 4000, smallest=3 * ms, seed=1)
    assert values.min() == 3 * ms
    assert np.isclose(float(values.max() / ms), 60)
    # mean and spread of gamma(3, 1/3), of which the limits cut off little
    assert float(values.mean() / ms) == pytest.approx(20, rel=0.02)
    assert float(values.std() / ms) == pytest.approx(20 / np.sqrt(3), rel=0.08)
    for changed, reason in (
        ({"mean": 0 * ms}, "mean must be"),
        ({"smallest": 3 * mV}, "smallest must be"),
        ({"n": 0}, "n must be"),
        ({"shape": -1.0}, "shape must be"),
    ):
        with pytest.raises(ValueError, match=reason):
            gamma_distributed(**{"mean": 20 * ms, "n": 3, "seed": 0, **changed})


def small(*, delay=0 * ms, **layer):
    """A network without recurrence."""
    return SpikingNetwork(
        Input(3, delay=delay), Layer(equations.CurrentLIF(), 3, **layer), Readout(2)
    )


EARLY = {"input.delay": np.full(N_IN, -1e-3)}


@pytest.mark.parametrize(
    ("make", "reason"),
    [
        (lambda: small(learn=("tau",)), "learn names 'tau'"),
        (lambda: Input(3, learn=("tau_m",)), "learn names 'tau_m'"),
        (lambda: Input(3, real_valued=True, learn=("delay",)), "real-valued input"),
        (lambda: Input(3, delay=-1 * ms), "delay must be"),
        (lambda: network().set_parameters(EARLY), "input.delay must be"),
        (lambda: network().set_parameters({"hidden1.tau_m": 3 * mV}), "must be in"),
        (lambda: Trainer(network(), EProp()), "EProp cannot learn"),
        (lambda: Trainer(network(learn=("tau_m",)), EProp(), backend="brian2"), "does not learn"),
        (lambda: Trainer(network(learn=("v_th",)), EventProp()), "stands in the threshold"),
        (lambda: small(delay=0.3 * ms), "multiple of dt"),
        (lambda: small(learn="delay"), "no effect"),
    ],
)
def test_refused(make, reason):
    with pytest.raises(ValueError, match=reason):
        make()


@pytest.mark.slow
def test_export_has_the_learned_values(tmp_path):
    net = network(second=False)
    net.parameters["hidden.tau_m"][...] = 12.34567e-3  # a number that nothing else has
    export(net, tmp_path / "program", inputs=spikes()[0], duration=45 * ms)
    (program,) = tmp_path.rglob("main.cpp")
    assert "_array_hidden_tau_m[0] = 0.01234567;" in program.read_text()
    (manifest,) = tmp_path.rglob("manifest.json")
    entries = json.loads(manifest.read_text())["parameters"]
    (value,) = (entry["value"] for entry in entries if entry["name"] == "hidden.tau_m")
    assert float(value) == 12.34567e-3
