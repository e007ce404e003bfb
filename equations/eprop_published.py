"""E-prop as the papers print it: eligibility traces of the named neurons, written out by hand.

The package derives the traces of any neuron from its strings (``EProp().equations(model)``); these
are the published forms that the derived ones are compared with. Three blocks of Brian2 statements
belong to each neuron: `before` (each neuron, slot "before_groups", from what the step before left),
`after` (each neuron, slot "after_thresholds") and `trace` (each synapse, after that), in which
``x`` is the presynaptic input that has arrived since the step before. The notation is the papers':
``e_ij`` is the eligibility trace, ``psi`` the pseudo-derivative, ``z`` the spike.
"""

from typing import NamedTuple

from neurosnn.equations.alif import VAN_DER_VEEN
from neurosnn.equations.lif import BELLEC, TRAUB

__all__ = ["EPROP_PUBLISHED", "PublishedEProp"]


class PublishedEProp(NamedTuple):
    """Published strings of e-prop for one neuron.

    Attributes
    ----------
    neuron, synapse : str
        Brian2 equations that declare the variables of the strings.
    before, after, trace : str
        Statements of a step.
    reference : str
        Where they are printed.
    """

    neuron: str
    synapse: str
    before: str
    after: str
    trace: str
    reference: str


ONE_COMPONENT = "eps_v : 1\ne_ij : 1"
TWO_COMPONENTS = "eps_v : 1\neps_a : 1\ne_ij : 1"

# The adaptation needs psi of the step before.
REMEMBER = "psi_old = psi"

# 1 - z^t - z^{t - t_ref}: the hard resets at a spike and at the end of its refractory period.
KEEP = """
since_spike = timestep(t - lastspike, dt)
keep = 1 - int(since_spike == 1) - int(since_spike == 1 + timestep(t_ref, dt))
"""

# Refractory are the t_ref steps that begin with the spike.
TRIANGLE = """
refractory = int(timestep(t - lastspike, dt) < timestep(t_ref, dt))
psi = (1 - refractory)*{height}*clip(1 - abs(v - {threshold})/v_th, 0, 1) + refractory*{inside}
"""

ADAPTIVE_TRACE = """
eps_a = psi_old_post*eps_v + (exp(-dt/tau_a_post) - psi_old_post*beta_post)*eps_a
eps_v = {decay}*eps_v + x
e_ij = psi_post*(eps_v - beta_post*eps_a)
"""

EPROP_PUBLISHED = {
    "LIF": PublishedEProp(
        neuron="psi : 1",
        synapse=ONE_COMPONENT,
        before="",
        after=TRIANGLE.format(height="gamma/v_th", threshold="v_th", inside="0"),
        trace="""
eps_v = exp(-dt/tau_m_post)*eps_v + x
e_ij = psi_post*eps_v
""",
        reference=f"{BELLEC}, eq. 22 and 23",
    ),
    "ALIF": PublishedEProp(
        neuron="psi : 1\npsi_old : 1",
        synapse=TWO_COMPONENTS,
        before=REMEMBER,
        after=TRIANGLE.format(height="gamma/v_th", threshold="(v_th + beta*a)", inside="0"),
        trace=ADAPTIVE_TRACE.format(decay="exp(-dt/tau_m_post)"),
        reference=f"{BELLEC}, eq. 24 and 25",
    ),
    "STDP_LIF": PublishedEProp(
        neuron="psi : 1\nkeep : 1",
        synapse=ONE_COMPONENT,
        before=KEEP,
        after=TRIANGLE.format(height="gamma", threshold="v_th", inside="psi_refractory"),
        trace="""
eps_v = exp(-dt/tau_m_post)*keep_post*eps_v + x
e_ij = psi_post*eps_v
""",
        reference=f"{TRAUB}, eq. 22 to 29",
    ),
    "STDP_ALIF": PublishedEProp(
        neuron="psi : 1\npsi_old : 1\nkeep : 1",
        synapse=TWO_COMPONENTS,
        before=f"{REMEMBER}{KEEP}",
        after=TRIANGLE.format(height="gamma", threshold="(v_th + beta*a)", inside="psi_refractory"),
        trace=ADAPTIVE_TRACE.format(decay="exp(-dt/tau_m_post)*keep_post"),
        reference=f"{VAN_DER_VEEN}, chapter 3",
    ),
    "Izhikevich": PublishedEProp(
        neuron="psi : 1\nz : 1\nz_old : 1\nv_old : 1",
        synapse="eps_v : 1\neps_u : 1\ne_ij : 1",
        before="v_old = v",
        after="""
z_old = z
z = int(v >= v_peak)
psi = gamma*exp((clip(v, -1e9, v_peak) - v_peak)/v_peak)
""",
        trace="""
eps_old = eps_v
eps_v = (1 - z_old_post)*(1 + (0.08*v_old_post + 5)*dt/ms)*eps_v - eps_u*dt/ms + x*dt/ms
eps_u = 0.004*dt/ms*(1 - z_old_post)*eps_old + (1 - 0.02*dt/ms)*eps_u
e_ij = psi_post*eps_v
""",
        reference=f"{TRAUB}, eq. 12 to 21; the clipping is van der Veen's",
    ),
}
