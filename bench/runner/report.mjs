/** Where results go: a file per run that git ignores, and on request the saved result and the table in the documentation. */
import { execFileSync } from 'node:child_process';
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { cpus, loadavg, release } from 'node:os';
import { fileURLToPath } from 'node:url';
import { canPin } from './child.mjs';

const RESULTS = new URL('../results/', import.meta.url);
const DOCUMENT = new URL('../../docs/performance.md', import.meta.url);
const BEGIN = '<!-- results: written by `npm run bench -- --save` -->';
const END = '<!-- end of results -->';

export const resultsDir = fileURLToPath(RESULTS);

/** What the figures depend on. @param {{ mode: string, rounds: number }} settings */
export function conditions({ mode, rounds }) {
  return {
    date: new Date().toISOString(),
    commit: commit(),
    mode,
    rounds,
    node: process.version,
    kernel: release(),
    cpu: cpus()[0]?.model ?? 'unknown',
    cores: cpus().length,
    pinned: canPin,
    loadAverageAtStart: Number((loadavg()[0] ?? 0).toFixed(2)),
  };
}

function commit() {
  try {
    return execFileSync('git', ['describe', '--always', '--dirty'], { cwd: resultsDir, encoding: 'utf8' }).trim();
  } catch {
    return 'unknown';
  }
}

/** @param {{ date: string }} conditions @param {object} result */
export function writeRun({ date }, result) {
  mkdirSync(RESULTS, { recursive: true });
  const file = new URL(`${date.replaceAll(':', '-')}.json`, RESULTS);
  writeFileSync(file, json(result));
  return fileURLToPath(file);
}

/** @param {object} summary without the rounds @param {string} text the table */
export function save(summary, text) {
  writeFileSync(new URL('latest.json', RESULTS), json(summary));
  const document = readFileSync(DOCUMENT, 'utf8');
  const [before, rest] = split(document, BEGIN);
  const [, after] = split(rest, END);
  writeFileSync(DOCUMENT, `${before}${BEGIN}\n\n${text}\n\n${END}${after}`);
}

function split(text, mark) {
  const at = text.indexOf(mark);
  if (at === -1) throw new Error(`docs/performance.md has no line "${mark}"`);
  return [text.slice(0, at), text.slice(at + mark.length)];
}

function json(value) {
  return `${JSON.stringify(value, null, 2)}\n`;
}

/** @param {ReturnType<typeof conditions>} facts */
export function conditionsText(facts) {
  const pinned = facts.pinned ? 'proxy pinned to one core, server and load to another' : 'not pinned';
  const machine = `${facts.cores} cores (${facts.cpu}), Node ${facts.node}, Linux ${facts.kernel}, ${pinned}`;
  const load = `load average at the start ${facts.loadAverageAtStart}`;
  return `${facts.date.slice(0, 10)}, commit ${facts.commit}, ${facts.mode} run, ${facts.rounds} rounds: ${machine}; ${load}.`;
}
