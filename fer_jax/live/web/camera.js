// The camera of the page: pictures go to the server one at a time, always the newest; what comes
// back is drawn over the picture that the browser shows by itself.
const part = (name) => element.querySelector(`[data-part="${name}"]`);
const video = part("video"), still = document.createElement("canvas");
const SIDE = 640, QUALITY = 0.8, SECONDS = 30, ROWS = 8;
const state = { key: "", stream: null, origin: null, history: [], rows: [], drawn: 0, last: 0 };
// For measurements: of each answered picture, when it was taken and when its boxes were drawn, ms.
const measured = (window.ferLive = { pictures: [], state });

// The server knows the page once it has given it a key.
const opened = new Promise((resolve) => {
  const take = () => (state.key = props.value || "") && resolve();
  watch("value", take);
  take();
});

const REASONS = {
  NotAllowedError: "Camera refused: allow it in the settings of the browser, then press Start.",
  NotFoundError: "No camera found: connect one, then press Start.",
  NotReadableError: "The camera is in use by another program: close it, then press Start.",
  OverconstrainedError: "The camera gives no picture of a usable size.",
};
const FAILED = "The server does not answer, or failed: see what it printed, then reload the page.";
const INSECURE = "Browsers give the camera to pages of localhost or https only.";

function say(text) {
  if (part("status").textContent !== text) part("status").textContent = text;
}

async function start() {
  if (state.stream) return;
  if (!navigator.mediaDevices) return say(INSECURE);
  say("Asking for the camera ...");
  part("start").disabled = true;
  try {
    const wanted = { width: { ideal: SIDE }, height: { ideal: 480 }, frameRate: { ideal: 30 } };
    state.stream = await navigator.mediaDevices.getUserMedia({ video: wanted, audio: false });
    video.srcObject = state.stream;
    await video.play();
  } catch (error) {
    stop(REASONS[error.name] || `The camera cannot be used: ${error.message}`);
    return;
  }
  const track = state.stream.getVideoTracks()[0];
  track.addEventListener("ended", () => stop("The camera was disconnected."));
  part("stop").disabled = false;
  video.parentElement.style.aspectRatio = `${video.videoWidth} / ${video.videoHeight}`;
  say("Preparing the model ...");
  await opened;
  if (!state.stream) return;
  watch_camera(state.stream);
}

function stop(reason) {
  state.stream?.getTracks().forEach((track) => track.stop());
  state.stream = video.srcObject = null;
  video.parentElement.style.aspectRatio = "";
  part("start").disabled = false;
  part("stop").disabled = true;
  part("speed").textContent = "";
  clear();
  say(reason || "Camera off.");
}

// Sends the newest picture as soon as the one before is answered, until the stream is another one.
function watch_camera(stream) {
  let newest = state.last, fresh = null, busy = false; // `fresh`: the newest, if it was not sent
  const listen = () => {
    if (video.requestVideoFrameCallback) video.requestVideoFrameCallback(arrive);
    else requestAnimationFrame((now) => arrive(now, {}));
  };
  const arrive = (now, frame) => {
    if (state.stream !== stream) return;
    const taken = frame.captureTime ?? now;
    if (taken > newest) newest = fresh = taken;
    listen();
    if (!busy) send();
  };
  const send = async () => {
    busy = true;
    while (fresh !== null && state.stream === stream) {
      const taken = fresh, seconds = (taken - (state.origin ??= taken)) / 1000;
      fresh = null;
      state.last = taken;
      const answer = await server.look({ key: state.key, picture: picture(), seconds });
      if (state.stream !== stream) return;
      if (!answer) return stop(FAILED);
      if (answer.refused) return stop(answer.refused);
      show(answer, seconds);
      measured.pictures.push([taken, performance.now()]);
      if (measured.pictures.length > 2000) measured.pictures.shift();
    }
    busy = false;
  };
  listen();
}

function picture() {
  const scale = Math.min(1, SIDE / Math.max(video.videoWidth, video.videoHeight));
  still.width = Math.round(video.videoWidth * scale);
  still.height = Math.round(video.videoHeight * scale);
  still.getContext("2d").drawImage(video, 0, 0, still.width, still.height);
  return still.toDataURL("image/jpeg", QUALITY);
}

function show(answer, seconds) {
  say(answer.status);
  draw_boxes(answer.people);
  list_people(answer.people);
  const number = part("chosen").value;
  const person = answer.people.find((one) => String(one.number) === number) || answer.people[0];
  remember(person, seconds);
  add_rows(answer.people);
  part("save").disabled = !state.rows.length;
  if (performance.now() - state.drawn < 150) return; // text that changes faster cannot be read
  state.drawn = performance.now();
  show_details(person);
  draw_doubts(person);
  draw_timeline(seconds);
  const recent = measured.pictures.slice(-25);
  if (recent.length < 2) return;
  const span = recent.at(-1)[1] - recent[0][1];
  const delays = recent.map(([taken, drawn]) => drawn - taken).sort((a, b) => a - b);
  const rate = ((recent.length - 1) * 1000) / span;
  const delay = delays[delays.length >> 1];
  part("speed").textContent = `${rate.toFixed(0)} pictures/s, ${delay.toFixed(0)} ms behind`;
}

function clear() {
  draw_boxes([]);
  show_details(null);
  draw_doubts(null);
}

function list_people(people) {
  const numbers = people.map((one) => one.number).filter((number) => number).sort((a, b) => a - b);
  const select = part("chosen"), listed = [...select.options].slice(1).map((one) => +one.value);
  const wanted = [...new Set([...numbers, ...listed.filter((n) => String(n) === select.value)])];
  if (wanted.join() === listed.join()) return;
  const chosen = select.value;
  select.length = 1;
  for (const number of wanted) select.add(new Option(`person ${number}`, number));
  select.value = chosen;
}

function remember(person, seconds) {
  const gauge = person?.ambiguity;
  state.history.push({
    seconds, tone: person ? person.tone : "waiting", said: person ? person.said : "no face",
    value: gauge?.value == null ? null : gauge.value / gauge.most,
    limit: gauge?.limit == null ? null : gauge.limit / gauge.most,
  });
  while (state.history[0].seconds < seconds - SECONDS) state.history.shift();
}

function add_rows(people) {
  for (const one of people) {
    if (!one.bars || state.rows.some((row) => row[1] === one.number && row[0] === one.second)) continue;
    const value = (gauge) => (gauge.value == null ? "–" : Number.isInteger(gauge.value) ? gauge.value : gauge.value.toFixed(2));
    state.rows.unshift([one.second, one.number, one.said, value(one.ambiguity), value(one.unfamiliarity)]);
    state.rows.length = Math.min(state.rows.length, ROWS);
    const body = part("rows");
    body.replaceChildren(...state.rows.map((cells) => {
      const row = document.createElement("tr");
      for (const cell of cells) row.insertCell().textContent = cell;
      return row;
    }));
  }
}

async function save() {
  const answer = await server.table({ key: state.key });
  if (!answer || answer.refused) return say(answer?.refused || FAILED);
  const link = document.createElement("a");
  link.href = URL.createObjectURL(new Blob([answer.csv], { type: "text/csv" }));
  link.download = "camera.csv";
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 1000);
}

part("start").addEventListener("click", start);
part("stop").addEventListener("click", () => stop());
part("save").addEventListener("click", save);
clear();
draw_timeline(0);
