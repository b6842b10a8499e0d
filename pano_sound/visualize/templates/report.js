"use strict";
const data = JSON.parse(document.getElementById("data").textContent);
const {start, end, moments, maps, looks} = data;
const byId = id => document.getElementById(id);
const bytes = text => Uint8Array.from(atob(text), letter => letter.charCodeAt(0));
const latest = (list, time) => { let low = 0, high = list.length; while (high - low > 1) { const i = (low + high) >> 1; if (time(list[i]) <= t + 1e-6) low = i; else high = i; } return low; };

// The preview is inside the page: of a film beside it, browsers would not let a page from disk use the pictures.
let preview = null;
if (byId("preview")) {
  preview = document.createElement("video");
  preview.muted = preview.playsInline = true;
  preview.preload = "auto";
  preview.src = URL.createObjectURL(new Blob([bytes(byId("preview").textContent)], {type: "video/mp4"}));
  // Where the film is not one file beside the page, its preview is shown like one.
  if (byId("film")) byId("film").prepend(preview);
}
const result = byId("result"), source = byId("source");
let videos = [[result, data.result], [source, 0], [preview, data.film]].filter(([video]) => video);
let lead = videos[0];
let t = start, pins = data.pins, stale = true;

const kinds = Object.fromEntries(maps.kinds.map(([name, text]) => [name, bytes(text)]));
for (const [name] of maps.kinds) byId("kind").add(new Option(name));
let view = null;
try {
  view = new SphereView(byId("sphere"), [maps.rows, maps.columns], data.colours, preview);
} catch (error) {
  byId("sphere").innerHTML = "<p>This browser has no WebGL: the 360° view cannot be shown.</p>";
}

function camera() {
  const i = latest(looks, look => look[0]), a = looks[i], b = looks[Math.min(i + 1, looks.length - 1)];
  const step = turned(b[1] - a[1]);
  // A jump is a cut, and not to be passed slowly.
  const share = b[0] > a[0] && Math.abs(step) < 20 ? Math.min(Math.max((t - a[0]) / (b[0] - a[0]), 0), 1) : 0;
  return [turned(a[1] + share * step), ...[2, 3, 4].map(k => a[k] + share * (b[k] - a[k]))];
}
function draw() {
  const moment = moments[latest(moments, m => m.t)];
  const sound = moment.db <= -70 ? "silent" : `${moment.db.toFixed(0)} dB, direction ${moment.sure >= 0.5 ? "" : "un"}sure (${Math.round(moment.sure * 100)} %)`;
  byId("now").textContent = `${t.toFixed(1)} s: ${moment.names.length ? moment.names.join(", ") + "; " : ""}${sound}`;
  for (const line of document.querySelectorAll(".cursor")) line.style.left = `${(t - start) / (end - start) * 100}%`;
  if (!view) return;
  stale = true;
  const look = camera(), size = maps.rows * maps.columns, k = latest(maps.times, time => time), kind = byId("kind").value;
  if (byId("follow").checked) view.look(look[0], look[1], Math.max(1.15 * look[3], 60));
  view.outline(look, data.size);
  view.paint(kinds[kind].subarray(k * size, (k + 1) * size), kind === byId("kind").options[0].value ? maps.sure[k] : 1);
  view.showPins(pins.map(pin => ({...pin, now: pin.from <= t && t <= pin.to})));
  byId("direction").textContent = `yaw ${view.yaw.toFixed(0)}°, pitch ${view.pitch.toFixed(0)}°`;
}
function seek(to) {
  t = Math.min(Math.max(to, start), end);
  for (const [video, zero] of videos) video.currentTime = Math.max(t - zero, 0);
  draw();
}
function toggle() {
  if (!lead) return;
  if (!lead[0].paused) for (const [video] of videos) video.pause();
  else {
    if (t >= end) seek(start);
    for (const [video] of videos) video.play().catch(() => {});
  }
}
function follow() {
  if (lead && !lead[0].paused && !lead[0].seeking) {
    t = Math.min(lead[0].currentTime + lead[1], end);
    // The film goes on after the part of it that was analysed.
    if (t === end) lead[0].pause();
    for (const [video, zero] of videos.slice(1)) {
      if (!video.seeking && !video.ended && Math.abs(video.currentTime - (t - zero)) > 0.15) video.currentTime = t - zero;
    }
    draw();
  }
  if (view && stale) {
    stale = false;
    view.draw();
  }
  requestAnimationFrame(follow);
}

