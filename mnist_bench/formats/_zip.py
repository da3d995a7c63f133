"""Rewriting the archives that torch writes."""

import io
import zipfile
from collections.abc import Callable

EPOCH = (1980, 1, 1, 0, 0, 0)  # the earliest date that a zip entry can have
ALIGNMENT = 64  # torch maps tensors into memory at multiples of this


def rewritten(archive: bytes, change: Callable[[str, bytes], bytes | None]) -> bytes:
    """Pass every entry of an archive through `change(name, content)`; None drops it. Dates are dropped too."""
    with zipfile.ZipFile(io.BytesIO(archive)) as source:
        entries = [(info.filename, source.read(info)) for info in source.infolist()]
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w", zipfile.ZIP_STORED) as target:
        for name, content in entries:
            changed = change(name, content)
            if changed is not None:
                info = zipfile.ZipInfo(name, EPOCH)
                header_end = target.fp.tell() + 30 + len(name.encode()) + 4  # type: ignore[union-attr]
                padding = -header_end % ALIGNMENT
                # An extra field of torch's own kind ("FB"), as long as the alignment needs.
                info.extra = b"FB" + padding.to_bytes(2, "little") + b"Z" * padding
                target.writestr(info, changed)
    return made.getvalue()
