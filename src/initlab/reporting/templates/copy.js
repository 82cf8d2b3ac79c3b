(function () {
  "use strict";
  document.querySelectorAll("button.copy").forEach(function (button) {
    var code = document.getElementById(button.dataset.copies);
    button.hidden = false;
    button.addEventListener("click", function () {
      var range = document.createRange();
      range.selectNodeContents(code);
      var selection = window.getSelection();
      selection.removeAllRanges();
      selection.addRange(range);
      var done = document.execCommand("copy");
      button.nextElementSibling.textContent = done ? button.dataset.done : button.dataset.selected;
    });
  });
})();
