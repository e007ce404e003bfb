"""The two e-prop tasks whose losses were published digit by digit, rebuilt in numpy.

Sine-wave regression (LIF) and evidence accumulation (LIF and ALIF) as set up by Bellec et al. 2020
and re-run by NEST's test suite; ``tests/golden/eprop_losses.json`` holds the numbers and where they
come from.  The order of the random draws, the constants and the update schedule are theirs; the
arrays follow this project's timing (see `network_numpy`).

What decides the digits:

* Their input of step t is in ``v^t``; here a spike of row t is in ``v^{t+1}``, so the rasters are
  shifted one step earlier.  Nothing is lost: their row 0 is empty.
* Every trial starts from zero state, and recurrent spikes of the last step do not reach the next
  trial.
* Refractory neurons (evidence accumulation) have psi = 0 after, but not at, their spike; psi has
  the factor 1/v_th.
* The regularization uses the mean rate of each trial and the same eligibility trace as the task.
* Regression adds ``(1 - alpha) W x`` to v; both tasks add ``(1 - kappa) W_out z`` to y and filter
  the eligibility trace with ``(1 - kappa)``; `absorb_scales` moves these factors into the weights.
* The loss number k is measured before update k.
"""

from dataclasses import dataclass, field, replace

import numpy as np

from .adjoint_numpy import eprop_factored
from .network_numpy import INPUT, Layer, Network, Projection


@dataclass
class GoldenTask:
    """Everything a training run needs, as plain arrays and numbers.

    Attributes
    ----------
    spikes : (n_iter, batch, T, n_in) uint8 array
        Input rasters; one weight update follows each of the `n_iter` batches.
    target : (n_iter, batch, T, n_out) array
    weight : (T,) array
        Weight of each step in the loss.
    W_in, W_rec, W_out : arrays (post, pre)
    B : (n_rec, n_out) array
        Fixed feedback.
    loss : {"mse", "cross_entropy"}
    neuron : dict
        Arguments of `network_numpy.Layer`; `beta` is an array, 0 for the LIF neurons.
    kappa : float
    input_scale, readout_scale : float
        Factor of `W_in` and `W_rec` in v, and of `W_out` in y (and of `B`, which stands for the
        factor of the filtered eligibility trace).
    c_reg, f_target : float
        "trial" regularization of `eprop_numpy.rate_error`; rate in spikes per step.
    optimizer : {"sgd", "adam"}
    eta, epsilon : dict
        Learning rate and Adam epsilon for "in", "rec" and "out".
    beta_1, beta_2 : float
        Adam's decays.
    """

    spikes: np.ndarray
    target: np.ndarray
    weight: np.ndarray
    W_in: np.ndarray
    W_rec: np.ndarray
    W_out: np.ndarray
    B: np.ndarray
    loss: str
    neuron: dict
    kappa: float
    input_scale: float
    readout_scale: float
    c_reg: float
    f_target: float
    optimizer: str
    eta: dict
    epsilon: dict = field(default_factory=lambda: {"in": 1e-8, "rec": 1e-8, "out": 1e-8})
    beta_1: float = 0.9
    beta_2: float = 0.999


def _single(x):
    """Round to the single precision in which the original weights were stored."""
    return np.asarray(x, dtype=np.float32).astype(float)


def _gaussian(rng, n_pre, n_post):
    """Weights (post, pre), normal with variance 1/n_pre, drawn presynaptic neuron by neuron."""
    return _single(rng.randn(n_pre, n_post).T / np.sqrt(n_pre))


def _one_step_earlier(raster):
    """Shift (..., T, n) by one step, see the module docstring."""
    shifted = np.zeros(raster.shape, dtype=np.uint8)
    shifted[..., :-1, :] = raster[..., 1:, :]
    return shifted


def _same(value):
    return {"in": value, "rec": value, "out": value}


