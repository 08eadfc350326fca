// Another target or time is checked at once, because what leaks and what can be learnt depends on them.
"use strict";
(() => {
  const check = document.querySelector(".purpose button[formmethod=get]");
  for (const id of ["target", "time"]) {
    document.getElementById(id).addEventListener("change", () => check.form.requestSubmit(check));
  }
})();
