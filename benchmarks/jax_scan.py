"""The same training in JAX: an epoch is one XLA program, `lax.scan` over the batches, the last 96 images included.

Usage: python benchmarks/jax_scan.py MNIST.npz EPOCHS, where jax and optax are. Evaluates after each epoch; prints the
training seconds of each as a JSON list. The first one compiles.
"""

import json
import sys
import time
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax

BATCH, KEPT, SIZES = 128, 0.8, ((784, 512), (512, 256), (256, 10))
optimizer = optax.adam(1e-3)


def main(path: str, epochs: int) -> None:
    arrays = {name: jnp.asarray(array) for name, array in np.load(path).items()}
    train, test = ((arrays[f"{part}_images"], arrays[f"{part}_labels"]) for part in ("train", "test"))
    params = [linear(key, *size) for key, size in zip(jax.random.split(jax.random.PRNGKey(0), 3), SIZES, strict=True)]
    state, seconds = optimizer.init(params), []
    for epoch in range(1, epochs + 1):
        began = time.perf_counter()
        params, state, correct = train_epoch(params, state, jax.random.PRNGKey(epoch), *train)
        jax.block_until_ready((params, correct))
        seconds.append(time.perf_counter() - began)
        print(f"epoch {epoch}: {float(accuracy(params, *test)):.4f}", file=sys.stderr)
    print(json.dumps(seconds))


def linear(key: Any, fan_in: int, fan_out: int) -> tuple[Any, Any]:
    of_weight, of_bias = jax.random.split(key)
    draw = {"minval": -(bound := 1 / np.sqrt(fan_in)), "maxval": bound}
    return jax.random.uniform(of_weight, (fan_in, fan_out), **draw), jax.random.uniform(of_bias, (fan_out,), **draw)


def forward(params: Any, images: Any, key: Any = None) -> Any:
    hidden = jax.nn.relu(images @ params[0][0] + params[0][1])
    if key is not None:
        hidden = jnp.where(jax.random.bernoulli(key, KEPT, hidden.shape), hidden / KEPT, 0)
    hidden = jax.nn.relu(hidden @ params[1][0] + params[1][1])
    return hidden @ params[2][0] + params[2][1]


def loss(params: Any, images: Any, labels: Any, key: Any) -> Any:
    logits = forward(params, images, key)
    return optax.softmax_cross_entropy_with_integer_labels(logits, labels).mean(), logits


@jax.jit
def train_epoch(params: Any, state: Any, key: Any, images: Any, labels: Any) -> Any:
    def step(carry: Any, batch: Any) -> Any:
        (params, state), (index, key) = carry, batch
        (_, logits), gradients = jax.value_and_grad(loss, has_aux=True)(params, images[index], labels[index], key)
        updates, state = optimizer.update(gradients, state, params)
        return (optax.apply_updates(params, updates), state), (logits.argmax(1) == labels[index]).sum()

    of_order, of_masks, of_last = jax.random.split(key, 3)
    order, full = jax.random.permutation(of_order, len(images)), len(images) // BATCH
    batches = order[: full * BATCH].reshape(full, BATCH), jax.random.split(of_masks, full)
    carry, correct = jax.lax.scan(step, (params, state), batches)
    (params, state), last = step(carry, (order[full * BATCH :], of_last))
    return params, state, correct.sum() + last


@jax.jit
def accuracy(params: Any, images: Any, labels: Any) -> Any:
    return (forward(params, images).argmax(1) == labels).mean()


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
