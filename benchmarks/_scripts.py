"""Networks of the literature as Brian2 scripts, with the same values in every process.

Each function makes the objects of a network: connections and initial values are drawn by numpy from a fixed
seed, `drive` takes the place of PoissonInput, and `scale` below 1 makes a smaller network with stronger or
more probable synapses, so that it stays active.
"""

from __future__ import annotations

import numpy as np
from brian2 import (
    Hz,
    NeuronGroup,
    PoissonInput,
    Quantity,
    SpikeGeneratorGroup,
    SpikeMonitor,
    Synapses,
    ms,
    mV,
    nF,
    nS,
    pF,
    second,
)


def _connect(synapses, random, p, sources=None):
    """Each synapse with probability p, drawn in blocks of sources."""
    n_pre = synapses.source.N if sources is None else sources[1] - sources[0]
    first = 0 if sources is None else sources[0]
    found = []
    for begin in range(0, n_pre, 500):
        rows = min(500, n_pre - begin)
        i, j = np.nonzero(random.random((rows, synapses.target.N), dtype=np.float32) < p)
        found.append((i + begin + first, j))
    i, j = (np.concatenate(part) for part in zip(*found, strict=True))
    synapses.connect(i=i, j=j)


def coba(scale=1.0, drive=PoissonInput, *, delays=False):
    """Vogels & Abbott 2005 with conductances: benchmark 1 of Brette et al. 2007."""
    random, n = np.random.default_rng(1), int(4000 * scale)
    part = int(0.8 * n)
    namespace = {
        "tau_m": 20 * ms, "tau_e": 5 * ms, "tau_i": 10 * ms, "V_t": -50 * mV, "E_l": -60 * mV,
        "E_e": 0 * mV, "E_i": -80 * mV, "w_e": 0.6, "w_i": 6.7,
    }  # fmt: skip
    cells = NeuronGroup(
        n,
        """dv/dt = (ge*(E_e - v) + gi*(E_i - v) + (E_l - v))/tau_m : volt (unless refractory)
           dge/dt = -ge/tau_e : 1
           dgi/dt = -gi/tau_i : 1""",
        threshold="v > V_t",
        reset="v = E_l",
        refractory=5 * ms,
        method="exponential_euler",
        namespace=namespace,
        name="cells",
    )
    cells.v = (-60 + random.normal(-5, 5, n)) * mV
    cells.ge = random.normal(4, 1.5, n) * 10 / 6
    cells.gi = random.normal(20, 12, n) * 10 / 6
    made = [cells]
    for name, sources, on_pre in (
        ("excitatory", (0, part), "ge += w_e"),
        ("inhibitory", (part, n), "gi += w_i"),
    ):
        synapses = Synapses(cells, cells, on_pre=on_pre, namespace=namespace, name=name)
        _connect(synapses, random, 0.02 / scale, sources)
        if delays:
            times = random.uniform(0.1e-3, 5e-3, len(synapses))
            synapses.delay = Quantity(times, dim=second.dim)
        made.append(synapses)
    return [*made, SpikeMonitor(cells, name="spikes")]


def coba_delays(scale=1.0, drive=PoissonInput):
    """The same with a delay of its own for each synapse."""
    return coba(scale, drive, delays=True)


def cuba(scale=1.0, drive=PoissonInput):
    """Vogels & Abbott 2005 with currents: benchmark 2 of Brette et al. 2007."""
    random, n = np.random.default_rng(1), int(4000 * scale)
    part = int(0.8 * n)
    namespace = {
        "tau_m": 20 * ms, "tau_e": 5 * ms, "tau_i": 10 * ms, "V_t": -50 * mV, "V_r": -60 * mV,
        "E_l": -49 * mV, "w_e": 1.62 * mV, "w_i": -9 * mV,
    }  # fmt: skip
    cells = NeuronGroup(
        n,
        """dv/dt = (ge + gi - (v - E_l))/tau_m : volt (unless refractory)
           dge/dt = -ge/tau_e : volt
           dgi/dt = -gi/tau_i : volt""",
        threshold="v > V_t",
        reset="v = V_r",
        refractory=5 * ms,
        method="exact",
        namespace=namespace,
        name="cells",
    )
    cells.v = random.uniform(-60, -50, n) * mV
    excitatory = Synapses(cells, cells, on_pre="ge += w_e", namespace=namespace, name="excitatory")
    inhibitory = Synapses(cells, cells, on_pre="gi += w_i", namespace=namespace, name="inhibitory")
    _connect(excitatory, random, 0.02 / scale, (0, part))
    _connect(inhibitory, random, 0.02 / scale, (part, n))
    return [cells, excitatory, inhibitory, SpikeMonitor(cells, name="spikes")]


