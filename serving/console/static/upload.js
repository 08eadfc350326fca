// Drag and drop, and progress while the file travels. Without this script the form works as it is.
"use strict";
(() => {
  const form = document.getElementById("upload");
  const drop = document.getElementById("drop");
  const input = document.getElementById("file");
  const shown = document.getElementById("upload-progress");
  for (const node of document.querySelectorAll(".script-only")) node.hidden = false;

  const stop = (event) => { event.preventDefault(); event.stopPropagation(); };
  for (const name of ["dragenter", "dragover"]) drop.addEventListener(name, (event) => { stop(event); drop.classList.add("over"); });
  for (const name of ["dragleave", "drop"]) drop.addEventListener(name, (event) => { stop(event); drop.classList.remove("over"); });
  drop.addEventListener("drop", (event) => {
    if (event.dataTransfer.files.length) { input.files = event.dataTransfer.files; form.requestSubmit(); }
  });

  form.addEventListener("submit", (event) => {
    const file = input.files[0];
    if (!file) return;
    event.preventDefault();
    const bar = shown.querySelector("progress");
    const status = shown.querySelector("p");
    const button = form.querySelector("button[type=submit]");
    const template = form.querySelector("input[name=template]:checked").value;
    const address = form.action + "?" + new URLSearchParams({ template, filename: file.name });
    const request = new XMLHttpRequest();
    shown.hidden = false;
    button.disabled = true;
    status.textContent = `${form.dataset.uploading} ${file.name}`;
    request.upload.addEventListener("progress", (step) => {
      if (step.lengthComputable) bar.value = Math.round(100 * step.loaded / step.total);
    });
    request.upload.addEventListener("load", () => { bar.removeAttribute("value"); status.textContent = form.dataset.checking; });
    request.addEventListener("load", () => {
      if (request.status === 201) { location.assign(request.getResponseHeader("Location")); return; }
      const answer = new DOMParser().parseFromString(request.responseText, "text/html").getElementById("notices");
      shown.hidden = true;
      button.disabled = false;
      if (answer) { document.getElementById("notices").replaceWith(answer); answer.focus(); } else form.submit();
    });
    request.addEventListener("error", () => { button.disabled = false; shown.hidden = true; form.submit(); });
    request.open("POST", address);
    request.setRequestHeader("X-Form-Token", form.querySelector("input[name=form_token]").value);
    request.setRequestHeader("Content-Type", "application/octet-stream");
    request.send(file);
  });
})();
