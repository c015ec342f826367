import { mkdtemp, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { makeFolder } from '../../../src/core/make-folder.js';

let directory: string;
beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'folder-'));
});
afterEach(() => rm(directory, { recursive: true, force: true }));

test('a folder is made with all that is missing above it, by however many at once, and may be there already', async () => {
  const path = join(directory, 'a', 'b', 'c');
  await Promise.all(Array.from({ length: 10 }, () => makeFolder(path, 0o700)));
  await makeFolder(path, 0o755);
  for (const made of [path, join(directory, 'a')]) expect((await stat(made)).mode & 0o777).toBe(0o700);
});

test('where a file is in the way, none is made', async () => {
  await writeFile(join(directory, 'file'), '');
  await expect(makeFolder(join(directory, 'file'), 0o700)).rejects.toThrow('EEXIST');
  await expect(makeFolder(join(directory, 'file', 'below'), 0o700)).rejects.toThrow();
});

test('where the system makes none, that is said and not tried for ever', async () => {
  await expect(makeFolder('/proc/missing/below', 0o700)).rejects.toThrow("mkdir '/proc");
});
