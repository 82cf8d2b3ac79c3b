// Pictures as SVG: lines over layers or steps, and histograms under one another on one axis.

const LEFT = 52, RIGHT = 12, TOP = 10, BOTTOM = 26;

export function format(value) {
  if (value === 0) return "0";
  const size = Math.abs(value);
  return size >= 1e4 || size < 1e-3 ? value.toExponential(0).replace("e+", "e") : String(Number(value.toPrecision(3)));
}

/** Powers of ten about the numbers, at least two decades. */
function decades(values) {
  const logs = values.filter((value) => value > 0 && Number.isFinite(value)).map(Math.log10);
  if (!logs.length) return [-1, 1];
  const low = Math.floor(Math.min(...logs) - 0.1), high = Math.ceil(Math.max(...logs) + 0.1);
  return high - low < 2 ? [low - 1, high] : [low, high];
}

function path(points) {
  let pen = "M";
  return points.map((point) => {
    if (!point) return void (pen = "M");
    const piece = `${pen}${point[0].toFixed(1)} ${point[1].toFixed(1)}`;
    pen = "L";
    return piece;
  }).join("");
}

/** Lines of positive numbers on a log axis. series: [{ values, className }]; x is the index from 1. */
export function drawLines(svg, series, xLabel) {
  const width = svg.clientWidth || 600, height = svg.clientHeight || 200;
  const [low, high] = decades(series.flatMap(({ values }) => Array.from(values)));
  const longest = Math.max(2, ...series.map(({ values }) => values.length));
  const x = (i) => LEFT + (width - LEFT - RIGHT) * i / (longest - 1);
  const y = (value) => TOP + (height - TOP - BOTTOM) * (high - Math.log10(value)) / (high - low);
  const step = Math.ceil((high - low) / 5), marks = [];
  for (let power = low; power <= high; power += step) {
    const at = y(10 ** power).toFixed(1);
    marks.push(`<line class="grid" x1="${LEFT}" x2="${width - RIGHT}" y1="${at}" y2="${at}"/>`,
      `<text x="${LEFT - 6}" y="${at}" dy="4" text-anchor="end">${format(10 ** power)}</text>`);
  }
  const lines = series.map(({ values, className }) => {
    const points = Array.from(values, (value, i) => (value > 0 && Number.isFinite(value) ? [x(i), y(value)] : null));
    return `<path class="line ${className}" d="${path(points)}"/>`;
  });
  const ends = `<text x="${LEFT}" y="${height - 8}">1</text>`
    + `<text x="${width - RIGHT}" y="${height - 8}" text-anchor="end">${longest}</text>`
    + `<text x="${(LEFT + width - RIGHT) / 2}" y="${height - 8}" text-anchor="middle">${xLabel}</text>`;
  svg.setAttribute("viewBox", `0 0 ${width} ${height}`);
  svg.innerHTML = marks.join("") + lines.join("") + ends;
}

/** Histograms, the first layer on top. All have one axis, ± reach, and one height for the same share. */
export function drawHistograms(svg, rows, reach) {
  const width = svg.clientWidth || 600, step = Math.max(14, Math.min(34, 560 / rows.length));
  const height = TOP + step * rows.length + BOTTOM, tallest = 0.25;
  const x = (bin, bins) => LEFT + (width - LEFT - RIGHT) * bin / bins;
  const shapes = rows.map((shares, row) => {
    const base = TOP + step * (row + 1), bins = shares.length;
    const points = [[x(0, bins), base]];
    shares.forEach((share, bin) => {
      const top = base - step * Math.min(1, share / tallest);
      points.push([x(bin, bins), top], [x(bin + 1, bins), top]);
    });
    points.push([x(bins, bins), base]);
    const label = row === 0 || row === rows.length - 1 || step >= 18 || (row + 1) % 5 === 0
      ? `<text x="${LEFT - 6}" y="${base - 2}" text-anchor="end">${row + 1}</text>` : "";
    return `<path class="bars" d="${path(points)}Z"/><line class="grid" x1="${LEFT}" x2="${width - RIGHT}"`
      + ` y1="${base}" y2="${base}"/>${label}`;
  });
  const ticks = [-reach, 0, reach].map((value, i) => {
    return `<text x="${x(i, 2)}" y="${height - 8}" text-anchor="${["start", "middle", "end"][i]}">${format(value)}</text>`;
  });
  svg.style.height = `${height}px`;
  svg.setAttribute("viewBox", `0 0 ${width} ${height}`);
  svg.innerHTML = shapes.join("") + ticks.join("");
}
