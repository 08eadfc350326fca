// Another target, time or choice of columns is checked at once, because what leaks and what can be learnt depends on them.
"use strict";
(() => {
  const check = document.getElementById("check");
  check.hidden = true;
  const form = document.getElementById("purpose");
  for (const field of form.elements) {
    if (["target", "time", "exclude", "keep"].includes(field.name)) field.addEventListener("change", () => form.requestSubmit(check));
  }
})();
