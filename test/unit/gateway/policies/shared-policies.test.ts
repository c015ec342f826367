import { mkdtempSync, readFileSync, statSync, writeFileSync, mkdirSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { beforeEach, describe, expect, test } from 'vitest';
import type { AuditEvent } from '../../../../src/audit/event.js';
import { Sealer } from '../../../../src/cluster/sealer.js';
import { ClusterSecrets } from '../../../../src/cluster/secrets.js';
import type { GatewayConfig } from '../../../../src/config/config.js';
import { parseConfig } from '../../../../src/config/load.js';
import { ConfigError } from '../../../../src/config/problem.js';
import { PushedPolicyFile, pushedPolicyFile } from '../../../../src/gateway/policies/pushed-policy-file.js';
import { SharedPolicies } from '../../../../src/gateway/policies/shared-policies.js';
import { parsePolicy } from '../../../../src/policy/parse.js';
import type { PolicyState, PushedPolicy } from '../../../../src/redis/policy-record.js';
import type { ShelfEntry } from '../../../../src/redis/policy-shelf.js';
import { RecordingLogger } from '../../../helpers/start-gateway.js';

const policyText = (tool: string): string => `version: "1.0"\nname: ${tool}\ndefault: deny\nallow: [${tool}]\n`;

/** Its file allows `of_file`. */
function configOf(more = '', names = ['p']): GatewayConfig {
  const policies = names.map(
    (name) => `  ${name}: ${JSON.stringify({ version: '1.0', name: 'f', default: 'deny', allow: ['of_file'] })}`,
  );
  const text = `upstreams: [{ url: https://mcp.sumit.com/sse, policy: ${names[0]} }]\npolicies:\n${policies.join('\n')}\n${more}`;
  return parseConfig(text, '<stdin>', { env: {}, cwd: '/nonexistent' });
}

function hashOf(text: string): string {
  const document = parsePolicy(text, 'x');
  if (Array.isArray(document)) return 'f'.repeat(64);
  return (document as { hash: string }).hash;
}

function pushed(revision: number, text: string, name = 'p'): PushedPolicy {
  const change = { revision, pushed: revision, author: 'ann@host', atMs: revision };
  return { name, source: 'pushed', ...change, hash: hashOf(text), text, format: 'yaml' };
}

const toFile = (revision: number): PolicyState => ({
  name: 'p',
  source: 'file',
  revision,
  pushed: 1,
  author: 'bob@host',
  atMs: revision,
});

class FakeShelf {
  readonly entries = new Map<string, ShelfEntry>();
  version = 0;
  isAway = false;
  reads = 0;
  readonly kept: PolicyState[] = [];

  put(state: PolicyState): void {
    this.entries.set(state.name, { name: state.name, revision: state.revision, state });
    this.version += 1;
  }

  all(): Promise<ShelfEntry[]> {
    this.reads += 1;
    return this.isAway ? Promise.reject(new Error('away')) : Promise.resolve([...this.entries.values()]);
  }

  keep(state: PolicyState): Promise<boolean> {
    this.kept.push(state);
    const isNewer = (this.entries.get(state.name)?.revision ?? 0) < state.revision;
    if (isNewer) this.put(state);
    return Promise.resolve(isNewer);
  }
}

const sealerOf = (secret: string): Sealer => new Sealer(new ClusterSecrets([secret]).keysFor('payload'));

let directory: string;
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'shared-policies-'));
});

