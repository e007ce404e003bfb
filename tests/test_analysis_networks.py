"""Measured windows, alignment, credit, activity and locality against independent computations."""

from __future__ import annotations

import numpy as np
import pytest
from brian2 import Hz, ms, mV, nS, second
from engine_cases import spike_trials

from neurosnn import (
    BPTT,
    Adam,
    EProp,
    EventProp,
    Input,
    Layer,
    NeuronModel,
    PlasticityRule,
    Readout,
    SpikingNetwork,
    Trainer,
    analysis,
    equations,
)
from neurosnn.analysis.activity import activity

# A membrane that never spikes and has a constant pseudo-derivative: all traces in closed form.
LINEAR = NeuronModel(
    equations="dv/dt = -v/tau_m : 1",
    threshold="v > 1000",
    reset="v = 0",
    surrogate="0.3 + 0*v",
    parameters={"tau_m": 20 * ms},
)


def network(model=None, *, n=12, recurrent=True, seed=3, scale=1.5):
    return SpikingNetwork(
        Input(30),
        Layer(model or equations.LIF(), n, recurrent=recurrent, weight_scale=scale),
        Readout(3, tau=15 * ms),
        seed=seed,
    )


# -- measured windows -------------------------------------------------------------------------------


def pair_learning(n_trials=4, n_pre=6, n_post=5, seed=1):
    """Trials in which each weight followed all-to-all pair STDP, summed in numpy."""
    rng, trials = np.random.default_rng(seed), []
    for _ in range(n_trials):
        sides = [np.nonzero(rng.random((300, n)) < 0.03) for n in (n_pre, n_post)]
        (pre_t, pre_i), (post_t, post_i) = sides
        dw = np.zeros((n_pre, n_post))
        for t, i in zip(pre_t, pre_i, strict=True):
            for u, j in zip(post_t, post_i, strict=True):
                s = u - t
                if abs(s) <= 20:
                    dw[i, j] += 0.01 * np.exp(-s / 10) if s >= 0 else -0.02 * np.exp(s / 5)
        trials.append(analysis.LearningTrial(pre_t * ms, pre_i, post_t * ms, post_i, dw))
    return trials


def test_kernel_of_pair_stdp_is_its_window():
    window = analysis.measured_window(
        pair_learning(), max_lag=20 * ms, step=1 * ms, n_shuffles=30, seed=2
    )
    s = np.arange(-20, 21)
    wanted = np.where(s >= 0, 0.01 * np.exp(-s / 10), -0.02 * np.exp(s / 5))
    assert np.asarray(window.lag / ms) == pytest.approx(s)
    assert window.pairs.min() > 10
    # The other pairs are exactly what the constant cannot explain: nothing is left over.
    assert window.dw == pytest.approx(wanted, abs=1e-12)
    # The control knows nothing of it, and its spread is that of chance.
    assert window.control.shape == (30, 41)
    assert np.abs(window.control.mean(axis=0)).max() < 0.25 * np.abs(wanted).max()


def test_mean_estimate_counts_the_whole_change_for_each_pair():
    trial = analysis.LearningTrial(
        [0, 0] * ms,
        np.array([0, 1]),
        [10, 30] * ms,
        np.array([0, 0]),
        np.array([[0.2], [0.4]]) * nS,
    )
    window = analysis.measured_window(
        [trial], max_lag=30 * ms, step=10 * ms, estimate="mean", n_shuffles=0
    )
    assert window.pairs.tolist() == [0, 0, 0, 0, 2, 0, 2]
    assert np.asarray(window.dw / nS)[[4, 6]] == pytest.approx([0.3, 0.3])
    assert np.isnan(np.asarray(window.dw)[[0, 1, 2, 3, 5]]).all()
    assert window.control.shape == (0, 7)


