// What runs under the user ferry: every way of living that PM2 knows, most of them beside each other on real hosts.
'use strict';
const app = (name, more = {}) => ({
  name, script: '/srv/ferry/app.js', cwd: '/srv/ferry', ...more, env: { APP: name, ...(more.env || {}) },
});
module.exports = { apps: [
  app('surplus'),                                     // deleted later: the ids have a gap
  app('api', { exec_mode: 'cluster', instances: 3, instance_var: 'SHARD', increment_var: 'PORT', env: { PORT: 8100 } }),
  app('web', { env: { KIND: 'tls', PORT: 9443 } }),
  app('eu:api'), app('eu:web'),
  app('(daemon)'),
  app('hub', { env: { SOCKET: '/srv/ferry/hub.sock' } }),
  app('ledger', { wait_ready: true, listen_timeout: 8000, env: { KIND: 'slow' } }),
  { name: 'pulse', script: '/srv/ferry/pulse.sh', interpreter: '/bin/sh', cwd: '/srv/ferry' },
  app('viewer', { watch: ['/srv/ferry/watched'] }),
  app('ticker', { cron_restart: '* * * * *' }),       // restarts by the clock, every minute
  app('nightly', { cron_restart: '0 4 * * *', autorestart: false, env: { KIND: 'once' } }),
  app('flapper', { env: { KIND: 'flapping' } }),
  app('wreck', { max_restarts: 2, min_uptime: '2s', env: { KIND: 'broken' } }),
  app('retired'),                                     // stopped on purpose
  app('queue-1'), app('queue-2'),
] };
