// Builds elements. Whatever peers wrote becomes text, never markup.

const SVG = "http://www.w3.org/2000/svg";

export function h(tag, attributes = {}, ...children) {
  return filled(document.createElement(tag), attributes, children);
}

export function svg(tag, attributes = {}, ...children) {
  return filled(document.createElementNS(SVG, tag), attributes, children);
}

function filled(element, attributes, children) {
  for (const [name, value] of Object.entries(attributes)) {
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else if (value === true) element.setAttribute(name, "");
    else if (value !== false && value !== null && value !== undefined) element.setAttribute(name, String(value));
  }
  element.append(...children.flat().filter((child) => child !== null && child !== undefined));
  return element;
}

/** Puts `children` into `element` in place of what was there; who had the focus keeps it. */
export function show(element, ...children) {
  const focused = document.activeElement?.id;
  element.replaceChildren(...children.flat().filter((child) => child !== null && child !== undefined));
  if (focused && document.activeElement?.id !== focused) document.getElementById(focused)?.focus();
}

/** Tells screen readers. */
export function say(text) {
  document.getElementById("said").textContent = text;
}
