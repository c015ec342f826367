/** Measures one work on all targets: round by round, each target once per round, so that what drifts on the machine hits all alike. */
import { needsDirect } from './figures.mjs';
import { cpuNs, rssKb } from './process-usage.mjs';

/** How often a work that wants many units is warmed up at most. */
const MAX_WARM_UPS = 4;

/**
 * @param {import('../works/work.mjs').Work} work
 * @param {object} run
 * @param {import('../targets/target.mjs').Target[]} run.targets
 * @param {import('./load.mjs').Load} run.load
 * @param {import('../targets/target.mjs').Surroundings} run.surroundings
 * @param {ReturnType<typeof import('./arguments.mjs').readArguments>} run.settings
 * @returns {Promise<Map<string, import('./figures.mjs').Round>[]>} by round and target
 */
export async function measureWork(work, run) {
  const targets = targetsFor(work, run);
  return work.isFreshEachRound === true ? await freshRounds(work, targets, run) : await warmRounds(work, targets, run);
}

function targetsFor(work, { targets, settings }) {
  return targets.filter(({ name, works }) => {
    if (works !== undefined && !works.includes(work.name)) return false;
    if (name === 'direct') return needsDirect(work.figures);
    if (work.targets !== undefined && !work.targets.includes(name)) return false;
    if (work.without?.[name] !== undefined) return false;
    return settings.mode === 'full' || work.onlyInFull?.includes(name) !== true;
  });
}

async function warmRounds(work, targets, run) {
  const { settings, surroundings } = run;
  const started = [];
  try {
    for (const { name, isCompiling, start } of targets) {
      const running = await start(surroundings);
      const entry = { name, running, failure: undefined };
      started.push(entry);
      const warmUp = isCompiling ? await warmedUp(work, running, run) : undefined;
      if (warmUp?.right === 0) entry.failure = warmUp;
    }
    const rounds = [];
    for (let index = 0; index < settings.rounds; index += 1) {
      const round = new Map();
      // Who could not do it once is not asked again: it may have taken a minute to find out.
      for (const { name, running, failure } of rotated(started, index))
        round.set(name, failure ?? (await measured(work, running, settings.measureMs, run)));
      rounds.push(round);
    }
    return rounds;
  } finally {
    await Promise.all(started.map(({ running }) => running.stop()));
  }
}

/** Goes on for what has not done its units yet, within limits. @returns what was measured last */
async function warmedUp(work, running, run) {
  const { warmUpMs } = run.settings;
  const { warmUpUnits = 0 } = work;
  let last = await measured(work, running, warmUpMs, run);
  let units = last.right;
  for (let times = 1; times < MAX_WARM_UPS && units < warmUpUnits && last.right > 0; times += 1) {
    last = await measured(work, running, warmUpMs, run);
    units += last.right;
  }
  return last;
}

async function freshRounds(work, targets, run) {
  const { settings, surroundings } = run;
  const rounds = [];
  for (let index = 0; index < settings.rounds; index += 1) {
    const round = new Map();
    for (const target of rotated(targets, index)) {
      const running = await target.start(surroundings);
      try {
        round.set(target.name, await measured(work, running, settings.measureMs, run));
      } finally {
        await running.stop();
      }
    }
    rounds.push(round);
  }
  return rounds;
}

/** Whoever comes first in a round comes later in the next. */
function rotated(list, by) {
  const start = by % list.length;
  return [...list.slice(start), ...list.slice(0, start)];
}

/** A target that cannot do the work has lost it; the run goes on. */
async function measured(work, running, durationMs, run) {
  try {
    return await once(work, running, durationMs, run);
  } catch (error) {
    return { right: 0, wrong: 0, lost: 1, firstFailure: error.message, cpuNs: 0, rssKb: 0 };
  }
}

async function once(work, { port, openPort, pids }, durationMs, { load, settings }) {
  try {
    await load.do('prepare', { work: work.name, port, openPort, sizes: settings.sizes });
    const before = usage(pids);
    const figures = await load.do('measure', { durationMs });
    const after = usage(pids);
    const last = await load.do('finish');
    return {
      ...figures,
      wrong: figures.wrong + (last.wrong ?? 0),
      lost: figures.lost + (last.lost ?? 0),
      firstFailure: figures.firstFailure ?? last.firstFailure,
      cpuNs: after.cpuNs - before.cpuNs,
      rssKb: after.rssKb - before.rssKb,
    };
  } catch (error) {
    await load.do('finish').catch(() => {});
    throw error;
  }
}

function usage(pids) {
  const sum = (read) => pids.reduce((total, pid) => total + read(pid), 0);
  return { cpuNs: sum(cpuNs), rssKb: sum(rssKb) };
}
