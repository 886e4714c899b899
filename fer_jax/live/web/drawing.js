// Draws what the server says of a picture; the looks are those of camera.css.
const looks = () => getComputedStyle(element.firstElementChild);
const colour = (name) => looks().getPropertyValue(`--${name}`).trim();
const TONES = { sure: "#56c4b4", unsure: "#ff9e4a", waiting: "#f0f2f5" }; // on the camera's picture
const NIGHT = "#181b20";

function sized(canvas) {
  const scale = window.devicePixelRatio || 1, box = canvas.getBoundingClientRect();
  canvas.width = Math.round(box.width * scale);
  canvas.height = Math.round(box.height * scale);
  const pen = canvas.getContext("2d");
  pen.scale(scale, scale);
  pen.font = "13px system-ui, sans-serif";
  pen.textBaseline = "middle";
  return [pen, box.width, box.height];
}

// Nobody has a number before the first row.
const named = (one) => (one.number ? `Person ${one.number}: ${one.said}` : `A face: ${one.said}`);

// The picture is shown mirrored, as people know themselves; text is not.
function draw_boxes(people) {
  const canvas = part("boxes"), [pen, width, height] = sized(canvas);
  const zoom = Math.min(width / (still.width || 1), height / (still.height || 1));
  const aside = (width - zoom * still.width) / 2, above = (height - zoom * still.height) / 2;
  pen.font = "600 14px system-ui, sans-serif";
  for (const one of [...people].reverse()) {
    const [left, top, right, bottom] = one.box;
    const x = width - aside - zoom * right, y = above + zoom * top;
    const across = zoom * (right - left), down = zoom * (bottom - top);
    pen.setLineDash([]);
    for (const [ink, thick] of [[NIGHT, 5], [TONES[one.tone], 2.5]]) {
      pen.strokeStyle = ink;
      pen.lineWidth = thick;
      pen.strokeRect(x, y, across, down);
      pen.setLineDash(one.tone === "sure" ? [] : [9, 6]);
    }
    const text = one.number ? `${one.number}  ${one.said}` : one.said, long = Math.min(pen.measureText(text).width + 12, width);
    const at = Math.max(0, Math.min(x, width - long)), over = y >= 24 ? y - 24 : Math.min(y + down, height - 24);
    pen.fillStyle = NIGHT;
    pen.fillRect(at, over, long, 24);
    pen.fillStyle = TONES[one.tone];
    pen.fillText(text, at + 6, over + 12, long - 12);
  }
  const said = people.map(named).join("; ");
  canvas.setAttribute("aria-label", said || "No face");
}

function show_details(person) {
  const known = person?.bars;
  part("said").textContent = person ? named(person) : "No face";
  part("said").style.color = known ? colour(person.tone) : "";
  part("detail").textContent = person?.detail || "";
  part("caption").textContent = known ? "Each output with its spread" : "";
  const body = part("bars");
  body.className = person?.tone || "";
  if (body.rows.length !== (known?.length || 0)) body.replaceChildren(...(known || []).map(make_bar));
  (known || []).forEach((bar, index) => fill_bar(body.rows[index], bar));
}

function make_bar() {
  const row = document.createElement("tr"), name = document.createElement("th");
  name.scope = "row";
  row.append(name, document.createElement("td"), document.createElement("td"));
  row.cells[1].innerHTML = '<div class="bar" aria-hidden="true"><i></i><b></b></div>';
  return row;
}

function fill_bar(row, bar) {
  row.className = bar.held ? "held" : "";
  row.cells[0].textContent = bar.name;
  row.cells[2].textContent = bar.text;
  const [value, spread] = row.cells[1].firstChild.children;
  value.style.width = `${100 * bar.value}%`;
  spread.style.left = `${100 * bar.low}%`;
  spread.style.width = `${100 * (bar.high - bar.low)}%`;
}

