"""What goes to an exporter's process and what comes back; without torch, since the one who asks needs none."""

import msgspec

from mnist_bench.core.kinds import Precision
from mnist_bench.core.types import Saturation, Sha256


class ExportRequest(msgspec.Struct, frozen=True, kw_only=True):
    """What is to be exported: the run in `folder`, in format `name`, to `path`; see `formats.export`."""

    folder: str
    name: str
    precision: Precision
    opset: int | None
    device: str
    data_dir: str | None
    path: str = ""


class Facts(msgspec.Struct, frozen=True, kw_only=True):
    """What an exporter tells of the file that it wrote; see `Artifact`."""

    version: str
    exporter: str
    exporter_version: str
    batch: int | None = None
    saturation: Saturation | None = None
    numbers_of: Sha256 | None = None
