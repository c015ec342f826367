import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import {
  appendFile,
  mkdir,
  mkdtemp,
  readdir,
  readFile,
  rename,
  rm,
  rmdir,
  stat,
  truncate,
  writeFile,
} from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import type { AuditFile } from '../../src/audit/audit-file.js';
import { type AuditContext, AuditLog } from '../../src/audit/audit-log.js';
import { CheckpointKeeper } from '../../src/audit/checkpoint-keeper.js';
import { AuditFileError, AuditKeyError } from '../../src/audit/errors.js';
import type { AuditEvent } from '../../src/audit/event.js';
import { AuditKey, auditKeyFile, readAuditKey, readOrCreateAuditKey } from '../../src/audit/key.js';
import type { AuditOptions } from '../../src/audit/options.js';
import { verifyAuditFiles } from '../../src/audit/verify.js';

const SECRET = 'a secret of the tests';
const key = new AuditKey(SECRET);
const decision: AuditEvent = {
  event: 'decision',
  route: 'sumit',
  tool: 'post_sms',
  effect: 'allow',
  layer: 'role',
  rule: 'r',
};

let folder: string;
let file: string;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'audit-'));
  file = join(folder, 'audit.jsonl');
});
afterEach(() => rm(folder, { recursive: true, force: true }));

function open(options: Partial<AuditOptions> = {}, context: Partial<AuditContext> = {}): Promise<AuditLog> {
  const all: AuditOptions = { file, key: SECRET, mode: 'best-effort', arguments: 'hash', ...options };
  return AuditLog.open(all, { replica: 'r1', ...context });
}

async function recordsOf(path: string): Promise<Record<string, unknown>[]> {
  const text = await readFile(path, 'utf8');
  expect(text === '' || text.endsWith('\n')).toBe(true);
  return text
    .split('\n')
    .slice(0, -1)
    .map((line): Record<string, unknown> => JSON.parse(line));
}

async function writeTrail(count: number): Promise<void> {
  const log = await open();
  for (let i = 0; i < count; i += 1) log.record(decision);
  await log.close();
}

