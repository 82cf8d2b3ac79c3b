// Batch and layer normalization, forward and backward. Both take mean and variance along one axis of (batch × units).

const EPS = 1e-5;

/** How the elements of one mean lie: [how many means, elements of each, step between means, step between elements]. */
function axesOf(norm, batch, units) {
  return norm === "batch" ? [units, batch, 1, units] : [batch, units, units, 1];
}

/** γ · (pre - mean) / √(variance + ε) + β; the normalised signal stays in `own.normed`, 1 / √(…) in `own.inverse`. */
export function normForward(block, own, batch) {
  const { pre, normed, inverse } = own, units = block.linear.fanOut;
  const [means, count, across, along] = axesOf(block.norm, batch, units);
  for (let m = 0, start = 0; m < means; m++, start += across) {
    let total = 0, square = 0;
    for (let i = 0, at = start; i < count; i++, at += along) total += pre[at];
    const mean = total / count;
    for (let i = 0, at = start; i < count; i++, at += along) square += (pre[at] - mean) ** 2;
    inverse[m] = 1 / Math.sqrt(square / count + EPS);
    for (let i = 0, at = start; i < count; i++, at += along) normed[at] = (pre[at] - mean) * inverse[m];
  }
  own.affine ??= new Float32Array(pre.length);
  const { values: scale } = block.scale, { values: shift } = block.shift;
  for (let at = 0; at < pre.length; at += units) {
    for (let j = 0; j < units; j++) own.affine[at + j] = normed[at + j] * scale[j] + shift[j];
  }
  return own.affine;
}

/** `own.gradPre` holds the gradient at the norm's output and becomes that at its input. */
export function normBackward(block, own, batch, weights) {
  const { gradPre: g, normed, inverse } = own, units = block.linear.fanOut;
  if (weights) parameterGradients(block, g, normed, batch, units);
  const { values: scale } = block.scale;
  for (let at = 0; at < g.length; at += units) for (let j = 0; j < units; j++) g[at + j] *= scale[j];
  const [means, count, across, along] = axesOf(block.norm, batch, units);
  for (let m = 0, start = 0; m < means; m++, start += across) {
    let sum = 0, inner = 0;
    for (let i = 0, at = start; i < count; i++, at += along) {
      sum += g[at];
      inner += g[at] * normed[at];
    }
    sum /= count;
    inner /= count;
    for (let i = 0, at = start; i < count; i++, at += along) g[at] = (g[at] - sum - normed[at] * inner) * inverse[m];
  }
}

function parameterGradients(block, g, normed, batch, units) {
  block.scale.grad.fill(0);
  block.shift.grad.fill(0);
  for (let i = 0, at = 0; i < batch; i++) {
    for (let j = 0; j < units; j++, at++) {
      block.scale.grad[j] += g[at] * normed[at];
      block.shift.grad[j] += g[at];
    }
  }
}
