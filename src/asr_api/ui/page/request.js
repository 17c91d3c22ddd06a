// One request to the service's own `/transcribe`, answered by events while it is being worked on.

export class Refusal extends Error {
  // `code` is the service's, or one of this page; `id` is the request's number in the service's log.
  constructor(code, message, id = "") {
    super(message);
    this.code = code;
    this.id = id;
  }
}

// Calls `on.upload(fraction)` and `on.event(event)`; resolves at the last event, rejects with Refusal.
// XMLHttpRequest, because fetch tells nothing of an upload's progress.
export function transcribe(file, fields, key, on, signal) {
  const form = new FormData();
  for (const [name, value] of Object.entries({ ...fields, stream: "sse" })) form.append(name, value);
  form.append("file", file, file.name);
  return new Promise((resolve, reject) => {
    const request = new XMLHttpRequest();
    const events = reader(on.event);
    const id = () => request.getResponseHeader("x-request-id") ?? "";
    const failed = () => reject(new Refusal("network", "", ""));
    request.open("POST", new URL("../transcribe", document.baseURI));
    if (key) request.setRequestHeader("authorization", `Bearer ${key}`);
    request.upload.onprogress = (event) => event.lengthComputable && on.upload(event.loaded / event.total);
    request.upload.onload = () => on.upload(1);
    request.onprogress = () => request.status === 200 && events.read(request.responseText);
    request.onload = () => {
      if (request.status !== 200) return reject(refusalOf(request, id()));
      events.read(request.responseText);
      events.ended ? resolve() : failed();
    };
    request.onerror = failed;
    request.onabort = () => reject(new Refusal("cancelled", ""));
    signal.addEventListener("abort", () => request.abort());
    request.send(form);
  });
}

// What of a growing text was not read before, as events.
function reader(tell) {
  let seen = 0;
  return {
    ended: false,
    read(text) {
      for (let end; (end = text.indexOf("\n\n", seen)) >= 0; seen = end + 2) {
        const line = text.slice(seen, end);
        if (line === "data: [DONE]") this.ended = true;
        else if (line.startsWith("data: ")) {
          const event = JSON.parse(line.slice(6));
          this.ended ||= event.type === "error";
          tell(event);
        }
      }
    },
  };
}

function refusalOf(request, id) {
  try {
    const { error } = JSON.parse(request.responseText);
    return new Refusal(error.code ?? "other", error.message, id);
  } catch {
    return new Refusal("other", `${request.status} ${request.statusText}`, id);
  }
}
