import { expect, test } from 'vitest';
import { isLinkFailure, isReadonly } from '../../../src/redis/errors.js';

function errorOf(name: string, message: string): Error {
  return Object.assign(new Error(message), { name });
}

test.each([
  ['ReplyError', 'LOADING Redis is loading the dataset in memory'],
  ['ReplyError', "READONLY You can't write against a read only replica."],
  ['ReplyError', "ERR Error running script (call to f_1): @user_script:1: -READONLY You can't write"],
  ['ReplyError', 'CLUSTERDOWN The cluster is down'],
  ['ReplyError', "MASTERDOWN Link with MASTER is down and replica-serve-stale-data is set to 'no'."],
  ['ReplyError', 'NOAUTH Authentication required.'],
  ['Error', 'Connection is closed.'],
  ['Error', "Stream isn't writeable and enableOfflineQueue options is false"],
  ['Error', "Cluster isn't ready and enableOfflineQueue options is false"],
  ['MaxRetriesPerRequestError', 'Reached the max retries per request limit'],
  ['AbortError', 'Command aborted due to connection close'],
])('%s: %s concerns the link', (name, message) => {
  expect(isLinkFailure(errorOf(name, message))).toBe(true);
});

test.each([
  ['ReplyError', 'WRONGTYPE Operation against a key holding the wrong kind of value'],
  ['ReplyError', "OOM command not allowed when used memory > 'maxmemory'."],
  ['ReplyError', 'ERR Error running script: user_script:1: LOADING is what a key was called'],
  ['ReplyError', 'NOPERM this user has no permissions to run the command'],
  ['TypeError', 'undefined is not a function'],
])('%s: %s concerns one command alone', (name, message) => {
  expect(isLinkFailure(errorOf(name, message))).toBe(false);
});

test('a socket that fails concerns the link, what is no error concerns nobody', () => {
  expect(isLinkFailure(Object.assign(new Error('read ECONNRESET'), { syscall: 'read' }))).toBe(true);
  expect(isLinkFailure('Connection is closed.')).toBe(false);
  expect(isReadonly(new Error("READONLY You can't write against a read only replica."))).toBe(true);
  expect(isReadonly(new Error('ERR no such key: READONLY x'))).toBe(false);
});
