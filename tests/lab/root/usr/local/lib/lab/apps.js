// Writes PM2's two app lists of the lab: ecosystem.json (saved long ago) and ecosystem.late.json (started since, never
// saved). Names follow the field: id managers, workers, organisation services stopped on purpose.
// Usage: node apps.js ONLINE-APPS DIRECTORY
'use strict';
const fs = require('fs');
const path = require('path');
const [count, home] = [Number(process.argv[2]), process.argv[3]];

const special = ['platform-health', 'id-manager', 'id-manager-cache', 'queue-coordinator', 'legacy-import', 'legacy-report'];
const late = ['search-worker', 'audit-api'];
const KINDS = ['billing', 'device', 'geo', 'mail', 'media', 'notify', 'rule', 'session', 'telemetry', 'webhook'];
const ROLES = ['worker', 'api', 'sync', 'gateway'];
const names = [...special];
for (let n = 0; names.length < count - late.length; n += 1) {
  const round = Math.floor(n / (KINDS.length * ROLES.length));
  const shard = round === 0 ? '' : `${round + 1}-`;
  names.push(`${KINDS[n % KINDS.length]}-${shard}${ROLES[Math.floor(n / KINDS.length) % ROLES.length]}`);
}
const stopped = Array.from({ length: 14 }, (_, n) => `org-${String(n + 1).padStart(3, '0')}`);

let port = 4000;
const app = (name) => {
  const cwd = path.join(home, 'services', name);
  fs.mkdirSync(cwd, { recursive: true });
  const entry = {
    name, cwd, script: path.join(home, 'service.js'), args: ['--name', name],
    env: { NODE_ENV: 'staging', PORT: String(name === 'platform-health' ? 3005 : port++) },
  };
  // Says by itself when it is ready, a second after its start; PM2 waits for that.
  if (name === 'queue-coordinator') Object.assign(entry, { wait_ready: true, listen_timeout: 10000, env: { ...entry.env, READY_AFTER_MS: '1000' } });
  return entry;
};
const save = (file, list) => fs.writeFileSync(path.join(home, file), JSON.stringify({ apps: list.map(app) }, null, 2));
save('ecosystem.json', [...names, ...stopped]);
save('ecosystem.late.json', [...late, 'org-late']);
