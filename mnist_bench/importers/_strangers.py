"""What a file is that is no model: said in one line, with the way out."""

import io
import re
import stat
import zipfile
from collections.abc import Callable
from pathlib import Path

from mnist_bench.core import limits, text
from mnist_bench.core.errors import ModelRefused
from mnist_bench.core.reading import read_regular
from mnist_bench.importers._contract import ARCHIVE, Given

ENTRY, END, MOST_ENTRIES = b"PK\x01\x02", b"PK\x05\x06", 10_000
"""What an entry of an archive's directory, and its end, begin with; it is read here, outside of any child's limits."""
HEAD_BYTES, FEW = 4096, 3
LFS_SIZE = re.compile(rb"^size (\d{1,20})$", re.MULTILINE)
MODELS = (".onnx", ".ort", ".pt", ".pth", ".pt2", ".ts", ".safetensors", ".keras", ".skops")
GIVE_ONNX = "export the model to ONNX, and give that"

MARKS: tuple[tuple[int, bytes, str], ...] = (
    (0, b"\x1f\x8b", "is packed by gzip: unpack it (gunzip) and give what is in it"),
    (0, b"BZh", "is packed by bzip2: unpack it (bunzip2) and give what is in it"),
    (0, b"\xfd7zXZ\x00", "is packed by xz: unpack it (unxz) and give what is in it"),
    (0, b"\x28\xb5\x2f\xfd", "is packed by zstd: unpack it (unzstd) and give what is in it"),
    (0, b"7z\xbc\xaf\x27\x1c", "is a 7z archive: unpack it and give the model that is in it"),
    (0, b"Rar!", "is a RAR archive: unpack it and give the model that is in it"),
    (257, b"ustar", "is a tar archive: unpack it (tar -xf) and give the model that is in it"),
    (0, b"\x89PNG\r\n", "is a PNG image, and no model: give the model's file"),
    (0, b"\xff\xd8\xff", "is a JPEG image, and no model: give the model's file"),
    (0, b"GIF8", "is a GIF image, and no model: give the model's file"),
    (0, b"%PDF", "is a PDF document, and no model: give the model's file"),
    (0, b"\x89HDF\r\n\x1a\n", "is an HDF5 file, as Keras once wrote: save it again, model.save('model.keras')"),
    (0, b"\x93NUMPY", "is a NumPy array, and no model: save all weights of the network as safetensors"),
    (4, b"TFL3", f"is a TFLite (LiteRT) model, which is not read: {GIVE_ONNX} (python -m tf2onnx.convert --tflite …)"),
    (4, b"ET12", f"is an ExecuTorch program, which is not read: {GIVE_ONNX}"),
    (0, b"7767517\n", f"is a network of ncnn, which is not read: {GIVE_ONNX}"),
    (0, b"ftrt", f"is an engine of TensorRT, which is not read: {GIVE_ONNX}"),
    (0, b"\x7fELF", "is a program or a library of machine code, and no model: give the model's file"),
    (0, b"MZ", "is a program of Windows, and no model: give the model's file"),
)
"""Where a file of a kind has which bytes, and what to say of it; short ones, so that models are looked for before."""


def content(path: Path) -> bytes:
    """Read a model file, once: what is looked at is what is opened.

    Raises:
        ModelRefused: it is no file that can be read, or is too large.
    """
    try:
        found = path.stat()
        if stat.S_ISDIR(found.st_mode):
            raise _of_folder(path)
        if found.st_size > limits.MODEL_BYTES:
            raise ModelRefused(
                f"{path} has {found.st_size / limits.MIB:,.0f} MiB, and {limits.spelled(limits.MODEL_BYTES)} are read "
                f"at most: give a model of 28 × 28 images, without the optimizer's state, in fp16 or int8 if need be"
            )
        return read_regular(path, limits.MODEL_BYTES)
    except OSError as error:
        raise ModelRefused(f"{path} cannot be read ({error.strerror}): give a model's file") from error


def _of_folder(path: Path) -> ModelRefused:
    """Say what kind of folder it is."""
    if (path / "saved_model.pb").exists():
        return ModelRefused(
            f"{path} is a TensorFlow SavedModel, which is not read: {GIVE_ONNX} "
            f"(python -m tf2onnx.convert --saved-model {path} --output model.onnx)"
        )
    if (path / "Manifest.json").exists():
        return ModelRefused(f"{path} is a package of Core ML, which is not read: {GIVE_ONNX}")
    return ModelRefused(f"{path} is a folder: give the model's file that is in it")


def check(given: Given) -> None:
    """Raise ModelRefused for what holds nothing, is no whole archive, or has far too many entries."""
    if not given.content:
        raise ModelRefused("is empty: download it, or save it, again")
    _check_pointer(given.content)
    if given.content.startswith(ARCHIVE):
        _check_archive(given)