function replica(shelf: FakeShelf, { base = configOf(), secret = 'a-secret-of-the-fleet' } = {}) {
  const path = pushedPolicyFile(join(directory, 'gateway.yaml'), '/nonexistent');
  const log = new RecordingLogger();
  const audited: AuditEvent[] = [];
  const inForce: GatewayConfig[] = [];
  const time = { nowMs: 0 };
  const seams = { refuses: false };
  const subject = new SharedPolicies({
    shelf,
    file: new PushedPolicyFile(path, sealerOf(secret)),
    logger: log,
    clock: { now: () => time.nowMs, wallTimeMs: () => 0 },
    audit: { record: (event) => audited.push(event) > 0 },
    onChange: () => {
      if (seams.refuses) throw new Error('a certificate is gone');
      inForce.push(subject.apply(inForce.at(-1) ?? base));
    },
  });
  const start = async (): Promise<void> => {
    await subject.open(base);
    inForce.push(subject.apply(base));
  };
  const heartbeat = async (): Promise<void> => {
    subject.check(shelf.version, inForce.at(-1) ?? base);
    await subject.settled();
  };
  const rules = (): string => `${inForce.at(-1)?.policies.get('p')?.everyone?.allow[0]?.rule} ${inForce.length}`;
  return { subject, path, log, audited, inForce, time, seams, start, heartbeat, rules };
}

const OF_FILE = 'allow "of_file"';
const rule = (tool: string): string => `allow "${tool}"`;

describe('what rules', () => {
  test('is the file until something is pushed, then that, then the file again', async () => {
    const shelf = new FakeShelf();
    const one = replica(shelf);
    await one.start();
    await one.heartbeat();
    expect(one.rules()).toBe(`${OF_FILE} 1`);
    shelf.put(pushed(1, policyText('first')));
    await one.heartbeat();
    expect(one.rules()).toBe(`${rule('first')} 2`);
    shelf.put(pushed(2, policyText('second')));
    await one.heartbeat();
    expect(one.rules()).toBe(`${rule('second')} 3`);
    shelf.put(toFile(3));
    await one.heartbeat();
    expect(one.rules()).toBe(`${OF_FILE} 4`);
  });

  test('is called by its name and hash, and leaves the hash of the configuration alone', async () => {
    const shelf = new FakeShelf();
    const text = policyText('first');
    shelf.put(pushed(1, text));
    const base = configOf();
    const one = replica(shelf, { base });
    await one.start();
    const applied = one.inForce[0];
    expect(applied?.hash).toBe(base.hash);
    expect(applied?.policies.get('p')).toMatchObject({
      hash: hashOf(text),
      file: `pushed:p@${hashOf(text).slice(0, 8)}`,
    });
    expect(base.policies.get('p')?.hash).not.toBe(hashOf(text));
  });

  test('has the hash of the file when it says the same', async () => {
    const shelf = new FakeShelf();
    const base = configOf();
    const same = '# a comment\nname: f\nversion: "1.0"\nallow: [of_file]\ndefault: deny\n';
    shelf.put(pushed(1, same));
    const one = replica(shelf, { base });
    await one.start();
    expect(one.inForce[0]?.policies.get('p')?.hash).toBe(base.policies.get('p')?.hash);
    expect(one.inForce[0]?.policies.get('p')?.file).toMatch(/^pushed:/);
  });

  test('of names that the configuration does not have, changes nothing until it has them', async () => {
    const shelf = new FakeShelf();
    const one = replica(shelf);
    await one.start();
    shelf.put(pushed(1, policyText('first'), 'q'));
    await one.heartbeat();
    expect([...(one.inForce.at(-1)?.policies.keys() ?? [])]).toEqual(['p']);
    expect(one.audited).toEqual([]);
    const both = one.subject.apply(configOf('', ['p', 'q']));
    expect(both.policies.get('q')?.everyone?.allow[0]?.rule).toBe(rule('first'));
  });
});