// Up: ambiguous, people might disagree. To the right: unfamiliar, unlike the faces of training.
function draw_doubts(person) {
  const canvas = part("doubts"), [pen, width, height] = sized(canvas);
  const left = 8, bottom = height - 22, across = width - left - 8, up = bottom - 8;
  const known = person?.bars, unknown = known && person.unfamiliarity.value === null;
  const place = (gauge, value) => Math.max(0, Math.min(1, value / gauge.most));
  const right = unknown ? 1 : known ? place(person.unfamiliarity, person.unfamiliarity.limit) : 0.5;
  const limit = known ? person.ambiguity.limit : null;
  const high = !known ? 0.6 : limit === null ? 1 : place(person.ambiguity, limit);
  pen.fillStyle = colour("rail");
  pen.fillRect(left, bottom - up, across, up);
  pen.fillStyle = colour("ground");
  pen.fillRect(left + 1, bottom - high * up, right * across - 1, high * up - 1);
  pen.strokeStyle = colour("edge");
  pen.strokeRect(left, bottom - up, across, up);
  pen.fillStyle = colour("ink");
  pen.fillText("answered", left + 6, bottom - 12);
  if (high < 0.9) pen.fillText("ambiguous ↑", left + 6, bottom - up + 12);
  pen.textAlign = "right";
  if (!unknown) pen.fillText("unfamiliar →", left + across - 6, bottom - up + 12);
  pen.fillStyle = colour("faint");
  if (!unknown) pen.fillText("unlike the faces of training →", left + across, bottom + 12);
  const text = known ? `${person.ambiguity.text}; ${person.unfamiliarity.text}` : "";
  part("doubt").textContent = text;
  canvas.setAttribute("aria-label", known ? `Person ${person.number}: ${text}` : "No face");
  if (!known || person.ambiguity.value === null) return;
  const x = left + across * (unknown ? 0 : place(person.unfamiliarity, person.unfamiliarity.value));
  const y = bottom - up * place(person.ambiguity, person.ambiguity.value);
  pen.fillStyle = colour(person.tone);
  pen.strokeStyle = colour("ground");
  pen.lineWidth = 2;
  pen.beginPath();
  person.tone === "sure" ? pen.arc(x, y, 7, 0, 7) : pen.rect(x - 6, y - 6, 12, 12);
  pen.fill();
  pen.stroke();
}

function draw_timeline(now) {
  const canvas = part("timeline"), [pen, width, height] = sized(canvas), band = 30;
  const x = (seconds) => width * (1 - (now - seconds) / SECONDS), foot = height - 20;
  const y = (share) => foot - 4 - (foot - band - 14) * Math.min(1, share);
  pen.fillStyle = colour("rail");
  pen.fillRect(0, 0, width, band);
  for (const run of runs(state.history)) {
    const from = Math.max(0, x(run.start) + 1), to = Math.min(width, x(run.end));
    if (to <= from) continue;
    pen.fillStyle = run.tone === "waiting" ? colour("rail") : colour(`${run.tone}-fill`);
    pen.fillRect(from, run.tone === "sure" ? 0 : 6, to - from, run.tone === "sure" ? band : band - 12);
    if (to - from < pen.measureText(run.said).width + 6) continue;
    pen.fillStyle = run.tone === "waiting" ? colour("ink") : NIGHT;
    pen.fillText(run.said, from + 4, band / 2);
  }
  const line = (key, ink, dash) => {
    pen.strokeStyle = ink;
    pen.lineWidth = 1.5;
    pen.setLineDash(dash);
    pen.beginPath();
    let before = null;
    for (const one of state.history) {
      if (one[key] !== null) before === null ? pen.moveTo(x(one.seconds), y(one[key])) : pen.lineTo(x(one.seconds), y(one[key]));
      before = one[key];
    }
    pen.stroke();
  };
  line("value", colour("ink"), []);
  line("limit", colour("unsure"), [5, 4]);
  pen.setLineDash([]);
  pen.fillStyle = colour("faint");
  pen.fillText(`${SECONDS} s ago`, 0, height - 9);
  pen.textAlign = "right";
  pen.fillText("now", width, height - 9);
  const last = state.history.at(-1), said = runs(state.history).slice(-4).map((run) => run.said).join(", then ");
  canvas.setAttribute("aria-label", last ? `Lately: ${said}` : "Nothing yet");
}

// Stretches of the history in which the same was said.
function runs(history) {
  const found = [];
  for (const one of history) {
    const last = found.at(-1);
    if (last && last.said === one.said && last.tone === one.tone && one.seconds - last.end < 2) last.end = one.seconds;
    else found.push({ start: last && one.seconds - last.end < 2 ? last.end : one.seconds, end: one.seconds, said: one.said, tone: one.tone });
  }
  return found;
}