describe('the trail', () => {
  test('has one line for each event, 50,000 of them, and a checkpoint every 1,000 records', async () => {
    const log = await open();
    for (let i = 0; i < 50_000; i += 1) {
      expect(log.record({ ...decision, decisionId: String(i) })).toBe(true);
      if (i % 500 === 0) await delay(0);
    }
    await log.close();
    const records = await recordsOf(file);
    expect(records.filter(({ event }) => event === 'decision').map(({ decisionId }) => decisionId)).toEqual(
      Array.from({ length: 50_000 }, (_, i) => String(i)),
    );
    const checkpoints = records.filter(({ event }) => event === 'checkpoint');
    expect(checkpoints.map(({ count }) => count)).toEqual(Array<number>(50).fill(1000));
    expect(log.stats).toEqual({ records: 50_050, dropped: 0, isFailing: false });
    expect(await verifyAuditFiles([file], key)).toMatchObject({ ok: true, records: 50_050, lost: 0, tornBytes: 0 });
  });

  test('is in the file within 200 ms and its checkpoint copied once it is on disk', async () => {
    const copies: string[] = [];
    const log = await open({}, { onCheckpoint: (line) => copies.push(line) });
    for (let i = 0; i < 1000; i += 1) log.record(decision);
    await delay(400);
    expect(await recordsOf(file)).toHaveLength(1001);
    await delay(800);
    expect(copies).toEqual([await readFile(`${file}.checkpoint`, 'utf8')]);
    await log.close();
  });

  test('a checkpoint is copied no earlier than its own line is on disk', async () => {
    const copies: string[] = [];
    const keeper = new CheckpointKeeper(file, (line) => copies.push(line));
    keeper.note('line 5\n', 5);
    await keeper.synced(4);
    expect([copies, await readdir(folder)]).toEqual([[], []]);
    await keeper.synced(5);
    await keeper.synced(6);
    expect([copies, await readFile(`${file}.checkpoint`, 'utf8')]).toEqual([['line 5\n'], 'line 5\n']);
  });

  test('goes on with its chain after a restart', async () => {
    await writeTrail(5);
    await writeTrail(5);
    expect((await recordsOf(file)).map(({ seq }) => seq)).toEqual([1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12]);
    expect(await verifyAuditFiles([file], key)).toMatchObject({ ok: true, records: 12 });
  });

  test('a start without events writes nothing', async () => {
    await (await open()).close();
    expect(await readFile(file, 'utf8')).toBe('');
  });

  test('no canary ever appears, whatever is kept of the arguments', async () => {
    const canaries = ['canary-value-1', 'canary.header.value2', 'eyJjYW5hcnkzIjoxfQ.eyJjYW5hcnkzIjoxfQ.canary3'];
    for (const mode of ['hash', 'redact', 'none'] as const) {
      const log = await open({ arguments: mode });
      log.record({
        ...decision,
        tool: `t Bearer ${canaries[1]}`,
        method: `m ${canaries[2]}`,
        reason: `upstream said: Authorization: Bearer ${canaries[1]}`,
        arguments: Buffer.from(
          JSON.stringify({ password: canaries[0], nested: [{ note: `Bearer ${canaries[1]}` }, canaries[2]] }),
        ),
      });
      await log.close();
    }
    const written = await readFile(file, 'utf8');
    for (const canary of canaries) expect(written).not.toContain(canary);
    expect((await recordsOf(file)).filter(({ argsHash }) => argsHash !== undefined)).toHaveLength(1);
  });

  test('is for its owner alone', async () => {
    const nested = join(folder, 'new', 'audit.jsonl');
    const log = await open({ file: nested, key: undefined });
    log.record(decision);
    await log.close();
    expect((await readdir(join(folder, 'new'))).toSorted()).toEqual([
      'audit.jsonl',
      'audit.jsonl.checkpoint',
      'audit.jsonl.key',
    ]);
    for (const name of await readdir(join(folder, 'new'))) {
      expect((await stat(join(folder, 'new', name))).mode & 0o777).toBe(0o600);
    }
  });

  test('a file that cannot be opened is a typed error', async () => {
    await writeFile(join(folder, 'plain'), '');
    await expect(open({ file: join(folder, 'plain', 'audit.jsonl') })).rejects.toBeInstanceOf(AuditFileError);
  });
});

describe('the key', () => {
  test('is made once, also by many at a time', async () => {
    const keyFile = auditKeyFile(file);
    const keys = await Promise.all(Array.from({ length: 20 }, () => readOrCreateAuditKey(keyFile)));
    expect(new Set(keys.map(({ id }) => id)).size).toBe(1);
    expect(await readdir(folder)).toEqual(['audit.jsonl.key']);
    expect((await readFile(keyFile, 'utf8')).trim()).toMatch(/^[0-9a-f]{64}$/);
  });

  test('the text of the key file, configured as key, is the same key', async () => {
    const made = await readOrCreateAuditKey(auditKeyFile(file));
    expect(new AuditKey((await readFile(auditKeyFile(file), 'utf8')).trim()).id).toBe(made.id);
  });

  test('an empty or missing key file is a typed error', async () => {
    await writeFile(auditKeyFile(file), ' \n');
    await expect(readAuditKey(auditKeyFile(file))).rejects.toBeInstanceOf(AuditKeyError);
    await expect(readOrCreateAuditKey(auditKeyFile(file))).rejects.toBeInstanceOf(AuditKeyError);
    await expect(readAuditKey(join(folder, 'none'))).rejects.toBeInstanceOf(AuditKeyError);
  });

  test('a trail of another key is moved aside, not overwritten', async () => {
    await writeTrail(3);
    const before = await readFile(file);
    const log = await open({ key: 'another' });
    log.record(decision);
    await log.close();
    const aside = (await readdir(folder)).find((name) => name.startsWith('audit.jsonl.unverified-')) ?? '';
    expect((await readFile(join(folder, aside))).equals(before)).toBe(true);
    expect(await recordsOf(file)).toMatchObject([
      { seq: 1, event: 'gap', reason: 'replaced' },
      { seq: 2, event: 'decision' },
      { seq: 3, event: 'checkpoint' },
    ]);
    expect(await verifyAuditFiles([file], new AuditKey('another'))).toMatchObject({ ok: true });
  });
});

