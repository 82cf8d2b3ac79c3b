(function () {
  "use strict";
  var dark = JSON.parse(document.getElementById("dark").textContent);
  var told = JSON.parse(document.getElementById("korean").textContent), korean = told.words;
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

  // A figure's texts in Korean; what is not text that it shows stays.
  function spoken(value, key) {
    if (typeof value === "string") return told.figure.includes(key) && Object.hasOwn(korean, value) ? korean[value] : value;
    if (Array.isArray(value)) return value.map(function (one) { return spoken(one, key); });
    if (value && typeof value === "object") {
      return Object.fromEntries(Object.entries(value).map(function (pair) { return [pair[0], spoken(pair[1], pair[0])]; }));
    }
    return value;
  }

  function draw(plot) {
    var spec = JSON.parse(plot.spec);
    if (document.documentElement.lang === "ko") spec = spoken(spec, "");
    if (wanted.matches) spec = { data: themed(spec.data), layout: themed(spec.layout) };
    var style = getComputedStyle(document.body);
    var layout = Object.assign(initlabSized(spec, plot.box.clientWidth), { autosize: true });
    layout.hoverlabel = Object.assign({}, spec.layout.hoverlabel, {
      bgcolor: style.getPropertyValue("--raised").trim(),
      bordercolor: style.getPropertyValue("--rule").trim()
    });
    layout.hoverlabel.font = Object.assign({}, layout.hoverlabel.font, { color: style.getPropertyValue("--ink").trim() });
    return initlabSized.drawn(plot.box, plot.box.clientWidth)(plot.box, spec.data, layout, { responsive: true, displaylogo: false, displayModeBar: window.matchMedia("(hover: hover)").matches ? "hover" : false,
      modeBarButtonsToRemove: ["select2d", "lasso2d", "autoScale2d"] });
  }

  function all() { plots.forEach(draw); }

  all();
  wanted.addEventListener("change", all);
  document.addEventListener("language", all);
  var pending;
  window.addEventListener("resize", function () { clearTimeout(pending); pending = setTimeout(all, 150); });
})();
