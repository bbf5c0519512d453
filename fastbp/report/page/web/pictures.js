// Elements, numbers as text, and colours: what every part of the page draws with.

const SVG = "http://www.w3.org/2000/svg";

function build(node, attributes, children) {
  for (const [name, value] of Object.entries(attributes ?? {})) {
    if (name.startsWith("on")) node.addEventListener(name.slice(2), value);
    else if (value !== undefined && value !== false) node.setAttribute(name, value === true ? "" : value);
  }
  node.append(...children.flat());
  return node;
}

// Text among the children stays text, whatever a file's name may hold.
const h = (tag, attributes, ...children) => build(document.createElement(tag), attributes, children);
const s = (tag, attributes, ...children) => build(document.createElementNS(SVG, tag), attributes, children);
const byId = (id) => document.getElementById(id);

// 0.042, −1.3, 2.1e−7: three digits that count, and a minus as wide as a plus.
function number(value) {
  const size = Math.abs(value);
  const text = size === 0 ? "0" : size < 1e-3 || size >= 1e5 ? size.toExponential(1) : size.toPrecision(3);
  return (value < 0 ? "−" : "") + text.replace("-", "−");
}
const signed = (value) => (value > 0 ? "+" : "") + number(value);
const fixed = (value, digits = 2) =>
  value
    .toFixed(digits)
    .replace("-", "−")
    .replace(/^−(0\.?0*)$/, "$1");
// Numbers beside each other read best in one unit: the power of 1000 that suits the largest of them.
function unitOf(most) {
  const power = most > 0 ? 3 * Math.floor(Math.log10(most * 2) / 3) : 0;
  const raised = String(power)
    .replace("-", "⁻")
    .replace(/\d/g, (digit) => "⁰¹²³⁴⁵⁶⁷⁸⁹"[digit]);
  return { scale: 10 ** -power, text: power ? `10${raised}` : "" };
}
const fixedNumber = (value) => Number(value.toFixed(3));
const percent = (value) => `${(100 * value).toFixed(2)} %`;
const whole = (value) => value.toLocaleString("en");
const times = (ratio) => (ratio >= 10 ? whole(Math.round(ratio)) : ratio.toPrecision(2));

// What CSS paints follows the theme by itself: a share of one of its colours, on the ground it lies on.
const tint = (colour, share, ground) =>
  `color-mix(in srgb, var(--${colour}) ${fixedNumber(100 * Math.min(1, share))}%, var(--${ground}))`;
const signTint = (share) => tint(share < 0 ? "down" : "up", Math.abs(share), "panel");

// An activation, 0 to 1 or beyond: the fuller, the higher; what is below 0 takes the colour of down.
const activationTint = (value, most) => tint(value < 0 ? "down" : "on", Math.abs(value) / Math.max(1, most), "off");

// What a canvas paints needs the colours of the theme as numbers, [red, green, blue].
let theme = {};
function readTheme() {
  const style = getComputedStyle(document.documentElement);
  const rgb = (name) =>
    style
      .getPropertyValue(name)
      .match(/\w\w/g)
      .map((pair) => parseInt(pair, 16));
  theme = { off: rgb("--off"), on: rgb("--on"), up: rgb("--up"), down: rgb("--down"), panel: rgb("--panel") };
}

const mixed = (from, to, share) => from.map((value, k) => Math.round(value + (to[k] - value) * share));
const css = (rgb) => `rgb(${rgb.join(" ")})`;

// Paint side x side numbers, one a pixel; CSS makes the canvas as large as it shall be.
function paint(canvas, values, side, colour) {
  canvas.repaint = () => paint(canvas, values, side, colour);
  canvas.width = canvas.height = side;
  const context = canvas.getContext("2d");
  const image = context.createImageData(side, side);
  for (let at = 0; at < side * side; at++) image.data.set([...colour(values[at]), 255], 4 * at);
  context.putImageData(image, 0, 0);
  return canvas;
}

const signColour = (share) => mixed(theme.panel, share < 0 ? theme.down : theme.up, Math.min(1, Math.abs(share)));
const paintDigit = (canvas, values, side) => paint(canvas, values, side, (value) => mixed(theme.off, theme.on, value));

function largest(values) {
  let most = 0;
  for (const value of values) most = Math.max(most, Math.abs(value));
  return most;
}

function paintSigned(canvas, values, side, most = largest(values)) {
  return paint(canvas, values, side, (value) => signColour(most > 0 ? value / most : 0));
}
