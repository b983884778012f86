// Shows the hidden text of whatever has the class `tip` while the pointer is on it or it has the focus; Escape hides it.
"use strict";
(function () {
  const box = document.createElement("div");
  box.className = "tipbox";
  box.hidden = true;
  box.setAttribute("aria-hidden", "true"); // screen readers read the text where it stands
  document.body.append(box);
  let owner = null;

  function words(element) {
    const own = element.querySelector(".vh") || document.getElementById(element.getAttribute("aria-describedby") || "");
    const text = own ? own.textContent : element.getAttribute("aria-label") || "";
    return text.replace(/^: /, "");
  }

  function place(element) {
    const at = element.getBoundingClientRect();
    const size = box.getBoundingClientRect();
    const left = Math.min(Math.max(8, at.left + at.width / 2 - size.width / 2), window.innerWidth - size.width - 8);
    const below = at.bottom + 6 + size.height <= window.innerHeight;
    box.style.left = `${Math.max(8, left)}px`;
    box.style.top = `${below ? at.bottom + 6 : Math.max(8, at.top - size.height - 6)}px`;
  }

  function show(element) {
    const text = words(element);
    if (!text) return;
    owner = element;
    box.textContent = text;
    box.hidden = false;
    place(element);
  }

  function hide() {
    owner = null;
    box.hidden = true;
  }

  const tipOf = (event) => (event.target instanceof Element ? event.target.closest(".tip") : null);
  document.addEventListener("pointerover", (event) => {
    const element = tipOf(event);
    if (element && element !== owner) show(element);
    // Out over the box itself keeps it: its text may be selected.
    else if (!element && owner && !box.contains(event.target) && document.activeElement !== owner) hide();
  });
  document.addEventListener("focusin", (event) => {
    const element = tipOf(event);
    if (element) show(element);
    else hide();
  });
  document.addEventListener("focusout", hide);
  document.addEventListener("keydown", (event) => { if (event.key === "Escape") hide(); });
  document.addEventListener("scroll", () => { if (owner) place(owner); }, true);
})();
