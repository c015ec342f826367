import type { IncomingMessage } from 'node:http';
import { describe, expect, test } from 'vitest';
import { ClientAddresses } from '../../../src/downstream/client-address.js';

function request(peer: string | undefined, headers: Record<string, string> = {}): IncomingMessage {
  return { socket: { remoteAddress: peer }, headers } as unknown as IncomingMessage;
}

function clientOf(trusted: string[], peer: string | undefined, forwarded?: string): string {
  const headers = forwarded === undefined ? {} : { 'x-forwarded-for': forwarded };
  return new ClientAddresses(trusted).of(request(peer, headers));
}

describe('the address of a client', () => {
  test('is that of the socket when nobody is trusted, whatever the headers say', () => {
    expect(clientOf([], '203.0.113.5', '198.51.100.1')).toBe('203.0.113.5');
    expect(clientOf([], '::ffff:203.0.113.5')).toBe('203.0.113.5');
    expect(clientOf([], undefined, '198.51.100.1')).toBe('');
  });

  test('is that of the socket when the peer is no trusted proxy', () => {
    expect(clientOf(['10.0.0.0/8'], '203.0.113.5', '198.51.100.1')).toBe('203.0.113.5');
  });

  test.each([
    ['198.51.100.1', '198.51.100.1'],
    // What a client writes itself stands on the left.
    ['1.1.1.1, 198.51.100.1', '198.51.100.1'],
    ['1.1.1.1, 198.51.100.1, 10.9.9.9', '198.51.100.1'],
    ['10.0.0.7, 10.0.0.8', '10.0.0.7'],
    ['198.51.100.1:4711', '198.51.100.1'],
    ['[2001:DB8::1]:443', '2001:db8::1'],
    ['2001:db8::1', '2001:db8::1'],
    ['::ffff:198.51.100.1', '198.51.100.1'],
    ['198.51.100.1,\t10.0.0.8 ', '198.51.100.1'],
  ])('behind a trusted proxy that says %j is %s', (forwarded, client) => {
    expect(clientOf(['10.0.0.0/8'], '10.0.0.1', forwarded)).toBe(client);
    expect(clientOf(['10.0.0.0/8'], '::ffff:10.0.0.1', forwarded)).toBe(client);
  });

  test.each(['unknown', '', 'for=1.1.1.1', '1.2.3', '1.1.1.1, _hidden', 'fe80::1%eth0', "1.1.1.1'--"])(
    'is that of the proxy when it says %j',
    (forwarded) => {
      expect(clientOf(['10.0.0.0/8'], '10.0.0.1', forwarded)).toBe('10.0.0.1');
    },
  );

  test('is told by proxies of both families', () => {
    const trusted = ['fd00::/8', '192.0.2.7/32'];
    expect(clientOf(trusted, 'fd00::5', '198.51.100.1, 192.0.2.7')).toBe('198.51.100.1');
    expect(clientOf(trusted, 'fe00::5', '198.51.100.1')).toBe('fe00::5');
    expect(clientOf(trusted, '192.0.2.8', '198.51.100.1')).toBe('192.0.2.8');
  });
});

describe('the forwarded scheme', () => {
  test('counts when a trusted proxy names one of two', () => {
    const addresses = new ClientAddresses(['10.0.0.0/8']);
    const from = (peer: string, scheme: string) =>
      addresses.forwardedScheme(request(peer, { 'x-forwarded-proto': scheme }));
    expect(from('10.0.0.1', 'https')).toBe('https');
    expect(from('10.0.0.1', 'http')).toBe('http');
    expect(from('10.0.0.1', 'javascript')).toBeUndefined();
    expect(from('203.0.113.5', 'https')).toBeUndefined();
    expect(addresses.forwardedScheme(request('10.0.0.1'))).toBeUndefined();
  });
});
