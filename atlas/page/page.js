// Draws the world and lets you walk in it.

import { WorldFeed } from "/world.js";
import { Player } from "/player.js";

const $ = (id) => document.getElementById(id);
const canvas = $("canvas");
const pen = canvas.getContext("2d");
const feed = new WorldFeed();
let player = null;
let colours = {};

const FLASH_MS = 900;
const FOLLOW_PIXELS_PER_METRE = 5;

function readColours() {
  const style = getComputedStyle(document.documentElement);
  for (const name of ["ground", "line", "text", "quiet", "accent", "player", "object", "you", "late", "tint", "border"]) {
    colours[name] = style.getPropertyValue(`--${name}`).trim();
  }
}
readColours();
matchMedia("(prefers-color-scheme: light)").addEventListener("change", readColours);

// === the map ===

function hue(worker) {
  let hash = 0;
  for (const letter of worker) hash = (hash * 31 + letter.charCodeAt(0)) >>> 0;
  return (hash * 137.5) % 360;
}

// Metres to pixels: the whole map, or the surroundings of the player.
function view(width, height) {
  const regions = feed.text?.regions ?? [];
  const edge = (pick, corner, axis) => pick(...regions.map((region) => region[corner][axis]));
  const low = regions.length ? [edge(Math.min, "low", 0), edge(Math.min, "low", 1)] : [-1, -1];
  const high = regions.length ? [edge(Math.max, "high", 0), edge(Math.max, "high", 1)] : [1, 1];
  let scale = Math.min(width / (high[0] - low[0]), height / (high[1] - low[1])) * 0.92;
  let [cx, cy] = [(low[0] + high[0]) / 2, (low[1] + high[1]) / 2];
  if ($("follow").checked && player?.position) {
    scale = Math.max(scale, FOLLOW_PIXELS_PER_METRE);
    [cx, cy] = [player.position.x, player.position.y];
  }
  return {
    scale,
    x: (metres) => width / 2 + (metres - cx) * scale,
    y: (metres) => height / 2 - (metres - cy) * scale,
  };
}

function draw() {
  const now = performance.now();
  const ratio = devicePixelRatio || 1;
  const [width, height] = [canvas.clientWidth, canvas.clientHeight];
  if (canvas.width !== Math.round(width * ratio) || canvas.height !== Math.round(height * ratio)) {
    canvas.width = Math.round(width * ratio);
    canvas.height = Math.round(height * ratio);
  }
  pen.setTransform(ratio, 0, 0, ratio, 0, 0);
  pen.clearRect(0, 0, width, height);
  const at = view(width, height);
  for (const region of feed.text?.regions ?? []) drawRegion(region, at);
  for (const flash of feed.flashes) drawFlash(flash, at, now);
  drawBodies(at, now);
  requestAnimationFrame(draw);
}

function drawRegion(region, at) {
  const [x, y] = [at.x(region.low[0]), at.y(region.high[1])];
  const [w, h] = [at.x(region.high[0]) - x, at.y(region.low[1]) - y];
  const served = region.state === "serving";
  const tone = region.worker ? hue(region.worker) : 210;
  const saturation = region.worker ? 55 : 8;
  pen.fillStyle = `hsl(${tone} ${saturation}% 55% / ${served ? colours.tint : 0.03})`;
  pen.fillRect(x, y, w, h);
  pen.lineWidth = 1.25;
  pen.setLineDash(served ? [] : [4, 5]);
  pen.strokeStyle = served ? `hsl(${tone} 55% 55% / ${colours.border})` : colours.line;
  pen.strokeRect(x + 1, y + 1, w - 2, h - 2);
  pen.setLineDash([]);
  // The label stays in sight while any of the region does.
  const left = Math.max(x, 0) + 10;
  const top = Math.max(y, 0) + 9;
  if (x + w - left < 120 || y + h - top < 56) return;
  pen.textBaseline = "top";
  pen.textAlign = "left";
  pen.font = "600 12px system-ui, sans-serif";
  pen.fillStyle = served ? colours.text : colours.quiet;
  pen.fillText(`region ${parseInt(region.region, 16)}`, left, top);
  pen.font = "12px system-ui, sans-serif";
  pen.fillStyle = colours.quiet;
  const owner = served ? `${region.worker.slice(0, 6)} · epoch ${region.lease}` : region.state;
  pen.fillText(owner, left, top + 16);
  if (served && region.players !== undefined) {
    const players = region.players === 1 ? "1 player" : `${region.players} players`;
    pen.fillText(`${players} · ${region.step_ms.p99.toFixed(1)} ms`, left, top + 32);
  }
}

