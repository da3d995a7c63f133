// From a drawing or a picture to 28 × 28 pixels, as MNIST's were made: fitted into 20 × 20, then centred by mass.

export const SIDE = 28;
const INNER = 20;
const FAINT = 16; // of 255: a smaller difference from the ground is no ink
const NOISE = 7; // times the median difference on the border: of normal noise that is 4.7 deviations
const DARKEST = 254; // every image of MNIST has a pixel of 254 or 255
const SEEN = 128; // of 255: what is as opaque as this shows itself, and not what lies below

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

/** Return which pixels lie on the border. */
function onBorder(width, height) {
  return (_, place) => {
    const [x, y] = [place % width, Math.floor(place / width)];
    return x === 0 || y === 0 || x === width - 1 || y === height - 1;
  };
}

/** Return what lies below a picture that is transparent in places; `own` is how light it is, `alpha` how opaque. */
function paperOf(own, alpha, width, height) {
  const border = alpha.filter(onBorder(width, height));
  const opaque = own.filter(onBorder(width, height)).filter((_, place) => border[place] >= SEEN).sort();
  if (2 * opaque.length >= border.length) return opaque[opaque.length >> 1]; // transparent in its corners, perhaps
  const mass = alpha.reduce((total, value) => total + value, 0);
  return own.reduce((total, value, place) => total + value * alpha[place], 0) / mass > 255 / 2 ? 0 : 255;
}

/** Return how light each pixel of RGBA is, Uint8Array (width · height); what is transparent shows the ground. */
function greyOf(rgba, width, height) {
  const own = Float64Array.from({ length: width * height }, (_, place) => {
    const [red, green, blue] = rgba.subarray(4 * place, 4 * place + 3);
    return 0.299 * red + 0.587 * green + 0.114 * blue;
  });
  const alpha = rgba.filter((_, at) => at % 4 === 3);
  const paper = paperOf(own, alpha, width, height);
  return Uint8Array.from(own, (value, place) => Math.round((value * alpha[place] + paper * (255 - alpha[place])) / 255));
}

/** Return the median; of an even number of values the upper one of the two in the middle. */
function medianOf(values) {
  return values.slice().sort()[values.length >> 1]; // of a typed array, so by number
}

/**
 * Return how light the ground is at each place, which the border shows: level, or a slope where light falls from one side.
 * A side whose median is far from that of the whole border is inked, and says nothing.
 */
function groundOf(values, width, height) {
  const level = medianOf(values.filter(onBorder(width, height)));
  const most = Math.max(2 * FAINT, values.reduce((largest, value) => Math.max(largest, Math.abs(value - level)), 0) / 3);
  const side = (isOnIt) => {
    const found = medianOf(values.filter((_, place) => isOnIt(place % width, Math.floor(place / width))));
    return Math.abs(found - level) <= most ? found : level;
  };
  const [left, right] = [side((x) => x === 0), side((x) => x === width - 1)];
  const [top, bottom] = [side((_, y) => y === 0), side((_, y) => y === height - 1)];
  const middle = (left + right + top + bottom) / 4;
  return (place) => {
    const [across, down] = [((place % width) + 0.5) / width - 0.5, (Math.floor(place / width) + 0.5) / height - 0.5];
    return middle + (right - left) * across + (bottom - top) * down;
  };
}

/** Turn RGBA into ink: how much each pixel differs from the ground. */
export function inkOf(rgba, width, height) {
  const inAlpha = isInAlpha(rgba);
  const values = inAlpha ? rgba.filter((_, at) => at % 4 === 3) : greyOf(rgba, width, height);
  const ground = groundOf(values, width, height);
  const differences = Int16Array.from(values, (value, place) => Math.round(value - ground(place)));
  const sizes = differences.map(Math.abs);
  const largest = sizes.reduce((most, value) => Math.max(most, value), 0);
  const noise = NOISE * medianOf(sizes.filter(onBorder(width, height)));
  const faint = Math.max(FAINT, largest / 5, Math.min(noise, largest / 2)); // shadows and noise of a photograph
  // Ink lies on that side of the ground on which there is more; faint things do not count, which may be everywhere.
  const sum = differences.reduce((total, value) => (Math.abs(value) < faint ? total : total + value), 0);
  const sign = sum < 0 ? -1 : 1;
  const darkest = differences.reduce((most, value) => Math.max(most, sign * value), 0);
  const ink = Uint8Array.from(differences, (value) => (sign * value < faint ? 0 : Math.round((255 * sign * value) / darkest)));
  return { ink, inverted: sign < 0 && !inAlpha };
}
