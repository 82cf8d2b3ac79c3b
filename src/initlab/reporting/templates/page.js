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

  var NARROW = 520, LETTER = 6.6;

  // How many letters a text is as wide as: Hangul is as wide as two.
  function breadth(text) { return text.length + (text.match(/[\uac00-\ud7a3]/g) || []).length; }

  // Text of plotly's in lines of at most so many pixels, broken after spaces, dots, lines and slashes.
  function wrapped(text, room) {
    var most = Math.max(8, Math.floor(room / LETTER)), lines = [""];
    String(text).split("<br>").join(" ").match(/[^\s._\/-]*[\s._\/-]*/g).forEach(function (piece) {
      var last = lines[lines.length - 1];
      if (last && breadth((last + piece).trimEnd()) > most) lines.push(piece);
      else lines[lines.length - 1] = last + piece;
    });
    return lines.map(function (line) { return line.trim(); }).join("<br>");
  }

  // Panels side by side stand one above another where they would be too small to read; gives how many there are.
  function stacked(layout) {
    var axes = Object.keys(layout).filter(function (name) { return /^xaxis\d*$/.test(name); });
    var beside = axes.length > 1 && axes.every(function (name) { return layout[name].domain && layout[name].anchor; });
    if (!beside) return 1;
    axes.forEach(function (name, place) {
      var other = layout[name].anchor.replace("y", "yaxis");
      layout[name] = Object.assign({}, layout[name], { domain: [0, 1] });
      layout[other] = Object.assign({}, layout[other], {
        domain: [1 - (place + 0.6) / axes.length, 1 - place / axes.length], showticklabels: true
      });
    });
    return axes.length;
  }

  // On a narrow page the scale of colours lies above the figure, which has its whole width; gives how high it is.
  function scaleAbove(spec) {
    var bars = spec.data.reduce(function (found, trace) {
      return found.concat([trace, trace.marker, trace.line].filter(function (one) { return one && one.colorbar; }));
    }, []);
    bars.forEach(function (one) {
      one.colorbar = Object.assign({}, one.colorbar, { orientation: "h", x: 0.5, xanchor: "center", y: 1.02,
        yanchor: "bottom", thickness: 10, len: 1, title: Object.assign({}, one.colorbar.title, { side: "top" }) });
    });
    return bars.length ? 70 : 0;
  }

  function sized(spec, width) {
    var layout = Object.assign({}, spec.layout);
    var above = width < NARROW ? scaleAbove(spec) : 0;
    var panels = width < NARROW ? stacked(layout) : 1;
    var plot = panels > 1 ? 260 * panels : spec.layout.height || (width < NARROW ? 250 : 320);
    var named = layout.showlegend ? spec.data.filter(function (t) { return t.name && t.showlegend !== false; }) : [];
    var room = Math.max(200, width - 90), letters = 0, lines = 0;
    named.forEach(function (trace) {
      trace.name = wrapped(trace.name, room - 40);
      letters += Math.min(60, breadth(trace.name)) + 8;
      lines += trace.name.split("<br>").length;
    });
    var legend = 20 * Math.min(lines, Math.ceil(letters * 7 / room) + lines - named.length);
    Object.keys(layout).filter(function (name) { return /^yaxis/.test(name); }).forEach(function (name) {
      var title = layout[name].title;
      if (title && title.text) {
        title = Object.assign({}, title, { text: wrapped(title.text, plot / panels - 70) });
        layout[name] = Object.assign({}, layout[name], { title: title });
      }
    });
    layout.height = plot + legend + above;
    layout.margin = Object.assign({}, layout.margin, { t: layout.margin.t + legend + above });
    return layout;
  }

  function draw(plot) {
    var spec = JSON.parse(plot.spec);
    if (document.documentElement.lang === "ko") spec = spoken(spec, "");
    if (wanted.matches) spec = { data: themed(spec.data), layout: themed(spec.layout) };
    var style = getComputedStyle(document.body);
    var layout = Object.assign(sized(spec, plot.box.clientWidth), { autosize: true });
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
  document.addEventListener("language", all);
  var pending;
  window.addEventListener("resize", function () { clearTimeout(pending); pending = setTimeout(all, 150); });
})();
