"""Saved documents, changed by hand, with the checksum that they should then have."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from mnist_bench.core.digest import sha256
from mnist_bench.store._records import CHECKSUM


def unsealed(content: bytes) -> bytes:
    """Return a document without its checksum, as older versions wrote it."""
    found = CHECKSUM.search(content)
    assert found
    return content[: found.start()] + b"\n}\n"


def sealed(content: bytes) -> bytes:
    """Return a document without a checksum with one."""
    body = content.rstrip()[:-1].rstrip(b",\n ")
    return body + f',\n"checksum": "{sha256(body)}"\n}}\n'.encode()


def edit(path: Path, change: Callable[[dict[str, Any]], object]) -> None:
    """Change the fields of a saved document, in place."""
    document = json.loads(unsealed(path.read_bytes()))
    change(document)
    path.write_bytes(sealed(json.dumps(document).encode()))
