// You: one session over any number of sockets, in the subprotocol horizon.v1.json.
// docs/protocol.md says what every message means.

import { Account } from "/account.js";
import { Curve } from "/world.js";

const SUBPROTOCOL = "horizon.v1.json";
// Frames that come late must not be missed.
const JITTER_TICKS = 3;
const WINDOW = 64;
const MOVE_MS = 50;
const DEAD_MS = 5000;
const WALK = 6;
const RUN = 12;
// Further from where the server saw us than this, we go there.
const BELIEVE_METRES = 3;
// A clock this far off is another clock: the world was started again.
const CLOCK_JUMP_US = 250000;
// How often the ledger is given something to count, and how often it is asked, in beats.
const NOTE_BEATS = 4;
const ASK_BEATS = 12;
const TICKS_PER_US = 60 / 1e6;

export class Player {
  // `tell` hears {kind, ...} about what happens.
  constructor(name, tell) {
    this.name = name;
    this.tell = tell;
    this.keys = new Set();
    this.objects = new Map();
    this.inputs = [];
    this.nextSeq = 1;
    this.lastEvent = 0;
    this.ackedEvent = 0;
    this.durable = 0;
    this.pings = [];
    this.samples = [];
    this.trail = [];
    this.crossings = 0;
    this.reconnects = 0;
    // Periods without a frame, at crossings and otherwise.
    this.gaps = { last: null, longest: 0, calm: 0 };
    this.account = new Account();
    this.epoch = null;
    this.ended = false;
    this.pause = 100;
    this.attempt = nonce();
    this.dial();
    this.timers = [
      setInterval(() => this.move(), MOVE_MS),
      setInterval(() => this.beat(), 250),
    ];
  }

  get joined() {
    return this.entity !== undefined && this.socket?.readyState === WebSocket.OPEN && this.welcomed;
  }

  dial() {
    if (this.ended) return;
    this.welcomed = false;
    this.heard = performance.now();
    const socket = new WebSocket(`wss://${location.host}/`, SUBPROTOCOL);
    this.socket = socket;
    socket.onopen = () => this.say(this.hello());
    socket.onmessage = ({ data }) => {
      if (this.socket === socket) this.read(JSON.parse(data));
    };
    // Whatever ends it, once.
    socket.onclose = socket.onerror = () => {
      if (this.socket !== socket || this.ended) return;
      this.socket = null;
      this.welcomed = false;
      this.before = null;
      this.tell({ kind: "lost" });
      setTimeout(() => this.dial(), Math.random() * this.pause);
      this.pause = Math.min(2000, this.pause * 2);
    };
  }

  hello() {
    const hello = { t: "hello", version: 1, name: this.name, token: "guest", nonce: this.attempt };
    if (this.ticket) hello.resume = { ticket: this.ticket, events: this.lastEvent };
    return hello;
  }

  say(message) {
    if (this.socket?.readyState === WebSocket.OPEN) this.socket.send(JSON.stringify(message));
  }

  read(message) {
    this.heard = performance.now();
    const answer = this[`on_${message.t}`];
    if (answer) answer.call(this, message);
  }

  on_welcome(message) {
    const { resumed, entity, ticket, names, applied, durable, tick, epoch } = message;
    if (!resumed) {
      // Numbers begin anew; what was never durable is said again under new ones.
      this.account.begin();
      this.inputs.forEach((input, n) => this.account.push(Object.assign(input, { seq: n + 1 })));
      this.nextSeq = this.inputs.length + 1;
      this.lastEvent = this.ackedEvent = 0;
    }
    if (this.entity) this.reconnects += 1;
    Object.assign(this, { entity, ticket, epoch, serverTick: tick, durable });
    if (names.length) this.names = names;
    if (message.schemas.length) this.schemas = message.schemas;
    this.rateHz = message.rate_hz;
    this.attempt = nonce();
    this.pause = 100;
    this.welcomed = true;
    this.fastPings = 4;
    this.pings = [];
    this.forget(durable);
    for (const input of this.inputs) if (input.seq > applied) this.say(input);
    this.tell({ kind: resumed ? "resumed" : "joined" });
  }