def test_missing_synapses_do_not_count():
    (trial,) = pair_learning(1)
    cut = trial.dw.copy()
    cut[0] = np.nan
    rows = trial.pre_i > 0
    without = analysis.LearningTrial(
        trial.pre_t[rows], trial.pre_i[rows] - 1, trial.post_t, trial.post_i, trial.dw[1:]
    )
    a, b = (
        analysis.measured_window([one], max_lag=10 * ms, step=2 * ms, n_shuffles=2)
        for one in (trial._replace(dw=cut), without)
    )
    assert a.pairs.tolist() == b.pairs.tolist()
    assert a.dw == pytest.approx(b.dw, abs=1e-12)


def test_updates_of_a_trainer_are_collected_with_their_spikes():
    trials, net = spike_trials(n_trials=3, n_steps=150), network()
    trainer = Trainer(net, EProp(), dtype="float64")
    for name in ("input", "recurrent"):
        learned = analysis.learning_trials(trainer, trials, name)
        total = sum(np.nan_to_num(one.dw) for one in learned) / 3
        assert total == pytest.approx(-trainer.gradient(trials)[f"{name}.w"], abs=1e-12)
        assert np.abs(total).max() > 0
    assert np.isnan(np.diag(learned[0].dw)).all()  # no synapse of a neuron with itself
    simulation = net.brian2(trials[:1], record=("spikes",))
    simulation.run(net.trial_times(trials[:1]).duration, namespace={})
    spikes = simulation["hidden_spikes"]
    assert len(spikes.i) > 10
    found, wanted = (
        sorted(zip(np.rint(t / ms).astype(int).tolist(), np.asarray(i).tolist(), strict=True))
        for t, i in ((learned[0].post_t, learned[0].post_i), (spikes.t, spikes.i[:]))
    )
    assert found == wanted
    window = analysis.measured_window(learned, max_lag=20 * ms, step=5 * ms)
    assert np.isfinite(window.dw).all()
    with pytest.raises(ValueError, match="no connection 'readout' between neurons that spike"):
        analysis.learning_trials(trainer, trials, "readout")


@pytest.mark.parametrize(
    ("change", "options", "match"),
    [
        ({"dw": np.zeros((2, 2))}, {}, "do not fit changes of the shape"),
        ({}, {"estimate": "median"}, "estimate='median' is not known"),
        ({}, {"max_lag": 1 * ms, "step": 5 * ms}, "shorter than a bin"),
        ({}, {"step": 5 * mV}, "step"),
        ({"post_t": [] * ms, "post_i": np.array([], int)}, {}, "there is no pair of spikes"),
    ],
)
def test_bad_measurements_are_refused(change, options, match):
    trial = pair_learning(1)[0]._replace(**change)
    with pytest.raises(ValueError, match=match):
        analysis.measured_window([trial], **options)


# -- alignment --------------------------------------------------------------------------------------


def test_alignment_is_the_cosine_of_each_block_and_of_all():
    rng = np.random.default_rng(0)
    a, b = ({"x": rng.normal(size=(3, 4)), "y": rng.normal(size=5)} for _ in range(2))
    found = analysis.alignment({**a, "only here": np.ones(2)}, b)
    assert sorted(found) == ["all", "x", "y"]
    whole = [np.append(one["x"].ravel(), one["y"]) for one in (a, b)]
    assert found["all"] == pytest.approx(_cos(*whole))
    assert found["x"] == pytest.approx(_cos(a["x"].ravel(), b["x"].ravel()))
    assert analysis.alignment(a, {"x": -2 * a["x"]})["x"] == pytest.approx(-1)
    assert np.isnan(analysis.alignment(a, {"x": 0 * a["x"]})["x"])
    with pytest.raises(ValueError, match="no block in common"):
        analysis.alignment(a, {"z": np.ones(2)})
    with pytest.raises(ValueError, match="has the shapes"):
        analysis.alignment(a, {"x": np.ones(2)})


def _cos(a, b):
    return sum(a * b) / np.sqrt(sum(a * a) * sum(b * b))


