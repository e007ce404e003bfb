"""A compiled engine as Python calls it: one structure of numbers and addresses in, spikes out."""

from __future__ import annotations

import ctypes
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from neurosnn.core.messages import message
from neurosnn.core.values import dtype_name
from neurosnn.engine.build import load_library

__all__ = ["REAL", "Program", "precision"]

#: What the generated code calls a real number.
REAL = {"float32": "float", "float64": "double"}
C_TYPES = {"int64_t": ctypes.c_int64, "double": ctypes.c_double}


def precision(dtype: str, *, where: str) -> np.dtype:
    """The type of the arithmetic, or an error if the generated code does not know it."""
    return np.dtype(dtype_name(dtype, where=where))


class Program:
    """A library that was compiled from generated C++, and the state that it keeps between calls.

    Parameters
    ----------
    source : str
        The C++ file.
    fields : list of (str, str)
        Names and C++ types of the members of its Batch structure.
    dtype : numpy.dtype
        Arithmetic.
    flags : sequence of str
        More flags of the compiler.

    Raises
    ------
    RuntimeError
        If there is no C++ compiler, or it refuses the source.
    """

    def __init__(
        self,
        source: str,
        fields: list[tuple[str, str]],
        dtype: np.dtype,
        flags: Sequence[str] = (),
    ):
        self._library = load_library(source, real=REAL[dtype.name], flags=flags)
        self._library.engine_create.restype = ctypes.c_void_p
        self._library.engine_destroy.argtypes = [ctypes.c_void_p]
        self._library.engine_run.argtypes = [ctypes.c_void_p, ctypes.c_void_p]
        if hasattr(self._library, "engine_spikes"):  # a network; a single neuron lists none
            self._library.engine_spikes.restype = ctypes.c_int64
            self._library.engine_spikes.argtypes = [
                ctypes.c_void_p,
                ctypes.c_int64,
                ctypes.c_int64,
                ctypes.c_void_p,
                ctypes.c_void_p,
            ]
        self._structure = type(
            "Batch",
            (ctypes.Structure,),
            {"_fields_": [(name, C_TYPES.get(kind, ctypes.c_void_p)) for name, kind in fields]},
        )
        self._handle = self._library.engine_create()

    def __del__(self):
        if getattr(self, "_handle", None):
            self._library.engine_destroy(self._handle)

    def run(self, values: Mapping[str, Any]) -> None:
        """Run a batch; results are written into the arrays among the values.

        Parameters
        ----------
        values : mapping of str to number or ndarray
            Members of the structure; of an array its address. What is left out is zero.

        Raises
        ------
        MemoryError
            If a thread has no memory for its trial.
        """
        structure = self._structure(
            **{
                name: value.ctypes.data if isinstance(value, np.ndarray) else value
                for name, value in values.items()
            }
        )
        if self._library.engine_run(self._handle, ctypes.byref(structure)):
            raise MemoryError(
                message(
                    "not enough memory for one trial per thread.",
                    "engine",
                    "Each thread keeps the history of a trial.",
                    "Use fewer threads or shorter trials.",
                )
            )

    def spikes(self, trial: int, layer: int) -> tuple[np.ndarray, np.ndarray]:
        """Steps and neurons of all spikes of a layer in a trial of the last batch."""
        number = self._library.engine_spikes(self._handle, trial, layer, None, None)
        step, neuron = np.zeros(number, np.int32), np.zeros(number, np.int32)
        if number:
            self._library.engine_spikes(
                self._handle, trial, layer, step.ctypes.data, neuron.ctypes.data
            )
        return step, neuron
