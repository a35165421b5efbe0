"""The handwritten digits of scikit-learn as the demo uses them: two halves of the images, and how they turn.

The recorded half is what people labelled, and what training sees; the live half is what the model is asked. No image
is in both, so that what is measured on the live half was never learnt.
"""

import numpy as np
from numpy.typing import NDArray
from sklearn.datasets import load_digits

Images = NDArray[np.float64]
Labels = NDArray[np.int64]


def halves() -> tuple[tuple[Images, Labels], tuple[Images, Labels]]:
    """(recorded, live), each images of shape (n, 8, 8) with values 0 to 16, and their labels."""
    data = load_digits()
    images, labels = data.images, data.target
    return (images[0::2], labels[0::2]), (images[1::2], labels[1::2])


def turned(images: Images, degrees: float) -> Images:
    """The images turned by so many degrees, in the same 8 by 8 frame."""
    if not degrees:
        return images
    from scipy.ndimage import rotate

    turned_images: Images = np.clip(rotate(images, degrees, axes=(1, 2), reshape=False, order=1), 0, 16)
    return turned_images
