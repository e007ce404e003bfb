"""Sums at places of their own, for rows that fill vector registers and rows that do not."""

import ctypes

import numpy as np
import pytest
from engine_cases import functions_of_templates

CODE = """
extern "C" void add_to(real* sums, const int* place, const real* w, long n) {
    add_to_places(sums, place, w, n); }
extern "C" void add_from(real* sums, const int* place, const real* values, long n) {
    add_from_places(sums, values, place, n); }
extern "C" void add_dot(real* sum, const int* place, const real* w, const real* values, long n) {
    *sum = add_dot_at_places(*sum, w, values, place, n); }
"""


@pytest.fixture(scope="module", params=["float", "double"])
def compiled(request, tmp_path_factory):
    """The functions, and the numpy type of their numbers."""
    real = request.param
    names = ["numbers", "rows", "places"]
    library = functions_of_templates(tmp_path_factory.mktemp(real), names, real, CODE, "-O0")
    return library, np.dtype("f4" if real == "float" else "f8")


def test_sums_at_places(compiled):
    """Against numpy, for all lengths up to some registers; nothing beyond a row is touched."""
    library, dtype = compiled
    random = np.random.default_rng(3)
    tolerance = {"rtol": 0, "atol": 50 * np.finfo(dtype).eps}

    def call(name, *arrays, n):
        pointers = [array.ctypes.data_as(ctypes.c_void_p) for array in arrays]
        getattr(library, name)(*pointers, ctypes.c_long(n))

    for n in range(50):
        place = random.permutation(90)[:n].astype(np.int32)
        w, values = random.uniform(-1, 1, n).astype(dtype), random.uniform(-1, 1, 90).astype(dtype)
        sums, expected = values.copy(), values.copy()
        expected[place] += w
        call("add_to", sums, place, w, n=n)
        np.testing.assert_array_equal(sums, expected)
        sums = random.uniform(-1, 1, 60).astype(dtype)
        expected = sums.copy()
        expected[:n] += values[place]
        call("add_from", sums, place, values, n=n)
        np.testing.assert_array_equal(sums, expected)
        total = np.ones(1, dtype)
        call("add_dot", total, place, w, values, n=n)
        np.testing.assert_allclose(total[0], 1 + w.astype(float) @ values[place], **tolerance)
