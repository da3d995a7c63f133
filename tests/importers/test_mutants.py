"""Files in which bytes were changed: each is read, or refused in one line, and nothing else happens."""

import io
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import skops.io
import torch
from safetensors.numpy import save

from mnist_bench.core.errors import BadInput
from mnist_bench.importers import Found
from tests.importers import made, test_classifiers

TRIALS = 25


def state_dict() -> bytes:
    written = io.BytesIO()
    torch.save({name: torch.from_numpy(array) for name, array in made.arrays().items()}, written)
    return written.getvalue()


FILES: dict[str, Callable[[], bytes]] = {
    "onnx": made.network,
    "safetensors": lambda: save(made.arrays()),
    "state-dict": state_dict,
    "scikit-learn": lambda: skops.io.dumps(test_classifiers.classifier()),
    "keras": lambda: test_classifiers.keras(test_classifiers.chain()),
}


@pytest.mark.parametrize("kind", FILES)
def test_a_changed_file_is_read_or_refused(kind: str, tmp_path: Path) -> None:
    content, numbers = FILES[kind](), np.random.default_rng(3)
    refused: list[str] = []
    for _ in range(TRIALS):
        changed = bytearray(content)
        # What describes a file stands at its ends: changed weights alone would be weights.
        for at in (*numbers.integers(0, 2000, 4), *numbers.integers(len(content) - 2000, len(content), 4)):
            changed[at] = numbers.integers(256)
        try:
            assert isinstance(made.read(bytes(changed), tmp_path), Found)
        except BadInput as error:
            refused.append(str(error))
    assert refused
    assert max(map(len, refused)) < 2000
