// A stand-in for the geofencing server Tile38, NOT Tile38: it speaks the Redis protocol on one port, answers a handful of
// commands the way that server does and knows neither BGREWRITEAOF nor ROLE nor CONFIG. It keeps no data.
// Usage: node geofence.js PORT
'use strict';
const net = require('net');
const started = Date.now();
const bulk = (text) => `$${Buffer.byteLength(text)}\r\n${text}\r\n`;
const answer = (words, state) => {
  const [name, argument] = [words[0].toLowerCase(), (words[1] || '').toLowerCase()];
  const elapsed = '12.5us';
  switch (name) {
    case 'ping': return state.json ? bulk(`{"ok":true,"ping":"pong","elapsed":"${elapsed}"}`) : '+PONG\r\n';
    case 'healthz': return state.json ? bulk(`{"ok":true,"elapsed":"${elapsed}"}`) : '+OK\r\n';
    case 'quit': return null;
    case 'output':
      if (argument === 'json') { state.json = true; return bulk(`{"ok":true,"elapsed":"${elapsed}"}`); }
      if (argument === 'resp') { state.json = false; return '+OK\r\n'; }
      return argument === '' ? bulk(state.json ? `{"ok":true,"output":"json","elapsed":"${elapsed}"}` : 'resp') : "-ERR invalid argument '" + argument + "'\r\n";
    case 'server': {
      const stats = { aof_size: 0, following: '', id: '5d9e2a4f0c7b1836', num_objects: 0, pid: process.pid, read_only: false, version: '1.33.0-stand-in' };
      if (state.json) return bulk(JSON.stringify({ ok: true, stats, elapsed }));
      const pairs = Object.entries(stats);
      return `*${pairs.length * 2}\r\n` + pairs.map(([key, value]) => bulk(key) + bulk(String(value))).join('');
    }
    case 'info':
      return bulk(['# Server', 'tile38_version:1.33.0-stand-in', 'redis_version:1.33.0-stand-in', `process_id:${process.pid}`,
        `uptime_in_seconds:${Math.floor((Date.now() - started) / 1000)}`, '', '# Persistence', 'aof_enabled:1', 'aof_rewrite_in_progress:0', ''].join('\r\n'));
    default: return `-ERR unknown command '${words[0].replace(/[^\x20-\x7e]/g, '?').slice(0, 64)}'\r\n`;
  }
};
// One command from the front of the buffer: the words and how many bytes they took; null while it is incomplete.
const take = (buffer) => {
  const end = buffer.indexOf('\r\n');
  if (end < 0) return null;
  const line = buffer.toString('latin1', 0, end);
  if (line[0] !== '*') return { words: line.split(/\s+/).filter(Boolean), used: end + 2 };
  const words = [];
  let at = end + 2;
  for (let n = 0; n < Number(line.slice(1)); n += 1) {
    const stop = buffer.indexOf('\r\n', at);
    if (stop < 0) return null;
    const length = Number(buffer.toString('latin1', at + 1, stop));
    if (buffer.length < stop + 2 + length + 2) return null;
    words.push(buffer.toString('utf8', stop + 2, stop + 2 + length));
    at = stop + 2 + length + 2;
  }
  return { words, used: at };
};
net.createServer((socket) => {
  const state = { json: false };
  let buffer = Buffer.alloc(0);
  socket.on('error', () => socket.destroy());
  socket.on('data', (data) => {
    buffer = Buffer.concat([buffer, data]);
    if (buffer.length > 1 << 20) { socket.destroy(); return; }
    for (let command = take(buffer); command; command = take(buffer)) {
      buffer = buffer.subarray(command.used);
      if (command.words.length === 0) continue;
      const reply = answer(command.words, state);
      if (reply === null) { socket.end('+OK\r\n'); return; }
      socket.write(reply);
    }
  });
}).listen(Number(process.argv[2]), '127.0.0.1');
