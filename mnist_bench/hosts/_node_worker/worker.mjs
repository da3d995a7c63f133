// A worker in JavaScript: ONNX Runtime in Node, behind the protocol of docs/protocol.md, on stdin and stdout.

import { readFileSync, readSync, writeSync } from "node:fs";
import { createRequire } from "node:module";
import { Answering } from "./answering.mjs";

const NEWLINE = 10;
const BYTES = { float16: 2, float32: 4, float64: 8, int8: 1, int16: 2, int32: 4, int64: 8, uint8: 1, uint16: 2, uint32: 4, uint64: 8 };

const began = process.hrtime.bigint();
const now = () => Number(process.hrtime.bigint() - began);
const ort = createRequire(import.meta.url)("onnxruntime-node");
const importSeconds = now() * 1e-9;
const version = JSON.parse(readFileSync(new URL("./node_modules/onnxruntime-node/package.json", import.meta.url))).version;

// What has been read and not been used yet.
let pending = Buffer.alloc(0);

/** Read once, up to so many bytes; nothing at the end of stdin. */
function readSome(bytes) {
  const buffer = Buffer.allocUnsafe(bytes);
  for (;;) {
    try {
      return buffer.subarray(0, readSync(0, buffer));
    } catch (error) {
      if (error.code === "EOF") return buffer.subarray(0, 0);
      if (error.code !== "EAGAIN") throw error;
    }
  }
}

function readLine() {
  let end;
  while ((end = pending.indexOf(NEWLINE)) < 0) {
    const more = readSome(65536);
    if (more.length === 0) return null;
    pending = Buffer.concat([pending, more]);
  }
  const line = pending.subarray(0, end).toString("utf8");
  pending = pending.subarray(end + 1);
  return line;
}

/** Read so many bytes into memory of their own, in which any type of array may begin. */
function readBytes(count) {
  const bytes = new Uint8Array(count);
  let filled = Math.min(pending.length, count);
  bytes.set(pending.subarray(0, filled));
  pending = pending.subarray(filled);
  while (filled < count) {
    const more = readSome(Math.min(count - filled, 1 << 20));
    if (more.length === 0) throw new Error("stdin ended within an array");
    bytes.set(more, filled);
    filled += more.length;
  }
  return bytes;
}

function read() {
  const line = readLine();
  if (line === null) return null;
  const message = JSON.parse(line);
  const arrays = {};
  for (const { name, dtype, shape } of message.arrays ?? []) {
    arrays[name] = readBytes(shape.reduce((product, size) => product * size, BYTES[dtype]));
  }
  return { ...message, arrays };
}

function writeAll(bytes) {
  for (let at = 0; at < bytes.length; ) {
    try {
      at += writeSync(1, bytes, at);
    } catch (error) {
      if (error.code !== "EAGAIN") throw error;
    }
  }
}

function write({ message, fields = {}, arrays = [] }) {
  const described = arrays.map(([name, dtype, shape]) => ({ name, dtype, shape }));
  writeAll(Buffer.from(`${JSON.stringify({ message, ...fields, arrays: described })}\n`));
  for (const [, , , values] of arrays) writeAll(new Uint8Array(values.buffer, values.byteOffset, values.byteLength));
}

async function open(content, threads) {
  const session = await ort.InferenceSession.create(content, {
    executionProviders: ["cpu"],
    intraOpNumThreads: threads,
    interOpNumThreads: 1,
    logSeverityLevel: 3,
  });
  return { session, Tensor: ort.Tensor, provider: "CPUExecutionProvider of Node" };
}

const worker = new Answering({
  open,
  now,
  resolution: 1,
  hello: { version, pid: process.pid, import_s: importSeconds },
});
for (let message = read(); message !== null && message.message !== "close"; message = read()) {
  write(await worker.answer(message));
}
write({ message: "closed" });
process.exit(0);
