import { describe, expect, test } from 'vitest';
import type { Message } from '../../../src/protocol/message.js';
import { scanUpstream } from '../../../src/protocol/scan.js';
import { Secrets } from '../../../src/upstream/secrets.js';

function message(text: string): Message {
  return scanUpstream(Buffer.from(text)) as Message;
}

function result(value: string): Message {
  return message(`{"jsonrpc":"2.0","id":"a","result":{"text":${value}}}`);
}

function shown(secrets: Secrets, value: string): string {
  return secrets.redact(result(value)).raw.toString();
}

describe('what an upstream was given', () => {
  const secrets = new Secrets({
    authorization: 'Bearer canary/token"1',
    'x-api-key': 'canary-key',
    'x-team': 'canary-blue',
  });

  test.each([
    ['"canary/token\\"1"', '"[redacted]"'],
    [String.raw`"canary\/token\"1"`, '"[redacted]"'],
    ['"Bearer canary/token\\"1, canary-key canary-key"', '"Bearer [redacted], [redacted] [redacted]"'],
    ['"canary-blue"', '"canary-blue"'],
  ])('%s is shown as %s', (said, expected) => {
    expect(shown(secrets, said)).toBe(`{"jsonrpc":"2.0","id":"a","result":{"text":${expected}}}`);
  });

  test('makes a new message that says the same of itself', () => {
    const redacted = secrets.redact(result('"canary-key ünï"'));
    expect([redacted.id, redacted.kind, redacted.isError]).toEqual(['a', 'response', false]);
    expect(JSON.parse(redacted.raw.toString())).toMatchObject({ result: { text: '[redacted] ünï' } });
  });

  test('is not looked for in vain: the message stays itself', () => {
    const innocent = result('"nothing"');
    expect(secrets.redact(innocent)).toBe(innocent);
  });
});

test('only credentials count, and none that is too short to be told from text', () => {
  expect(new Secrets({}).isEmpty).toBe(true);
  expect(new Secrets({ 'x-team': 'a-long-team-name', authorization: 'Bearer short' }).isEmpty).toBe(true);
  expect(new Secrets({ authorization: 'Bearer long-enough' }).isEmpty).toBe(false);
});

test('tokens are remembered until a few newer ones took their place', () => {
  const secrets = new Secrets({});
  for (let n = 1; n <= 5; n += 1) secrets.addToken(`canary-token-${n}`);
  expect(shown(secrets, '"canary-token-5 canary-token-2"')).toContain('"[redacted] [redacted]"');
  expect(shown(secrets, '"canary-token-1"')).toContain('canary-token-1');
});
