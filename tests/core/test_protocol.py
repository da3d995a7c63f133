"""Messages as they come from strangers."""

import io
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from mnist_bench.core import protocol

if TYPE_CHECKING:
    from numpy.typing import NDArray


def read(line: bytes) -> protocol.Message | None:
    return protocol.read(io.BytesIO(line + b"\n"), 1_000)


@pytest.mark.parametrize("number", [b"NaN", b"-Infinity", b"1e999", b"-1e999"])
def test_a_number_that_could_not_be_saved_is_no_message(number: bytes) -> None:
    good = read(b'{"message": "timed", "first_call_s": 1e-5}')
    assert good
    assert good.fields == {"first_call_s": 1e-5}
    with pytest.raises(protocol.ProtocolError, match="this is no JSON"):
        read(b'{"message": "timed", "first_call_s": ' + number + b"}")


def test_what_is_written_is_read() -> None:
    arrays: dict[str, NDArray[Any]] = {
        "a": np.arange(6, dtype=np.int64).reshape(2, 3),
        "empty": np.zeros((0, 7), np.float32),
    }
    stream = io.BytesIO()
    protocol.write(stream, protocol.Message("run", {"batch_size": 2}, arrays))
    stream.seek(0)
    found = protocol.read(stream, 1_000)
    assert found
    assert (found.kind, dict(found.fields)) == ("run", {"batch_size": 2})
    assert {name: array.tolist() for name, array in found.arrays.items()} == {"a": [[0, 1, 2], [3, 4, 5]], "empty": []}
    stream.seek(0)
    with pytest.raises(protocol.ProtocolError, match="is too much"):
        protocol.read(stream, 47)
