"""What a trained network answers: scores, decisions, outputs, and what its neurons did."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from typing import Any

import numpy as np

from neurosnn.core.arguments import explained
from neurosnn.core.messages import message
from neurosnn.core.values import check_whole
from neurosnn.engine import Engine
from neurosnn.losses import Loss
from neurosnn.training.backends import in_batches
from neurosnn.training.batches import TrialSource, steps_of
from neurosnn.training.confusion import Confusion, confusion_matrix
from neurosnn.training.recording import Recording, record_trials, simulate_outputs

__all__ = ["Answers"]

_WHERE = "Trainer"


class Answers:
    """The part of a :class:`Trainer` that changes nothing: what the network makes of trials."""

    net: Any
    loss: Loss
    backend: Any
    dtype: str
    _threads: int | None
    _engine: Engine | None = None

    @abstractmethod
    def _check(self, trials: Any, targets: Any, where: str) -> TrialSource:
        """Trials and targets that fit, or an error."""

    @explained(trials="trainer.scores(test)")
    def scores(self, trials: Any, *, targets: Any = None, batch_size: int = 256) -> np.ndarray:
        """Scores of the outputs: the weighted outputs, whose largest is the answer.

        Parameters
        ----------
        trials : SpikeTrials or FrameTrials
            The trials.
        targets : array, optional
            As for :meth:`fit`.
        batch_size : int, optional
            Trials run at a time.

        Returns
        -------
        ndarray (trials, n_out)
            For labels per step one row a step, trial after trial, if the backend gives them.
        """
        return self._scores(trials, targets, batch_size, "Trainer.scores")

    def _scores(self, trials: Any, targets: Any, batch_size: int, where: str) -> np.ndarray:
        check_whole("batch_size", batch_size, 1, where=where)
        source = self._check(trials, targets, where)
        return np.concatenate(
            [
                self.backend.run(part.trials, targets=part.targets, **draws).scores
                for part, draws in in_batches(self.net, source, batch_size)
            ]
        )

    @explained(trials="trainer.predict(test)")
    def predict(self, trials: Any, *, targets: Any = None, batch_size: int = 256) -> np.ndarray:
        """The answer of the network: a class, or with MeanSquareError the mean output, of each trial.

        Parameters
        ----------
        trials : SpikeTrials or FrameTrials
            The trials.
        targets : array, optional
            As for :meth:`fit`.
        batch_size : int, optional
            Trials run at a time.

        Returns
        -------
        ndarray of int, or of float (trials, n_out)
            The output with the largest score for each row of :meth:`scores`; for labels per step that of
            each step, trial after trial. With MeanSquareError the output, averaged over the steps that
            count.
        """
        check_whole("batch_size", batch_size, 1, where=_WHERE)
        if not (self.loss.follows_signal or self.loss.decides_steps):
            scores = self._scores(trials, targets, batch_size, "Trainer.predict")
            return np.asarray(np.argmax(scores, axis=-1))
        source = self._inputs(trials, "Trainer.predict")
        outputs, n_steps = simulate_outputs(self._simulator(), self.net, source, batch_size)
        inside = np.arange(outputs.shape[1]) < n_steps[:, None]
        if self.loss.decides_steps:
            return np.asarray(np.argmax(outputs[inside], axis=-1))
        weights = np.zeros(outputs.shape[:2])
        weights[inside] = self.loss.step_weights(n_steps, self.net.dt)
        mean = np.einsum("ts,tsk->tk", weights, np.nan_to_num(outputs))
        return np.asarray(mean / weights.sum(axis=1)[:, None])

    @explained(trials="trainer.outputs(test)")
    def outputs(self, trials: Any, *, batch_size: int = 256) -> np.ndarray:
        """The readout y(t) of the network in each step of the trials.

        Parameters
        ----------
        trials : SpikeTrials or FrameTrials
            The trials; labels play no part.
        batch_size : int, optional
            Trials run at a time.

        Returns
        -------
        ndarray (trials, longest, n_out)
            At the end of each step; nan after the end of a shorter trial.

        Raises
        ------
        ValueError
            Trials that do not fit the network.
        RuntimeError
            If there is no C++ compiler.
        """
        check_whole("batch_size", batch_size, 1, where=_WHERE)
        source = self._inputs(trials, "Trainer.outputs")
        return simulate_outputs(self._simulator(), self.net, source, batch_size)[0]

    def record(
        self, trials: Any, what: Sequence[str] | str = ("spikes",), *, batch_size: int = 256
    ) -> Recording:
        """Spikes and states of the layers in some trials, from the engine.

        Parameters
        ----------
        trials : SpikeTrials or FrameTrials
            The trials; labels play no part.
        what : sequence of str, optional
            "spikes", "output", and names of states such as "v", of all layers that have them; of one
            layer "hidden.spikes", "hidden.v".
        batch_size : int, optional
            Trials run at a time.

        Returns
        -------
        Recording
            Named tuple of t, n_steps, output, spikes and states. A state takes 8 bytes a trial, step and
            neuron.

        Raises
        ------
        ValueError
            Trials that do not fit the network, or nothing is called so.
        RuntimeError
            If there is no C++ compiler.
        """
        check_whole("batch_size", batch_size, 1, where=_WHERE)
        source = self._inputs(trials, "Trainer.record")
        return record_trials(self._simulator(), self.net, source, what, batch_size)

    @explained(trials="trainer.confusion(test)")
    def confusion(self, trials: Any, *, targets: Any = None, batch_size: int = 256) -> Confusion:
        """Which class was taken for which.

        Parameters
        ----------
        trials : SpikeTrials or FrameTrials
            The trials, with labels.
        targets : array, optional
            Labels per step, as for :meth:`fit`.
        batch_size : int, optional
            Trials run at a time.

        Returns
        -------
        Confusion
            Counts by true and predicted class, accuracy of each class, a ``table()``;
            ``analysis.plot_confusion`` draws it.

        Raises
        ------
        ValueError
            If the loss decides between no classes, or trials or labels do not fit.
        """
        where = "Trainer.confusion"
        if not (self.loss.decides_trials or self.loss.decides_steps):
            raise ValueError(
                message(
                    f"the loss {self.loss.name!r} does not decide between classes.",
                    where,
                    "It compares outputs with values.",
                    "See 'mse' and 'r2' of trainer.evaluate(trials, targets=...).",
                )
            )
        source = self._check(trials, targets, where)
        predicted = self.predict(trials, batch_size=batch_size)
        labels = source.targets if source.targets is not None else np.asarray(trials.labels)
        names = tuple(getattr(trials, "class_names", ()))
        names += tuple(map(str, range(len(names), self.net.readout.n)))
        labels = labels.ravel()
        if self.loss.decides_steps and len(labels) == len(trials) != len(predicted):
            labels = np.repeat(labels, steps_of(trials, self.net.dt))
        return confusion_matrix(labels, predicted, names)

    def _inputs(self, trials: Any, where: str) -> TrialSource:
        """Trials whose labels do not matter."""
        return TrialSource.check(trials, None, net=self.net, loss=None, where=where)

    def _simulator(self) -> Engine:
        """The engine of the backend, or a new one."""
        if isinstance(self.backend, Engine):
            return self.backend
        if self._engine is None:
            self._engine = Engine(self.net, dtype=self.dtype, threads=self._threads)
        return self._engine
