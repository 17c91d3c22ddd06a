// The microphone as a file. What is recorded is left as it is: the service cleans it where it is asked to.

export class Recorder {
  static possible = Boolean(navigator.mediaDevices?.getUserMedia && window.MediaRecorder);

  // Raises what the browser says where it does not let us.
  async start() {
    const audio = { echoCancellation: false, noiseSuppression: false, autoGainControl: false };
    this.stream = await navigator.mediaDevices.getUserMedia({ audio });
    this.recorder = new MediaRecorder(this.stream);
    this.parts = [];
    this.recorder.ondataavailable = (event) => this.parts.push(event.data);
    this.recorder.start(1000);
    this.began = performance.now();
  }

  get seconds() {
    return (performance.now() - this.began) / 1000;
  }

  // The recording as a file of that name, with the microphone let go.
  async stop(name) {
    const ended = new Promise((resolve) => this.recorder.addEventListener("stop", resolve));
    this.recorder.stop();
    await ended;
    for (const track of this.stream.getTracks()) track.stop();
    const type = this.recorder.mimeType.split(";")[0];
    return new File(this.parts, `${name}.${type.split("/")[1]}`, { type });
  }
}
