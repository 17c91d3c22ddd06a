// The words of this page in the browser's language, and numbers as people read them.

export function language() {
  return (navigator.language || "en").toLowerCase().startsWith("zh") ? "zh" : "en";
}

export function speaker(labels) {
  const own = labels[language()];
  const say = (name, values = {}) =>
    own[name].replace(/\{(\w+)\}/g, (_, key) => values[key]);
  say.has = (name) => name in own;
  return say;
}

export function size(bytes) {
  const units = ["byte", "kilobyte", "megabyte", "gigabyte"];
  const power = bytes < 1024 ? 0 : Math.min(3, Math.floor(Math.log2(bytes) / 10));
  return amount(bytes / 1024 ** power, units[power], "short");
}

// "4 hours", "30 minutes", "2.4 s".
export function span(seconds) {
  if (seconds >= 3600) return amount(seconds / 3600, "hour", "long");
  return seconds >= 60 ? amount(seconds / 60, "minute", "long") : amount(seconds, "second", "short");
}

function amount(value, unit, unitDisplay) {
  return new Intl.NumberFormat(language(), {
    style: "unit", unit, unitDisplay, maximumFractionDigits: value < 10 ? 1 : 0,
  }).format(value);
}

// "1:02:03".
export function clock(seconds) {
  const whole = Math.floor(seconds);
  const pad = (number) => String(number).padStart(2, "0");
  const hours = Math.floor(whole / 3600);
  const minutes = Math.floor(whole / 60) % 60;
  return hours ? `${hours}:${pad(minutes)}:${pad(whole % 60)}` : `${minutes}:${pad(whole % 60)}`;
}

// An element with its attributes, properties (`on...`, `text`) and children.
export function make(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (name === "text") element.textContent = value;
    else if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else if (value === true) element.setAttribute(name, "");
    else if (value !== false && value != null) element.setAttribute(name, value);
  }
  element.append(...children);
  return element;
}
