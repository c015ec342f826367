/** The watcher by itself: what counts as a change, and what may lie where files are expected. */
import { mkdir, mkdtemp, rename, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { ConfigWatcher } from '../../src/config/watch.js';
import { delay, waitFor } from '../helpers/wait.js';

let directory: string;
let watcher: ConfigWatcher;
let changes: number;
let problems: string[];

beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'mcp-gateway-watch-'));
  changes = 0;
  problems = [];
  const onChange = (): void => {
    changes += 1;
  };
  watcher = new ConfigWatcher({ onChange, onProblem: (reason) => problems.push(reason) });
});

afterEach(async () => {
  await watcher.close();
  await rm(directory, { recursive: true });
  expect(problems).toEqual([]);
});

const path = (name: string): string => join(directory, name);
const changed = (count: number): Promise<unknown> => waitFor(`change ${count}`, () => changes === count);

test('several writes in a row are one change', async () => {
  await writeFile(path('a'), '1');
  watcher.watch([path('a')], Date.now() + 1000);
  for (const text of ['2', '3', '4']) {
    await writeFile(path('a'), text);
    await delay(30);
  }
  await changed(1);
  await delay(400);
  expect(changes).toBe(1);
});

test('what changed while it was read counts, once', async () => {
  const readAtMs = Date.now() - 1000;
  await writeFile(path('a'), '1');
  watcher.watch([path('a')], readAtMs);
  await changed(1);
  watcher.watch([path('a')], readAtMs);
  await delay(400);
  expect(changes).toBe(1);
});

test('a directory that comes later is seen with what is in it', async () => {
  watcher.watch([path('routes')], Date.now());
  await delay(300);
  await mkdir(path('routes'));
  await changed(1);
  watcher.watch([path('routes')], Date.now());
  await writeFile(join(path('routes'), 'a.yaml'), '');
  await changed(2);
});

test('links that lead nowhere, in circles or through files do no harm', async () => {
  await symlink('nowhere', path('dangling'));
  await symlink('circle', path('circle'));
  await writeFile(path('file'), '');
  const files = [path('dangling'), path('circle'), join(path('file'), 'below'), path('good')];
  watcher.watch(files, Date.now() + 1000);
  await writeFile(path('new'), '1');
  await rename(path('new'), path('good'));
  await changed(1);
  await writeFile(path('nowhere'), '1');
  await changed(2);
});