def sine_wave_regression(n_iter=5, seed=1):
    """Learn a sum of four sines from frozen noise: 100 inputs, 100 LIF neurons, 1 readout."""
    rng = np.random.RandomState(seed)
    n, n_steps, periods = 100, 1000, (1000, 500, 333, 200)
    W_in, W_rec = _gaussian(rng, n, n), _gaussian(rng, n, n)
    np.fill_diagonal(W_rec, 0.0)
    W_out = _gaussian(rng, n, 1)
    B = _single(rng.randn(n, 1) / np.sqrt(n))

    raster = _one_step_earlier(rng.rand(n_steps, n) < 0.05)
    amplitudes = rng.uniform(0.5, 2.0, len(periods))
    phases = rng.uniform(0.0, 2.0 * np.pi, len(periods))
    signal = np.zeros(n_steps)
    for amplitude, phase, period in zip(amplitudes, phases, periods, strict=True):
        # Whole cycles per trial, hence the integer division (333 does not divide 1000).
        end = phase + 2.0 * np.pi * (n_steps // period)
        signal += amplitude * np.sin(np.linspace(phase, end, n_steps))
    signal -= signal[0]
    signal /= np.abs(signal).max()

    decay, v_th = np.exp(-1.0 / 30.0), 0.03
    neuron = {
        "model": "lif",
        "alpha": decay,
        "v_th": v_th,
        "gamma": 0.3,
        "n_ref": 0,
        "psi_at_spike": False,
        "psi_prefactor": 1.0 / v_th,
    }
    return GoldenTask(
        spikes=np.tile(raster, (n_iter, 1, 1, 1)),
        target=np.tile(signal[:, None], (n_iter, 1, 1, 1)),
        weight=np.ones(n_steps),
        W_in=W_in,
        W_rec=W_rec,
        W_out=W_out,
        B=B,
        loss="mse",
        neuron=neuron,
        kappa=decay,
        input_scale=1.0 - decay,
        readout_scale=1.0 - decay,
        c_reg=300.0,
        f_target=0.01,
        optimizer="sgd",
        eta=_same(1e-4),
    )


def _cue_trials(rng, batch_size, n_in=40, n_cues=7):
    """Rasters (batch, T, n_in) and labels of one batch of evidence accumulation.

    Ten neurons each for left cues, right cues, recall and background; cues of 100 ms after pauses
    of 50 ms, 1050 ms of delay, 150 ms of recall.
    """
    n_steps, recall, group, p = n_cues * 150 + 1050 + 150, 150, n_in // 4, 0.04
    p_left = np.where(rng.choice([0, 1], batch_size) == 0, 0.3, 0.7)
    sides = np.array([rng.choice([0, 1], n_cues, p=[q, 1.0 - q]) for q in p_left])
    probability = np.zeros((batch_size, n_steps, n_in))
    for trial in range(batch_size):
        for cue, side in enumerate(sides[trial]):
            onset = 150 * cue + 50
            probability[trial, onset : onset + 100, side * group : (side + 1) * group] = p
    probability[:, -recall:, 2 * group : 3 * group] = p
    probability[:, :, 3 * group :] = p / 4.0
    spikes = probability > rng.rand(probability.size).reshape(probability.shape)
    return spikes, (sides.sum(axis=1) > n_cues // 2).astype(int)


def evidence_accumulation(batch_size=1, n_iter=5, seed=1):
    """Tell which side had more cues: 40 inputs, 50 LIF and 50 ALIF neurons, 2 readouts."""
    rng = np.random.RandomState(seed)
    n_in, n, n_out, recall = 40, 100, 2, 150
    W_in, W_rec = _gaussian(rng, n_in, n), _gaussian(rng, n, n)
    np.fill_diagonal(W_rec, 0.0)
    limit = np.sqrt(3.0 / ((n + n_out) / 2.0))
    W_out = _single(rng.uniform(-limit, limit, (n, n_out)).T)
    B = _single(rng.randn(n, n_out))

    batches = [_cue_trials(rng, batch_size, n_in) for _ in range(n_iter)]
    spikes = _one_step_earlier(np.array([raster for raster, _ in batches]))
    labels = np.array([label for _, label in batches])
    n_steps = spikes.shape[2]
    target = np.repeat(np.eye(n_out)[labels][:, :, None, :], n_steps, axis=2)
    weight = np.zeros(n_steps)
    weight[-recall:] = 1.0 / recall

    decay, rho, v_th = np.exp(-1.0 / 20.0), np.exp(-1.0 / 2000.0), 0.6
    beta = np.zeros(n)
    beta[n // 2 :] = 1.7 * (1.0 - rho) / (1.0 - decay)
    neuron = {
        "model": "alif",
        "alpha": decay,
        "rho": rho,
        "beta": beta,
        "v_th": v_th,
        "gamma": 0.3,
        "n_ref": 5,
        "psi_at_spike": False,
        "psi_prefactor": 1.0 / v_th,
    }
    # Their gradient, regularization (300) included, is divided by the length of the recall.
    return GoldenTask(
        spikes=spikes,
        target=target,
        weight=weight,
        W_in=W_in,
        W_rec=W_rec,
        W_out=W_out,
        B=B,
        loss="cross_entropy",
        neuron=neuron,
        kappa=decay,
        input_scale=1.0,
        readout_scale=1.0 - decay,
        c_reg=300.0 / recall,
        f_target=0.01,
        optimizer="adam",
        eta=_same(5e-3),
    )


def absorb_scales(task):
    """The same task with both scales 1: weights, feedback and optimizer rescaled to match.

    If ``W' = s W`` enters the equations without its factor s, the gradient with respect to W' is
    1/s of that of W, and the step has to be s times that of W: eta grows with ``s^2`` for plain
    gradient descent, with ``s`` for Adam, whose epsilon shrinks with ``1/s``.
    """
    s = {"in": task.input_scale, "rec": task.input_scale, "out": task.readout_scale}
    power = 2 if task.optimizer == "sgd" else 1
    return replace(
        task,
        W_in=s["in"] * task.W_in,
        W_rec=s["rec"] * task.W_rec,
        W_out=s["out"] * task.W_out,
        B=s["out"] * task.B,
        input_scale=1.0,
        readout_scale=1.0,
        eta={k: task.eta[k] * s[k] ** power for k in s},
        epsilon={k: task.epsilon[k] / s[k] for k in s},
    )


def network(task, W):
    """`Network` of a task without scales, with the weights of the dict `W`."""
    layer = Layer(len(task.W_rec), **task.neuron)
    projections = [Projection(INPUT, 0, W["in"]), Projection(0, 0, W["rec"])]
    return Network([layer], projections, [W["out"]], task.kappa)


def train(task, gradient=eprop_factored):
    """Train with e-prop and return the loss before each update and the final weights.

    Parameters
    ----------
    task : GoldenTask
    gradient : callable
        `eprop_factored`, or `eprop_numpy.eprop` for the slower online form.

    Returns
    -------
    losses : (n_iter,) array
    W : dict
        Final weights "in", "rec" and "out" of the task after `absorb_scales`.
    """
    task = absorb_scales(task)
    W = {"in": task.W_in.copy(), "rec": task.W_rec.copy(), "out": task.W_out.copy()}
    m, v = ({k: np.zeros_like(x) for k, x in W.items()} for _ in range(2))
    losses = []
    for k, (batch, targets) in enumerate(zip(task.spikes, task.target, strict=True), start=1):
        G, loss = {name: np.zeros_like(x) for name, x in W.items()}, 0.0
        for x, y in zip(batch, targets, strict=True):
            g = gradient(
                network(task, W),
                x,
                y,
                feedback=[task.B],
                loss=task.loss,
                weight=task.weight,
                c_reg=task.c_reg,
                f_target=task.f_target,
            )[0]
            loss += g.loss / len(batch)
            for name, part in zip(
                G, (g.W[0] + g.W_reg[0], g.W[1] + g.W_reg[1], g.W_out[0]), strict=True
            ):
                G[name] += part / len(batch)
        losses.append(loss)
        for name in W:
            if task.optimizer == "sgd":
                W[name] -= task.eta[name] * G[name]
                continue
            m[name] = task.beta_1 * m[name] + (1.0 - task.beta_1) * G[name]
            v[name] = task.beta_2 * v[name] + (1.0 - task.beta_2) * G[name] ** 2
            step = task.eta[name] * np.sqrt(1.0 - task.beta_2**k) / (1.0 - task.beta_1**k)
            W[name] -= step * m[name] / (np.sqrt(v[name]) + task.epsilon[name])
    return np.array(losses), W
