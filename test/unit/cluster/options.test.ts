import { expect, test } from 'vitest';
import { clusterSchema } from '../../../src/cluster/options.js';

const parse = (keys: object) => clusterSchema.safeParse({ secret: 'x', ...keys });

test('has defaults for everything but the secret', () => {
  expect(parse({}).data).toEqual({ advertise: undefined, listen: { host: '0.0.0.0', port: 8081 }, secrets: ['x'] });
  expect(clusterSchema.safeParse({}).success).toBe(false);
});

test.each([
  ['127.0.0.1:0', { host: '127.0.0.1', port: 0 }],
  ['replica-1.internal:65535', { host: 'replica-1.internal', port: 65_535 }],
  ['[::]:8081', { host: '::', port: 8081 }],
  ['[::ffff:10.0.0.7]:1', { host: '::ffff:10.0.0.7', port: 1 }],
])('listens on %s', (listen, address) => {
  expect(parse({ listen }).data?.listen).toEqual(address);
});

test.each(['8081', ':8081', 'host', 'host:', 'host:65536', '::1:8081', 'http://host:1', 'host:1/', 'a b:1', '[::1]'])(
  'refuses to listen on %s',
  (listen) => {
    expect(parse({ listen }).error?.issues[0]?.message).toBe('must be host:port, such as 0.0.0.0:8081 or [::]:8081');
  },
);

test.each([
  ['http://10.0.0.7:8081', 'http://10.0.0.7:8081'],
  ['https://Replica.internal/', 'https://replica.internal'],
  ['http://[::1]:8081', 'http://[::1]:8081'],
])('advertises %s', (advertise, origin) => {
  expect(parse({ advertise }).data?.advertise).toBe(origin);
});

test.each([
  '10.0.0.7:8081',
  'ftp://host',
  'http://host/path',
  'http://host/?a=b',
  'http://host?',
  'http://host#x',
  'http://user:pw@host',
  'http://host:0',
  '',
])('refuses to advertise %s, and never repeats it', (advertise) => {
  const issues = parse({ advertise }).error?.issues ?? [];
  expect(issues).toHaveLength(1);
  expect(issues[0]?.message).toMatch(/^must /);
  expect(issues[0]?.message).not.toContain('pw@');
});

test('takes one secret or several, none of them empty', () => {
  expect(parse({ secret: ['new', 'old'] }).data?.secrets).toEqual(['new', 'old']);
  for (const secret of ['', [], ['new', ''], 7, undefined, ['new', 7]]) expect(parse({ secret }).success).toBe(false);
});
