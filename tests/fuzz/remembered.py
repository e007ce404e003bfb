"""What Brian2 works out for the same text again and again, kept for the length of a batch.

A model passes Brian2 five times: in the stock group, in its NeuronModel, and in the networks of the online
rule. Its integration step, most of the time of sympy, is the same each time. Nothing here changes a result.
"""

from __future__ import annotations

import functools
import gc
import importlib
from collections.abc import Callable
from typing import Any

import numpy as np
from brian2.core.variables import Variable
from brian2.stateupdaters.base import StateUpdateMethod
from brian2.utils.stringtools import get_identifiers

__all__ = ["forget", "remember"]

_steps: dict[tuple, str] = {}


def remember() -> None:
    """Let Brian2 keep what it works out; harmless if called twice."""
    explicit = importlib.import_module("brian2.stateupdaters.explicit")
    if hasattr(explicit.split_expression, "cache_info"):
        return
    # of the description of a method, not of a model
    explicit.split_expression = functools.lru_cache(explicit.split_expression)
    StateUpdateMethod.apply_stateupdater = staticmethod(
        _remembered(StateUpdateMethod.apply_stateupdater)
    )
    caching = importlib.import_module("brian2.utils.caching")
    caching._hashable = _by_identity(caching._hashable)


def forget() -> None:
    """Free what belongs to models that are done with: Brian2 itself would keep all of it."""
    _steps.clear()
    for module, name in (
        ("brian2.codegen.translation", "make_statements"),
        ("brian2.equations.equations", "parse_string_equations"),
        ("brian2.parsing.statements", "parse_statement"),
        ("brian2.parsing.sympytools", "_str_to_sympy"),
        ("brian2.parsing.sympytools", "sympy_to_str"),
        ("brian2.stateupdaters.exact", "LinearStateUpdater"),
    ):
        function = getattr(importlib.import_module(module), name)
        cached = function.__call__ if isinstance(function, type) else function
        cached._cache.clear()
    gc.collect()


def _remembered(original: Callable) -> Callable:
    """The integration step, by all of the equations and of the names in them that it depends on."""
    direct = getattr(original, "__wrapped__", original)

    @functools.wraps(direct)
    def apply_stateupdater(equations, variables, method, method_options=None, group_name=None):
        written = [equation for equation in equations.ordered if equation.expr is not None]
        names = set().union(*(get_identifiers(equation.expr.code) for equation in written))
        if not isinstance(method, str) or method_options or equations.is_stochastic:
            return direct(equations, variables, method, method_options, group_name)
        key = (
            method,
            tuple(
                (equation.varname, equation.type, equation.expr.code, tuple(equation.flags))
                for equation in written
            ),
            frozenset((name, *_kind(variables[name])) for name in names if name in variables),
        )
        if key not in _steps:
            _steps[key] = direct(equations, variables, method, method_options, group_name)
        return _steps[key]

    return apply_stateupdater


def _kind(variable: Any) -> tuple:
    return (
        isinstance(variable, Variable),
        np.dtype(getattr(variable, "dtype", float)).kind,
        bool(getattr(variable, "constant", True)),
    )


def _by_identity(original: Callable) -> Callable:
    """Variables are the same to Brian2 if they are the same object: no need to read all they hold."""

    def _hashable(obj):
        return obj if isinstance(obj, Variable) else original(obj)

    return _hashable
