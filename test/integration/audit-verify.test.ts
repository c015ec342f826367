import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { AuditLog } from '../../src/audit/audit-log.js';
import { AuditKey } from '../../src/audit/key.js';
import { type AuditVerification, verifyAuditFiles } from '../../src/audit/verify.js';

/** Two replicas under one key, 1000 records each: the most alike that two trails can be. */
const SECRET = 'a secret of the tests';
const key = new AuditKey(SECRET);
const RECORDS = 1000;

let folder: string;
let mutated: string;
let lines: string[];
let foreignLines: string[];
const copies: string[] = [];

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'audit-verify-'));
  mutated = join(folder, 'mutated.jsonl');
  lines = await trailOf('a', copies);
  foreignLines = await trailOf('b', []);
  await writeFile(`${mutated}.checkpoint`, await readFile(join(folder, 'a.jsonl.checkpoint')));
});
afterAll(() => rm(folder, { recursive: true, force: true }));

async function trailOf(name: string, checkpoints: string[]): Promise<string[]> {
  const file = join(folder, `${name}.jsonl`);
  const log = await AuditLog.open(
    { file, key: SECRET, mode: 'best-effort', arguments: 'hash' },
    // Even the clock and the name are the same.
    { replica: 'r', clock: { now: () => 0, wallTimeMs: () => 0 }, onCheckpoint: (line) => checkpoints.push(line) },
  );
  for (let i = 1; i < RECORDS; i += 1) {
    log.record({
      event: 'decision',
      decisionId: `${name}${i}`,
      tool: 'post_sms',
      effect: i % 2 === 0 ? 'allow' : 'deny',
    });
  }
  await log.close();
  const text = await readFile(file, 'utf8');
  return text.split('\n').slice(0, -1);
}

async function verifyLines(changed: readonly string[]): Promise<AuditVerification> {
  await writeFile(mutated, changed.map((line) => `${line}\n`).join(''));
  return verifyAuditFiles([mutated], key);
}

/** A trail cut down to what a mutation touches would hide bugs, so every mutation is made in the whole. */
async function expectFoundAt(changed: readonly string[], line: number): Promise<void> {
  const verdict = await verifyLines(changed);
  if (verdict.ok) throw new Error(`a change at line ${line} was not found`);
  expect(verdict).toMatchObject({ file: mutated, line });
}

describe('verifyAuditFiles', () => {
  test('accepts the untouched trail', async () => {
    expect(await verifyLines(lines)).toEqual({
      ok: true,
      records: RECORDS,
      firstSeq: 1,
      lastSeq: RECORDS,
      lost: 0,
      tornBytes: 0,
    });
  });

  test('finds the change of any single record', { timeout: 120_000 }, async () => {
    for (let i = 0; i < RECORDS; i += 1) {
      const line = lines[i] ?? '';
      const changed = line.includes('allow') ? line.replace('allow', 'deny') : line.replace('"seq":', '"seq":1');
      await expectFoundAt(lines.with(i, changed), i + 1);
    }
  });

  test('finds the deletion of any single record', { timeout: 120_000 }, async () => {
    for (let i = 0; i < RECORDS; i += 1) await expectFoundAt(lines.toSpliced(i, 1), i + 1);
  });

  test('finds a record repeated', { timeout: 120_000 }, async () => {
    for (let i = 0; i < RECORDS; i += 13) await expectFoundAt(lines.toSpliced(i, 0, lines[i] ?? ''), i + 2);
  });

  test('finds any two neighbours swapped', { timeout: 120_000 }, async () => {
    for (let i = 0; i + 1 < RECORDS; i += 1) {
      await expectFoundAt(lines.toSpliced(i, 2, lines[i + 1] ?? '', lines[i] ?? ''), i + 1);
    }
  });

  test('finds a record replaced by its counterpart of another replica', { timeout: 120_000 }, async () => {
    for (let i = 1; i + 1 < RECORDS; i += 13) {
      await expectFoundAt(lines.with(i, foreignLines[i] ?? ''), i + 1);
    }
    // The first record of a chain has none before it; the one after it does not fit.
    await expectFoundAt(lines.with(0, foreignLines[0] ?? ''), 2);
  });

  test('finds a record of another replica added', { timeout: 120_000 }, async () => {
    for (let i = 1; i < RECORDS; i += 13) await expectFoundAt(lines.toSpliced(i, 0, foreignLines[i] ?? ''), i + 1);
  });

  test('finds any cut of the end, down to the newest checkpoint', { timeout: 120_000 }, async () => {
    for (let i = 0; i < RECORDS; i += 1) await expectFoundAt(lines.slice(0, i), i + 1);
  });

  test('finds an end replaced by that of another replica', { timeout: 120_000 }, async () => {
    for (let i = 1; i < RECORDS; i += 13) await expectFoundAt([...lines.slice(0, i), ...foreignLines.slice(i)], i + 1);
    await expectFoundAt(foreignLines, RECORDS);
  });
});

