// Segments as SubRip and WebVTT: the very files that the service gives, by the rules of its `asr_api.subtitles`.

const LINE_WIDTH = 42;
const CONTROLS = /[\x00-\x1f\x7f-\x9f]/g;
const SPACES = /[ \u00a0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000]+/;
const UNSPACED =
  /[\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u2e80-\ua4cf\uf900-\ufaff\uff00-\uffef\u{20000}-\u{3ffff}]/u;
const NOT_FIRST = /[\p{Mn}\p{Mc}\p{Me}\p{Cf}\p{Lm}\p{Pe}\p{Pf}\p{Po}ぁぃぅぇぉっゃゅょゎァィゥェォッャュョヮヵヶะาำ]/u;
const NOT_LAST = /[\p{Ps}\p{Pi}\p{Cf}เแโใไ]/u;
const NO_WIDTH = /[\p{Mn}\p{Me}\p{Cf}]/u;
const STOP = /\p{Po}/u;

// `wide` are the first and last code points of the characters that take two columns.
export function subtitles(wide) {
  const srt = (segments) =>
    cues(segments, wide)
      .map(({ start, end, text }, n) =>
        `${n + 1}\n${clock(start, ",")} --> ${clock(end, ",")}\n${text.replaceAll("-->", "- ->")}\n\n`)
      .join("");
  const vtt = (segments) =>
    "WEBVTT\n\n" +
    cues(segments, wide)
      .map(({ start, end, text }) => `${clock(start, ".")} --> ${clock(end, ".")}\n${escaped(text)}\n\n`)
      .join("");
  return { srt, vtt };
}

function cues(segments, wide) {
  const shown = segments
    .map((segment) => ({ segment, text: plain(segment.text) }))
    .filter(({ text }) => text)
    .sort((one, other) => one.segment.start - other.segment.start);
  const starts = [];
  for (const { segment } of shown)
    starts.push(Math.max(milliseconds(segment.start), starts.length ? starts.at(-1) + 1 : 0));
  return shown.map(({ segment, text }, n) => {
    const end = Math.min(milliseconds(segment.end), starts[n + 1] ?? Infinity);
    return { start: starts[n], end: Math.max(end, starts[n] + 1), text: broken(text, wide) };
  });
}

// Python rounds what is half way to the even number.
function milliseconds(seconds) {
  const exact = seconds * 1000;
  const floor = Math.floor(exact);
  const half = exact - floor === 0.5;
  return Math.max(0, half ? floor + (floor % 2) : Math.round(exact));
}

function clock(milliseconds, point) {
  const seconds = Math.floor(milliseconds / 1000);
  const parts = [Math.floor(seconds / 3600), Math.floor(seconds / 60) % 60, seconds % 60];
  const pad = (number, width) => String(number).padStart(width, "0");
  return parts.map((part) => pad(part, 2)).join(":") + point + pad(milliseconds % 1000, 3);
}

const plain = (text) => text.replace(CONTROLS, " ").split(SPACES).filter(Boolean).join(" ");

const escaped = (text) => text.replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll(">", "&gt;");

// On one line where it fits, else on two: at the place that is worth most.
function broken(text, wide) {
  const characters = [...text];
  const columns = [0];
  for (const character of characters) columns.push(columns.at(-1) + width(character, wide));
  const whole = columns.at(-1);
  if (whole <= LINE_WIDTH) return text;
  let best = null;
  for (let place = 1; place < characters.length; place++) {
    if (!mayCut(characters[place - 1], characters[place])) continue;
    const spaced = characters[place] === " ";
    const inside = !spaced && !STOP.test(characters[place - 1]);
    const left = columns[place];
    const longest = Math.max(left, whole - left - spaced);
    const worth = [Math.max(longest, LINE_WIDTH), Number(inside), longest, left];
    if (!best || before(worth, best.worth)) best = { worth, place };
  }
  if (!best) return text;
  const rest = characters.slice(best.place);
  while (rest.length && SPACES.test(rest[0])) rest.shift();
  return `${characters.slice(0, best.place).join("")}\n${rest.join("")}`;
}

function before(one, other) {
  const n = one.findIndex((value, n) => value !== other[n]);
  return n >= 0 && one[n] < other[n];
}

function width(character, wide) {
  if (NO_WIDTH.test(character)) return 0;
  const point = character.codePointAt(0);
  let low = 0;
  let high = wide.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (wide[middle][1] < point) low = middle + 1;
    else high = middle;
  }
  return low < wide.length && wide[low][0] <= point ? 2 : 1;
}

function mayCut(one, other) {
  if (one === " " || other === " ") return other === " ";
  return !NOT_LAST.test(one) && !NOT_FIRST.test(other) && UNSPACED.test(one + other);
}
