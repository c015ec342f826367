import { execFileSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, readFileSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { loadConfig } from '../../../src/config/load.js';
import { readVersion } from '../../../src/cli/version.js';
import { renderJsonSchema } from '../../../src/config/json-schema.js';
import { cli } from './helpers.js';

// Commands load the gateway when they first run; on a busy machine that alone takes longer than a test may.
beforeAll(() => import('../../../src/cli/commands/serve.js'), 60_000);

let cwd: string;
beforeEach(() => {
  cwd = mkdtempSync(join(tmpdir(), 'cli-'));
});

describe('the command line', () => {
  test('prints its version and help on standard output', async () => {
    expect(await cli(['--version'])).toEqual({ code: 0, out: `${readVersion()}\n`, err: '' });
    const help = await cli(['--help']);
    expect(help).toMatchObject({ code: 0, err: '' });
    for (const name of [
      'serve',
      'validate',
      'routes',
      'explain',
      'simulate',
      'policy',
      'audit',
      'schema',
      'init',
      'healthcheck',
      'completion',
    ]) {
      expect(help.out).toContain(name);
    }
  });

  test.each([
    [['valdate'], 'unknown command "valdate" (did you mean "validate"?)'],
    [['--config', 'x', 'validate'], 'the command comes first: mcp-gateway validate'],
    [['--bogus'], "unknown option '--bogus'"],
    [['routes', '--bogus'], "unknown option '--bogus'"],
    [['validate', 'extra'], 'too many arguments'],
    [['--config'], 'argument missing'],
    [['validate', '--format', 'xml'], 'Allowed choices are text, json'],
    [['completion'], "missing required argument 'shell'"],
    [['completion', 'tcsh'], 'Allowed choices are bash, zsh, fish'],
    [['--upstream', 'http://a.com', '--headers', 'X-A'], '--headers takes a name and a value'],
    [['--upstream', 'http://a.com', '--headers', 'X-A', '1', '--headers', 'x-a', '2'], '--headers gives x-a twice'],
    [['--upstream', 'http://a.com', '--sse-proxy', 'http://a.com'], '--sse-proxy is another name for --upstream'],
    [['--upstream', 'http://a.com', '--config', 'x'], 'leave out --config'],
    [['--upstream', 'http://a.com', '--api-key-env', 'NONE'], '--api-key-env: NONE is not set'],
    [['--upstream', 'http://a.com', '--policy-role', 'user'], '--policy-role goes with --policy-config'],
    [['--policy-role', 'user'], '--policy-role goes with --upstream'],
    [['--policy-config', 'p.json'], '--policy-config goes with --upstream'],
    [['explain', '--route', 'a'], "required option '--tool <name>' not specified"],
    [['explain', '--tool', 'a'], "required option '--route <prefix>' not specified"],
    [['explain', '--route', 'a', '--tool', 'b', '--args', '{'], '--args is no JSON'],
    [['explain', '--route', 'a', '--tool', 'b', '--args', '[1]'], '--args is a JSON object'],
    [['simulate'], "required option '--audit <file>' not specified"],
    [['audit'], 'verify'],
    [['audit', 'verfy'], 'unknown command'],
    [['audit', 'verify'], "missing required argument 'file'"],
    [['--headers', 'A', 'b'], '--headers goes with --upstream'],
    [['--api-key-env', 'A'], '--api-key-env goes with --upstream'],
    [['healthcheck', '--url', 'nonsense'], 'not an http(s) URL'],
  ])('%j is a usage error', async (words, text) => {
    const { code, out, err } = await cli(words);
    expect({ code, out }).toEqual({ code: 64, out: '' });
    expect(err).toContain(text);
  });

  test.each([['serve'], ['validate'], ['routes']])('%s without its file ends with 66', async (command) => {
    const { code, out, err } = await cli([command, '--config', 'none.yaml']);
    expect({ code, out, err }).toEqual({
      code: 66,
      out: '',
      err: 'mcp-gateway: cannot read none.yaml: no such file\n',
    });
  });

  test.each([
    [['--upstream', 'ftp://a.com'], '--upstream: the URL must start with http:// or https://\n'],
    [['--upstream', 'http://a.com', '--port', 'abc'], '--port: expected a whole number\n'],
    [
      ['--upstream', 'http://a.com', '--headers', 'Host', 'x'],
      '--headers: the gateway sets the header "host" itself\n',
    ],
    [
      ['--upstream', 'http://a.com', '--policy-config', 'none.json'],
      '--policy-config: cannot read the file named here: no such file\n',
    ],
    [['--upstream', 'http://a.com', '--allow-origin', '*'], /^--allow-origin: expected an exact origin/],
    [['--upstream', 'http://a.com', '--host', '0.0.0.0'], /^--host: this address can be reached from other machines/],
  ])('%j is a configuration error', async (words, text) => {
    const { code, out, err } = await cli(words);
    expect({ code, out }).toEqual({ code: 78, out: '' });
    expect(err).toMatch(text);
  });
});

describe('validate', () => {
  const broken = 'upstreams:\n  - url: https://a.com\n    tranport: sse\n';

  test('prints problems, one per line, and ends with 78', async () => {
    writeFileSync(join(cwd, 'gateway.yaml'), broken);
    expect(await cli(['validate'], { cwd })).toEqual({
      code: 78,
      out: 'gateway.yaml:3:5: unknown key "tranport" (did you mean "transport"?)\n',
      err: '',
    });
  });

  test('prints problems as JSON', async () => {
    const { code, out } = await cli(['validate', '--config', '-', '--format', 'json'], { stdin: broken });
    expect(code).toBe(78);
    expect(JSON.parse(out)).toEqual({
      valid: false,
      problems: [
        {
          file: '<stdin>',
          line: 3,
          column: 5,
          path: 'upstreams[0].tranport',
          message: 'unknown key "tranport"',
          hint: 'did you mean "transport"?',
        },
      ],
    });
  });

  test('says that a file is valid, and its warnings, on standard error', async () => {
    const stdin = 'upstreams: [{ url: "http://a.com", headers: { x-api-key: abc } }]';
    const text = await cli(['validate', '--config', '-'], { stdin });
    expect(text).toMatchObject({ code: 0, out: '' });
    expect(text.err).toMatch(
      /^warning: <stdin>:1:58: .*\nwarning: without a policy, .*\n<stdin> is valid: 1 upstream\(s\)\n$/,
    );
    const json = await cli(['validate', '--config', '-', '--format', 'json'], { stdin });
    expect(JSON.parse(json.out)).toEqual({ valid: true, problems: [] });
  });

  test('cannot be made to write terminal escapes', async () => {
    const { out } = await cli(['validate', '--config', '-'], {
      stdin: 'upstreams: [http://a.com]\n"\\e[2J\\u202e": 1\n',
    });
    expect(out).toContain(String.raw`\u001b[2J\u202e`);
    expect(out).not.toMatch(/[^\P{Cc}\n]|\p{Cf}/u);
  });
});

describe('routes', () => {
  const stdin =
    'server: { publicUrl: /base }\nupstreams: [{ url: "https://mcp.sumit.com/sms/sse?key=canary", transport: sse, policy: basic }, http://b.com]\ndefault: sumit\npolicies: { basic: { version: "1.0", name: Basic Policy, default: deny } }\n';

  test('are JSON of the documented shape', async () => {
    const { code, out } = await cli(['routes', '--config', '-', '--json'], { stdin });
    expect(code).toBe(0);
    expect(JSON.parse(out)).toEqual([
      {
        prefix: 'sumit',
        upstream: 'https://mcp.sumit.com/sms/sse?key=***',
        transport: 'sse',
        protocol: 'auto',
        endpoints: ['/base/sumit/sse', '/base/sumit/mcp', '/base/sse', '/base/mcp'],
        policy: 'basic',
      },
      {
        prefix: 'b',
        upstream: 'http://b.com/',
        transport: 'auto',
        protocol: 'auto',
        endpoints: ['/base/b/sse', '/base/b/mcp'],
        policy: null,
      },
    ]);
  });

  test('are a table for people', async () => {
    const { out } = await cli(['routes', '--config', '-'], { stdin });
    expect(out.split('\n')).toEqual([
      'PREFIX  UPSTREAM                               TRANSPORT  POLICY  ENDPOINTS',
      'sumit   https://mcp.sumit.com/sms/sse?key=***  sse        basic   /base/sumit/sse /base/sumit/mcp /base/sse /base/mcp',
      'b       http://b.com/                          auto       -       /base/b/sse /base/b/mcp',
      '',
    ]);
  });
});

describe('init', () => {
  test('writes a valid file and its schema', async () => {
    expect((await cli(['init', 'new'], { cwd })).code).toBe(0);
    const config = await loadConfig({ file: 'new/gateway.yaml', env: {}, cwd });
    expect(config.rateLimits.limits).toMatchObject([{ name: 'per-caller', limit: { calls: 600, windowMs: 60_000 } }]);
    expect(config.policies.get('basic')?.file).toBe('new/policies/basic.yaml');
    expect(readFileSync(join(cwd, 'new/gateway.schema.json'), 'utf8')).toBe(renderJsonSchema());
    const checked = await cli(['validate', '--config', 'new/gateway.yaml'], { cwd });
    expect(checked).toMatchObject({ code: 0, err: 'new/gateway.yaml is valid: 1 upstream(s)\n' });
  });

  test('shows only examples that would be valid', async () => {
    await cli(['init', '.'], { cwd });
    mkdirSync(join(cwd, 'upstreams.d'));
    const uncomment = (file: string) =>
      readFileSync(join(cwd, file), 'utf8').replace(/^( *)# (?!yaml-)(?= *[a-z-])/gm, '$1');
    writeFileSync(join(cwd, 'all.yaml'), uncomment('gateway.yaml'));
    const policy = uncomment('policies/basic.yaml').replace(/^shadow: .*$/m, '');
    writeFileSync(join(cwd, 'policies/basic.yaml'), policy);
    expect(policy).toMatch(/^ {2}- match: send_message$/m);
    const env = { DOCS_TOKEN: 'x', CI_KEY_SHA256: 'a'.repeat(64) };
    const { out, err, code } = await cli(['validate', '--config', 'all.yaml'], { cwd, env });
    const warning = 'warning: without a policy, every method passes: weather\n';
    expect({ out, err, code }).toEqual({ out: '', err: `${warning}all.yaml is valid: 3 upstream(s)\n`, code: 0 });
  });

  test('never overwrites', async () => {
    writeFileSync(join(cwd, 'gateway.yaml'), 'mine');
    const { code, err } = await cli(['init'], { cwd });
    expect({ code, err }).toEqual({ code: 77, err: 'gateway.yaml exists already and is left as it is\n' });
    expect(readFileSync(join(cwd, 'gateway.yaml'), 'utf8')).toBe('mine');
  });

  test.each(['/proc/nothing/is/made/here', 'a-file', 'a-file/below'])(
    'says so when %s can be no folder',
    async (place) => {
      writeFileSync(join(cwd, 'a-file'), 'mine');
      const { code, err } = await cli(['init', place], { cwd });
      expect(code).toBe(77);
      expect(err).toMatch(new RegExp(`^mcp-gateway: cannot write ${place}/gateway.yaml: E[A-Z]+: [^\n]*\n$`));
    },
  );
});

describe('healthcheck', () => {
  async function served(status: number, check: (port: number) => Promise<void>): Promise<void> {
    const server = createServer((request, response) =>
      response.writeHead(request.url === '/readyz' ? status : 500).end(),
    );
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    await check((server.address() as AddressInfo).port);
    server.close();
  }

  test('is 0 when ready, wherever the variables say', () =>
    served(200, async (port) => {
      expect(await cli(['healthcheck', '--url', `http://127.0.0.1:${port}/readyz`])).toEqual({
        code: 0,
        out: '',
        err: '',
      });
      const env = { MCP_GATEWAY_SERVER_PORT: String(port), MCP_GATEWAY_SERVER_HOST: '0.0.0.0' };
      expect((await cli(['healthcheck'], { env })).code).toBe(0);
    }));

  test('is 1 when not', async () => {
    let closedPort = 0;
    await served(503, async (port) => {
      closedPort = port;
      expect(await cli(['healthcheck', '--url', `http://127.0.0.1:${port}/readyz`])).toMatchObject({
        code: 1,
        err: 'not ready: 503\n',
      });
    });
    expect(await cli(['healthcheck', '--url', `http://127.0.0.1:${closedPort}/readyz`])).toMatchObject({
      code: 1,
      err: 'not ready: ECONNREFUSED\n',
    });
  });
});

describe('completion', () => {
  test.each(['bash', 'zsh', 'fish'])('for %s knows every command and option', async (shell) => {
    const { code, out } = await cli(['completion', shell]);
    expect(code).toBe(0);
    for (const word of [
      'serve',
      'validate',
      'healthcheck',
      'upstream',
      'api-key-env',
      'format',
      'json',
      'verify',
      'key-file',
      'tenant',
    ])
      expect(out).toContain(word);
  });

  test('completes in bash', async () => {
    const { out } = await cli(['completion', 'bash']);
    const complete = (words: string[]) => {
      const setup = `COMP_WORDS=(${words.map((word) => `'${word}'`).join(' ')}); COMP_CWORD=${words.length - 1}; _mcp_gateway; echo "\${COMPREPLY[*]}"`;
      return execFileSync('bash', ['-c', `${out}\n${setup}`], { encoding: 'utf8' }).trim();
    };
    expect(complete(['mcp-gateway', 'va'])).toBe('validate');
    expect(complete(['mcp-gateway', 'validate', '--f'])).toBe('--format');
    expect(complete(['mcp-gateway', 'validate', '--format', ''])).toBe('text json');
    expect(complete(['mcp-gateway', 'audit', 'v'])).toBe('verify');
    expect(complete(['mcp-gateway', 'audit', 'verify', '--k'])).toBe('--key-file');
    expect(complete(['mcp-gateway', 'explain', '--te'])).toBe('--tenant');
    expect(complete(['mcp-gateway', '--ups'])).toBe('--upstream');
  });
});

test('schema prints the JSON Schema', async () => {
  expect(await cli(['schema'])).toEqual({ code: 0, out: renderJsonSchema(), err: '' });
});
