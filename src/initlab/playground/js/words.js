// The page's words in English and Korean, and putting them into the elements that ask for them.

import { SETTINGS } from "./settings.js";

let place = 0;

/** The word of a key in the language that is on, `{0}` and `{}` filled in. */
export function word(key, ...values) {
  let next = 0;
  const text = SETTINGS.words[key][place];
  return text.replace(/\{(\d?)\}/g, (_, index) => values[index === "" ? next++ : Number(index)]);
}

/** Whatever word the verdict's fact has in Python, or its translation. */
export function factWord(fact) {
  return word(`fact.${fact}`) || SETTINGS.facts[fact].words;
}

/** Where a scheme comes from: titles stay, what is said of them and the places in them are in the language that is on. */
export function sourceWord(scheme) {
  return (`source.${scheme.name}` in SETTINGS.words && word(`source.${scheme.name}`)) || scheme.source;
}

export function language() {
  return place ? "ko" : "en";
}

export function speak(code) {
  place = code === "ko" ? 1 : 0;
  document.documentElement.lang = code;
  for (const element of document.querySelectorAll("[data-word]")) element.textContent = word(element.dataset.word);
  for (const element of document.querySelectorAll("[data-label]")) {
    element.setAttribute("aria-label", word(element.dataset.label));
  }
}
