r"""Pseudo-derivatives psi of a spike as Brian2 strings, for the `surrogate` of a NeuronModel.

Each function takes the margin of the threshold as a string, for example ``"v - v_th"``, and its
width: the margin over which psi falls off, a string, a number or a Quantity in the unit of the margin.
Both may be left out: the model then writes the margin of its own threshold, and as width how far a spike
moves that (the distance from threshold to reset). With :math:`x = margin/width`,

======================  ==========================================================================
`triangle`              :math:`\max(0, 1 - |x|)` (Bellec et al. 2018)
`arctan`                :math:`\frac{\alpha}{2} / (1 + (\frac{\pi}{2} \alpha x)^2)`, the derivative
                        of :math:`\frac{1}{\pi}\arctan(\frac{\pi}{2}\alpha x)` (Fang et al. 2021)
`fast_sigmoid`          :math:`1/(1 + |x|)^2` (Zenke & Ganguli 2018)
`straight_through`      1 where :math:`|x| < 1`, else 0 (Bengio et al. 2013)
======================  ==========================================================================

times height/width.

>>> from brian2 import ms, mV
>>> from neurosnn import NeuronModel
>>> from neurosnn.equations import surrogates
>>> strings = {"equations": "dv/dt = -v/(20*ms) : volt", "threshold": "v > 15*mV", "reset": "v = 0*mV"}
>>> NeuronModel(**strings, surrogate=surrogates.triangle(width=5*mV)).surrogate
'1.0/(0.005*volt)*clip(1 - abs((((v) - (15 * mV))/(0.005*volt))), 0, 1)'
>>> NeuronModel(**strings, surrogate=surrogates.triangle()).surrogate
'1.0/(15*mV)*clip(1 - abs((((v) - (15 * mV))/(15*mV))), 0, 1)'
"""

from brian2.units.fundamentalunits import Quantity

from neurosnn.model import unit_text
from neurosnn.model.surrogate import MARGIN, WIDTH

__all__ = ["arctan", "fast_sigmoid", "straight_through", "triangle"]


def _scaled(margin: str, width: str | float | Quantity, height: float) -> tuple[str, str]:
    """x, and the factor in front; a width of 1 is left out."""
    if isinstance(width, Quantity):
        width = f"{float(width)!r}*{unit_text(width.dim)}"
    if str(width) == "1":
        return f"({margin})", f"{height}"
    return f"(({margin})/({width}))", f"{height}/({width})"


def triangle(
    margin: str = MARGIN, width: str | float | Quantity = WIDTH, *, height: float = 1.0
) -> str:
    """Triangle of `width` on both sides.

    >>> from neurosnn.equations.surrogates import triangle
    >>> triangle("v - v_th", "v_th", height=0.3)
    '0.3/(v_th)*clip(1 - abs(((v - v_th)/(v_th))), 0, 1)'
    >>> from brian2 import mV
    >>> triangle("v - v_th", 20*mV)
    '1.0/(0.02*volt)*clip(1 - abs(((v - v_th)/(0.02*volt))), 0, 1)'
    """
    x, factor = _scaled(margin, width, height)
    return f"{factor}*clip(1 - abs({x}), 0, 1)"


def arctan(
    margin: str = MARGIN,
    width: str | float | Quantity = WIDTH,
    *,
    alpha: float = 2.0,
    height: float = 1.0,
) -> str:
    """Derivative of an arcus tangens, alpha/2 high at x = 0."""
    x, factor = _scaled(margin, width, height * alpha / 2)
    return f"{factor}/(1 + ({alpha / 2}*pi*{x})**2)"


def fast_sigmoid(
    margin: str = MARGIN, width: str | float | Quantity = WIDTH, *, height: float = 1.0
) -> str:
    """Derivative of x/(1 + abs(x))."""
    x, factor = _scaled(margin, width, height)
    return f"{factor}/(1 + abs({x}))**2"


def straight_through(
    margin: str = MARGIN, width: str | float | Quantity = WIDTH, *, height: float = 1.0
) -> str:
    """The same slope wherever the margin is smaller than the width."""
    x, factor = _scaled(margin, width, height)
    return f"{factor}*int(abs({x}) < 1)"
