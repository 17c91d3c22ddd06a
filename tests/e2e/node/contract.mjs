// OpenAI's client for Node against the service. Prints a line of JSON for each check: {name, ok, detail}.
//
// Usage: node contract.mjs CONFIG, where CONFIG is JSON with the URLs `server` (the bundled model), `strict`
// (with a key and little room for a body), `stumbling` (503 to two attempts of three), `breaking` (fails in
// mid-stream), `slowing` (answers only when it is asked again) and `slashed` (its model's name has a slash);
// with the strict server's `key`, its `limit` in bytes, and `clips`: for `english`, `german` and `chinese` the
// `path` and the `text`, in English for the German one.

import assert from "node:assert/strict";
import { createReadStream, readFileSync } from "node:fs";
import { basename } from "node:path";
import { Readable } from "node:stream";

import OpenAI, { toFile } from "openai";

const { BadRequestError, NotFoundError } = OpenAI;
const config = JSON.parse(process.argv[2]);
const { english, german, chinese } = config.clips;
const checks = [];

function check(name, run) {
  checks.push({ name, run });
}

// A client, and the statuses of all answers that it got.
function clientOf(url, options = {}) {
  const statuses = [];
  const counting = async (address, init) => {
    const response = await fetch(address, init);
    if (!address.startsWith("data:")) statuses.push(response.status); // the client tries `fetch` on such a URL first
    return response;
  };
  const client = new OpenAI({ baseURL: `${url}/v1`, apiKey: "any", maxRetries: 0, fetch: counting, ...options });
  return { client, statuses };
}

const { client } = clientOf(config.server);

// From memory: the client asks only once where the file is a stream, which it cannot read again.
function asked(clip, fields = {}) {
  return { file: new File([readFileSync(clip.path)], basename(clip.path)), model: "whisper-1", ...fields };
}

const words = (text) => text.toLowerCase().match(/[\p{L}\p{N}]+/gu) ?? [];

function spoken(text) {
  const lines = text.replace(/^WEBVTT/, "").split("\n");
  return words(lines.filter((line) => !line.includes("-->") && !/^\d+$/.test(line)).join(" "));
}

async function collect(stream) {
  const events = [];
  for await (const event of stream) events.push(event);
  return events;
}

async function refusalOf(promise, kind) {
  const error = await promise.then(() => assert.fail("it was served"), (reason) => reason);
  assert.ok(error instanceof kind, `${error.constructor.name} where ${kind.name} belongs: ${error.message}`);
  return error;
}

const TIMED = ["srt", "verbose_json", "vtt"];
const STARTS = { srt: "1\n00:00:00,", vtt: "WEBVTT\n\n00:00:00." };

function refusedField(format, granularities, stream) {
  if (granularities?.includes("word") && format !== "verbose_json") return "timestamp_granularities";
  return stream && TIMED.includes(format) ? "stream" : null;
}

function checkStream(events, clip) {
  const done = events.pop();
  assert.ok(events.length > 0);
  assert.deepEqual([...new Set(events.map((event) => event.type))], ["transcript.text.delta"]);
  assert.equal(done.type, "transcript.text.done");
  assert.equal(events.map((event) => event.delta).join(""), done.text);
  assert.deepEqual(words(done.text), words(clip.text));
  assert.equal(done.usage.total_tokens, done.usage.input_tokens + done.usage.output_tokens);
}

function checkFormat(answer, format, clip) {
  const alone = ["text", "srt", "vtt"].includes(format);
  assert.equal(typeof answer, alone ? "string" : "object");
  const text = alone ? answer : answer.text;
  assert.deepEqual(spoken(text), words(clip.text));
  assert.ok(text.startsWith(STARTS[format] ?? ""), text);
}

function checkVerbose(answer, clip, granularities = []) {
  assert.equal(answer.language, "english");
  assert.equal(typeof answer.duration, "number");
  assert.equal(answer.usage.type, "duration");
  assert.equal("words" in answer, granularities.includes("word"));
  assert.equal("segments" in answer, granularities.includes("segment") || !granularities.includes("word"));
  if (answer.words) assert.deepEqual(answer.words.map((one) => one.word), words(clip.text));
  for (const one of [...(answer.words ?? []), ...(answer.segments ?? [])])
    assert.ok(0 <= one.start && one.start < one.end && one.end <= answer.duration);
}

async function checkTranscription(format, granularities, stream) {
  const fields = { response_format: format, stream };
  if (granularities) fields.timestamp_granularities = granularities;
  const answer = client.audio.transcriptions.create(asked(english, fields));
  const fault = refusedField(format, granularities, stream);
  if (fault) {
    const error = await refusalOf(answer, OpenAI.BadRequestError);
    assert.deepEqual([error.param, error.type], [fault, "invalid_request_error"]);
  } else if (stream) {
    checkStream(await collect(await answer), english);
  } else {
    checkFormat(await answer, format, english);
    if (format === "verbose_json") checkVerbose(await answer, english, granularities);
  }
}

