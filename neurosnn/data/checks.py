"""Checks shared by the containers, the encoders and the readers.

Every message has four parts: what is wrong with the value, where it was given, why it cannot be
used, and what to do.
"""

import numbers

import numpy as np
from brian2.units import Hz, Quantity, get_dimensions, ms, second

from neurosnn.core.texts import check_plain_text
from neurosnn.core.values import check_whole

_TIME = get_dimensions(second)


def plain_names(names, field, *, where):
    """Names of classes, speakers or trials as a tuple, if people can read all of them."""
    names = tuple(str(name) for name in names)
    for name in names:
        check_plain_text(name, field=f"one of {field}", where=where, longest=1000)
    return names


def seconds(value, name, *, where, zero_ok=False):
    """The float number of seconds in a time Quantity, or an error naming the argument."""
    if get_dimensions(value) is not _TIME:
        unit = "dimensionless" if not isinstance(value, Quantity) else value.get_best_unit()
        raise ValueError(
            f"{where}: {name} must be a time, got {value!r} ({unit}). Times carry units so that "
            f"ms and s are never mixed up. Write for example {name}=20*ms."
        )
    number = np.asarray(value, dtype=float)
    if number.ndim:
        raise ValueError(
            f"{where}: {name} must be one time, got an array of shape {number.shape}. One value "
            f"holds for all trials. Write for example {name}=20*ms."
        )
    number = float(number)
    if not np.isfinite(number) or number < 0 or (number == 0 and not zero_ok):
        bound = "zero or more" if zero_ok else "greater than zero"
        raise ValueError(
            f"{where}: {name} must be finite and {bound}, got {number / float(ms):g} ms. A length "
            f"of time cannot be anything else. Write for example {name}=20*ms."
        )
    return number


def hertz(value, name, *, where):
    """The float number of a frequency Quantity, or an error naming the argument."""
    number = np.asarray(value, dtype=float)
    is_rate = get_dimensions(value) is get_dimensions(Hz) and number.ndim == 0
    if not is_rate or not np.isfinite(number) or number <= 0:
        shown = value if isinstance(value, Quantity) else f"{value!r} (dimensionless)"
        raise ValueError(
            f"{where}: {name} must be one frequency greater than zero, got {shown}. Rates carry "
            f"units so that Hz and kHz are never mixed up. Write for example {name}=8000*Hz."
        )
    return float(number)


def fraction(value, name, *, where, open_ends=False):
    """A float in [0, 1], or in (0, 1) with ``open_ends``."""
    ok = isinstance(value, numbers.Real) and (0 < value < 1 if open_ends else 0 <= value <= 1)
    if not ok:
        interval = "between 0 and 1, ends excluded" if open_ends else "between 0 and 1"
        raise ValueError(
            f"{where}: {name} must be a number {interval}, got {value!r}. It is a share of the "
            f"whole. Write for example {name}=0.2."
        )
    return float(value)


def positive_int(value, name, *, where, minimum=1):
    """An int of at least ``minimum``."""
    return check_whole(name, value, minimum, where=where, why="It counts things.")


def generator(seed, *, where):
    """A numpy Generator from an int seed, or the given Generator itself."""
    if isinstance(seed, np.random.Generator):
        return seed
    if isinstance(seed, bool) or not isinstance(seed, numbers.Integral) or seed < 0:
        raise ValueError(
            f"{where}: seed must be a whole number or a numpy Generator, got {seed!r}. Without a "
            f"seed the result could not be made again. Write for example seed=0."
        )
    return np.random.default_rng(int(seed))


def choice(value, name, allowed, *, where):
    """``value`` if it is one of ``allowed``."""
    if value not in allowed:
        listed = ", ".join(repr(a) for a in allowed)
        raise ValueError(
            f"{where}: {name}={value!r} is not known. The choices are {listed}. Pass one of them."
        )
    return value


def integers(values, name, *, where, length=None, dtype=np.int64):
    """A one-dimensional integer array of the wanted length."""
    array = np.asarray(values)
    if array.size == 0:
        array = array.astype(np.int64)
    if array.ndim != 1 or array.dtype.kind not in "iu":
        raise ValueError(
            f"{where}: {name} must be a one-dimensional array of integers, got shape "
            f"{array.shape} of {array.dtype}. It holds one number an item. Convert it with "
            f"np.asarray({name}, dtype=np.int64)."
        )
    if length is not None and len(array) != length:
        raise ValueError(
            f"{where}: {name} has {len(array)} items where {length} are needed. There must be "
            f"exactly one for each. Pass {length} of them."
        )
    wide = np.iinfo(dtype)
    if array.size and (int(array.max()) > wide.max or int(array.min()) < wide.min):
        raise ValueError(
            f"{where}: {name} holds {int(array.max())}, more than {np.dtype(dtype)} can. It would "
            f"wrap around without a word. Check how {name} was made."
        )
    return array.astype(dtype)


def frozen(array):
    """A read-only view of the array."""
    view = array.view()
    view.flags.writeable = False
    return view
