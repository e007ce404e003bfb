"""Training of networks that settle while they see an image."""

from __future__ import annotations

import functools
import numbers
from abc import abstractmethod
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from neurosnn.core.messages import message
from neurosnn.core.values import check_whole
from neurosnn.training.base import ArrayLearner, BaseTrainer, hold_out
from neurosnn.training.checkpoint import fingerprint, setting_text
from neurosnn.training.guard import quick_norm
from neurosnn.training.history import History
from neurosnn.training.learner import Batch
from neurosnn.training.loop import Fit
from neurosnn.training.optimizers import Optimizer
from neurosnn.training.progress import uninterrupted
from neurosnn.training.updates import Gradient, Updates

if TYPE_CHECKING:
    from neurosnn.data import Images
    from neurosnn.training.callbacks import EarlyStopping

__all__ = ["ImageTrainer", "Settled"]

Augmentation = Callable[[np.ndarray, np.random.Generator], np.ndarray]


class Settled(NamedTuple):
    """What a network did with a batch of images.

    Attributes
    ----------
    gradient : dict of str to ndarray
        Means over the trials.
    outputs : ndarray (n, n_outputs)
        At the end of the free phase.
    spikes : dict of str to int
        By layer, if there are any.
    seconds : float
        Simulated time of all trials, if there is any.
    """

    gradient: dict[str, np.ndarray]
    outputs: np.ndarray
    spikes: dict[str, int]
    seconds: float = 0.0


