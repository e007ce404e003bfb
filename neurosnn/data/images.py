"""Labelled images, and the embedded 8 x 8 handwritten digits."""

from dataclasses import dataclass
from importlib.resources import as_file, files
from typing import NamedTuple

import numpy as np

from neurosnn.core.texts import check_plain_text
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
        rows = self.images.reshape(len(self), -1)
        return rows.astype(np.float32) / np.float32(self.maximum)

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
