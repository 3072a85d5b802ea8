// A vector, scored live while its features are changed, beside what it was at the start.

import { ask } from "./api.js";
import { range } from "./charts.js";
import { $, el, problem } from "./dom.js";
import { featureList } from "./features.js";
import { pack, unpack } from "./vector.js";
import { percent, points } from "./words.js";

const PAUSE = 120;

/** Answers {start, again}: `start` takes over {features, views}; `again` asks once more. */
export function whatIf(onProblem) {
  let begun = null; // {views, prediction}: how it was at the start; prediction null until it is answered
  let timer = null;
  let asking = new AbortController();
  const list = featureList(changed);

  const views = () => ($("views").value === "" ? null : Number($("views").value));

  function start({ features, views: seen = null }) {
    $("views").value = seen ?? "";
    begun = { views: seen, prediction: null };
    list.start(features);
    $("vector").value = pack(features);
    complain("");
    $("workbench").hidden = false;
    return predict();
  }

  function changed() {
    $("vector").value = pack(list.values());
    later();
  }

  function later() {
    clearTimeout(timer);
    timer = setTimeout(predict, PAUSE);
  }

  async function predict() {
    clearTimeout(timer);
    asking.abort();
    const { signal } = (asking = new AbortController());
    $("reset").disabled = !list.changed() && views() === begun.views;
    try {
      const now = await ask("v1/predict", { body: { features: list.values(), views: views() }, signal });
      begun.prediction ??= now;
      $("now").replaceChildren(...shown(now, begun.prediction));
      $("now-said").textContent = sentence(now, begun.prediction);
    } catch (error) {
      if (error.name === "AbortError") return;
      $("now").replaceChildren(problem(error));
      onProblem(error);
    }
  }

  function complain(sentence) {
    $("vector-error").hidden = !sentence;
    $("vector-error").textContent = sentence;
    $("vector").setAttribute("aria-invalid", sentence !== "");
  }

  $("vector-form").addEventListener("submit", (event) => {
    event.preventDefault();
    try {
      start({ features: unpack($("vector").value), views: views() });
    } catch (error) {
      complain(error.message);
    }
  });
  $("vector").addEventListener("input", () => complain(""));
  $("views").addEventListener("input", () => (begun && $("views").checkValidity() ? later() : null));
  $("reset").addEventListener("click", () => {
    start({ features: list.first(), views: begun.views });
    $("filter").focus();
  });

  return { start, again: () => (begun ? predict() : null) };
}

function shown(now, then) {
  return [
    el("p", { class: "rate" }, percent(now.rate), el("small", {}, " predicted")),
    el("p", { class: "note" }, `Interval: ${interval(now)}`),
    el("p", { class: "moved" }, el("b", {}, points(now.rate - then.rate)), ` points from ${percent(then.rate)} at the start`),
    el("figure", {}, range([{ ...now, kind: "" }, { ...then, kind: "before" }], null, sentence(now, then))),
  ];
}

const interval = ({ lower, upper }) => (lower === null ? "none without views" : `${percent(lower)} to ${percent(upper)}`);

const sentence = (now, then) =>
  `Predicted ${percent(now.rate)}, interval ${interval(now)}. At the start ${percent(then.rate)}, interval ${interval(then)}.`;