  on_state({ tick, epoch, applied, durable, body }) {
    const now = performance.now();
    if (this.before) {
      const crossed = epoch && epoch !== this.epoch;
      const gap = Math.max(0, Math.ceil(((now - this.before) * (this.rateHz ?? 30)) / 1000) - 1);
      if (crossed) {
        this.crossings += 1;
        this.gaps.last = gap;
        this.gaps.longest = Math.max(this.gaps.longest, gap);
      } else {
        this.gaps.calm = Math.max(this.gaps.calm, gap);
      }
    }
    if (epoch) this.epoch = epoch;
    this.framed = this.before = now;
    this.serverTick = tick;
    if (applied !== undefined) this.forget(durable);
    for (const entry of body) this.apply(entry, tick, now);
  }

  apply(entry, tick, now) {
    if (entry.op === "reset") return this.objects.clear();
    if (entry.op === "leave") return this.objects.delete(entry.id);
    if (entry.op === "enter" && !(entry.again && this.objects.has(entry.id))) {
      const fresh = { id: entry.id, player: entry.type === 0, type: entry.type, fields: {} };
      this.objects.set(entry.id, { ...fresh, channel: entry.channel, curve: new Curve(entry.tick ?? tick, entry.at, entry.v) });
    }
    const object = this.objects.get(entry.id);
    if (!object) return;
    Object.assign(object.fields, entry.fields);
    const delay = this.delay(object);
    object.channel = entry.channel ?? object.channel;
    if (entry.at) {
      if (entry.op === "update") object.curve.push(tick, delay, entry.tick ?? tick, entry.at, entry.v, entry.snap);
      if (entry.id === this.entity) this.reconcile(entry.tick ?? tick, entry.at, entry.snap);
    }
  }

  // Ticks that an object is drawn behind the newest frame: three periods of its channel, at most a second.
  delay({ type, channel }) {
    const step = 60 / (this.rateHz ?? 30);
    const rate = this.schemas?.[type]?.channels[channel]?.rate_hz ?? 30;
    const period = Math.ceil(60 / rate / step) * step;
    return Math.min(3 * period, Math.max(period, 60));
  }

  // Where to draw an object now.
  place(object, now) {
    const ticks = Math.min((now - this.framed) * 0.06, 12) - JITTER_TICKS;
    return object.curve.at(this.serverTick + ticks - this.delay(object));
  }

  // The server saw us at `at`: believe it where we are far off.
  reconcile(tick, at, snap) {
    const then = this.trail.findLast((step) => step.tick <= tick) ?? this.position;
    const off = then ? Math.hypot(then.x - at[0], then.y - at[1]) : Infinity;
    if (!this.position || snap || off > BELIEVE_METRES) {
      this.position = { x: at[0], y: at[1], z: at[2] };
      this.velocity = { x: 0, y: 0 };
      this.trail = [];
    }
  }

  on_event({ number, name, payload }) {
    if (number <= this.lastEvent) return;
    this.lastEvent = number;
    const [namespace, event] = Array.isArray(name) ? name : (this.names?.[name] ?? ["?", "?"]);
    if (namespace === "ledger" && event === "report") this.account.compare(payload);
    this.tell({ kind: "event", namespace, event, payload });
  }

  on_progress({ durable }) {
    this.forget(durable);
  }

  on_pong({ token, grid_us }) {
    const now = performance.now() * 1000;
    const trip = now - parseInt(token, 16);
    this.pings.push({ trip, offset: grid_us + trip / 2 - now });
    if (this.pings.length > 10) this.pings.shift();
    const best = this.pings.reduce((a, b) => (b.trip < a.trip ? b : a));
    // Towards the better estimate in small steps, so that no tick repeats; at once where it is far off.
    const step = 2000;
    const off = best.offset - (this.offset ?? -Infinity);
    if (Math.abs(off) > CLOCK_JUMP_US) this.offset = best.offset;
    else this.offset += Math.max(-step, Math.min(step, off));
    this.tripMs = best.trip / 1000;
  }

  on_nack({ from }) {
    for (const input of this.inputs) if (input.seq >= from) this.say(input);
  }

