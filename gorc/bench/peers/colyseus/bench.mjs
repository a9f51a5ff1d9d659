// What one server tick costs with Colyseus' schema library: N entities, N clients, one StateView each.
//
// Usage: node bench.mjs MOVEMENT [--warmup 60] [--ticks 300]
// Prints one JSON line, described in ../README.md. Fails when one of three clients, decoding its own
// stream, does not hold after every tick exactly the entities it sees with exactly the values of the source.
import { readFileSync } from "node:fs";
import { parseArgs } from "node:util";
import { Decoder, Encoder, schema, StateView, t } from "@colyseus/schema";
import { readMovement, updatesPerTick } from "../movement.mjs";

const Entity = schema({
    x: t.float32(),
    y: t.float32(),
    z: t.float32(),
    vx: t.float32(),
    vy: t.float32(),
    yaw: t.float32(),
    health: t.uint16(),
}, "Entity");

// The collection is tagged, so an entity reaches only the views it was added to.
const World = schema({ entities: t.map(Entity).view() }, "World");

/** The four fields that stay as spawned: a tick changes 3 of 7. */
const still = (entity) => ({ vx: entity / 8, vy: -entity / 16, yaw: entity / 64, health: entity & 0xffff });

const { movement, warmup, ticks: wanted } = readArguments();
const { players, visible, views, positions } = movement;
const measured = Math.min(wanted, movement.ticks - warmup);
const ticks = warmup + measured;

// Room for one tick's bytes of all clients, so that the encoder never has to encode twice to grow.
Encoder.BUFFER_SIZE = Math.max(64 * 1024, 64 * players * visible);

const world = new World();
const encoder = new Encoder(world);
const entities = Array.from({ length: players }, (_, entity) => {
    const [x, y, z] = positions.subarray(3 * entity, 3 * entity + 3);
    const spawned = new Entity().assign({ x, y, z, ...still(entity) });
    world.entities.set(String(entity), spawned);
    return spawned;
});
const clients = Array.from({ length: players }, (_, client) => {
    const view = new StateView();
    for (const entity of visibleTo(client)) view.add(entities[entity]);
    return view;
});

const checked = [...new Set([0, players >> 1, players - 1])].map((client) => ({ client, stream: [join(clients[client])] }));

const cpuMs = [];
const wallMs = [];
let bytes = 0;
for (let tick = 0; tick < ticks; tick++) {
    const cpuBefore = process.cpuUsage();
    const wallBefore = performance.now();
    move(tick);
    const patches = encodeTick();
    const wall = performance.now() - wallBefore;
    const cpu = process.cpuUsage(cpuBefore);

    for (const { client, stream } of checked) stream.push(patches[client]);
    if (tick < warmup) continue;
    wallMs.push(wall);
    cpuMs.push((cpu.user + cpu.system) / 1000);
    for (const patch of patches) bytes += patch.length;
}

for (const { client, stream } of checked) checkStream(client, stream);

const updates = updatesPerTick(movement).slice(warmup, ticks).reduce((sum, count) => sum + count, 0);
const rounded = (value, digits) => Number(value.toFixed(digits));
console.log(JSON.stringify({
    peer: "colyseus",
    version: JSON.parse(readFileSync(new URL("node_modules/@colyseus/schema/package.json", import.meta.url))).version,
    node: process.version,
    players,
    visible,
    ticks: measured,
    ms_per_tick_p50: rounded(percentile(cpuMs, 50), 3),
    ms_per_tick_p99: rounded(percentile(cpuMs, 99), 3),
    ms_per_tick_mean: rounded(cpuMs.reduce((sum, ms) => sum + ms, 0) / measured, 3),
    wall_ms_per_tick_p50: rounded(percentile(wallMs, 50), 3),
    bytes_per_client_tick: rounded(bytes / players / measured, 1),
    bytes_per_update: updates === 0 ? null : rounded(bytes / updates, 2),
}));

function move(tick) {
    let at = 3 * tick * players;
    for (const entity of entities) {
        entity.x = positions[at++];
        entity.y = positions[at++];
        entity.z = positions[at++];
    }
}

/** Every client's bytes of this tick, in the order of calls that the library's README and Colyseus' own rooms use. */
function encodeTick() {
    const it = { offset: 0 };
    encoder.encode(it);
    const sharedOffset = it.offset;
    const patches = new Array(players);
    for (let client = 0; client < players; client++) {
        patches[client] = encoder.encodeView(clients[client], sharedOffset, it);
    }
    encoder.discardChanges();
    return patches;
}

/** The full state that a client gets when it joins. */
function join(view) {
    const it = { offset: 0 };
    encoder.encodeAll(it);
    return encoder.encodeAllView(view, it.offset, it);
}

function checkStream(client, [joined, ...patches]) {
    const decoder = new Decoder(new World());
    decoder.decode(joined);
    patches.forEach((patch, tick) => {
        decoder.decode(patch);
        const seen = decoder.state.entities;
        const at = `client ${client}, tick ${tick}`;
        if (seen.size !== visible) throw new Error(`${at}: ${seen.size} entities decoded, ${visible} visible`);
        for (const entity of visibleTo(client)) {
            const [x, y, z] = positions.subarray(3 * (tick * players + entity));
            for (const [field, value] of Object.entries({ x, y, z, ...still(entity) })) {
                const decoded = seen.get(String(entity))?.[field];
                if (decoded !== value) throw new Error(`${at}: entity ${entity} decoded ${field} = ${decoded}, source ${value}`);
            }
        }
    });
}

function visibleTo(client) {
    return views.subarray(client * visible, (client + 1) * visible);
}

/** Nearest-rank percentile. */
function percentile(samples, percent) {
    const sorted = Float64Array.from(samples).sort();
    return sorted[Math.max(0, Math.ceil((percent / 100) * sorted.length) - 1)];
}

function readArguments() {
    const { values, positionals } = parseArgs({
        allowPositionals: true,
        options: { warmup: { type: "string", default: "60" }, ticks: { type: "string", default: "300" } },
    });
    const [warmup, ticks] = [Number(values.warmup), Number(values.ticks)];
    if (positionals.length !== 1 || !Number.isSafeInteger(warmup) || warmup < 1 || !Number.isSafeInteger(ticks) || ticks < 1) {
        console.error("usage: node bench.mjs MOVEMENT [--warmup TICKS, at least 1] [--ticks TICKS]");
        process.exit(2);
    }
    const movement = readMovement(positionals[0]);
    if (movement.ticks <= warmup) throw new Error(`${movement.ticks} ticks leave nothing to measure after ${warmup} warm-up ticks`);
    return { movement, warmup, ticks };
}
