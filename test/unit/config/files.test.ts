/** Files that the configuration names, and that can be read but not used. */
import { copyFileSync, mkdtempSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { beforeEach, describe, expect, test } from 'vitest';
import { lines, load, ONE } from './helpers.js';

const JWT = 'issuer: "https://idp.example/", audience: gw';
const FIXTURES = resolve('test/fixtures/tls');

let cwd: string;
beforeEach(() => {
  cwd = mkdtempSync(join(tmpdir(), 'files-'));
  for (const name of ['ca.pem', 'server.pem', 'server.key', 'client.pem', 'client.key']) {
    copyFileSync(join(FIXTURES, name), join(cwd, name));
  }
  writeFileSync(join(cwd, 'garbage'), 'no PEM\n');
});

describe('key sets', () => {
  test.each([
    ['not json', 'is not JSON'],
    ['[]', 'is not a JSON Web Key Set'],
    ['{"keys":[]}', 'contains no public key'],
    ['{"keys":[{"kty":"oct","k":"c2VjcmV0"}]}', 'contains no public key'],
    [`{"keys":[], "x": "${'x'.repeat(256 * 1024)}"}`, 'is larger than 262144 bytes'],
  ])('of %.40s', (text, problem) => {
    writeFileSync(join(cwd, 'keys.json'), text);
    expect(lines(`${ONE}auth: { jwt: [{ ${JWT}, jwksFile: keys.json }] }\n`, { cwd })).toEqual([
      `g.yaml:2:73: ${join(cwd, 'keys.json')} ${problem}`,
    ]);
  });

  test('are not named when a variable names them', () => {
    writeFileSync(join(cwd, 'canary'), 'not json');
    const found = lines(`${ONE}auth: { jwt: [{ ${JWT}, jwksFile: "\${X}" }] }\n`, { cwd, env: { X: 'canary' } });
    expect(found).toEqual(['g.yaml:2:73: the file named here is not JSON']);
  });
});

describe('certificates', () => {
  const serverTls = (keys: string) => lines(`${ONE}server:\n  tls: { ${keys} }\n`, { cwd });

  test('that fit are taken', () => {
    const tls = 'certFile: server.pem, keyFile: server.key, clientCaFile: ca.pem';
    expect(serverTls(tls)).toEqual([]);
    const { upstreams } = load(
      'upstreams: [{ url: "https://a.com", tls: { caFile: ca.pem, certFile: client.pem, keyFile: client.key } }]\n',
      { cwd },
    );
    expect(upstreams[0]?.tls?.certFile).toBe(join(cwd, 'client.pem'));
  });

  test('that hold nothing are all reported', () => {
    expect(serverTls('certFile: garbage, keyFile: garbage, clientCaFile: garbage')).toEqual([
      `g.yaml:3:20: ${join(cwd, 'garbage')} holds no certificate in PEM`,
      `g.yaml:3:38: ${join(cwd, 'garbage')} holds no private key in PEM without a passphrase`,
      `g.yaml:3:61: ${join(cwd, 'garbage')} holds no certificate in PEM`,
    ]);
  });

  test('of which the key is another one', () => {
    expect(serverTls('certFile: server.pem, keyFile: client.key')).toEqual([
      `g.yaml:3:41: ${join(cwd, 'client.key')} is not the key of the certificate`,
    ]);
  });

  test('toward an upstream', () => {
    const text =
      'upstreams: [{ url: "https://a.com", tls: { caFile: garbage, certFile: ca.pem, keyFile: client.key } }]\n';
    expect(lines(text, { cwd })).toEqual([
      `g.yaml:1:52: ${join(cwd, 'garbage')} holds no certificate in PEM`,
      `g.yaml:1:88: ${join(cwd, 'client.key')} is not the key of the certificate`,
    ]);
  });
});
