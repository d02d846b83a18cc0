// Making elements: h("button", {class: "x", onclick: f}, "text", child), and the same in SVG.

const SVG = "http://www.w3.org/2000/svg";

function dress(element, attributes, children) {
  for (const [name, value] of Object.entries(attributes)) {
    if (value === false || value === null || value === undefined) continue;
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else element.setAttribute(name, value === true ? "" : value);
  }
  element.append(...children.flat().filter((child) => child !== null && child !== undefined));
  return element;
}

export function h(name, attributes = {}, ...children) {
  return dress(document.createElement(name), attributes, children);
}

export function s(name, attributes = {}, ...children) {
  return dress(document.createElementNS(SVG, name), attributes, children);
}

/** Put other elements into one; the focus stays on what is called the same. */
export function renew(element, ...children) {
  const nameOf = (one) => one.getAttribute("aria-label") ?? one.textContent;
  const focused = element.contains(document.activeElement) && nameOf(document.activeElement);
  element.replaceChildren(...children);
  if (focused) $$("button, [tabindex]", element).find((one) => nameOf(one) === focused)?.focus({ preventScroll: true });
}

export function $(selector, within = document) {
  return within.querySelector(selector);
}

export function $$(selector, within = document) {
  return [...within.querySelectorAll(selector)];
}

export function clamp(value, low, high) {
  return Math.min(high, Math.max(low, value));
}
