/** What is read of a target in a round, and how. */

/**
 * @typedef {object} Round one target in one round
 * @property {number} right units whose answer was the right one
 * @property {number} wrong
 * @property {number} lost
 * @property {string} [firstFailure]
 * @property {number} cpuNs used while measuring
 * @property {number} rssKb grown while measuring
 * @property {number | null} [p50Us]
 * @property {number | null} [p99Us]
 */

/** @type {Record<string, { title: string, unit: string, read: (round: Round, direct: Round | undefined) => number | undefined }>} */
export const FIGURES = {
  cpuUs: { title: 'CPU', unit: 'µs', read: (round) => perUnit(round.cpuNs / 1000, round) },
  rssKb: { title: 'memory', unit: 'kB', read: (round) => perUnit(round.rssKb, round) },
  p50Us: { title: 'p50', unit: 'µs', read: (round) => round.p50Us ?? undefined },
  addedP50Us: { title: 'added p50', unit: 'µs', read: (round, direct) => added(round.p50Us, direct?.p50Us) },
  addedP99Us: { title: 'added p99', unit: 'µs', read: (round, direct) => added(round.p99Us, direct?.p99Us) },
};

function perUnit(amount, { right }) {
  return right === 0 ? undefined : amount / right;
}

function added(us, directUs) {
  return us == null || directUs == null ? undefined : us - directUs;
}

/** @param {string[]} figures of a work */
export function needsDirect(figures) {
  return figures.some((figure) => figure.startsWith('added'));
}
