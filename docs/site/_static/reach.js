// What is wider than its column: formulas fit it where they can, and what scrolls sideways is reached by the keyboard.
(function () {
  "use strict";
  var boxes = document.querySelectorAll("pre, .table-wrapper, .math, div.initlab, .output, .formula, div:has(> table.dataframe)");

  // A formula a little wider than its column is set smaller, so that the eye has all of it.
  function fitted(formula) {
    var box = formula.closest(".math");
    formula.style.fontSize = formula.dataset.size = formula.dataset.size || formula.style.fontSize || "100%";
    var share = box.clientWidth / box.scrollWidth;
    if (share < 1 && share > 0.7) formula.style.fontSize = parseFloat(formula.dataset.size) * share * 0.99 + "%";
  }

  function all() {
    document.querySelectorAll("div.math > mjx-container").forEach(fitted);
    boxes.forEach(function (box) {
      if (box.scrollWidth > box.clientWidth && getComputedStyle(box).overflowX !== "visible") box.tabIndex = 0;
      else if (box.getAttribute("tabindex") === "0" && !box.dataset.kept) box.removeAttribute("tabindex");
    });
  }
  boxes.forEach(function (box) { if (box.hasAttribute("tabindex")) box.dataset.kept = "1"; });
  all();
  window.addEventListener("load", function () {
    all();
    if (window.MathJax && MathJax.startup && MathJax.startup.promise) MathJax.startup.promise.then(all);
  });
  window.addEventListener("resize", all);
})();
