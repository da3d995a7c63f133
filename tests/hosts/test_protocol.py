"""Messages: what goes in comes out, and nothing that is no message is taken for one."""

import contextlib
import io
import json
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays_of

from mnist_bench.core import protocol
from mnist_bench.core.protocol import DTYPES, Message, ProtocolError

FINITE = st.floats(allow_nan=False, allow_infinity=False)
SCALARS = st.none() | st.booleans() | st.integers(-(2**53), 2**53) | FINITE | st.text(max_size=9)
NAMES = st.text(min_size=1, max_size=9)
ARRAYS = st.sampled_from(DTYPES).flatmap(
    lambda dtype: arrays_of.arrays(
        np.dtype(dtype), arrays_of.array_shapes(min_dims=0, max_dims=4, min_side=0, max_side=5)
    )
)


def sent(*messages: Message) -> io.BytesIO:
    stream = io.BytesIO()
    for message in messages:
        protocol.write(stream, message)
    stream.seek(0)
    return stream


@given(
    kind=NAMES,
    fields=st.dictionaries(NAMES.filter(lambda name: name not in ("message", "arrays")), SCALARS, max_size=3),
    arrays=st.dictionaries(NAMES, ARRAYS, max_size=3),
)
def test_a_message_comes_back_as_it_was(kind: str, fields: dict[str, Any], arrays: dict[str, Any]) -> None:
    stream = sent(Message(kind, fields, arrays), Message("next"))
    found = protocol.read(stream, 10**6)
    assert found
    assert (found.kind, found.fields) == (kind, fields)
    assert list(found.arrays) == list(arrays)
    for name, array in arrays.items():
        assert found.arrays[name].dtype == array.dtype
        assert found.arrays[name].shape == array.shape
        assert found.arrays[name].tobytes() == array.tobytes()
    following = protocol.read(stream, 0)
    assert following
    assert following.kind == "next"
    assert protocol.read(stream, 0) is None


def test_bytes_are_little_endian_in_row_major_order() -> None:
    array = np.array([[1, 2], [3, 4]], np.int16).T
    line, _, content = sent(Message("m", {}, {"a": array})).getvalue().partition(b"\n")
    assert json.loads(line) == {"message": "m", "arrays": [{"name": "a", "dtype": "int16", "shape": [2, 2]}]}
    assert content == bytes([1, 0, 3, 0, 2, 0, 4, 0])


def described(**changes: Any) -> bytes:
    entry = {"name": "a", "dtype": "float32", "shape": [2]} | changes
    return json.dumps({"message": "m", "arrays": [entry]}).encode() + b"\n" + bytes(8)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"hello\n", "no JSON: 'hello"),
        (b"\xff\xfe\x00\n", "no JSON"),
        (b"[" * 100_000 + b"\n", "no JSON"),
        (b'{"message": "m"}', "no message"),  # without an end
        (b'{"message": "m", "x": "' + b"x" * 2**20 + b'"}\n', "no JSON"),  # longer than a line may be
        (b"[1]\n", "no message"),
        (b"{}\n", "no message"),
        (b'{"message": 7}\n', "no message"),
        (b'{"message": "m", "x": NaN}\n', "no JSON"),
        (b'{"message": "m", "x": -Infinity}\n', "no JSON"),
        (b'{"message": "m", "x": 1e999}\n', "no JSON"),
        (b'{"message": "m", "arrays": {}}\n', "no message"),
        (b'{"message": "m", "arrays": [7]}\n', "described wrongly"),
        (described(dtype="object"), "described wrongly"),
        (described(dtype=None), "described wrongly"),
        (described(name=None), "described wrongly"),
        (described(shape=2), "described wrongly"),
        (described(shape=[-1]), "described wrongly"),
        (described(shape=[2.5]), "described wrongly"),
        (described(shape=[True]), "described wrongly"),
        (described(shape=[3]), "broke off"),
        (described(shape=[1000]), "too much: 100 bytes"),
        (described(shape=[2**62, 2**62]), "too much"),
        (described(shape=[10**30, 0]), "there is no array of shape"),
        (described(shape=[1] * 100), "there is no array of shape"),
    ],
)
def test_what_is_no_message_is_refused(content: bytes, words: str) -> None:
    with pytest.raises(ProtocolError, match=words):
        protocol.read(io.BytesIO(content), 100)


@given(st.binary(max_size=300))
def test_no_bytes_do_anything_but_be_refused(content: bytes) -> None:
    with contextlib.suppress(ProtocolError):
        protocol.read(io.BytesIO(content), 100)