describe('heartbeats', () => {
  test('read only when the version differs, once at a time, and every 30 s', async () => {
    const shelf = new FakeShelf();
    const one = replica(shelf);
    await one.start();
    await one.heartbeat();
    const before = shelf.reads;
    await one.heartbeat();
    await one.heartbeat();
    expect(shelf.reads).toBe(before);
    shelf.put(pushed(1, policyText('first')));
    one.subject.check(shelf.version, configOf());
    one.subject.check(shelf.version, configOf());
    await one.subject.settled();
    expect(shelf.reads).toBe(before + 1);
    one.time.nowMs = 29_999;
    await one.heartbeat();
    expect(shelf.reads).toBe(before + 1);
    one.time.nowMs = 30_000;
    await one.heartbeat();
    expect(shelf.reads).toBe(before + 2);
  });

  test('that fail are repeated, with one warning, and what ruled stays', async () => {
    const shelf = new FakeShelf();
    shelf.put(pushed(1, policyText('first')));
    const one = replica(shelf);
    await one.start();
    shelf.isAway = true;
    shelf.put(pushed(2, policyText('second')));
    await one.heartbeat();
    await one.heartbeat();
    expect(one.rules()).toBe(`${rule('first')} 1`);
    expect(one.log.lines.filter(({ event }) => event === 'pushed_policies_read_failed')).toHaveLength(1);
    shelf.isAway = false;
    await one.heartbeat();
    expect(one.rules()).toBe(`${rule('second')} 2`);
  });

  test('after the end do nothing', async () => {
    const shelf = new FakeShelf();
    const one = replica(shelf);
    await one.start();
    await one.subject.close();
    shelf.put(pushed(1, policyText('first')));
    const before = shelf.reads;
    await one.heartbeat();
    expect([shelf.reads, one.rules()]).toEqual([before, `${OF_FILE} 1`]);
  });

  test('ask again for a change that could not be put in force', async () => {
    const shelf = new FakeShelf();
    const one = replica(shelf);
    await one.start();
    one.seams.refuses = true;
    shelf.put(pushed(1, policyText('first')));
    await one.heartbeat();
    await one.heartbeat();
    expect(one.audited.map(({ outcome }) => outcome)).toEqual(['error']);
    expect(one.rules()).toBe(`${OF_FILE} 1`);
    one.seams.refuses = false;
    await one.heartbeat();
    expect(one.audited.map(({ outcome }) => outcome)).toEqual(['error', 'ok']);
    expect(one.rules()).toBe(`${rule('first')} 2`);
  });
});

describe('the audit trail', () => {
  test('has each change once', async () => {
    const shelf = new FakeShelf();
    const one = replica(shelf);
    const first = pushed(1, policyText('first'));
    shelf.put(first);
    await one.start();
    await one.heartbeat();
    shelf.put(toFile(2));
    await one.heartbeat();
    await one.heartbeat();
    const ofFile = configOf().policies.get('p')?.hash;
    expect(one.audited).toEqual([
      { event: 'policy_push', reason: `p ${first.hash} by ann@host`, policyHash: first.hash, outcome: 'ok' },
      { event: 'policy_push', reason: 'p file by bob@host', policyHash: ofFile, outcome: 'ok' },
    ]);
  });

  test('does not have what the disk knew already', async () => {
    const shelf = new FakeShelf();
    shelf.put(pushed(1, policyText('first')));
    await replica(shelf).start();
    const again = replica(shelf);
    await again.start();
    expect(again.rules()).toBe(`${rule('first')} 1`);
    expect(again.audited).toEqual([]);
  });
});

const NEEDS_ENV =
  'version: "2.0"\nname: n\ndefault: deny\nroles: { user: { allow: ["*"] } }\ntools:\n  - { match: x, when: env.REGION == "eu" }\n';

