// What is shown of each layer: second moments as root mean squares, what theory expects, and histograms on one axis.

const GRID = Array.from({ length: 161 }, (_, i) => -8 + i / 10);
const WEIGHTS = normalised(GRID.map((z) => Math.exp(-z * z / 2)));

function normalised(values) {
  const total = values.reduce((sum, value) => sum + value, 0);
  return values.map((value) => value / total);
}

export function rmsOf(values) {
  let square = 0;
  for (let i = 0; i < values.length; i++) square += values[i] * values[i];
  return Math.sqrt(square / values.length);
}

/** Of each block: rms of its pre-activations, of the loss gradient there, and of its weights. */
export function layerSizes(network) {
  return network.blocks.map(({ linear }, i) => {
    const { pre, gradPre } = network.room.blocks[i];
    return { signal: rmsOf(pre), gradient: rmsOf(gradPre), weight: rmsOf(linear.weight.values) };
  });
}

/**
 * The rms that theory expects of each block's pre-activations, from the inputs' and the weights' second moments.
 *
 * q' = fan_in · E[w²] · q for a matrix and E[φ(√q z)²] for an activation; a sum adds the two signals' second moments.
 * Source: Poole et al. 2016, equation 3.
 */
export function expectedSizes(network, x) {
  const { f } = network.activation;
  let arriving = rmsOf(x) ** 2;
  return network.blocks.map((block) => {
    const pre = block.linear.fanIn * rmsOf(block.linear.weight.values) ** 2 * arriving;
    const into = Math.sqrt(block.norm === "none" ? pre : 1);
    let act = 0;
    for (let i = 0; i < GRID.length; i++) act += WEIGHTS[i] * f(into * GRID[i]) ** 2;
    arriving = block.skip ? arriving + act : act;
    return Math.sqrt(pre);
  });
}

/** The arrays that a view shows, one for each block. */
export function viewed(network, view) {
  return network.blocks.map((block, i) => {
    const own = network.room.blocks[i];
    if (view === "weights") return block.linear.weight.values;
    return { pre: own.pre, act: own.left, gradients: own.gradPre }[view];
  });
}

/** The next number of 1, 2, 5 times a power of ten. */
function roundUp(value) {
  const power = 10 ** Math.floor(Math.log10(value));
  return power * [1, 2, 5, 10].find((step) => step * power >= value * 0.999);
}

/** Half the width of the one axis: three times the largest layer's rms, rounded up; 1 where nothing is finite. */
export function sharedReach(arrays) {
  const sizes = arrays.map(rmsOf).filter((size) => Number.isFinite(size) && size > 0);
  return sizes.length ? roundUp(3 * Math.max(...sizes)) : 1;
}

/** Shares of an array's values in equal bins over [-reach, reach]; what lies outside counts in the end bins. */
export function histogram(values, reach, bins) {
  const counts = new Float64Array(bins), scale = bins / (2 * reach);
  for (let i = 0; i < values.length; i++) {
    const bin = Math.floor((values[i] + reach) * scale);
    if (bin === bin) counts[bin < 0 ? 0 : bin >= bins ? bins - 1 : bin]++;
  }
  return counts.map((count) => count / values.length);
}