def test_recorder_compares_at_the_weights_of_each_epoch():
    trials = spike_trials(n_trials=6, n_steps=100)
    net = network(equations.CurrentLIF(), scale=12.0)
    seen = []
    recorder = analysis.AlignmentRecorder(
        {
            "the same": EProp(feedback="random", seed=0),
            "symmetric": EProp(),
            "exact": EventProp(),
            "function": lambda trainer, batch: seen.append(len(batch)) or trainer.gradient(batch),
        },
        trials[:4],
    )
    trainer = Trainer(net, EProp(feedback="random", seed=0), optimizer=Adam(0.05), dtype="float64")
    before = {name: w.copy() for name, w in net.parameters.items()}
    trainer.fit(trials, epochs=2, batch_size=3, callbacks=[recorder], progress=False)
    assert recorder.epochs == [0, 1, 2]
    assert seen == [4, 4, 4]
    blocks = {"input.w", "recurrent.w", "readout.w", "readout.b", "all"}
    for name in ("the same", "function"):
        for cosines, ratios in zip(recorder.cosines[name], recorder.ratios[name], strict=True):
            assert set(cosines) == blocks
            assert list(cosines.values()) == pytest.approx([1.0] * len(blocks))
            assert list(ratios.values()) == pytest.approx([1.0] * (len(blocks) - 1))
    # The readout's gradient is exact in every rule; that of hidden weights is not.
    for name in ("symmetric", "exact"):
        for row in recorder.cosines[name]:
            assert row["readout.w"] == pytest.approx(1.0, abs=1e-9)
            assert abs(row["input.w"]) < 0.9
    assert recorder.cosines["symmetric"][0] != recorder.cosines["symmetric"][2]
    # Computed anew at the final weights, by trainers of their own.
    own = trainer.gradient(trials[:4])
    exact = Trainer(net, EventProp(), dtype="float64").gradient(trials[:4])
    assert recorder.cosines["exact"][2]["input.w"] == pytest.approx(
        _cos(own["input.w"].ravel(), exact["input.w"].ravel())
    )
    assert any(np.any(before[name] != net.parameters[name]) for name in before)
    with pytest.raises(ValueError, match="nothing to compare with"):
        analysis.AlignmentRecorder({}, trials)
    opposite = analysis.AlignmentRecorder(
        {"same": lambda trainer, batch: trainer.gradient(batch)},
        trials[:4],
        own=lambda trainer, batch: {"input.w": -2 * trainer.gradient(batch)["input.w"]},
    )
    opposite.compare(trainer)
    assert opposite.cosines["same"][0]["input.w"] == pytest.approx(-1)
    assert opposite.ratios["same"][0] == {"input.w": pytest.approx(2)}


def test_gradient_of_the_task_alone():
    """That of the same rule without a rate term, with the feedback weights that have been learned."""
    trials = spike_trials(n_trials=4, n_steps=60)
    term = {"rate_target": 90 * Hz, "rate_strength": 1e-2}
    net = network()
    trainer = Trainer(net, EProp(feedback="adaptive", **term), optimizer=Adam(0.2), dtype="float64")
    trainer.fit(trials, epochs=4, batch_size=2, progress=False)
    alone = analysis.task_gradient(trainer, trials)
    assert analysis.alignment(trainer.gradient(trials), alone)["recurrent.w"] < 0.9
    # Without a term nothing is taken away, and the start's feedback is another one.
    plain = Trainer(net, EProp(feedback="adaptive"), dtype="float64")
    start = analysis.task_gradient(plain, trials)
    np.testing.assert_array_equal(start["input.w"], plain.gradient(trials)["input.w"])
    assert analysis.alignment(alone, start)["recurrent.w"] < 0.99
    for name, values in trainer.backend.parameters.items():
        np.copyto(plain.backend.parameters[name], values)
    for name, values in plain.gradient(trials).items():
        np.testing.assert_array_equal(alone[name], values)


def test_global_feedback_sends_nothing_for_a_softmax():
    """The errors of all outputs sum to zero, and so does what reaches the hidden neurons."""
    trials, net = spike_trials(n_trials=4, n_steps=60), network()
    net.parameters["readout.b"][:] = [0.3, 0.0, -0.2]
    sizes = {}
    for feedback in ("global", "random"):
        gradient = Trainer(net, EProp(feedback=feedback), dtype="float64").gradient(trials)
        sizes[feedback] = [np.linalg.norm(gradient[name]) for name in ("input.w", "recurrent.w")]
        assert np.linalg.norm(gradient["readout.w"]) > 1e-3
    assert min(sizes["random"]) > 1e-3
    assert max(sizes["global"]) < 1e-12


