"""The verdict of a verification in an ONNX file's metadata: added behind its bytes, which stay as they were verified.

A protobuf message that is appended to another one is merged into it (Protocol Buffers, Encoding: "Last One Wins"), so
that entries of `metadata_props` are added without writing the graph anew. They name the length and the SHA-256 of what
is before them: whoever reads the file can check both. It is a note, and no signature: anybody can write one.
"""

from collections.abc import Mapping

from mnist_bench.core import text
from mnist_bench.core.digest import sha256
from mnist_bench.core.errors import ModelRefused

PREFIX = "mnist_bench."
BYTES, HASH = f"{PREFIX}verified_bytes", f"{PREFIX}verified_sha256"


def stamped(content: bytes, facts: Mapping[str, str]) -> bytes:
    """Return a file with facts in its metadata, in the place of those of an earlier stamp.

    Args:
        content: an ONNX file.
        facts: by name, without the prefix.

    Raises:
        ModelRefused: it carries a stamp that is not of it.
    """
    from onnx import ModelProto, StringStringEntryProto

    verified = unstamped(content)
    entries = {BYTES: str(len(verified)), HASH: sha256(verified)}
    entries |= {f"{PREFIX}{name}": text.line(value) for name, value in facts.items()}
    props = [StringStringEntryProto(key=key, value=value) for key, value in entries.items()]
    return verified + bytes(ModelProto(metadata_props=props).SerializeToString())


def unstamped(content: bytes) -> bytes:
    """Return the bytes of a file that were verified: all of it, where it carries no stamp.

    Raises:
        ModelRefused: it carries a stamp that is not of it.
    """
    if not (found := read(content)):
        return content
    length = found.get(BYTES, "")
    size = int(length) if length.isascii() and length.isdigit() and len(length) < len(str(2**63)) else 0
    verified, rest = content[:size], content[size:]
    if sha256(verified) != found.get(HASH) or not _is_metadata_alone(rest) or read(verified):
        raise ModelRefused("its metadata say what was verified, and that is not this file: it was changed since then")
    return verified


def read(content: bytes) -> dict[str, str]:
    """Return what a file's stamp says, with the prefix, unchecked; nothing where it carries none."""
    from onnx import ModelProto

    entries = ModelProto.FromString(content).metadata_props
    return {entry.key: text.line(entry.value) for entry in entries if entry.key.startswith(PREFIX)}


def told(content: bytes) -> tuple[str, ...]:
    """Say in a sentence what a file's stamp says; nothing where it carries none."""
    if not (found := read(content)):
        return ()
    try:
        unstamped(content)
    except ModelRefused as error:
        return (str(error),)
    said = {name: text.reason(found.get(f"{PREFIX}{name}", "?")) for name in ("verdict", "verified_at", "reference")}
    return (f"its metadata say: {said['verdict']} at {said['verified_at']} against {said['reference']}; not signed",)


def _is_metadata_alone(rest: bytes) -> bool:
    """Tell whether what was appended can change nothing but metadata: a second graph would be merged, too."""
    from onnx import ModelProto

    message = ModelProto.FromString(rest)
    return [field.name for field, _ in message.ListFields()] == ["metadata_props"] and all(
        entry.key.startswith(PREFIX) for entry in message.metadata_props
    )
