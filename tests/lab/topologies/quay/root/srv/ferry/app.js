// One app of the ferry. How it lives is its environment's: KIND says what it does beside answering on its port or socket.
'use strict';
const fs = require('fs');
const http = require('http');
const https = require('https');
const path = require('path');
const { KIND = 'plain', PORT, SOCKET, APP } = process.env;

if (KIND === 'broken') throw new Error(`${APP}: its settings no longer parse`);
if (KIND === 'once') { console.log('tidied'); process.exit(0); }
if (fs.existsSync(path.join(__dirname, 'broken', APP))) throw new Error(`${APP}: the licence has ended`);
// Lives for a while, then ends: PM2 starts it again, for ever.
if (KIND === 'flapping') setTimeout(() => process.exit(3), 2500);

const answer = (request, response) => {
  response.writeHead(200, { 'content-type': 'application/json' });
  response.end(JSON.stringify({ state: 'open', app: APP, shards: [{ up: 2 }, { up: 3 }] }));
};
const tls = () => ({ key: fs.readFileSync('/srv/ferry/web.key'), cert: fs.readFileSync('/etc/quay/tls/web.crt') });
const server = KIND === 'tls' ? https.createServer(tls(), answer) : http.createServer(answer);
if (SOCKET) fs.rmSync(SOCKET, { force: true });
server.listen(SOCKET || { port: Number(PORT) || 0, host: '127.0.0.1' }, () => {
  if (KIND === 'slow') setTimeout(() => process.send && process.send('ready'), 1500);
});
