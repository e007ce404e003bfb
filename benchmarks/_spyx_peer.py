"""The CurrentLIF network of `gpu.py` in Spyx (JAX): surrogate BPTT, compiled by XLA.

Spyx's own neurons (RCuBaLIF, LI) with our time constants and our weights, scaled as its equations want
them. The neuron resets by subtraction and its surrogate is another one, so neither spikes nor gradient
are ours; the spikes are counted. All trials stay on the device, the input projection of all steps is one
product, and an update with optax's Adam is one compiled function.
"""

from __future__ import annotations

import math
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import optax
import spyx.nn as snn
from flax import nnx


class Hidden(nnx.Module):
    """Input projection, recurrent neurons, projection to the readout."""

    def __init__(self, net, rngs):
        def decays(model):
            p = model.parameters
            slow, fast = math.exp(-net.dt / p["tau_m"]), math.exp(-net.dt / p["tau_s"])
            return slow, fast, float(p["tau_s"] / (p["tau_s"] - p["tau_m"])) * (fast - slow)

        slow, fast, drive = decays(net.layers[0].model)
        n = net.layers[0].n
        # ours drives the voltage with drive * current, theirs with the current itself
        w = {key: np.asarray(value, np.float32) for key, value in net.parameters.items()}
        self.w_in = nnx.Param(jnp.asarray(drive * w["input.w"]))
        self.neurons = snn.RCuBaLIF((n,), alpha=fast, beta=slow, rngs=rngs)
        self.neurons.recurrent_w = nnx.Param(jnp.asarray(drive * w["recurrent.w"]))
        slow, fast, _ = decays(net.readout.model)
        self.w_out = nnx.Param(jnp.asarray(w["readout.w"]))
        self.readout = snn.LI((net.readout.n,), beta=slow, rngs=rngs)

    def __call__(self, x):
        """Mean output of each trial and number of spikes, for x (n_steps, n, n_channels)."""
        spikes, _ = snn.run(self.neurons, x @ self.w_in[...])
        out, _ = snn.run(self.readout, spikes @ self.w_out[...])
        return out.mean(0), spikes.sum()


class SpyxNetwork:
    """Updates of a network with the weights of a SpikingNetwork, one batch after another.

    Parameters
    ----------
    net : SpikingNetwork
        One recurrent layer of CurrentLIF, CurrentReadout.
    raster : ndarray of uint8 (n, n_steps, n_channels)
        Input spikes of all trials.
    labels : ndarray (n,)
    learning_rate : float
    """

    def __init__(self, net, raster, labels, *, learning_rate=1e-6):
        self.raster, self.labels = jnp.asarray(raster), jnp.asarray(labels)
        # a plain jitted function of arrays: nnx's own jit walks through the modules at every call
        modules, state = nnx.split(Hidden(net, nnx.Rngs(0)), nnx.Param)
        # numbers of Python are weakly typed, which would compile the update three times
        self.state = jax.tree.map(lambda value: jnp.asarray(np.asarray(value)), state)
        optimizer = optax.adam(learning_rate)
        self.moments = optimizer.init(self.state)

        def loss_of(state, x, labels):
            scores, spikes = nnx.merge(modules, state)(x)
            losses = optax.softmax_cross_entropy_with_integer_labels(scores, labels)
            return losses.mean(), spikes

        @partial(jax.jit, donate_argnums=(0, 1))
        def update(state, moments, raster, labels, chosen):
            x = jnp.swapaxes(raster[chosen], 0, 1).astype(jnp.float32)
            value = jax.value_and_grad(loss_of, has_aux=True)
            results, gradient = value(state, x, labels[chosen])
            steps, moments = optimizer.update(gradient, moments, state)
            return optax.apply_updates(state, steps), moments, results

        self._update = update

    def update(self, chosen):
        """One update with these trials: loss and spikes, on the device."""
        self.state, self.moments, results = self._update(
            self.state, self.moments, self.raster, self.labels, chosen
        )
        return results

    @staticmethod
    def wait(results):
        """Until everything has been computed."""
        jax.block_until_ready(results)
