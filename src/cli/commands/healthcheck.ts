/** `healthcheck`: exit 0 when the gateway is ready, else 1; for containers, which have no curl. */
import { get as getHttp } from 'node:http';
import { get as getHttps } from 'node:https';
import { EXIT, UsageError } from '../exit-codes.js';
import type { Io } from '../io.js';

const TIMEOUT_MS = 3000;

export async function healthcheck(options: { url?: string }, io: Io): Promise<number> {
  const url = options.url ?? defaultUrl(io.env);
  if (!/^https?:$/.test(URL.canParse(url) ? new URL(url).protocol : ''))
    throw new UsageError(`not an http(s) URL: ${url}`);
  const answer = await statusOf(url);
  if (answer === 200) return EXIT.ok;
  io.err(`not ready: ${answer}\n`);
  return EXIT.no;
}

function defaultUrl(env: Io['env']): string {
  const port = env['MCP_GATEWAY_SERVER_PORT'] || '8080';
  const host = env['MCP_GATEWAY_SERVER_HOST'] || '127.0.0.1';
  return `http://${reachable(host)}:${port}/readyz`;
}

/** "Every address" is for listening; to connect, loopback is one of them. */
function reachable(host: string): string {
  const bare = host.replace(/^\[(.*)\]$/, '$1');
  if (bare === '0.0.0.0') return '127.0.0.1';
  if (bare === '::') return '[::1]';
  return bare.includes(':') ? `[${bare}]` : bare;
}

function statusOf(url: string): Promise<number | string> {
  return new Promise((resolve) => {
    const get = url.startsWith('https:') ? getHttps : getHttp;
    const request = get(url, { agent: false, timeout: TIMEOUT_MS }, (response) => {
      response.resume();
      resolve(response.statusCode ?? 0);
    });
    request.on('timeout', () => request.destroy(new Error(`no answer within ${TIMEOUT_MS} ms`)));
    request.on('error', (error: NodeJS.ErrnoException) => resolve(error.code ?? error.message));
  });
}
