"""Tests of the numpy references: they must be right before anything is compared with them."""

import json
from pathlib import Path

import numpy as np
import pytest
from reference.adjoint_numpy import bptt, eprop_factored
from reference.eprop_numpy import INPUT, Layer, Network, Projection, eprop, feedback_of, rate_error
from reference.golden_runs import evidence_accumulation, sine_wave_regression, train
from reference.network_numpy import forward, loss_and_error
from reference.windows_numpy import (
    MODELS,
    isolated_pairing,
    single_synapse,
    stdp_lif_from_rest,
    window,
)

GOLDEN = Path(__file__).parent / "golden"
LOSSES = json.loads((GOLDEN / "eprop_losses.json").read_text())
ORACLES = json.loads((GOLDEN / "stdp_oracles.json").read_text())
ALL_MODELS = (*MODELS, "izhikevich")
N_STEPS, N_IN, N, N_OUT = 60, 6, 5, 3


def make_layer(model):
    """Five neurons, with every constant away from its default."""
    if model == "izhikevich":
        return Layer(N, model, gamma=0.3, dt=0.5)
    return Layer(
        N,
        model,
        alpha=0.9,
        rho=0.95,
        beta=0.2,
        n_ref=3,
        psi_prefactor=1.3,
        v_th=1.2,
        psi_at_spike=model != "alif",
    )


def make_problem(*models, recurrent=False, delay=0, seed=0):
    """Random feed-forward or recurrent chain of layers with a trial to learn."""
    rng = np.random.default_rng(seed)
    projections, source, n_pre = [], INPUT, N_IN
    for r, model in enumerate(models):
        strength = 20.0 if model == "izhikevich" else 0.4
        projections.append(Projection(source, r, strength * rng.random((N, n_pre)), delay=delay))
        if recurrent:
            strength = 1.0 if model == "izhikevich" else 0.3
            weights = strength * rng.standard_normal((N, N))
            projections.append(Projection(r, r, weights, delay=rng.integers(0, 4, (N, N))))
        source, n_pre = r, N
    W_out = [rng.standard_normal((N_OUT, N)) for _ in models]
    net = Network([make_layer(m) for m in models], projections, W_out, 0.8, np.full(N_OUT, 0.1))
    inputs = (rng.random((N_STEPS, N_IN)) < 0.4).astype(float)
    trial = {
        "target": np.tile(np.eye(N_OUT)[1], (N_STEPS, 1)),
        "loss": "cross_entropy",
        "weight": rng.random(N_STEPS),
    }
    return net, inputs, trial


def relative(found, expected):
    """Largest difference between two lists of arrays, relative to the largest entry."""
    scale = max(np.abs(x).max() for x in expected)
    assert scale > 0
    return max(np.abs(x - y).max() for x, y in zip(found, expected, strict=True)) / scale


def test_two_spikes_by_hand():
    """ALIF neuron with input spikes at steps 0 and 1; every number worked out on paper."""
    layer = Layer(1, "alif", alpha=0.5, rho=0.9, beta=0.5, psi_at_spike=False)
    net = Network([layer], [Projection(INPUT, 0, np.array([[0.8]]))], [np.array([[2.0]])], 0.5)
    inputs = np.array([[1.0], [1.0], [0.0], [0.0]])
    g, rec, (trace,) = eprop(
        net, inputs, np.zeros((4, 1)), feedback=[np.array([[3.0]])], with_traces=True
    )
    assert rec.v[0].ravel() == pytest.approx([0, 0.8, 1.2, -0.4])
    assert rec.z[0].ravel() == pytest.approx([0, 0, 1, 0])
    assert rec.second[0].ravel() == pytest.approx([0, 0, 0, 1])
    assert rec.psi[0].ravel() == pytest.approx([0, 0.24, 0.24, 0])
    assert trace.eps_v.ravel() == pytest.approx([0, 1, 1.5, 0.75])
    assert trace.eps_2.ravel() == pytest.approx([0, 0, 0.24, 0.5472])
    assert trace.e.ravel() == pytest.approx([0, 0.24, 0.3312, 0])
    assert trace.ebar.ravel() == pytest.approx([0, 0.24, 0.4512, 0.2256])
    assert rec.y.ravel() == pytest.approx([0, 0, 2, 1])
    assert g.loss == pytest.approx(2.5)
    assert g.W[0].item() == pytest.approx(6 * 0.4512 + 3 * 0.2256)
    assert g.W_out[0].item() == pytest.approx(2.5)
    assert g.b_unfiltered.item() == pytest.approx(3.0)