function drawFlash(flash, at, now) {
  const age = (now - flash.since) / FLASH_MS;
  if (age >= 1) return;
  const [x, y] = [at.x(flash.at[0]), at.y(flash.at[1])];
  pen.globalAlpha = 1 - age;
  pen.strokeStyle = flash.late ? colours.late : colours.accent;
  pen.lineWidth = 2;
  pen.beginPath();
  pen.arc(x, y, 4 + age * 22, 0, Math.PI * 2);
  pen.stroke();
  pen.globalAlpha = 1;
}

function drawBodies(at, now) {
  const mine = player?.entity;
  const held = player?.joined ? player.objects : new Map();
  const size = Math.max(3.5, Math.min(7, at.scale * 0.9));
  for (const body of feed.bodies.values()) {
    if (body.id === mine || held.has(body.id)) continue;
    drawBody(body, WorldFeed.place(body, now), at, size, null);
  }
  for (const object of held.values()) {
    if (object.id === mine) continue;
    const name = typeof object.fields.name === "string" ? object.fields.name : null;
    drawBody(object, player.place(object, now), at, size, name);
  }
  if (player?.position && mine) {
    const [x, y] = [at.x(player.position.x), at.y(player.position.y)];
    pen.fillStyle = colours.you;
    pen.beginPath();
    pen.arc(x, y, size + 1.5, 0, Math.PI * 2);
    pen.fill();
    pen.strokeStyle = colours.you;
    pen.lineWidth = 1.5;
    pen.beginPath();
    pen.arc(x, y, size + 6, 0, Math.PI * 2);
    pen.stroke();
  }
}

function drawBody(body, place, at, size, name) {
  if (!place) return;
  const [x, y] = [at.x(place.x), at.y(place.y)];
  pen.fillStyle = body.player ? colours.player : colours.object;
  pen.beginPath();
  if (body.player) {
    pen.arc(x, y, size, 0, Math.PI * 2);
  } else {
    const reach = size * 1.3;
    pen.moveTo(x, y - reach);
    pen.lineTo(x + reach, y);
    pen.lineTo(x, y + reach);
    pen.lineTo(x - reach, y);
  }
  pen.fill();
  if (name && at.scale > 2) {
    pen.font = "11px system-ui, sans-serif";
    pen.textAlign = "center";
    pen.textBaseline = "bottom";
    pen.fillStyle = colours.quiet;
    pen.fillText(name, x, y - size - 3);
  }
}

// === figures and lists ===

function show() {
  const text = feed.text;
  notice();
  if (!text) return;
  $("world").textContent = text.world;
  document.title = `${text.world} · Horizon`;
  $("players").textContent = text.players;
  const served = text.regions.filter((region) => region.state === "serving");
  $("served").textContent = `${served.length} of ${text.regions.length}`;
  $("crossings").textContent = text.crossings_total;
  $("rate").textContent = text.crossings_per_second.toFixed(1);
  const ms = text.handoff_ms;
  $("handoff").textContent = ms ? `${ms.p50.toFixed(1)} · ${ms.p99.toFixed(1)} ms` : "–";
  $("late").textContent = text.late_targets;
  $("ahead").textContent = text.spawned_by_prediction;
  $("recent").replaceChildren(...text.handoffs.slice(0, 8).map(handoffRow));
  $("rows").replaceChildren(...text.regions.map(regionRow));
}

function handoffRow(handoff) {
  const row = document.createElement("li");
  const [from, to] = [handoff.from, handoff.to].map((region) => parseInt(region, 16));
  const what = `${handoff.player ? "player" : "object"} ${from} → ${to}${handoff.teleport ? " (jump)" : ""}`;
  row.append(span(what, handoff.late ? "late" : ""), span(`${handoff.milliseconds.toFixed(1)} ms`));
  return row;
}

function regionRow(region) {
  const row = document.createElement("tr");
  const served = region.state === "serving";
  if (!served) row.className = "quiet";
  const cells = [
    parseInt(region.region, 16),
    served ? region.worker.slice(0, 8) : region.state,
    region.lease ?? "",
    region.players ?? "",
    stepCell(region),
  ];
  for (const cell of cells) row.insertCell().textContent = cell;
  return row;
}

// How long steps take; how much less is told for it, or that there are none.
function stepCell(region) {
  if (region.stalled) return "stands still";
  if (!region.step_ms) return "";
  const less = region.load_level > 0 ? `, load ${region.load_level}` : "";
  return `${region.step_ms.p99.toFixed(1)} ms${less}`;
}

function span(text, style = "") {
  const part = document.createElement("span");
  part.textContent = text;
  part.className = style;
  return part;
}

