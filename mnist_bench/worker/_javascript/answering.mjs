// Answers the messages of docs/protocol.md with ONNX Runtime for JavaScript, wherever that runs. The clock is next to the call.

import { callsASample } from "./timing.mjs";

const PIXELS = 28 * 28;
const OURS = { shape: [1, 28, 28], dtype: "float32", output: "", answers: "float32", batch: null };
const ARRAYS = { float32: Float32Array, float64: Float64Array, uint8: Uint8Array };
const FLOAT_BYTES = 4 * 535818; // the specified network's parameters in float32
const BESIDES = 1.05; // what a file holds besides: a few thousand bytes

/** Tell in what a file's layers compute: a session cannot be asked. */
function precisionOf(content) {
  const words = new TextDecoder("latin1").decode(content);
  // In ONNX a node's type is field 4 of its message: a tag and a length before the word, which a run may be called too.
  const has = (type) => words.includes(`"${String.fromCharCode(type.length)}${type}`);
  if (has("MatMulInteger")) return "int8-dynamic";
  if (has("QuantizeLinear")) return "int8";
  const isOf = (bytes) => bytes <= content.length && content.length <= BESIDES * bytes;
  if (isOf(FLOAT_BYTES / 2)) return "fp16";
  return isOf(FLOAT_BYTES) ? "fp32" : "unknown"; // another network's
}

/**
 * Holds one session, and the images that it is asked about.
 *
 * `engine` is where it runs: `open(content, threads)` resolves to {session, Tensor, provider}; `now()` is a monotonic
 * clock in nanoseconds, which moves in steps of `resolution` nanoseconds; `hello` says who answers, and `memory()` the
 * most bytes that the process had resident, where it can tell.
 */
export class Answering {
  #engine;
  #opened = null;
  #precision = null;
  #signature = OURS; // how images come, and which output is the answer
  #images = new Float32Array(0);
  #classes = 10;

  constructor(engine) {
    this.#engine = engine;
  }

  /** Answer a message: {message, fields, arrays}, whose arrays are [name, dtype, shape, typed array]. */
  async answer(asked) {
    try {
      if (asked.arrays.images) this.#images = new ARRAYS[this.#signature.dtype](asked.arrays.images.buffer);
      return await this.#answered(asked);
    } catch (error) {
      return { message: "error", fields: { kind: "failed", reason: String(error.message ?? error).split("\n")[0] } };
    }
  }

  async #answered(asked) {
    switch (asked.message) {
      case "hello":
        return { message: "hello", fields: { protocol: 1, runtime: "onnxruntime", ...this.#engine.hello } };
      case "open":
        return await this.#open(asked);
      case "inspect":
        return { message: "inspected", fields: { provider: this.#opened.provider, precision: this.#precision } };
      case "run": {
        const count = this.#images.length / PIXELS;
        const answers = await this.#logits(this.#batches(asked.batch_size, this.#signature.batch !== null));
        const logits = answers.subarray(0, count * this.#classes);
        return { message: "answers", arrays: [["logits", "float32", [logits.length / this.#classes, this.#classes], logits]] };
      }
      case "time":
        return await this.#time(asked);
      case "close":
        return { message: "closed" };
      default:
        return { message: "error", fields: { kind: "unsupported", reason: `there is no message '${asked.message}' here` } };
    }
  }

  async #open(asked) {
    const signature = { ...OURS, ...asked.signature };
    const unknown = [signature.dtype, signature.answers].find((type) => !(type in ARRAYS));
    if (unknown) {
      return { message: "error", fields: { kind: "unsupported", reason: `there are no images or answers of ${unknown} here` } };
    }
    const [content] = Object.values(asked.arrays);
    const start = this.#engine.now();
    const before = this.#opened;
    this.#opened = null;
    await before?.session.release();
    this.#opened = await this.#engine.open(content, asked.threads);
    this.#precision = precisionOf(content);
    this.#signature = signature;
    return { message: "opened", fields: { load_s: (this.#engine.now() - start) * 1e-9 } };
  }

  /** Cut the images into batches of one size; the last is as short as it is, or filled up with the first images. */
  #batches(size, full) {
    const count = this.#images.length / PIXELS;
    const found = [];
    for (let at = 0; at < count; at += size) {
      const here = full ? size : Math.min(size, count - at);
      const batch = new this.#images.constructor(here * PIXELS);
      for (let row = 0; row < here; row++) {
        const from = ((at + row) % count) * PIXELS;
        batch.set(this.#images.subarray(from, from + PIXELS), row * PIXELS);
      }
      found.push(batch);
    }
    return found;
  }

  /** Answer one batch: from an array to an array. */
  async #run(batch) {
    const { session, Tensor } = this.#opened;
    const { dtype, shape, output } = this.#signature;
    const input = new Tensor(dtype, batch, [batch.length / PIXELS, ...shape]);
    const answers = await session.run({ [session.inputNames[0]]: input }); // weights are no inputs of a session
    const answer = answers[output || session.outputNames[0]];
    if (answer.dims) this.#classes = answer.dims[answer.dims.length - 1];
    return answer.data;
  }

  async #logits(parts) {
    const found = [];
    for (const part of parts) found.push(Float32Array.from(await this.#run(part)));
    const whole = new Float32Array(found.reduce((sum, part) => sum + part.length, 0));
    let at = 0;
    for (const part of found) {
      whole.set(part, at);
      at += part.length;
    }
    return whole;
  }

  /** Return the nanoseconds of a call: of one, or the mean of so many, one batch after the other. */
  async #clocked(parts, first, calls) {
    const start = this.#engine.now();
    for (let call = first; call < first + calls; call++) await this.#run(parts[call % parts.length]);
    return Math.max(1, (this.#engine.now() - start) / calls); // a clock may not tick at all within a call
  }

  /** A first call, answers for the check, a warm-up that is not scored, and then the calls that count. */
  async #time(asked) {
    const parts = this.#batches(asked.batch_size, true);
    const first = await this.#clocked(parts, 0, 1);
    const arrays = [];
    if (asked.answers > 0) {
      const wanted = parts.slice(0, Math.ceil(asked.answers / asked.batch_size));
      const logits = (await this.#logits(wanted)).subarray(0, asked.answers * this.#classes);
      arrays.push(["logits", "float32", [asked.answers, this.#classes], logits]);
    }
    const start = this.#engine.now();
    const seconds = () => (this.#engine.now() - start) * 1e-9;
    let calls = 0;
    for (; calls < asked.warm_up_calls || seconds() < asked.warm_up_s; calls++) await this.#run(parts[calls % parts.length]);
    const warmUp = { warm_up_calls: calls, warm_up_s: seconds() };
    const mean = async (some) => (await this.#clocked(parts, 0, some)) * 1e-9;
    const size = await callsASample(mean, this.#engine.resolution * 1e-9);
    const times = new BigInt64Array(asked.calls);
    for (let at = 0; at < asked.calls; at++) times[at] = BigInt(Math.round(await this.#clocked(parts, at * size, size)));
    arrays.push(["times_ns", "int64", [asked.calls], times]);
    const peak = this.#engine.memory?.();
    return { message: "timed", fields: { first_call_s: first * 1e-9, ...warmUp, peak_resident_bytes: peak }, arrays };
  }
}
