import { beforeEach, describe, expect, test } from 'vitest';
import { HttpClientError } from '../../../src/http-client/errors.js';
import { type Authorization, OauthTokens } from '../../../src/upstream/oauth.js';
import type { GrantedToken } from '../../../src/upstream/token-endpoint.js';
import { RecordingLogger } from '../../helpers/start-gateway.js';

let nowMs: number;
let log: RecordingLogger;
let seen: string[];
/** Requests under way, each to be settled by hand. */
let asked: { grant(lifetimeMs: number): void; fail(): void }[];
let tokens: OauthTokens;

beforeEach(() => {
  nowMs = 1000;
  log = new RecordingLogger();
  seen = [];
  asked = [];
  tokens = new OauthTokens({
    clock: { now: () => nowMs, wallTimeMs: () => nowMs },
    logger: log,
    request,
    onToken: (token) => void seen.push(token),
  });
});

function request(): Promise<GrantedToken> {
  return new Promise((resolve, reject) => {
    const token = `token-${asked.length + 1}`;
    asked.push({
      grant: (lifetimeMs) => resolve({ token, lifetimeMs }),
      fail: () => reject(new HttpClientError({ reason: 'token', sent: 'no' }, 'the token endpoint answered 503')),
    });
  });
}

async function obtain(lifetimeMs: number): Promise<Authorization> {
  const wanted = tokens.get();
  asked.at(-1)?.grant(lifetimeMs);
  return wanted;
}

function lineOf(authorization: Authorization | undefined): string | undefined {
  return authorization?.line;
}

test('is asked for once, however many wait, and then at hand', async () => {
  expect(tokens.current).toBeUndefined();
  const waiting = [tokens.get(), tokens.get(), tokens.get()];
  expect(asked.length).toBe(1);
  asked[0]?.grant(3_600_000);
  const [first, ...others] = await Promise.all(waiting);
  expect(lineOf(first)).toBe('authorization: Bearer token-1\r\n');
  expect(others).toEqual([first, first]);
  expect(tokens.current).toBe(first);
  expect(seen).toEqual(['token-1']);
});

test('is used until 30 s before its end, and a short-lived one for half its life', async () => {
  await obtain(100_000);
  nowMs += 69_999;
  expect(lineOf(tokens.current)).toContain('token-1');
  nowMs += 1;
  expect(tokens.current).toBeUndefined();
  asked.at(-1)?.fail();
  await expect(tokens.get()).rejects.toThrow();
  await obtain(10_000);
  const used = lineOf(tokens.current);
  nowMs += 4999;
  expect(lineOf(tokens.current)).toBe(used);
  nowMs += 1;
  expect(tokens.current).toBeUndefined();
});

describe('while it is used', () => {
  test('it is renewed beside the requests, once, before it ends', async () => {
    await obtain(130_000);
    nowMs += 79_999;
    expect(lineOf(tokens.current)).toContain('token-1');
    expect(asked.length).toBe(1);
    nowMs += 1;
    expect(lineOf(tokens.current)).toContain('token-1');
    expect(lineOf(tokens.current)).toContain('token-1');
    expect(asked.length).toBe(2);
    asked[1]?.grant(130_000);
    await tokens.get();
    await Promise.resolve();
    expect(lineOf(tokens.current)).toContain('token-2');
  });

  test('a renewal that fails harms nobody and is tried again after a pause', async () => {
    await obtain(130_000);
    nowMs += 80_000;
    expect(tokens.current).toBeDefined();
    asked[1]?.fail();
    await new Promise((resolve) => setImmediate(resolve));
    nowMs += 4999;
    expect(lineOf(tokens.current)).toContain('token-1');
    expect(asked.length).toBe(2);
    nowMs += 1;
    expect(lineOf(tokens.current)).toContain('token-1');
    expect(asked.length).toBe(3);
    expect(log.lines.map(({ event, fields }) => [event, fields['reason']])).toEqual([
      ['token_failed', 'the token endpoint answered 503'],
    ]);
  });
});

describe('when the upstream refuses it', () => {
  test('another one is to be had, and others that used the old one take that', async () => {
    const first = await obtain(3_600_000);
    expect(tokens.refused(first)).toBe(true);
    expect(tokens.current).toBeUndefined();
    const second = await obtain(3_600_000);
    expect(tokens.refused(first)).toBe(true);
    expect(tokens.current).toBe(second);
    expect(asked.length).toBe(2);
  });

  test('one that it never accepted is replaced every 10 s at most', async () => {
    tokens.refused(await obtain(3_600_000));
    const second = await obtain(3_600_000);
    nowMs += 9999;
    expect(tokens.refused(second)).toBe(false);
    expect(tokens.current).toBe(second);
    nowMs += 1;
    expect(tokens.refused(second)).toBe(true);
  });

  test('one that it accepted before was withdrawn, so the next is asked for at once', async () => {
    tokens.refused(await obtain(3_600_000));
    const second = await obtain(3_600_000);
    tokens.accepted(second);
    expect(tokens.refused(second)).toBe(true);
  });
});

test('an endpoint that fails fails whoever waits, and is asked again by the next', async () => {
  const waiting = [tokens.get(), tokens.get()];
  asked[0]?.fail();
  for (const each of waiting) await expect(each).rejects.toMatchObject({ reason: 'token', sent: 'no' });
  expect(lineOf(await obtain(60_000))).toContain('token-2');
});
