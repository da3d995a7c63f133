"""Weights alone, as PyTorch saves a `state_dict`; loaded by its restricted reader, which knows tensors alone."""

import io
import re
import zipfile
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from mnist_bench.core import text
from mnist_bench.core.errors import ModelRefused
from mnist_bench.importers import safetensors
from mnist_bench.importers._contract import Found, Given, Request, refuse_output

if TYPE_CHECKING:
    import torch

WHAT, PROGRAM = "what torch.save wrote", False
OLD_MARK = b"\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19."
"""Torch's magic number, with which files began before they were archives, behind two bytes of the protocol."""
DATA, CODE = "/data.pkl", "/code/"
USUAL = ("state_dict", "model_state_dict", "model", "net", "network", "module", "weights", "params")
OF_A_CLASS = re.compile(r"GLOBAL (\S+) was not an allowed")
BLOCKED = re.compile(r"unsupported GLOBAL (\S+) whose module")
"""What PyTorch's reader says of what is no weight: of a class that it does not know, and of what it never calls."""
REMEDY = "save its weights alone, torch.save(model.state_dict(), 'weights.pt'), or export the model to ONNX"


def recognises(given: Given) -> bool:
    """See `Importer`; a TorchScript archive has such a file too, beside its code."""
    if given.content.startswith(OLD_MARK, 2):
        return True
    held = [f"/{name}" for name in given.entries]
    return any(name.endswith(DATA) for name in held) and not any(CODE in name for name in held)


def read(request: Request) -> Found:
    """Load tensors without running anything, and find the specified network's among them.

    Raises:
        ModelRefused: it holds a whole module, or other weights.
    """
    refuse_output(request, "a state_dict")
    tensors, notes = _tensors(_loaded(request.content))
    arrays = {name: _array(tensor) for name, tensor in tensors.items()}
    return safetensors.found_of(request, "state-dict", arrays, notes)


def _loaded(content: bytes) -> Any:
    import torch

    if damaged := _damaged(content):
        raise ModelRefused(f"{text.line(damaged)} in it is damaged (its checksum): copy or save the file again")
    try:
        return torch.load(io.BytesIO(content), map_location="cpu", weights_only=True)
    except Exception as error:
        said = str(error)
        if named := OF_A_CLASS.search(said):
            raise ModelRefused(
                f"it holds objects of {text.line(named[1])}, a whole model perhaps, and not weights alone: {REMEDY}"
            ) from error
        if named := BLOCKED.search(said):
            called = text.line(named[1])
            raise ModelRefused(f"it calls {called} when it is loaded, so it was not: no weights need that") from error
        raise ModelRefused(f"PyTorch cannot load it as weights ({text.reason(said)}): {REMEDY}") from error


def _damaged(content: bytes) -> str | None:
    """Name the first entry of an archive that is not what was written into it: PyTorch itself does not look."""
    if not zipfile.is_zipfile(io.BytesIO(content)):
        return None
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        return archive.testzip()


def _tensors(loaded: Any) -> "tuple[dict[str, torch.Tensor], tuple[str, ...]]":
    """Return the tensors of a state_dict, or of the one that is among what a checkpoint holds, with a note of that."""
    import torch

    if not isinstance(loaded, Mapping):
        raise ModelRefused(f"it holds one {text.line(type(loaded).__name__)}, and no state_dict: {REMEDY}")
    tensors = {str(name): value for name, value in loaded.items() if isinstance(value, torch.Tensor)}
    if any(tensor.ndim for tensor in tensors.values()):  # a loss or an accuracy may stand beside a state_dict
        return tensors, _left_out([name for name in map(str, loaded) if name not in tensors])
    inner = {str(name): value for name, value in loaded.items() if isinstance(value, Mapping)}
    named = [name for name in USUAL if name in inner] or list(inner)[:1]
    for name in named:
        found, notes = _inner(inner[name])
        if found:
            alike = [other for other in inner if other != name and _shapes(_inner(inner[other])[0]) == _shapes(found)]
            others = _left_out([other for other in map(str, loaded) if other not in (name, *alike)])
            return found, (f"the weights are those in {text.line(name)!r}", *_not_taken(alike), *others, *notes)
    raise ModelRefused(f"it holds no tensors by names, but {_names(list(map(str, loaded)))}: {REMEDY}")


def _inner(values: Mapping[Any, Any]) -> "tuple[dict[str, torch.Tensor], tuple[str, ...]]":
    import torch

    tensors = {str(name): value for name, value in values.items() if isinstance(value, torch.Tensor)}
    return tensors, _left_out([str(name) for name in values if str(name) not in tensors])


def _shapes(tensors: "Mapping[str, torch.Tensor]") -> list[tuple[int, ...]]:
    return sorted(tuple(tensor.shape) for tensor in tensors.values())


def _not_taken(names: list[str]) -> tuple[str, ...]:
    """Say which other sets of weights there are, an average over steps perhaps, and how one of them is chosen."""
    if not names:
        return ()
    alone = f"torch.save(torch.load(FILE, weights_only=True)[{text.line(names[0])!r}], 'other.pt')"
    return (f"it holds other weights of the same shapes in {_names(names)}: to take those, {alone}",)


def _left_out(names: list[str]) -> tuple[str, ...]:
    return (f"{_names(names)} left out: no weights",) if names else ()


def _names(names: list[str]) -> str:
    shown = [text.line(name) for name in names[:4]]
    return ", ".join(shown) + (f" and {len(names) - 4:,} more" if len(names) > 4 else "") or "nothing"  # noqa: PLR2004


def _array(tensor: "torch.Tensor") -> Any:
    """Return a tensor as an array of its own type; NumPy has no bfloat16 of its own."""
    import ml_dtypes
    import torch

    dense = tensor.detach().cpu().contiguous()
    if dense.dtype is torch.bfloat16:
        return dense.view(torch.uint16).numpy().view(ml_dtypes.bfloat16)
    return dense.numpy()
