import { spawnSync } from 'node:child_process';
import { mkdtemp, readFile, rm, utimes, writeFile } from 'node:fs/promises';
import { hostname, tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { FileClaim } from '../../../src/audit/file-claim.js';

let directory: string;
let file: string;
beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'claim-'));
  file = join(directory, 'audit.log');
});
afterEach(() => rm(directory, { recursive: true, force: true }));

const claimedBy = (pid: number, host = hostname()) => writeFile(`${file}.claim`, JSON.stringify({ pid, host }));
/** Of a process that has ended. */
const deadPid = () => spawnSync(process.execPath, ['-e', '']).pid;

test('is taken once, and again when it was given back', async () => {
  const claim = await FileClaim.take(file);
  expect(JSON.parse(await readFile(`${file}.claim`, 'utf8'))).toEqual({ pid: process.pid, host: hostname() });
  await claim?.release();
  const again = await FileClaim.take(file);
  expect(again).toBeDefined();
  await again?.release();
});

test('is left to a process that lives, on this machine or another', async () => {
  await claimedBy(process.ppid);
  expect(await FileClaim.take(file)).toBeUndefined();
  await claimedBy(1, 'another-machine');
  expect(await FileClaim.take(file)).toBeUndefined();
});

test.each([
  ['a process that has ended', async () => claimedBy(deadPid())],
  ['this process in an earlier life of its container', async () => claimedBy(process.pid)],
  [
    'a machine that has not been heard of for long',
    async () => {
      await claimedBy(1, 'another-machine');
      await utimes(`${file}.claim`, new Date(0), new Date(Date.now() - 120_000));
    },
  ],
])('is taken from %s', async (_, leave) => {
  await leave();
  const claim = await FileClaim.take(file);
  expect(claim).toBeDefined();
  await claim?.release();
});

test('of many that want it one gets it', async () => {
  await claimedBy(deadPid());
  const claims = await Promise.all(Array.from({ length: 10 }, () => FileClaim.take(file)));
  expect(claims.filter((claim) => claim !== undefined).length).toBeLessThanOrEqual(1);
  for (const claim of claims) await claim?.release();
});