def test_recording_changes_no_bit_of_the_training():
    trials, results = spike_trials(n_trials=4, n_steps=60), []
    for recorded in (False, True):
        net = network()
        callbacks = [analysis.AlignmentRecorder({"r": EProp(feedback="random")}, trials)] * recorded
        trainer = Trainer(net, EProp(feedback="adaptive"), dtype="float64")
        trainer.fit(trials, epochs=2, batch_size=2, callbacks=callbacks, progress=False)
        results.append({name: w.copy() for name, w in net.parameters.items()})
    for name in results[0]:
        assert np.array_equal(results[0][name], results[1][name])


# -- credit -----------------------------------------------------------------------------------------


def test_credit_of_a_linear_neuron_is_the_closed_form():
    r"""``sum_t kappa^(T-t) psi alpha^(t-s)``: proportional to (kappa^n - alpha^n)/(kappa - alpha)."""
    net = network(LINEAR, recurrent=False)
    trainer = Trainer(net, EProp(), loss="cross_entropy_per_step", dtype="float64")
    lags = np.array([1, 2, 5, 10, 40, 80, 150])
    curve = analysis.credit_curve(trainer, lags * ms, n_trials=3)
    assert np.asarray(curve.lag / ms) == pytest.approx(lags)
    kappa, alpha = np.exp(-1 / 15), np.exp(-1 / 20)
    wanted = (kappa**lags - alpha**lags) / (kappa - alpha)
    assert curve.credit / curve.credit[3] == pytest.approx(wanted / wanted[3], rel=1e-9)


def test_adaptation_assigns_credit_further_back():
    """A trace of the threshold's time constant outlives one of the membrane's."""
    late = {}
    for model in (equations.LIF(), equations.ALIF(tau_a=500 * ms, beta=1.8)):
        trainer = Trainer(network(model, recurrent=False), EProp(), loss="cross_entropy_per_step")
        curve = analysis.credit_curve(trainer, [5, 250] * ms, rate=40 * Hz, n_trials=8)
        late[model.name] = curve.credit[1] / curve.credit[0]
    assert late["LIF"] < 1e-3
    assert late["ALIF"] > 20 * late["LIF"]


def test_bad_credit_curves_are_refused():
    net = network()
    with pytest.raises(ValueError, match="Only the last step"):
        analysis.credit_curve(Trainer(net, EProp()), [5] * ms)
    trainer = Trainer(net, EProp(), loss="cross_entropy_per_step")
    with pytest.raises(ValueError, match="40 lags for 30 input channels"):
        analysis.credit_curve(trainer, np.arange(1, 41) * ms)
    with pytest.raises(ValueError, match="not a multiple"):
        analysis.credit_curve(trainer, [5.5] * ms)
    silent = Trainer(network(scale=1e-9), EProp(), loss="cross_entropy_per_step")
    with pytest.raises(ValueError, match="no input spike gets any credit"):
        analysis.credit_curve(silent, [5] * ms, rate=0 * Hz)


# -- activity ---------------------------------------------------------------------------------------


def test_sparseness_of_known_counts():
    counts = np.array([[4, 0, 1, 0], [0, 0, 1, 0]])
    found = activity(counts, np.array([2.0, 2.0]))
    assert np.asarray(found.rates) == pytest.approx([1.0, 0, 0.5, 0])
    assert (found.spikes_per_trial, found.silent) == (3.0, 0.5)
    # Neuron 0 answers to one trial only: 1; neuron 2 to both alike: 0.
    assert found.sparseness == pytest.approx(0.5)
    # (1 - (5/4)^2/(17/4)) / (3/4), and 1 for the trial with one active neuron
    assert found.population_sparseness == pytest.approx(((1 - 25 / 68) / 0.75 + 1) / 2)
    assert np.isnan(activity(counts[:1], np.array([1.0])).sparseness)


