/** The command line of the runner, as settings of one run. */
import { parseArgs } from 'node:util';
import { TARGETS } from '../targets/registry.mjs';
import { findWork, WORKS } from '../works/registry.mjs';

const SHORT = { mode: 'short', rounds: 3, warmUpMs: 2500, measureMs: 600, sizes: { idleSessions: 1000 } };
const FULL = { mode: 'full', rounds: 7, warmUpMs: 8000, measureMs: 2000, sizes: { idleSessions: 5000 } };

export const USAGE = `npm run bench -- [--full] [--only WORK,...] [--targets NAME,...] [--rounds N] [--prof] [--save]

  --full      every work, more and longer rounds, 5,000 idle sessions
  --only      ${WORKS.map((work) => work.name).join(', ')}
  --targets   ${TARGETS.map((target) => target.name).join(', ')}
  --rounds    how often each target is measured
  --prof      writes a CPU profile of the gateway to bench/results for each work
  --save      writes bench/results/latest.json and the table in docs/performance.md
`;

/**
 * @param {string[]} argv
 * @throws {Error} an option, a work or a target that does not exist
 */
export function readArguments(argv) {
  const text = { type: 'string' };
  const flag = { type: 'boolean', default: false };
  const options = { full: flag, only: text, targets: text, rounds: text, prof: flag, save: flag, help: flag };
  const { values } = parseArgs({ args: argv, options });
  const base = values.full ? FULL : SHORT;
  const rounds = values.rounds === undefined ? base.rounds : Number(values.rounds);
  if (!Number.isInteger(rounds) || rounds < 1) throw new Error('--rounds wants a whole number from 1');
  const { help, prof, save } = values;
  const works = values.only === undefined ? worksOf(base.mode) : values.only.split(',').map(findWork);
  const targets = values.targets === undefined ? TARGETS : pickTargets(values.targets.split(','));
  if (save && (works !== WORKS || targets !== TARGETS))
    throw new Error('--save wants --full, every work and every target');
  return { ...base, rounds, works, targets, help, prof, save };
}

function worksOf(mode) {
  return mode === 'full' ? WORKS : WORKS.filter((work) => work.isOnlyInFull !== true);
}

/** `direct` comes along: added latency is what a target takes beyond it. */
function pickTargets(names) {
  for (const name of names)
    if (!TARGETS.some((target) => target.name === name)) throw new Error(`there is no target "${name}"`);
  return TARGETS.filter((target) => target.name === 'direct' || names.includes(target.name));
}
