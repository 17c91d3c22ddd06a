// Words that light up as the recording plays; a click on one jumps there.

import { make } from "./words.js";

export const UNSURE = 0.5; // words that are less probable are marked

export class Transcript {
  constructor(audio, label, say) {
    this.audio = audio;
    this.say = say;
    this.times = [];
    this.spans = [];
    this.at = -1;
    this.focus = 0;
    this.element = make("div", {
      class: "asr-transcript", role: "group", tabindex: "0", "aria-label": label,
      onclick: (event) => this.jump(this.spans.indexOf(event.target.closest(".asr-word"))),
      onkeydown: (event) => this.key(event),
    });
    audio.addEventListener("timeupdate", () => this.light());
    audio.addEventListener("seeked", () => this.light());
    audio.addEventListener("play", () => this.follow());
  }

  add(segment) {
    const parts = segment.words ?? [{ word: segment.text, start: segment.start, end: segment.end }];
    const line = make("span", { class: "asr-segment" });
    for (const part of parts) {
      const unsure = part.probability < UNSURE;
      const sure = unsure ? this.say("sure", { percent: Math.round(100 * part.probability) }) : null;
      const word = part.word.trimStart();
      if (word.length < part.word.length) line.append(" ");
      const span = make("span", { class: unsure ? "asr-word asr-unsure" : "asr-word", title: sure, text: word });
      this.times.push([part.start, part.end]);
      this.spans.push(span);
      line.append(span);
    }
    this.element.append(line);
  }

  get unsure() {
    return this.spans.some((span) => span.classList.contains("asr-unsure"));
  }

  jump(n) {
    if (n < 0 || n >= this.spans.length || this.audio.error) return;
    this.focus = n;
    this.audio.currentTime = this.times[n][0];
    this.audio.play().catch(() => {});
  }

  key(event) {
    const steps = { ArrowLeft: -1, ArrowRight: 1, Home: -this.spans.length, End: this.spans.length };
    if (event.key in steps) this.mark(this.focus + steps[event.key]);
    else if (event.key === "Enter" || event.key === " ") this.jump(this.focus);
    else return;
    event.preventDefault();
  }

  mark(n) {
    this.spans[this.focus]?.classList.remove("asr-focus");
    this.focus = Math.max(0, Math.min(n, this.spans.length - 1));
    this.spans[this.focus]?.classList.add("asr-focus");
    this.spans[this.focus]?.scrollIntoView({ block: "nearest" });
  }

  follow() {
    this.light();
    if (!this.audio.paused) requestAnimationFrame(() => this.follow());
  }

  light() {
    const n = this.playing(this.audio.currentTime);
    if (n === this.at) return;
    this.spans[this.at]?.classList.remove("asr-now");
    this.spans[n]?.classList.add("asr-now");
    this.at = n;
  }

  // The word at a time, -1 between words: the last that has begun, unless it has ended.
  playing(time) {
    let low = 0;
    let high = this.times.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      if (this.times[middle][0] <= time) low = middle + 1;
      else high = middle;
    }
    return low && time < this.times[low - 1][1] ? low - 1 : -1;
  }
}
