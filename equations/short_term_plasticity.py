"""Short-term plasticity: synapses that tire and recover with the spikes of the presynaptic neuron."""

from brian2.units.allunits import msecond as ms

from neurosnn.model import PlasticityRule, Range, explained

__all__ = ["TsodyksMarkram"]

POSITIVE_TIME = Range(0 * ms)
MARKRAM = "Markram, Wang & Tsodyks, PNAS 95:5323-5328 (1998), doi:10.1073/pnas.95.9.5323"


@explained
def TsodyksMarkram(*, U=0.5, tau_d=1100 * ms, tau_f=50 * ms, unit="1") -> PlasticityRule:
    r"""Synapses with depression and facilitation.

    .. math::
        \dot x = \frac{1 - x}{\tau_d}, \quad \dot u = -\frac{u}{\tau_f}, \qquad \text{spike: }
        u \leftarrow u + U(1 - u), \quad \text{send } w\,u\,x, \quad x \leftarrow x - u\,x

    with the resources x that are left and the fraction u of them that a spike uses.

    Parameters
    ----------
    U : float, default 0.5
        Fraction that the first spike uses.
    tau_d : Quantity (second), default 1100 ms
        Time constant of the recovery from depression.
    tau_f : Quantity (second), default 50 ms
        Time constant of facilitation.
    unit : str, default "1"
        Unit of the weight, that of the variable it is sent to: "volt", "amp", "siemens".

    Returns
    -------
    PlasticityRule
        Event-driven; cost per spike, none per time step. Its weight stays: as ``synapse=`` of a
        :class:`neurosnn.Projection` it is learned from trials.

    Raises
    ------
    ValueError
        If a parameter has the wrong unit or is out of range.

    Notes
    -----
    The defaults are those of Maass, Natschlaeger & Markram (2002) from excitatory to excitatory neurons.
    Their others are, as U, tau_d, tau_f: 0.05, 125 ms, 1200 ms (excitatory to inhibitory, which
    facilitates); 0.25, 700 ms, 20 ms (inhibitory to excitatory); 0.32, 144 ms, 60 ms (among inhibitory).

    References
    ----------
    Markram, Wang & Tsodyks, PNAS 95:5323-5328 (1998).
    Maass, Natschlaeger & Markram, Neural Comput. 14:2531-2560 (2002).

    Examples
    --------
    >>> from brian2 import ms
    >>> from neurosnn import Projection, equations
    >>> depressing = equations.TsodyksMarkram(U=0.5, tau_d=200*ms)
    >>> depressing.transmitted
    'w*(u + U*(1 - u))*x'
    >>> Projection("E", "I", synapse=depressing).synapse.name
    'TsodyksMarkram'
    """
    return PlasticityRule(
        name="TsodyksMarkram",
        equations=f"w : {unit}\n"
        "dx/dt = (1 - x)/tau_d : 1 (event-driven)\n"
        "du/dt = -u/tau_f : 1 (event-driven)",
        on_pre="u += U*(1 - u)\nx -= u*x",
        transmission="w*(u + U*(1 - u))*x",
        initial={"x": 1.0},
        parameters={"U": U, "tau_d": tau_d, "tau_f": tau_f},
        ranges={
            "U": Range(0, 1),
            "tau_d": POSITIVE_TIME,
            "tau_f": POSITIVE_TIME,
        },
        sources={
            "U": "Maass 2002: 0.5, excitatory to excitatory",
            "tau_d": "Maass 2002: 1.1 s",
            "tau_f": "Maass 2002: 50 ms",
        },
        reference=MARKRAM,
    )
