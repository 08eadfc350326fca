// Live progress by server-sent events; the page is loaded anew when the training is over. Without this script it reloads by itself.
"use strict";
(() => {
  const running = document.getElementById("running");
  if (running) {
    const bar = running.querySelector("progress");
    const message = running.querySelector(".message");
    const stages = [...running.querySelectorAll(".stages li")];
    const source = new EventSource(running.dataset.events);
    const show = (step) => {
      document.querySelector("#state .badge").textContent = step.badge;
      bar.value = step.share;
      if (step.message && message.textContent !== step.message) message.textContent = step.message;
      const at = stages.findIndex((stage) => stage.dataset.stage === step.stage);
      stages.forEach((stage, index) => {
        if (at < 0) return;
        stage.className = index < at ? "done" : index === at ? "now" : "todo";
        if (index === at) stage.setAttribute("aria-current", "step"); else stage.removeAttribute("aria-current");
      });
    };
    source.addEventListener("progress", (event) => show(JSON.parse(event.data)));
    source.addEventListener("over", () => { source.close(); location.reload(); });
  }
  const copy = document.getElementById("copy");
  if (copy && navigator.clipboard) {
    copy.hidden = false;
    copy.addEventListener("click", async () => {
      await navigator.clipboard.writeText(document.getElementById("curl").textContent);
      copy.textContent = copy.dataset.done;
    });
  }
})();
