"""Labelled images, and the embedded 8 x 8 handwritten digits."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.resources import as_file, files
from typing import NamedTuple

import numpy as np

from neurosnn.core.messages import message
from neurosnn.core.texts import check_plain_text
from neurosnn.core.values import Range, check_value
from neurosnn.data.checks import frozen, integers, plain_names
from neurosnn.data.locations import read_npz
from neurosnn.data.trial_set import TrialSet


class Image(NamedTuple):
    """One image.

    Attributes
    ----------
    image : numpy.ndarray of uint8 (h, w) or (h, w, c)
        Its values.
    label : int
        Its class.
    """

    image: np.ndarray
    label: int


@dataclass(frozen=True, eq=False, repr=False, kw_only=True)
class Images(TrialSet):
    """An immutable set of labelled 8-bit images.

    Parameters
    ----------
    images : array_like of uint8 (n, h, w) or (n, h, w, c)
        Values from 0 (black) to ``maximum``.
    labels : array_like of int (n,)
        Class of each image, 0 to n_classes - 1.
    class_names : sequence of str
        One name a class. Empty: the classes are numbered, up to the largest label.
    name : str
        Name of the data, used in messages.
    maximum : int
        The value of full white: 255, or 16 for the 8 x 8 digits.

    Attributes
    ----------
    n_channels : int
        Values an image, ``h * w * c``: the input channels an encoder makes of it.
    n_classes : int
        Number of class names, or the largest label plus one.

    Raises
    ------
    ValueError
        Images of another shape or type, above ``maximum``, or labels that do not match.

    Examples
    --------
    >>> import numpy as np
    >>> from neurosnn.data import Images
    >>> images = Images(images=np.zeros((3, 8, 8), dtype=np.uint8), labels=[0, 1, 1])
    >>> images
    Images: 3 images of 8 x 8, 2 classes
    >>> len(images[images.labels == 1])
    2
    """

    images: np.ndarray
    labels: np.ndarray
    class_names: tuple[str, ...] = ()
    name: str = ""
    maximum: int = 255

    def __post_init__(self):
        where = self._label()
        images = np.array(self.images)
        if images.ndim not in (3, 4) or images.dtype != np.uint8 or 0 in images.shape[1:]:
            raise ValueError(
                f"{where}: images must be uint8 of shape (n, h, w) or (n, h, w, c), got "
                f"{images.dtype} of shape {images.shape}. Encoders scale by a known full white. "
                f"Scale to 0..255 and use astype(np.uint8)."
            )
        if images.max(initial=0) > self.maximum:
            raise ValueError(
                f"{where}: images hold {images.max()}, above maximum={self.maximum}. Encoders "
                f"would exceed their largest rate. Pass maximum={images.max()} or scale the images."
            )
        labels = integers(self.labels, "labels", where=where, length=len(images))
        names = plain_names(self.class_names, "class_names", where=where)
        check_plain_text(self.name, field="name", where=type(self).__name__, longest=1000)
        if labels.size and (labels.min() < 0 or (names and labels.max() >= len(names))):
            bad = int(labels.min()) if labels.min() < 0 else int(labels.max())
            raise ValueError(
                f"{where}: label {bad} is out of range. Labels number the classes from 0 to "
                f"{len(names) - 1 if names else 'n_classes - 1'}. Renumber them."
            )
        for key, value in (
            ("images", frozen(images)),
            ("labels", frozen(labels)),
            ("class_names", names),
        ):
            object.__setattr__(self, key, value)

    def __len__(self) -> int:
        return len(self.images)

    def __repr__(self):
        title = f"Images {self.name!r}" if self.name else "Images"
        shape = " x ".join(str(s) for s in self.images.shape[1:])
        return f"{title}: {len(self)} images of {shape}, {self.n_classes} classes"

    @property
    def n_channels(self) -> int:
        """Values an image."""
        return int(np.prod(self.images.shape[1:]))

    @property
    def n_classes(self) -> int:
        """Number of classes: of the names, or the largest label plus one."""
        return len(self.class_names) or int(self.labels.max(initial=-1)) + 1

    def pixels(self) -> np.ndarray:
        """The images as rows of numbers from 0 (black) to 1 (white).

        Returns
        -------
        ndarray of float32 (n, n_channels)
            One row an image.

        Examples
        --------
        >>> from neurosnn.data import Images
        >>> Images(images=np.full((1, 1, 2), 51, dtype=np.uint8), labels=[0]).pixels()
        array([[0.2, 0.2]], dtype=float32)
        """
        rows = self.images.reshape(len(self), self.n_channels)
        return rows.astype(np.float32) / np.float32(self.maximum)

    def on_off(
        self, sigmas: float | Sequence[float] = (1.0, 4.0), *, contrast: float = 3.0
    ) -> Images:
        r"""The images as ON and OFF cells of a retina see them: what is brighter or darker than around.

        .. math::
            \text{ON} = [k\,(x - G_\sigma * x)]_0^1, \qquad \text{OFF} = [k\,(G_\sigma * x - x)]_0^1

        with a Gaussian :math:`G_\sigma` for each surround; the center is one pixel. Even areas are
        silent, whatever their brightness: what is left are the edges.

        Parameters
        ----------
        sigmas : float or sequence of float
            Standard deviations of the surrounds, in pixels.
        contrast : float
            The factor k.

        Returns
        -------
        Images
            Of shape (n, h, w, 2 * n_sigmas * c): for each surround the ON and then the OFF channels
            of the c channels of the images, in 256 levels.

        Raises
        ------
        ValueError
            If sigmas are no number and no row of them, or a number is not positive.

        Notes
        -----
        Cost: 0.1 ms for each surround of an image of 28 x 28. The image goes on mirrored at its edges.

        References
        ----------
        Rodieck, Vision Research 5:583 (1965), for the difference of two Gaussians.

        Examples
        --------
        >>> from neurosnn.data import digits_8x8
        >>> digits_8x8()[1].on_off((1.0,))
        Images 'digits_8x8': 359 images of 8 x 8 x 2, 10 classes
        """
        from scipy.ndimage import gaussian_filter

        where = f"{type(self).__name__}.on_off"
        surrounds = list(sigmas) if np.ndim(sigmas) else [sigmas]
        if np.ndim(surrounds) != 1 or not surrounds:
            raise ValueError(
                message(
                    f"sigmas must be a number or some in a row, got shape {np.shape(sigmas)}.",
                    where,
                    "Each surround makes one ON and one OFF channel.",
                    "Pass for example sigmas=(1, 4).",
                )
            )
        for sigma in surrounds:
            check_value("sigmas", sigma, Range(0), where=where)
        check_value("contrast", contrast, Range(0), where=where)
        n, height, width, *channels = self.images.shape
        x = self.pixels().reshape(n, height, width, *(channels or [1]))
        seen = []
        for sigma in surrounds:
            difference = contrast * (x - gaussian_filter(x, (0, sigma, sigma, 0)))
            for cells in (difference, -difference):
                seen.append(np.rint(255 * cells.clip(0, 1)).astype(np.uint8))
        return dataclasses.replace(self, images=np.concatenate(seen, axis=-1), maximum=255)

    def _strata(self):
        return self.labels

    def _trial(self, k):
        return Image(self.images[k], int(self.labels[k]))

    def _take(self, index):
        return Images(
            images=self.images[index],
            labels=self.labels[index],
            class_names=self.class_names or tuple(map(str, range(self.n_classes))),
            name=self.name,
            maximum=self.maximum,
        )


def digits_8x8() -> tuple[Images, Images]:
    """The embedded handwritten digits: 1797 images of 8 x 8 pixels, values 0 to 16.

    The test part of the UCI set "Optical Recognition of Handwritten Digits" (Alpaydin and Kaynak
    1998, CC BY 4.0), the one scikit-learn carries. Its official training part is not in it, so the
    split is ours: one fifth of each digit, drawn once with seed 0, is the test set. Results are
    comparable between users of this function and with nothing else.

    Returns
    -------
    train, test : Images
        1438 and 359 images.

    Examples
    --------
    >>> from neurosnn.data import digits_8x8
    >>> digits_8x8()
    (Images 'digits_8x8': 1438 images of 8 x 8, 10 classes, Images 'digits_8x8': 359 images of 8 x 8, 10 classes)
    """  # noqa: E501
    with as_file(files("neurosnn.data") / "digits_8x8.npz") as path:
        arrays = read_npz(path, ("images", "labels"))
    images = Images(**arrays, class_names=tuple("0123456789"), name="digits_8x8", maximum=16)
    return images.split(0.2, seed=0)
