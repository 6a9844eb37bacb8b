// One app of the benchmark: some work of its own while it boots, a server on a socket, and its own ready stamp by CLOCK_MONOTONIC.
const fs = require('fs');
const http = require('http');
const { name, READY, SOCKETS, WAIT, BURN } = process.env;
const until = process.hrtime.bigint() + BigInt(Number(BURN || 0)) * 1000000n;
while (process.hrtime.bigint() < until);
const socket = `${SOCKETS}/${name}.sock`;
setTimeout(() => {
  fs.rmSync(socket, { force: true });
  http.createServer((_, answer) => answer.end('ok')).listen(socket, () => {
    fs.appendFileSync(`${READY}/${name}`, `${process.hrtime.bigint()}\n`);
    if (process.send) process.send('ready');
  });
}, Number(WAIT || 0));
