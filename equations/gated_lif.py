"""Multi-bit spiking neurons with gated synaptic current (Ponghiran & Roy 2022)."""

from neurosnn.model import NeuronModel, Range, explained

__all__ = ["GatedLIF"]

PONGHIRAN = "Ponghiran & Roy, AAAI 36:8001 (2022), arXiv:2109.01905"

# What is left of the membrane after the last spike, plus the current; its quantized value is
# sent by a spike if its code is above theta. Truncation is toward zero.
QUANTIZE = """
u += I_syn
y = sign(u)*floor(abs(clip(u, -u_max, u_max))*(scale/u_max) + rounding)/(scale/u_max)
"""
CURRENT = {
    "conventional": "I_syn = leak*I_syn + x\nx = 0",
    "gated": """
F = 1/(1 + exp(-(f + b_f)))
I_syn = F*I_syn + (1 - F)*clip(c + b_c, 0, inf)
f = 0
c = 0
""",
}
VARIANTS = ("conventional", "v1", "v2")
# Keeps the largest code below 2**(bits - 1), as in the authors' code.
BELOW_ONE = 1 - 1e-4


@explained
def GatedLIF(
    *, variant="v2", bits=6, theta=3, u_max=1.0, leak=1.0, b_f=0.0, b_c=0.0
) -> NeuronModel:
    r"""Neuron whose synaptic current is gated, and whose spikes carry a quantized residue.

    .. math::
        F = \sigma(f + b_f), \quad C = \max(0, c + b_c), \quad
        I^n = F \odot I^{n-1} + (1 - F) \odot C

    .. math::
        U^n = U_{res}^{n-1} + I^n, \qquad Y^n = Q(U^n), \qquad U_{res}^n = U^n - Y^n

    .. math::
        Q(U) = \frac{q}{s}\,[|q| > \theta], \quad q = \mathrm{trunc}(s\,\mathrm{clip}(U, \pm m)),
        \quad s = 2^{bits-1} (1 - 10^{-4})/m, \quad \frac{dQ}{dU} = [|U| \le m]

    f and c are sums of weighted inputs. In v1 they come from the layer below only, in v2 also from
    the layer's own :math:`Y^{n-1}`: connections, not strings, so that both have the same ones. The
    conventional neuron has :math:`I^n = leak\,I^{n-1} + x`. One step is one frame.

    Parameters
    ----------
    variant : {"v2", "v1", "conventional"}
        Which of the paper's three neurons.
    bits : int, default 6
        Bits of a spike, one of them the sign (paper: 6; widths of 1, 3, 5 and 32 are studied).
        With one bit the released quantizer gives zero for all U; here the code is then rounded
        instead of truncated: :math:`\pm m` from :math:`|U| > m/2` on.
    theta : int, default 3
        Largest code that is not sent (paper: 3).
    u_max : float, default 1
        Range m, which training tracks.
    leak : float or array, default 1
        Factor of the current, of the conventional neuron only (released code: learned from 1 on).
    b_f, b_c : float or array, default 0
        Bias of the gate and of the candidate, of v1 and v2 only.

    Returns
    -------
    NeuronModel
        States I_syn, u, y and the inputs (x, or f and c). Its spikes transmit y.

    Raises
    ------
    ValueError
        For an unknown variant, no whole number of bits, theta so large that no code can be sent, or
        a parameter out of range.

    Notes
    -----
    Deviation: where U is exactly 0 the derivative of Q is 0 here and 1 in the paper.

    References
    ----------
    Ponghiran & Roy, AAAI 2022, and its released code (wponghiran/imp-snns-for-sl).

    Examples
    --------
    >>> from neurosnn import equations
    >>> equations.GatedLIF().inputs, equations.GatedLIF().transmits
    (('c', 'f'), 'y')
    """
    if variant not in VARIANTS:
        raise ValueError(
            f"GatedLIF: unknown variant {variant!r}. The paper has three neurons. "
            f"Choose one of {', '.join(VARIANTS)}."
        )
    if bits != int(bits) or bits < 1 or (bits > 1 and float(theta) >= 2 ** (bits - 1) - 1):
        raise ValueError(
            f"GatedLIF: bits={bits} and theta={theta} leave no code that could be sent. Codes go "
            f"from theta + 1 to 2**(bits - 1) - 1. Use more bits or a smaller theta."
        )
    if bits == 1 and float(theta) > 0:
        raise ValueError(
            f"GatedLIF: theta={theta} with one bit leaves no code that could be sent. The only code "
            f"is 1. Use theta=0."
        )
    conventional = variant == "conventional"
    leak_or_biases = {"leak": leak} if conventional else {"b_f": b_f, "b_c": b_c}
    inputs = ("x",) if conventional else ("c", "f")
    return NeuronModel(
        name="GatedLIF",
        equations="\n".join(f"{name} : 1" for name in ("I_syn", "u", "y", *inputs)),
        step=CURRENT["conventional" if conventional else "gated"] + "\n" + QUANTIZE,
        threshold="abs(clip(u, -u_max, u_max))*(scale/u_max) + rounding >= theta + 1",
        reset="u -= y",
        inputs=inputs,
        surrogate="sign(u)*int(abs(u) <= u_max)/(scale/u_max)",
        spike_gradient=("u",),
        transmits="y",
        parameters={
            "scale": 2.0 ** (bits - 1) * BELOW_ONE,
            "theta": 1.0 * theta,
            "u_max": u_max,
            "rounding": 0.5 if bits == 1 else 0.0,
            **leak_or_biases,
        },
        ranges={
            "u_max": Range(0),
            "theta": Range(0, includes_low=True),
            **({"leak": Range(0, includes_low=True)} if conventional else {}),
        },
        sources={
            "scale": "released code: 2**(bits - 1), 6 bits",
            "theta": "released code: 3",
            "u_max": "tracked in training",
            "rounding": "ours, for one bit; the released code truncates",
            **(
                {"leak": "released code: starts at 1"}
                if conventional
                else {"b_f": "batch normalization of the gate", "b_c": "same of the candidate"}
            ),
        },
        reference=PONGHIRAN,
    )
