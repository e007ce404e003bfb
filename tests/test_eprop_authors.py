"""The published losses of two e-prop tasks, digit by digit, by training with the package.

Tasks and numbers: tests/reference/golden_runs.py and tests/golden/eprop_losses.json.
"""

import json
from pathlib import Path

import numpy as np
import pytest
from brian2 import ms
from reference.golden_runs import absorb_scales, evidence_accumulation, sine_wave_regression

from neurosnn import equations
from neurosnn.data import SpikeTrials
from neurosnn.engine import Engine
from neurosnn.losses import CrossEntropyPerStep, MeanSquareError
from neurosnn.network import Input, Layer, Readout, SpikingNetwork
from neurosnn.rules.eprop import EProp
from neurosnn.rules.eprop.backend import OnlineBackend
from neurosnn.training import Trainer
from neurosnn.training.optimizers import SGD

GOLDEN = json.loads((Path(__file__).parent / "golden" / "eprop_losses.json").read_text())
BLOCKS = {"input.w": "in", "recurrent.w": "rec", "readout.w": "out"}


class TensorFlowAdam:
    """Adam as in TensorFlow and NEST: epsilon outside of the bias correction; an epsilon a block."""

    def __init__(self, task):
        self.task, self.learning_rate = task, task.eta["in"]

    def start(self, parameters):
        """State of the trainer's interface."""
        zeros = {
            f"{key}/{name}": np.zeros_like(w) for name, w in parameters.items() for key in "mv"
        }
        return {"k": np.zeros(()), **zeros}

    def update(self, parameters, gradient, state, learning_rate=None):
        """Step of the trainer's interface."""
        task = self.task
        state["k"] += 1
        k = int(state["k"])
        for name, w in parameters.items():
            m, v, block = state[f"m/{name}"], state[f"v/{name}"], BLOCKS[name]
            m[:] = task.beta_1 * m + (1 - task.beta_1) * gradient[name]
            v[:] = task.beta_2 * v + (1 - task.beta_2) * gradient[name] ** 2
            rate = task.eta[block] * np.sqrt(1 - task.beta_2**k) / (1 - task.beta_1**k)
            w -= rate * m / (np.sqrt(v) + task.epsilon[block])


def regression():
    task = absorb_scales(sine_wave_regression())
    model = equations.LIF(tau_m=30 * ms, v_th=0.03, t_ref=0 * ms, psi_at_spike=True)
    factors = {name: task.eta[block] / task.eta["in"] for name, block in BLOCKS.items()}
    optimizer = SGD(task.eta["in"], factors=factors)
    return task, model, MeanSquareError(reduction="sum"), optimizer, 30 * ms


def accumulation(batch_size):
    task = absorb_scales(evidence_accumulation(batch_size))
    model = equations.ALIF(
        tau_m=20 * ms,
        tau_a=2000 * ms,
        beta=task.neuron["beta"],
        v_th=0.6,
        t_ref=5 * ms,
        psi_at_spike=True,
    )
    return task, model, CrossEntropyPerStep(start=-150 * ms), TensorFlowAdam(task), 20 * ms


def losses(setting, n, backend):
    """The first losses, each measured before the update that follows it."""
    task, model, loss, optimizer, tau = setting
    n_out, n = len(task.W_out), min(n, len(task.spikes))
    net = SpikingNetwork(
        Input(task.W_in.shape[1]),
        Layer(model, len(task.W_rec), recurrent=True),
        Readout(n_out, tau=tau, bias=False),
    )
    weights = {"input.w": task.W_in.T, "recurrent.w": task.W_rec.T, "readout.w": task.W_out.T}
    net.set_parameters(weights)
    # Rates per step become rates in Hz: strength per Hz^2.
    rule = EProp(feedback="random", rate_strength=task.c_reg * 1e-6, rate_target=task.f_target / ms)
    runner = backend(net, rule, loss)
    kept = runner if isinstance(runner, OnlineBackend) else runner.backward
    kept.feedback["hidden"] = task.B
    trainer = Trainer(net, rule, optimizer=optimizer, loss=loss, backend=runner)
    found = []
    for k in range(n):
        batch = _trials(task.spikes[k], np.argmax(task.target[k, :, -1], axis=1))
        target = task.target[k] if loss.follows_signal else None
        last = k == n - 1
        found.append(
            runner.run(batch, target).loss if last else trainer.step(batch, target)["loss"]
        )
    return found


def _trials(rasters, labels):
    spikes = [np.nonzero(one) for one in rasters]
    return SpikeTrials(
        times=np.concatenate([step for step, _ in spikes]) * 1e-3,
        units=np.concatenate([unit for _, unit in spikes]).astype(np.int32),
        offsets=np.cumsum([0, *(len(step) for step, _ in spikes)]),
        labels=labels,
        n_channels=rasters.shape[2],
        duration=rasters.shape[1] * ms,
    )


def engine(net, rule, loss):
    return Engine(net, rule, loss, dtype="float64")


@pytest.mark.parametrize(("backend", "n"), [(engine, 5), (OnlineBackend, 2)])
def test_sine_wave_regression(backend, n):
    found = losses(regression(), n, backend)
    golden = GOLDEN["sine_wave_regression"]
    np.testing.assert_allclose(found, golden["tensorflow"][:n], rtol=1e-5)
    np.testing.assert_allclose(found, golden["nest"][:n], rtol=1e-10)


@pytest.mark.parametrize(("backend", "n"), [(engine, 5), (OnlineBackend, 2)])
def test_evidence_accumulation(backend, n):
    found = losses(accumulation(1), n, backend)
    golden = GOLDEN["evidence_accumulation_batch_1"]
    np.testing.assert_allclose(found, golden["tensorflow"][:n], rtol=1e-5)
    np.testing.assert_allclose(found, golden["nest"][:n], rtol=1e-10)


def test_evidence_accumulation_in_batches():
    found = losses(accumulation(2), 5, engine)
    np.testing.assert_allclose(found, GOLDEN["evidence_accumulation_batch_2"]["nest"], rtol=1e-10)
