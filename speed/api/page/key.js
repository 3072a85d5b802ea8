// The field that asks for an API key, where the API wants one.

import { key } from "./api.js";
import { $ } from "./dom.js";

/** `onChange` is called after a key was given. Answers a function that asks for a key where one could help. */
export function keyField(onChange) {
  $("key-form").addEventListener("submit", (event) => {
    event.preventDefault();
    key.set($("key").value.trim());
    $("key").value = "";
    $("key-form").hidden = true;
    $("forget").hidden = false;
    onChange();
  });
  $("forget").addEventListener("click", () => {
    key.forget();
    location.reload(); // what the key has shown goes with it
  });
  $("forget").hidden = !key.get();
  return (problem) => {
    if (!problem.wantsKey) return;
    $("key-form").hidden = false;
    if (document.activeElement === document.body) $("key").focus();
  };
}
