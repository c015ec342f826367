import { describe, expect, test } from 'vitest';
import { environmentKeys } from '../../../src/config/env-overrides.js';
import { configFromFlags } from '../../../src/config/load.js';
import { lines, load, ONE, unguarded } from './helpers.js';

describe('variables', () => {
  test('win over the file, with the type that the key asks for', () => {
    const { server, logging, defaultRoute } = load(`${ONE}server: { port: 1, insecure: false }\n`, {
      env: {
        MCP_GATEWAY_SERVER_PORT: '90',
        MCP_GATEWAY_SERVER_INSECURE: 'true',
        MCP_GATEWAY_SERVER_HOST: '0.0.0.0',
        MCP_GATEWAY_SERVER_LIMITS_BODY_BYTES: '8MiB',
        MCP_GATEWAY_SERVER_SESSIONS_IDLE_TIMEOUT: '3s',
        MCP_GATEWAY_LOGGING_LEVEL: 'debug',
        MCP_GATEWAY_LOGGING_FILE: 'g.log',
        MCP_GATEWAY_DEFAULT: 'sumit',
      },
    });
    expect(server).toMatchObject({ port: 90, insecure: true, host: '0.0.0.0', limits: { bodyBytes: 8_388_608 } });
    expect(server.sessions.idleTimeoutMs).toBe(3000);
    expect(logging).toEqual({ level: 'debug', format: 'auto', file: '/nonexistent/g.log' });
    expect(defaultRoute).toBe('sumit');
  });

  test('are named when they are wrong', () => {
    const env = { MCP_GATEWAY_SERVER_PORT: 'x', MCP_GATEWAY_LOGGING_LEVEL: 'inf', MCP_GATEWAY_SERVER_HOST: '0.0.0.0' };
    expect(lines(ONE, { env }).toSorted()).toEqual([
      'MCP_GATEWAY_LOGGING_LEVEL: must be one of error, warn, info, debug (did you mean "info"?)',
      'MCP_GATEWAY_SERVER_PORT: expected a whole number',
    ]);
    expect(lines(ONE, { env: { MCP_GATEWAY_SERVER_HOST: '0.0.0.0' } })[0]).toMatch(
      /^MCP_GATEWAY_SERVER_HOST: this address can be/,
    );
  });

  test('that are empty count as unset', () =>
    expect(load(ONE, { env: { MCP_GATEWAY_SERVER_PORT: '', MCP_GATEWAY_LOGGING_FILE: '' } }).server.port).toBe(8080));

  test('of Kubernetes services change nothing', () => {
    const config = load(ONE, {
      env: {
        MCP_GATEWAY_SERVER_PORT: 'tcp://10.0.0.1:80',
        MCP_GATEWAY_SERVER_PORT_80_TCP: 'tcp://10.0.0.1:80',
        MCP_GATEWAY_SERVICE_HOST: '10.0.0.1',
      },
    });
    expect(config.server.port).toBe(8080);
    expect(config.warnings).toEqual([
      'MCP_GATEWAY_SERVER_PORT is ignored: it holds a Kubernetes service address',
      unguarded('sumit'),
    ]);
  });

  test('that are mistyped are worth a warning', () =>
    expect(load(ONE, { env: { MCP_GATEWAY_SERVER_PROT: '1', MCP_GATEWAY_SECRET: 'x' } }).warnings).toEqual([
      'MCP_GATEWAY_SERVER_PROT is no known variable and has no effect; did you mean MCP_GATEWAY_SERVER_PORT?',
      unguarded('sumit'),
    ]));

  test('exist for every key that holds one value, and for no other', () => {
    const keys = environmentKeys();
    expect(keys.get('MCP_GATEWAY_SERVER_LIMITS_STREAM_BUFFER_BYTES')).toEqual([
      'server',
      'limits',
      'streamBufferBytes',
    ]);
    expect(keys.get('MCP_GATEWAY_SERVER_TLS_CLIENT_CA_FILE')).toEqual(['server', 'tls', 'clientCaFile']);
    expect(
      [...keys.keys()].filter((name) => /UPSTREAMS|ALLOWED|VERSION|INCLUDE|POLIC|TRUSTED|API_KEYS/.test(name)),
    ).toEqual([]);
    expect(keys.size).toBe(40);
  });
});

describe('flags', () => {
  test('win over variables', () => {
    const flags = [{ path: ['server', 'port'], value: '99', flag: '--port' }];
    expect(load(ONE, { env: { MCP_GATEWAY_SERVER_PORT: '90' }, flags }).server.port).toBe(99);
  });

  test('are named when they are wrong', () => {
    const flags = [{ path: ['server', 'port'], value: '-1', flag: '--port' }];
    expect(lines(ONE, { flags })).toEqual(['--port: must be at least 0']);
  });

  test('make a configuration of their own', () => {
    const config = configFromFlags([{ path: ['upstreams'], value: [{ url: 'http://a.com' }], flag: '--upstream' }], {
      env: {},
    });
    expect(config).toMatchObject({ source: 'command line', defaultRoute: 'a', upstreams: [{ prefix: 'a' }] });
  });
});