def test_izhikevich_by_hand():
    """A spike at step 0, its reset, and the eligibility vector of an input of step 0."""
    layer = Layer(1, "izhikevich")
    net = Network([layer], [Projection(INPUT, 0, np.zeros((1, 1)))], [np.ones((1, 1))], 0.5)
    inputs, drive = np.array([[1.0], [0.0], [0.0]]), np.array([[120.0], [0.0], [0.0]])
    _, rec, (trace,) = eprop(
        net,
        inputs,
        np.zeros((3, 1)),
        feedback=[np.ones((1, 1))],
        currents=[drive],
        with_traces=True,
    )
    assert rec.z[0].ravel().tolist() == [1, 0, 0]
    assert rec.v[0][:2].ravel() == pytest.approx([39, -82.74])
    assert rec.second[0][:2].ravel() == pytest.approx([-0.26, 1.4452])
    assert rec.psi[0][:2].ravel() == pytest.approx([0.3, 0.3 * np.exp(-112.74 / 30)])
    assert trace.eps_v.ravel() == pytest.approx([0, 1, 6 - 0.08 * 82.74])
    assert trace.eps_2.ravel() == pytest.approx([0, 0, 0.004])


def test_refractory_rules():
    """Blocked steps and the steps with a special psi, for both conventions."""
    drive = [np.full((12, 1), 5.0)]
    for at_spike, special in ((True, [0, 1, 2, 3]), (False, [1, 2, 3])):
        layer = Layer(1, "lif", n_ref=4, psi_ref=-7.0, psi_at_spike=at_spike)
        net = Network([layer], [], [np.ones((1, 1))], 0.5)
        rec = forward(net, np.zeros((12, 1)), drive)
        assert np.flatnonzero(rec.z[0]).tolist() == [0, 4, 8]
        assert np.flatnonzero(rec.psi[0][:4] == -7.0).tolist() == special


def test_delay_and_self_connection():
    """A spike of step t arrives at t + 1 + delay, and never at its own neuron."""
    layer, raster = Layer(2, "lif"), np.zeros((8, 2))
    raster[1] = 1.0
    p = Projection(INPUT, 0, np.ones((2, 2)), delay=np.array([[0, 1], [2, 3]]))
    rec = forward(Network([layer], [p], [np.ones((1, 2))], 0.5), raster)
    assert rec.v[0][:4, 0] == pytest.approx([0, 0, 1, 0.95 - 1 + 1])
    assert np.flatnonzero(rec.v[0][:, 1])[0] == 4
    assert np.diag(Projection(0, 0, np.ones((2, 2))).W).tolist() == [0, 0]


@pytest.mark.parametrize("recurrent", [False, True])
@pytest.mark.parametrize("models", [*[(m,) for m in ALL_MODELS], ("alif", "stdp_alif")])
def test_factored_equals_online(models, recurrent):
    net, inputs, trial = make_problem(*models, recurrent=recurrent, delay=1)
    trial.update(
        feedback=feedback_of(net, "random", np.random.default_rng(5)), c_reg=0.5, f_target=0.05
    )
    for reg in ("trial", "running"):
        online, rec, _ = eprop(net, inputs, **trial, reg=reg)
        factored, _ = eprop_factored(net, inputs, **trial, reg=reg)
        assert all(z.sum() > 3 for z in rec.z)
        assert relative(factored.W, online.W) < 1e-12
        assert relative(factored.W_reg, online.W_reg) < 1e-12


@pytest.mark.parametrize("model", ALL_MODELS)
def test_eprop_is_exact_only_without_paths_between_neurons(model):
    """Symmetric e-prop equals BPTT in one feed-forward layer, not beyond."""

    def difference(*models, **kwargs):
        net, inputs, trial = make_problem(*models, **kwargs)
        online, *_ = eprop(net, inputs, **trial, feedback=feedback_of(net))
        return relative(online.W, bptt(net, inputs, **trial)[0].W)

    assert difference(model) < 1e-12
    assert difference(model, recurrent=True) > 1e-3
    assert difference(model, model) > 1e-3


@pytest.mark.parametrize("bias_inside", [True, False])
@pytest.mark.parametrize("loss", ["cross_entropy", "mse"])
@pytest.mark.parametrize("model", ALL_MODELS)
def test_bptt_against_finite_differences(model, loss, bias_inside):
    """Exact gradient of the network whose spikes are replaced by the integral of psi."""
    chain, recurrent = (model,) if model == "izhikevich" else (model, model), model != "izhikevich"
    net, inputs, trial = make_problem(*chain, recurrent=recurrent, delay=1)
    net.bias_inside, trial["loss"] = bias_inside, loss
    frozen = forward(net, inputs).z
    g, _ = bptt(net, inputs, **trial, frozen=frozen)

    def value():
        y = forward(net, inputs, frozen=frozen).y
        return loss_and_error(y, trial["target"], loss, trial["weight"])[0]

    pairs = [(p.W, G, p.mask) for p, G in zip(net.projections, g.W, strict=True)]
    pairs += [(W, G, np.ones(W.shape)) for W, G in zip(net.W_out, g.W_out, strict=True)]
    pairs += [(net.b, g.b, np.ones(N_OUT))]
    rng = np.random.default_rng(1)
    for W, G, mask in pairs:
        assert np.abs(G).max() > 0
        for index in rng.permutation(np.argwhere(mask))[:3]:
            at, step = tuple(index), 1e-6 * max(1.0, abs(W[tuple(index)]))
            before, values = W[at], []
            for sign in (1, -1):
                W[at] = before + sign * step
                values.append(value())
            W[at] = before
            slope = (values[0] - values[1]) / (2 * step)
            assert slope == pytest.approx(G[at], abs=1e-5 * np.abs(G).max())


