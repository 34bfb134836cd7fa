"use strict";
// Photos in, answers out. Whatever a file is called, its name is text: nothing here writes HTML.

const AT_ONCE = 3, TRIES = 30;
const at = (id) => document.getElementById(id);
const photos = [];
let shown = null, listed = null, running = 0, shots = 0;
let token = sessionStorage.getItem("kopal token") || "";

const headers = () => (token ? { Authorization: `Bearer ${token}` } : {});
const pause = (seconds) => new Promise((done) => setTimeout(done, 1000 * seconds));
const percent = (share) => `${(100 * share).toFixed(1)} %`;

function made(tag, content, name) {
  const element = document.createElement(tag);
  if (content !== undefined) element.textContent = content;
  if (name) element.className = name;
  return element;
}

async function introduce() {
  const response = await fetch("/openapi.json", { headers: headers() }).catch(() => null);
  if (!response) return;
  at("door").hidden = response.status !== 401;
  if (response.status === 401) { at("token").focus(); return; }
  const about = await response.json();
  const classes = about.components.schemas.Answer.properties.label.enum;
  const most = 8, more = classes.length > most ? ` and ${classes.length - most} more` : "";
  at("model").textContent = `${about.info.title} · ${classes.slice(0, most).join(", ")}${more}`;
  document.title = about.info.title;
}

function add(files) {
  const first = photos.length;
  for (const file of files) photos.push({ file, url: URL.createObjectURL(file), state: "waiting", row: null });
  if (photos.length === first) return;
  for (const photo of photos.slice(first)) addRow(photo);
  at("batch").hidden = photos.length < 2;
  show(photos[first]);
  tell();
  work();
}

function work() {
  for (let next; running < AT_ONCE && (next = photos.find((photo) => photo.state === "waiting")); ) {
    next.state = "sent";
    running += 1;
    ask(next).finally(() => { running -= 1; update(next); tell(); work(); });
  }
}

async function ask(photo) {
  const { value, trouble } = await post("/v1/predict?top=5", photo);
  Object.assign(photo, trouble ? { state: "failed", trouble } : { state: "answered", answer: value });
}

async function post(path, photo) {
  const type = photo.file.type.startsWith("image/") ? photo.file.type : "application/octet-stream";
  for (let attempt = 1; ; attempt += 1) {
    let response, value;
    try {
      response = await fetch(path, { method: "POST", body: photo.file, headers: { "Content-Type": type, ...headers() } });
      value = await response.json();
    } catch (error) {
      return { trouble: "The server cannot be reached." };
    }
    if (response.status === 503 && attempt < TRIES) {
      await pause(Number(response.headers.get("Retry-After")) || 1);
      continue;
    }
    if (response.ok) return { value };
    if (response.status === 401) at("door").hidden = false;
    return { trouble: value.error || `The server says ${response.status}.` };
  }
}

function addRow(photo) {
  const row = made("tr"), button = made("button"), image = made("img"), cell = made("td");
  image.src = photo.url;
  image.alt = "";
  image.addEventListener("error", () => { image.removeAttribute("src"); });
  button.append(image, made("span", photo.file.name));
  button.addEventListener("click", () => { show(photo); at("card").scrollIntoView({ block: "nearest" }); });
  cell.append(button);
  row.append(cell, made("td"), made("td", "", "number"));
  photo.row = row;
  at("rows").append(row);
}

function update(photo) {
  if (!photo.row) return;
  const [, answer, probability] = photo.row.children;
  answer.className = photo.state === "failed" ? "bad" : "";
  answer.textContent = photo.state === "failed" ? photo.trouble : photo.answer ? words(photo.answer) : "";
  answer.colSpan = photo.state === "failed" ? 2 : 1;
  probability.hidden = photo.state === "failed";
  probability.textContent = photo.answer ? percent(photo.answer.probability) : "";
  if (photo === shown) show(photo);
}

const marks = (answer) => ["unknown", "unsure"].filter((mark) => answer[mark] === true);
const words = (answer) => [answer.label, ...marks(answer)].join(" · ");

