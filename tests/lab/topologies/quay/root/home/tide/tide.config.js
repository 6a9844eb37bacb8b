// What runs under the user tide: namespaces, and names that the ferry has, too.
'use strict';
const app = (name, namespace, more = {}) => ({
  name, namespace, script: '/home/tide/app.js', cwd: '/home/tide', ...more, env: { APP: name, ...(more.env || {}) },
});
module.exports = { apps: [
  app('api', 'cargo'),
  app('loader', 'cargo', { exec_mode: 'cluster', instances: 2 }),
  app('mover', 'cargo', { exp_backoff_restart_delay: 200 }),
  app('fragile', 'cargo', { max_restarts: 4 }),
  app('gauge', 'depth'),
  app('api', 'depth'),                                // stopped on purpose; its namesake in cargo runs
  app('retired', 'depth'),                            // stopped on purpose
] };
