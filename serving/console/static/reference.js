// Opens the operation that the address names, and copies its call. Without this script the page reads as it is.
"use strict";
(() => {
  const reveal = () => {
    const named = location.hash && document.getElementById(location.hash.slice(1));
    if (named && named.tagName === "DETAILS") { named.open = true; named.scrollIntoView(); }
  };
  addEventListener("hashchange", reveal);
  reveal();
  for (const one of document.querySelectorAll(".operation")) one.addEventListener("toggle", () => { if (one.open) history.replaceState(null, "", `#${one.id}`); });
  if (!navigator.clipboard) return;
  for (const copy of document.querySelectorAll(".copy")) {
    copy.hidden = false;
    copy.addEventListener("click", async () => {
      await navigator.clipboard.writeText(copy.previousElementSibling.textContent);
      copy.textContent = copy.dataset.done;
    });
  }
})();
