// The world as everybody may see it: a small JSON text, asked for five times a second.

const PERIOD_MS = 200;
const RETRY_MS = 1000;
// Bodies are drawn this far in the past, between two texts.
const DELAY_MS = 260;

// Where something was at time `then`, between two of its known places; `past` is oldest first.
export function placeAt(past, then) {
  for (let n = past.length - 1; n > 0; n--) {
    const [a, b] = [past[n - 1], past[n]];
    if (a.at <= then) {
      const share = Math.min(1, (then - a.at) / Math.max(1, b.at - a.at));
      return { x: a.x + (b.x - a.x) * share, y: a.y + (b.y - a.y) * share };
    }
  }
  return past[0];
}

// Ticks over which a curve that is told anew takes over.
const MIX_TICKS = 8;

// What to draw of an object when: a line through the knots that frames bring, and straight on from the
// last. The rule is that of gorc/WIRE.md, section "The curve".
export class Curve {
  constructor(tick, at, v = [0, 0]) {
    this.pieces = [piece(tick, at, v)];
    this.before = null;
  }

  // `delay`: ticks by which the channel held until now was drawn behind its newest frame.
  push(frame, delay, tick, at, v = [0, 0], snap = false) {
    const last = this.pieces.at(-1);
    const from = Math.max(last.tick, frame - delay);
    if (snap) {
      this.pieces = [...this.pieces.filter((old) => old.tick < tick), piece(tick, at, v)];
      this.before = null;
    } else if (tick <= from) {
      const old = new Curve(0, [0, 0]);
      old.pieces = this.pieces;
      this.before = { until: from, curve: old };
      this.pieces = [piece(tick, at, v)];
    } else {
      const start = along(last, from);
      const ticks = tick - from;
      const line = { tick: from, ...start, vx: (at[0] - start.x) / ticks, vy: (at[1] - start.y) / ticks };
      this.pieces.push(line, piece(tick, at, v));
    }
    if (this.pieces.length > 40) this.pieces.splice(0, 20);
  }

  at(tick) {
    const here = along(this.pieces.findLast((part) => part.tick <= tick) ?? this.pieces[0], tick);
    if (!this.before || tick >= this.before.until + MIX_TICKS) return here;
    const old = this.before.curve.at(tick);
    const share = Math.max(0, (tick - this.before.until) / MIX_TICKS);
    return { x: old.x + (here.x - old.x) * share, y: old.y + (here.y - old.y) * share };
  }
}

function piece(tick, [x, y], [vx, vy]) {
  return { tick, x, y, vx: vx / 60, vy: vy / 60 };
}

function along(part, tick) {
  return { x: part.x + part.vx * (tick - part.tick), y: part.y + part.vy * (tick - part.tick) };
}

export class WorldFeed {
  constructor() {
    this.text = null;
    this.bodies = new Map();
    this.flashes = [];
    this.lastHandoff = null;
    this.reachable = false;
  }

  // Asks for ever; calls `changed` after every answer and every failure.
  async run(changed) {
    for (;;) {
      let pause = PERIOD_MS;
      try {
        const answer = await fetch("/live.json", { cache: "no-store" });
        const text = await answer.json();
        if (text.regions) {
          this.learn(text, performance.now());
          this.reachable = true;
        }
      } catch {
        this.reachable = false;
        pause = RETRY_MS;
      }
      changed();
      if (document.hidden) pause = RETRY_MS;
      await new Promise((done) => setTimeout(done, pause));
    }
  }

  learn(text, now) {
    this.text = text;
    const seen = new Set();
    for (const [id, player, x, y] of text.bodies) {
      seen.add(id);
      const body = this.bodies.get(id) ?? { id, player: player === 1, past: [] };
      const last = body.past.at(-1);
      // A jump is not a streak.
      if (last && Math.hypot(x - last.x, y - last.y) > 40) body.past.length = 0;
      body.past.push({ at: now, x, y });
      if (body.past.length > 4) body.past.shift();
      this.bodies.set(id, body);
    }
    for (const id of this.bodies.keys()) if (!seen.has(id)) this.bodies.delete(id);
    const newest = text.handoffs[0]?.number ?? this.lastHandoff ?? 0;
    if (this.lastHandoff !== null) {
      for (const handoff of text.handoffs) {
        if (handoff.number > this.lastHandoff && handoff.at) this.flashes.push({ since: now, ...handoff });
      }
    }
    this.lastHandoff = Math.max(newest, this.lastHandoff ?? 0);
    this.flashes = this.flashes.filter((flash) => now - flash.since < 1000).slice(-200);
  }

  // Where a body is drawn now.
  static place(body, now) {
    return placeAt(body.past, now - DELAY_MS);
  }

  regionAt(x, y) {
    return this.text?.regions.find(
      ({ low, high }) => x >= low[0] && x < high[0] && y >= low[1] && y < high[1],
    );
  }
}