describe('after a crash', () => {
  test('a torn last line is cut off, told in a gap, and verifies', async () => {
    await writeTrail(3);
    await appendFile(file, '{"event":"deci');
    expect(await verifyAuditFiles([file], key)).toMatchObject({ ok: true, records: 4, tornBytes: 14 });
    await writeTrail(1);
    expect((await recordsOf(file)).slice(4)).toMatchObject([
      { seq: 5, event: 'gap', reason: 'torn_line', tornBytes: 14 },
      { seq: 6, event: 'decision' },
      { seq: 7, event: 'checkpoint' },
    ]);
    expect(await verifyAuditFiles([file], key)).toMatchObject({ ok: true, records: 7, tornBytes: 0 });
  });

  test('a file that is nothing but a torn line is begun anew', async () => {
    await writeFile(file, '{"event":"deci');
    await writeTrail(1);
    expect(await recordsOf(file)).toMatchObject([
      { seq: 1, reason: 'torn_line', tornBytes: 14 },
      { seq: 2 },
      { seq: 3 },
    ]);
    expect(await verifyAuditFiles([file], key)).toMatchObject({ ok: true, records: 3 });
  });

  test('a last line that was changed cannot be continued, and is kept as evidence', async () => {
    await writeTrail(3);
    await appendFile(file, '{"event":"decision"}\n');
    await writeTrail(1);
    expect((await readdir(folder)).some((name) => name.startsWith('audit.jsonl.unverified-'))).toBe(true);
    expect(await recordsOf(file)).toMatchObject([
      { seq: 5, event: 'checkpoint', reason: 'continued' },
      { seq: 6, event: 'gap', reason: 'replaced' },
      { seq: 7, event: 'decision' },
      { seq: 8, event: 'checkpoint' },
    ]);
    expect(await verifyAuditFiles([file], key)).toMatchObject({ ok: true, firstSeq: 5 });
  });

  test('records cut off before a restart stay missed after it', async () => {
    await writeTrail(10);
    const lines = (await readFile(file, 'utf8')).split('\n');
    await writeFile(file, `${lines.slice(0, 6).join('\n')}\n`);
    await writeTrail(20);
    expect((await recordsOf(file))[6]).toMatchObject({ event: 'gap', reason: 'truncated', lost: 5 });
    expect(await verifyAuditFiles([file], key)).toMatchObject({ ok: false, line: 7 });
  });

  test('kill -9 in the middle of writing leaves a trail that verifies and goes on', async () => {
    const script = `
      const { AuditLog } = await import(${JSON.stringify(join(process.cwd(), 'src/audit/audit-log.ts'))});
      const log = await AuditLog.open(
        { file: ${JSON.stringify(file)}, key: ${JSON.stringify(SECRET)}, mode: 'best-effort', arguments: 'hash' },
        { replica: 'r1' },
      );
      for (let i = 0; ; i += 1) {
        log.record({ event: 'decision', reason: 'x'.repeat(4000) });
        if (i % 50 === 0) await new Promise(setImmediate);
        if (i === 500) process.stdout.write('writing');
      }`;
    for (let round = 0; round < 3; round += 1) {
      const child = spawn(process.execPath, ['--import', 'tsx', '--input-type=module', '--eval', script], {
        stdio: ['ignore', 'pipe', 'inherit'],
      });
      const exited = once(child, 'exit');
      await once(child.stdout, 'data');
      await delay(50 + round * 37);
      child.kill('SIGKILL');
      await exited;
      expect(await verifyAuditFiles([file], key)).toMatchObject({ ok: true });
    }
    await writeTrail(1);
    const verdict = await verifyAuditFiles([file], key);
    expect(verdict).toMatchObject({ ok: true, tornBytes: 0, lost: 0 });
    expect(verdict.ok && verdict.records).toBeGreaterThan(500);
  });
});

