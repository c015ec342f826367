import { describe, expect, test } from 'vitest';
import type { Message } from '../../../src/protocol/message.js';
import { scanUpstream } from '../../../src/protocol/scan.js';
import { Handshake } from '../../../src/upstream/handshake.js';

const said = (method: string, params: object = {}, id?: number): Message =>
  scanUpstream(
    Buffer.from(JSON.stringify({ jsonrpc: '2.0', ...(id === undefined ? {} : { id }), method, params })),
  ) as Message;

const INITIALIZE = said('initialize', { protocolVersion: '2025-06-18' }, 1);
const level = (name: string, id = 2) => said('logging/setLevel', { level: name }, id);
const subscribe = (uri: string, id = 3) => said('resources/subscribe', { uri }, id);
const unsubscribe = (uri: string, id = 4) => said('resources/unsubscribe', { uri }, id);

function heard(...messages: Message[]): Handshake {
  const handshake = new Handshake();
  for (const message of messages) handshake.observe(message);
  return handshake;
}

const textsOf = (messages: readonly Message[]) => messages.map(({ raw }) => raw.toString());

describe('a record', () => {
  test('does not exist before the client has said initialize', () => {
    expect(new Handshake().record).toBeUndefined();
    expect(heard(subscribe('a')).record).toBeUndefined();
  });

  test('goes on where it was left: what has to be said again is the same, in the same order', () => {
    const handshake = heard(
      INITIALIZE,
      said('notifications/initialized'),
      subscribe('test://one'),
      level('info'),
      subscribe('test://two'),
      level('debug', 9),
      unsubscribe('test://one'),
    );
    const { record } = handshake;
    if (record === undefined) throw new Error('no record');
    const continued = Handshake.from(JSON.parse(JSON.stringify(record)) as typeof record);
    expect(textsOf(continued.state)).toEqual(textsOf([level('debug', 9), subscribe('test://two')]));
    expect(textsOf(continued.state)).toEqual(textsOf(handshake.state));
    expect(continued.initialize?.raw.toString()).toBe(INITIALIZE.raw.toString());
    expect(continued.initializeId).toBe(1);
    expect(continued.record).toEqual(record);
  });

  test('has the client greet its server also when it was lost before it had done so', () => {
    const { record } = heard(INITIALIZE);
    if (record === undefined) throw new Error('no record');
    expect(Handshake.from(record).initialized?.method).toBe('notifications/initialized');
  });

  test('can be changed where it goes on', () => {
    const { record } = heard(INITIALIZE, subscribe('test://one'));
    if (record === undefined) throw new Error('no record');
    const continued = Handshake.from(record);
    expect(continued.observe(unsubscribe('test://one'))).toBe(true);
    expect(continued.record?.state).toEqual([]);
  });

  test('is another one after exactly those messages that change it', () => {
    const handshake = new Handshake();
    expect(handshake.observe(INITIALIZE)).toBe(true);
    expect(handshake.observe(said('notifications/initialized'))).toBe(false);
    expect(handshake.observe(said('tools/call', { name: 'a' }, 7))).toBe(false);
    expect(handshake.observe(level('debug'))).toBe(true);
    expect(handshake.observe(subscribe('test://one'))).toBe(true);
    expect(handshake.observe(unsubscribe('test://other'))).toBe(false);
    expect(handshake.observe(unsubscribe('test://one'))).toBe(true);
    expect(handshake.observe(unsubscribe('test://one'))).toBe(false);
  });

  test('keeps its own bytes: those of a message belong to a buffer that is used again', () => {
    const bytes = Buffer.from(JSON.stringify({ jsonrpc: '2.0', id: 1, method: 'initialize', params: {} }));
    const text = bytes.toString();
    const handshake = heard(scanUpstream(bytes) as Message);
    bytes.fill('x');
    expect(handshake.record?.initialize).toBe(text);
  });
});
