// What scrolls sideways is reached by the keyboard: code, outputs, tables and formulas wider than their column.
(function () {
  "use strict";
  var boxes = document.querySelectorAll("pre, .table-wrapper, .math, div.initlab, .output, .formula, div:has(> table.dataframe)");
  function all() {
    boxes.forEach(function (box) {
      if (box.scrollWidth > box.clientWidth && getComputedStyle(box).overflowX !== "visible") box.tabIndex = 0;
      else if (box.getAttribute("tabindex") === "0" && !box.dataset.kept) box.removeAttribute("tabindex");
    });
  }
  boxes.forEach(function (box) { if (box.hasAttribute("tabindex")) box.dataset.kept = "1"; });
  all();
  window.addEventListener("load", all);
  window.addEventListener("resize", all);
})();
