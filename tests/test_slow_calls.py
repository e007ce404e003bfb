"""The exponentials of the engine: the library's bits in float64, vector instructions in float32."""

import ast
import ctypes
import math
import subprocess

import numpy as np
import pytest

from neurosnn.engine.build import FLAGS, PRECISION_FLAGS, compiler
from neurosnn.engine.codegen import render
from neurosnn.engine.cpp import Hoister
from neurosnn.engine.slow_calls import Phases

EACH = {
    "double": """extern "C" void each(double* x, long n) {
        for (long k = 0; k < n; k += 128) exp_of_each(x + k, min<long>(128, n - k)); }""",
    "float": """extern "C" void each(float* x, long n) { for (long k = 0; k < n; k++) x[k] = exp_(x[k]); }
    extern "C" void expm1_each(float* x, long n) { for (long k = 0; k < n; k++) x[k] = expm1_(x[k]); }
    extern "C" void tanh_each(float* x, long n) { for (long k = 0; k < n; k++) x[k] = tanh_(x[k]); }
    extern "C" void exprel_each(float* x, long n) { for (long k = 0; k < n; k++) x[k] = exprel_(x[k]); }""",
}


@pytest.fixture(scope="module")
def library(tmp_path_factory):
    """The functions by name of the type, compiled with the engine's own flags."""
    folder = tmp_path_factory.mktemp("exponentials")
    found = {}
    for real, code in EACH.items():
        source = folder / f"{real}.cpp"
        source.write_text(render("numbers.jinja", {}, real=real) + "}\n" + code)
        flags = [*FLAGS, "-march=native", *PRECISION_FLAGS[real]]
        result = folder / f"{real}.so"
        subprocess.run([compiler(), *flags, str(source), "-o", str(result)], check=True)
        found[real] = ctypes.CDLL(str(result))
    return found


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


def test_what_follows_a_flag_is_computed_once():
    hoister = Hoister({"tau", "dt"}, set(), lambda name: name in ("v", "open"), flag="open")
    assert (
        hoister.expression("v*exp(dt*int(open)/tau)") == "u_v * chosen_(open, scalar_0, scalar_1)"
    )
    assert [value for _, value in hoister.definitions()[0]] == [
        "exp_(double((double(u_dt * int_(1))/double(u_tau))))",
        "exp_(double((double(u_dt * int_(0))/double(u_tau))))",
    ]
