/**
 * What a work is: one thing clients do, its unit, and the goals of the gateway for it.
 *
 * @typedef {object} Goal
 * @property {string} figure one of `figures`
 * @property {string} [of] the target the goal is for; the gateway when absent
 * @property {string} against the target whose figure of the same round ours is divided by
 * @property {number} [atMost] ratio
 * @property {number} [atMostMore] difference, in the unit of the figure
 *
 * @typedef {object} Sizes
 * @property {number} idleSessions
 *
 * @typedef {object} Work
 * @property {string} name
 * @property {string} title
 * @property {string} unit
 * @property {string[]} figures what is read: see runner/figures.mjs
 * @property {Goal[]} goals
 * @property {string} [group] works of one group have a table of their own
 * @property {string[]} [targets] the only targets it is for
 * @property {Record<string, string>} [without] targets that cannot do it, and why
 * @property {boolean} [isOnlyInFull] a short run would take too long with it
 * @property {number} [warmUpUnits] what is to be done before the first round, if that can be done in reasonable time
 * @property {boolean} [isFreshEachRound] starts every target anew in each round
 * @property {boolean} [mayLose] a lost notification of a target that is not ours is a finding, not a failure
 * @property {string[]} [onlyInFull] targets that would take too long in a short run
 * @property {(port: number, sizes: Sizes, openPort?: number) => Promise<unknown>} prepare `openPort`: where sessions are opened,
 *   when calls go to another process than that
 * @property {(state: any, durationMs: number) => Promise<object>} measure
 * @property {(state: any) => Promise<object | void>} finish
 */
import { callUnit, closedLoop, openMany } from '../load/closed-loop.mjs';

const SESSIONS = 32;
const CALLS_PER_SESSION = 2;

/**
 * Calls on many sessions side by side: the three steps of most works.
 *
 * @param {object} options
 * @param {(port: number) => Promise<any>} options.open
 * @param {() => import('../load/calls.mjs').Call} options.newCall
 * @param {number} [options.sessions]
 * @param {number} [options.callsPerSession]
 */
export function callsOnSessions({ open, newCall, sessions = SESSIONS, callsPerSession = CALLS_PER_SESSION }) {
  return {
    prepare: async (port, _sizes, openPort = port) => {
      const { opened, failures } = await openMany(sessions, () => open(openPort));
      if (failures.length > 0) {
        closeAll(opened);
        throw new Error(`${failures.length} of ${sessions} sessions did not open: ${failures[0]}`);
      }
      if (openPort !== port) for (const client of opened) client.callAt(port);
      return opened;
    },
    measure: async (clients, durationMs) => {
      const units = clients.flatMap((client) =>
        Array.from({ length: callsPerSession }, () => callUnit(client, newCall)),
      );
      const figures = await closedLoop(units, durationMs);
      const strays = clients.reduce((sum, client) => sum + client.strays, 0);
      const firstFailure = figures.firstFailure ?? (strays > 0 ? 'an answer to nothing that was asked' : undefined);
      return { ...figures, wrong: figures.wrong + strays, firstFailure };
    },
    finish: async (clients) => closeAll(clients),
  };
}

/** @param {{ close(): void }[]} clients */
export function closeAll(clients) {
  for (const client of clients) client.close();
}
