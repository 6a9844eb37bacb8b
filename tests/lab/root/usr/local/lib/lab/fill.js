// Fills one Redis with invented but repeatable traffic: first a data set that is compacted into a real base file, then
// overwrites of the same keys, so that the incremental file grows fat with commands that no longer matter.
// Usage: [REDISCLI_AUTH=...] node fill.js PORT entities|queues tiny|small|large
'use strict';
const net = require('net');
const [port, kind, size] = process.argv.slice(2);
const MB = 1e6;
const wanted = {
  entities: { tiny: [1, 2], small: [12, 45], large: [60, 250] },
  queues: { tiny: [1, 3], small: [3, 15], large: [20, 80] },
}[kind][size].map((mb) => mb * MB);

let seed = 0x2f6e2b1;
const random = (below) => {
  seed ^= seed << 13; seed ^= seed >>> 17; seed ^= seed << 5;
  return (seed >>> 0) % below;
};
const text = (length) => {
  let out = '';
  while (out.length < length) out += (random(0x7fffffff)).toString(36);
  return out.slice(0, length);
};
const resp = (...words) => words.reduce((all, word) => `${all}$${Buffer.byteLength(word)}\r\n${word}\r\n`, `*${words.length}\r\n`);

// About 600 bytes of base for each entity: a hash of eight fields and a place in a sorted set.
const keys = Math.max(500, Math.floor(wanted[0] / 600));
const prefix = kind === 'entities' ? 'bds:device' : 'bull:job';
const FIELDS = ['name', 'state', 'owner', 'last_seen', 'latitude', 'longitude', 'firmware', 'settings'];
const created = (n) => resp('HSET', `${prefix}:${n}`, ...FIELDS.flatMap((field) => [field, text(55)])) +
  resp('ZADD', `${prefix}:by-time:${n % 97}`, String(random(1e9)), `${prefix}:${n}`);
const overwritten = () => {
  const n = random(keys);
  switch (random(8)) {
    case 0: return resp('ZADD', `${prefix}:by-time:${n % 97}`, String(random(1e9)), `${prefix}:${n}`);
    case 1: return resp('INCR', `${prefix}:counter:${n % 31}`);
    case 2: return resp('SET', `${prefix}:last:${n % 1000}`, text(180));
    default: return resp('HSET', `${prefix}:${n}`, FIELDS[random(8)], text(55), 'last_seen', text(55));
  }
};

const socket = net.connect(Number(port), '127.0.0.1');
let answers = '';
socket.on('data', (data) => { answers = (answers + data.toString('latin1')).slice(-20000); });
socket.on('error', (error) => { console.error(`fill.js: ${port}: ${error.message}`); process.exit(1); });
const write = (data) => new Promise((done) => (socket.write(data) ? done() : socket.once('drain', done)));
const ask = async (pattern, ...words) => {
  answers = '';
  await write(resp(...words));
  for (let turn = 0; turn < 12000 && !pattern.test(answers); turn += 1) await new Promise((done) => setTimeout(done, 20));
  if (!pattern.test(answers)) throw new Error(`${words[0]}: ${answers.slice(0, 200)}`);
  return answers;
};
// Replies are off while the bulk goes out; the answer to switching them on again says that all of it was taken.
const pour = async (next) => {
  await write(resp('CLIENT', 'REPLY', 'OFF'));
  for (;;) {
    let chunk = '';
    while (chunk.length < 256 * 1024) {
      const command = next();
      if (command === null) { await write(chunk); return ask(/\+OK/, 'CLIENT', 'REPLY', 'ON'); }
      chunk += command;
    }
    await write(chunk);
  }
};

(async () => {
  if (process.env.REDISCLI_AUTH) await ask(/\+OK/, 'AUTH', process.env.REDISCLI_AUTH);
  let n = 0;
  await pour(() => (n < keys ? created(n++) : null));
  await ask(/started|scheduled/, 'BGREWRITEAOF');
  while (!/aof_rewrite_in_progress:0[\s\S]*aof_rewrite_scheduled:0/.test(await ask(/async_loading|aof_last_cow_size/, 'INFO', 'persistence'))) {
    await new Promise((done) => setTimeout(done, 100));
  }
  let bytes = 0;
  await pour(() => {
    if (bytes >= wanted[1]) return null;
    const command = overwritten();
    bytes += command.length;
    return command;
  });
  const base = /aof_base_size:(\d+)/.exec(await ask(/aof_base_size:\d+\r/, 'INFO', 'persistence'))[1];
  console.log(`${port}: ${keys} ${prefix} keys, base ${(base / MB).toFixed(1)} MB, overwrites ${(bytes / MB).toFixed(1)} MB`);
  process.exit(0);
})().catch((error) => { console.error(`fill.js: ${port}: ${error.message}`); process.exit(1); });
