import { mkdtempSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { beforeEach, describe, expect, test } from 'vitest';
import { AuditLog } from '../../../src/audit/audit-log.js';
import { cli } from './helpers.js';

const SECRET = 'a secret of thirty-two characters';

let cwd: string;
beforeEach(() => {
  cwd = mkdtempSync(join(tmpdir(), 'verify-'));
});

async function open(key?: string): Promise<AuditLog> {
  const file = join(cwd, 'audit.jsonl');
  const options = { file, mode: 'strict', arguments: 'hash', ...(key === undefined ? {} : { key }) } as const;
  return AuditLog.open(options, { replica: 'r1' });
}

async function write(key?: string): Promise<void> {
  const log = await open(key);
  for (let count = 0; count < 5; count += 1) log.record({ event: 'decision', tool: 'a', effect: 'allow' });
  await log.close();
}

const verify = (words: string[] = ['audit.jsonl'], env: Record<string, string> = {}) =>
  cli(['audit', 'verify', ...words], { cwd, env });

describe('audit verify finds the key', () => {
  test('beside the file', async () => {
    await write();
    expect(await verify()).toEqual({ code: 0, out: 'ok: 6 record(s), 1 to 6\n', err: '' });
  });

  test('in the environment', async () => {
    await write(SECRET);
    expect((await verify(['audit.jsonl'], { MCP_GATEWAY_AUDIT_KEY: SECRET })).code).toBe(0);
  });

  test('in the named file, before all others', async () => {
    await write(SECRET);
    writeFileSync(join(cwd, 'key'), `${SECRET}\n`);
    writeFileSync(join(cwd, 'audit.jsonl.key'), 'wrong');
    const words = ['--key-file', 'key', 'audit.jsonl'];
    expect((await verify(words, { MCP_GATEWAY_AUDIT_KEY: 'wrong' })).code).toBe(0);
    expect((await verify(['audit.jsonl'], { MCP_GATEWAY_AUDIT_KEY: 'wrong' })).code).toBe(1);
  });

  test('or ends with 66', async () => {
    await write(SECRET);
    expect(await verify()).toEqual({
      code: 66,
      out: '',
      err: 'mcp-gateway: no key: give --key-file, set MCP_GATEWAY_AUDIT_KEY, or put it into audit.jsonl.key\n',
    });
    expect(await verify(['--key-file', 'none', 'audit.jsonl'])).toMatchObject({
      code: 66,
      err: 'mcp-gateway: cannot read none: no such file\n',
    });
    writeFileSync(join(cwd, 'audit.jsonl.key'), '\n');
    expect(await verify()).toMatchObject({ code: 66, err: expect.stringContaining('is empty') });
  });
});

describe('audit verify', () => {
  test('names file, line, number and problem of the first bad record', async () => {
    await write();
    const file = join(cwd, 'audit.jsonl');
    const lines = readFileSync(file, 'utf8').split('\n');
    lines[2] = (lines[2] ?? '').replace('"allow"', '"deny"');
    writeFileSync(file, lines.join('\n'));
    expect(await verify()).toEqual({
      code: 1,
      out: 'audit.jsonl:3: record 3: this record was changed, or written under another key\n',
      err: '',
    });
  });

  test('finds a record that was taken out', async () => {
    await write();
    const file = join(cwd, 'audit.jsonl');
    const lines = readFileSync(file, 'utf8').split('\n');
    writeFileSync(file, lines.toSpliced(1, 1).join('\n'));
    expect(await verify()).toMatchObject({
      code: 1,
      out: 'audit.jsonl:2: record 3: 1 records before this one are missing\n',
    });
  });

  test('reads the files of one chain in order, with the key of the current one', async () => {
    const log = await open();
    log.record({ event: 'decision', tool: 'a', effect: 'allow' });
    await log.flush();
    renameSync(join(cwd, 'audit.jsonl'), join(cwd, 'audit.jsonl.1'));
    await log.reopen();
    log.record({ event: 'decision', tool: 'b', effect: 'allow' });
    await log.close();
    expect(await verify(['audit.jsonl.1', 'audit.jsonl'])).toMatchObject({ code: 0, out: 'ok: 4 record(s), 1 to 4\n' });
    expect(await verify(['audit.jsonl'])).toMatchObject({
      code: 0,
      out: 'ok: 3 record(s), 2 to 4; earlier files of the chain were not given\n',
    });
    expect((await verify(['audit.jsonl', 'audit.jsonl.1'])).code).toBe(1);
  });

  test('mentions an unfinished last line', async () => {
    await write();
    writeFileSync(join(cwd, 'audit.jsonl'), '{"a', { flag: 'a' });
    expect(await verify()).toMatchObject({
      code: 0,
      out: 'ok: 6 record(s), 1 to 6; an unfinished line of 3 byte(s) stands at the end\n',
    });
  });

  test('ends with 66 for a file that is not there, and for a directory', async () => {
    await write();
    rmSync(join(cwd, 'audit.jsonl'));
    expect(await verify()).toMatchObject({ code: 66, err: 'mcp-gateway: cannot read audit.jsonl: no such file\n' });
    expect(await verify(['.'])).toMatchObject({ code: 66, err: 'mcp-gateway: cannot read .: it is no file\n' });
  });
});
