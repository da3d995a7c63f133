"""What an exporter tells of what it wrote; without torch, since the one who asked needs none."""

import msgspec

from mnist_bench.core.types import Saturation


class Facts(msgspec.Struct, frozen=True, kw_only=True):
    """What an exporter tells of the file that it wrote; see `Artifact`."""

    version: str
    exporter: str
    exporter_version: str
    batch: int | None = None
    saturation: Saturation | None = None
