"""What one writes to time a deployed file by hand: a loop around each library's own call, and nothing of mnist-bench.

Usage: python in_python.py TARGET FILE IMAGES.npy BATCH,…

FILE is a run's export, IMAGES float32 (n, 1, 28, 28). One thread, 50 calls and half a second of warm-up, then so many
calls as `mnist-bench bench` takes; prints the median seconds of a call by batch size, as JSON.
"""

import ctypes
import gc
import json
import shlex
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from typing import Any

import numpy as np

Call = Callable[[Any], Any]


def onnxruntime(path: str) -> Call:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    return lambda images: session.run(None, {"image": images})


def litert(path: str) -> Call:
    from ai_edge_litert.interpreter import Interpreter

    interpreter = Interpreter(path, num_threads=1)
    size = 0

    def call(images: Any) -> Any:
        nonlocal size
        if len(images) != size:
            size = len(images)
            interpreter.resize_tensor_input(interpreter.get_input_details()[0]["index"], [size, 784])
            interpreter.allocate_tensors()
        interpreter.set_tensor(0, images.reshape(size, 784))
        interpreter.invoke()
        return interpreter.get_tensor(answer)

    answer = interpreter.get_output_details()[0]["index"]
    assert interpreter.get_input_details()[0]["index"] == 0
    return call


def ncnn(path: str) -> Call:
    import ncnn

    network = ncnn.Net()
    network.opt.num_threads = 1
    network.opt.use_fp16_packed = network.opt.use_fp16_storage = network.opt.use_fp16_arithmetic = False
    network.opt.use_bf16_storage = False
    network.load_param(f"{path}/model.param")
    network.load_model(f"{path}/model.bin")

    def call(images: Any) -> Any:
        extractor = network.create_extractor()
        extractor.input("image", ncnn.Mat(images.reshape(-1)))
        return np.array(extractor.extract("logits")[1])

    return call


def openvino(path: str) -> Call:
    import openvino

    hints = {"INFERENCE_PRECISION_HINT": "f32", "INFERENCE_NUM_THREADS": 1, "PERFORMANCE_HINT": "LATENCY"}
    request = openvino.Core().compile_model(path, "CPU", hints).create_infer_request()
    bound: dict[int, Any] = {}

    def call(images: Any) -> Any:
        if len(images) not in bound:
            bound[len(images)] = np.empty_like(images)
            request.set_input_tensor(openvino.Tensor(bound[len(images)], shared_memory=True))
        bound[len(images)][:] = images
        request.infer()
        return request.get_output_tensor().data.copy()

    return call


def executorch(path: str) -> Call:
    import torch
    from executorch.extension.pybindings import portable_lib

    portable_lib._unsafe_reset_threadpool(1)
    program = portable_lib._load_for_executorch(path)
    return lambda images: program.forward([torch.from_numpy(images)])[0].numpy()


def scikit_learn(path: str) -> Call:
    import skops.io
    from threadpoolctl import threadpool_limits

    threadpool_limits(1)
    classifier = skops.io.load(path, trusted=skops.io.get_untrusted_types(file=path))
    return lambda images: classifier._forward_pass_fast(images.reshape(len(images), -1), check_input=False)


def torch_call(network: Any) -> Call:
    import torch

    torch.set_num_threads(1)

    @torch.inference_mode()
    def call(images: Any) -> Any:
        return network(torch.from_numpy(images)).numpy()

    return call


def torch_eager(path: str) -> Call:
    return torch_call(network_of(path))


def torch_compile(path: str) -> Call:
    import torch

    torch.set_num_threads(1)
    return torch_call(torch.compile(network_of(path), dynamic=True))


def network_of(path: str) -> Any:
    """As a notebook has it, with the weights of a run that was trained with ReLU."""
    import torch
    from safetensors.torch import load_file
    from torch import nn

    class Network(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.fc1, self.fc2, self.fc3 = nn.Linear(784, 512), nn.Linear(512, 256), nn.Linear(256, 10)
            self.relu, self.dropout = nn.ReLU(), nn.Dropout(0.2)

        def forward(self, images: torch.Tensor) -> Any:
            hidden = self.dropout(self.relu(self.fc1(images.flatten(1))))
            return self.fc3(self.relu(self.fc2(hidden)))

    network = Network()
    network.load_state_dict(load_file(path))
    return network.eval()


def torchscript(path: str) -> Call:
    import torch

    return torch_call(torch.jit.load(path))


def torch_export(path: str) -> Call:
    import torch

    return torch_call(torch.export.load(path).module())


def aotinductor(path: str) -> Call:
    import torch

    return torch_call(torch._inductor.aoti_load_package(path))


def c(path: str) -> Call:
    with tempfile.TemporaryDirectory() as folder:
        built = f"{folder}/model.so"
        words = f"cc -std=c99 -O3 -march=native -shared -fPIC {shlex.quote(path)} -o {built} -lm"
        subprocess.run(shlex.split(words), check=True)
        logits_of = ctypes.CDLL(built).mnist_bench_logits
    pointer = ctypes.c_void_p
    logits_of.argtypes, logits_of.restype = [pointer, ctypes.c_size_t, pointer], None

    def call(images: Any) -> Any:
        logits = np.empty((len(images), 10), np.float32)
        logits_of(images.ctypes.data, len(images), logits.ctypes.data)
        return logits

    return call


LOOPS: dict[str, Callable[[str], Call]] = {
    "aotinductor": aotinductor,
    "c": c,
    "executorch": executorch,
    "litert": litert,
    "ncnn": ncnn,
    "onnxruntime": onnxruntime,
    "openvino": openvino,
    "ort-fixed": onnxruntime,
    "ort-runtime": onnxruntime,
    "scikit-learn": scikit_learn,
    "torch-compile": torch_compile,
    "torch-eager": torch_eager,
    "torch-export": torch_export,
    "torchscript": torchscript,
}


def main(target: str, path: str, images: str, sizes: str) -> None:
    call, pixels = LOOPS[target](path), np.load(images)
    found = {size: median(call, pixels, size) for size in map(int, sizes.split(","))}
    print(json.dumps(found))


def median(call: Call, pixels: Any, size: int) -> float:
    batches = [pixels[at : at + size] for at in range(0, len(pixels) - size + 1, size)]
    began, warm = time.perf_counter(), 0
    while warm < 50 or time.perf_counter() - began < 0.5:
        call(batches[warm % len(batches)])
        warm += 1
    times = []
    gc.collect()
    gc.disable()
    for number in range(max(60, min(1_000, 15_360 // size))):
        batch = batches[number % len(batches)]
        start = time.perf_counter_ns()
        call(batch)
        times.append(time.perf_counter_ns() - start)
    gc.enable()
    return statistics.median(times) * 1e-9


if __name__ == "__main__":
    main(*sys.argv[1:])
