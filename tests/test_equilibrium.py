"""Spike-driven equilibrium propagation: locality, direction of the updates, traps, windows, learning."""

from __future__ import annotations

import numpy as np
import pytest
from brian2 import ms
from brian2.utils.stringtools import get_identifiers

from neurosnn import SGD, Adam, analysis, data
from neurosnn.analysis import equilibrium as module_of_steady_state
from neurosnn.analysis.energy import LOIHI, EnergyTable, count_events, energy
from neurosnn.analysis.equilibrium import (
    cosines,
    learning_window,
    steady_state,
    steady_state_gradient,
    update_directions,
)
from neurosnn.equations import EqSpike, EqSpikeLIF
from neurosnn.rules.equilibrium import EquilibriumNetwork
from neurosnn.rules.equilibrium.engine import EquilibriumEngine
from neurosnn.training import EquilibriumTrainer, RateEquilibrium
from neurosnn.training.equilibrium import two_point_gradient

VARIANTS = ("spike_derivative", "presynaptic", "constant_input", "trace_product", "antisymmetric")
TRAIN, TEST = data.digits_8x8()
X, LABELS = TRAIN.pixels()[:60], np.asarray(TRAIN.labels)[:60]
TARGETS = np.eye(10)[LABELS]
SIGNS = np.where(np.arange(60) % 2, 1.0, -1.0)


def network(**options):
    options = {"scale": (1.5, 1.0), "seed": 5, **options}
    net = EquilibriumNetwork((64, 40, 10), **options)
    net.parameters["output.b"] += 0.2  # no output is silent
    return net


# -- what the strings read --------------------------------------------------------------------------

#: Everything that a change of a weight may look at: its own neurons' traces, the gate, constants.
READS = {
    "spike_derivative": ({"a_post"}, {"a_pre"}),
    "presynaptic": ({"a_post"}, set()),
    "constant_input": ({"s_pre", "a_post"}, set()),
    "trace_product": ({"q_pre", "q_post", "p"}, {"q_pre", "q_post", "p"}),
    "antisymmetric": ({"r_post"}, {"r_pre"}),
}


@pytest.mark.parametrize("trial", [None, 450 * ms])
@pytest.mark.parametrize("variant", VARIANTS)
def test_updates_are_local_in_space_and_time(variant, trial):
    """No v, no I, no rate that is computed elsewhere, no stored second state."""
    rule = EqSpike(variant=variant, trial=trial)
    allowed = {"eta", "f_max", "tau_w", "signal", "w", "G"}
    for code, reads in zip((rule.on_pre, rule.on_post), READS[variant], strict=True):
        assert get_identifiers(code) - allowed == reads
    # the traces themselves are driven by the neuron's own spikes alone
    neuron = EqSpikeLIF().brian_equations
    assert neuron["a"].identifiers == {"r", "q", "tau_2"}
    assert neuron["q"].identifiers == {"r", "q", "tau_2"}
    assert neuron["r"].identifiers == {"r", "tau_s"}


def test_two_factors_meet_only_at_a_spike_of_the_main_rule():
    """The rule of the results stores nothing in the synapse but what it has learned."""
    rule = EqSpike(trial=450 * ms)
    assert set(rule.brian_equations.names) == {"w", "G", "signal", "f_max", "eta"}
    assert not rule.clock_driven


# -- direction of the updates -----------------------------------------------------------------------


def test_adjoint_of_the_steady_state_equals_finite_differences():
    net = network()
    found = steady_state_gradient(net, X[:5], TARGETS[:5])

    def cost():
        rates = steady_state(net, X[:5]).rates["output"]
        return ((rates - TARGETS[:5]) ** 2).sum() / (2 * 5 * float(net.neuron.parameters["gain"]))

    checked = 0
    for name, array in net.parameters.items():
        strongest = np.argsort(-np.abs(found[name]).ravel())[:3]
        for k in strongest:
            value, step = array.flat[k], 1e-6
            array.flat[k] = value + step
            above = cost()
            array.flat[k] = value - step
            below = cost()
            array.flat[k] = value
            wanted = (above - below) / (2 * step)
            assert abs(wanted) > 1e-5
            assert found[name].flat[k] == pytest.approx(wanted, rel=1e-4)
            checked += 1
    assert checked == 12


def test_spiking_rates_are_those_of_the_steady_state():
    net = network(free=1000 * ms)
    spiking = EquilibriumEngine(net, threads=1).run(X[:20]).free
    wanted = steady_state(net, X[:20], start=spiking).rates
    for name in ("hidden", "output"):
        assert wanted[name].mean() > 0.05
        assert np.abs(spiking[name] - wanted[name]).mean() < 0.02
        assert np.corrcoef(spiking[name].ravel(), wanted[name].ravel())[0, 1] > 0.97