describe('what cannot be used here', () => {
  test.each([
    ['does not parse', 'version: "9.0"\n'],
    ['needs what policy.env does not have', NEEDS_ENV],
  ])('because it %s leaves the last good one, on disk too, and says so once', async (_why, text) => {
    const shelf = new FakeShelf();
    shelf.put(pushed(1, policyText('first')));
    const one = replica(shelf);
    await one.start();
    const bad = pushed(2, text);
    shelf.put(bad);
    await one.heartbeat();
    one.time.nowMs = 60_000;
    await one.heartbeat();
    expect(one.rules()).toBe(`${rule('first')} 1`);
    const errors = one.log.lines.filter(({ level }) => level === 'error');
    expect(errors.map(({ event, msg }) => [event, msg])).toEqual([
      ['policy_push_refused', 'the pushed policy "p" cannot be used here; what ruled before stays'],
    ]);
    expect(JSON.stringify(errors[0])).toMatch(/pushed:p@[0-9a-f]{8}:\d+:\d+/);
    expect(one.audited.at(-1)).toMatchObject({ outcome: 'error', policyHash: bad.hash });
    expect(shelf.entries.get('p')?.revision).toBe(2);
    const restarted = replica(shelf);
    await restarted.start();
    expect(restarted.rules()).toBe(`${rule('first')} 1`);
    shelf.put(pushed(3, policyText('third')));
    await one.heartbeat();
    expect(one.rules()).toBe(`${rule('third')} 2`);
  });

  test('refuses the start when no earlier one is held, with the place of the mistake', async () => {
    const shelf = new FakeShelf();
    shelf.put(pushed(1, NEEDS_ENV));
    const start = replica(shelf).start();
    await expect(start).rejects.toBeInstanceOf(ConfigError);
    await expect(start).rejects.toThrow(/^pushed:p@[0-9a-f]{8}:6:\d+: policy\.env has no "REGION"/);
    const able = replica(shelf, { base: configOf('policy: { env: { REGION: eu } }\n') });
    await able.start();
    expect(able.inForce[0]?.policies.get('p')?.version).toBe('2.0');
    expect(() => able.subject.apply(configOf())).toThrow(ConfigError);
  });

  test('of what is on disk does not matter once the shelf has something newer', async () => {
    const shelf = new FakeShelf();
    shelf.put(pushed(1, NEEDS_ENV));
    await replica(shelf, { base: configOf('policy: { env: { REGION: eu } }\n') }).start();
    shelf.isAway = true;
    await expect(replica(shelf).start()).rejects.toBeInstanceOf(ConfigError);
    shelf.isAway = false;
    shelf.put(pushed(2, policyText('second')));
    const one = replica(shelf);
    await one.start();
    expect(one.rules()).toBe(`${rule('second')} 1`);
  });

  test('because its secret is another refuses the start as well', async () => {
    const shelf = new FakeShelf();
    shelf.entries.set('p', { name: 'p', revision: 4, state: undefined });
    await expect(replica(shelf).start()).rejects.toThrow(
      'pushed:p: what was pushed cannot be read here (cluster.secret',
    );
    shelf.entries.set('p', { name: 'p', revision: 5, state: toFile(5) });
    const one = replica(shelf);
    await one.start();
    expect(one.rules()).toBe(`${OF_FILE} 1`);
  });
});

