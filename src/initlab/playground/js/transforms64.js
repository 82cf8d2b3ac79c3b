// From words, and 32 further bits of each, to float64 values, as sampling/reference.py makes them.

import { SETTINGS } from "./settings.js";

const C = SETTINGS.coefficients;
const LANES = SETTINGS.philox.lanes;
const FLOAT = new Float64Array(1), HALVES = new Int32Array(FLOAT.buffer);
const [LOW, HIGH] = new Uint8Array(Uint32Array.of(1).buffer)[0] === 1 ? [0, 1] : [1, 0];
const ROOT_HALF_HIGH = 0x3fe6a09e, ROOT_HALF_LOW = 0x667f3bcd;
const LN2 = 0.5 * 1.3862943611198906, LARGEST_COUNT = 2 ** 53 - 1;

function polynomial(x, table) {
  let last = table.length - 1, total = x * table[last] + table[last - 1];
  for (last -= 2; last >= 0; last--) total = total * x + table[last];
  return total;
}

/** 53 bits: 31 of the word, 22 of the further one. */
function countOf(word, more) {
  return (word >>> 1) * 2 ** 22 + (more >>> 10);
}

function shareOf(count) {
  return (count + 0.5) * 2 ** -53;
}

/** The 53 upper bits of both words together, with a sign. */
function signed53(word, more) {
  return (word | 0) * 2 ** 21 + (more >>> 11);
}

function log1p(f) {
  const s = f / (f + 2);
  return polynomial(s * s, C.LOG_64) * (s + s);
}

function log(y) {
  FLOAT[0] = y;
  const borrow = (HALVES[LOW] >>> 0) < ROOT_HALF_LOW ? 1 : 0;
  const power = (HALVES[HIGH] - ROOT_HALF_HIGH - borrow) >> 20;
  HALVES[HIGH] -= power << 20;
  return log1p(FLOAT[0] - 1) + power * LN2;
}

function minusTwoLog(count) {
  const up = shareOf(count), down = shareOf(LARGEST_COUNT - count);
  return (down < 0.25 ? log1p(-down) : log(up)) * -2;
}

function normalPair(words, more, out, radiusAt, angleAt, n) {
  const reach = Math.sqrt(minusTwoLog(countOf(words[radiusAt], more[radiusAt]))) * n.scale;
  const theta = (signed53(words[angleAt], more[angleAt]) + 0.5) * 2 ** -53 * Math.PI;
  const square = theta * theta, cosine = polynomial(square, C.COS_64);
  const signedCosine = words[radiusAt] & 1 ? -cosine : cosine;
  out[radiusAt] = reach * (polynomial(square, C.SIN_64) * theta) + n.shift;
  out[angleAt] = reach * signedCosine + n.shift;
}

export function normals64(words, more, out, n) {
  for (let group = 0; group < words.length; group += 4 * LANES) {
    for (let lane = group; lane < group + LANES; lane++) {
      normalPair(words, more, out, lane, lane + LANES, n);
      normalPair(words, more, out, lane + 2 * LANES, lane + 3 * LANES, n);
    }
  }
}

function clamped(x, n) {
  return x < n.low ? n.low : x > n.high ? n.high : x;
}

/** The middle of one of 2^53 equal cells. */
export function uniforms64(words, more, out, n) {
  for (let i = 0; i < words.length; i++) {
    const cell = (2 * signed53(words[i], more[i]) + 1) * 1024;
    out[i] = clamped(cell * 2 ** -63 * n.scale + n.shift, n);
  }
}

/** Φ⁻¹(lower), where upper = 1 - lower (Wichura 1988, AS241). */
function quantile(lower, upper) {
  const q = (lower - upper) * 0.5;
  if (Math.abs(q) <= 0.425) {
    const r = 0.180625 - q * q;
    return polynomial(r, C.CENTRAL_NUMERATOR) / polynomial(r, C.CENTRAL_DENOMINATOR) * q;
  }
  const root = Math.sqrt(-log(lower < upper ? lower : upper));
  const tail = root <= 5
    ? polynomial(root - 1.6, C.MIDDLE_NUMERATOR) / polynomial(root - 1.6, C.MIDDLE_DENOMINATOR)
    : polynomial(root - 5, C.FAR_NUMERATOR) / polynomial(root - 5, C.FAR_DENOMINATOR);
  return q < 0 ? -tail : tail;
}

export function truncated64(words, more, out, n) {
  for (let i = 0; i < words.length; i++) {
    const count = countOf(words[i], more[i]);
    const lower = n.below + shareOf(count) * n.inside;
    const upper = n.above + shareOf(LARGEST_COUNT - count) * n.inside;
    out[i] = clamped(quantile(lower, upper) * n.scale + n.shift, n);
  }
}