def test_rate_regularization():
    z = np.array([[0.0], [1.0], [0.0], [1.0]])
    assert rate_error(z, 0.25, 2.0, "trial").ravel() == pytest.approx([0.125] * 4)
    running = 2.0 * (np.array([0, 1 / 2, 1 / 3, 1 / 2]) - 0.25)
    assert rate_error(z, 0.25, 2.0, "running").ravel() == pytest.approx(running)
    net, inputs, trial = make_problem("lif")
    online, rec, _ = eprop(
        net,
        inputs,
        **trial,
        feedback=feedback_of(net),
        c_reg=2.0,
        f_target=0.25,
        reg="postsynaptic",
    )
    per_neuron = rate_error(rec.z[0], 0.25, 2.0, "postsynaptic").sum(axis=0)
    np.testing.assert_allclose(online.W_reg[0], np.tile(per_neuron[:, None], N_IN))


def test_izhikevich_clip():
    net, inputs, trial = make_problem("izhikevich")
    net.layers[0].clip_v, net.layers[0].clip_u = 0.3, 0.005
    _, _, (trace,) = eprop(net, inputs, **trial, feedback=feedback_of(net), with_traces=True)
    assert np.abs(trace.eps_v).max() == 0.3
    assert np.abs(trace.eps_2).max() <= 0.005
    with pytest.raises(ValueError, match="clipped"):
        eprop_factored(net, inputs, **trial, feedback=feedback_of(net))


@pytest.mark.parametrize("model", MODELS)
def test_window_table(model):
    table = ORACLES["isolated_pairing"]
    np.testing.assert_allclose(window(table["lags"], model), table[model], rtol=0, atol=1e-3)


def test_window_from_rest():
    lags = range(-8, 12)
    closed = [stdp_lif_from_rest(lag) for lag in lags]
    np.testing.assert_allclose(window(lags, "stdp_lif", v0=0.0), closed, rtol=0, atol=1e-12)
    np.testing.assert_allclose(window(lags, "lif", v0=0.0), 0.0, rtol=0, atol=1e-12)
    table = ORACLES["isolated_pairing_from_rest"]
    found = window(table["lags"], "stdp_alif", v0=0.0)
    np.testing.assert_allclose(found, table["stdp_alif"], rtol=0, atol=6e-4)


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize("lag", [4, 1, 0, -1, -4, -7])
def test_window_equals_network(model, lag):
    """The window code and the network code were written separately and must agree."""
    t_post, n_steps = 800, 1600
    current, raster = np.full((n_steps, 1), 0.05 * 0.6), np.zeros((n_steps, 1))
    current[t_post] += 1.0
    raster[t_post - lag] = 1.0
    layer = Layer(1, model, alpha=0.95, rho=0.99, beta=0.2, n_ref=5)
    net = Network([layer], [Projection(INPUT, 0, np.zeros((1, 1)))], [np.ones((1, 1))], 0.0)
    _, rec, (trace,) = eprop(
        net,
        raster,
        np.zeros((n_steps, 1)),
        feedback=[np.zeros((1, 1))],
        currents=[current],
        with_traces=True,
    )
    assert np.flatnonzero(rec.z[0]).tolist() == [t_post]
    assert trace.e.sum() == pytest.approx(isolated_pairing(lag, model, n_after=750), abs=1e-8)


@pytest.mark.parametrize("row", ["alif", "stdp_alif", "stdp_alif_positive"])
def test_single_synapse(row):
    expected = ORACLES["single_synapse"][row]
    run = single_synapse(row != "alif", expected["psi_ref"])
    assert (run.post, run.pre) == (expected["post"], expected["pre"])
    assert run.dW.argmax() == expected["t_max"]
    found = [run.dW[134], run.dW.max(), run.dW[299]]
    assert np.round(found, 4).tolist() == [expected[k] for k in ("dW_134", "dW_max", "dW_299")]


@pytest.mark.parametrize(
    ("name", "task"),
    [
        ("sine_wave_regression", sine_wave_regression),
        ("evidence_accumulation_batch_1", evidence_accumulation),
        ("evidence_accumulation_batch_2", lambda: evidence_accumulation(batch_size=2)),
    ],
)
def test_published_losses(name, task):
    published, (losses, _) = LOSSES[name], train(task())
    np.testing.assert_allclose(losses, published["nest"], rtol=1e-10)
    if "tensorflow" in published:
        np.testing.assert_allclose(losses, published["tensorflow"], rtol=1e-6)


def test_published_losses_online():
    """The per-synapse form trains like the factored one."""
    losses, _ = train(sine_wave_regression(n_iter=2), gradient=eprop)
    published = LOSSES["sine_wave_regression"]["nest"][:2]
    np.testing.assert_allclose(losses, published, rtol=1e-10)
