"""Exponentials and quotients of the engine: the library's bits in float64, vector instructions in float32."""

import ast
import ctypes
import math

import numpy as np
import pytest
from engine_cases import functions_of_templates

from neurosnn.core.symbolic import MARK
from neurosnn.engine.cpp import Hoister
from neurosnn.engine.slow_calls import Phases

EACH = {
    "double": """extern "C" void each(double* x, long n) {
        for (long k = 0; k < n; k += 128) exp_of_each(x + k, min<long>(128, n - k)); }
    extern "C" void divide(double* x, long n, const double* c) { divide_each(x, n, *c); }""",
    "float": """extern "C" void each(float* x, long n) { for (long k = 0; k < n; k++) x[k] = exp_(x[k]); }
    extern "C" void expm1_each(float* x, long n) { for (long k = 0; k < n; k++) x[k] = expm1_(x[k]); }
    extern "C" void tanh_each(float* x, long n) { for (long k = 0; k < n; k++) x[k] = tanh_(x[k]); }
    extern "C" void exprel_each(float* x, long n) { for (long k = 0; k < n; k++) x[k] = exprel_(x[k]); }""",
}


@pytest.fixture(scope="module")
def library(tmp_path_factory):
    """The functions by name of the type, compiled with the engine's own flags."""
    folder = tmp_path_factory.mktemp("exponentials")
    return {
        real: functions_of_templates(folder, ["numbers"], real, code) for real, code in EACH.items()
    }


def applied(function, x):
    x = np.ascontiguousarray(x).copy()
    function(x.ctypes.data_as(ctypes.c_void_p), ctypes.c_long(len(x)))
    return x


def test_the_exponential_has_the_bits_of_the_library(library):
    """Also where the result is close to the middle between two numbers, and at the ends of the range."""
    random = np.random.default_rng(0)
    x = np.concatenate(
        [random.uniform(-size, size, 40_000) for size in (1e-9, 1e-3, 0.1, 1, 10, 100, 760)]
        + [[0.0, -0.0, 5e-324, -1e-17, 1e-17, 709.78, 709.79, -745.2, -708.4, np.inf, -np.inf]]
    )
    with np.errstate(over="ignore"):
        expected = [math.exp(v) if v < 709.782 else math.inf for v in x]
    np.testing.assert_array_equal(applied(library["double"].each, x), expected)
    assert np.isnan(applied(library["double"].each, np.array([np.nan]))).all()


def divided(library, x, c):
    """x/c as the engine computes it, and as a division does."""
    found = np.ascontiguousarray(x, float).copy()
    library["double"].divide(
        *(found.ctypes.data_as(ctypes.c_void_p), ctypes.c_long(len(found))),
        ctypes.byref(ctypes.c_double(c)),
    )
    with np.errstate(all="ignore"):
        return found.view(np.int64), (np.asarray(x, float) / c).view(np.int64)


@pytest.mark.parametrize("c", [0.02, -0.005, 1e-9, 3.0, 1.0, 1 - 2**-53, 1 + 2**-52, 2e-310, 1e308])
def test_a_quotient_has_the_bits_of_a_division(library, c):
    """Over the range of the fast way, and with numbers that make all of a strip take the slow one."""
    random = np.random.default_rng(1)
    signs = random.choice([-1, 1], 20_000)
    x = signs * 2 ** random.uniform(-60, 60, 20_000)
    zeros = np.array([0.0, -0.0])
    tiny = 2 ** random.uniform(-1074, -960, 20_000)
    for more in (zeros, tiny, -tiny, *([one] for one in (1e250, 1e307, np.inf, np.nan))):
        found, expected = divided(library, np.concatenate([x, zeros, more]), c)
        np.testing.assert_array_equal(found, expected)


def test_a_quotient_next_to_the_middle_between_two_numbers(library):
    """Of all quotients x/c the one that is closest to the middle m of two numbers: 2**54 x = m c + 1 or - 1.

    A product with 1/c in two parts alone is wrong for some of them.
    """
    random, found = np.random.default_rng(2), 0
    for c in (2 * random.integers(2**51, 2**52, 4000) + 1).tolist():
        for rest in (1, -1):
            m = -rest * pow(c, -1, 2**54) % 2**54
            x = (m * c + rest) >> 54
            if m >= 2**53 and x >= 2**52:
                assert (m * c + rest) % 2**54 == 0
                np.testing.assert_array_equal(*divided(library, [x, -x], c))
                found += 1
    assert found > 1000


