// One file on its way: its state in words, its progress, its transcript, and what can be done with it.

import { Refusal, transcribe } from "./request.js";
import { Transcript } from "./transcript.js";
import { clock, make, size, span } from "./words.js";

export class Card {
  // `page` has say, limits, subtitles, options(), key() and languageName(code).
  constructor(file, page) {
    this.file = file;
    this.page = page;
    this.say = page.say;
    this.build();
    this.state("sending", this.say("sending"));
  }

  build() {
    const { file, say } = this;
    this.source = URL.createObjectURL(file);
    this.audio = make("audio", {
      src: this.source, controls: true, preload: "metadata", "aria-label": say("audio_of", { name: file.name }),
      onerror: () => this.unplayable(), onloadedmetadata: () => this.measure(),
    });
    this.status = make("p", { class: "asr-status", role: "status" });
    this.bar = make("progress", { max: "1", "aria-label": say("progress_of", { name: file.name }) });
    this.actions = make("div", { class: "asr-actions" });
    this.note = make("div", { class: "asr-note", role: "alert" });
    this.transcript = new Transcript(this.audio, say("transcript", { name: file.name }), say);
    this.tools = make("div", { class: "asr-tools" });
    const head = make("header", {}, make("h3", { text: file.name, title: file.name }), this.actions);
    this.element = make("article", { class: "asr-card" },
      head, this.status, this.bar, this.note, this.audio, this.transcript.element, this.tools);
  }

  state(name, text) {
    this.element.dataset.state = name;
    this.status.textContent = text;
    this.bar.hidden = !["uploading", "waiting", "running"].includes(name);
    const { say } = this;
    const under = ["sending", "uploading", "waiting", "running"].includes(name);
    const buttons = under
      ? [button(say("cancel"), () => this.cancel())]
      : [
          ...(name === "done" ? [] : [button(say("again"), () => this.page.again(this))]),
          button(say("remove"), () => this.remove()),
        ];
    if (this.actions.dataset.under !== String(name)) this.actions.replaceChildren(...buttons);
    this.actions.dataset.under = name;
  }

  // Resolves when there is nothing more to be done, whatever came of it.
  async run() {
    if (this.element.dataset.state === "cancelled") return;
    this.begin();
    try {
      this.check();
      const { file, page } = this;
      const on = { upload: (part) => this.uploaded(part), event: (event) => this.heard(event) };
      this.began = performance.now();
      await transcribe(file, page.options(), page.key(), on, this.abort.signal);
    } catch (error) {
      this.refused(error instanceof Refusal ? error : new Refusal("other", String(error)));
    }
  }

  begin() {
    this.abort = new AbortController();
    this.segments = [];
    this.result = null;
    this.note.replaceChildren();
    this.tools.replaceChildren();
    const fresh = new Transcript(this.audio, this.say("transcript", { name: this.file.name }), this.say);
    this.transcript.element.replaceWith(fresh.element);
    this.transcript = fresh;
  }

  check() {
    const { limits } = this.page;
    const key = this.page.key();
    if (!this.file.size) throw new Refusal("empty", "");
    if (this.file.size > limits.max_upload_bytes) throw new Refusal("upload_too_large", "");
    if (limits.keyed && !key) throw new Refusal("missing_api_key", "");
    if (!/^[\x21-\x7e]*$/.test(key)) throw new Refusal("invalid_api_key", ""); // no header could carry it
  }

  cancel() {
    this.abort?.abort();
    if (this.element.dataset.state === "sending") this.state("cancelled", this.say("cancelled"));
  }

  remove() {
    this.audio.pause();
    URL.revokeObjectURL(this.source);
    this.element.remove();
    this.page.removed(this);
  }

  uploaded(part) {
    if (part < 1) {
      this.bar.value = part;
      this.state("uploading", this.say("uploading", { percent: Math.floor(100 * part) }));
    } else if (["sending", "uploading"].includes(this.element.dataset.state)) {
      this.bar.removeAttribute("value");
      this.state("waiting", this.say("waiting"));
    }
  }