let trouble = "";
function notice() {
  const away = feed.text?.store?.away_seconds;
  const store = typeof away === "number" ? `The store is out of reach for ${away.toFixed(0)} s: play goes on, nothing becomes durable, nobody is handed over.` : "";
  const text = trouble || (feed.reachable ? store : feed.text ? "The edge does not answer; trying again …" : "Waiting for the world …");
  $("notice").textContent = text;
  $("notice").hidden = !text;
}

function showYou() {
  if (!player) return;
  const place = player.position;
  const region = place ? feed.regionAt(place.x, place.y) : null;
  $("myRegion").textContent = region ? parseInt(region.region, 16) : "–";
  $("myEpoch").textContent = player.epoch ?? "–";
  $("myCrossings").textContent = player.crossings;
  const { last, longest, calm } = player.gaps;
  $("myGap").textContent = last === null ? "–" : ticks(last);
  $("myLongest").textContent = `${ticks(longest)} · ${ticks(calm)}`;
  $("myReconnects").textContent = player.reconnects;
  const { wrong, checked } = player.account;
  $("myLedger").textContent = checked ? `${wrong.lost} · ${wrong.doubled} · ${wrong.reordered} of ${checked}` : "–";
  $("myTrip").textContent = player.tripMs === undefined ? "–" : `${player.tripMs.toFixed(1)} ms`;
  $("myInputs").textContent = `${player.durable} of ${player.nextSeq - 1}`;
}
setInterval(showYou, 200);

function ticks(count) {
  return count === 1 ? "1 tick" : `${count} ticks`;
}

// === you ===

function log(who, text, style = "") {
  const line = document.createElement("li");
  if (who) line.append(span(`${who} `, "who"));
  line.append(span(text, style));
  const list = $("log");
  const below = list.scrollHeight - list.scrollTop - list.clientHeight < 20;
  list.append(line);
  while (list.children.length > 200) list.firstChild.remove();
  if (below) list.scrollTop = list.scrollHeight;
}

function hear(news) {
  switch (news.kind) {
    case "joined":
      trouble = "";
      log("", "You are in the world.", "aside");
      break;
    case "resumed":
      trouble = "";
      log("", "Resumed: nothing was lost.", "aside");
      break;
    case "lost":
      trouble = "Connection lost; resuming …";
      break;
    case "refused":
    case "closing":
      log("", news.message, "aside");
      break;
    case "ended":
      trouble = "";
      player = null;
      playing(false);
      break;
    case "event":
      event(news);
      break;
  }
  notice();
}

function event({ namespace, event, payload }) {
  if (namespace === "chat" && payload?.text !== undefined) {
    const how = { heard: " (nearby)", whispered: " (whispers)" }[event] ?? "";
    log(`${payload.name}${how}`, payload.text);
  } else if (namespace === "chat" && event === "refused") {
    log("", payload.why, "aside");
  }
}

function playing(now) {
  $("join").hidden = now;
  $("playing").hidden = !now;
  $("text").disabled = !now;
  $("text").placeholder = now ? "Press Enter to talk" : "Join to talk";
  if (now) canvas.focus();
}

$("join").addEventListener("submit", (submitted) => {
  submitted.preventDefault();
  const name = $("name").value.trim() || `guest-${Math.floor(Math.random() * 9000 + 1000)}`;
  $("name").value = name;
  player = new Player(name, hear);
  playing(true);
});
$("leave").addEventListener("click", () => player?.leave());
$("drop").addEventListener("click", () => player?.drop());
$("speak").addEventListener("submit", (submitted) => {
  submitted.preventDefault();
  const text = $("text").value.trim();
  if (!text || !player) return;
  const how = $("how").value;
  if (player.input("chat", how, { text })) {
    // What is said to everyone comes back to the speaker, too.
    if (how === "nearby") log(`${player.name} (nearby)`, text);
    $("text").value = "";
  } else {
    log("", "Too much is under way; try again in a moment.", "aside");
  }
});

const WALKING = new Set(["w", "a", "s", "d", "arrowup", "arrowdown", "arrowleft", "arrowright", "shift"]);
addEventListener("keydown", (pressed) => {
  const typing = ["INPUT", "SELECT", "TEXTAREA"].includes(document.activeElement?.tagName);
  const key = pressed.key.toLowerCase();
  if (!player || pressed.ctrlKey || pressed.metaKey || pressed.altKey) return;
  if (key === "escape") canvas.focus();
  if (typing && document.activeElement.type !== "checkbox") return;
  if (key === "enter" && document.activeElement === canvas) {
    pressed.preventDefault();
    $("text").focus();
  } else if (WALKING.has(key)) {
    pressed.preventDefault();
    player.keys.add(key);
  }
});
addEventListener("keyup", (released) => player?.keys.delete(released.key.toLowerCase()));
addEventListener("blur", () => player?.keys.clear());

feed.run(show);
requestAnimationFrame(draw);