@pytest.mark.parametrize(
    ("name", "exact"),
    [
        ("each", np.exp),
        ("expm1_each", np.expm1),
        ("tanh_each", np.tanh),
        ("exprel_each", lambda x: np.expm1(x) / x),
    ],
)
def test_single_precision_is_right_to_a_few_units_in_the_last_place(library, name, exact):
    random = np.random.default_rng(0)
    x = np.concatenate([random.uniform(-s, s, 20_000) for s in (1e-4, 0.1, 1, 10, 80)]).astype(
        np.float32
    )
    expected = exact(x.astype(float))
    error = np.abs(applied(getattr(library["float"], name), x) - expected)
    unit = np.spacing(np.maximum(np.abs(expected), 1e-37).astype(np.float32))
    assert np.max(error / unit) < 4


def test_single_precision_at_the_ends(library):
    x = np.array([0.0, 88.7, 89.5, 1e30, np.inf, -np.inf, -200.0, np.nan], np.float32)
    found = applied(library["float"].each, x)
    assert found[0] == 1
    assert abs(found[1] / math.exp(88.7) - 1) < 1e-5
    assert np.all(np.isinf(found[2:5]))
    assert np.all(found[5:7] == 0)
    assert np.isnan(found[7])


def test_a_call_waits_for_what_it_reads():
    """The same call twice is one, and after a new value another; what reads a value comes a phase later."""
    phases = Phases()
    for variable, text in (("a", "exp(x)"), ("b", "exp(x) + log(a)"), ("x", "b"), ("c", "exp(x)")):
        tree = ast.parse(text, mode="eval").body
        phases.add(f"{variable} = ", tree, ";", variable, keeps=False)
    assert [call[1:] for call in phases.calls] == [
        ("exp_({})", "u_x", 0, 0),
        ("log({})", "u_a", 1, 1),
        ("exp_({})", "u_x", 3, 2),
    ]
    assert [phase for _, phase in phases.lines] == [1, 2, 2, 3]
    assert phases.lines[1][0] == "b = call_0[k] + call_1[k];"


def test_powers_are_taken_out_where_they_call_a_function():
    phases = Phases()
    tree = ast.parse("exp(x)**2.5 + x**3", mode="eval").body
    phases.add("y = ", tree, ";", "y", keeps=False)
    assert [call[1:3] for call in phases.calls] == [
        ("exp_({})", "u_x"),
        ("std::pow({}, real(real(2.5)))", "call_0[k]"),
    ]
    assert phases.lines == [("y = call_1[k] + (power_<3>(real(u_x)));", 2)]


def test_divisions_by_constants_are_taken_out_beside_slow_functions():
    """A quotient is known a phase after what is divided; a division by what varies stays."""
    phases = Phases()
    fixed = f"{MARK}scalar_0"
    for variable, text in (("a", f"x/{fixed} + x/y"), ("b", f"exp(a/{fixed})")):
        tree = ast.parse(text, mode="eval").body
        phases.add(f"{variable} = ", tree, ";", variable, keeps=False)
        assert phases.calls_slow_functions == (variable == "b")
    assert [call[1:] for call in phases.calls] == [
        ("{}/scalar_0", "u_x", 0, 0),
        ("{}/scalar_0", "u_a", 1, 1),
        ("exp_({})", "call_1[k]", 1, 2),
    ]
    assert phases.lines == [
        ("a = call_0[k] + ((real(u_x)/real(u_y)));", 1),
        ("b = call_2[k];", 3),
    ]


def test_what_follows_a_flag_is_computed_once():
    hoister = Hoister({"tau", "dt"}, set(), lambda name: name in ("v", "open"), flag="open")
    assert (
        hoister.expression("v*exp(dt*int(open)/tau)") == "u_v * chosen_(open, scalar_0, scalar_1)"
    )
    assert [value for _, value in hoister.definitions()[0]] == [
        "exp_(double((double(u_dt * int_(1))/double(u_tau))))",
        "exp_(double((double(u_dt * int_(0))/double(u_tau))))",
    ]
