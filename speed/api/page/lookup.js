// Looking up a form by its id: the score that counts now, and what it was made from.

import { ask } from "./api.js";
import { contributions, range } from "./charts.js";
import { $, el, facts, problem } from "./dom.js";
import { NAMES, plain } from "./vector.js";
import { count, duration, percent, points, time } from "./words.js";

const MOST_BARS = 8;

/** `onTry` gets {features, views} of a form to be changed. Answers {again}: ask once more for the same form. */
export function formLookup(onTry, onProblem) {
  let asked = "";

  async function look(formId) {
    asked = formId;
    $("form").setAttribute("aria-busy", "true");
    try {
      const found = await ask(`v1/forms/${encodeURIComponent(formId)}?features=true&explain=true`);
      if (asked !== formId) return;
      $("form").replaceChildren(card(found, onTry));
      $("form-said").textContent = `Form ${formId}: ${sentence(found)}`;
    } catch (error) {
      if (asked === formId) $("form").replaceChildren(problem(error));
      onProblem(error);
    }
    $("form").removeAttribute("aria-busy");
  }

  const fromAddress = () => {
    const formId = new URLSearchParams(location.hash.slice(1)).get("form");
    if (!formId || formId === asked) return;
    $("form-id").value = formId;
    look(formId);
  };

  $("lookup-form").addEventListener("submit", (event) => {
    event.preventDefault();
    const formId = $("form-id").value.trim();
    if (!formId) return;
    history.replaceState(null, "", `#${new URLSearchParams({ form: formId })}`);
    look(formId);
  });
  addEventListener("hashchange", fromAddress);
  fromAddress();
  return { again: () => (asked ? look(asked) : null) };
}

function card(form, onTry) {
  const { rate, lower, upper, completion_rate: observed, views } = form;
  const button = el("button", { type: "button" }, "Change its features");
  button.addEventListener("click", () => onTry(form));
  const left = el("div", {},
    el("p", { class: "rate" }, percent(rate), el("small", {}, ` predicted for form ${form.form_id}`)),
    el("p", { class: "note" }, lower === null ? "No interval: the form has no views." : `Interval ${percent(lower)} to ${percent(upper)}`),
    el("figure", {}, range([{ rate, lower, upper, kind: "" }], observed, sentence(form))),
    facts([
      ["Observed", observed === null ? "nothing yet" : `${percent(observed)} of ${count(views)} views`],
      ["Origin", form.origin === "batch" ? "batch: the nightly run" : "stream: data newer than the nightly run"],
      ["Scored", `${duration(form.age_seconds)} ago, ${time(form.scored_at)} UTC`],
      ["Model", form.model_version],
      ["Generation", form.generation],
    ], { class: "facts" }),
    el("p", {}, button));
  return el("div", { class: "pair" }, left, el("div", {}, ...explained(form)));
}

function sentence({ rate, lower, upper, completion_rate: observed }) {
  const interval = lower === null ? "" : `, interval ${percent(lower)} to ${percent(upper)}`;
  return `predicted ${percent(rate)}${interval}` + (observed === null ? "." : `, observed ${percent(observed)}.`);
}

function explained({ explanation, features, model_version: scoredBy }) {
  if (!explanation) return [el("p", { class: "note" }, "The live model cannot be explained feature by feature.")];
  const valued = ([name, size]) => [`${name} = ${plain(features[NAMES.indexOf(name)])}`, size];
  const sorted = Object.entries(explanation.contributions).sort(([, a], [, b]) => Math.abs(b) - Math.abs(a));
  const shown = sorted.slice(0, MOST_BARS);
  const rest = sorted.slice(MOST_BARS);
  const bars = shown.map(valued);
  bars.push([`${rest.length} others`, rest.reduce((sum, [, size]) => sum + size, 0)]);
  if (Math.abs(explanation.calibration) >= 5e-5) bars.push(["calibration", explanation.calibration]);
  const sum = `They and the base, ${percent(explanation.base)} for a form of which nothing is known, add up to ${percent(explanation.rate)}.`;
  const told = bars.map(([label, size]) => `${label}: ${points(size)}`).join("; ");
  const figure = el("figure", {},
    el("figcaption", {}, "What each feature adds or takes away, in percentage points"),
    contributions(bars, told),
    el("figcaption", {}, sum, explanation.model_version === scoredBy ? null : ` By the live model ${explanation.model_version}.`));
  const all = rest.filter(([, size]) => size !== 0);
  if (!all.length) return [figure];
  const more = el("details", {}, el("summary", {}, `${all.length} smaller ones`), contributions(all.map(valued), "Smaller contributions"));
  return [figure, more];
}
