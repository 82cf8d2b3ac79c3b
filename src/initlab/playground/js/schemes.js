// From a scheme of the catalogue and a layer's shape to its law: the forms of playground/forms.py.

import { centredLaw } from "./laws.js";
import { SETTINGS } from "./settings.js";

export const SCHEMES = new Map(SETTINGS.schemes.map((scheme) => [scheme.name, scheme]));

/** The number that a variance rule divides by, for a weight of shape (outputs, inputs). */
function fanOf(mode, [fanOut, fanIn]) {
  if (mode === "fan_in") return fanIn;
  if (mode === "fan_out") return fanOut;
  if (mode === "fan_avg") return (fanIn + fanOut) / 2;
  if (mode === "fan_geo_avg") return Math.sqrt(fanIn) * Math.sqrt(fanOut);
  return 1;
}

/** The number that the gain slider sets: "gain", "std", or null for a scheme of fixed numbers. */
export function sizeOf(scheme) {
  const { form } = scheme;
  if (form.kind === "matrix") return "gain";
  if (form.kind !== "scaled") return null;
  return form.mode === "one" ? "std" : "gain";
}

/** The scheme's own gain or std; null where it has none. */
export function ownSize(scheme) {
  if (scheme.form.kind === "matrix") return scheme.form.law.gain;
  return scheme.form.kind === "scaled" ? scheme.form.gain : null;
}

/** The law of a weight of shape (outputs, inputs); `size` is a gain or std in place of the scheme's own, or null. */
export function lawOf(scheme, shape, size = null) {
  const { form } = scheme;
  if (form.kind === "fixed") return form.law;
  if (form.kind === "table") return form.laws[shape.join("x")];
  const own = size ?? ownSize(scheme);
  if (form.kind === "matrix") return { ...form.law, gain: own };
  return centredLaw(form.distribution, own / Math.sqrt(fanOf(form.mode, shape)));
}