describe('a disk that takes nothing', () => {
  /** The real file, behind a disk that can be filled. */
  async function openOnDisk(mode: AuditOptions['mode'], maxBuffered = 10_000) {
    const disk = { room: Number.POSITIVE_INFINITY };
    const { openAuditFile } = await import('../../src/audit/audit-file.js');
    const openFile = async (path: string): Promise<AuditFile> => {
      const real = await openAuditFile(path);
      return {
        ...real,
        write: async (bytes) => {
          if (disk.room === 0) throw Object.assign(new Error('no space left on device'), { code: 'ENOSPC' });
          const written = await real.write(bytes.subarray(0, Math.min(bytes.length, disk.room)));
          disk.room -= written;
          return written;
        },
      };
    };
    const problems: string[] = [];
    const log = await open(
      { mode },
      {
        openFile,
        maxBuffered,
        onFailure: (error) => problems.push(error.message),
        onRecovery: () => problems.push('recovered'),
      },
    );
    return { disk, log, problems };
  }

  test('best-effort lives on, counts what it drops, and says so as soon as there is room', async () => {
    const { disk, log, problems } = await openOnDisk('best-effort');
    for (let i = 0; i < 10; i += 1) log.record(decision);
    disk.room = 1234;
    let accepted = 10;
    for (let i = 0; i < 500; i += 1) accepted += log.record(decision) ? 1 : 0;
    await log.flush();
    expect(accepted).toBeLessThan(100);
    expect(log.healthy).toBe(true);
    expect(log.stats).toMatchObject({ dropped: 510 - accepted, isFailing: true });
    disk.room = Number.POSITIVE_INFINITY;
    await log.flush();
    log.record(decision);
    await log.close();
    const records = await recordsOf(file);
    expect(records.filter(({ event }) => event === 'decision')).toHaveLength(accepted + 1);
    expect(records.at(-3)).toMatchObject({ event: 'gap', reason: 'dropped', lost: 510 - accepted });
    expect(problems).toEqual([`audit file "${file}" cannot be written: no space left on device`, 'recovered']);
    expect(await verifyAuditFiles([file], key)).toMatchObject({ ok: true, lost: 510 - accepted });
  });

  test('what was dropped last is told on close', async () => {
    const { disk, log } = await openOnDisk('best-effort', 1000);
    disk.room = 0;
    for (let i = 0; i < 50; i += 1) log.record(decision);
    disk.room = Number.POSITIVE_INFINITY;
    await log.close();
    expect(await verifyAuditFiles([file], key)).toMatchObject({ ok: true, lost: log.stats.dropped });
    expect(log.stats.dropped).toBeGreaterThan(40);
  });

  test('strict is unhealthy until records are written again', async () => {
    const { disk, log } = await openOnDisk('strict');
    expect(log.healthy).toBe(true);
    disk.room = 0;
    log.record(decision);
    await log.flush();
    expect(log.healthy).toBe(false);
    disk.room = Number.POSITIVE_INFINITY;
    await delay(500);
    expect(log.healthy).toBe(true);
    await log.close();
    expect(log.healthy).toBe(false);
    expect(await verifyAuditFiles([file], key)).toMatchObject({ ok: true, records: 2 });
  });

  test('close does not hang, and says that records are lost', async () => {
    const { disk, log } = await openOnDisk('best-effort');
    disk.room = 0;
    log.record(decision);
    await expect(log.close()).rejects.toThrow('2 records are lost');
  });

  test.runIf(existsSync('/dev/full'))('the real ENOSPC of /dev/full', async () => {
    const { openAuditFile } = await import('../../src/audit/audit-file.js');
    const problems: string[] = [];
    const log = await open(
      { mode: 'strict' },
      { openFile: () => openAuditFile('/dev/full'), onFailure: (error) => problems.push(error.message) },
    );
    log.record(decision);
    await log.flush();
    expect(log.healthy).toBe(false);
    expect(problems).toHaveLength(1);
    expect(problems[0]).toContain('ENOSPC');
    await expect(log.close()).rejects.toBeInstanceOf(AuditFileError);
  });
});

