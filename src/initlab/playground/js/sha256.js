// SHA-256, for the keys of streams (FIPS 180-4).

/** The first `count` bits of the fractional part of a root of the first primes, as FIPS 180-4 asks. */
function rootsOfPrimes(count, power) {
  const words = new Uint32Array(count);
  for (let candidate = 2, found = 0; found < count; candidate++) {
    let prime = true;
    for (let factor = 2; factor * factor <= candidate; factor++) if (candidate % factor === 0) prime = false;
    if (prime) words[found++] = fractionOfRoot(BigInt(candidate), power);
  }
  return words;
}

/** The 32 bits after the point of the square root (power 2) or the cube root (power 3). */
function fractionOfRoot(prime, power) {
  const wanted = prime << BigInt(32 * power);
  let low = 0n, high = 1n << 40n;
  while (high - low > 1n) {
    const middle = (low + high) >> 1n;
    if (middle ** BigInt(power) <= wanted) low = middle;
    else high = middle;
  }
  return Number(low & 0xffffffffn);
}

const SHA_START = rootsOfPrimes(8, 2);
const SHA_ROUNDS = rootsOfPrimes(64, 3);

function rotateRight(word, by) {
  return (word >>> by) | (word << (32 - by));
}

function padded(bytes) {
  const full = new Uint8Array((((bytes.length + 8) >> 6) + 1) << 6);
  full.set(bytes);
  full[bytes.length] = 0x80;
  new DataView(full.buffer).setBigUint64(full.length - 8, BigInt(bytes.length) * 8n);
  return full;
}

function compress(state, view, offset, w) {
  for (let i = 0; i < 16; i++) w[i] = view.getUint32(offset + 4 * i);
  for (let i = 16; i < 64; i++) {
    const s0 = rotateRight(w[i - 15], 7) ^ rotateRight(w[i - 15], 18) ^ (w[i - 15] >>> 3);
    const s1 = rotateRight(w[i - 2], 17) ^ rotateRight(w[i - 2], 19) ^ (w[i - 2] >>> 10);
    w[i] = w[i - 16] + s0 + w[i - 7] + s1;
  }
  let [a, b, c, d, e, f, g, h] = state;
  for (let i = 0; i < 64; i++) {
    const s1 = rotateRight(e, 6) ^ rotateRight(e, 11) ^ rotateRight(e, 25);
    const t1 = (h + s1 + ((e & f) ^ (~e & g)) + SHA_ROUNDS[i] + w[i]) | 0;
    const s0 = rotateRight(a, 2) ^ rotateRight(a, 13) ^ rotateRight(a, 22);
    const t2 = (s0 + ((a & b) ^ (a & c) ^ (b & c))) | 0;
    h = g; g = f; f = e; e = (d + t1) | 0;
    d = c; c = b; b = a; a = (t1 + t2) | 0;
  }
  [a, b, c, d, e, f, g, h].forEach((word, i) => { state[i] += word; });
}

/** The digest of some bytes, as 32 bytes. */
export function sha256(bytes) {
  const full = padded(bytes), view = new DataView(full.buffer);
  const state = Uint32Array.from(SHA_START), w = new Uint32Array(64);
  for (let offset = 0; offset < full.length; offset += 64) compress(state, view, offset, w);
  const digest = new DataView(new ArrayBuffer(32));
  state.forEach((word, i) => digest.setUint32(4 * i, word));
  return new Uint8Array(digest.buffer);
}