def directions(net, beta=2.0):
    """Cosine of the engine's update to the two-point update, and of both to the exact gradient."""
    signs = beta * SIGNS
    result = EquilibriumEngine(net, threads=1).run(X, targets=TARGETS, beta=signs)
    for name, count in result.spikes.items():
        assert count.mean() > 20, f"{name} is silent"
    return update_directions(net, result, X, TARGETS, signs)


# (dt, tau_2, free, nudged) in ms, and the smallest cosines allowed, a little below the measured
# ones: to the two-point update and to the exact gradient of hidden_output.w, and to the exact
# gradient of input_hidden.w. Shorter steps, a slower q and longer phases bring the updates closer.
TABLE = {
    (1.0, 50, 300, 150): (0.99, 0.945, 0.84),
    (2.0, 50, 300, 150): (0.98, 0.94, 0.83),
    (0.5, 50, 300, 150): (0.993, 0.945, 0.82),
    (1.0, 25, 300, 150): (0.975, 0.92, 0.84),
    (1.0, 100, 300, 150): (0.993, 0.945, 0.79),
    (1.0, 50, 100, 50): (0.98, 0.92, 0.45),
    (1.0, 50, 600, 300): (0.975, 0.92, 0.85),
}


@pytest.mark.parametrize("case", TABLE)
def test_direction_of_the_updates(case):
    dt, tau_2, free, nudged = case
    net = network(
        neuron=EqSpikeLIF(tau_2=tau_2 * ms), dt=dt * ms, free=free * ms, nudged=nudged * ms
    )
    to_two_point, to_exact, _ = directions(net)
    smallest = TABLE[case]
    assert to_two_point["hidden_output.w"] > smallest[0]
    assert to_exact["hidden_output.w"] > smallest[1]
    assert to_exact["input_hidden.w"] > smallest[2]
    # pixels are constant, so that their change telescopes to the two-point value
    assert to_two_point["input_hidden.w"] > 0.999


def test_variants_differ_as_they_should():
    found = {}
    for variant in ("spike_derivative", "presynaptic", "trace_product", "antisymmetric"):
        found[variant] = directions(network(variant=variant))[0]["hidden_output.w"]
    assert found["trace_product"] > 0.999  # it telescopes
    assert 0.99 < found["spike_derivative"] < 0.999
    assert 0.98 < found["presynaptic"] < found["spike_derivative"]
    assert found["antisymmetric"] < 0.9  # one of its two terms has the wrong sign


def test_spiking_input_follows_the_two_point_update():
    to_two_point, to_exact, _ = directions(network(input="spikes"))
    assert 0.93 < to_two_point["input_hidden.w"] < 0.99
    assert to_exact["hidden_output.w"] > 0.94


def test_a_stronger_nudge_stands_out_from_the_noise_of_the_spikes():
    net = network()
    found = [directions(net, beta)[0]["hidden_output.w"] for beta in (0.5, 1.0, 4.0)]
    assert found[0] < 0.975 < found[1] < 0.99 < found[2]


# -- the schedule trap ------------------------------------------------------------------------------


def test_slope_must_see_the_spike_of_its_own_step():
    """In Brian2's usual slot the synapses run before the resets; ours move, the schedule stays."""
    net = EquilibriumNetwork((64, 20, 10), scale=(1.5, 2.5), seed=5, free=400 * ms, nudged=150 * ms)
    n, signs = 5, np.full(5, 1.0)  # with both signs the error of the wrong order would cancel
    engine = EquilibriumEngine(net, dtype="float64", threads=1)
    # as late in training: the output has almost reached its target, and little is to be learned
    targets = 0.9 * engine.run(X[:n]).free["output"] + 0.1 * TARGETS[:n]
    result = engine.run(X[:n], targets=targets, beta=signs)
    wanted = two_point_gradient(net, X[:n], result, signs)
    found = {}
    for slot in ("after_resets", "synapses"):
        rate = 1e-6  # so small that the weights stay, and w sums up G over all trials but the last
        brian = net.brian2(X[:n], targets=targets, beta=signs, learning_rate=rate)
        assert brian.schedule == ["start", "groups", "thresholds", "synapses", "resets", "end"]
        for name in ("input_hidden", "hidden_output"):
            synapses = brian[f"{name}_synapses"]
            assert synapses.pre.when == "after_resets"
            for pathway in synapses._pathways:
                pathway.when = slot
        brian.run(n * net.trial, namespace={})
        assert int(np.sum(brian["hidden_spikes"].count)) > 500
        total = {}
        for name in ("input_hidden.w", "hidden_output.w"):
            synapses, before = brian[f"{name[:-2]}_synapses"], net.parameters[name]
            learned = np.reshape(synapses.w, before.shape) - before
            total[name] = -(learned / rate + np.reshape(synapses.G, before.shape))
        found[slot] = cosines(total, wanted)
    right, wrong = found["after_resets"], found["synapses"]
    assert right["input_hidden.w"] > 0.99
    assert wrong["input_hidden.w"] < 0.3
    assert wrong["hidden_output.w"] < right["hidden_output.w"] - 0.4