describe('rotation', () => {
  test('goes on in the new file, whose first line names the last hash of the old one', async () => {
    const log = await open();
    for (let i = 0; i < 3; i += 1) log.record(decision);
    await rename(file, `${file}.1`);
    log.record(decision);
    const reopened = log.reopen();
    log.record(decision);
    await reopened;
    await log.close();
    const [old, current] = [await recordsOf(`${file}.1`), await recordsOf(file)];
    expect(old.map(({ seq }) => seq)).toEqual([1, 2, 3, 4]);
    expect(current).toMatchObject([
      { seq: 5, event: 'checkpoint', reason: 'continued', prev: old.at(-1)?.['hash'], count: 4 },
      { seq: 6, event: 'decision' },
      { seq: 7, event: 'checkpoint' },
    ]);
    expect(await verifyAuditFiles([`${file}.1`, file], key)).toMatchObject({ ok: true, records: 7, firstSeq: 1 });
    expect(await verifyAuditFiles([file], key)).toMatchObject({ ok: true, records: 3, firstSeq: 5 });
    expect(await verifyAuditFiles([`${file}.1`], key)).toMatchObject({ ok: true, records: 4 });
    expect(await verifyAuditFiles([file, `${file}.1`], key)).toMatchObject({ ok: false, line: 1 });
  });

  test('loses nothing under load, over and over', async () => {
    const log = await open();
    for (let round = 1; round <= 5; round += 1) {
      for (let i = 0; i < 200; i += 1) log.record(decision);
      await rename(file, `${file}.${round}`);
      for (let i = 0; i < 200; i += 1) log.record(decision);
      await log.reopen();
    }
    await log.close();
    const files = [1, 2, 3, 4, 5].map((round) => `${file}.${round}`);
    const verdict = await verifyAuditFiles([...files, file], key);
    expect(verdict).toMatchObject({ ok: true, lost: 0 });
    const counts = await Promise.all(
      [...files, file].map(async (path) => (await recordsOf(path)).filter(({ event }) => event === 'decision').length),
    );
    expect(counts).toEqual([400, 400, 400, 400, 400, 0]);
  });

  test('a signal without a moved file is harmless', async () => {
    const log = await open();
    log.record(decision);
    await log.reopen();
    log.record(decision);
    await log.close();
    expect(await verifyAuditFiles([file], key)).toMatchObject({ ok: true, records: 4 });
  });

  test('a file moved away while the gateway was down goes on with the numbers of its chain', async () => {
    await writeTrail(3);
    await rename(file, `${file}.1`);
    await writeTrail(3);
    expect((await recordsOf(file))[0]).toMatchObject({ seq: 5, event: 'checkpoint', reason: 'continued' });
    expect(await verifyAuditFiles([`${file}.1`, file], key)).toMatchObject({ ok: true, firstSeq: 1, lastSeq: 9 });
  });

  test('a file cut to nothing is begun with the numbers of its chain, so that the loss shows', async () => {
    await writeTrail(3);
    await truncate(file, 0);
    await writeTrail(1);
    expect(await verifyAuditFiles([file], key)).toMatchObject({ ok: true, firstSeq: 5 });
  });

  test('a new file that cannot be opened is tried again, and nothing is lost meanwhile', async () => {
    const log = await open();
    log.record(decision);
    await rename(file, `${file}.1`);
    await mkdir(file);
    await log.reopen();
    expect(log.stats.isFailing).toBe(true);
    log.record(decision);
    await rmdir(file);
    await log.close();
    expect(await verifyAuditFiles([`${file}.1`, file], key)).toMatchObject({ ok: true, records: 4 });
  });
});
