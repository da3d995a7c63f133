// How many calls a sample of times is the mean of.

const STEPS = 100; // of the clock, that a sample takes at least: so it errs by about one per cent

/** The step of a browser's clock in seconds, as High Resolution Time has it; coarse, so that no page can time another. */
export const browserStep = () => (crossOriginIsolated ? 5e-6 : 100e-6);

/**
 * Return how many calls a sample has to be the mean of: one, where that takes long enough for the clock.
 *
 * `mean(calls)` makes so many calls and resolves to the seconds of one. Samples of single short calls on a browser's clock
 * would all be one of two numbers, and the median of any number of processes the same.
 */
export async function callsASample(mean, step) {
  const wanted = STEPS * step;
  for (let calls = 1; ; ) {
    let shortest = Infinity;
    for (let round = 0; round < 5; round++) {
      shortest = Math.min(shortest, calls * (await mean(calls)));
      if (shortest > 10 * wanted) return calls;
    }
    if (shortest >= wanted) return calls;
    calls = Math.min(10 * calls, Math.ceil((1.2 * calls * wanted) / shortest));
  }
}