describe('the disk', () => {
  test('is enough for a start without Redis, and is readable by nobody', async () => {
    const shelf = new FakeShelf();
    shelf.put(pushed(1, policyText('canary')));
    const one = replica(shelf);
    await one.start();
    expect(readFileSync(one.path, 'utf8')).not.toContain('canary');
    expect(statSync(one.path).mode & 0o777).toBe(0o600);
    expect(statSync(join(directory, '.mcp-gateway')).mode & 0o777).toBe(0o700);
    shelf.isAway = true;
    const alone = replica(shelf);
    await alone.start();
    expect(alone.rules()).toBe(`${rule('canary')} 1`);
    expect(alone.log.lines.map(({ event }) => event)).toEqual(['pushed_policies_from_disk']);
  });

  test('gives way to what is newer on the shelf', async () => {
    const shelf = new FakeShelf();
    shelf.put(pushed(1, policyText('first')));
    await replica(shelf).start();
    shelf.put(toFile(2));
    const one = replica(shelf);
    await one.start();
    expect(one.rules()).toBe(`${OF_FILE} 1`);
    expect(one.audited.map(({ reason }) => reason)).toEqual(['p file by bob@host']);
  });

  test('that cannot be written costs one warning', async () => {
    writeFileSync(join(directory, '.mcp-gateway'), 'in the way');
    const shelf = new FakeShelf();
    const one = replica(shelf);
    await one.start();
    for (const revision of [1, 2]) {
      shelf.put(pushed(revision, policyText(`t${revision}`)));
      await one.heartbeat();
    }
    expect(one.rules()).toBe(`${rule('t2')} 3`);
    expect(one.log.lines.filter(({ event }) => event === 'pushed_policies_write_failed')).toHaveLength(1);
  });

  test.each([
    ['damaged', '{"version":1,"poli'],
    ['of another version', '{"version":2,"policies":{}}'],
  ])('that is %s costs one warning', async (_what, text) => {
    mkdirSync(join(directory, '.mcp-gateway'));
    writeFileSync(join(directory, '.mcp-gateway', 'pushed-policies.json'), text);
    const one = replica(new FakeShelf());
    await one.start();
    expect(one.rules()).toBe(`${OF_FILE} 1`);
    expect(one.log.lines.map(({ event }) => event)).toEqual(['pushed_policies_unreadable']);
  });

  test('under another secret is not used', async () => {
    const shelf = new FakeShelf();
    shelf.put(pushed(1, policyText('first')));
    await replica(shelf).start();
    const stranger = replica(new FakeShelf(), { secret: 'something-else-entirely' });
    await stranger.start();
    expect(stranger.rules()).toBe(`${OF_FILE} 1`);
    expect(stranger.log.lines).toMatchObject([{ event: 'pushed_policies_unreadable', fields: { policies: ['p'] } }]);
  });

  test('lies beside the configuration, or where the gateway was started', () => {
    expect(pushedPolicyFile('conf/gateway.yaml', '/srv')).toBe('/srv/conf/.mcp-gateway/pushed-policies.json');
    expect(pushedPolicyFile('/etc/g/gateway.yaml', '/srv')).toBe('/etc/g/.mcp-gateway/pushed-policies.json');
    expect(pushedPolicyFile('<stdin>', '/srv')).toBe('/srv/.mcp-gateway/pushed-policies.json');
  });
});

describe('a shelf that lost what it had', () => {
  test('does not give up what is pushed, and gets it back', async () => {
    const shelf = new FakeShelf();
    shelf.put(pushed(5, policyText('first')));
    const one = replica(shelf);
    await one.start();
    await one.heartbeat();
    shelf.entries.clear();
    shelf.version = 0;
    await one.heartbeat();
    expect(one.rules()).toBe(`${rule('first')} 1`);
    expect(shelf.entries.get('p')?.state).toMatchObject({ revision: 5 });
    expect(one.log.lines.map(({ event }) => event)).toContain('policy_restored');
    const kept = shelf.kept.length;
    await one.heartbeat();
    await one.heartbeat();
    expect(shelf.kept).toHaveLength(kept);
  });

  test('does not bring back an older push over a rollback to the file', async () => {
    const shelf = new FakeShelf();
    shelf.put(toFile(7));
    const one = replica(shelf);
    await one.start();
    await one.heartbeat();
    shelf.put(pushed(5, policyText('stale')));
    await one.heartbeat();
    expect(one.rules()).toBe(`${OF_FILE} 1`);
    expect(shelf.entries.get('p')?.state).toEqual(toFile(7));
  });

  test('gets back a text that went while its record stayed', async () => {
    const shelf = new FakeShelf();
    const state = pushed(5, policyText('first'));
    shelf.put(state);
    const one = replica(shelf);
    await one.start();
    await one.heartbeat();
    shelf.kept.length = 0;
    shelf.entries.set('p', { name: 'p', revision: 5, state: undefined });
    one.time.nowMs = 60_000;
    await one.heartbeat();
    expect(shelf.kept).toEqual([state]);
    expect(one.rules()).toBe(`${rule('first')} 1`);
  });
});

test('what is held is sealed anew once after a start', async () => {
  const shelf = new FakeShelf();
  shelf.put(pushed(1, policyText('first')));
  const one = replica(shelf);
  await one.start();
  await one.heartbeat();
  shelf.version += 1;
  await one.heartbeat();
  expect(shelf.kept.map(({ revision }) => revision)).toEqual([1]);
});