# -- windows ----------------------------------------------------------------------------------------


def slope(lag, tau_s=25.0, tau_2=50.0, t_ref=6.0, dt=1.0):
    """Slope of the trace `lag` ms after a spike, in 1/ms, by the recursion of the traces."""
    r, q = t_ref / tau_s, 0.0
    for _ in range(round(lag / dt)):
        r, q = r * np.exp(-dt / tau_s), r + (q - r) * np.exp(-dt / tau_2)
    return (r - q) / tau_2


@pytest.mark.parametrize("variant", ["spike_derivative", "presynaptic", "antisymmetric"])
def test_window_of_an_isolated_pair(variant):
    rule = EqSpike(variant=variant, eta=0.5)
    window = analysis.stdp_window(
        rule, post=EqSpikeLIF(), max_lag=60 * ms, step=4 * ms, background=0.0
    )
    lag = np.round(window.lag / ms).astype(int)
    k = np.array([slope(abs(value)) for value in lag])
    if variant == "antisymmetric":
        wanted = np.sign(lag) * np.exp(-np.abs(lag) / 25) * 6 / 25 * 6 / 50
    elif variant == "presynaptic":
        wanted = np.where(lag <= 0, k, 0) * 6
    else:
        wanted = np.where(lag == 0, 2, 1) * k * 6
    np.testing.assert_allclose(window.dw, 0.5 * wanted, rtol=1e-9, atol=1e-15)


def test_slope_sums_to_zero_over_a_spike():
    """Otherwise every pair of active neurons would change, learning or not."""
    k = np.array([slope(lag) for lag in range(0, 800)])
    assert k[0] > 0 > k.min()
    assert abs(k.sum()) < 1e-6 * np.abs(k).sum()


def test_learning_window_is_that_of_single_pairs_and_its_control():
    net = network()
    result = EquilibriumEngine(net, threads=1).run(
        X[:20], targets=TARGETS[:20], beta=2 * SIGNS[:20], record=True
    )
    window = learning_window(net, result, max_lag=24)
    middle = np.abs(window.lag) <= 4
    assert window.n.min() > 20
    assert window.dw[middle].mean() > 0 > window.dw[np.abs(window.lag) > 12].mean()
    assert np.corrcoef(window.dw, window.shuffled)[0, 1] > 0.8
    with pytest.raises(ValueError, match="the result holds no spikes"):
        learning_window(net, EquilibriumEngine(net, threads=1).run(X[:2]))
    twice = EquilibriumEngine(net, threads=1).run(
        X[:2], targets=TARGETS[:2], both=True, record=True
    )
    with pytest.raises(ValueError, match="nudged with both signs"):
        learning_window(net, twice)


# -- learning ---------------------------------------------------------------------------------------


@pytest.mark.usefixtures("optimized")
@pytest.mark.parametrize("kind", ["constant", "spikes", "two_point"])
def test_digits_are_learned(kind):
    net = EquilibriumNetwork(
        (64, 30, 10), input=kind if kind == "spikes" else "constant", dt=2 * ms
    )
    trainer = EquilibriumTrainer(
        net, optimizer=Adam(5e-3), two_point=kind == "two_point", threads=1, seed=1
    )
    before = trainer.evaluate(TEST)["accuracy"]
    trainer.fit(TRAIN, epochs=4, progress=False)
    after = trainer.evaluate(TEST)
    assert before < 0.3
    assert after["accuracy"] > 0.85
    assert 3 < after["rate.hidden"] < 100  # Hz, of 167


@pytest.mark.usefixtures("optimized")
def test_a_nudge_of_one_sign_drives_the_rates_away():
    """What is not the gradient (finite beta, spike correlations) is odd in beta and adds up."""
    rates = {}
    for sign in ("fixed", "trial"):
        net = EquilibriumNetwork((64, 30, 10), dt=2 * ms)
        trainer = EquilibriumTrainer(net, optimizer=Adam(5e-3), sign=sign, threads=1, seed=1)
        trainer.fit(TRAIN, epochs=8, progress=False)
        rates[sign] = trainer.evaluate(TEST)["rate.hidden"]
    assert rates["fixed"] > 1.5 * rates["trial"]


