/** A gateway with one route to a broken upstream and one to a healthy one, on which a canary keeps calling. */
import { createServer } from 'node:http';
import { expect } from 'vitest';
import { EvilUpstream } from '../helpers/evil-upstream.js';
import { listenOnLoopback } from '../helpers/loopback.js';
import { type InProcessGateway, startTestGateway } from '../helpers/start-gateway.js';
import { Canary, type TestClient } from './faults-support.js';

export type UpstreamKind = 'sse' | 'streamable-http';
export const UPSTREAM_KINDS: readonly UpstreamKind[] = ['sse', 'streamable-http'];

/** What the gateway sends to the broken upstream and nobody else may ever see. */
const CREDENTIAL = 'canary-credential-4711';

export interface Rig {
  readonly upstream: EvilUpstream;
  readonly gateway: InProcessGateway;
  /** Checks the canary, and ends everything. */
  stop(): Promise<void>;
}

export interface BrokenOptions {
  /** Where the route leads; default: to `upstream`. */
  readonly url?: string;
  /** More keys of the route. */
  readonly route?: Readonly<Record<string, unknown>>;
  readonly server?: Readonly<Record<string, unknown>>;
}

/** Short enough to wait for, long enough for a busy machine to answer in. */
export const TIMEOUTS = { connect: '1500ms', idle: '1500ms', total: '10s' } as const;

/** For faults that are answered at once: a machine that stands still for a moment does not make a timeout of them. */
export const PATIENT_TIMEOUTS = { connect: '10s', idle: '20s', total: '60s' } as const;

/** Serves the broken upstream at `/broken` and the healthy one at `/healthy`. */
export async function startBroken(kind: UpstreamKind, options: BrokenOptions = {}): Promise<Rig> {
  const [upstream, healthy] = await Promise.all([EvilUpstream.start(), EvilUpstream.start()]);
  const gateway = await startTestGateway({
    server: { limits: { upstreamMessageBytes: '256KiB' }, ...options.server },
    upstreams: [
      {
        url: options.url ?? (kind === 'sse' ? upstream.sseUrl : upstream.mcpUrl),
        prefix: 'broken',
        transport: kind,
        headers: { Authorization: `Bearer ${CREDENTIAL}` },
        timeouts: TIMEOUTS,
        ...options.route,
      },
      { url: healthy.mcpUrl, prefix: 'healthy' },
    ],
  });
  const canary = await Canary.start(gateway.url, '/healthy');
  const stop = async () => {
    const problems = await canary.stop();
    await gateway.stop();
    await Promise.all([upstream.close(), healthy.close()]);
    expect(problems).toEqual([]);
  };
  return { upstream, gateway, stop };
}

/** Nothing the client was told may name the upstream, its credential, or our insides. */
export function expectNoLeak(client: TestClient, { upstream }: Rig): void {
  const { transcript } = client;
  expect(transcript).not.toContain(CREDENTIAL);
  expect(transcript).not.toContain(String(upstream.port));
  expect(transcript).not.toMatch(
    /canary-(?:path|realm|host)|127\.0\.0\.1|ECONN|ENOTFOUND|EAI_AGAIN|node:|\.[jt]s:\d|\\n\s+at /,
  );
  expect(transcript).not.toContain('www-authenticate');
}

export interface MaintenancePage {
  readonly url: string;
  close(): Promise<void>;
}

/** A web page with status 200 for every request, on the port an upstream may take over. */
export async function startMaintenancePage(port: number): Promise<MaintenancePage> {
  const server = createServer((_request, response) => {
    response.writeHead(200, { 'content-type': 'text/html' }).end('<h1>Back soon</h1>');
  });
  const listener = await listenOnLoopback(server, port);
  return { url: `http://127.0.0.1:${listener.port}`, close: () => listener.close() };
}
