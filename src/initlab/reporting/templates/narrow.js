// How a figure fits the width that it has: its legend and title above it, its scale of colours, its panels.
var initlabSized = (function () {
  "use strict";
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
    if (!beside || (layout.annotations || []).length) return 1;
    var rows = axes.map(function (name) { return String(layout[layout[name].anchor.replace("y", "yaxis")].domain); });
    if (rows.some(function (row) { return row !== rows[0]; })) return 1;
    var step = 1 / (axes.length - 0.35);
    axes.forEach(function (name, place) {
      var other = layout[name].anchor.replace("y", "yaxis");
      layout[name] = Object.assign({}, layout[name], { domain: [0, 1] });
      layout[other] = Object.assign({}, layout[other], {
        domain: [(axes.length - 1 - place) * step, (axes.length - 1 - place) * step + 0.65 * step], showticklabels: true
      });
    });
    layout.margin = Object.assign({}, layout.margin, { b: Math.max((layout.margin || {}).b || 0, 72) });
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
    return bars.length ? 110 : 0;
  }

  // Titles of panels that stand in a row, each in lines over its panel.
  function named(layout, width) {
    var notes = layout.annotations || [];
    layout.annotations = notes.map(function (note) {
      var row = notes.filter(function (other) { return other.y === note.y; }).length;
      return note.showarrow === false && row > 1 ? Object.assign({}, note, { text: wrapped(note.text, (width - 80) / row) }) : note;
    });
  }

  // A title stands in lines at the top, over the legend; gives how high it is beyond its first line, whose room is there.
  function titled(layout, width) {
    var title = layout.title;
    if (!title || !title.text) return 0;
    var text = wrapped(title.text, (width - 24) / 1.3);
    layout.title = Object.assign({}, title, { text: text, x: 0.02, xref: "container", xanchor: "left",
      y: 1, yref: "container", yanchor: "top", pad: { t: 12 } });
    return 19 * (text.split("<br>").length - 1);
  }

  // How many decades a log axis shows: those of its range, or of what is drawn on it.
  function decades(spec, name) {
    var own = spec.layout[name].range;
    if (own) return Math.abs(own[1] - own[0]);
    var drawn = [].concat.apply([], spec.data.map(function (trace) {
      return (trace.xaxis || "x") === name.replace("axis", "") && Array.isArray(trace.x) ? trace.x : [];
    })).filter(function (value) { return value > 0; }).map(Math.log10);
    return drawn.length ? Math.max(0.1, Math.max.apply(null, drawn) - Math.min.apply(null, drawn)) : 1;
  }

  // Of the ticks of a log axis those whose numbers stand apart in so many pixels: of many the powers of ten alone.
  function fewer(axis, room, span) {
    if (!axis.tickvals) return axis.dtick ? {} : { nticks: 4 };
    var texts = axis.ticktext || axis.tickvals.map(String), logs = axis.tickvals.map(Math.log10), kept = [];
    var broad = 10 + LETTER * Math.max.apply(null, texts.map(function (text) { return String(text).replace(/<[^>]*>/g, "").length; }));
    var apart = broad / room * span;
    var whole = logs.map(function (one) { return Math.abs(one - Math.round(one)) < 1e-9; }), powers = whole.filter(Boolean).length;
    var alone = logs.length >= 9 && powers >= 5;
    [true, false].forEach(function (power) {
      logs.forEach(function (one, place) {
        var free = kept.every(function (other) { return Math.abs(one - logs[other]) >= apart; });
        if (whole[place] === power && (power || !alone) && free) kept.push(place);
      });
    });
    kept.sort(function (a, b) { return a - b; });
    return { tickvals: kept.map(function (one) { return axis.tickvals[one]; }), ticktext: kept.map(function (one) { return texts[one]; }), tickangle: 0 };
  }

  // The numbers beside bars that lie stand past the end of the longest.
  function besideBars(spec) {
    return spec.data.some(function (trace) { return trace.type === "bar" && trace.orientation === "h" && trace.text; }) ? 44 : 0;
  }

  // The lines of a legend above a figure: one, or columns as wide as its longest name.
  function lines(told, room) {
    var most = 1, widths = told.map(function (trace) {
      trace.name = wrapped(trace.name, room - 40);
      var parts = trace.name.split("<br>");
      most = Math.max(most, parts.length);
      return 6.4 * Math.max.apply(null, parts.map(breadth)) + 45;
    });
    var whole = widths.reduce(function (sum, one) { return sum + one; }, 0);
    if (whole <= room) return told.length ? most : 0;
    return most * Math.ceil(told.length / Math.max(1, Math.floor(room / Math.max.apply(null, widths))));
  }

  function sized(spec, width) {
    var layout = Object.assign({}, spec.layout);
    var above = width < NARROW ? scaleAbove(spec) : 0;
    var panels = width < NARROW ? stacked(layout) : 1;
    var plot = panels > 1 ? 260 * panels : spec.layout.height || (width < NARROW ? 250 : 320);
    var told = layout.showlegend ? spec.data.filter(function (t) { return t.name && t.showlegend !== false; }) : [];
    var legend = 20 * lines(told, Math.max(200, width - 90));
    Object.keys(layout).filter(function (name) { return /^yaxis/.test(name); }).forEach(function (name) {
      var title = layout[name].title;
      if (title && title.text) {
        title = Object.assign({}, title, { text: wrapped(title.text, plot / panels - 70) });
        layout[name] = Object.assign({}, layout[name], { title: title });
      }
    });
    Object.keys(layout).filter(function (name) { return /^xaxis/.test(name); }).forEach(function (name) {
      var axis = layout[name], room = axis.domain ? width * (axis.domain[1] - axis.domain[0]) : width;
      if (room < NARROW && axis.type === "log") layout[name] = Object.assign({}, axis, fewer(axis, 0.6 * room, decades(spec, name)));
      if (panels > 1 && axis.title && axis.title.text) {
        layout[name] = Object.assign({}, layout[name], { title: Object.assign({}, axis.title, { standoff: 8 }) });
      }
    });
    if (width < NARROW) named(layout, width);
    var title = titled(layout, width);
    layout.height = plot + legend + above + title;
    layout.margin = Object.assign({}, layout.margin, {
      t: layout.margin.t + legend + above + title, r: Math.max(layout.margin.r || 0, besideBars(spec))
    });
    return layout;
  }

  // How a figure is drawn anew: a scale of colours that is turned leaves its old numbers behind unless all is made anew.
  sized.drawn = function (box, width) {
    var before = box.dataset.narrow, now = box.dataset.narrow = String(width < NARROW);
    return before === now ? Plotly.react : Plotly.newPlot;
  };

  return sized;
})();
