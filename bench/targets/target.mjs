/**
 * @typedef {object} Surroundings
 * @property {number} upstreamPort
 * @property {string} dir for configuration and logs; removed after the run
 * @property {string | undefined} profileDir where a CPU profile is wanted
 *
 * @typedef {object} Running
 * @property {number} port where calls go
 * @property {number} [openPort] where sessions are opened, when that is elsewhere
 * @property {number[]} pids of what is measured
 * @property {() => Promise<void>} stop
 *
 * @typedef {object} Target
 * @property {string} name
 * @property {string} title
 * @property {() => string | undefined} [missing] why it cannot run on this machine
 * @property {string[]} [works] the only works it is there for
 * @property {boolean} [isOurs] a wrong or lost answer fails the run
 * @property {boolean} isCompiling gets faster while it runs, so it is warmed up
 * @property {(surroundings: Surroundings) => Promise<Running>} start
 */
import { fileURLToPath } from 'node:url';
import { PROXY_CORE, startServer, stop } from '../runner/child.mjs';

/** @param {string} name of a program in targets/servers */
export async function startNodeProxy(name, upstreamPort) {
  const file = fileURLToPath(new URL(`./servers/${name}.mjs`, import.meta.url));
  const { child, port } = await startServer(file, [String(upstreamPort)], PROXY_CORE);
  return { port, pids: [child.pid], stop: () => stop(child) };
}
