"""The engine's random numbers in stock Brian2 objects: tables in place of rand() and randn()."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from brian2.equations.codestrings import Expression
from brian2.equations.equations import (
    Equations,
    SingleEquation,
    extract_constant_subexpressions,
)
from brian2.input.timedarray import TimedArray
from brian2.stateupdaters.base import StateUpdateMethod
from brian2.utils.stringtools import get_identifiers, word_substitute

from neurosnn.calculus.step import Draw, model_code, name_draws, with_noise_in_order
from neurosnn.core.draws import DRAWS_OF_A_LAYER, Draws, normal, uniform
from neurosnn.core.messages import message
from neurosnn.core.names import FreeNames
from neurosnn.model import NeuronModel
from neurosnn.model.neuron_group import GroupStrings
from neurosnn.model.noise import RANDOM

if TYPE_CHECKING:
    from neurosnn.network.network import SpikingNetwork
    from neurosnn.network.poisson_drive import PlacedDrive
    from neurosnn.network.simulation import TrialTimes

__all__ = ["Replay", "drive_table"]


class Replay:
    """The random numbers of a population or readout in a simulation of trials.

    Parameters
    ----------
    net : SpikingNetwork
        Its seed and step count.
    draws : Draws
        Which numbers.
    trial_times : TrialTimes
        When the trials run.
    index : int
        Number of the population; the readout is the last.
    n : int
        Neurons.
    """

    def __init__(
        self, net: SpikingNetwork, draws: Draws, trial_times: TrialTimes, index: int, n: int
    ):
        self.key, self.first_trial = draws.key(net.seed), draws.first_trial
        self.trial_times, self.index, self.n = trial_times, index, n

    def strings(self, model: NeuronModel, restart: str) -> tuple[GroupStrings, str]:
        """The strings of a model that read tables, and the same of code that runs before a trial.

        Parameters
        ----------
        model : NeuronModel
            A model with noise.
        restart : str
            Statements, in which only the model's `held` variables are random: at the first step of a trial
            they get the numbers of that step.

        Returns
        -------
        strings : GroupStrings
            With the tables in the namespace.
        restart : str
            The statements.

        Raises
        ------
        ValueError
            If an initial value is random.
        """
        draws = list(model_code(model).draws)
        for name, value in model.initial.items():
            if isinstance(value, str) and RANDOM & get_identifiers(value):
                raise ValueError(
                    message(
                        f"the initial value of {name} is random: {value!r}.",
                        "SpikingNetwork.brian2",
                        "The draws that are handed over are those of the steps.",
                        "Give the neurons values, or leave out draws.",
                    )
                )
        free = FreeNames(model.namespace.variables)
        calls, tables = {}, {}
        for number, draw in enumerate(draws):
            name = free(f"draws_{number}")
            calls[draw.name] = f"{name}(t, i)"
            tables[name] = TimedArray(self._table(number, draw), dt=self.trial_times.dt)
        named: list[Draw] = []

        def replaced(code: str, *, at_reset: bool = False) -> str:
            return word_substitute(name_draws(code, named, at_reset=at_reset), calls)

        constants = extract_constant_subexpressions(model.brian_equations)[1]
        expressions = {eq.varname: replaced(eq.expr.code) for eq in constants.ordered}
        refractory = model.refractory
        if isinstance(refractory, str):
            refractory = replaced(refractory)
        before = list(named)
        # the numbers of the state update lie between those before it and those after it
        after: list[Draw] = []
        for code in (model.step, model.threshold, model.reset):
            name_draws(code, after)
        named += draws[len(before) : len(draws) - len(after)]

        def update(equations: Any, variables: Any, options: Any) -> str:
            code = StateUpdateMethod.apply_stateupdater(
                equations, variables, model.method, method_options=options
            )
            return word_substitute(name_draws(with_noise_in_order(code), list(before)), calls)

        strings = GroupStrings(
            equations=_with_expressions(model.brian_equations, expressions),
            refractory=refractory,
            method=update,
            step=replaced(model.step),
            threshold=replaced(model.threshold),
            reset=replaced(model.reset, at_reset=True),
            namespace={**model.timed_arrays, **tables},
        )
        return strings, word_substitute(name_draws(restart, []), calls)

    def _table(self, number: int, draw: Draw) -> np.ndarray:
        """The numbers of a call in all steps of the simulation and all neurons; between trials zero."""
        n_steps, period = self.trial_times.n_steps, self.trial_times.period
        values = np.zeros((len(n_steps) * period + 1, self.n))
        place = self.index * DRAWS_OF_A_LAYER + number
        function = normal if draw.is_normal else uniform
        for k, steps in enumerate(n_steps):
            values[k * period :][:steps] = function(
                self.key, self.first_trial + k, np.arange(steps)[:, None], place, np.arange(self.n)
            )
        return values


def drive_table(
    net: SpikingNetwork, placed: PlacedDrive, draws: Draws, trial_times: TrialTimes
) -> np.ndarray:
    """What a PoissonDrive adds in all steps of a simulation of trials; between them zero.

    Parameters
    ----------
    net : SpikingNetwork
        Its seed and time step.
    placed : PlacedDrive
        One of its drives.
    draws : Draws
        Which numbers.
    trial_times : TrialTimes
        When the trials run.

    Returns
    -------
    ndarray (n_steps + 1, n_neurons)
        In SI values.
    """
    n_steps, period = trial_times.n_steps, trial_times.period
    key = draws.key(net.seed)
    values = np.zeros((len(n_steps) * period + 1, net.layer(placed.drive.target).n))
    for k, steps in enumerate(n_steps):
        trial = draws.first_trial + k
        values[k * period :][:steps] = placed.added(net, key, trial, np.arange(steps))
    return values


def _with_expressions(equations: Equations, texts: dict[str, str]) -> Equations:
    """Equations with other expressions for some variables."""
    return Equations(
        [
            SingleEquation(
                eq.type,
                eq.varname,
                eq.dim,
                var_type=eq.var_type,
                expr=Expression(texts[name]) if name in texts else eq.expr,
                flags=eq.flags,
            )
            for name, eq in equations.items()
        ]
    )
