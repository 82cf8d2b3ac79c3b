// The normal between two cut points about its mean: the parent that gives a stated std (sampling/truncation.py).

const LN2_HIGH = 0.6931471803691238, LN2_LOW = 1.9082149292705877e-10, ROOT_TWO_PI = 2.5066282746310002;

/** x · 2^k, rounded once. */
function scaledByPower(x, k) {
  for (; k < -1000; k += 1000) x *= 2 ** -1000;
  return x * 2 ** k;
}

/** e^x by argument reduction and a Taylor polynomial; 0 below -745. */
function exponential(x) {
  if (x < -745) return 0;
  const k = Math.floor(x * 1.4426950408889634 + 0.5), r = x - k * LN2_HIGH - k * LN2_LOW;
  let total = 1;
  for (let n = 16; n > 0; n--) total = 1 + total * r / n;
  return scaledByPower(total, k);
}

function density(x) {
  return exponential(-0.5 * x * x) / ROOT_TWO_PI;
}

/** (1 - Φ(x)) / φ(x) for x >= 0: a series near 0, a continued fraction beyond 2. */
function mills(x) {
  if (x > 2) {
    let fraction = x;
    for (let n = 160; n > 0; n--) fraction = x + n / fraction;
    return 1 / fraction;
  }
  let term = x, total = x;
  for (let n = 1; n < 60; n++) {
    term *= x * x / (2 * n + 1);
    total += term;
  }
  return 0.5 / density(x) - total;
}

/** 1 - Φ(x). */
export function upper(x) {
  return x >= 0 ? density(x) * mills(x) : 1 - density(x) * mills(-x);
}

/** The variance of a standard normal cut to [-k, k]; its mean is 0. */
function cutVariance(k) {
  const mass = 1 - upper(k) - upper(k), edge = k * density(k);
  return 1 + (-edge - edge) / mass - 0;
}

/** Half the distance between the cut points at ± sigmas of a parent, such that the std after the cut is `std`. */
export function halfWidth(std, sigmas) {
  return sigmas * std / Math.sqrt(cutVariance(sigmas));
}

/** A sign change by bisection with secant steps (Illinois); at most 200 steps. */
function root(f, left, right) {
  let atLeft = f(left), atRight = f(right), side = 0;
  if (atLeft === 0 || left === right) return left;
  for (let step = 0; step < 200; step++) {
    let middle = (left * atRight - right * atLeft) / (atRight - atLeft);
    const within = Math.min(left, right) < middle && middle < Math.max(left, right);
    if (step % 3 === 2 || !within) middle = 0.5 * (left + right);
    const value = f(middle);
    if (value === 0 || Math.abs(right - left) <= 2e-16 * Math.max(Math.abs(left), Math.abs(right))) return middle;
    if (value > 0 === atRight > 0) {
      right = middle;
      atRight = value;
      if (side === 1) atLeft /= 2;
      side = 1;
    } else {
      left = middle;
      atLeft = value;
      if (side === -1) atRight /= 2;
      side = -1;
    }
  }
  return 0.5 * (left + right);
}

/** The normal about 0 which, cut to ± half, has this std: its own std, and the probabilities outside and between. */
export function findParent(std, half) {
  if (half >= 40 * std) throw new RangeError("a cut so far out is not drawn here");
  const sigma = half / root((k) => Math.sqrt(cutVariance(k)) / k - std / half, 0.01, 45);
  const cut = half / sigma;
  return { std: sigma, below: upper(cut), inside: 1 - upper(cut) - upper(cut), above: upper(cut) };
}
