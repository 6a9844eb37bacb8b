// A PM2 daemon that answers with whatever list its owner likes, and writes down what it is told. usage: liar.js HOME LIST
const fs = require('fs'), net = require('net'), path = require('path');
const [home, list] = process.argv.slice(2);
const listen = (name, talk) => {
  const socket = path.join(home, name);
  fs.rmSync(socket, { force: true });
  return net.createServer(talk).listen(socket);
};
const frame = parts => Buffer.concat([Buffer.from([0x10 | parts.length]), ...parts.flatMap(part => {
  const length = Buffer.alloc(4);
  length.writeUInt32BE(part.length);
  return [length, part];
})]);
const parse = bytes => {
  let at = 1;
  const parts = [];
  for (let left = bytes[0] & 15; left > 0; left--) {
    if (bytes.length < at + 4) return null;
    const end = at + 4 + bytes.readUInt32BE(at);
    if (bytes.length < end) return null;
    parts.push(bytes.subarray(at + 4, end));
    at = end;
  }
  return { parts, rest: bytes.subarray(at) };
};
const known = { ping: '{"msg":"pong"}', getVersion: '"6.0.14"', getReport: '{"node_version":"20","argv":["node","/x/lib/Daemon.js"]}' };
const answer = method => method === 'getMonitorData' ? fs.readFileSync(list) : Buffer.from(known[method] || '{}');
const rpc = listen('rpc.sock', stream => {
  let bytes = Buffer.alloc(0);
  stream.on('error', () => {});
  stream.on('data', more => {
    bytes = Buffer.concat([bytes, more]);
    for (let call; bytes.length && (call = parse(bytes)); bytes = call.rest) {
      const text = call.parts[0].toString().slice(2);
      fs.appendFileSync(path.join(home, 'told'), text.slice(0, 3000) + '\n');
      const body = Buffer.concat([Buffer.from('j:{"args":['), answer(JSON.parse(text).method), Buffer.from(']}')]);
      stream.write(frame([body, call.parts[call.parts.length - 1]]));
    }
  });
});
listen('pub.sock', stream => stream.on('error', () => {}).resume());
rpc.on('listening', () => fs.writeFileSync(path.join(home, 'lying'), String(process.pid)));
