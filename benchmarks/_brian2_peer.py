"""Online e-prop of an ALIF network in stock Brian2, C++ standalone, written to be fast by hand.

Compared with the general equations of `EProp().equations(model)` it uses what is special about ALIF:
the first component of the eligibility vector is the same for all synapses of a presynaptic neuron,
and the second grows by exactly the trace e. So a synapse computes, in each step::

    e = psi_post*(xbar_pre - beta*eps_a)
    eps_a = rho*eps_a + e
    ebar = kappa*ebar + e
    G += L_post*ebar
"""

from __future__ import annotations

import tempfile

import numpy as np
from brian2 import (
    Equations,
    Network,
    NeuronGroup,
    Synapses,
    TimedArray,
    device,
    get_device,
    prefs,
    set_device,
)

#: Flags with which the engine compiles; Brian2's own default is kept under the name "default".
FLAGS = {
    "default": None,
    "ours": ["-w", "-O3", "-march=native", "-fno-math-errno", "-fno-trapping-math"],
}
CLOSED = {"namespace": {}}
#: Orders in slot "end" of a step.
FILTERS, SUMS, ERROR, SIGNAL, READOUT, SYNAPSES, PRESYNAPTIC = range(7)


def _neurons(model, n, dt, kappa, name):
    """The model's neurons, with what e-prop asks of each."""
    extra = Equations("psi : 1\nL : 1\nxbar : 1\nzbar : 1\nz : 1\nn_spikes : 1")
    group = NeuronGroup(
        n,
        model.brian_equations + extra,
        threshold=model.threshold,
        reset=model.reset,
        refractory=model.refractory,
        method=model.method,
        name=name,
        dt=dt,
        **CLOSED,
    )
    group.run_regularly(model.step, when="groups", order=1)
    group.run_regularly(f"psi = {model.surrogate}", when="after_thresholds")
    group.run_regularly(
        f"z = int(timestep(t - lastspike, dt) == 0)\nzbar = {kappa!r}*zbar + z\nn_spikes += z",
        when="end",
        order=FILTERS,
    )
    group.run_regularly("xbar = exp(-dt/tau_m)*xbar + z", when="end", order=PRESYNAPTIC)
    for key, value in model.parameters.items():
        setattr(group, key, value)
    return group


def _hidden_synapses(pre, post, connection, kappa):
    """Synapses with eligibility traces."""
    synapses = Synapses(
        pre,
        post,
        "w : 1\neps_a : 1\nebar : 1\nG : 1",
        on_pre="I_post += w",
        name=connection.synapses_name,
        clock=post.clock,
        **CLOSED,
    )
    synapses.run_regularly(
        f"""e_now = psi_post*(xbar_pre - beta_post*eps_a)
        eps_a = exp(-dt/tau_a_post)*eps_a + e_now
        ebar = {kappa!r}*ebar + e_now
        G += L_post*ebar""",
        when="end",
        order=SYNAPSES,
    )
    ((_, i, j, where),) = connection.by_channel()
    synapses.connect(i=i, j=j)
    synapses.w = connection.w[where]
    return synapses


def online_eprop(net, trials, *, flags="default", dtype=np.float64, repetitions=3):
    """Run one trial in C++ standalone with the loss CrossEntropyPerStep.

    Parameters
    ----------
    net : SpikingNetwork
        One layer of ALIF neurons, no delays.
    trials : SpikeTrials
        One trial.
    flags : {"default", "ours"}
        Compiler flags.
    dtype : dtype
        Floating-point type.
    repetitions : int
        How often the compiled program runs.

    Returns
    -------
    seconds : list of float
        Time of the simulation itself, without building and setting up, of each run.
    gradient : dict of str to ndarray
    spikes : int
    """
    old = prefs.core.default_float_dtype, prefs.codegen.cpp.extra_compile_args_gcc
    with tempfile.TemporaryDirectory() as folder:
        try:
            prefs.core.default_float_dtype = dtype
            if FLAGS[flags] is not None:
                prefs.codegen.cpp.extra_compile_args_gcc = FLAGS[flags]
            set_device("cpp_standalone", directory=folder, build_on_run=False)
            return _run(net, trials, repetitions)
        finally:
            prefs.core.default_float_dtype, prefs.codegen.cpp.extra_compile_args_gcc = old
            get_device().reinit()
            set_device("runtime")


def _run(net, trials, repetitions):
    (layer,), dt = net.layers, net.dt
    kappa = float(np.exp(-dt / net.readout.tau))
    _, step, channel = trials.steps(dt)
    n_steps, n_out, label = int(np.max(trials.n_steps(dt))), net.readout.n, int(trials.labels[0])
    raster = np.zeros((n_steps, net.input.n), np.float32)
    raster[step, channel] = 1
    inputs = NeuronGroup(
        net.input.n, "z = raster(t, i) : 1\nxbar : 1", threshold="z > 0.5", reset="", dt=dt,
        namespace={"raster": TimedArray(raster, dt=dt)}, name="input",
    )  # fmt: skip
    inputs.run_regularly(
        f"xbar = {float(np.exp(-dt / layer.model.parameters['tau_m']))!r}*xbar + z",
        when="end",
        order=PRESYNAPTIC,
    )
    hidden = _neurons(layer.model, layer.n, dt, kappa, "hidden")
    readout = NeuronGroup(
        n_out, "y : 1\nb : 1\nerr : 1\nsum_exp : 1\nG_b : 1\nlabel : 1 (constant, shared)", dt=dt,
        name="readout", **CLOSED,
    )  # fmt: skip
    readout.run_regularly(f"y *= {kappa!r}", when="groups")
    readout.run_regularly(
        f"err = (exp(y + b)/sum_exp - int(i == label))/{n_steps}\nG_b += err",
        when="end",
        order=ERROR,
    )
    readout.label, readout.b = label, net.parameters["readout.b"]
    softmax = Synapses(
        readout, readout, "sum_exp_post = exp(y_pre + b_pre) : 1 (summed)", dt=dt, **CLOSED
    )
    softmax.connect()
    synapses = {
        key: _hidden_synapses({"input": inputs}.get(c.source, hidden), hidden, c, kappa)
        for key, c in net.connections.items()
        if c.target != "readout"
    }
    out = Synapses(
        hidden,
        readout,
        "w : 1\nG : 1\nL_pre = w*err_post : 1 (summed)",
        on_pre="y_post += w",
        name="readout_synapses",
        dt=dt,
        **CLOSED,
    )
    out.run_regularly("G += err_post*zbar_pre", when="end", order=READOUT)
    out.connect()
    out.w = net.connections["readout"].w.ravel()
    for one, order, variable in ((softmax, SUMS, "sum_exp_post"), (out, SIGNAL, "L_pre")):
        one.summed_updaters[variable].when = "end"
        one.summed_updaters[variable].order = order
    network = Network(inputs, hidden, readout, softmax, out, *synapses.values())
    network.run(n_steps * dt, **CLOSED)
    device.build(run=False, compile=True)
    seconds = []
    for _ in range(repetitions):
        device.run()
        seconds.append(device._last_run_time)
    gradient = {}
    for key, part in {**synapses, "readout": out}.items():
        block = np.zeros(net.connections[key].w.shape)
        ((_, _, _, where),) = net.connections[key].by_channel()
        block[where] = part.G[:]
        gradient[f"{key}.w"] = block
    gradient["readout.b"] = np.array(readout.G_b[:])
    return seconds, gradient, int(np.sum(hidden.n_spikes[:]))