def test_activity_of_a_network_counts_the_spikes_of_brian2():
    trials, net = spike_trials(n_trials=2, n_steps=120), network()
    found = analysis.network_activity(net, trials, dtype="float64")["hidden"]
    simulation = net.brian2(trials, record=("spikes",))
    simulation.run(net.trial_times(trials).duration, namespace={})
    count = np.bincount(simulation["hidden_spikes"].i[:], minlength=12)
    assert count.sum() > 20
    assert np.asarray(found.rates) == pytest.approx(count / 0.24)
    assert found.spikes_per_trial == count.sum() / 2
    histogram = analysis.rate_distribution(found.rates, bins=5)
    assert histogram.count.sum() == 12
    assert float(histogram.edges[-1]) == pytest.approx(count.max() / 0.24)
    with pytest.raises(ValueError, match="rates must be in hertz"):
        analysis.rate_distribution([1, 2])


def test_weights_are_counted_where_there_are_synapses():
    net = network()
    histogram = analysis.weight_distribution(net, "recurrent", bins=10)
    assert histogram.count.sum() == 12 * 11
    assert histogram.edges[0] == net.parameters["recurrent.w"][~np.eye(12, dtype=bool)].min()
    with pytest.raises(ValueError, match="no connection 'recurent'.*Did you mean 'recurrent'"):
        analysis.weight_distribution(net, "recurent")


# -- locality ---------------------------------------------------------------------------------------


def test_locality_of_every_rule():
    def needs(rule):
        return {name for name, flag in analysis.locality(rule)._asdict().items() if flag}

    local = {"pre_trace", "post_state"}
    assert needs(equations.PairSTDP()) == {"pre_trace"}
    assert needs(equations.TripletSTDP()) == {"pre_trace"}
    assert needs(equations.InhibitorySTDP()) == {"pre_trace"}
    assert needs(equations.RewardSTDP()) == {"pre_trace", "third_factor"}
    assert needs(equations.VoltageSTDP()) == local
    assert needs(EProp()) == local | {"neuron_error", "weight_transport"}
    assert needs(EProp(feedback="random")) == local | {"neuron_error"}
    assert needs(EProp(feedback="adaptive")) == local | {"neuron_error"}
    assert needs(EProp(feedback="global")) == local | {"third_factor"}
    assert {"backward_in_time", "other_synapses", "weight_transport"} < needs(EventProp())
    assert needs(BPTT()) == needs(EventProp())
    assert needs(equations.EqSpike()) == local | {
        "third_factor",
        "second_phase",
        "weight_transport",
    }
    post_only = PlasticityRule(equations="w : 1", on_post="w += 0.1")
    assert needs(post_only) == set()
    order = [analysis.locality(rule).n_non_local for rule in (equations.PairSTDP(), EProp())]
    assert order[0] < order[1] < analysis.locality(EventProp()).n_non_local


def test_locality_table_and_rules_of_ones_own():
    rules = {"pairs": equations.PairSTDP(), "e-prop": EProp()}
    lines = analysis.locality_table(rules).splitlines()
    assert lines[0].startswith("rule")
    assert lines[1].split() == ["pairs", "yes"]
    assert analysis.locality_table(rules, style="markdown").count("| yes") == 5

    class Mine:
        name = "test_mine"

    with pytest.raises(TypeError, match="the rule is a Mine, not a rule"):
        analysis.locality(Mine())
    with pytest.raises(ValueError, match="'pre' is not a column"):
        analysis.register_locality("test_mine", {"pre"})
    analysis.register_locality("test_mine", {"second_phase"})
    assert analysis.locality(Mine()).second_phase
    with pytest.raises(ValueError, match="style='html' is not known"):
        analysis.locality_table(rules, style="html")


def test_seconds_are_used_throughout():
    window = analysis.measured_window(pair_learning(1), n_shuffles=0)
    assert window.lag.dim is second.dim
