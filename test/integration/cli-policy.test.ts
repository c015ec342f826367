/** The `policy` commands against a real redis-server, and a replica that sees what they do. */
import { mkdirSync, mkdtempSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { loadConfig } from '../../src/config/load.js';
import { systemClock } from '../../src/core/clock.js';
import { openPolicyShelf } from '../../src/gateway/policies/open-policy-shelf.js';
import { SharedPolicies } from '../../src/gateway/policies/shared-policies.js';
import { freePort } from '../helpers/free-port.js';
import { printed, startNode } from '../helpers/child.js';
import { startRedis, type TestRedis } from '../helpers/redis.js';
import { RecordingLogger } from '../helpers/start-gateway.js';
import { cli } from '../unit/cli/helpers.js';

const SECRET = 'a-secret-of-this-test-fleet';
const policyText = (tool: string): string => `version: "1.0"\nname: ${tool}\ndefault: deny\nallow: [${tool}]\n`;
const configText = (url: string): string => `redis: { url: "${url}" }
cluster: { secret: "\${FLEET_SECRET}" }
policy: { env: { REGION: eu } }
policies:
  production: policies/production.yaml
  inline: { version: "1.0", name: Inline, default: deny }
upstreams:
  - { url: "http://a.com", prefix: a, policy: production, role: user }
`;

let redis: TestRedis;
let cwd: string;
beforeAll(async () => {
  redis = await startRedis();
});
afterAll(() => redis.stop());
beforeEach(async () => {
  await redis.cli('FLUSHALL');
  cwd = mkdtempSync(join(tmpdir(), 'cli-policy-'));
  mkdirSync(join(cwd, 'policies'));
  write('policies/production.yaml', policyText('of_file'));
  write('gateway.yaml', configText(redis.url));
});

const write = (file: string, text: string): void => writeFileSync(join(cwd, file), text);
const env = { FLEET_SECRET: SECRET, MCP_GATEWAY_AUTHOR: 'ann@desk' };
const policy = (...words: string[]) => cli(['policy', ...words], { cwd, env });

/** Hash of the policy, as `push` prints it. */
async function push(tool: string, ...more: string[]): Promise<string> {
  write('next.yaml', policyText(tool));
  const { code, out, err } = await policy('push', 'production', 'next.yaml', ...more);
  expect({ code, err }).toMatchObject({ code: 0 });
  return /-> ([0-9a-f]{64})\n$/.exec(out)?.[1] ?? '';
}

async function rows(...words: string[]): Promise<Record<string, unknown>[]> {
  return JSON.parse((await policy(...words, '--json')).out) as Record<string, unknown>[];
}

const productionHash = async (): Promise<unknown> => (await rows('show'))[0]?.['hash'];

describe('push', () => {
  test('says what ruled and what rules, on standard output', async () => {
    const ofFile = await productionHash();
    write('next.yaml', policyText('first'));
    const first = await policy('push', 'production', 'next.yaml');
    expect(first).toMatchObject({ code: 0, err: 'pushed by ann@desk; it rules on all replicas within a second\n' });
    expect(first.out).toMatch(new RegExp(`^production: ${String(ofFile)} -> [0-9a-f]{64}\\n$`));
    const again = await policy('push', 'production', 'next.yaml');
    expect(again.err).toBe('this is what rules already on all replicas\n');
    expect(await rows('history', 'production')).toHaveLength(1);
  });

  test('of something invalid says where, and stores nothing', async () => {
    write(
      'bad.yaml',
      'version: "2.0"\nname: x\ndefault: deny\nrols: {}\ntools:\n  - { match: x, when: env.REGON == "eu" }\n',
    );
    const bad = await policy('push', 'production', 'bad.yaml');
    expect(bad).toMatchObject({ code: 78, out: '' });
    expect(bad.err).toMatch(/^bad\.yaml:4:1: .*\(did you mean "roles"\?\)\n/);
    write('bad.yaml', 'version: "2.0"\nname: x\ndefault: deny\ntools:\n  - { match: x, when: env.REGON == "eu" }\n');
    const unset = await policy('push', 'production', 'bad.yaml');
    expect(unset).toMatchObject({ code: 78, out: '' });
    expect(unset.err).toMatch(/^bad\.yaml:5:\d+: policy\.env has no "REGON" \(did you mean "REGION"\?\)\n/);
    write('bad.yaml', '');
    writeFileSync(join(cwd, 'bad.yaml'), Buffer.from([0x76, 0xff]));
    expect(await policy('push', 'production', 'bad.yaml')).toMatchObject({
      code: 78,
      err: 'bad.yaml:1:1: it is not valid UTF-8\n',
    });
    expect(await redis.cli('DBSIZE')).toBe('0');
  });

  test('warns of a role that the policy does not know', async () => {
    write('next.yaml', 'version: "2.0"\nname: x\ndefault: deny\nroles: { admin: { allow: ["*"] } }\n');
    const { code, err } = await policy('push', 'production', 'next.yaml');
    expect(code).toBe(0);
    expect(err).toContain('warning: the policy does not know "user", the role of the route a');
  });

  test('with --if-hash takes place only on what it names', async () => {
    const ofFile = String(await productionHash());
    const first = await push('first', '--if-hash', ofFile.slice(0, 8));
    write('next.yaml', policyText('second'));
    const late = await policy('push', 'production', 'next.yaml', '--if-hash', ofFile);
    expect(late).toEqual({
      code: 1,
      out: '',
      err: `mcp-gateway: policy "production" is not ${ofFile} but ${first}; nothing was changed\n`,
    });
    expect(await productionHash()).toBe(first);
    await push('second', '--if-hash', first);
    expect(await policy('push', 'production', 'next.yaml', '--if-hash', 'nonsense')).toMatchObject({ code: 64 });
  });

  test('takes the author from the machine when none is named', async () => {
    write('next.yaml', policyText('first'));
    await cli(['policy', 'push', 'production', 'next.yaml'], { cwd, env: { FLEET_SECRET: SECRET } });
    expect((await rows('history', 'production'))[0]?.['author']).toMatch(/^\S+@\S+$/);
  });
});

describe('what cannot be', () => {
  test.each([
    [['push', 'prodution', 'policies/production.yaml']],
    [['show', 'prodution']],
    [['history', 'prodution']],
    [['rollback', 'prodution']],
  ])('%j: a name that the configuration does not have', async (words) => {
    expect(await policy(...words)).toEqual({
      code: 78,
      out: '',
      err: 'gateway.yaml: no policy is called "prodution" (did you mean "production"?)\n',
    });
  });

  test.each([
    [['push', 'production', 'policies/production.yaml']],
    [['show']],
    [['history', 'production']],
    [['rollback', 'production', '--to-file']],
  ])('%j without redis', async (words) => {
    write('gateway.yaml', configText(redis.url).replace(/^(redis|cluster).*\n/gm, ''));
    const { code, out, err } = await policy(...words);
    expect({ code, out }).toEqual({ code: 78, out: '' });
    expect(err).toContain('gateway.yaml: what is pushed is kept in Redis, and this configuration has none');
  });

  test.each([
    [['push', 'production', 'policies/production.yaml']],
    [['show']],
    [['history', 'production']],
    [['rollback', 'production', '--to-file']],
  ])('%j while Redis is away', async (words) => {
    const port = await freePort();
    write('gateway.yaml', configText(`redis://user:canary@127.0.0.1:${port}`));
    const { code, out, err } = await policy(...words);
    expect({ code, out }).toEqual({ code: 69, out: '' });
    expect(err).toMatch(/^mcp-gateway: Redis at .*127\.0\.0\.1:\d+.* does not answer.*; nothing was changed\n$/);
    expect(err).not.toContain('canary');
  });

  test('a file that is not there, and a rollback to two things', async () => {
    expect(await policy('push', 'production', 'none.yaml')).toMatchObject({ code: 66 });
    expect(await policy('rollback', 'production', 'abcdef12', '--to-file')).toMatchObject({ code: 64 });
    expect(await policy('rollback', 'production', 'xyz')).toMatchObject({ code: 64 });
    expect(await policy('rollback', 'production', 'abcdef12')).toMatchObject({ code: 1 });
    expect(await policy('rollback', 'production')).toMatchObject({ code: 1, out: '' });
    expect(await policy('rollback', 'production', '--to-file')).toMatchObject({ code: 1, out: '' });
  });

  test('reading what was pushed under another secret', async () => {
    await push('first');
    const stranger = { cwd, env: { ...env, FLEET_SECRET: 'another-secret-altogether' } };
    const one = await cli(['policy', 'show', 'production'], stranger);
    expect(one).toMatchObject({ code: 78, out: '' });
    expect(one.err).toContain('what was pushed as "production" cannot be read with this cluster.secret');
    expect((await cli(['policy', 'show'], stranger)).out).toMatch(/^production +- +unreadable/m);
  });
});

describe('show', () => {
  test('lists what rules and where it comes from', async () => {
    const before = Date.now();
    const hash = await push('first');
    const { code, out, err } = await policy('show');
    expect({ code, err }).toEqual({ code: 0, err: '' });
    const [head = '', production = '', inline = ''] = out.split('\n');
    expect(head).toMatch(/^NAME +HASH +FROM +TIME +AUTHOR$/);
    expect(production).toMatch(new RegExp(`^production +${hash} +pushed +\\S+Z +ann@desk$`));
    expect(inline).toMatch(/^inline +[0-9a-f]{64} +file +- +-$/);
    const [row] = await rows('show');
    expect(row).toMatchObject({ name: 'production', hash, source: 'pushed', author: 'ann@desk' });
    expect(Date.parse(String(row?.['at']))).toBeGreaterThanOrEqual(before);
  });

  test('prints the text of one: the pushed one, else that of the file', async () => {
    expect(await policy('show', 'production')).toEqual({ code: 0, out: policyText('of_file'), err: '' });
    await push('first');
    expect(await policy('show', 'production')).toEqual({ code: 0, out: policyText('first'), err: '' });
    expect(await rows('show', 'production')).toMatchObject({ source: 'pushed', text: policyText('first') });
    expect(await policy('show', 'inline')).toMatchObject({ code: 0, out: '' });
    expect((await policy('show', 'inline')).err).toMatch(/^inline is written in gateway\.yaml:6/);
  });
});

describe('rollback', () => {
  test('goes back one push at a time, to a hash, and to the file', async () => {
    const ofFile = String(await productionHash());
    const [first, second, third] = [await push('first'), await push('second'), await push('third')];
    expect(await policy('rollback', 'production')).toEqual({
      code: 0,
      out: `production: ${third} -> ${second}\n`,
      err: 'rolled back by ann@desk; it rules on all replicas within a second\n',
    });
    expect((await policy('rollback', 'production')).out).toBe(`production: ${second} -> ${first}\n`);
    expect((await policy('rollback', 'production', third.slice(0, 10))).out).toBe(`production: ${first} -> ${third}\n`);
    expect((await policy('rollback', 'production', '--to-file')).out).toBe(
      `production: ${third} -> ${ofFile} (file)\n`,
    );
    expect((await policy('rollback', 'production', '--to-file')).err).toContain('this is what rules already');
    expect(await rows('show')).toMatchObject([{ hash: ofFile, source: 'file', author: 'ann@desk' }, {}]);
    expect((await rows('history', 'production')).map(({ action, hash }) => [action, hash])).toEqual([
      ['file', null],
      ['rollback', third],
      ['rollback', first],
      ['rollback', second],
      ['push', third],
      ['push', second],
      ['push', first],
    ]);
    const { out } = await policy('history', 'production');
    expect(out.split('\n')[0]).toMatch(/^TIME +ACTION +HASH +AUTHOR$/);
    expect(out.split('\n')[7]).toMatch(new RegExp(`^\\S+Z +push +${first} +ann@desk$`));
  });

  test('to a push that does not compile any more is refused', async () => {
    write('next.yaml', 'version: "2.0"\nname: x\ndefault: deny\ntools:\n  - { match: x, when: env.REGION == "eu" }\n');
    expect(await policy('push', 'production', 'next.yaml')).toMatchObject({ code: 0 });
    const second = await push('second');
    write('gateway.yaml', configText(redis.url).replace('REGION: eu', 'ZONE: eu'));
    const refused = await policy('rollback', 'production');
    expect(refused).toMatchObject({ code: 78, out: '' });
    expect(refused.err).toMatch(/^pushed:production@[0-9a-f]{8}:5:\d+: policy\.env has no "REGION"/);
    expect(await productionHash()).toBe(second);
  });

  test('has nothing to list before the first push', async () => {
    expect(await policy('history', 'production')).toEqual({
      code: 0,
      out: '',
      err: 'nothing was pushed as production\n',
    });
    expect(await rows('history', 'production')).toEqual([]);
  });
});

describe('a replica', () => {
  const closing: (() => Promise<void>)[] = [];
  afterEach(async () => {
    for (const close of closing.splice(0)) await close();
  });

  test('takes over what was pushed, gets Redis back what it lost, and follows a rollback to the file', async () => {
    const base = await loadConfig({ file: 'gateway.yaml', cwd, env });
    const logger = new RecordingLogger();
    const opened = await openPolicyShelf(base, logger);
    if (opened === undefined) throw new Error('no redis in the configuration');
    let inForce = base;
    const subject = new SharedPolicies({
      shelf: opened.shelf,
      file: { read: () => Promise.resolve({ states: [], unreadable: [] }), write: () => Promise.resolve() },
      logger,
      clock: systemClock,
      audit: undefined,
      onChange: () => {
        inForce = subject.apply(inForce);
      },
    });
    closing.push(
      () => subject.close(),
      () => opened.close(),
    );
    const heartbeat = async (): Promise<string | undefined> => {
      subject.check(await opened.shelf.version(), inForce);
      await subject.settled();
      return inForce.policies.get('production')?.hash;
    };
    await subject.open(base);
    inForce = subject.apply(base);
    const ofFile = await heartbeat();
    const first = await push('first');
    expect(await heartbeat()).toBe(first);
    await redis.cli('FLUSHALL');
    expect(await heartbeat()).toBe(first);
    expect(await productionHash()).toBe(first);
    expect((await rows('history', 'production')).map(({ hash }) => hash)).toEqual([first]);
    await policy('rollback', 'production', '--to-file');
    expect(await heartbeat()).toBe(ofFile);
  });
});

test('as a process, a push ends by itself, with what it printed', async () => {
  const child = startNode(
    ['--import', 'tsx', 'src/cli/main.ts', 'policy', 'push', 'production', join(cwd, 'policies/production.yaml')],
    { env: { ...env, MCP_GATEWAY_CONFIG: join(cwd, 'gateway.yaml'), NODE_NO_WARNINGS: '1' } },
  );
  await printed(child, /(within a second)/);
  await new Promise((resolve) => {
    if (child.process.exitCode !== null) resolve(undefined);
    child.process.once('exit', resolve);
  });
  expect(child.process.exitCode).toBe(0);
});