describe('what it says', () => {
  test.each<[what: string, change: () => string[], problem: RegExp]>([
    ['a change', () => lines.with(10, (lines[10] ?? '').replace('post_sms', 'get_sms')), /was changed/],
    ['missing records', () => lines.toSpliced(10, 3), /^3 records before this one are missing$/],
    ['a missing head', () => lines.slice(5), /before this one are missing/],
    ['a repeat', () => lines.toSpliced(10, 0, lines[9] ?? ''), /out of place or repeated/],
    ['another chain', () => lines.with(10, foreignLines[10] ?? ''), /another chain/],
    [
      'a missing end',
      () => lines.slice(0, 900),
      /the end is missing: a checkpoint of record 1000 is known, the last record here is 900/,
    ],
    ['an empty line', () => lines.toSpliced(10, 0, ''), /was changed/],
    ['space behind a line', () => lines.with(10, `${lines[10]} `), /was changed/],
    ['a carriage return', () => lines.with(10, `${lines[10]}\r`), /was changed/],
  ])('names %s', async (_what, change, problem) => {
    const verdict = await verifyLines(change());
    expect(verdict.ok ? '' : verdict.problem).toMatch(problem);
  });

  test('names the number that a changed record claims', async () => {
    const verdict = await verifyLines(lines.with(10, (lines[10] ?? '').replace('post_sms', 'get_sms')));
    expect(verdict).toMatchObject({ ok: false, line: 11, seq: 11 });
  });
});

describe('checkpoints', () => {
  test('a copy kept elsewhere shows a cut even when the one beside the file is gone', async () => {
    const lonely = join(folder, 'lonely.jsonl');
    await writeFile(lonely, `${lines.slice(0, 500).join('\n')}\n`);
    expect(await verifyAuditFiles([lonely], key)).toMatchObject({ ok: true, records: 500 });
    expect(await verifyAuditFiles([lonely], key, copies)).toMatchObject({ ok: false, line: 501 });
  });

  test('a changed copy is named', async () => {
    await writeFile(`${mutated}.checkpoint`, (copies.at(-1) ?? '').replace('"count":', '"count":1'));
    expect(await verifyLines(lines)).toMatchObject({ ok: false, file: `${mutated}.checkpoint`, line: 1 });
  });

  test('an ordinary record is no checkpoint', async () => {
    await writeFile(`${mutated}.checkpoint`, `${lines[3]}\n`);
    expect(await verifyLines(lines)).toMatchObject({ ok: false, file: `${mutated}.checkpoint` });
  });
});

test('the wrong key fails at the first record', async () => {
  expect(await verifyAuditFiles([join(folder, 'a.jsonl')], new AuditKey('wrong'))).toMatchObject({
    ok: false,
    line: 1,
    seq: 1,
  });
});

test('an endless line is refused without reading it whole', async () => {
  const endless = join(folder, 'endless.jsonl');
  await writeFile(endless, Buffer.alloc(5 * 1024 * 1024, 'x'));
  expect(await verifyAuditFiles([endless], key)).toMatchObject({ ok: false, line: 1 });
});

test('a torn line is for the last file only', async () => {
  const [first, second] = [join(folder, 'first.jsonl'), join(folder, 'second.jsonl')];
  await writeFile(first, `${lines.slice(0, 10).join('\n')}\n{"event"`);
  await writeFile(second, `${lines.slice(10).join('\n')}\n`);
  expect(await verifyAuditFiles([first, second], key)).toMatchObject({ ok: false, file: second });
  expect(await verifyAuditFiles([first], key)).toMatchObject({ ok: true, records: 10, tornBytes: 8 });
});

test('a file that is not there is an error, not a verdict', async () => {
  await expect(verifyAuditFiles([join(folder, 'none.jsonl')], key)).rejects.toThrow('ENOENT');
});
