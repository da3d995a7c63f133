"""A program that mnist-bench can verify and time: the network in NumPy, from a safetensors file of its weights.

    mnist-bench verify --command 'python examples/engine.py {model}' --format weights

It speaks docs/protocol.md with the standard library and NumPy alone: copy it, and put your engine where `Network` is.
"""

import json
import os
import sys
import time
from pathlib import Path

import numpy as np

ACTIVATIONS = {"relu": lambda x: np.maximum(x, np.float32(0)), "sigmoid": lambda x: 1 / (1 + np.exp(-x))}


class Network:
    """Maps images float32 (n, 1, 28, 28) to logits float32 (n, 10)."""

    def __init__(self, content, activation):
        end = 8 + int.from_bytes(content[:8], "little")  # safetensors: a length, a JSON header, and the tensors
        header, tensors = json.loads(content[8:end]), content[end:]
        parts = {name: (slice(*entry["data_offsets"]), entry["shape"]) for name, entry in header.items()}
        self.weights = {name: np.frombuffer(tensors[p], "<f4").reshape(shape) for name, (p, shape) in parts.items()}
        self.activate = ACTIVATIONS[activation]

    def __call__(self, images):
        values = images.reshape(len(images), -1)
        for layer in ("fc1", "fc2", "fc3"):
            values = values @ self.weights[f"{layer}.weight"].T + self.weights[f"{layer}.bias"]
            values = values if layer == "fc3" else self.activate(values)
        return values


def read(stream):
    message = json.loads(stream.readline() or "null")  # null: nobody asks any more
    arrays = {}
    for entry in message.pop("arrays", []) if message else []:
        dtype = np.dtype(entry["dtype"])
        content = stream.read(dtype.itemsize * int(np.prod(entry["shape"])))
        arrays[entry["name"]] = np.frombuffer(content, dtype.newbyteorder("<")).reshape(entry["shape"])
    return message and message | {"arrays": arrays}


def write(message, arrays=None, **fields):
    arrays = {name: np.asarray(array, order="C") for name, array in (arrays or {}).items()}
    described = [{"name": name, "dtype": a.dtype.name, "shape": list(a.shape)} for name, a in arrays.items()]
    sys.stdout.buffer.write(json.dumps({"message": message, **fields, "arrays": described}).encode() + b"\n")
    for array in arrays.values():
        sys.stdout.buffer.write(array.tobytes())  # little-endian, where this machine is
    sys.stdout.buffer.flush()


def clocked(network, batch):
    began = time.perf_counter_ns()
    network(batch)
    return time.perf_counter_ns() - began


def time_calls(network, images, message):
    """A call that finds everything cold, answers for the check, a warm-up that is not scored, and then what counts."""
    size, wanted = message["batch_size"], message["answers"]
    batches = [np.take(images, range(at, at + size), axis=0, mode="wrap") for at in range(0, len(images), size)]
    first_ns, arrays = clocked(network, batches[0]), {}
    if wanted:
        arrays["logits"] = np.concatenate([network(batch) for batch in batches[: -(-wanted // size)]])[:wanted]
    began, calls = time.perf_counter(), 0
    while calls < message["warm_up_calls"] or time.perf_counter() - began < message["warm_up_s"]:
        network(batches[calls % len(batches)])
        calls += 1
    fields = {"warm_up_calls": calls, "warm_up_s": time.perf_counter() - began, "first_call_s": first_ns * 1e-9}
    times = [clocked(network, batches[call % len(batches)]) for call in range(message["calls"])]
    write("timed", arrays | {"times_ns": np.array(times, np.int64)}, **fields)


network = images = None
while message := read(sys.stdin.buffer):
    kind, images = message["message"], message["arrays"].get("images", images)
    if kind == "hello":
        write("hello", protocol=1, runtime="numpy-engine", version="1", pid=os.getpid())
    elif kind == "open":
        sent = [array.tobytes() for array in message["arrays"].values()]  # nothing, where the command has {model}
        network = Network(sent[0] if sent else Path(sys.argv[1]).read_bytes(), message["activation"])
        write("opened")
    elif kind == "inspect":
        write("inspected", provider="numpy", precision="fp32")
    elif kind == "run":
        parts = np.split(images, range(message["batch_size"], len(images), message["batch_size"]))
        write("answers", {"logits": np.concatenate([network(part) for part in parts])})
    elif kind == "time":
        time_calls(network, images, message)
    elif kind == "close":
        write("closed")
        break
    else:
        write("error", kind="unsupported", reason=f"there is no message {kind!r} here")
