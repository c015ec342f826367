/** Runs the benchmark: starts the synthetic server and the load, measures each work on each target, reports. */
import { mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { readArguments, USAGE } from './runner/arguments.mjs';
import { canPin, LOAD_CORE, startServer, stop } from './runner/child.mjs';
import { Load } from './runner/load.mjs';
import { measureWork } from './runner/measure-work.mjs';
import { conditions, conditionsText, resultsDir, save, writeRun } from './runner/report.mjs';
import { summarize } from './runner/summary.mjs';
import { tables } from './runner/table.mjs';
import { TARGETS } from './targets/registry.mjs';

const UPSTREAM = fileURLToPath(new URL('./upstream/main.mjs', import.meta.url));
/** Whose failures say that the run is worth nothing, or the gateway wrong. The others may fail: that is a finding. */
const MUST_NOT_FAIL = TARGETS.filter(({ isOurs }) => isOurs === true).map(({ name }) => name);

function say(line) {
  process.stderr.write(`${line}\n`);
}

function availableTargets(targets) {
  return targets.filter((target) => {
    const missing = target.missing?.();
    if (missing !== undefined) say(`${target.name}: skipped, ${missing}`);
    return missing === undefined;
  });
}

/** @param {(measured: object) => void} onWork called after each work with all that were measured so far */
async function measureAll(settings, targets, dir, onWork) {
  const upstream = await startServer(UPSTREAM, [], LOAD_CORE);
  const load = new Load();
  const profileDir = settings.prof ? resultsDir : undefined;
  const surroundings = { upstreamPort: upstream.port, dir, profileDir };
  const measured = {};
  try {
    for (const work of settings.works) {
      const startedAtMs = performance.now();
      measured[work.name] = await measureWork(work, { targets, load, surroundings, settings });
      say(`${work.name}: ${Math.round((performance.now() - startedAtMs) / 1000)} s`);
      onWork(measured);
    }
  } finally {
    await Promise.all([load.stop(), stop(upstream.child)]);
  }
  return measured;
}

function failures(works) {
  return Object.entries(works).flatMap(([name, { targets }]) =>
    MUST_NOT_FAIL.filter((target) => (targets[target]?.wrong ?? 0) + (targets[target]?.lost ?? 0) > 0).map(
      (target) => `${name}: ${target} failed: ${targets[target].firstFailure}`,
    ),
  );
}

function summaries(settings, measured) {
  const done = settings.works.filter((work) => measured[work.name] !== undefined);
  return Object.fromEntries(done.map((work) => [work.name, summarize(work, measured[work.name])]));
}

/** A run that was broken off leaves what it had. */
function keep(settings, facts, measured) {
  const rounds = Object.fromEntries(
    Object.entries(measured).map(([name, all]) => [name, all.map((round) => Object.fromEntries(round))]),
  );
  return writeRun(facts, { conditions: facts, works: summaries(settings, measured), rounds });
}

function report(settings, targets, facts, measured) {
  const works = summaries(settings, measured);
  const text = `${conditionsText(facts)}\n\n${tables(works, targets)}`;
  if (settings.save) save({ conditions: facts, works }, text);
  process.stdout.write(`${text}\n`);
  say(`\nwritten to ${keep(settings, facts, measured)}`);
  const failed = failures(works);
  for (const line of failed) say(line);
  return failed.length === 0 ? 0 : 1;
}

async function run(settings) {
  if (!canPin) say('not pinned: that takes two cores and taskset, so expect more noise');
  const facts = conditions(settings);
  const targets = availableTargets(settings.targets);
  mkdirSync(resultsDir, { recursive: true });
  const dir = mkdtempSync(join(tmpdir(), 'mcp-gateway-bench-'));
  process.on('exit', () => rmSync(dir, { recursive: true, force: true }));
  const measured = await measureAll(settings, targets, dir, (some) => keep(settings, facts, some));
  return report(settings, targets, facts, measured);
}

async function main() {
  let settings;
  try {
    settings = readArguments(process.argv.slice(2));
  } catch (error) {
    say(`${error.message}\n\n${USAGE}`);
    return 64;
  }
  if (!settings.help) return await run(settings);
  process.stdout.write(USAGE);
  return 0;
}

// Children die with us: see runner/child.mjs.
for (const signal of ['SIGINT', 'SIGTERM']) process.on(signal, () => process.exit(1));
process.exitCode = await main();
