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

  function draw(plot) {
    var spec = JSON.parse(plot.spec);
    var dark = isDark();
    if (dark) spec = { data: themed(spec.data, spec.dark), layout: themed(spec.layout, spec.dark) };
    spec.layout.autosize = true;
    spec.layout.hoverlabel = { bgcolor: dark ? "#1a202a" : "#ffffff", font: { color: dark ? "#e8ebf0" : "#1c2430" } };
    Plotly.react(plot.box, spec.data, spec.layout, { responsive: true, displaylogo: false,
      displayModeBar: window.matchMedia("(hover: hover)").matches ? "hover" : false,
      modeBarButtonsToRemove: ["select2d", "lasso2d", "autoScale2d"] });
  }

  function all() { plots.forEach(draw); }

  all();
  system.addEventListener("change", all);
  new MutationObserver(all).observe(document.body, { attributes: true, attributeFilter: ["data-theme"] });
})();
