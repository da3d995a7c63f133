"""What the runtimes of PyTorch have in common."""

import contextlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import TYPE_CHECKING

from mnist_bench.core.kinds import Skipped
from mnist_bench.runtimes._contract import Effective, Images, Layers, Logits, Model, Session, Spec, in_float32

if TYPE_CHECKING:
    import torch

    from mnist_bench.model import Network

NAMES = {"float32": "fp32", "float16": "fp16", "float64": "fp64", "bfloat16": "bf16"}
PROBE = 2  # torch.compile takes a batch of one for a constant


def version() -> str:
    """Return torch's version."""
    import torch

    return str(torch.__version__)


def no_cuda(target: str, device: str) -> Skipped | None:
    """Return why a device cannot be used with torch; None where it can, and for the CPU."""
    if device == "cpu":
        return None
    import torch

    count = torch.cuda.device_count() if torch.cuda.is_available() else 0
    if int(device.partition(":")[2] or 0) < count:
        return None
    found = f"{count} CUDA device(s)" if count else "no CUDA device"
    return Skipped(target, f"torch sees {found}", "use --device cpu, or a machine with an NVIDIA GPU and driver")


@contextlib.contextmanager
def configured(spec: Spec) -> Iterator[None]:
    """Let torch's operations use so many CPU threads, IEEE float32 and no TF32, while this lasts."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(spec.threads)
    torch.set_float32_matmul_precision("highest")
    try:
        yield
    finally:
        torch.set_num_threads(before)


def network(model: Model, device: str) -> "Network":
    """Build the network of a checkpoint's weights, in evaluation mode, on a device."""
    from safetensors.torch import load

    from mnist_bench.model import Network

    built = Network(model.activation).eval()
    built.load_state_dict(load(model.content))
    return built.requires_grad_(requires_grad=False).to(device)


Showing = Callable[["torch.Tensor"], Mapping[str, "torch.Tensor"]]
"""From images to what every layer gives them, by name."""


def precision_of(tensors: "Iterable[torch.Tensor]", answers: str) -> str:
    """Return in which precision a program computes: in that of its parameters, or of its answers, where it has none.

    Args:
        tensors: its parameters and buffers.
        answers: the type of its answers, "float32" say.

    Returns:
        A `Precision`, "fp64", or "unknown" where parameters are of several types, or of others.
    """
    found = {name_of(one.dtype) for one in tensors if one.is_floating_point()} or {answers}
    return NAMES.get(found.pop(), "unknown") if len(found) == 1 else "unknown"


def name_of(dtype: "torch.dtype") -> str:
    """Return what NumPy calls a type, as far as it knows it."""
    return str(dtype).removeprefix("torch.")


def _effective(answer: "torch.Tensor", tensors: "Mapping[str, torch.Tensor]") -> Effective:
    import torch

    exact = torch.get_float32_matmul_precision() == "highest"
    precision = precision_of(tensors.values(), name_of(answer.dtype))
    return Effective(f"torch {answer.device}", "tf32" if precision == "fp32" and not exact else precision)


def session(
    call: "Callable[..., object]",
    device: str,
    model: Model,
    showing: Showing | None = None,
    tensors: "Callable[[], Mapping[str, torch.Tensor]]" = dict,
) -> Session:
    """Wrap a function from tensor to tensor, as torch runtimes have one; inspecting it asks it once.

    Args:
        call: the function.
        device: where it computes.
        model: what was opened.
        showing: what gives the values of its layers, where they can be told apart.
        tensors: tells what it computes with, if anything can: its answers may be cast to another type.
    """
    import torch

    fixed = model.signature.batch if model.signature else None

    def ask(images: "torch.Tensor") -> "torch.Tensor":
        with torch.inference_mode():
            answer = call(images.to(device))
        assert isinstance(answer, torch.Tensor)
        return answer

    def run(images: Images) -> Logits:
        return ask(torch.from_numpy(images)).cpu().numpy()

    def inspect() -> Effective:
        probe = torch.zeros((fixed or PROBE, *model.shape), dtype=getattr(torch, model.dtype))
        return _effective(ask(probe), tensors())

    def layers(images: Images) -> Layers:
        assert showing
        with torch.inference_mode():
            shown = showing(torch.from_numpy(images).to(device))
        return {name: value.float().cpu().numpy() for name, value in shown.items()}

    return Session(in_float32(run, model), inspect, fixed, layers if showing else None)
