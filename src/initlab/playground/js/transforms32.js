// From words to float32 values: the operations of sampling/reference.py in their order, each rounded on its own.

import { SETTINGS } from "./settings.js";

const { LOG_32, SIN_32, COS_32, CENTRE_32, TAIL_32 } = SETTINGS.coefficients;
const LANES = SETTINGS.philox.lanes;
const single = Math.fround;
const FLOAT = new Float32Array(1), BITS = new Int32Array(FLOAT.buffer);
const ROOT_HALF = 0x3f3504f3, LOW_31 = 0x7fffffff;
const STEP = single(2 ** -31), LOG_STEP = single(-1.3862943611198906), TURN = single(2 ** -32);

function polynomial(x, table) {
  let last = table.length - 1, total = single(single(x * table[last]) + table[last - 1]);
  for (last -= 2; last >= 0; last--) total = single(single(total * x) + table[last]);
  return total;
}

function bitsOf(x) {
  FLOAT[0] = x;
  return BITS[0];
}

function fromBits(bits) {
  BITS[0] = bits;
  return FLOAT[0];
}

/** k of y = 2^k · (1 + f) with 1 + f in [√½, √2). */
function powerOf(bits) {
  return (bits - ROOT_HALF) >> 23;
}

function fractionOf(bits, power) {
  return single(fromBits(bits - (power << 23)) - 1);
}

function minusTwoLog(word) {
  const count = word >>> 1;
  const bits = bitsOf(single(single(count) + 0.5));
  const split = powerOf(bits), power = split - 31;
  const rest = single(single(count ^ LOW_31) + 0.5);
  const f = power === 0 ? single(rest * -STEP) : fractionOf(bits, split);
  return single(single(polynomial(f, LOG_32) * f) + single(single(power) * LOG_STEP));
}

/** Two normals from the words of a radius and an angle (Box & Muller 1958), written where those words stand. */
function normalPair(words, out, radiusAt, angleAt, n) {
  const radius = words[radiusAt];
  const reach = single(single(Math.sqrt(minusTwoLog(radius))) * n.scale);
  const v = single(single(single(words[angleAt] | 0) + 0.5) * TURN);
  const square = single(v * v);
  const cosine = fromBits(bitsOf(polynomial(square, COS_32)) ^ (radius << 31));
  out[radiusAt] = single(reach * single(polynomial(square, SIN_32) * v)) + n.shift;
  out[angleAt] = single(reach * cosine) + n.shift;
}

export function normals32(words, out, n) {
  for (let group = 0; group < words.length; group += 4 * LANES) {
    for (let lane = group; lane < group + LANES; lane++) {
      normalPair(words, out, lane, lane + LANES, n);
      normalPair(words, out, lane + 2 * LANES, lane + 3 * LANES, n);
    }
  }
}

function clamped(x, n) {
  return x < n.low ? n.low : x > n.high ? n.high : x;
}

/** The middle of one of 2^24 equal cells. */
export function uniforms32(words, out, n) {
  for (let i = 0; i < words.length; i++) {
    const cell = single(((words[i] & 0xffffff00) | 0x80) | 0);
    out[i] = clamped(single(single(single(cell * STEP) * n.scale) + n.shift), n);
  }
}

/** Φ⁻¹(lower), where upper = 1 - lower is given to full precision as well. */
function quantile(lower, upper) {
  const bits = bitsOf(single(single(4 * lower) * upper)), power = powerOf(bits), f = fractionOf(bits, power);
  const w = single(single(single(polynomial(f, LOG_32) * f) + single(single(power) * LOG_STEP)) * 0.5);
  const ratio = w < 5
    ? polynomial(single(w - 2.5), CENTRE_32)
    : polynomial(single(single(Math.sqrt(w)) - 3), TAIL_32);
  return single(single(lower - upper) * ratio);
}

export function truncated32(words, out, n) {
  for (let i = 0; i < words.length; i++) {
    const count = words[i] >>> 1;
    const up = single(single(single(count) + 0.5) * STEP);
    const down = single(single(single(count ^ LOW_31) + 0.5) * STEP);
    const z = quantile(single(n.below + single(up * n.inside)), single(n.above + single(down * n.inside)));
    out[i] = clamped(single(single(z * n.scale) + n.shift), n);
  }
}
