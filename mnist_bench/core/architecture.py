"""The sizes of the network, and the matrix products that it takes to run and to train it."""

PIXELS, HIDDEN_1, HIDDEN_2, CLASSES = 28 * 28, 512, 256, 10
LAYERS = ((PIXELS, HIDDEN_1), (HIDDEN_1, HIDDEN_2), (HIDDEN_2, CLASSES))
PARAMETERS = sum((n_in + 1) * n_out for n_in, n_out in LAYERS)

SHAPES: dict[str, tuple[int, ...]] = {
    f"fc{number}.{part}": shape
    for number, (n_in, n_out) in enumerate(LAYERS, 1)
    for part, shape in (("weight", (n_out, n_in)), ("bias", (n_out,)))
}
"""The parameters by name, `fc1.weight` (outputs, inputs) to `fc3.bias`, all float32."""

MOMENTS = ("exp_avg", "exp_avg_sq")
"""Of every parameter, what Adam keeps: its gradient's running average, and that of its square; torch's names."""

OPTIMIZER_SHAPES = {"step": ()} | {f"{name}.{moment}": shape for name, shape in SHAPES.items() for moment in MOMENTS}

Product = tuple[int, int, int]
"""A matrix product of (rows, inner) by (inner, columns): 2 · rows · inner · columns operations."""


def inference_products(batch: int) -> tuple[Product, ...]:
    """Return the products of one forward pass."""
    return tuple((batch, n_in, n_out) for n_in, n_out in LAYERS)


def training_products(batch: int) -> tuple[Product, ...]:
    """Return the eight products of a training step; the first layer needs no gradient of its input."""
    weights = tuple((n_out, batch, n_in) for n_in, n_out in LAYERS)
    inputs = tuple((batch, n_out, n_in) for n_in, n_out in LAYERS[1:])
    return inference_products(batch) + weights + inputs


def operations(products: tuple[Product, ...]) -> int:
    """Count the floating-point operations of some products: a multiplication and an addition each."""
    return sum(2 * rows * inner * columns for rows, inner, columns in products)
