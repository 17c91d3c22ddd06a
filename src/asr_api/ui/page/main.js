// Puts the page together: Gradio has laid it out, and the columns that it left empty are filled here.

import { Card } from "./card.js";
import { Recorder } from "./recorder.js";
import { subtitles } from "./subtitles.js";
import { clock, language, make, size, span, speaker } from "./words.js";

const LANES = 2; // files of one page that are under way at a time
const COLUMNS = ["asr-head", "asr-source", "asr-limits", "asr-results"];

const { limits, labels, wide } = JSON.parse(document.getElementById("asr-config").textContent);
const say = speaker(labels);

class Page {
  constructor() {
    this.say = say;
    this.limits = limits;
    this.subtitles = subtitles(wide);
    this.waiting = [];
    this.lanes = 0;
    this.recordings = 0;
    this.codes = new Map(
      Object.entries(labels[language()])
        .filter(([name]) => name.startsWith("language_"))
        .map(([name, text]) => [text, name.slice("language_".length)]));
    this.codes.delete(say("language_info"));
  }

  languageName = (code) => (say.has(`language_${code}`) ? say(`language_${code}`) : code);

  key = () => input("asr-key")?.value.trim() ?? "";

  options() {
    const chosen = {
      language: this.codes.get(input("asr-language")?.value) ?? "",
      task: document.querySelector("#asr-task input:checked")?.value ?? "transcribe",
      prompt: input("asr-prompt")?.value.trim(),
      hotwords: input("asr-hotwords")?.value.trim(),
      word_timestamps: String(input("asr-words")?.checked ?? true),
      denoise: String(input("asr-denoise")?.checked ?? false),
    };
    return Object.fromEntries(Object.entries(chosen).filter(([, value]) => value));
  }

  askKey() {
    input("asr-key")?.focus();
  }

  add(files) {
    const cards = [...files].map((file) => new Card(file, this));
    document.querySelector(".asr-empty").hidden = true;
    this.list.prepend(...cards.map((card) => card.element));
    this.waiting.push(...cards);
    this.next();
  }

  again(card) {
    card.state("sending", say("sending"));
    this.waiting.push(card);
    this.next();
  }

  removed(card) {
    this.waiting = this.waiting.filter((other) => other !== card);
    document.querySelector(".asr-empty").hidden = this.list.children.length > 0;
  }

  next() {
    while (this.lanes < LANES && this.waiting.length) {
      this.lanes += 1;
      this.waiting.shift().run().finally(() => {
        this.lanes -= 1;
        this.next();
      });
    }
  }

  fill(columns) {
    document.documentElement.lang = language();
    columns["asr-head"].append(
      make("h1", { text: "asr-api" }), make("p", { text: say("tagline") }));
    columns["asr-source"].append(this.dropZone(), this.microphone());
    const values = {
      size: size(limits.max_upload_bytes),
      audio: span(limits.max_audio_seconds),
      timeout: span(limits.request_timeout),
    };
    columns["asr-limits"].append(make("p", { text: say("limits", values) }));
    this.list = make("div", { class: "asr-list" });
    columns["asr-results"].append(make("p", { class: "asr-empty", text: say("empty") }), this.list);
    document.documentElement.dataset.asr = "ready";
  }

  dropZone() {
    const choice = make("input", {
      type: "file", multiple: true, accept: "audio/*,video/*", class: "asr-file", id: "asr-file",
      onchange: () => { this.add(choice.files); choice.value = ""; },
    });
    const zone = make("label", { class: "asr-drop", for: "asr-file" },
      choice, make("strong", { text: say("drop") }), make("span", { text: say("choose") }));
    const over = (is) => (event) => { event.preventDefault(); zone.classList.toggle("asr-over", is); };
    for (const name of ["dragenter", "dragover"]) document.addEventListener(name, over(true));
    for (const name of ["dragleave", "drop"]) document.addEventListener(name, over(false));
    document.addEventListener("drop", (event) => this.add(event.dataTransfer.files));
    return zone;
  }

  microphone() {
    const button = make("button", { type: "button", class: "asr-button asr-record" });
    const trouble = make("p", { class: "asr-note", role: "alert" });
    const idle = () => {
      button.replaceChildren(make("i"), say("record"));
      button.classList.remove("asr-on");
      button.onclick = start;
    };
    const start = async () => {
      const recorder = new Recorder();
      trouble.textContent = "";
      try {
        if (!Recorder.possible) throw new Error();
        await recorder.start();
      } catch {
        trouble.textContent = say("no_microphone");
        return;
      }
      const time = make("span", { class: "asr-time", text: clock(0) });
      const timer = setInterval(() => (time.textContent = clock(recorder.seconds)), 200);
      button.replaceChildren(make("i"), say("stop"), " ", time);
      button.classList.add("asr-on");
      button.onclick = async () => {
        clearInterval(timer);
        idle();
        this.recordings += 1;
        this.add([await recorder.stop(say("recorded", { number: this.recordings }))]);
      };
    };
    idle();
    return make("div", { class: "asr-microphone" }, button, trouble);
  }
}

const input = (id) => document.querySelector(`#${id} input, #${id} textarea`);

// Gradio makes its columns after the page was loaded.
function whenThere(ids, then) {
  const look = () => {
    const found = ids.map((id) => document.getElementById(id));
    if (!found.every(Boolean)) return false;
    then(Object.fromEntries(found.map((element) => [element.id, element])));
    return true;
  };
  if (look()) return;
  const watcher = new MutationObserver(() => look() && watcher.disconnect());
  watcher.observe(document, { childList: true, subtree: true });
}

const page = new Page();
whenThere(COLUMNS, (columns) => page.fill(columns));
