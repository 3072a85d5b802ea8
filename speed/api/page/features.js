// The list of 47 features: each may be changed by slider or number, filtered, and put back.

import { $, el } from "./dom.js";
import { N_FEATURES, NAMES, isValue, plain } from "./vector.js";

const LEAST_REACH = 10;

/** Answers {start, values, first, changed}: `onChange` is called when a person has changed a value. */
export function featureList(onChange) {
  let first = [];
  let values = [];
  const rows = NAMES.map((name, at) => row(name, (value) => change(at, value), () => put(at)));
  $("features").replaceChildren(...rows.map(({ element }) => element));

  function change(at, value) {
    values[at] = value;
    mark(at);
    onChange();
  }

  function put(at) {
    rows[at].show(first[at]);
    rows[at].focus();
    change(at, first[at]);
  }

  function mark(at) {
    rows[at].mark(first[at], values[at] !== first[at]);
    const changed = values.filter((value, at) => value !== first[at]).length;
    $("changes").textContent = changed;
    filter();
  }

  /** A row that has the focus stays: it must not vanish below the fingers. */
  function filter() {
    const wanted = $("filter").value.trim().toLowerCase();
    const kind = document.querySelector("[name=shown]:checked").value;
    const fits = (at) =>
      (kind !== "present" || values[at] !== 0 || first[at] !== 0) && (kind !== "changed" || values[at] !== first[at]);
    rows.forEach(({ element }, at) => {
      element.hidden = !(NAMES[at].includes(wanted) && fits(at)) && !element.contains(document.activeElement);
    });
    $("none-shown").hidden = rows.some(({ element }) => !element.hidden);
  }

  $("filter").addEventListener("input", filter);
  document.querySelectorAll("[name=shown]").forEach((choice) => choice.addEventListener("change", filter));

  return {
    values: () => values,
    first: () => first,
    changed: () => values.some((value, at) => value !== first[at]),
    start(given) {
      [first, values] = [[...given], [...given]];
      for (let at = 0; at < N_FEATURES; at += 1) {
        rows[at].show(first[at]);
        rows[at].mark(first[at], false);
      }
      $("changes").textContent = 0;
      filter();
    },
  };
}

function row(name, onValue, onBack) {
  const slider = el("input", { type: "range", min: 0, step: "any", tabindex: -1, "aria-label": `${name}, slider` });
  const number = el("input", { type: "number", min: 0, step: "any", class: "number", id: name, inputmode: "decimal" });
  const back = el("button", { type: "button", class: "quiet", hidden: true });
  const element = el("li", {}, el("label", { for: name }, name), slider, number, back);

  const show = (value) => {
    const reach = Math.max(LEAST_REACH, 2 * value);
    Object.assign(slider, { max: reach, step: Number.isInteger(value) && reach <= 1e6 ? 1 : reach / 100, value });
    number.value = plain(value);
    number.setCustomValidity("");
  };
  slider.addEventListener("input", () => {
    number.value = slider.value;
    number.setCustomValidity("");
    onValue(Number(slider.value));
  });
  number.addEventListener("input", () => {
    const text = number.value.trim();
    const good = isValue(text);
    number.setCustomValidity(good ? "" : "A feature is a non-negative decimal, without an exponent.");
    if (!good) return;
    slider.max = Math.max(slider.max, Number(text));
    slider.value = text;
    onValue(Number(text));
  });
  number.addEventListener("change", () => number.reportValidity());
  number.addEventListener("keydown", (event) => (event.key === "Escape" ? onBack() : null));
  back.addEventListener("click", onBack);
  return {
    element,
    show,
    focus: () => number.focus({ preventScroll: true }),
    mark(was, changed) {
      element.classList.toggle("changed", changed);
      back.hidden = !changed;
      back.textContent = `was ${plain(was)}`;
      back.title = back.textContent;
      back.setAttribute("aria-label", `Put ${name} back to ${plain(was)}`);
    },
  };
}