@pytest.mark.parametrize("two_point", [False, True])
def test_both_signs_in_a_trial_come_closer_to_the_gradient(two_point):
    """What is the same for both signs cancels: also in small batches, where it otherwise stays."""
    found = {}
    for both in (False, True):
        net, x, targets = network(), X[:6], TARGETS[:6]
        beta = 4.0 * SIGNS[:6]
        result = EquilibriumEngine(net, threads=1).run(x, targets=targets, beta=beta, both=both)
        directions = update_directions(net, result, x, targets, beta)
        found[both] = directions.two_point_to_exact if two_point else directions.to_exact
    for name, cosine in found[True].items():
        assert cosine > found[False][name], name


@pytest.mark.usefixtures("optimized")
def test_digits_are_learned_from_those_that_are_not_right_yet():
    """A trial that is right by the margin changes nothing."""
    net = EquilibriumNetwork((64, 30, 10), dt=2 * ms)
    trainer = EquilibriumTrainer(
        net, optimizer=Adam(5e-3), sign="both", margin=0.3, threads=1, seed=1
    )
    trainer.fit(TRAIN, epochs=4, progress=False)
    after = trainer.evaluate(TEST)
    assert after["accuracy"] > 0.88
    before = {name: w.copy() for name, w in net.parameters.items()}
    right = trainer.predict(TRAIN) == TRAIN.labels
    x, labels = TRAIN.pixels()[right][:20], np.asarray(TRAIN.labels)[right][:20]
    again = EquilibriumTrainer(net, optimizer=SGD(1.0), margin=0.0, threads=1)
    assert again.step(x, labels)["gradient_norm"] == 0.0
    assert all((w == net.parameters[name]).all() for name, w in before.items())


def test_rates_are_those_of_the_time_that_was_simulated():
    net = network(dt=2 * ms)
    trainer = EquilibriumTrainer(net, optimizer=SGD(1e-12), sign="both", margin=-0.05, threads=1)
    row = trainer.fit(TRAIN[:40], epochs=1, progress=False)
    result = trainer.engine.run(
        TRAIN[:40].pixels(),
        targets=np.eye(10)[TRAIN.labels[:40]],
        beta=4.0,
        both=True,
        margin=-0.05,
    )
    assert set(result.phases) == {0, 2}
    seconds = 40 * 0.3 + result.phases.sum() * 0.15
    for name, n in (("hidden", 40), ("output", 10)):
        wanted = result.spikes[name].sum() / (n * seconds)
        assert row[f"rate.{name}"][0] == pytest.approx(wanted, rel=1e-6)


def test_signs_are_balanced_in_each_batch():
    trainer = EquilibriumTrainer(network(), threads=1)
    assert all(trainer._signs(20).sum() == 0 for _ in range(5))
    assert {float(trainer._signs(3).sum()) for _ in range(30)} == {-1.0, 1.0}


def test_same_seed_same_weights():
    weights = []
    for _ in range(2):
        net = network(input="spikes", dt=2 * ms)
        EquilibriumTrainer(net, threads=1, seed=3).fit(TRAIN[:60], epochs=1, progress=False)
        weights.append(net.parameters["input_hidden.w"])
    assert np.array_equal(*weights)


def test_rates_learn_digits_too():
    model = RateEquilibrium((64, 30, 10), seed=1)
    model.fit(TRAIN, epochs=4, validation=TEST, progress=False)
    assert model.history["validation_accuracy"][-1] > 0.85


def test_rate_update_is_the_gradient_of_the_settled_cost():
    """For a small beta the two-point difference is minus the gradient of sum (y - s)^2."""
    model = RateEquilibrium((6, 5, 3), free_steps=600, nudged_steps=600, beta=1e-3, seed=2)
    for name, array in model.parameters.items():
        model.parameters[name] = 0.4 * array.astype(np.float64) + (
            0.2 if name.startswith("b") else 0
        )
    x, labels = np.random.default_rng(1).random((4, 6)), np.array([0, 1, 2, 0])
    targets = np.eye(3)[labels]
    free = model.settle(x)
    nudged = model.settle(x, states=free, targets=targets, beta=model.beta)
    change = (nudged[0].T @ nudged[1] - free[0].T @ free[1]) / model.beta
    w = model.parameters["w1"]
    for k in (0, 7, 14):
        value = w.flat[k]
        costs = []
        for step in (1e-5, -1e-5):
            w.flat[k] = value + step
            costs.append(((model.settle(x)[1] - targets) ** 2).sum())
        w.flat[k] = value
        slope_of_cost = (costs[0] - costs[1]) / 2e-5
        assert abs(slope_of_cost) > 1e-3
        assert -change.flat[k] == pytest.approx(slope_of_cost, rel=0.02)