function show(photo) {
  shown = photo;
  for (const other of photos) other.row.removeAttribute("aria-current");
  photo.row.setAttribute("aria-current", "true");
  at("card").hidden = false;
  const picture = at("picture");
  if (picture.src !== photo.url) picture.src = photo.url;
  picture.alt = `the photo ${photo.file.name}`;
  at("name").textContent = photo.file.name;
  at("label").textContent = photo.answer ? photo.answer.label : photo.state === "failed" ? "No answer" : "…";
  at("trouble").hidden = photo.state !== "failed";
  at("trouble").textContent = photo.trouble || "";
  at("marks").replaceChildren(...(photo.answer ? worth(photo.answer) : []));
  at("bars").replaceChildren(...(photo.answer ? photo.answer.top.map(bar) : []));
  showGrounds(photo);
}

// What the answer is worth: each mark with a sentence that says what it means.
function worth(answer) {
  const sentences = {
    unknown: "The photo is unlike all that the model has learned from: probably it is none of its classes.",
    unsure: `${capital(answer.why_unsure)}. Nothing should be made of this answer: let a person decide.`,
  };
  const told = marks(answer).map((mark) => {
    const line = made("p");
    line.append(made("span", mark, "mark"), sentences[mark]);
    return line;
  });
  const several = answer.candidates && answer.candidates.length > 1;
  return several ? [...told, made("p", `Possible: ${answer.candidates.join(" or ")}.`)] : told;
}

const capital = (text) => text.charAt(0).toUpperCase() + text.slice(1);

function showGrounds(photo) {
  const on = Boolean(photo.answer) && at("why").getAttribute("aria-pressed") === "true";
  at("grounds").hidden = !photo.answer;
  if (photo.answer && listed !== photo) {
    listed = photo;
    at("asked").replaceChildren(...photo.answer.top.map((entry) => made("option", entry.label)));
    at("asked").selectedIndex = 0;
  }
  const label = photo.answer ? photo.answer.top[Math.max(0, at("asked").selectedIndex)].label : "";
  const found = on && photo.maps ? photo.maps.get(label) : undefined;
  const drawn = Boolean(found && found.value);
  at("asking").hidden = !on;
  at("key").hidden = at("map").hidden = !drawn;
  at("picture").hidden = drawn;
  const words = drawn ? `The evidence for ${label} lies ${found.value.in_words}.` : found ? found.trouble : "";
  if (at("words").textContent !== (words || "")) at("words").textContent = words || "";
  if (drawn) {
    at("map").setAttribute("aria-label", `the photo ${photo.file.name} under a map. ${words}`);
    at("picture").decode().catch(() => {}).then(() => photo === shown && drawMap(at("map"), at("picture"), found.value));
  }
  if (on && !found) explain(photo, label);
}

async function explain(photo, label) {
  photo.maps ||= new Map();
  photo.maps.set(label, { asking: true, trouble: "…" });
  const name = encodeURIComponent(label.replace(/\p{Surrogate}/gu, "\ufffd"));
  photo.maps.set(label, await post(`/v1/explain${label === photo.answer.label ? "" : `?class=${name}`}`, photo));
  if (photo === shown) showGrounds(photo);
}

function toggleWhy() {
  const on = at("why").getAttribute("aria-pressed") !== "true";
  at("why").setAttribute("aria-pressed", String(on));
  // What went wrong is tried again.
  for (const [label, found] of shown.maps || []) if (!found.value && !found.asking) shown.maps.delete(label);
  showGrounds(shown);
}

function bar(entry) {
  const item = made("li"), line = made("div", "", "line"), track = made("div", "", "bar"), filled = made("i");
  line.append(made("span", entry.label), made("span", percent(entry.probability)));
  filled.style.width = percent(entry.probability).replace(" ", "");
  track.setAttribute("aria-hidden", "true");
  track.append(filled);
  item.append(line, track);
  return item;
}

