"""Exported projects that several tests share, each built once in a test session, and how to run them."""

import os
import subprocess

import numpy as np
import precompiled
from brian2 import Network, SpikeGeneratorGroup, SpikeMonitor, StateMonitor, TimedArray, ms, nS
from reference.networks import CONDUCTANCE, N_IN, N, spike_trials

from neurosnn import equations
from neurosnn.network import Input, Layer, Readout, SpikingNetwork
from neurosnn.rules.equilibrium import EquilibriumNetwork

#: No more than the path, and the compiler and its options if the tests were given them (`make sanitize`).
KEPT = {"CXX", "ASAN_OPTIONS", "UBSAN_OPTIONS"}
CLEAN = {"PATH": "/usr/bin:/bin", **{key: os.environ[key] for key in KEPT & set(os.environ)}}


def start(folder, *arguments, command="./run", **settings):
    """Run a command in an environment without Python, Brian2 and everything else of ours."""
    return subprocess.run(
        [command, *map(str, arguments)],
        cwd=folder,
        env=CLEAN,
        capture_output=True,
        text=True,
        timeout=300,
        **settings,
    )


def quick():
    """What make is given where a test is not about optimization: the bits of float64 are the same."""
    return f"CXXFLAGS={' '.join((*precompiled.BRIAN2, *precompiled.of_programs()))}"


def make(folder, *arguments):
    made = start(folder, *(arguments or (quick(),)), command="make")
    assert made.returncode == 0, made.stderr
    return folder


def run(folder, *arguments):
    ran = start(folder, *arguments)
    assert ran.returncode == 0, ran.stderr
    return ran


def small():
    return SpikingNetwork(Input(2), Layer(equations.LIF(), 3), Readout(2), seed=1)


def two_layers():
    """Two layers with different units, delays and inhibition, and trials that make both spike."""
    first = Layer(
        equations.ALIF(),
        N,
        recurrent=True,
        delay=np.arange(N) % 3 * ms,
        connectivity=0.6,
        weight_scale=2.0,
    )
    second = Layer(CONDUCTANCE, N, recurrent=True, excitatory=0.7, weight_scale=40 * nS)
    net = SpikingNetwork(Input(N_IN), first, second, Readout(3), seed=1)
    net.parameters["readout.b"][:] = [0.1, 0.2, 0.3]
    return net, spike_trials(3)


def every_neuron():
    """All named neurons, a layer each, and weights with which all of them spike."""
    models = {
        "LIF": 2.5,
        "ALIF": 3.0,
        "STDP_LIF": 3.0,
        "STDP_ALIF": 3.0,
        "Izhikevich": 60.0,
        "CurrentLIF": 20.0,
    }
    layers = [
        Layer(
            getattr(equations, name)(),
            6,
            weight_scale=scale,
            recurrent=name in ("ALIF", "Izhikevich"),
            delay=(1 if name == "ALIF" else 0) * ms,
            excitatory=0.7 if name == "STDP_ALIF" else None,
        )
        for name, scale in models.items()
    ]
    return SpikingNetwork(Input(N_IN), *layers, Readout(2), seed=3)


def plastic():
    """Brian2 objects of a user: every plasticity rule, onto neurons that a TimedArray drives."""
    neuron, time = np.array([0, 1, 0, 2, 1, 0, 2]), np.array([1, 3, 9, 12, 18, 24, 31])
    source = SpikeGeneratorGroup(3, neuron, time * ms, name="source")
    drive = TimedArray([0.0, 30.0, 0.0, 60.0, 20.0], dt=8 * ms, name="drive")
    neurons = equations.LIF(v_th=0.05).group(2, name="neurons")
    neurons.namespace["drive"] = drive
    neurons.run_regularly("v += drive(t)*dt/second*(1 + 0.5*i)", name="push")
    rules = {
        "pair": equations.PairSTDP(tau_plus=15 * ms),
        "triplet": equations.TripletSTDP(),
        "inhibitory": equations.InhibitorySTDP(),
        "reward": equations.RewardSTDP(),
        "voltage": equations.VoltageSTDP(theta_minus=0.0, theta_plus=0.02, A_LTD=0.1, A_LTP=0.2),
    }
    made = []
    for name, rule in rules.items():
        target = "v" if name == "pair" else ""
        made.append(rule.synapses(source, neurons, target=target, name=name))
        made[-1].w = "0.2 + 0.1*i"
    made[3].reward = 0.5
    spikes = SpikeMonitor(neurons, name="spikes")
    states = StateMonitor(neurons, "v", record=[1], name="states")
    return Network(source, neurons, *made, spikes, states)


def equilibrium():
    """A network that learns with EqSpike, three trials; and the function that makes its objects."""
    net = EquilibriumNetwork((3, 4, 2), free=60 * ms, nudged=40 * ms, scale=2.0, seed=1)
    net.parameters["hidden.b"][:], net.parameters["output.b"][:] = 0.6, 0.8
    x = np.array([[1.0, 0.2, 0.7], [0.1, 0.9, 0.8], [0.6, 0.6, 1.0]])
    targets = np.array([[0.8, 0.0], [0.0, 0.8], [0.8, 0.0]])
    return net, lambda: net.brian2(x, targets=targets, beta=0.7, learning_rate=0.5)