# -- energy -----------------------------------------------------------------------------------------


def test_energy_of_hand_counted_events():
    net = EquilibriumNetwork((64, 40, 10), input="spikes", scale=2.0)
    engine = EquilibriumEngine(net, threads=1)
    result = engine.run(X[:4], targets=TARGETS[:4], beta=1.0)
    n_in, n_hidden, n_out = (result.spikes[name].mean(axis=0) for name in net.layers)
    inference = count_events(net, result, X[:4], learning=False)
    assert inference.synaptic_events == pytest.approx(
        n_in[0] * 40 + n_hidden[0] * 10 + n_out[0] * 40
    )
    assert inference.updates == 0
    training = count_events(net, result, X[:4], learning=True)
    assert training.updates == pytest.approx(n_in[1] * 40 + n_hidden[1] * 10 + n_out[1] * 40)
    assert training.spikes == pytest.approx(n_in.sum() + n_hidden.sum() + n_out.sum())
    joules = energy(training, LOIHI)
    assert joules["updates"] == pytest.approx(training.updates * 120e-12)
    assert joules["total"] == pytest.approx(sum(joules.values()) / 2)
    constant = EquilibriumNetwork((64, 40, 10), scale=2.0)
    some = EquilibriumEngine(constant, threads=1).run(
        X[:20], targets=TARGETS[:20], beta=1.0, both=True, margin=-0.05
    )
    assert set(some.phases) == {0, 2}
    counted = count_events(constant, some, X[:20], learning=True)
    steps = constant.free_steps + some.phases.mean() * constant.nudged_steps
    assert counted.neuron_updates == pytest.approx(50 * steps)
    spikes = some.spikes["hidden"][:, 1].sum() * 10 + some.spikes["output"][:, 1].sum() * 40
    pixels = (X[:20][some.phases > 0] > 0).sum() * 40
    assert counted.updates == pytest.approx((spikes + pixels) / 20)
    quiet = EquilibriumEngine(constant, threads=1).run(X[:4])
    counted = count_events(constant, quiet, X[:4], learning=False)
    assert counted.constant_inputs == pytest.approx((X[:4] > 0).sum() / 4 * 40)


# -- errors -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("make", "match"),
    [
        (lambda: EqSpike(variant="other"), "variant must be one of spike_derivative"),
        (lambda: EqSpike(f_max=6 * ms), "f_max must be a rate"),
        (lambda: EqSpikeLIF(tau_2=0 * ms), "tau_2 must be > 0"),
        (lambda: EquilibriumNetwork((10,)), "at least an input and an output layer"),
        (lambda: network(input="poisson"), "input must be one of constant, spikes"),
        (lambda: network(free=10.5 * ms), "free = 10.5 ms is not a multiple of the time step"),
        (lambda: network().load({"a": 1}), r"the names \['a'\] are not those of the network"),
        (
            lambda: network().load({**network().parameters, "output.b": np.zeros(3)}),
            r"output.b has shape \(3,\), not \(10,\)",
        ),
        (lambda: EquilibriumTrainer(network(), sign="none"), "sign must be one of trial, batch"),
        (lambda: EquilibriumTrainer(network(), margin=2), "margin must be"),
        (lambda: RateEquilibrium((4, 3), beta=0), "beta must be > 0"),
        (lambda: cosines({"w": np.zeros(2)}, {"w": np.ones(2)}), "the gradient of 'w' is zero"),
        (
            lambda: EnergyTable(
                spike=-1, synaptic_event=0, constant_input=0, update=0, neuron_update=0
            ),
            "spike must be >= 0",
        ),
        (
            lambda: count_events(
                network(), EquilibriumEngine(network(), threads=1).run(X[:1]), X[:1], learning=True
            ),
            "the trials had no nudged phase",
        ),
        (lambda: analysis.stdp_window(EqSpike()), "reads a, a of both neurons|reads a of both"),
    ],
)
def test_errors(make, match):
    with pytest.raises(ValueError, match=match):
        make()


def test_rates_that_do_not_settle_are_refused(monkeypatch):
    monkeypatch.setattr(module_of_steady_state, "MOST_ITERATIONS", 3)
    with pytest.raises(ValueError, match="the rates do not settle"):
        steady_state(network(), X[:2])