def cobahh(scale=1.0, drive=PoissonInput):
    """Hodgkin-Huxley neurons of Traub & Miles with conductances: benchmark 3 of Brette et al. 2007."""
    random, n = np.random.default_rng(1), int(4000 * scale)
    part = int(0.8 * n)
    namespace = {
        "C_m": 200 * pF, "g_l": 10 * nS, "E_l": -60 * mV, "E_K": -90 * mV, "E_Na": 50 * mV,
        "g_na": 20000 * nS, "g_kd": 6000 * nS, "V_T": -63 * mV, "tau_e": 5 * ms, "tau_i": 10 * ms,
        "E_e": 0 * mV, "E_i": -80 * mV, "w_e": 6 * nS, "w_i": 67 * nS,
    }  # fmt: skip
    cells = NeuronGroup(
        n,
        """dv/dt = (g_l*(E_l - v) + ge*(E_e - v) + gi*(E_i - v)
                    - g_na*m**3*h*(v - E_Na) - g_kd*n**4*(v - E_K))/C_m : volt
           dm/dt = alpha_m*(1 - m) - beta_m*m : 1
           dn/dt = alpha_n*(1 - n) - beta_n*n : 1
           dh/dt = alpha_h*(1 - h) - beta_h*h : 1
           dge/dt = -ge/tau_e : siemens
           dgi/dt = -gi/tau_i : siemens
           alpha_m = 0.32/mV*4*mV/exprel((13*mV - v + V_T)/(4*mV))/ms : Hz
           beta_m = 0.28/mV*5*mV/exprel((v - V_T - 40*mV)/(5*mV))/ms : Hz
           alpha_h = 0.128*exp((17*mV - v + V_T)/(18*mV))/ms : Hz
           beta_h = 4./(1 + exp((40*mV - v + V_T)/(5*mV)))/ms : Hz
           alpha_n = 0.032/mV*5*mV/exprel((15*mV - v + V_T)/(5*mV))/ms : Hz
           beta_n = .5*exp((10*mV - v + V_T)/(40*mV))/ms : Hz""",
        threshold="v > -20*mV",
        refractory=3 * ms,
        method="exponential_euler",
        namespace=namespace,
        name="cells",
    )
    cells.v = (-60 + random.normal(-5, 5, n)) * mV
    cells.ge = random.normal(4, 1.5, n) * 10 * nS
    cells.gi = random.normal(20, 12, n) * 10 * nS
    excitatory = Synapses(cells, cells, on_pre="ge += w_e", namespace=namespace, name="excitatory")
    inhibitory = Synapses(cells, cells, on_pre="gi += w_i", namespace=namespace, name="inhibitory")
    _connect(excitatory, random, 0.02 / scale, (0, part))
    _connect(inhibitory, random, 0.02 / scale, (part, n))
    return [cells, excitatory, inhibitory, SpikeMonitor(cells, name="spikes")]


def brunel(scale=1.0, drive=PoissonInput):
    """Brunel 2000, model A: the asynchronous irregular state, g = 5 and twice the threshold rate."""
    random, n_e, n_i = np.random.default_rng(1), int(10000 * scale), int(2500 * scale)
    c_e, J, g, tau, theta = 1000, 0.1 * mV / scale, 5, 20 * ms, 20 * mV
    namespace = {
        "tau": tau, "theta": theta, "V_r": 10 * mV, "J": J, "g": g,
    }  # fmt: skip
    neurons = NeuronGroup(
        n_e + n_i,
        "dv/dt = -v/tau : volt (unless refractory)",
        threshold="v > theta",
        reset="v = V_r",
        refractory=2 * ms,
        method="exact",
        namespace=namespace,
        name="neurons",
    )
    neurons.v = random.uniform(0, 20, n_e + n_i) * mV
    threshold_rate = theta / (0.1 * mV * c_e * tau)
    outside = drive(neurons, "v", int(c_e * scale), 2 * threshold_rate, weight=J)
    excitatory = Synapses(
        neurons[:n_e], neurons, on_pre="v += J", delay=1.5 * ms, namespace=namespace,
        name="excitatory",
    )  # fmt: skip
    inhibitory = Synapses(
        neurons[n_e:], neurons, on_pre="v += -g*J", delay=1.5 * ms, namespace=namespace,
        name="inhibitory",
    )  # fmt: skip
    _connect(excitatory, random, 0.1)
    _connect(inhibitory, random, 0.1)
    return [neurons, outside, excitatory, inhibitory, SpikeMonitor(neurons, name="spikes")]


