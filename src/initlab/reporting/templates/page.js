(function () {
  "use strict";
  var dark = JSON.parse(document.getElementById("dark").textContent);
  var wanted = window.matchMedia("(prefers-color-scheme: dark)");
  var plots = Array.from(document.querySelectorAll("script[data-for]")).map(function (script) {
    return { box: document.getElementById(script.dataset.for), spec: script.textContent };
  });

  function themed(value) {
    if (typeof value === "string") return Object.hasOwn(dark, value) ? dark[value] : value;
    if (Array.isArray(value)) return value.map(themed);
    if (value && typeof value === "object") {
      return Object.fromEntries(Object.entries(value).map(function (pair) { return [pair[0], themed(pair[1])]; }));
    }
    return value;
  }

  function height(spec, width) {
    var legend = spec.layout.showlegend ? spec.data.filter(function (t) { return t.showlegend !== false; }) : [];
    var letters = legend.reduce(function (sum, t) { return sum + Math.min(60, (t.name || "").length) + 8; }, 0);
    var lines = Math.ceil(letters * 7 / Math.max(200, width - 90));
    return { plot: spec.layout.height || (width < 520 ? 250 : 320), legend: lines * 20 };
  }

  function draw(plot) {
    var spec = JSON.parse(plot.spec);
    if (wanted.matches) spec = { data: themed(spec.data), layout: themed(spec.layout) };
    var size = height(spec, plot.box.clientWidth);
    var style = getComputedStyle(document.body);
    var layout = Object.assign({}, spec.layout, { height: size.plot + size.legend, autosize: true });
    layout.margin = Object.assign({}, spec.layout.margin, { t: spec.layout.margin.t + size.legend });
    layout.hoverlabel = Object.assign({}, spec.layout.hoverlabel, {
      bgcolor: style.getPropertyValue("--raised").trim(),
      bordercolor: style.getPropertyValue("--rule").trim()
    });
    layout.hoverlabel.font = Object.assign({}, layout.hoverlabel.font, { color: style.getPropertyValue("--ink").trim() });
    return Plotly.react(plot.box, spec.data, layout, { responsive: true, displaylogo: false, displayModeBar: window.matchMedia("(hover: hover)").matches ? "hover" : false,
      modeBarButtonsToRemove: ["select2d", "lasso2d", "autoScale2d"] });
  }

  function all() { plots.forEach(draw); }

  all();
  wanted.addEventListener("change", all);
  var pending;
  window.addEventListener("resize", function () { clearTimeout(pending); pending = setTimeout(all, 150); });
})();
