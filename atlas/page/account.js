// The player's half of the proof that every input was applied once and in order: the same chain of hashes
// that the plugin `ledger` keeps in the avatar (plugins/ledger).

const START = 0xcbf29ce484222325n;
const PRIME = 0x100000001b3n;
const MASK = 0xffffffffffffffffn;
const bytes = new TextEncoder();

function littleEndian(value, length) {
  return Array.from({ length }, (_, n) => Number((value >> BigInt(8 * n)) & 0xffn));
}

export class Account {
  constructor() {
    this.begin();
    this.wrong = { lost: 0, doubled: 0, reordered: 0 };
    this.checked = 0;
  }

  // A new session numbers its inputs from 1 again.
  begin() {
    this.chain = START;
    this.count = 0;
    this.asked = [];
  }

  push({ seq, name: [namespace, event], payload }) {
    const said = bytes.encode(`${namespace}/${event}${JSON.stringify(payload)}`);
    let hash = START;
    for (const byte of [...littleEndian(this.chain, 8), ...littleEndian(BigInt(seq), 4), ...said]) {
      hash = ((hash ^ BigInt(byte)) * PRIME) & MASK;
    }
    this.chain = hash;
    this.count += 1;
    if (namespace === "ledger" && event === "report") this.asked.push({ chain: hash, count: this.count });
  }

  // What the server says it has applied, up to the question that it answers.
  compare(report) {
    const own = this.asked.shift();
    if (!own) return;
    const { count, last_seq, chain, repeated, skipped, backwards } = report;
    const wrong = {
      lost: Math.max(0, skipped - backwards) + Math.max(0, own.count - last_seq),
      doubled: repeated,
      reordered: backwards,
    };
    const same = count === own.count && chain === own.chain.toString(16).padStart(16, "0");
    if (!same && wrong.lost + wrong.doubled + wrong.reordered === 0) {
      if (count < own.count) wrong.lost = own.count - count;
      else if (count > own.count) wrong.doubled = count - own.count;
      else wrong.reordered = 1;
    }
    for (const kind of Object.keys(wrong)) this.wrong[kind] = Math.max(this.wrong[kind], wrong[kind]);
    this.checked = own.count;
  }
}
