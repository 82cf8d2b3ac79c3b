// Laws and how they are drawn (sampling/laws, drawing, patterns). A law is a plain object named after its family.

import { haar } from "./orthogonal.js";
import { elementWords, LOW_BITS, MASK, streamKey, VALUES } from "./streams.js";
import { normals32, truncated32, uniforms32 } from "./transforms32.js";
import { normals64, truncated64, uniforms64 } from "./transforms64.js";
import { findParent, halfWidth } from "./truncation.js";

const KINDS = {
  normal: [normals32, normals64],
  sparse: [normals32, normals64],
  uniform: [uniforms32, uniforms64],
  truncated_normal: [truncated32, truncated64],
};

/** The zero-mean law of a distribution and a std (schemes/scaling.py); a std of 0 is the constant 0. */
export function centredLaw(distribution, std) {
  if (std === 0) return { family: "constant", value: 0 };
  if (distribution === "uniform") return { family: "uniform", low: -Math.sqrt(3) * std, high: Math.sqrt(3) * std };
  if (distribution === "truncated_normal") {
    const half = halfWidth(std, 2);
    return { family: "truncated_normal", mean: 0, std, low: 0 - half, high: 0 + half };
  }
  return { family: "normal", mean: 0, std };
}

/** The last multiply and add of a law's transform, its bounds, and the parent's probabilities. */
function transformOf(law) {
  const plain = { low: -Infinity, high: Infinity, below: 0, inside: 1, above: 0 };
  if (law.family === "uniform") {
    const half = (law.high - law.low) / 2;
    return { ...plain, shift: law.low + half, scale: half, low: law.low, high: law.high };
  }
  if (law.family === "truncated_normal") {
    const parent = findParent(law.std, law.high);
    return { ...parent, shift: 0, scale: parent.std, low: law.low, high: law.high };
  }
  return { ...plain, shift: law.mean ?? 0, scale: law.std ?? law.std_nonzero };
}

/** The float32 number next to x in the direction of the sign. */
function neighbour32(x, sign) {
  const value = Float32Array.of(x), bits = new Int32Array(value.buffer);
  if (x === 0) bits[0] = sign > 0 ? 1 : 0x80000001 | 0;
  else bits[0] += x > 0 === sign > 0 ? 1 : -1;
  return value[0];
}

/** A transform's numbers in float32, bounds rounded inward. */
function singles(transform) {
  const n = Object.fromEntries(Object.entries(transform).map(([name, value]) => [name, Math.fround(value)]));
  if (n.low < transform.low) n.low = neighbour32(n.low, 1);
  if (n.high > transform.high) n.high = neighbour32(n.high, -1);
  if (n.low > n.high) n.low = n.high = n.shift;
  return n;
}

function drawElements(law, key, count, dtype) {
  const [draw32, draw64] = KINDS[law.family], words = elementWords(key, VALUES, count), transform = transformOf(law);
  if (dtype === "float64") {
    const out = new Float64Array(words.length);
    draw64(words, elementWords(key, LOW_BITS, count), out, transform);
    return out.subarray(0, count);
  }
  const out = new Float32Array(words.length);
  draw32(words, out, singles(transform));
  return out.subarray(0, count);
}

/** Normal values, then in each column the rows with the smallest keys set to zero. */
function drawSparse(law, key, [rows, columns], dtype) {
  const out = drawElements(law, key, rows * columns, dtype);
  const zeros = Math.min(Math.ceil(law.sparsity * rows), rows);
  const keys = elementWords(key, MASK, rows * columns);
  for (let column = 0; column < columns; column++) {
    const own = Array.from({ length: rows }, (_, row) => row);
    own.sort((a, b) => keys[column * rows + a] - keys[column * rows + b] || a - b);
    for (const row of own.slice(0, zeros)) out[row * columns + column] = 0;
  }
  return out;
}

function drawIdentity(law, [rows, columns], out) {
  for (let i = 0; i < Math.min(rows, columns); i++) out[i * columns + i] = law.gain;
  return out;
}

/** A factor, and beyond its own rows and columns the factor again with the sign changed. */
function drawFactor(law, key, [rows, columns], dtype, out) {
  const mirrored = law.family === "mirrored";
  const height = mirrored && law.outputs ? Math.ceil(rows / 2) : rows;
  const width = mirrored && law.inputs ? Math.ceil(columns / 2) : columns;
  const factor = haar(height, width, drawStandard(key, height * width, dtype));
  const gain = dtype === "float64" ? law.gain : Math.fround(law.gain);
  for (let row = 0; row < rows; row++) {
    for (let column = 0; column < columns; column++) {
      const sign = row >= height !== column >= width ? -1 : 1;
      out[row * columns + column] = sign * gain * factor[(row % height) * width + (column % width)];
    }
  }
  return out;
}

function drawStandard(key, count, dtype) {
  return drawElements({ family: "normal", mean: 0, std: 1 }, key, count, dtype);
}

/**
 * A law's values for a tensor of this shape (rows, columns) and name, in C order: the bits that initlab draws.
 *
 * Orthogonal factors agree to rounding, as they do between machines.
 */
export function draw(law, shape, seed, name, dtype = "float32") {
  const count = shape[0] * shape[1], key = streamKey(seed, name, shape, law.family);
  const out = dtype === "float64" ? new Float64Array(count) : new Float32Array(count);
  if (law.family === "constant") return out.fill(law.value);
  if (law.family === "identity") return drawIdentity(law, shape, out);
  if (law.family === "sparse") return drawSparse(law, key, shape, dtype);
  if (law.family in KINDS) return drawElements(law, key, count, dtype);
  return drawFactor(law, key, shape, dtype, out);
}
