/** nginx that passes bytes through: what the operating system and C make possible. */
import { spawnSync } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { userInfo } from 'node:os';
import { PROXY_CORE, start, stop, untilReady } from '../runner/child.mjs';
import { freePort } from '../runner/free-port.mjs';

/** @type {import('./target.mjs').Target} */
export const nginx = {
  name: 'nginx',
  title: 'nginx pass-through',
  isCompiling: false,
  missing: () => (spawnSync('nginx', ['-v']).status === 0 ? undefined : 'nginx is not installed'),
  start: async ({ upstreamPort, dir }) => {
    const port = await freePort();
    const file = join(dir, 'nginx.conf');
    writeFileSync(file, configuration(dir, port, upstreamPort));
    const args = ['-p', dir, '-c', file, '-e', join(dir, 'nginx-error.log')];
    const child = start('nginx', args, { core: PROXY_CORE, stdio: ['ignore', 'ignore', 'inherit'] });
    await untilReady(`http://127.0.0.1:${port}/`, (status) => status === 404, child);
    return { port, pid: child.pid, stop: () => stop(child) };
  },
};

function configuration(dir, port, upstreamPort) {
  const temporary = ['client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi'];
  return `${userInfo().uid === 0 ? 'user root;' : ''}
daemon off;
worker_processes 1;
worker_rlimit_nofile 20000;
pid ${join(dir, 'nginx.pid')};
events { worker_connections 16000; }
http {
  access_log off;
  ${temporary.map((name) => `${name}_temp_path ${join(dir, name)};`).join('\n  ')}
  keepalive_timeout 1h;
  keepalive_requests 1000000000;
  client_max_body_size 8m;
  upstream mcp {
    server 127.0.0.1:${upstreamPort};
    keepalive 512;
    keepalive_requests 1000000000;
    keepalive_timeout 60s;
  }
  server {
    listen 127.0.0.1:${port} backlog=4096;
    location / {
      proxy_pass http://mcp;
      proxy_http_version 1.1;
      proxy_set_header Connection "";
      proxy_buffering off;
      proxy_read_timeout 1h;
    }
  }
}
`;
}