// Dragging: `begin` returns what to do with each move, or nothing.
function draggable(area, begin) {
  let move = null;
  area.addEventListener("pointerdown", event => {
    move = begin(event);
    if (!move) return;
    event.stopPropagation();
    area.setPointerCapture(event.pointerId);
  });
  area.addEventListener("pointermove", event => { if (move && event.buttons & 1) move(event); });
  area.addEventListener("pointerup", () => { move = null; });
}
const at = (area, event) => {
  const box = area.getBoundingClientRect();
  return {t: start + (event.clientX - box.left) / box.width * (end - start), yaw: 180 - (event.clientY - box.top) / box.height * 360};
};
for (const area of document.querySelectorAll(".time")) draggable(area, event => {
  const go = moved => seek(at(area, moved).t);
  go(event);
  return go;
});
if (view) {
  const host = byId("sphere");
  draggable(host, event => {
    const there = view.under(event), near = vector(there.yaw, there.pitch);
    const pin = pins.find(each => vector(each.yaw, each.pitch).angleTo(near) < radians(view.hfov * 0.04));
    if (pin) return moved => change(pin, view.under(moved));
    let {clientX: x, clientY: y} = event;
    return moved => {
      const scale = view.hfov / host.clientWidth;
      turn((x - moved.clientX) * scale, (moved.clientY - y) * scale);
      [x, y] = [moved.clientX, moved.clientY];
    };
  });
  host.addEventListener("wheel", event => { event.preventDefault(); zoom(event.deltaY > 0 ? 1.1 : 1 / 1.1); }, {passive: false});
}
function turn(yaw, pitch) {
  if (!view) return;
  byId("follow").checked = false;
  view.look(view.yaw + yaw, view.pitch + pitch);
  draw();
}
function zoom(factor) {
  if (!view) return;
  byId("follow").checked = false;
  view.look(view.yaw, view.pitch, view.hfov * factor);
  draw();
}