  // A crash was announced: the next frame does not follow the last one.
  on_resync() {
    this.before = null;
    for (const input of this.inputs) this.say(input);
  }

  on_ticket({ ticket }) {
    this.ticket = ticket;
  }

  on_refused({ reason, message }) {
    this.tell({ kind: "refused", message });
    if (reason === "ticket" && this.ticket) {
      // The session is over: begin another one.
      this.ticket = undefined;
      this.attempt = nonce();
    } else if (reason !== "busy") {
      this.end();
    }
  }

  on_closing({ reason, message }) {
    this.tell({ kind: "closing", message });
    if (reason === "replaced" || reason === "protocol") this.end();
  }

  forget(durable) {
    this.durable = Math.max(this.durable, durable);
    this.inputs = this.inputs.filter((input) => input.seq > this.durable);
  }

  // A reliable message to a plugin. Returns whether the window had room.
  input(namespace, event, payload) {
    if (this.inputs.length >= WINDOW) return false;
    const input = { t: "input", seq: this.nextSeq, name: [namespace, event], payload };
    this.nextSeq += 1;
    this.inputs.push(input);
    this.account.push(input);
    if (this.welcomed) this.say(input);
    return true;
  }

  tick() {
    if (this.offset === undefined) return null;
    return Math.floor((performance.now() * 1000 + this.offset) * TICKS_PER_US);
  }

  move() {
    if (!this.joined || !this.position) return;
    const tick = this.tick();
    const last = this.samples.at(-1);
    if (tick === null || (last && tick <= last.tick)) return;
    const has = (...keys) => keys.some((key) => this.keys.has(key));
    let dx = has("d", "arrowright") - has("a", "arrowleft");
    let dy = has("w", "arrowup") - has("s", "arrowdown");
    const speed = (has("shift") ? RUN : WALK) / (Math.hypot(dx, dy) || 1);
    [dx, dy] = [dx * speed, dy * speed];
    const still = dx === 0 && dy === 0;
    if (still && this.velocity?.x === 0 && this.velocity?.y === 0) return;
    const seconds = last && tick - last.tick < 30 ? (tick - last.tick) / 60 : MOVE_MS / 1000;
    this.position.x += dx * seconds;
    this.position.y += dy * seconds;
    this.velocity = { x: dx, y: dy };
    if (!still) this.yaw = Math.atan2(dy, dx);
    const { x, y, z } = this.position;
    this.samples.push({ tick, position: [x, y, z], velocity: [dx, dy, 0], yaw: this.yaw ?? 0 });
    this.samples = this.samples.slice(-3);
    this.trail.push({ tick, x, y });
    if (this.trail.length > 60) this.trail.shift();
    this.say({ t: "move", samples: this.samples });
  }

  // Pings, acknowledgements, and a look at whether anybody is still there.
  beat() {
    const now = performance.now();
    if (now - this.heard > DEAD_MS) {
      this.socket?.close();
      return;
    }
    if (!this.welcomed) return;
    this.beats = (this.beats ?? 0) + 1;
    if (this.fastPings-- > 0 || this.beats % 4 === 0) {
      const token = Math.round(now * 1000).toString(16).padStart(16, "0");
      this.say({ t: "ping", token });
    }
    const counted = this.names?.some(([namespace, event]) => namespace === "ledger" && event === "report");
    if (counted && this.beats % NOTE_BEATS === 0) this.input("ledger", "note", { n: this.nextSeq });
    if (counted && this.beats % ASK_BEATS === 1) this.input("ledger", "report", {});
    if (this.lastEvent > this.ackedEvent) {
      this.ackedEvent = this.lastEvent;
      this.say({ t: "ack", events: this.lastEvent });
    }
  }

  // Closes the socket as an accident would; the session goes on with the ticket.
  drop() {
    this.socket?.close();
  }

  leave() {
    this.say({ t: "bye" });
    this.end();
  }

  end() {
    this.ended = true;
    this.timers.forEach(clearInterval);
    this.socket?.close();
    this.tell({ kind: "ended" });
  }
}

function nonce() {
  const bytes = crypto.getRandomValues(new Uint8Array(8));
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
}
