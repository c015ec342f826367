import { describe, expect, test } from 'vitest';
import { redactText, redactValue } from '../../../src/audit/redact.js';
import { fastestMs } from '../../helpers/fastest.js';

const secrets: [what: string, secret: string, text: string][] = [
  ['a bearer token', 'abc.DEF-123_xyz', 'Authorization: Bearer abc.DEF-123_xyz'],
  ['basic credentials', 'dXNlcjpwYXNz', 'basic dXNlcjpwYXNz'],
  ['a JWT', 'eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.c2ln', 'token=eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.c2ln;'],
  ['an AWS key id', 'AKIAIOSFODNN7EXAMPLE', 'id AKIAIOSFODNN7EXAMPLE.'],
  ['a private key', 'MIIEvQIBADAN', '-----BEGIN PRIVATE KEY-----\nMIIEvQIBADAN\n-----END PRIVATE KEY----- after'],
  ['an unfinished private key', 'MIIEvQIBADAN', '-----BEGIN RSA PRIVATE KEY-----\nMIIEvQIBADAN'],
  ['a GitHub token', 'ghp_0123456789abcdefghij', 'use ghp_0123456789abcdefghij now'],
  ['a Slack token', 'xoxb-123456789012-abcdef', '(xoxb-123456789012-abcdef)'],
  ['a provider key', 'sk-proj-0123456789abcdef', 'key:sk-proj-0123456789abcdef'],
  ['a password in a URL', 'hunter2', 'postgres://app:hunter2@db/x'],
];

describe('redactText', () => {
  test.each(secrets)('takes out %s', (_what, secret, text) => {
    expect(redactText(text)).toContain('[redacted]');
    expect(redactText(text)).not.toContain(secret);
  });

  test.each([
    'post_sms_3_messages',
    'tools/call',
    'https://example.com/a:b',
    'the rule "user.allow[0]" denies it',
    'risk-assessment-of-the-whole',
  ])('leaves %j alone', (text) => {
    expect(redactText(text)).toBe(text);
  });

  test.each([
    '-eyJ',
    'eyJaaaaa.',
    'Bearer ',
    '-----BEGIN ',
    'a',
    'a@',
    'a.',
    '://',
    '://a:',
    'gh',
    'AKIA',
    '-----BEGIN PRIVATE KEY----',
  ])('stays fast on 64 KiB of %j', (unit) => {
    const text = unit.repeat(Math.ceil(65_536 / unit.length));
    expect(fastestMs(() => redactValue(text))).toBeLessThan(400);
  });
});

describe('redactValue', () => {
  test.each(secrets)('takes out %s wherever it stands', (_what, secret, text) => {
    const json = JSON.stringify(redactValue({ a: [{ b: text }], [text]: 1 }));
    expect(json).not.toContain(secret);
  });

  test.each([
    'password',
    'API_KEY',
    'apiKey',
    'x-api-key',
    'client_secret',
    'Authorization',
    'Set-Cookie',
    'accessToken',
    'PIN',
    'private key',
    'db.passwd',
  ])('takes out whatever is under the key %j', (name) => {
    expect(redactValue({ [name]: { deep: ['canary', 7] } })).toEqual({ [name]: '[redacted]' });
  });

  test('leaves other keys and values alone', () => {
    const value = { to: '+44', pinned: true, author: 'Ann', n: [1, null, { x: 0.5 }] };
    expect(redactValue(value)).toEqual(value);
  });

  test('takes out e-mail addresses', () => {
    expect(redactValue({ to: 'Ann <ann.b+c@mail.example.co.uk>' })).toEqual({ to: 'Ann <[redacted]>' });
  });

  test('a key named __proto__ is copied as a key, and changes nothing else', () => {
    const copy = redactValue(JSON.parse('{"__proto__":{"polluted":true},"constructor":1}'));
    expect(JSON.stringify(copy)).toBe('{"__proto__":{"polluted":true},"constructor":1}');
    expect(({} as Record<string, unknown>)['polluted']).toBeUndefined();
  });

  test('does not descend without end', () => {
    const deep: unknown = JSON.parse(`${'['.repeat(5000)}"canary"${']'.repeat(5000)}`);
    expect(JSON.stringify(redactValue(deep))).toBe(`${'['.repeat(64)}"[redacted]"${']'.repeat(64)}`);
  });
});
