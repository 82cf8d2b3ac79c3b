// Draws the figures of a page, in the colours of the theme that the reader chose.
(function () {
  "use strict";
  var system = window.matchMedia("(prefers-color-scheme: dark)");
  var plots = Array.from(document.querySelectorAll("script[data-for]")).map(function (script) {
    return { box: document.getElementById(script.dataset.for), spec: script.textContent };
  });

  function isDark() {
    var chosen = document.body.dataset.theme;
    return chosen === "dark" || (chosen !== "light" && system.matches);
  }

  function themed(value, colours) {
    if (typeof value === "string") return Object.hasOwn(colours, value) ? colours[value] : value;
    if (Array.isArray(value)) return value.map(function (one) { return themed(one, colours); });
    if (value && typeof value === "object") {
      return Object.fromEntries(Object.entries(value).map(function (pair) { return [pair[0], themed(pair[1], colours)]; }));
    }
    return value;
  }

  // On a narrow page, and where it lies there anyway, the legend is above the figure, and the title above the legend.
  function fitted(spec, width) {
    var layout = spec.layout, named = spec.data.filter(function (one) { return one.name && one.showlegend !== false; });
    var above = width < 520 || (layout.legend && layout.legend.orientation === "h");
    if (!above) return layout;
    layout.showlegend = layout.showlegend === undefined ? named.length > 1 : layout.showlegend;
    layout.height = layout.height || (width < 520 ? 300 : 360);
    layout.margin = Object.assign({}, layout.template.layout.margin, layout.margin);
    layout.margin.t = Math.max(layout.margin.t, layout.title && layout.title.text ? 48 : 12);
    layout.legend = Object.assign({}, layout.legend, { orientation: "h", x: 0, xanchor: "left", y: 1.02, yanchor: "bottom" });
    return initlabSized(spec, width);
  }

  function draw(plot) {
    var spec = JSON.parse(plot.spec);
    var dark = isDark();
    if (dark) spec = { data: themed(spec.data, spec.dark), layout: themed(spec.layout, spec.dark) };
    spec.layout = Object.assign(fitted(spec, plot.box.clientWidth), { autosize: true });
    plot.box.style.minHeight = spec.layout.height + "px";
    spec.layout.hoverlabel = { bgcolor: dark ? "#1a202a" : "#ffffff", font: { color: dark ? "#e8ebf0" : "#1c2430" } };
    initlabSized.drawn(plot.box, plot.box.clientWidth)(plot.box, spec.data, spec.layout, { responsive: true, displaylogo: false,
      displayModeBar: window.matchMedia("(hover: hover)").matches ? "hover" : false,
      modeBarButtonsToRemove: ["select2d", "lasso2d", "autoScale2d"] });
  }

  function all() { plots.forEach(draw); }

  all();
  system.addEventListener("change", all);
  var pending;
  window.addEventListener("resize", function () { clearTimeout(pending); pending = setTimeout(all, 150); });
  new MutationObserver(all).observe(document.body, { attributes: true, attributeFilter: ["data-theme"] });
})();