class ImageTrainer(BaseTrainer):
    """Base of the trainers of equilibrium propagation."""

    where: str
    sizes: tuple[int, ...]
    #: Target of the right and of the wrong output neuron, and the factor of the squares in the cost.
    target: tuple[float, float]
    cost_factor: float
    #: The layers of neurons that spike, if there are any.
    layer_sizes: dict[str, int]

    def __init__(
        self,
        parameters: dict[str, np.ndarray],
        optimizer: Optimizer | None,
        *,
        schedule: Callable[[float], float] | None,
        augment: Augmentation | None,
        random: np.random.Generator,
        seed: int,
    ):
        if augment is not None and not callable(augment):
            raise TypeError(
                message(
                    f"augment must be a function, got {augment!r}.",
                    self.where,
                    "It is called with the pixels of a batch and a random generator.",
                    "Write for example augment=lambda x, random: ...",
                )
            )
        check_whole("seed", seed, 0, where=self.where)
        # The norm of BLAS: it decides nothing, and the exact one takes as long as the optimizer.
        updates = Updates(
            parameters, optimizer, where=self.where, schedule=schedule, norm=quick_norm
        )
        super().__init__(updates, random)
        self.augment, self.seed = augment, int(seed)

    @abstractmethod
    def _settle(self, x: np.ndarray, labels: np.ndarray) -> Settled:
        """Both phases for a batch, and what would be learned from it."""

    @abstractmethod
    def _outputs(self, x: np.ndarray) -> np.ndarray:
        """The outputs (n, n_outputs) at the end of the free phase."""

    def step(self, x: np.ndarray, labels: np.ndarray) -> dict[str, float]:
        """One update from some images, for a loop of your own.

        Augmentations belong to :meth:`fit` and are not applied. The schedule is that of ``epoch``,
        which such a loop may set.

        Parameters
        ----------
        x : ndarray (n, n_inputs)
            Pixels, 0 to 1, see :meth:`neurosnn.data.Images.pixels`.
        labels : ndarray of int (n,)
            Classes.

        Returns
        -------
        dict of str to float
            "loss", "accuracy" and "gradient_norm", before the update.

        Raises
        ------
        FloatingPointError
            The gradient is not finite, or has exploded; nothing is changed.
        """
        settled = self._settle(x, labels)
        scores = self._scores(settled.outputs, labels)
        place = f"update {self.updates + 1}"
        gradient = self._updates.check(settled.gradient, scores["loss"], place)
        with uninterrupted():
            norm = self._updates.apply(gradient, float(self.epoch))
        return {**scores, "gradient_norm": norm}

    def evaluate(self, images: Images) -> dict[str, float]:
        """Cost and accuracy in the free phase; nothing is learned.

        Parameters
        ----------
        images : Images
            What to classify; the largest output decides.

        Returns
        -------
        dict of str to float
            "loss", the mean cost of an image, and "accuracy".
        """
        self._check(images, f"{self.where}.evaluate")
        return self._scores(self._outputs(images.pixels()), images.labels)

    def predict(self, images: Images) -> np.ndarray:
        """The class of each image: the largest output at the end of the free phase.

        Parameters
        ----------
        images : Images
            What to classify.

        Returns
        -------
        ndarray of int (n,)
            Classes.
        """
        self._check(images, f"{self.where}.predict")
        return self._outputs(images.pixels()).argmax(axis=1)

    def fit(
        self,
        train: Images,
        *,
        epochs: int,
        batch_size: int = 20,
        validation: Images | float | None = None,
        callbacks: Any = (),
        checkpoint: Any = None,
        resume: bool = True,
        progress: bool = True,
        early_stopping: int | EarlyStopping | None = None,
    ) -> History:
        """Train for some epochs; each sees all images once, in a new order.

        Everything is as in :meth:`neurosnn.Trainer.fit`: Ctrl-C leaves the weights of the last whole
        batch, and with a checkpoint the same call, made again after an interruption of any kind, goes
        on where the file ends and comes to the same weights, bit for bit.

        Parameters
        ----------
        train : Images
            The images.
        epochs : int
            How many; with a checkpoint those it has done are counted.
        batch_size : int, optional
            Images of an update; the last batch of an epoch may be smaller.
        validation : Images or float, optional
            Images that are not trained on; a number is the share of `train` held out by class.
        callbacks : sequence of Callback or callable, optional
            Functions of the trainer and the row of an epoch, or :class:`Callback` objects.
        checkpoint : path or Checkpoint, optional
            File that keeps the training, written at the end of each epoch and every 30 s.
        resume : bool, optional
            False: an existing checkpoint is not read but replaced.
        progress : bool, optional
            Show bars, or a line an epoch where there is no terminal.
        early_stopping : int or EarlyStopping, optional
            Epochs without a better validation loss after which it ends; the network then has the
            weights of the best epoch (also if it does not end early).

        Returns
        -------
        History
            One row an epoch, of this and earlier calls; firing rates are those of whole trials.

        Raises
        ------
        ValueError
            Images that do not fit the network; a checkpoint that is damaged or of another training.
        FloatingPointError
            The gradient is not finite, or has exploded; names block, epoch and batch.
        OSError
            The checkpoint cannot be written; the one before it is kept.
        """
        return Fit(
            ImageLearner(self, train, validation, batch_size),
            epochs=epochs,
            callbacks=callbacks,
            checkpoint=checkpoint,
            resume=resume,
            early_stopping=early_stopping,
        ).run(progress)

    def targets(self, labels: np.ndarray) -> np.ndarray:
        """What the outputs are nudged to, shape (n, n_outputs), for ``labels`` (n,)."""
        low, high = self.target
        wanted = np.full((len(labels), self.sizes[-1]), low)
        wanted[np.arange(len(labels)), labels] = high
        return wanted

    def _cost(self, outputs: np.ndarray, labels: np.ndarray) -> float:
        """Mean cost of an image: what the nudge pulls down."""
        squares = np.square(self.targets(labels) - outputs).sum()
        return float(self.cost_factor * squares / len(labels))

    def _scores(self, outputs: np.ndarray, labels: np.ndarray) -> dict[str, float]:
        right = float((outputs.argmax(axis=1) == labels).mean())
        return {"loss": self._cost(outputs, labels), "accuracy": right}

    def _check(self, images: Any, where: str) -> None:
        """Refuse images that do not fit the network."""
        if not hasattr(images, "pixels"):
            raise TypeError(
                message(
                    f"{images!r} are no images.",
                    where,
                    "Such a network is trained on labelled images.",
                    "Pass an Images of neurosnn.data.",
                )
            )
        if not len(images):
            raise ValueError(
                message(
                    "there are no images.",
                    where,
                    "Nothing can be learned or measured.",
                    "Check how they were selected.",
                )
            )
        if images.n_channels != self.sizes[0] or images.labels.max() >= self.sizes[-1]:
            raise ValueError(
                message(
                    f"the images have {images.n_channels} pixels and labels up to "
                    f"{images.labels.max()}, the network {self.sizes[0]} inputs and {self.sizes[-1]} "
                    "outputs.",
                    where,
                    "Every pixel has an input, every class an output.",
                    "Build the network with other sizes.",
                )
            )

    def _settings(self) -> dict[str, str]:
        """What must stay the same in a training that goes on."""
        return {
            "optimizer": setting_text(self.optimizer),
            "schedule": setting_text(self._updates.schedule),
            "augment": setting_text(self.augment),
            "seed": str(self.seed),
        }


