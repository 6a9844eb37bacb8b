// The lab's redis-router: forwards each connection to whichever of the instances calls itself master, as the script of
// the field does. It authenticates upstream by itself, so clients on this host need no password.
// Usage: node router.js LISTEN-PORT PASSWORD-FILE INSTANCE-PORT...
'use strict';
const fs = require('fs');
const net = require('net');
const [listen, passwordFile, ...instances] = process.argv.slice(2);
const password = fs.readFileSync(passwordFile, 'utf8').trim();

// Resolves with an authenticated connection to a master, or null. ROLE is refused while the instance loads.
const ifMaster = (port) => new Promise((done) => {
  const upstream = net.connect(Number(port), '127.0.0.1');
  const end = (found) => { upstream.removeAllListeners(); if (!found) { upstream.destroy(); } done(found); };
  let seen = '';
  upstream.setTimeout(2000, () => end(null));
  upstream.on('error', () => end(null));
  upstream.on('close', () => end(null));
  upstream.on('data', (data) => {
    seen += data.toString('latin1');
    if (/^-/m.test(seen) || /\$5\r\nslave\r\n|\$4\r\nslave/.test(seen)) end(null);
    else if (/\+OK\r\n\*3\r\n\$6\r\nmaster\r\n:\d+\r\n/.test(seen)) {
      // The list of replicas follows; swallow the rest of the reply before handing the connection on.
      const asked = upstream.write('ECHO routed\r\n');
      if (asked && /\$6\r\nrouted\r\n/.test(seen)) end(upstream);
      upstream.removeAllListeners('data');
      upstream.on('data', (more) => { seen += more.toString('latin1'); if (/\$6\r\nrouted\r\n$/.test(seen)) end(upstream); });
    }
  });
  upstream.write(`AUTH ${password}\r\nROLE\r\n`);
});

net.createServer(async (client) => {
  client.pause();
  client.on('error', () => client.destroy());
  for (const port of instances) {
    const upstream = await ifMaster(port);
    if (!upstream) continue;
    upstream.setTimeout(0);
    upstream.on('error', () => client.destroy());
    upstream.on('close', () => client.destroy());
    client.on('close', () => upstream.destroy());
    upstream.pipe(client);
    client.pipe(upstream);
    return;
  }
  client.end('-ERR no master answers behind this router\r\n');
}).listen(Number(listen), '127.0.0.1');
