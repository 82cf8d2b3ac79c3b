// Haar-distributed orthogonal factors as products of random Householder reflections (sampling/orthogonal.py).

/** Row k's normal vector, from column k on, becomes the v of a reflection; its τ and R's sign go into `factors`. */
function reflect(vectors, tall, k, last, factors) {
  const row = k * tall;
  let square = 0;
  for (let i = k; i < tall; i++) square += vectors[row + i] ** 2;
  const first = vectors[row + k];
  const beta = last ? first : first < 0 || Object.is(first, -0) ? Math.sqrt(square) : -Math.sqrt(square);
  const lead = first === beta ? 1 : first - beta;
  vectors.fill(0, row, row + k);
  for (let i = k + 1; i < tall; i++) vectors[row + i] /= lead;
  vectors[row + k] = 1;
  factors.tau[k] = beta === 0 ? 0 : (beta - first) / beta;
  factors.sign[k] = beta < 0 || Object.is(beta, -0) ? -1 : 1;
}

/** Row - τ (row · v) v, from column k on. */
function applyReflection(result, at, vectors, row, k, tall, tau) {
  let inner = 0;
  for (let i = k; i < tall; i++) inner += result[at + i] * vectors[row + i];
  inner *= tau;
  for (let i = k; i < tall; i++) result[at + i] -= inner * vectors[row + i];
}

/**
 * Q, orthonormal along its shorter side, from rows · columns standard normals.
 *
 * Source: Stewart, The efficient generation of random orthogonal matrices, 1980; signs: Mezzadri 2007.
 */
export function haar(rows, columns, normals) {
  const short = Math.min(rows, columns), tall = Math.max(rows, columns), vectors = Float64Array.from(normals);
  const factors = { tau: new Float64Array(short), sign: new Float64Array(short) };
  for (let k = 0; k < short; k++) reflect(vectors, tall, k, short === tall && k === short - 1, factors);
  const result = new Float64Array(short * tall);
  for (let j = 0; j < short; j++) result[j * tall + j] = 1;
  for (let k = short - 1; k >= 0; k--) {
    for (let j = k; j < short; j++) applyReflection(result, j * tall, vectors, k * tall, k, tall, factors.tau[k]);
  }
  for (let j = 0; j < short; j++) for (let i = 0; i < tall; i++) result[j * tall + i] *= factors.sign[j];
  return rows <= columns ? result : transposed(result, short, tall);
}

function transposed(matrix, rows, columns) {
  const out = new Float64Array(matrix.length);
  for (let i = 0; i < rows; i++) for (let j = 0; j < columns; j++) out[j * rows + i] = matrix[i * columns + j];
  return out;
}
