// Shows the hidden text of whatever has the class `tip` while the pointer is on it or it has the focus; Escape hides it.
"use strict";
(function () {
  const box = document.createElement("div");
  box.className = "tipbox";
  box.hidden = true;
  box.setAttribute("aria-hidden", "true"); // screen readers read the text where it stands
  document.body.append(box);
  let owner = null;
  let leaving = 0;

  function words(element) {
    const own = element.querySelector(".vh") || document.getElementById(element.getAttribute("aria-describedby") || "");
    const text = own ? own.textContent : element.getAttribute("aria-label") || "";
    return text.replace(/^: /, "");
  }

  function place(element) {
    const at = element.getBoundingClientRect();
    const size = box.getBoundingClientRect();
    const left = Math.min(Math.max(8, at.left + at.width / 2 - size.width / 2), window.innerWidth - size.width - 8);
    const below = at.bottom + 4 + size.height <= window.innerHeight;
    box.style.left = `${Math.max(8, left)}px`;
    box.style.top = `${below ? at.bottom + 4 : Math.max(8, at.top - size.height - 4)}px`;
  }

  function show(element) {
    const text = words(element);
    if (!text) return;
    window.clearTimeout(leaving);
    owner = element;
    box.textContent = text;
    box.hidden = false;
    place(element);
  }

  function hide() {
    window.clearTimeout(leaving);
    owner = null;
    box.hidden = true;
  }

  /** The keyboard's focus keeps a text up; that of a click does not, since the pointer moves on. */
  const kept = () => owner && owner.isConnected && owner.matches(":focus-visible");

  const tipOf = (event) => (event.target instanceof Element ? event.target.closest(".tip") : null);
  document.addEventListener("pointerover", (event) => {
    const element = tipOf(event);
    window.clearTimeout(leaving);
    if (element && element !== owner) show(element);
    // Over the box itself it stays, for its text may be selected; and for a moment on the way there.
    else if (!element && owner && !box.contains(event.target)) leaving = window.setTimeout(() => { if (!kept()) hide(); }, 200);
  });
  document.addEventListener("focusin", (event) => {
    const element = tipOf(event);
    if (element && element.matches(":focus-visible")) show(element);
    else if (element !== owner) hide();
  });
  document.addEventListener("focusout", hide);
  document.addEventListener("keydown", (event) => { if (event.key === "Escape") hide(); });
  document.addEventListener("scroll", () => { if (owner) place(owner); }, true);
  document.addEventListener("input", () => { if (owner && !owner.isConnected) hide(); });
  document.addEventListener("change", () => { if (owner && !owner.isConnected) hide(); });
})();