  heard(event) {
    const happened = {
      queue: () => this.state("waiting", this.placed(event.ahead)),
      segment: () => this.add(event.segment),
      progress: () => this.progress(event),
      done: () => this.done(event.result),
      error: () => { throw new Refusal(event.error.code ?? "other", event.error.message); },
    };
    try {
      happened[event.type]?.();
    } catch (error) {
      this.refused(error);
    }
  }

  placed(ahead) {
    return this.say(ahead > 1 ? "place_n" : `place_${ahead}`, { ahead });
  }

  add(segment) {
    this.segments.push(segment);
    this.transcript.add(segment);
  }

  progress({ seconds, duration }) {
    if (!duration) return;
    this.bar.max = duration;
    this.bar.value = seconds;
    this.state("running", this.say("progress", { seconds: clock(seconds), duration: clock(duration) }));
  }

  done(result) {
    this.result = result;
    const took = span((performance.now() - this.began) / 1000);
    const language = result.language && this.page.languageName(result.language);
    const values = { duration: span(result.duration), language, took };
    this.state("done", this.say(language ? "done" : "done_silent", values));
    if (!this.segments.length) return this.tell(this.say("silent"));
    this.offer();
  }

  offer() {
    const { say } = this;
    const { srt, vtt } = this.page.subtitles;
    const whole = { ...this.result, segments: this.segments };
    const forms = {
      txt: ["text/plain", () => this.result.text],
      srt: ["application/x-subrip", () => srt(this.segments)],
      vtt: ["text/vtt", () => vtt(this.segments)],
      json: ["application/json", () => JSON.stringify(whole)],
    };
    const links = Object.entries(forms).map(([form, [type, text]]) =>
      button(form, () => this.save(form, type, text()), `${say("downloads")} ${form}`));
    const copy = button(say("copy"), async () => {
      await navigator.clipboard.writeText(this.result.text);
      copy.textContent = say("copied");
    });
    const legend = this.transcript.unsure ? [make("small", { class: "asr-legend", text: say("low") })] : [];
    this.tools.replaceChildren(copy, ...links, ...legend);
  }

  save(form, type, text) {
    const url = URL.createObjectURL(new Blob([text], { type }));
    make("a", { href: url, download: `${this.file.name.replace(/\.[^.]*$/, "")}.${form}` }).click();
    setTimeout(() => URL.revokeObjectURL(url));
  }

  refused(error) {
    if (error.code === "cancelled") return this.state("cancelled", this.say("cancelled"));
    const { say } = this;
    const { limits } = this.page;
    const name = `error_${error.code}`;
    const values = {
      size: size(limits.max_upload_bytes),
      audio: span(limits.max_audio_seconds),
      timeout: span(limits.request_timeout),
    };
    this.state("failed", "");
    this.tell(say.has(name) ? say(name, values) : error.message || say("error_other"));
    const id = error.id && say("request_number", { id: error.id });
    const detail = [say.has(name) && error.message, id].filter(Boolean).join(" · ");
    if (detail) this.note.append(make("small", { text: detail }));
    if (error.code.endsWith("api_key")) this.page.askKey();
  }

  tell(sentence) {
    this.note.replaceChildren(make("p", { text: sentence }));
  }

  unplayable() {
    this.audio.hidden = true;
    if (!this.element.dataset.state.startsWith("fail")) this.note.append(make("small", { text: this.say("unplayable") }));
  }

  // A recording of the browser's own does not say how long it is; whoever seeks to its end finds out.
  measure() {
    if (this.audio.duration !== Infinity) return;
    this.audio.currentTime = Number.MAX_SAFE_INTEGER;
    this.audio.addEventListener("durationchange", () => (this.audio.currentTime = 0), { once: true });
  }
}

function button(text, onclick, label = null) {
  return make("button", { type: "button", class: "asr-button", text, onclick, "aria-label": label });
}
