// One small service of the lab, a stand-in for the platform's real ones: answers GET /health on its port. The one named
// platform-health is healthy only while the Redis "bds" answers. A file broken/NAME makes it crash at its start.
'use strict';
const fs = require('fs');
const http = require('http');
const net = require('net');
const path = require('path');
const name = process.argv[process.argv.indexOf('--name') + 1];
const home = path.dirname(__filename);

if (fs.existsSync(path.join(home, 'broken', name))) throw new Error(`${name}: its settings no longer parse`);

const redisAnswers = () => new Promise((done) => {
  const socket = net.connect(6379, '127.0.0.1');
  const end = (ok) => { socket.destroy(); done(ok); };
  let seen = '';
  socket.setTimeout(1000, () => end(false));
  socket.on('error', () => end(false));
  socket.on('data', (data) => { seen += data; if (/\+PONG/.test(seen)) end(true); else if (/^-/m.test(seen)) end(false); });
  socket.write(`AUTH ${fs.readFileSync(path.join(home, 'bds.pass'), 'utf8').trim()}\r\nPING\r\n`);
});

http.createServer(async (request, response) => {
  const ok = name !== 'platform-health' || await redisAnswers();
  response.writeHead(ok ? 200 : 503, { 'content-type': 'application/json' });
  response.end(JSON.stringify({ status: ok ? 'healthy' : 'unhealthy', service: name, pid: process.pid }));
}).listen(Number(process.env.PORT), '127.0.0.1', () => {
  if (process.send && process.env.READY_AFTER_MS) setTimeout(() => process.send('ready'), Number(process.env.READY_AFTER_MS));
});
