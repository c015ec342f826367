/** The gateway as it is built and as people run it: one file that names the upstreams, everything else left alone, its log at info. */
import { closeSync, openSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { PROXY_CORE, start, stop, untilReady } from '../runner/child.mjs';
import { freePort } from '../runner/free-port.mjs';
import { ROUTES } from '../routes.mjs';

/** Kept after the run, so that a failure can be looked into. */
const LOG = fileURLToPath(new URL('../results/gateway.log', import.meta.url));
const MAIN = fileURLToPath(new URL('../../dist/cli/main.js', import.meta.url));

/** @type {import('./target.mjs').Target} */
export const gateway = {
  name: 'gateway',
  title: 'mcp-gateway',
  isCompiling: true,
  start: async ({ upstreamPort, dir, profileDir }) => {
    const port = await freePort();
    const file = join(dir, 'gateway.yaml');
    writeFileSync(file, configuration(port, upstreamPort));
    const profile = profileDir === undefined ? [] : ['--cpu-prof', `--cpu-prof-dir=${profileDir}`];
    const args = [...profile, MAIN, '--config', file];
    const log = openSync(LOG, 'w');
    const child = start(process.execPath, args, { core: PROXY_CORE, stdio: ['ignore', log, log] });
    closeSync(log);
    await untilReady(`http://127.0.0.1:${port}/readyz`, (status) => status === 200, child).catch((error) => {
      throw new Error(`the gateway did not start; its log is ${LOG}`, { cause: error });
    });
    return { port, pid: child.pid, stop: () => stop(child) };
  },
};

function configuration(port, upstreamPort) {
  const upstreams = Object.values(ROUTES).map(
    ({ prefix, path }) => `  - { url: "http://127.0.0.1:${upstreamPort}${path}", prefix: ${prefix} }`,
  );
  return `version: 1
server:
  port: ${port}
  drain: { timeout: 1s }
logging: { level: info }
upstreams:
${upstreams.join('\n')}
`;
}