function tell() {
  const ended = photos.filter((photo) => photo.state === "answered" || photo.state === "failed").length;
  const failed = photos.filter((photo) => photo.state === "failed").length;
  const bad = failed ? `, ${failed} of them without success` : "";
  const alone = photos.length === 1 && shown && shown.answer;
  // The answer itself stands below for those who see it.
  at("status").classList.toggle("heard", Boolean(alone));
  if (alone) {
    at("status").textContent = `${words(shown.answer)}, ${percent(shown.answer.probability)}`;
  } else {
    at("status").textContent = photos.length ? `${ended} of ${photos.length} done${bad}` : "";
  }
}

function csv() {
  // A cell that begins like a formula would be one in a spreadsheet.
  const cell = (text) => `"${String(text).replace(/^[=+\-@\t\r]/, "'$&").replaceAll('"', '""')}"`;
  const rows = [["photo", "label", "probability", "candidates", "unsure", "unknown", "reason"]];
  for (const photo of photos) {
    const answer = photo.answer || {};
    const share = photo.answer ? answer.probability.toFixed(6) : "";
    const several = (answer.candidates || []).join(" or ");
    const worth = [answer.unsure ?? "", answer.unknown ?? "", photo.trouble || ""];
    rows.push([photo.file.name, answer.label || "", share, several, ...worth]);
  }
  const link = made("a");
  link.href = URL.createObjectURL(new Blob([rows.map((row) => row.map(cell).join(",") + "\r\n").join("")],
    { type: "text/csv" }));
  link.download = "answers.csv";
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 10_000);
}

function clear() {
  for (const photo of photos) { URL.revokeObjectURL(photo.url); photo.row.remove(); photo.row = null; }
  photos.length = 0;
  shown = listed = null;
  at("picture").removeAttribute("src");
  at("card").hidden = at("batch").hidden = true;
  tell();
  at("choose").focus();
}

async function openCamera() {
  // Without a secure context (another machine over plain http) there is no live camera; the phone's own app is asked.
  const devices = navigator.mediaDevices;
  const stream = devices && (await devices.getUserMedia({ video: { facingMode: "environment" } }).catch(() => null));
  if (!stream) { at("shot").click(); return; }
  at("view").srcObject = stream;
  at("finder").showModal();
}

function takePhoto() {
  const view = at("view"), canvas = made("canvas");
  canvas.width = view.videoWidth;
  canvas.height = view.videoHeight;
  canvas.getContext("2d").drawImage(view, 0, 0);
  canvas.toBlob((blob) => blob && add([new File([blob], `camera-${(shots += 1)}.jpg`, { type: blob.type })]), "image/jpeg", 0.92);
  at("finder").close();
}

at("choose").addEventListener("click", () => at("files").click());
for (const input of [at("files"), at("shot")]) {
  input.addEventListener("change", () => { add([...input.files]); input.value = ""; });
}
at("camera").addEventListener("click", openCamera);
at("take").addEventListener("click", takePhoto);
at("leave").addEventListener("click", () => at("finder").close());
at("finder").addEventListener("close", () => {
  for (const track of at("view").srcObject?.getTracks() || []) track.stop();
  at("view").srcObject = null;
});
at("picture").addEventListener("load", (event) => {
  event.target.classList.toggle("tiny", Math.max(event.target.naturalWidth, event.target.naturalHeight) <= 64);
});
at("why").addEventListener("click", toggleWhy);
at("asked").addEventListener("change", () => showGrounds(shown));
at("csv").addEventListener("click", csv);
at("clear").addEventListener("click", clear);
at("door").addEventListener("submit", (event) => {
  event.preventDefault();
  token = at("token").value;
  sessionStorage.setItem("kopal token", token);
  introduce();
});
document.addEventListener("paste", (event) => {
  if (event.clipboardData.files.length) { event.preventDefault(); add([...event.clipboardData.files]); }
});
for (const kind of ["dragenter", "dragover"]) {
  document.addEventListener(kind, (event) => { event.preventDefault(); at("drop").classList.add("over"); });
}
for (const kind of ["dragleave", "drop"]) {
  document.addEventListener(kind, (event) => { event.preventDefault(); at("drop").classList.remove("over"); });
}
document.addEventListener("drop", (event) => add([...event.dataTransfer.files]));
introduce();