for (const format of ["json", "text", "srt", "vtt", "verbose_json"]) {
  for (const granularities of [undefined, [], ["segment"], ["word"], ["word", "segment"]])
    for (const stream of [false, true]) {
      const name = `${format}, granularities ${granularities?.join("+") ?? "left out"}, stream ${stream}`;
      check(name, () => checkTranscription(format, granularities, stream));
    }
  check(`translation as ${format}`, async () => {
    const fields = { response_format: format, prompt: "Digits." };
    const answer = await client.audio.translations.create(asked(german, fields));
    checkFormat(answer, format, german);
    if (format === "verbose_json") assert.equal(answer.language, "english");
  });
}

for (const clip of [english, chinese])
  for (const stream of [false, true])
    check(`logprobs of ${basename(clip.path)}, stream ${stream}`, async () => {
      const answer = await client.audio.transcriptions.create(asked(clip, { stream, include: ["logprobs"] }));
      const events = stream ? await collect(answer) : [];
      const whole = events.pop() ?? answer;
      const pieces = stream ? events.flatMap((event) => event.logprobs) : whole.logprobs;
      const bytes = pieces.flatMap((piece) => piece.bytes);
      assert.equal(Buffer.from(bytes).toString("utf8").trim(), whole.text);
      assert.deepEqual(pieces, whole.logprobs);
      assert.ok(pieces.every((piece) => piece.logprob <= 0));
    });

const vad = { type: "server_vad", threshold: 0.3, silence_duration_ms: 500, prefix_padding_ms: 100 };
for (const [name, strategy] of Object.entries({ auto: "auto", defaults: { type: "server_vad" }, object: vad }))
  check(`chunking strategy ${name}`, async () => {
    const answer = await client.audio.transcriptions.create(asked(english, { chunking_strategy: strategy }));
    assert.deepEqual(words(answer.text), words(english.text));
  });

check("all other fields", async () => {
  const fields = { prompt: "Call signs.", temperature: 0, language: "en", keywords: ["zulu", "whiskey"], include: [] };
  const answer = await client.audio.transcriptions.create(asked(english, fields));
  assert.deepEqual(words(answer.text), words(english.text));
});

check("a file in all the ways the client takes", async () => {
  const content = readFileSync(english.path);
  const named = await toFile(content, "a.txt", { type: "text/plain" });
  const files = [createReadStream(english.path), named, await toFile(content), new Response(content)];
  for (const file of files) {
    const answer = await client.audio.transcriptions.create({ file, model: "gpt-4o-transcribe" });
    assert.deepEqual(words(answer.text), words(english.text));
  }
});

check("models are listed and found", async () => {
  const models = (await client.models.list()).data;
  assert.deepEqual(models.slice(0, 2).map((model) => model.id), ["callsign", "whisper-1"]);
  for (const model of models) assert.deepEqual(await client.models.retrieve(model.id), model);
});

check("a model whose name has a slash is found", async () => {
  const model = await clientOf(config.slashed).client.models.retrieve("owner/tiny");
  assert.equal(model.id, "owner/tiny");
});

check("headers tell id and times", async () => {
  const options = { headers: { "x-request-id": "mine-1" } };
  const answer = client.audio.transcriptions.create(asked(english), options);
  const { data, response, request_id: id } = await answer.withResponse();
  assert.deepEqual([response.headers.get("x-request-id"), id, data._request_id], ["mine-1", "mine-1", "mine-1"]);
  assert.ok(Number(response.headers.get("openai-processing-ms")) > 0);
  assert.ok(Number(response.headers.get("x-audio-duration-seconds")) > 2);
});

