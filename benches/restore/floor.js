// The floor: the same processes, started through PM2's own container script by nothing but a loop, four at a time.
const { spawn } = require('child_process');
const [, , container, script, list, atOnce] = process.argv;
const names = list.split(',');
let running = 0;
const next = () => {
  while (running < Number(atOnce) && names.length > 0) {
    const name = names.shift();
    running += 1;
    const env = { ...process.env, name, pm_exec_path: script, pm_cwd: process.cwd(), NODE_APP_INSTANCE: '0', pmx: 'true',
      namespace: 'default', exec_mode: 'fork_mode', unique_id: name, status: 'launching', BURN: String(20 + (Number(name.slice(1)) * 7) % 30) };
    const child = spawn('node', [container], { env, detached: true, stdio: ['ignore', 'ignore', 'ignore', 'ipc'] });
    console.log(child.pid);
    let counted = false;
    const free = () => { if (!counted) { counted = true; running -= 1; next(); } };
    child.on('message', (message) => { if (message === 'ready') free(); });
    child.on('exit', free);
  }
};
next();
