// The network in ONNX Runtime for the web: in WebAssembly, or on a GPU where the browser has an adapter.

import { browserStep, callsASample } from "./timing.js";

const MOST_THREADS = 4; // for so small a network more are slower

/** Return what this browser can compute with, the usual first: [{label, threads, gpu}]. */
export async function engines() {
  const cores = crossOriginIsolated ? Math.min(navigator.hardwareConcurrency || 1, MOST_THREADS) : 1;
  const found = [...new Set([cores, 1])].map((threads) => ({ label: `wasm SIMD, ${counted(threads)}`, threads, gpu: false }));
  const adapter = await navigator.gpu?.requestAdapter().catch(() => null);
  return adapter ? [...found, { label: "WebGPU", threads: 1, gpu: true }] : found;
}

function counted(threads) {
  return `${threads} thread${threads === 1 ? "" : "s"}`;
}

const address = (name) => new URL(name, import.meta.url).href;

/** Import ONNX Runtime; anew for each number of threads, which it has for good. The build for GPUs is the slower one. */
async function imported({ threads, gpu }) {
  const build = gpu ? "ort-wasm-simd-threaded.asyncify" : "ort-wasm-simd-threaded";
  const ort = await import(`./${gpu ? "ort.webgpu.min" : "ort.wasm.min"}.js?threads=${threads}`);
  ort.env.wasm.numThreads = threads;
  ort.env.wasm.wasmPaths = { mjs: address(`${build}.js`), wasm: address(`${build}.wasm`) };
  ort.env.logLevel = "error";
  return ort;
}

/** A network that is open: `run` answers images, `label` says with what. */
export class Network {
  #ort;
  #session;

  constructor(ort, session, engine) {
    this.#ort = ort;
    this.#session = session;
    this.threads = ort.env.wasm.numThreads; // read back: ONNX Runtime falls back to one where there is no shared memory
    this.label = engine.gpu ? "WebGPU" : `wasm SIMD, ${counted(this.threads)}`;
    this.version = ort.env.versions.web;
  }

  static async open(model, engine) {
    const ort = await imported(engine);
    const session = await ort.InferenceSession.create(model, { executionProviders: [engine.gpu ? "webgpu" : "wasm"] });
    return new Network(ort, session, engine);
  }

  /** Answer n images, Uint8Array (n · 784): Float32Array (n · 10) of logits. */
  async run(pixels) {
    const values = Float32Array.from(pixels, (pixel) => pixel / 255); // rounded as in training: to the nearest float32
    const input = new this.#ort.Tensor("float32", values, [values.length / 784, 1, 28, 28]);
    const answers = await this.#session.run({ image: input });
    return answers.logits.data;
  }

  /** Time calls on one image: {seconds, samples, calls}, the median of so many samples, each the mean of so many calls. */
  async latency(pixels) {
    const SAMPLES = 101;
    const WARM_UP = 300;
    const input = new this.#ort.Tensor("float32", Float32Array.from(pixels, (pixel) => pixel / 255), [1, 1, 28, 28]);
    const mean = async (calls) => {
      const start = performance.now();
      for (let call = 0; call < calls; call++) await this.#session.run({ image: input });
      return (performance.now() - start) / calls / 1000;
    };
    await mean(WARM_UP);
    const calls = await callsASample(mean, browserStep());
    const found = [];
    while (found.length < SAMPLES) found.push(await mean(calls));
    found.sort((one, other) => one - other);
    return { seconds: found[(SAMPLES - 1) / 2], samples: SAMPLES, calls };
  }
}