class ImageLearner(ArrayLearner):
    """A trainer of images with those of one ``fit``, as the loop sees it."""

    trainer: ImageTrainer

    def __init__(self, trainer: ImageTrainer, train: Any, validation: Any, batch_size: int):
        where = f"{trainer.where}.fit"
        self.held_out: Any = validation
        trainer._check(train, where)
        if isinstance(validation, numbers.Real):
            rest, held = hold_out(train._strata(), float(validation), trainer.seed, where=where)
            train, self.held_out = train[rest], train[held]
        self.validates = validation is not None
        if self.validates:
            trainer._check(self.held_out, f"{where} validation")
        self.x, self.labels = train.pixels(), train.labels
        super().__init__(trainer, where=where, n_trials=len(train), batch_size=batch_size)

    def gradient(
        self, index: np.ndarray, place: str
    ) -> tuple[Gradient, float, Settled, np.ndarray]:
        """That of both phases, for the images of the ``index`` as the augmentation changes them."""
        trainer, x, labels = self.trainer, self.x[index], self.labels[index]
        if trainer.augment is not None:
            x = trainer.augment(x, trainer.random)
        settled = trainer._settle(x, labels)
        loss = trainer._cost(settled.outputs, labels)
        return trainer._updates.check(settled.gradient, loss, place), loss, settled, labels

    def update(self, gradient: tuple[Gradient, float, Settled, np.ndarray], moment: float) -> Batch:
        """One step of the optimizer."""
        descent, loss, settled, labels = gradient
        norm = self.trainer._updates.apply(descent, moment)
        n, correct = len(labels), int((settled.outputs.argmax(axis=1) == labels).sum())
        return Batch(
            {"loss": loss, "gradient_norm": norm, "accuracy": correct / n},
            {
                "loss": loss * n,
                "correct": correct,
                "trials": n,
                "spikes": settled.spikes,
                "seconds": settled.seconds,
            },
            sum(settled.spikes.values()),
        )

    def row(self, totals: Mapping[str, Any]) -> dict[str, float]:
        """Mean cost, accuracy and firing rates."""
        trainer, n = self.trainer, totals["trials"]
        row = {"loss": totals["loss"] / n, "accuracy": totals["correct"] / n}
        for name, count in totals["spikes"].items():
            row[f"rate.{name}"] = count / (totals["seconds"] * trainer.layer_sizes[name])
        return row

    def validate(self) -> dict[str, float]:
        """Cost and accuracy of the images held out."""
        values = self.trainer.evaluate(self.held_out)
        return {name: values[name] for name in ("loss", "accuracy")}

    def end_epoch(self, totals: Mapping[str, Any], row: Mapping[str, float]) -> None:
        """Nothing."""

    def settings(self) -> dict[str, str]:
        """Those of the trainer, and which images there are."""
        trained, held = self._fingerprints
        return {**super().settings(), "trials": trained, "validation": held}

    @functools.cached_property
    def _fingerprints(self) -> tuple[str, str]:
        trained = f"{len(self.x)} images {fingerprint(self.x, self.labels)}"
        if not self.validates:
            return trained, "None"
        held = fingerprint(self.held_out.images, np.asarray(self.held_out.labels))
        return trained, f"{len(self.held_out)} images {held}"
