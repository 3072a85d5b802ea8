// Makes elements; what comes from the API is always text, never markup.

const SVG = "http://www.w3.org/2000/svg";

export const $ = (id) => document.getElementById(id);

/** An HTML element: `el("p", {class: "note"}, "text", otherElement)`. A null child is left out. */
export const el = (tag, attributes, ...children) => filled(document.createElement(tag), attributes, children);

/** The same for SVG. */
export const svg = (tag, attributes, ...children) => filled(document.createElementNS(SVG, tag), attributes, children);

/** A list of facts: pairs of a term and what it is, text or element; null leaves a fact out. */
export const facts = (pairs, attributes) =>
  el("dl", attributes, ...pairs.filter(([, is]) => is !== null).map(([term, is]) => el("div", {}, el("dt", {}, term), el("dd", {}, is))));

/** A sentence whose parts in backticks are code. */
export const worded = (sentence) => sentence.split("`").map((part, at) => (at % 2 ? el("code", {}, part) : part));

export const problem = (error) => el("p", { class: "problem", role: "alert" }, ...worded(error.message));

function filled(element, attributes = {}, children = []) {
  for (const [name, value] of Object.entries(attributes)) {
    if (value !== null && value !== false) element.setAttribute(name, value === true ? "" : value);
  }
  element.append(...children.filter((child) => child !== null));
  return element;
}