// Pins
const rounded = (value, step) => Math.round(value / step) * step;
function change(pin, values) {
  Object.assign(pin, values);
  pin.yaw = +rounded(turned(pin.yaw), 0.1).toFixed(1);
  pin.pitch = +rounded(Math.max(-90, Math.min(90, pin.pitch)), 0.1).toFixed(1);
  pin.from = +Math.max(start, pin.from).toFixed(2);
  pin.to = +Math.max(pin.from, pin.to).toFixed(2);
  showPins();
}
function addPin() {
  if (!view) return;
  const next = Math.min(end, ...pins.map(pin => pin.from).filter(from => from > t));
  const pin = {from: t, to: Math.min(t + 2, next === end ? end : next - 0.1)};
  pins.push(pin);
  change(pin, {yaw: view.yaw, pitch: view.pitch});
}
function showPins() {
  pins.sort((a, b) => a.from - b.from);
  const map = document.querySelector(".time.map"), rows = byId("pins").tBodies[0];
  // Rows and bars are kept while their number stays, so that what is being dragged or typed into stays, too.
  while (rows.rows.length > pins.length) { rows.deleteRow(-1); map.querySelector(".pin:last-of-type").remove(); }
  while (rows.rows.length < pins.length) makePin(map, rows, rows.rows.length);
  map.querySelectorAll(".pin").forEach((bar, i) => {
    const pin = pins[i], share = x => `${x / (end - start) * 100}%`;
    Object.assign(bar.style, {left: share(pin.from - start), width: share(pin.to - pin.from), top: `${(180 - pin.yaw) / 3.6}%`});
    // Otherwise 'plan' would refuse the file.
    const begin = rows.rows[i].querySelector("input[name=from]"), overlaps = i > 0 && pin.from <= pins[i - 1].to;
    begin.setCustomValidity(overlaps ? "A pin must begin after the one before it has ended." : "");
    for (const input of rows.rows[i].querySelectorAll("input")) if (input !== document.activeElement) input.value = pin[input.name];
  });
  byId("pins").hidden = !pins.length;
  draw();
}
function makePin(map, rows, i) {
  const bar = document.createElement("div");
  bar.className = "pin";
  map.append(bar);
  draggable(bar, event => {
    const pin = pins[[...map.querySelectorAll(".pin")].indexOf(bar)], begin = at(map, event), was = {...pin};
    return moved => {
      const now = at(map, moved), from = Math.max(start, was.from + now.t - begin.t);
      change(pin, {from, to: from + was.to - was.from, yaw: was.yaw + now.yaw - begin.yaw});
    };
  });
  const row = rows.insertRow();
  for (const name of ["from", "to", "yaw", "pitch"]) {
    const input = document.createElement("input");
    Object.assign(input, {name, type: "number", step: name === "from" || name === "to" ? 0.1 : 1});
    input.addEventListener("change", () => {
      const value = input.valueAsNumber;
      input.blur();
      change(pins[row.sectionRowIndex], Number.isFinite(value) ? {[name]: value} : {});
    });
    row.insertCell().append(input);
  }
  const cell = row.insertCell();
  for (const [words, act] of [
    ["Go", pin => { seek(pin.from); byId("follow").checked = false; if (view) view.look(pin.yaw, pin.pitch); draw(); }],
    ["Move to where I look", pin => { if (view) change(pin, {yaw: view.yaw, pitch: view.pitch}); }],
    ["Remove", pin => { pins = pins.filter(each => each !== pin); showPins(); }],
  ]) {
    const button = document.createElement("button");
    Object.assign(button, {type: "button", textContent: words});
    button.addEventListener("click", () => act(pins[row.sectionRowIndex]));
    cell.append(button, " ");
  }
}
function savePins() {
  const wrong = [...byId("pins").querySelectorAll("input")].find(input => input.validity.customError);
  if (wrong) return void wrong.reportValidity();
  const text = JSON.stringify({pins, masks: data.masks}, null, 1) + "\n";
  const link = document.createElement("a");
  link.href = URL.createObjectURL(new Blob([text], {type: "application/json"}));
  link.download = data.pins_file;
  link.click();
}

const button = byId("play");
for (const [video] of videos) if (video !== preview) video.addEventListener("error", () => {
  video.nextElementSibling.textContent += " cannot be played here: it was moved, or this browser does not know its format";
  // The others play without it, and the film with its own sound.
  videos = videos.filter(([each]) => each !== video);
  lead = videos[0];
  button.hidden = !lead;
  if (lead) lead[0].muted = lead[0] === preview;
});
button.hidden = !lead;
button.addEventListener("click", toggle);
byId("pin").addEventListener("click", addPin);
byId("save").addEventListener("click", savePins);
// A picture after a jump comes late.
if (preview) for (const what of ["loadeddata", "seeked", "timeupdate"]) preview.addEventListener(what, () => { stale = true; });
addEventListener("resize", () => { stale = true; });
for (const id of ["follow", "kind"]) byId(id).addEventListener("change", draw);
for (const [video] of videos) for (const what of ["play", "pause", "ended"]) video.addEventListener(what, () => {
  if (!lead || video !== lead[0]) return;
  button.textContent = lead[0].paused ? "Play" : "Pause";
  if (!lead[0].paused) return;
  t = Math.min(lead[0].currentTime + lead[1], end);
  for (const [video, zero] of videos.slice(1)) { video.pause(); video.currentTime = t - zero; }
  draw();
});
document.addEventListener("keydown", event => {
  const step = event.shiftKey ? 5 : 1;
  const keys = {
    " ": toggle, arrowleft: () => seek(t - step), arrowright: () => seek(t + step), home: () => seek(start), end: () => seek(end),
    a: () => turn(-5, 0), d: () => turn(5, 0), w: () => turn(0, 5), s: () => turn(0, -5), "+": () => zoom(1 / 1.1), "-": () => zoom(1.1),
    f: () => byId("follow").click(), p: addPin,
  };
  const act = keys[event.key.toLowerCase()];
  if (event.ctrlKey || event.altKey || event.metaKey || !act || /INPUT|SELECT/.test(event.target.tagName) && event.target.type !== "checkbox") return;
  event.preventDefault();
  act();
});
showPins();
seek(start);
follow();
