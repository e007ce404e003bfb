"""Voltage-dependent plasticity of Clopath et al. 2010."""

from brian2.units.allunits import msecond as ms
from brian2.units.allunits import mvolt as mV
from brian2.units.fundamentalunits import Quantity, get_dimensions

from neurosnn.equations.pair_stdp import POSITIVE_TIME
from neurosnn.model import PlasticityRule, Range, explained, si_unit

__all__ = ["VoltageSTDP"]

CLOPATH = (
    "Clopath, Buesing, Vasilaki & Gerstner, Nat. Neurosci. 13:344-352 (2010), doi:10.1038/nn.2479"
)
NAMES = ("theta_minus", "theta_plus", "A_LTD", "A_LTP", "tau_x", "tau_minus", "tau_plus")

# Table 1b. It heads the columns of A_LTD and A_LTP alike; their units and the authors' code tell
# them apart. Its third row, hippocampus, has no tau_minus and tau_plus and is left out.
FITS = {
    "visual_cortex": (
        *(-70.6 * mV, -45.3 * mV, 14e-5 / mV, 8e-5 / mV**2),
        *(15 * ms, 10 * ms, 7 * ms),
    ),
    "somatosensory_cortex": (
        *(-70.6 * mV, -45.3 * mV, 21e-5 / mV, 30e-5 / mV**2),
        *(30 * ms, 6 * ms, 5 * ms),
    ),
}

# The filters of the voltage belong to the postsynaptic neuron; here each synapse has its own, so
# that the rule works with any neuron model.
EQUATIONS = """
dw/dt = A_LTP*x/tau_x*above_plus*above_minus : 1 (clock-driven)
above_plus = int({v}_post > theta_plus)*({v}_post - theta_plus) : {unit}
above_minus = int(u_plus > theta_minus)*(u_plus - theta_minus) : {unit}
dx/dt = -x/tau_x : 1 (clock-driven)
du_minus/dt = ({v}_post - u_minus)/tau_minus : {unit} (clock-driven)
du_plus/dt = ({v}_post - u_plus)/tau_plus : {unit} (clock-driven)
"""

DEPRESS = """
w = clip(w - A_LTD*int(u_minus > theta_minus)*(u_minus - theta_minus), w_min, w_max)
x += 1
"""


@explained
def VoltageSTDP(
    *,
    data_set="visual_cortex",
    theta_minus=None,
    theta_plus=None,
    A_LTD=None,
    A_LTP=None,
    tau_x=None,
    tau_minus=None,
    tau_plus=None,
    w_min=0.0,
    w_max=1.0,
    voltage="v",
    delay_placement="axonal",
) -> PlasticityRule:
    r"""Plasticity that depends on the postsynaptic voltage instead of postsynaptic spikes.

    .. math::
        \dot w = -A_{LTD}\, X\, [\bar u_- - \theta_-]_+
        + A_{LTP}\, \bar x\, [u - \theta_+]_+ [\bar u_+ - \theta_-]_+

    .. math::
        \tau_- \dot{\bar u}_- = u - \bar u_-, \qquad \tau_+ \dot{\bar u}_+ = u - \bar u_+, \qquad
        \tau_x \dot{\bar x} = -\bar x + X

    where X is the train of presynaptic spikes. Integrated with the Euler method, as in the authors'
    code; the potentiation of a step uses the voltage of that step and the filters before it, so
    that a spike that lasts one step does not count as its own past.

    Parameters
    ----------
    data_set : {"visual_cortex", "somatosensory_cortex"}, default "visual_cortex"
        Which fit gives the values that are None (table 1b of the paper).
    theta_minus : Quantity (volt), optional
        Voltage above which the filtered voltage counts, -70.6 mV.
    theta_plus : Quantity (volt), optional
        Voltage above which potentiation sets in, -45.3 mV.
    A_LTD : Quantity (1/volt), optional
        Amplitude of depression, visual cortex: 14e-5 / mV.
    A_LTP : Quantity (1/volt^2), optional
        Amplitude of potentiation, visual cortex: 8e-5 / mV^2.
    tau_x, tau_minus, tau_plus : Quantity (second), optional
        Time constants of the presynaptic trace and of the filtered voltages, visual cortex: 15 ms,
        10 ms and 7 ms.
    w_min, w_max : float, default 0 and 1
        Hard bounds of the weight.
    voltage : str, default "v"
        Name of the voltage in the postsynaptic neurons.
    delay_placement : {"axonal", "dendritic"}, default "axonal"
        Where the delay lies, see PlasticityRule; the voltage is never delayed.

    Returns
    -------
    PlasticityRule
        Clock-driven; cost per synapse and time step. ``u_minus`` and ``u_plus`` start at 0: set
        them to the resting potential before a run.

    Raises
    ------
    ValueError
        If a parameter has the wrong unit or is out of range, or there is no such fit.

    Notes
    -----
    Deviations from the paper: A_LTD is constant, as in the paper's fits (its homeostasis scales it
    with the mean square voltage of a second). The authors' code reads the filters 3 ms late,
    because its spikes last 2 ms; this rule reads them without delay and fits neurons whose spike
    lasts one step. For a neuron without units give all thresholds and amplitudes without units.

    References
    ----------
    Clopath et al., Nat. Neurosci. 13:344-352 (2010), eq. 3 and table 1b.

    Examples
    --------
    >>> from neurosnn import equations
    >>> equations.VoltageSTDP().parameters["theta_plus"]
    -45.3 * mvolt
    """
    if data_set not in FITS:
        raise ValueError(
            f"VoltageSTDP: no fit for data_set={data_set!r}. "
            "The paper gives complete values for two. Choose one of "
            + ", ".join(map(repr, FITS))
            + "."
        )
    values = (theta_minus, theta_plus, A_LTD, A_LTP, tau_x, tau_minus, tau_plus)
    arguments = dict(zip(NAMES, values, strict=True))
    fitted = dict(zip(NAMES, FITS[data_set], strict=True))
    parameters = {
        name: fitted[name] if value is None else value for name, value in arguments.items()
    }
    unit = Quantity(1, dim=get_dimensions(parameters["theta_minus"]))
    non_negative = {"includes_low": True}
    return PlasticityRule(
        name="VoltageSTDP",
        equations=EQUATIONS.format(v=voltage, unit=si_unit(get_dimensions(unit))),
        on_pre=DEPRESS,
        step="w = clip(w, w_min, w_max)",
        method="euler",
        w_min=w_min,
        w_max=w_max,
        delay_placement=delay_placement,
        requires={voltage: unit},
        parameters=parameters,
        ranges={
            "theta_minus": Range(-float("inf") * unit),
            "theta_plus": Range(-float("inf") * unit),
            "A_LTD": Range(0 / unit, **non_negative),
            "A_LTP": Range(0 / unit**2, **non_negative),
            **dict.fromkeys(NAMES[4:], POSITIVE_TIME),
        },
        sources={
            name: f"Clopath 2010, table 1b, {data_set.replace('_', ' ')}"
            if value is None
            else "given by the user"
            for name, value in arguments.items()
        },
        reference=CLOPATH,
    )
