"""Export every named model and rule as a C++ and as a CUDA project, for a machine with a GPU.

    python tools/gpu_projects.py FOLDER [--arch sm_90] [--only NAME ...]

Needs the extra ``cuda`` and no GPU. FOLDER gets cpp/NAME and cuda/NAME for each of the networks below;
``tools/gpu_check_exports.py`` builds, runs and compares them where the GPU is.
"""

import argparse
from pathlib import Path

import numpy as np
from brian2 import Network, SpikeGeneratorGroup, SpikeMonitor, StateMonitor, TimedArray, ms

from neurosnn import (
    SGD,
    Adam,
    EProp,
    Input,
    Layer,
    Readout,
    SpikingNetwork,
    equations,
    export,
)
from neurosnn.data import FrameTrials, SpikeTrials
from neurosnn.losses import MeanSquareError
from neurosnn.rules.equilibrium import EquilibriumNetwork

N_IN, N, N_STEPS = 30, 12, 150


def trials(n_trials, seed=0, rate=0.1):
    """Labelled trials of random spikes."""
    raster = np.random.default_rng(seed).random((n_trials, N_STEPS, N_IN)) < rate
    trial, step, channel = np.nonzero(raster)
    return SpikeTrials(
        times=step * ms,
        units=channel,
        offsets=np.searchsorted(trial, range(n_trials + 1)),
        labels=np.arange(n_trials) % 2,
        n_channels=N_IN,
        duration=N_STEPS * ms,
    )


def layers(**scales):
    """A layer of each named neuron, with weights that make it spike; some recurrent, some delayed."""
    return [
        Layer(
            getattr(equations, name)(),
            N,
            weight_scale=scale,
            recurrent=name in ("ALIF", "STDP_ALIF", "Izhikevich", "PLIF"),
            delay=(np.arange(N) % 3 if name in ("ALIF", "PLIF") else 0) * ms,
            excitatory=0.7 if name == "STDP_ALIF" else None,
        )
        for name, scale in scales.items()
    ]


LEAKY = {"LIF": 2.5, "ALIF": 3.0, "STDP_LIF": 3.0, "STDP_ALIF": 3.0}
OTHERS = {"Izhikevich": 60.0, "CurrentLIF": 20.0, "PLIF": 8.0}
MORE = {"GatedLIF": 4.0, "EqSpikeLIF": 20.0}


def simulated(scales, readout, seed):
    """A network that does not learn."""
    return SpikingNetwork(Input(N_IN), *layers(**scales), readout, seed=seed), {
        "inputs": trials(2, seed=seed)
    }


def learning(scales, seed):
    """Online e-prop in every synapse of spiking trials, with labels."""
    net = SpikingNetwork(Input(N_IN), *layers(**scales), Readout(2), seed=seed)
    return net, {
        "rule": EProp(),
        "inputs": trials(3, seed=seed),
        "optimizer": SGD(1e-2),
        "batch_size": 2,
        "epochs": 2,
    }


def adaptive():
    """E-prop with adaptive feedback, Adam and a mean square error, of real-valued input."""
    rng = np.random.default_rng(3)
    frames = FrameTrials(features=rng.normal(0, 2, (70, 4)), offsets=[0, 30, 70], frame=1 * ms)
    net = SpikingNetwork(
        Input(4, real_valued=True),
        Layer(equations.ALIF(), N, recurrent=True, weight_scale=2.0),
        Readout(3),
        seed=1,
    )
    return net, {
        "rule": EProp(feedback="adaptive", rate_strength=1e-3),
        "inputs": frames,
        "targets": rng.normal(0, 1, (2, 40, 3)),
        "loss": MeanSquareError(),
        "optimizer": Adam(1e-2, weight_decay=0.01),
    }


def plastic():
    """Brian2 objects of a user: every plasticity rule, onto neurons that a TimedArray drives."""
    rng = np.random.default_rng(5)
    step, neuron = np.nonzero(rng.random((N_STEPS, 6)) < 0.04)
    source = SpikeGeneratorGroup(6, neuron, step * ms, name="source")
    drive = TimedArray([0.0, 30.0, 0.0, 60.0, 20.0], dt=8 * ms, name="drive")
    neurons = equations.LIF(v_th=0.2).group(5, name="neurons")
    neurons.namespace["drive"] = drive
    neurons.run_regularly("v += drive(t % (40*ms))*dt/second*(1 + 0.3*i)", name="push")
    rules = {
        "pair": equations.PairSTDP(tau_plus=15 * ms),
        "triplet": equations.TripletSTDP(w_max=50.0),
        "inhibitory": equations.InhibitorySTDP(),
        "reward": equations.RewardSTDP(),
        "voltage": equations.VoltageSTDP(theta_minus=0.0, theta_plus=0.02, A_LTD=0.1, A_LTP=0.2),
    }
    made = []
    for name, rule in rules.items():
        target = "v" if name == "pair" else ""
        made.append(rule.synapses(source, neurons, target=target, name=name))
        made[-1].w = "0.2 + 0.01*i"
    made[3].reward = 0.5
    spikes = SpikeMonitor(neurons, name="spikes")
    states = StateMonitor(neurons, "v", record=True, name="states")
    return Network(source, neurons, *made, spikes, states)


def equilibrium(**settings):
    """A network that learns with EqSpike, three trials."""
    net = EquilibriumNetwork((6, 8, 4), free=60 * ms, nudged=40 * ms, scale=2.0, seed=1, **settings)
    net.parameters["hidden.b"][:], net.parameters["output.b"][:] = 0.6, 0.8
    rng = np.random.default_rng(2)
    x, targets = rng.uniform(0.1, 1, (3, 6)), 0.8 * np.eye(4)[:3]
    return lambda: net.brian2(x, targets=targets, beta=0.7, learning_rate=0.5), {
        "duration": 3 * net.trial
    }


NETWORKS = {
    "equilibrium": equilibrium,
    "plastic": lambda: (plastic, {"duration": N_STEPS * ms}),
    "leaky": lambda: simulated(LEAKY, Readout(3), 1),
    "others": lambda: simulated(OTHERS, Readout(3, model=equations.CurrentReadout()), 2),
    "more": lambda: simulated(MORE, Readout(3, model=equations.LeakyReadout()), 3),
    "eprop_leaky": lambda: learning(LEAKY, 1),
    "eprop_others": lambda: learning(OTHERS, 2),
    "eprop_adaptive": adaptive,
    "equilibrium_spikes": lambda: equilibrium(input="spikes", variant="trace_product"),
    "equilibrium_antisymmetric": lambda: equilibrium(variant="antisymmetric"),
}


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--arch", default="sm_90", help="of the GPU: sm_90 is an H100")
    parser.add_argument("--only", nargs="+", choices=tuple(NETWORKS), default=tuple(NETWORKS))
    settings = parser.parse_args()
    for device in ("cpp", "cuda"):
        (settings.folder / device).mkdir(parents=True, exist_ok=True)
        for name in settings.only:
            net, options = NETWORKS[name]()
            path = settings.folder / device / name
            arch = {"arch": settings.arch} if device == "cuda" else {}
            export(net, path, device=f"{device}_standalone", overwrite=True, **options, **arch)
            print(path, flush=True)


if __name__ == "__main__":
    main()
