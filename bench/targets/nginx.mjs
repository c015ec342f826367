/** nginx that passes bytes through: what the operating system and C make possible. */
import { spawnSync } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { userInfo } from 'node:os';
import { PROXY_CORE, start, stop, untilReady } from '../runner/child.mjs';
import { freePort } from '../runner/free-port.mjs';

/** @returns {string | undefined} */
export function missingNginx() {
  return spawnSync('nginx', ['-v']).status === 0 ? undefined : 'nginx is not installed';
}

/** @type {import('./target.mjs').Target} */
export const nginx = {
  name: 'nginx',
  title: 'nginx pass-through',
  isCompiling: false,
  missing: missingNginx,
  start: async ({ upstreamPort, dir }) => {
    const { child, port } = await startNginx({ name: 'nginx', ports: [upstreamPort], dir, core: PROXY_CORE });
    await untilReady(`http://127.0.0.1:${port}/`, (status) => status === 404, child);
    return { port, pids: [child.pid], stop: () => stop(child) };
  },
};

/**
 * One worker that spreads requests over `ports` in turn.
 *
 * @param {{ name: string, ports: number[], dir: string, core: number }} options
 */
export async function startNginx({ name, ports, dir, core }) {
  const port = await freePort();
  const file = join(dir, `${name}.conf`);
  writeFileSync(file, configuration(name, dir, port, ports));
  const args = ['-p', dir, '-c', file, '-e', join(dir, `${name}-error.log`)];
  return { port, child: start('nginx', args, { core, stdio: ['ignore', 'ignore', 'inherit'] }) };
}

function configuration(name, dir, port, ports) {
  const temporary = ['client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi'];
  return `${userInfo().uid === 0 ? 'user root;' : ''}
daemon off;
worker_processes 1;
worker_rlimit_nofile 20000;
pid ${join(dir, `${name}.pid`)};
events { worker_connections 16000; }
http {
  access_log off;
  ${temporary.map((kind) => `${kind}_temp_path ${join(dir, kind)};`).join('\n  ')}
  keepalive_timeout 1h;
  keepalive_requests 1000000000;
  client_max_body_size 8m;
  upstream mcp {
    ${ports.map((each) => `server 127.0.0.1:${each};`).join('\n    ')}
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
      proxy_set_header Host $http_host;
      proxy_buffering off;
      proxy_read_timeout 1h;
    }
  }
}
`;
}
