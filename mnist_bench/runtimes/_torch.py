"""What the runtimes of PyTorch have in common."""

import contextlib
from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

from mnist_bench.core.kinds import Skipped
from mnist_bench.runtimes._contract import Effective, Images, Layers, Logits, Model, Session, Spec, in_float32

if TYPE_CHECKING:
    import torch

    from mnist_bench.model import Network

NAMES = {"float32": "fp32", "float16": "fp16", "float64": "fp64", "bfloat16": "bf16"}
LOWEST_FIRST = ("bfloat16", "float16", "float32", "float64")
PRODUCTS = frozenset(
    {"linear", "addmm", "mm", "bmm", "baddbmm", "matmul", "einsum", "bilinear"}
    | {"conv1d", "conv2d", "convolution", "_convolution", "scaled_dot_product_attention"}
)
"""Operations of PyTorch that multiply matrices; a program's own functions are made of them."""
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


@contextlib.contextmanager
def _watching(types: set[str]) -> Iterator[None]:
    """Collect the types in which products are computed while this lasts, of a program of whatever kind."""
    import torch
    from torch.utils._python_dispatch import TorchDispatchMode

    class Watching(TorchDispatchMode):  # type: ignore[no-untyped-call]
        def __torch_dispatch__(self, function: Any, kinds: Any, args: Any = (), kwargs: Any = None) -> Any:
            if function.overloadpacket.__name__ in PRODUCTS:
                operands = [one for one in args if isinstance(one, torch.Tensor) and one.is_floating_point()]
                types.update(name_of(one.dtype) for one in operands)
            return function(*args, **(kwargs or {}))

    with Watching():  # type: ignore[no-untyped-call]
        yield


def precision_of(computed: set[str], answers: str) -> str:
    """Return in which precision a program computes: the lowest of its products; of its answers, where it has none.

    Args:
        computed: the types of its products, see `products`.
        answers: the type of its answers, "float32" say.

    Returns:
        A `Precision`, "fp64", or "unknown" for another type.
    """
    order = [kind for kind in LOWEST_FIRST if kind in computed]
    return NAMES.get(order[0] if order else answers, "unknown")


def name_of(dtype: "torch.dtype") -> str:
    """Return what NumPy calls a type, as far as it knows it."""
    return str(dtype).removeprefix("torch.")


def _asked(call: "Callable[..., object]", images: "torch.Tensor") -> "torch.Tensor":
    import torch

    with torch.inference_mode():
        answer = call(images)
    assert isinstance(answer, torch.Tensor)
    return answer


def products(call: "Callable[..., object]", images: "torch.Tensor") -> set[str]:
    """Return the types in which a program computes products; none of one that does not let itself be watched."""
    import torch

    found = set[str]()
    with contextlib.suppress(Exception), _watching(found), torch.inference_mode():
        call(images)
    return found


def _effective(answer: "torch.Tensor", computed: set[str]) -> Effective:
    import torch

    exact = torch.get_float32_matmul_precision() == "highest"
    precision = precision_of(computed, name_of(answer.dtype))
    return Effective(f"torch {answer.device}", "tf32" if precision == "fp32" and not exact else precision)


def session(
    call: "Callable[..., object]",
    device: str,
    model: Model,
    showing: Showing | None = None,
    *,
    watched: bool = False,
) -> Session:
    """Wrap a function from tensor to tensor, as torch runtimes have one; inspecting it asks it once.

    Args:
        call: the function.
        device: where it computes.
        model: what was opened.
        showing: what gives the values of its layers, where they can be told apart.
        watched: whether it is a program, in whatever types, that may cast its answers to another one.
    """
    import torch

    fixed = model.signature.batch if model.signature else None

    def ask(images: "torch.Tensor") -> "torch.Tensor":
        return _asked(call, images.to(device))

    def run(images: Images) -> Logits:
        return ask(torch.from_numpy(images)).cpu().numpy()

    def inspect() -> Effective:
        probe = torch.zeros((fixed or PROBE, *model.shape), dtype=getattr(torch, model.dtype))
        return _effective(ask(probe), products(call, probe.to(device)) if watched else set())

    def layers(images: Images) -> Layers:
        assert showing
        with torch.inference_mode():
            shown = showing(torch.from_numpy(images).to(device))
        return {name: value.float().cpu().numpy() for name, value in shown.items()}

    return Session(in_float32(run, model), inspect, fixed, layers if showing else None)
