// What the page is built from: the catalogue, the constants of the streams, the facts of the verdict, the words.

export const SETTINGS = JSON.parse(document.getElementById("settings").textContent);
