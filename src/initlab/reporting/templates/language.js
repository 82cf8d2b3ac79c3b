(function () {
  "use strict";
  var told = JSON.parse(document.getElementById("korean").textContent), korean = told.words;
  var button = document.getElementById("language");
  var title = document.title, texts = [], attributes = [];
  var walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (walker.nextNode()) {
    var node = walker.currentNode, own = node.nodeValue.trim();
    if (Object.hasOwn(korean, own) && !node.parentElement.closest("script, style, pre, .plot, td.code")) {
      texts.push({ node: node, english: node.nodeValue, korean: node.nodeValue.replace(own, function () { return korean[own]; }) });
    }
  }
  told.attributes.forEach(function (name) {
    document.querySelectorAll("[" + name + "]").forEach(function (element) {
      var words = element.getAttribute(name);
      if (Object.hasOwn(korean, words.trim())) attributes.push({ element: element, name: name, words: words });
    });
  });

  function speak(language) {
    var is = language === "ko";
    document.documentElement.lang = language;
    document.title = is && Object.hasOwn(korean, title) ? korean[title] : title;
    texts.forEach(function (one) { one.node.nodeValue = is ? one.korean : one.english; });
    attributes.forEach(function (one) { one.element.setAttribute(one.name, is ? korean[one.words.trim()] : one.words); });
    button.textContent = is ? "English" : "한국어";
    button.lang = is ? "en" : "ko";
    document.dispatchEvent(new Event("language"));
  }

  button.hidden = false;
  button.addEventListener("click", function () { speak(document.documentElement.lang === "ko" ? "en" : "ko"); });
  speak(location.search === "?ko" || (!location.search && navigator.language.startsWith("ko")) ? "ko" : "en");
})();