def _check_pointer(found: bytes) -> None:
    if found.startswith(b"version https://git-lfs"):
        size = LFS_SIZE.search(found[:HEAD_BYTES])
        of = f" of {int(size[1]):,} bytes" if size else ""
        raise ModelRefused(f"is a Git LFS pointer to a file{of}, and not that file: git lfs pull, and give it again")


def _check_archive(given: Given) -> None:
    found = given.content
    if (entries := found.count(ENTRY)) > MOST_ENTRIES:
        raise ModelRefused(f"is an archive of {entries:,} files: no model has more than {MOST_ENTRIES:,}")
    if END not in found:
        raise ModelRefused("is an archive whose end is missing, with the list of its files: download it again")
    if not given.entries:
        raise ModelRefused("is a damaged archive, or an empty one: download it, or save it, again")
    if (size := _unpacked_bytes(given)) > limits.MODEL_BYTES:
        raise ModelRefused(
            f"is an archive that unpacks to {size / limits.MIB:,.0f} MiB: at most {limits.spelled(limits.MODEL_BYTES)} "
            f"are read"
        )


def _unpacked_bytes(given: Given) -> int:
    with zipfile.ZipFile(io.BytesIO(given.content)) as archive:
        return sum(info.file_size for info in archive.infolist())


def refusal(given: Given) -> ModelRefused:
    """Return why a file that no importer recognises is refused: what it is."""
    marked = (said for at, mark, said in MARKS if given.content.startswith(mark, at))
    said = next(marked, None) or next((said for looks_like, said in LAST if looks_like(given)), None)
    if given.entries:
        shown = ", ".join(text.line(name) for name in given.entries[:FEW])
        more = f" and {len(given.entries) - FEW:,} more" if len(given.entries) > FEW else ""
        inside = next((name for name in given.entries if name.lower().endswith(MODELS)), None)
        said = (
            f"is a zip archive with {text.line(inside)} in it: unpack it (unzip), and give that"
            if inside
            else f"is a zip archive of no model that is known here ({shown}{more})"
        )
    return ModelRefused(said or f"is of no kind that is known here: {GIVE_ONNX}")


def _begins(*marks: bytes) -> Callable[[Given], bool]:
    return lambda given: given.content[:HEAD_BYTES].lstrip(b"\xef\xbb\xbf \t\r\n").lower().startswith(marks)


def _is_serialised(given: Given) -> bool:
    """Tell Python's object serialisation of protocol 2 and newer by its first two bytes and its last."""
    return given.content[0] == 0x80 and given.content[1:2] in (b"\x02", b"\x03", b"\x04", b"\x05")  # noqa: PLR2004


def _is_packed_by_zlib(given: Given) -> bool:
    return given.content[:2] in (b"x\x01", b"x^", b"x\x9c", b"x\xda")


def _is_of_tensorflow(given: Given) -> bool:
    """Tell a SavedModel's file, or a frozen graph, by words that stand near its beginning."""
    head = given.content[:HEAD_BYTES]
    return head.startswith((b"\x08\x01\x12", b"\n")) and (b"Placeholder" in head or b"VarHandleOp" in head)


def _is_text(given: Given) -> bool:
    head = given.content[:HEAD_BYTES]
    return not any(byte < 32 and byte not in b"\t\n\r\f" for byte in head) and _decodes(head)  # noqa: PLR2004


def _decodes(head: bytes) -> bool:
    try:
        head.decode()
    except UnicodeDecodeError as error:
        return error.start > len(head) - 4 and len(head) == HEAD_BYTES  # a character cut through
    return True


NEVER_LOADED = (
    "which runs code when it is loaded, so it never is: save a scikit-learn model by skops.io.dump(model, "
    "'model.skops'), a network's weights as safetensors"
)
LAST: tuple[tuple[Callable[[Given], bool], str], ...] = (
    (_is_serialised, f"is a pickle, {NEVER_LOADED}"),
    (_is_packed_by_zlib, f"is packed by zlib, as joblib does with a pickle, {NEVER_LOADED}"),
    (_begins(b"<!doctype html", b"<html"), "is a page of HTML, and no model: download the raw file behind its link"),
    (_begins(b"<?xml", b"<net"), f"is XML, as OpenVINO describes a network by, which is not read: {GIVE_ONNX}"),
    (_begins(b"{", b"["), "is JSON, and no model: give the file that holds the weights"),
    (_is_of_tensorflow, f"is a graph of TensorFlow, which is not read: {GIVE_ONNX} (python -m tf2onnx.convert …)"),
    (_is_text, "is text, and no model: give the model's file"),
)
"""What is told by less than a mark."""
