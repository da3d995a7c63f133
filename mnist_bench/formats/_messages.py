"""What goes to an exporter's process and what comes back; without torch, since the one who asks needs none."""

from dataclasses import dataclass
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from mnist_bench.core.kinds import Precision
from mnist_bench.core.types import Saturation, Sha256


@dataclass(frozen=True)
class Reference:
    """What the reference answers to a run's test images, for formats that bring it along.

    `pixels` uint8 (n, 28, 28), `labels` uint8 (n,), `logits` float64 (n, classes), `certified` bool (n,): whether no
    float32 runtime can predict anything else; `tolerance` is the largest difference of a logit that one may show.
    """

    pixels: NDArray[np.uint8]
    labels: NDArray[np.uint8]
    logits: NDArray[np.float64]
    certified: NDArray[np.bool_]
    tolerance: float

    def to_arrays(self) -> dict[str, NDArray[Any]]:
        """Return it as arrays, for a file."""
        return {**vars(self), "tolerance": np.array([self.tolerance])}

    @classmethod
    def of_arrays(cls, arrays: dict[str, NDArray[Any]]) -> "Reference":
        """Return what `to_arrays` was given."""
        fields: dict[str, Any] = {**arrays, "tolerance": float(arrays["tolerance"][0])}
        return cls(**fields)


class ExportRequest(msgspec.Struct, frozen=True, kw_only=True):
    """What is to be exported: the run in `folder`, in format `name`, to `path`; see `formats.export`.

    `reference` is a file with the arrays of a `Reference`, where the format wants one.
    """

    folder: str
    name: str
    precision: Precision
    opset: int | None
    device: str
    data_dir: str | None
    path: str = ""
    reference: str | None = None


class Facts(msgspec.Struct, frozen=True, kw_only=True):
    """What an exporter tells of the file that it wrote; see `Artifact`."""

    version: str
    exporter: str
    exporter_version: str
    batch: int | None = None
    saturation: Saturation | None = None
    numbers_of: Sha256 | None = None
