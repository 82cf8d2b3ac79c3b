// Products of matrices in rows: one kernel, blocked so that each number that is loaded is used four times.

/** out (rows × columns) = a (rows × inner) · b (columns × inner)ᵀ. */
export function productTransposed(a, b, out, rows, columns, inner) {
  const fullRows = rows & ~1, fullColumns = columns & ~3;
  for (let j = 0; j < fullColumns; j += 4) {
    for (let i = 0; i < fullRows; i += 2) twoByFour(a, b, out, i, j, columns, inner);
  }
  for (let i = 0; i < rows; i++) {
    for (let j = i < fullRows ? fullColumns : 0; j < columns; j++) {
      out[i * columns + j] = dot(a, b, i * inner, j * inner, inner);
    }
  }
}

function twoByFour(a, b, out, i, j, columns, inner) {
  let p00 = 0, p01 = 0, p02 = 0, p03 = 0, p10 = 0, p11 = 0, p12 = 0, p13 = 0;
  let a0 = i * inner, a1 = a0 + inner, b0 = j * inner, b1 = b0 + inner, b2 = b1 + inner, b3 = b2 + inner;
  for (const end = a0 + inner; a0 < end; a0++, a1++, b0++, b1++, b2++, b3++) {
    const x = a[a0], y = a[a1], u = b[b0], v = b[b1], w = b[b2], z = b[b3];
    p00 += x * u; p01 += x * v; p02 += x * w; p03 += x * z;
    p10 += y * u; p11 += y * v; p12 += y * w; p13 += y * z;
  }
  const at = i * columns + j, below = at + columns;
  out[at] = p00; out[at + 1] = p01; out[at + 2] = p02; out[at + 3] = p03;
  out[below] = p10; out[below + 1] = p11; out[below + 2] = p12; out[below + 3] = p13;
}

function dot(a, b, ai, bi, count) {
  let total = 0;
  for (let k = 0; k < count; k++) total += a[ai + k] * b[bi + k];
  return total;
}

/** The transpose (columns × rows) of a (rows × columns), in `out`. */
export function transposeInto(a, out, rows, columns) {
  for (let i = 0; i < rows; i++) for (let j = 0; j < columns; j++) out[j * rows + i] = a[i * columns + j];
  return out;
}
