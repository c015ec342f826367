/** The gateway as it is built and as people run it: one file that names the upstreams, everything else left alone, its log at info. */
import { closeSync, openSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { PROXY_CORE, start, stop, untilReady } from '../runner/child.mjs';
import { freePort } from '../runner/free-port.mjs';
import { ROUTES } from '../routes.mjs';

/** Logs are kept after the run, so that a failure can be looked into. */
const RESULTS = fileURLToPath(new URL('../results/', import.meta.url));
const MAIN = fileURLToPath(new URL('../../dist/cli/main.js', import.meta.url));

/** @type {import('./target.mjs').Target} */
export const gateway = newTarget('gateway', 'mcp-gateway', plainConfiguration);

/** The same with everything on that can be decided, counted and written down about a call. */
/** @type {import('./target.mjs').Target} */
export const ruled = {
  ...newTarget('ruled', 'mcp-gateway with policy, limits, audit', ruledConfiguration),
  works: ['echo-sse', 'tools-list'],
};

/** Other builds, to be measured beside this one in the same rounds: OTHER_BUILD has the paths of their `dist`, with a colon between them. */
export const OTHER_BUILDS = (process.env.OTHER_BUILD ?? '')
  .split(':')
  .filter(Boolean)
  .map((path, index) => ({ suffix: index === 0 ? '' : `-${index + 1}`, main: join(path, 'cli/main.js') }));

/** @type {import('./target.mjs').Target[]} */
export const otherBuilds = OTHER_BUILDS.map(({ suffix, main }) =>
  newTarget(`other-build${suffix}`, 'mcp-gateway, another build', plainConfiguration, main),
);

/** @returns {import('./target.mjs').Target} */
function newTarget(name, title, configuration, main = MAIN) {
  return {
    name,
    title,
    isCompiling: true,
    isOurs: true,
    start: async (run) => {
      const { port, child } = await startGateway(name, (free) => configuration(free, run.upstreamPort, run.dir), run, {
        main,
      });
      return { port, pids: [child.pid], stop: () => stop(child) };
    },
  };
}

/**
 * @param {string} name of its files
 * @param {(port: number) => string} configuration
 * @param {Pick<import('./target.mjs').Surroundings, 'dir' | 'profileDir'>} run
 * @param {{ main?: string, core?: number }} [where]
 */
export async function startGateway(name, configuration, { dir, profileDir }, { main = MAIN, core = PROXY_CORE } = {}) {
  const port = await freePort();
  const file = join(dir, `${name}.yaml`);
  writeFileSync(file, configuration(port));
  const profileName = `--cpu-prof-name=${name}-${Date.now()}.cpuprofile`;
  const profile = profileDir === undefined ? [] : ['--cpu-prof', `--cpu-prof-dir=${profileDir}`, profileName];
  const args = [...profile, main, '--config', file];
  const logFile = join(RESULTS, `${name}.log`);
  const log = openSync(logFile, 'w');
  const child = start(process.execPath, args, { core, stdio: ['ignore', log, log] });
  closeSync(log);
  await untilReady(`http://127.0.0.1:${port}/readyz`, (status) => status === 200, child).catch((error) => {
    throw new Error(`the gateway did not start; its log is ${logFile}`, { cause: error });
  });
  return { port, child };
}

function ruledConfiguration(port, upstreamPort, dir) {
  const roles = Array.from({ length: 20 }, (_, index) =>
    index === 0
      ? '      user: { allow: ["*"], deny: ["*_forbidden"] }'
      : `      role${index}: { inherits: [user], allow: ["tool_${index}_*"] }`,
  );
  const rules = Array.from(
    { length: 199 },
    (_, index) => `      - { match: "other_${index}_*", effect: deny, reason: "not here" }`,
  );
  return `${plainConfiguration(port, upstreamPort, dir, ', policy: bench, role: user')}
policies:
  bench:
    version: "2.0"
    name: Bench
    default: deny
    roles:
${roles.join('\n')}
    tools:
${rules.join('\n')}
      - match: echo
        arguments: { type: object, properties: { text: { type: string, maxLength: 64 } }, required: [text] }
        when: 'size(args.text) < 64 && tool == "echo"'
rateLimits:
  limits:
    - { name: per-caller, per: [principal], limit: 100000000/h }
    - { name: per-tool, per: [principal, tool], limit: 100000000/h }
audit: { file: ${JSON.stringify(join(dir, 'audit.jsonl'))} }
`;
}

/** Its upstreams, all defaults; `more` goes into each upstream. */
export function plainConfiguration(port, upstreamPort, _dir, more = '') {
  const upstreams = Object.values(ROUTES).map(
    ({ prefix, path }) => `  - { url: "http://127.0.0.1:${upstreamPort}${path}", prefix: ${prefix}${more} }`,
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
