// Small things about elements. All text goes in as text: nothing here takes HTML.

/** An element with a class, text and attributes. */
export function make(tag, className = "", text = "", attributes = {}) {
  const element = document.createElement(tag);
  if (className) element.className = className;
  if (text) element.textContent = text;
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  return element;
}

export function byId(id) {
  return document.getElementById(id);
}

/** An icon of the sprite in the page. */
export function icon(name) {
  const svg = document.createElementNS("http://www.w3.org/2000/svg", "svg");
  svg.setAttribute("class", "icon");
  svg.setAttribute("aria-hidden", "true");
  const use = document.createElementNS("http://www.w3.org/2000/svg", "use");
  use.setAttribute("href", `#i-${name}`);
  svg.append(use);
  return svg;
}

/** Shows a dialog and puts the focus where it belongs. */
export function show(dialog, focus) {
  if (!dialog.open) dialog.showModal();
  focus?.focus();
  focus?.select?.();
}

/** Dialogs close by their own buttons, and by a press beside them. */
export function closesByItself(dialog) {
  dialog.addEventListener("click", (event) => {
    if (event.target === dialog || event.target.closest("[data-close]")) dialog.close();
  });
}
