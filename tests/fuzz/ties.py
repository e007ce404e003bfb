"""Whether a difference hangs on the last digit of a number, in stock Brian2 as well.

A step function such as ``(t/(3.65*ms)) % 1`` or ``int(v > 0.6)`` whose argument lies on its jump takes the
side of the rounding. Brian2's targets round differently there (they pull constants out of loops), and so does
any other program: such a case says nothing. It is told from a defect by stock Brian2 alone, which must leave
its path in the same step, or before, if all numbers of the model change by a trillionth or less.
"""

from __future__ import annotations

import dataclasses
import re
from typing import Any

from fuzz.cases import Case

__all__ = ["NUDGES", "nudged"]

NUDGES = (1 + 1e-12, 1 - 1e-12, 1 + 1e-14, 1 - 1e-14)
#: Decimals that are no exponents, which decide about a unit; and whole numbers that stand before a unit.
_NUMBER = re.compile(r"(?<![\w.])(?<!\*\*)(?<!\*\*-)(?:\d+\.\d+|\d+(?=\*(?:ms|mV|nA|nS)\b))")


def nudged(case: Case, factor: float) -> Case:
    """The same case with all of its real numbers multiplied by a factor."""

    def text(code: str) -> str:
        return _NUMBER.sub(lambda match: repr(float(match[0]) * factor), code)

    def value(entry: Any) -> Any:
        if isinstance(entry, str):
            return text(entry)
        number, unit = entry
        if isinstance(number, list | tuple):
            return ([x * factor for x in number], unit)
        return (number * factor if isinstance(number, float) else number, unit)

    return dataclasses.replace(
        case,
        equations=text(case.equations),
        threshold=text(case.threshold),
        reset=text(case.reset),
        step=text(case.step),
        refractory=case.refractory if isinstance(case.refractory, bool) else value(case.refractory),
        parameters={name: value(entry) for name, entry in case.parameters.items()},
        initial={name: value(entry) for name, entry in case.initial.items()},
    )
