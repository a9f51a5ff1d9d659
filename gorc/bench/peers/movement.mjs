// Movement files: what every peer program replays. The format is in README.md.
//
// As a program: node movement.mjs OUT [--players 1000] [--ticks 360] [--hz 20] [--visible 60] [--seed 1]
import { readFileSync, writeFileSync } from "node:fs";
import { endianness } from "node:os";
import { pathToFileURL } from "node:url";
import { parseArgs } from "node:util";

const MAGIC = Buffer.from("HMOV1\0\0\0", "latin1");
const HEADER_BYTES = MAGIC.length + 4 * 4;

/** Walking speed of the generated players, metres per second. */
const SPEED_M_S = 5;
/** Edge of the generated world per player: 1,000 players stand on about 190 m, 50 of them within 25 m of each other. */
const METRES_PER_SQRT_PLAYER = 6;

/**
 * Reads a whole movement file, and throws when it is not exactly one: wrong magic, wrong length, a
 * client that sees an entity twice or one that does not exist, a coordinate that is no number.
 */
export function readMovement(path) {
    if (endianness() !== "LE") throw new Error("movement files are read in place, on little-endian machines only");
    const file = readFileSync(path);
    if (file.length < HEADER_BYTES || !file.subarray(0, MAGIC.length).equals(MAGIC)) {
        throw new Error(`${path} is not a movement file`);
    }
    const [players, ticks, hz, visible] = [0, 1, 2, 3].map((i) => file.readUInt32LE(MAGIC.length + 4 * i));
    const expected = HEADER_BYTES + 4 * players * visible + 12 * players * ticks;
    if (file.length !== expected) throw new Error(`${path} has ${file.length} bytes, its header says ${expected}`);

    // A copy, because a Buffer may start anywhere in its pool and the arrays need four-byte alignment.
    const body = file.buffer.slice(file.byteOffset + HEADER_BYTES, file.byteOffset + file.length);
    const views = new Uint32Array(body, 0, players * visible);
    const positions = new Float32Array(body, 4 * players * visible, 3 * players * ticks);
    for (let client = 0; client < players; client++) {
        const view = views.subarray(client * visible, (client + 1) * visible);
        if (new Set(view).size !== visible) throw new Error(`client ${client} sees an entity twice`);
        if (view.some((entity) => entity >= players)) throw new Error(`client ${client} sees an entity that does not exist`);
    }
    if (!positions.every(Number.isFinite)) throw new Error(`${path} holds a coordinate that is no number`);
    return { players, ticks, hz, visible, views, positions };
}

/** Deliveries per tick: how many (client, visible entity) pairs saw a coordinate change since the tick before. */
export function updatesPerTick({ players, ticks, views, positions }) {
    const watchers = new Uint32Array(players);
    for (const entity of views) watchers[entity]++;
    const updates = new Array(ticks).fill(0);
    for (let tick = 1; tick < ticks; tick++) {
        for (let entity = 0; entity < players; entity++) {
            const now = 3 * (tick * players + entity);
            const before = now - 3 * players;
            const moved = [0, 1, 2].some((axis) => positions[now + axis] !== positions[before + axis]);
            if (moved) updates[tick] += watchers[entity];
        }
    }
    return updates;
}

/** Players that walk straight over rolling ground and turn at the edges; each client sees itself and its nearest. */
function generate({ players, ticks, hz, visible, seed }) {
    const random = mulberry32(seed);
    const edge = METRES_PER_SQRT_PLAYER * Math.sqrt(players);
    const walkers = Array.from({ length: players }, () => {
        const heading = 2 * Math.PI * random();
        const speed = SPEED_M_S * (0.5 + random());
        return { x: edge * random(), z: edge * random(), vx: speed * Math.cos(heading), vz: speed * Math.sin(heading) };
    });
    const height = ({ x, z }) => 3 * Math.sin(x / 17) * Math.cos(z / 23);

    const views = new Uint32Array(players * visible);
    walkers.forEach((self, client) => {
        const distance = walkers.map((other) => (other.x - self.x) ** 2 + (other.z - self.z) ** 2);
        const nearest = walkers.map((_, entity) => entity).sort((a, b) => distance[a] - distance[b]);
        views.set(nearest.slice(0, visible).sort((a, b) => a - b), client * visible);
    });

    const positions = new Float32Array(3 * players * ticks);
    for (let tick = 0, at = 0; tick < ticks; tick++) {
        for (const walker of walkers) {
            positions[at++] = walker.x;
            positions[at++] = height(walker);
            positions[at++] = walker.z;
            if (walker.x + walker.vx / hz < 0 || walker.x + walker.vx / hz > edge) walker.vx = -walker.vx;
            if (walker.z + walker.vz / hz < 0 || walker.z + walker.vz / hz > edge) walker.vz = -walker.vz;
            walker.x += walker.vx / hz;
            walker.z += walker.vz / hz;
        }
    }
    return { players, ticks, hz, visible, views, positions };
}

function writeMovement(path, { players, ticks, hz, visible, views, positions }) {
    const header = Buffer.alloc(HEADER_BYTES);
    MAGIC.copy(header);
    [players, ticks, hz, visible].forEach((value, i) => header.writeUInt32LE(value, MAGIC.length + 4 * i));
    writeFileSync(path, Buffer.concat([header, Buffer.from(views.buffer), Buffer.from(positions.buffer)]));
}

/** Uniform numbers in [0, 1) from a 32-bit seed: Tommy Ettinger's mulberry32, public domain. */
function mulberry32(seed) {
    return () => {
        seed = (seed + 0x6d2b79f5) | 0;
        let bits = Math.imul(seed ^ (seed >>> 15), seed | 1);
        bits ^= bits + Math.imul(bits ^ (bits >>> 7), bits | 61);
        return ((bits ^ (bits >>> 14)) >>> 0) / 2 ** 32;
    };
}

function main() {
    const { values, positionals } = parseArgs({
        allowPositionals: true,
        options: {
            players: { type: "string", default: "1000" },
            ticks: { type: "string", default: "360" },
            hz: { type: "string", default: "20" },
            visible: { type: "string", default: "60" },
            seed: { type: "string", default: "1" },
        },
    });
    const numbers = Object.fromEntries(Object.entries(values).map(([name, value]) => [name, Number(value)]));
    const valid = Object.values(numbers).every((value) => Number.isSafeInteger(value) && value >= 1 && value < 2 ** 32);
    if (positionals.length !== 1 || !valid || numbers.visible > numbers.players) {
        console.error("usage: node movement.mjs OUT [--players N] [--ticks N] [--hz N] [--visible K, at most N] [--seed N]");
        process.exit(2);
    }
    writeMovement(positionals[0], generate(numbers));
}

if (process.argv[1] !== undefined && import.meta.url === pathToFileURL(process.argv[1]).href) main();
