/** A button that asks at the first click and acts at the second. */

import { setText } from "./dom.js";

const MILLISECONDS = 6000; // without a second click, the button goes back

/** Let `button` ask `question`, a text or a function that returns it, before `act()`. Returns `button`; `button.isAsking` says whether it does. */
export function askFirst(button, question, act) {
  let label, name, timer;
  function reset() {
    clearTimeout(timer);
    if (!button.isAsking) return;
    button.isAsking = false;
    setText(button, label);
    if (name) button.setAttribute("aria-label", name);
  }
  button.addEventListener("blur", reset);
  button.addEventListener("click", (event) => {
    if (event.detail > 1) return; // the second half of a double click
    if (button.isAsking) return (reset(), act());
    [label, name] = [button.textContent, button.getAttribute("aria-label")];
    button.isAsking = true;
    const text = typeof question === "string" ? question : question();
    setText(button, text);
    if (name) button.setAttribute("aria-label", `${text} ${name}`);
    timer = setTimeout(reset, MILLISECONDS);
  });
  return button;
}
