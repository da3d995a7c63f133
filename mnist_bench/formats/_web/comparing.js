// This browser's answers beside the reference's, image by image.

const PIXELS = 784;
const BATCH = 100;

/** What comes with the page: the test images, their labels, the reference's logits, and which images are certified. */
export async function loadBundle() {
  const get = async (name) => {
    const response = await fetch(name);
    if (!response.ok) throw new Error(`${name} cannot be loaded (${response.status}): is the folder complete?`);
    return response;
  };
  const bytes = async (name) => (await get(name)).arrayBuffer();
  const [about, images, labels, logits, certified] = await Promise.all([
    get("run.json").then((response) => response.json()),
    bytes("images.bin"),
    bytes("labels.bin"),
    bytes("logits.bin"),
    bytes("certified.bin"),
  ]);
  return {
    about,
    images: new Uint8Array(images),
    labels: new Uint8Array(labels),
    logits: new Float64Array(logits),
    certified: new Uint8Array(certified),
    image: (index) => new Uint8Array(images, index * PIXELS, PIXELS),
  };
}

/** Return the place of the largest, the first of equals; -1 where something is no number. */
export function argmax(values) {
  if (!values.every(Number.isFinite)) return -1;
  return values.reduce((best, value, place) => (value > values[best] ? place : best), 0);
}

/**
 * Put all test images to a network, and compare.
 *
 * `onProgress` is told the share that is done; comparing ends early, with null, once `isOver()`.
 *
 * Returns {images, certified: how many; flips, certifiedFlips, beyond: numbers of images that are predicted differently,
 * that are so although certified, and whose logits leave the tolerance; largest: the largest difference of a logit}.
 */
export async function compare(network, bundle, onProgress, isOver) {
  const count = bundle.labels.length;
  const classes = bundle.logits.length / count;
  const found = { images: count, certified: bundle.certified.reduce((sum, one) => sum + one, 0), flips: [], certifiedFlips: [], beyond: [], largest: 0 };
  for (let at = 0; at < count; at += BATCH) {
    const end = Math.min(at + BATCH, count);
    const answers = await network.run(bundle.images.subarray(at * PIXELS, end * PIXELS));
    for (let index = at; index < end; index++) {
      const own = answers.subarray((index - at) * classes, (index - at + 1) * classes);
      note(found, index, own, bundle.logits.subarray(index * classes, (index + 1) * classes), bundle);
    }
    onProgress(end / count);
    await new Promise((resolve) => setTimeout(resolve)); // let the page live
    if (isOver()) return null;
  }
  return found;
}

function note(found, index, own, reference, bundle) {
  if (argmax(own) !== argmax(reference)) {
    found.flips.push(index);
    if (bundle.certified[index]) found.certifiedFlips.push(index);
  }
  const difference = own.reduce((largest, value, place) => Math.max(largest, Math.abs(value - reference[place])), 0);
  if (!(difference <= bundle.about.tolerance)) found.beyond.push(index); // also what is no number
  found.largest = Math.max(found.largest, difference);
}
