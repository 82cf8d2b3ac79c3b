// Named streams: the key of a parameter's random numbers, and its words by Philox4x32-10 (sampling/streams, philox).

import { sha256 } from "./sha256.js";
import { SETTINGS } from "./settings.js";

const { lanes: LANES, rounds: ROUNDS, multipliers: MULTIPLIERS, weyl: WEYL } = SETTINGS.philox;
const GROUP = 4 * LANES;
const [M0, M1] = MULTIPLIERS;
const M0_LOW = M0 & 0xffff, M0_HIGH = M0 >>> 16, M1_LOW = M1 & 0xffff, M1_HIGH = M1 >>> 16;

/** What a domain of words is for: each element's own, 32 more bits for float64, the keys of a sparse law's zeros. */
export const { values: VALUES, low_bits: LOW_BITS, mask: MASK } = SETTINGS.philox.domains;

function littleEndian64(number) {
  const bytes = new Uint8Array(8);
  new DataView(bytes.buffer).setBigUint64(0, BigInt(number), true);
  return bytes;
}

function joined(parts) {
  const whole = new Uint8Array(parts.reduce((total, part) => total + part.length, 0));
  let offset = 0;
  for (const part of parts) {
    whole.set(part, offset);
    offset += part.length;
  }
  return whole;
}

/** The 128 bits that key a parameter's stream: SHA-256 over (stream version, seed, name, shape, law family). */
export function streamKey(seed, name, shape, family) {
  const text = new TextEncoder();
  const fields = [
    text.encode(SETTINGS.stream_version), littleEndian64(seed), text.encode(name.normalize("NFC")),
    joined(shape.map(littleEndian64)), text.encode(family),
  ];
  const digest = sha256(joined(fields.flatMap((field) => [littleEndian64(field.length), field])));
  const view = new DataView(digest.buffer);
  return [0, 4, 8, 12].map((offset) => view.getUint32(offset, true));
}

/** The upper 32 bits of the product of a word and a constant given by its halves. */
function upperHalf(word, low, high) {
  const wordLow = word & 0xffff, wordHigh = word >>> 16;
  const lowest = Math.imul(wordLow, low) >>> 16;
  const middle = (Math.imul(wordHigh, low) + lowest) >>> 0;
  const other = (Math.imul(wordLow, high) + (middle & 0xffff)) >>> 0;
  return (Math.imul(wordHigh, high) + (middle >>> 16) + (other >>> 16)) | 0;
}

const REMEMBERED = new Map(), MOST_REMEMBERED = 128;

/** `drawWords`, remembered: a slider that changes a law's std asks for the same words again. */
export function elementWords(key, domain, count) {
  const id = `${key} ${domain} ${count}`;
  if (REMEMBERED.size > MOST_REMEMBERED) REMEMBERED.clear();
  if (!REMEMBERED.has(id)) REMEMBERED.set(id, drawWords(key, domain, count));
  return REMEMBERED.get(id);
}

/**
 * The words of elements 0 … count - 1 of a stream, each element's in its own place; whole groups of 256.
 *
 * Element 256 g + 64 w + lane is word w of counter 64 g + lane; the domain is the top byte of the block number.
 */
function drawWords(key, domain, count) {
  const groups = Math.ceil(count / GROUP), words = new Uint32Array(groups * GROUP);
  const top = (domain << (SETTINGS.philox.domain_shift - 32)) | 0;
  for (let block = 0; block < groups * LANES; block++) {
    const at = Math.floor(block / LANES) * GROUP + (block % LANES);
    let x0 = block, x1 = top, x2 = key[2], x3 = key[3], k0 = key[0], k1 = key[1];
    for (let round = 0; round < ROUNDS; round++) {
      const high0 = upperHalf(x0, M0_LOW, M0_HIGH), low0 = Math.imul(x0, M0);
      const high1 = upperHalf(x2, M1_LOW, M1_HIGH), low1 = Math.imul(x2, M1);
      x0 = high1 ^ x1 ^ k0;
      x2 = high0 ^ x3 ^ k1;
      x1 = low1;
      x3 = low0;
      k0 = (k0 + WEYL[0]) | 0;
      k1 = (k1 + WEYL[1]) | 0;
    }
    words[at] = x0;
    words[at + LANES] = x1;
    words[at + 2 * LANES] = x2;
    words[at + 3 * LANES] = x3;
  }
  return words;
}
