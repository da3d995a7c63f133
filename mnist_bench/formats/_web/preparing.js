// From a drawing or a picture to 28 × 28 pixels, as MNIST's were made: fitted into 20 × 20, then centred by mass.

export const SIDE = 28;
const INNER = 20;
const FAINT = 16; // of 255: a smaller difference from the ground is no ink
const DARKEST = 254; // every image of MNIST has a pixel of 254 or 255

/** Return the box of what is inked, [left, top, right, bottom], the last two exclusive; null where nothing is. */
function boxOf(ink, width, height) {
  let [left, top, right, bottom] = [width, height, 0, 0];
  for (let y = 0; y < height; y++) {
    for (let x = 0; x < width; x++) {
      if (ink[y * width + x] === 0) continue; // however faint: MNIST's images fit into 20 × 20 with their faintest pixels
      left = Math.min(left, x);
      right = Math.max(right, x + 1);
      top = Math.min(top, y);
      bottom = Math.max(bottom, y + 1);
    }
  }
  return right ? [left, top, right, bottom] : null;
}

/** Return how much of each of `count` equal parts of [from, to) lies on each pixel: [[first pixel, [weights]]]. */
function shares(from, to, count) {
  const step = (to - from) / count;
  return Array.from({ length: count }, (_, part) => {
    const [begin, end] = [from + part * step, from + (part + 1) * step];
    const first = Math.floor(begin);
    const weights = [];
    for (let pixel = first; pixel < end; pixel++) weights.push((Math.min(pixel + 1, end) - Math.max(pixel, begin)) / step);
    return [first, weights];
  });
}

/** Average ink over the parts of a box: Float64Array (columns · rows). */
function averaged(ink, width, [left, top, right, bottom], columns, rows) {
  const across = shares(left, right, columns);
  const down = shares(top, bottom, rows);
  const found = new Float64Array(columns * rows);
  down.forEach(([y, weightsY], row) => {
    across.forEach(([x, weightsX], column) => {
      let sum = 0;
      weightsY.forEach((weightY, j) => weightsX.forEach((weightX, i) => {
        sum += weightY * weightX * (ink[(y + j) * width + x + i] ?? 0);
      }));
      found[row * columns + column] = sum;
    });
  });
  return found;
}

/** Prepare ink, 0 to 255, Uint8Array (width · height): Uint8Array (784), or null where nothing is drawn. */
export function prepared(ink, width, height) {
  const box = boxOf(ink, width, height);
  if (!box) return null;
  const [wide, high] = [box[2] - box[0], box[3] - box[1]];
  const scale = INNER / Math.max(wide, high);
  const [columns, rows] = [wide, high].map((size) => Math.max(1, Math.round(size * scale)));
  const small = averaged(ink, width, box, columns, rows);
  const [dx, dy] = places(small, columns, rows);
  const darkest = small.reduce((most, value) => Math.max(most, value), 0);
  const stretch = Math.round(darkest) < DARKEST ? 255 / darkest : 1; // a thin stroke that averaging has made faint
  const found = new Uint8Array(SIDE * SIDE);
  small.forEach((value, place) => {
    found[(dy + Math.floor(place / columns)) * SIDE + dx + (place % columns)] = Math.round(value * stretch);
  });
  return found;
}

/** Return where ink has to begin so that its centre of mass is where MNIST's is: [column, row]. */
function places(small, columns, rows) {
  let [mass, massX, massY] = [0, 0, 0];
  small.forEach((value, place) => {
    mass += value;
    massX += value * ((place % columns) + 0.5);
    massY += value * (Math.floor(place / columns) + 0.5);
  });
  // MNIST's has the index 14, counted from 0: the middle of pixel 14, so 14.5 from the edge and not 14. What lies half-way
  // between two places goes to the first, also where the sums above are not quite exact.
  const shift = (centre, size) => {
    const exact = SIDE / 2 + 0.5 - centre;
    return Math.min(Math.max(Math.ceil(exact - 0.5 - 1e-6), 0), SIDE - size); // nothing is cut off
  };
  return [shift(massX / mass, columns), shift(massY / mass, rows)];
}

/** Return whether all that can be seen of RGBA has nearly one colour, and its alpha alone tells ink from ground. */
function isInAlpha(rgba) {
  const [least, most] = [[255, 255, 255, 255], [0, 0, 0, 0]];
  for (let at = 0; at < rgba.length; at += 4) {
    const alpha = rgba[at + 3];
    const first = alpha < 4 * FAINT ? 3 : 0; // of what is hardly seen the colour says nothing
    for (let channel = first; channel < 4; channel++) {
      least[channel] = Math.min(least[channel], rgba[at + channel]);
      most[channel] = Math.max(most[channel], rgba[at + channel]);
    }
  }
  const [red, green, blue, alpha] = most.map((value, channel) => value - least[channel]);
  return alpha >= FAINT && Math.max(red, green, blue) < 2 * FAINT;
}

/** Return how light each pixel of RGBA is, Uint8Array (width · height); what is transparent lies on white. */
function greyOf(rgba) {
  return Uint8Array.from({ length: rgba.length / 4 }, (_, place) => {
    const [red, green, blue, alpha] = rgba.subarray(4 * place, 4 * place + 4);
    const over = (value) => (value * alpha + 255 * (255 - alpha)) / 255;
    return Math.round(0.299 * over(red) + 0.587 * over(green) + 0.114 * over(blue));
  });
}

/** Turn RGBA into ink: how much each pixel differs from the ground, which is what most of the border shows. */
export function inkOf(rgba, width, height) {
  const inAlpha = isInAlpha(rgba);
  const values = inAlpha ? rgba.filter((_, at) => at % 4 === 3) : greyOf(rgba);
  const border = values.filter((_, place) => {
    const [x, y] = [place % width, Math.floor(place / width)];
    return x === 0 || y === 0 || x === width - 1 || y === height - 1;
  }).sort();
  const ground = border[border.length >> 1];
  const differences = Int16Array.from(values, (value) => value - ground);
  const largest = differences.reduce((most, value) => Math.max(most, Math.abs(value)), 0);
  const faint = Math.max(FAINT, largest / 5); // shadows and noise of a photograph
  // Ink lies on that side of the ground on which there is more; faint things do not count, which may be everywhere.
  const sum = differences.reduce((total, value) => (Math.abs(value) < faint ? total : total + value), 0);
  const sign = sum < 0 ? -1 : 1;
  const darkest = differences.reduce((most, value) => Math.max(most, sign * value), 0);
  const ink = Uint8Array.from(differences, (value) => (sign * value < faint ? 0 : Math.round((255 * sign * value) / darkest)));
  return { ink, inverted: sign < 0 && !inAlpha };
}