const noAudio = () => new File(["these are words, but nobody says them"], "speech.wav", { type: "audio/wav" });
const refusals = [
  ["a model", { model: "gpt-5" }, NotFoundError, "model_not_found", "model"],
  ["a file that is no audio", { file: noAudio() }, BadRequestError, "unsupported_format", "file"],
  ["no audio, as a stream", { file: noAudio(), stream: true }, BadRequestError, "unsupported_format", "file"],
  ["an empty file", { file: new File([], "speech.wav") }, BadRequestError, "empty_audio", "file"],
  ["a language", { language: "tlh" }, BadRequestError, "invalid_value", "language"],
  ["a temperature above 1", { temperature: 1.5 }, BadRequestError, "invalid_value", "temperature"],
  ["a format", { response_format: "xml" }, BadRequestError, "invalid_value", "response_format"],
  ["diarization", { response_format: "diarized_json" }, BadRequestError, "invalid_value", "response_format"],
  ["a granularity", { timestamp_granularities: ["line"] }, BadRequestError, "invalid_value", "timestamp_granularities"],
  ["an include", { include: ["words"] }, BadRequestError, "invalid_value", "include"],
  ["a strategy", { chunking_strategy: "none" }, BadRequestError, "invalid_value", "chunking_strategy"],
  ["known speakers", { known_speaker_names: ["Ada"] }, BadRequestError, "unsupported_parameter", "known_speaker_names"],
];
for (const [name, fields, kind, code, param] of refusals)
  check(`refused once: ${name}`, async () => {
    const { client: retrying, statuses } = clientOf(config.server, { maxRetries: 2 });
    const error = await refusalOf(retrying.audio.transcriptions.create(asked(english, fields)), kind);
    assert.deepEqual([error.code, error.param, error.type], [code, param, "invalid_request_error"]);
    assert.ok(error.message.includes(error.error.message));
    assert.ok(error.requestID);
    assert.deepEqual(statuses, [error.status]);
  });

check("refused once: a URL that is not served", async () => {
  const error = await refusalOf(client.embeddings.create({ model: "any", input: "words" }), OpenAI.NotFoundError);
  assert.equal(error.code, "unknown_url");
});

check("refused once: a wrong key", async () => {
  const { client: stranger, statuses } = clientOf(config.strict, { apiKey: "sk-wrong", maxRetries: 2 });
  const error = await refusalOf(stranger.audio.transcriptions.create(asked(english)), OpenAI.AuthenticationError);
  assert.deepEqual([error.code, error.type], ["invalid_api_key", "invalid_request_error"]);
  assert.deepEqual(statuses, [401]);
});

check("the right key", async () => {
  const { client: known } = clientOf(config.strict, { apiKey: config.key });
  assert.deepEqual(words((await known.audio.transcriptions.create(asked(english))).text), words(english.text));
});

const large = (factor) => new Uint8Array(factor * config.limit);
const tooLarge = {
  "as large as the limit": () => new File([large(1)], "speech.wav"),
  "far above the limit": () => new File([large(40)], "speech.wav"),
  "far above the limit, of unknown length": () => Readable.from([large(20), large(20)]),
};
for (const [name, make] of Object.entries(tooLarge))
  check(`refused once: a file ${name}`, async () => {
    const { client: known, statuses } = clientOf(config.strict, { apiKey: config.key, maxRetries: 2 });
    const file = make();
    const error = await refusalOf(known.audio.transcriptions.create({ file, model: "whisper-1" }), OpenAI.APIError);
    assert.deepEqual([error.status, error.code], [413, "upload_too_large"]);
    assert.deepEqual(statuses, [413]);
  });

for (const stream of [false, true])
  check(`503 is asked again until it is served, stream ${stream}`, async () => {
    const { client: patient, statuses } = clientOf(config.stumbling, { maxRetries: 2 });
    const answer = await patient.audio.transcriptions.create(asked(english, { stream }));
    const { text } = stream ? (await collect(answer)).pop() : answer;
    assert.equal(text, "Hello there. Bye.");
    assert.deepEqual(statuses, [503, 503, 200]);
  });

check("503 is an InternalServerError in the end", async () => {
  const { client: patient, statuses } = clientOf(config.stumbling, { maxRetries: 1 });
  const error = await refusalOf(patient.audio.transcriptions.create(asked(english)), OpenAI.InternalServerError);
  assert.deepEqual([error.status, error.code, error.type], [503, "queue_full", "server_error"]);
  assert.deepEqual(statuses, [503, 503]);
});

check("an error in mid-stream is raised", async () => {
  const { client: retrying, statuses } = clientOf(config.breaking, { maxRetries: 2 });
  const stream = await retrying.audio.transcriptions.create(asked(english, { stream: true }));
  const error = await refusalOf(collect(stream), OpenAI.APIError);
  assert.match(error.message, /the engine failed/);
  assert.deepEqual([error.code, error.type], ["engine_error", "server_error"]);
  assert.deepEqual(statuses, [200]);
});

check("a retry after a timeout joins its own work", async () => {
  const { client: hasty } = clientOf(config.slowing, { timeout: 500, maxRetries: 3 });
  assert.equal((await hasty.audio.transcriptions.create(asked(english))).text, "Hello there. Bye.");
});

check("a timeout is the client's", async () => {
  const { client: hasty } = clientOf(config.gated, { timeout: 500 });
  await refusalOf(hasty.audio.transcriptions.create(asked(english)), OpenAI.APIConnectionTimeoutError);
});

for (const { name, run } of checks) {
  const detail = await run().then(() => null, (error) => error.message);
  console.log(JSON.stringify({ name, ok: detail === null, detail: detail ?? "" }));
}