def wang(scale=1.0, drive=PoissonInput):
    """Wang 2002: two pools compete through slow receptors, whose gates saturate in each synapse.

    The equations of its section "Network model", with the parameters stated there for 1600 and 400 neurons.
    The two stimuli, 40 Hz with a coherence of 51.2 %, are there from the beginning.
    """
    random, n_e, n_i = np.random.default_rng(1), int(1600 * scale), int(400 * scale)
    n_pool, w_plus = int(0.15 * n_e), 1.7
    w_minus = 1 - 0.15 * (w_plus - 1) / (1 - 0.15)
    shared = {
        "V_E": 0 * mV, "V_I": -70 * mV, "tau_a": 2 * ms, "tau_g": 5 * ms, "tau_r": 2 * ms,
        "tau_d": 100 * ms, "alpha": 0.5 / ms, "Mg": 1.0, "V_th": -50 * mV, "V_reset": -55 * mV,
        "V_L": -70 * mV,
    }  # fmt: skip
    equations = """
    dv/dt = (g_L*(V_L - v) - I_syn)/C_m : volt (unless refractory)
    I_syn = g_ext*(v - V_E)*s_ext + g_ampa*(v - V_E)*s_ampa + g_gaba*(v - V_I)*s_gaba
            + g_nmda*(v - V_E)/(1 + Mg*exp(-0.062*v/mV)/3.57)*s_nmda : amp
    ds_ext/dt = -s_ext/tau_a : 1
    ds_ampa/dt = -s_ampa/tau_a : 1
    ds_gaba/dt = -s_gaba/tau_g : 1
    s_nmda : 1
    """
    of_pools = {
        "E": (n_e, 2 * ms, {
            "C_m": 0.5 * nF, "g_L": 25 * nS, "g_ext": 2.1 * nS, "g_ampa": 0.05 * nS / scale,
            "g_nmda": 0.165 * nS / scale, "g_gaba": 1.3 * nS / scale,
        }),
        "I": (n_i, 1 * ms, {
            "C_m": 0.2 * nF, "g_L": 20 * nS, "g_ext": 1.62 * nS, "g_ampa": 0.04 * nS / scale,
            "g_nmda": 0.13 * nS / scale, "g_gaba": 1.0 * nS / scale,
        }),
    }  # fmt: skip
    groups, made = {}, []
    for name, (n, refractory, own) in of_pools.items():
        group = NeuronGroup(
            n,
            equations,
            threshold="v > V_th",
            reset="v = V_reset",
            refractory=refractory,
            method="euler",
            namespace={**shared, **own},
            name=name,
        )
        group.v = random.uniform(-60, -50, n) * mV
        groups[name] = group
        made += [group, drive(group, "s_ext", 800, 3 * Hz, weight=1)]
    for pool, coherence in ((0, 0.512), (1, -0.512)):
        rate = 40 * (1 + coherence) * Hz
        part = groups["E"][pool * n_pool : (pool + 1) * n_pool]
        made.append(drive(part, "s_ext", 1, rate, weight=1))
    for name, n in (("E", n_e), ("I", n_i)):
        synapses = Synapses(
            groups["E"],
            groups[name],
            """w : 1 (constant)
               s_nmda_post = w*s : 1 (summed)
               ds/dt = -s/tau_d + alpha*x*(1 - s) : 1 (clock-driven)
               dx/dt = -x/tau_r : 1 (clock-driven)""",
            on_pre="s_ampa_post += w\nx += 1",
            delay=0.5 * ms,
            method="euler",
            namespace=shared,
            name=f"E_to_{name}",
        )
        i, j = (part.ravel() for part in np.mgrid[:n_e, :n])
        kept = (i != j) | (name == "I")
        synapses.connect(i=i[kept], j=j[kept])
        synapses.w = 1
        if name == "E":
            pre, post = (np.minimum(part[kept] // n_pool, 2) for part in (i, j))
            synapses.w = np.where(post == 2, 1, np.where(pre == post, w_plus, w_minus))
        made.append(synapses)
        inhibition = Synapses(
            groups["I"], groups[name], on_pre="s_gaba += 1", delay=0.5 * ms, name=f"I_to_{name}"
        )
        inhibition.connect("i != j" if name == "I" else None)
        made.append(inhibition)
    return [
        *made,
        SpikeMonitor(groups["E"], name="spikes"),
        SpikeMonitor(groups["I"], name="spikes_I"),
    ]


def diehl_cook(scale=1.0, drive=PoissonInput):
    """Diehl & Cook 2015: 400 neurons that learn from an image of 784 pixels, with triplets of spikes.

    The equations and numbers of the paper and of its published code (thresholds at -72 mV + theta, delays of
    up to 10 ms), with steps of 0.1 ms, neurons that begin at rest, and a made-up image of up to 255 Hz a
    pixel, which is four times the paper's.
    """
    random, n, n_in, n_steps = np.random.default_rng(1), int(400 * scale), 784, 2000
    x, y = np.mgrid[-1:1:28j, -1:1:28j]
    rates = 255 * np.exp(-(((np.hypot(x, y) - 0.5) / 0.15) ** 2)).ravel()
    steps, pixels = np.nonzero(random.random((n_steps, n_in)) < rates * 1e-4)
    source = SpikeGeneratorGroup(n_in, pixels, steps * 0.1 * ms, name="source")
    excitatory = NeuronGroup(
        n,
        """dv/dt = (-65*mV - v + ge*(0*mV - v) + gi*(-100*mV - v))/(100*ms) : volt (unless refractory)
           dge/dt = -ge/(1*ms) : 1
           dgi/dt = -gi/(2*ms) : 1
           dtheta/dt = -theta/(1e7*ms) : volt""",
        threshold="v > theta - 20*mV - 52*mV",
        reset="v = -65*mV; theta += 0.05*mV",
        refractory=5 * ms,
        method="euler",
        name="excitatory",
    )
    inhibitory = NeuronGroup(
        n,
        """dv/dt = (-60*mV - v + ge*(0*mV - v) + gi*(-85*mV - v))/(10*ms) : volt (unless refractory)
           dge/dt = -ge/(1*ms) : 1
           dgi/dt = -gi/(2*ms) : 1""",
        threshold="v > -40*mV",
        reset="v = -45*mV",
        refractory=2 * ms,
        method="euler",
        name="inhibitory",
    )
    excitatory.v, inhibitory.v = -65 * mV, -60 * mV
    excitatory.theta = 20 * mV
    learning = Synapses(
        source,
        excitatory,
        """w : 1
           dnear/dt = -near/(20*ms) : 1 (event-driven)
           dlate/dt = -late/(20*ms) : 1 (event-driven)
           dlater/dt = -later/(40*ms) : 1 (event-driven)""",
        on_pre="ge_post += w; near = 1.0; w = clip(w - 0.0001*late, 0, 1)",
        on_post="before = later; w = clip(w + 0.01*near*before, 0, 1); late = 1.0; later = 1.0",
        name="learning",
    )
    i, j = (part.ravel() for part in np.mgrid[:n_in, :n])
    learning.connect(i=i, j=j)
    w = random.random((n_in, n)) + 0.01
    learning.w = (w * 78 / w.sum(axis=0)).ravel()
    learning.pre.delay = Quantity(random.uniform(0, 10e-3, n_in * n), dim=second.dim)
    forward = Synapses(excitatory, inhibitory, on_pre="ge += 10.4", name="forward")
    forward.connect(i=np.arange(n), j=np.arange(n))
    back = Synapses(inhibitory, excitatory, on_pre="gi += 17.0", name="back")
    i, j = np.nonzero(~np.eye(n, dtype=bool))
    back.connect(i=i, j=j)
    monitors = [SpikeMonitor(excitatory, name="spikes"), SpikeMonitor(inhibitory, name="spikes_I")]
    return [source, excitatory, inhibitory, learning, forward, back, *monitors]


def replaying(tables):
    """In place of PoissonInput: what an engine has drawn, one array (n_steps, n_neurons) for each call."""
    from brian2 import TimedArray

    made = []

    def drive(target, variable, N, rate, weight):
        number = len(made)
        group = getattr(target, "source", target)
        name = "poissoninput" + (f"_{number}" if number else "")
        unit = group.variables[variable].dim
        table = TimedArray(Quantity(tables[number], dim=unit), dt=0.1 * ms)
        group.namespace[f"drawn_{number}"] = table
        one = group.run_regularly(f"{variable} += drawn_{number}(t, i)", when="synapses", name=name)
        made.append(one)
        return one

    return drive


SCRIPTS = {
    "Brunel 2000": brunel,
    "Vogels & Abbott 2005, CUBA": cuba,
    "Vogels & Abbott 2005, COBA": coba,
    "COBA, a delay for each synapse": coba_delays,
    "Brette et al. 2007, COBAHH": cobahh,
    "Wang 2002": wang,
    "Diehl & Cook 2015": diehl_cook,
}
