"""One training of the evidence accumulation task in NEST, as its own tutorial does it.

Same neurons, synapses, delays and settings as the e-prop example of NEST 3.10, without its
recorders: only the output of the recall period is recorded, for the loss.
"""

from __future__ import annotations

import os
import time

import numpy as np

os.environ.setdefault("PYNEST_QUIET", "1")
import nest

#: Steps from the spike generators to the error of the readout: generator, two delays, softmax.
OFFSET, RECALL = 4, 150


def _neurons(task, n_steps):
    """Parameters of the regular and the adaptive neurons, and of the readout."""
    v_th = task.neuron["v_th"]
    regular = {
        "C_m": 1.0,
        "c_reg": task.c_reg * RECALL,
        "E_L": 0.0,
        "f_target": task.f_target * 1e3,
        "flush_event_send_interval": float(n_steps),
        "I_e": 0.0,
        "regular_spike_arrival": True,
        "surrogate_gradient_function": "piecewise_linear",
        "surrogate_gradient_height": task.neuron["gamma"] / v_th,
        "surrogate_gradient_width": v_th,
        "t_ref": float(task.neuron["n_ref"]),
        "tau_m": -1.0 / np.log(task.neuron["alpha"]),
        "V_m": 0.0,
        "V_th": v_th,
    }
    adaptive = {
        **regular,
        "adapt_beta": float(task.neuron["beta"].max()),
        "adapt_tau": -1.0 / np.log(task.neuron["rho"]),
        "adaptation": 0.0,
    }
    readout = {
        "C_m": 1.0,
        "E_L": 0.0,
        "I_e": 0.0,
        "loss": "cross_entropy",
        "regular_spike_arrival": False,
        "tau_m": -1.0 / np.log(task.kappa),
        "V_m": 0.0,
    }
    return regular, adaptive, readout


class NestTraining:
    """The network of a `GoldenTask`, ready to train.

    Parameters
    ----------
    task : GoldenTask
        Of tests/reference/golden_runs.py, with its scales not absorbed.
    """

    def __init__(self, task):
        self.task = task
        _, self.batch, self.n_steps, n_in = task.spikes.shape
        n, n_out = task.W_rec.shape[0], task.W_out.shape[0]
        n_lif = int((task.neuron["beta"] == 0).sum())
        nest.ResetKernel()
        nest.verbosity = nest.VerbosityLevel.FATAL
        nest.set(
            resolution=1.0,
            total_num_virtual_procs=1,
            print_time=False,
            eprop_learning_window=float(RECALL),
            eprop_reset_neurons_on_update=True,
            eprop_update_interval=float(self.n_steps),
        )
        regular, adaptive, readout = _neurons(task, self.n_steps)
        self.generators = nest.Create("spike_generator", n_in)
        inputs = nest.Create("parrot_neuron", n_in)
        hidden = nest.Create("eprop_iaf_bsshslm_2020", n_lif, regular)
        hidden += nest.Create("eprop_iaf_adapt_bsshslm_2020", n - n_lif, adaptive)
        self.out = nest.Create("eprop_readout_bsshslm_2020", n_out, readout)
        self.targets = nest.Create("step_rate_generator", n_out)
        self.meter = nest.Create(
            "multimeter",
            {"interval": 1.0, "record_from": ["readout_signal"], "start": float(OFFSET)},
        )
        self.recorder = nest.Create("spike_recorder")
        optimizer = {
            "type": "adam",
            "batch_size": self.batch,
            "beta_1": task.beta_1,
            "beta_2": task.beta_2,
            "epsilon": task.epsilon["in"],
            "eta": task.eta["in"],
            "Wmin": -100.0,
            "Wmax": 100.0,
        }
        nest.SetDefaults(
            "eprop_synapse_bsshslm_2020", {"optimizer": optimizer, "average_gradient": True}
        )
        plastic = {
            "synapse_model": "eprop_synapse_bsshslm_2020",
            "delay": 1.0,
            "tau_m_readout": readout["tau_m"],
        }
        rate = {"synapse_model": "rate_connection_delayed", "delay": 1.0}
        back = {"synapse_model": "eprop_learning_signal_connection_bsshslm_2020", "delay": 1.0}
        static = {"synapse_model": "static_synapse", "delay": 1.0}
        every, pairs = {"rule": "all_to_all", "allow_autapses": False}, {"rule": "one_to_one"}
        for pre, post, rule, synapse in (
            (self.generators, inputs, pairs, static),
            (inputs, hidden, every, {**plastic, "weight": task.W_in}),
            (hidden, hidden, every, {**plastic, "weight": task.W_rec}),
            (hidden, self.out, every, {**plastic, "weight": task.W_out}),
            (self.out, hidden, every, {**back, "weight": task.B}),
            (self.targets, self.out, pairs, {**rate, "receptor_type": 2}),
            (self.out, self.out, every, {**rate, "receptor_type": 1, "weight": 1.0}),
            (hidden, self.recorder, every, static),
            (self.meter, self.out, every, static),
        ):
            nest.Connect(pre, post, rule, synapse)
        self.done, self.losses = 0, []

    def iterate(self) -> float:
        """Simulate one batch, whose update follows at its end; returns the seconds it took."""
        k, start = self.done, time.perf_counter()
        first = k * self.batch * self.n_steps
        # their neurons see the input of a step in the same step: one later than ours
        raster = np.zeros((self.batch, self.n_steps, len(self.generators)), bool)
        raster[:, 1:] = self.task.spikes[k][:, :-1]
        trial, step, channel = np.nonzero(raster)
        times = first + trial * self.n_steps + step + 1.0
        order = np.argsort(channel, kind="stable")
        edges = np.searchsorted(channel[order], np.arange(len(self.generators) + 1))
        self.generators.set(
            [{"spike_times": times[order[a:b]]} for a, b in zip(edges, edges[1:], strict=False)]
        )
        onsets = first + np.arange(self.batch) * float(self.n_steps) + OFFSET
        self.targets.set(
            [
                {"amplitude_times": onsets, "amplitude_values": values}
                for values in self.task.target[k][:, -1].T.astype(float)
            ]
        )
        nest.Simulate(float(OFFSET + 1))
        self._measure()
        nest.Simulate(float(self.batch * self.n_steps - OFFSET - 1))
        self.done += 1
        return time.perf_counter() - start

    def finish(self) -> list[float]:
        """The loss of every iteration, measured before its update."""
        nest.Simulate(float(OFFSET + 1))
        self._measure()
        return self.losses

    def _measure(self):
        if not self.done:
            return
        events = self.meter.get("events")
        output = np.array(
            [events["readout_signal"][events["senders"] == one] for one in self.out.tolist()]
        )
        # the meter starts with the first output and is emptied after every iteration
        n = self.batch * self.n_steps
        recall = output[:, :n].reshape(len(output), self.batch, self.n_steps)[:, :, -RECALL:]
        target = self.task.target[self.done - 1][:, -1].T[:, :, None]
        self.losses.append(float(-np.mean(np.sum(target * np.log(recall), axis=0))))
        rest = output.shape[1] - n
        assert rest == 0, rest
        self.meter.n_events = 0

    @property
    def n_spikes(self) -> int:
        """Hidden spikes since the beginning."""
        return int(self.recorder.n_events)
