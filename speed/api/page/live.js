// What is live: asked for every few seconds while somebody looks, until the API wants a key.

import { answer, ask, key } from "./api.js";
import { $, el, facts, worded } from "./dom.js";
import { clock, count, duration, milliseconds, percent, time } from "./words.js";

const EVERY = 5000;
const LATE = 36 * 3600; // a nightly run that has not published for so long, in seconds

/** Starts the watch. Answers {again}: ask now, and go on. `onProblem` gets what the API refuses. */
export function liveWatch(onProblem) {
  let timer = null;
  let model = null;
  let before = null; // the last status, and when it was asked for

  async function look() {
    clearTimeout(timer);
    try {
      const status = await ask("v1/status");
      if (status.ready && status.model_version !== model?.generation.model_version) model = await ask("v1/model");
      show(status, status.ready ? model.model : null, rate(status, before));
      before = { requests: status.requests, at: performance.now() };
    } catch (error) {
      say("bad", error.status === 401 ? "Key" : "Bad", error.message);
      onProblem(error);
      if (error.wantsKey) return;
    }
    clearTimeout(timer);
    timer = setTimeout(() => (document.hidden ? null : look()), EVERY);
  }

  document.addEventListener("visibilitychange", () => (document.hidden ? null : look()));
  $("report").addEventListener("click", (event) => {
    if (!key.get()) return;
    event.preventDefault();
    saveReport().catch(onProblem);
  });
  look();
  return { again: look };
}

/** Requests a second since the last look, or since the server's start. */
function rate({ requests, requests_per_second: average }, before) {
  if (!before || requests < before.requests) return average;
  return (1000 * (requests - before.requests)) / Math.max(performance.now() - before.at, 1);
}

function show(status, papers, rate) {
  $("generation").textContent = status.generation ?? "Nothing is live";
  document.title = status.generation ? `Formcast: ${status.generation}` : "Formcast";
  say(...verdict(status));
  $("tiles").replaceChildren(...tiles(status, papers, rate));
  $("live-bar").hidden = false;
  $("seen").textContent = `As of ${clock(new Date())}.`;
  $("report").hidden = !status.report;
  if (status.report) $("report").href = status.report;
  $("runs").replaceChildren(status.runs.length ? runTable(status.runs) : el("p", { class: "note" }, "No run is recorded."));
}

/** Said aloud only when it changes. */
function say(kind, badge, sentence) {
  const [shownBadge, said] = $("verdict").children;
  if (said.dataset.sentence === sentence) return;
  $("verdict").className = `verdict ${kind}`;
  shownBadge.textContent = badge;
  said.dataset.sentence = sentence;
  said.replaceChildren(...worded(sentence));
}

function verdict({ ready, refused, streamed, forms, age_seconds: age }) {
  const why = refused ? `${refused.generation || "The pointer"} is refused since ${time(refused.since)} UTC: ${refused.reason}` : "";
  if (!ready) return ["bad", "Not ready", why || "No generation is live yet: publish one."];
  if (refused) return ["look", "Look", `The generation before it answers. ${why}`];
  if (age > LATE) return ["look", "Look", `The scores are ${duration(age)} old: no newer run has published any.`];
  return ["", "Good", `Answers for ${count(forms)} forms of the last run, and for ${count(streamed)} streamed since.`];
}

function tiles({ model_family: family, age_seconds: age, latency_ms: latency, requests, errors }, papers, rate) {
  return facts([
    ["Model", family],
    ["MAE, held-out forms", papers?.metrics?.mae?.toFixed(4) ?? null],
    ["Intervals are to hold", papers?.interval ? `${percent(papers.interval.coverage, 0)} of forms` : null],
    ["Scored", age === null ? null : `${duration(age)} ago`],
    ["Requests a second", rate.toFixed(rate < 10 ? 1 : 0)],
    ["Latency, median", milliseconds(latency.p50)],
    ["Latency, 99 %", milliseconds(latency.p99)],
    ["Server errors", `${count(errors)} of ${count(requests)}`],
  ]).children;
}

function runTable(runs) {
  const heads = ["Run", "Status", "Started, UTC", "Took", "Read", "Rejected", "Published"];
  const number = (value) => el("td", { class: "n" }, value === null || value === undefined ? "" : count(value));
  const rows = runs.toReversed().map((run) =>
    el("tr", {},
      el("th", { scope: "row" }, run.run_id),
      el("td", {}, el("span", { class: `badge ${{ succeeded: "", failed: "bad" }[run.status] ?? "look"}` }, run.status)),
      el("td", { class: "n" }, time(run.started_at)),
      el("td", { class: "n" }, duration(run.seconds)),
      number(run.read), el("td", { class: "n" }, run.read ? percent(run.rejected / run.read) : ""), number(run.published)));
  return el("table", {},
    el("thead", {}, el("tr", {}, ...heads.map((head, at) => el("th", { scope: "col", class: at && head !== "Status" ? "n" : null }, head)))),
    el("tbody", {}, ...rows));
}

/** A link carries no key, so the report is fetched with it and saved. */
async function saveReport() {
  const page = URL.createObjectURL(await (await answer($("report").href)).blob());
  el("a", { href: page, download: "formcast-report.html" }).click();
  URL.revokeObjectURL(page);
}
