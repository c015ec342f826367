/** Two replicas as far as forwarding goes: a peer that listens, and an edge in front of it with real clients. */
import { createServer, type IncomingMessage, request as httpRequest, type ServerResponse } from 'node:http';
import type { Principal } from '../../src/auth/principal.js';
import { ClientPipe } from '../../src/cluster/client-pipe.js';
import { type ForwardFailure, Forwarder, type ForwardRequest, type Peer } from '../../src/cluster/forwarder.js';
import { type ForwardedRequest, PeerListener } from '../../src/cluster/peer-listener.js';
import { ClusterSecrets } from '../../src/cluster/secrets.js';
import { type Clock, systemClock } from '../../src/core/clock.js';
import { createLogger } from '../../src/core/logger.js';
import type { HttpClient } from '../../src/http-client/client.js';
import { listenOnLoopback } from '../helpers/loopback.js';
import { newClient } from './http-client-support.js';

export const ALICE: Principal = {
  id: 'https://idp.example|alice',
  kind: 'jwt',
  role: 'user',
  tenant: undefined,
  claims: { groups: ['a', 'b'], name: 'Ålice' },
  expiresAtMs: 1_900_000_000_000,
};
export const MAX_BODY_BYTES = 8 * 1024 * 1024;

/** What has to be taken down, the last first. */
const open: (() => Promise<void>)[] = [];

export async function closeAll(): Promise<void> {
  for (const close of open.splice(0).toReversed()) await close();
}

export function keysOf(...secrets: string[]) {
  return new ClusterSecrets(secrets).keysFor('forward');
}

/** A clock that is off by so much. */
export function clockOff(offsetMs: number): Clock {
  return { now: () => systemClock.now(), wallTimeMs: () => systemClock.wallTimeMs() + offsetMs };
}

export interface PeerSetup {
  readonly id?: string;
  readonly secrets?: string[];
  readonly clock?: Clock;
}

export async function startPeer(
  handler: (forwarded: ForwardedRequest) => void,
  { id = 'owner', secrets = ['s'], clock = systemClock }: PeerSetup = {},
): Promise<{ peer: Peer; port: number; listener: PeerListener }> {
  const logger = createLogger({ level: 'error', format: 'json', file: undefined });
  const listener = new PeerListener(
    { listen: { host: '127.0.0.1', port: 0 }, replicaId: id, maxBodyBytes: () => MAX_BODY_BYTES },
    { keys: keysOf(...secrets), clock, logger },
    handler,
  );
  const { port } = await listener.listen();
  open.push(() => listener.close());
  return { peer: { id, address: `http://127.0.0.1:${port}` }, port, listener };
}

export interface EdgeSetup {
  readonly secrets?: string[];
  readonly clock?: Clock;
}

export function startForwarder({ secrets = ['s'], clock = systemClock }: EdgeSetup = {}): Forwarder {
  const clients = new Map<string, HttpClient>();
  open.push(async () => {
    await Promise.all([...clients.values()].map((client) => client.close()));
  });
  const httpFor = ({ address }: Peer): HttpClient => {
    const known = clients.get(address) ?? newClient(Number(new URL(address).port), { headersTimeoutMs: 0 });
    clients.set(address, known);
    return known;
  };
  return new Forwarder({ replicaId: 'edge' }, { keys: keysOf(...secrets), clock, httpFor });
}

/** A request to forward, as an edge would make it of a client's. */
export function requestOf(more: Partial<ForwardRequest> = {}): ForwardRequest {
  const facts = { principal: ALICE, ip: '203.0.113.7', publicPrefix: '/sumit', flags: { depth: '1' } };
  return { method: 'POST', path: '/sumit/mcp', query: '', headers: {}, facts, ...more };
}

export type Outcome = { kind: 'answer' | 'not-owner' } | ({ kind: 'failure' } & ForwardFailure);

/** What came of one request, all of it in memory. */
export interface Taken {
  outcome: Outcome | undefined;
  status: number;
  contentType: string | undefined;
  body: Buffer;
}

/** Sends one request and collects the answer. */
export function send(forwarder: Forwarder, peer: Peer, request: ForwardRequest): Promise<Taken> {
  const taken: Taken = { outcome: undefined, status: 0, contentType: undefined, body: Buffer.alloc(0) };
  return new Promise((resolve) => {
    const finish = (outcome: Outcome): void => {
      taken.outcome = outcome;
      resolve(taken);
    };
    forwarder.forward(peer, request, {
      onStart: () => {},
      onHead: (status, headers) => {
        taken.status = status;
        taken.contentType = headers.get('content-type');
      },
      onData: (chunk) => {
        taken.body = Buffer.concat([taken.body, chunk]);
      },
      onEnd: () => finish({ kind: 'answer' }),
      onFailure: (failure) => finish({ kind: 'failure', ...failure }),
      onNotOwner: () => finish({ kind: 'not-owner' }),
    });
  });
}

export interface Edge {
  readonly url: string;
  readonly port: number;
  /** One for each request so far. */
  readonly pipes: ClientPipe[];
  readonly failures: ForwardFailure[];
}

/** A server that forwards everything to `peer`; what fails before a head is answered with 502. */
export async function startEdge(forwarder: Forwarder, peer: Peer): Promise<Edge> {
  const edge = { pipes: [] as ClientPipe[], failures: [] as ForwardFailure[] };
  const answer = (request: IncomingMessage, response: ServerResponse, body: Buffer): void => {
    const pipe = new ClientPipe(response, ['access-control-allow-origin', 'https://app.example'], {
      onNotOwner: () => response.writeHead(503, ['content-length', '0']).end(),
      onFailure: (failure) => {
        edge.failures.push(failure);
        if (!response.headersSent) response.writeHead(502, ['content-length', '0']).end();
      },
    });
    edge.pipes.push(pipe);
    const [path = '', query = ''] = (request.url ?? '').split('?');
    const method = request.method as ForwardRequest['method'];
    forwarder.forward(peer, requestOf({ method, path, query, headers: request.headers, body }), pipe);
  };
  const server = createServer((request, response) => {
    const chunks: Buffer[] = [];
    request.on('data', (chunk: Buffer) => chunks.push(chunk));
    request.on('end', () => answer(request, response, Buffer.concat(chunks)));
  });
  const loopback = await listenOnLoopback(server);
  open.push(() => loopback.close());
  return { ...edge, port: loopback.port, url: `http://127.0.0.1:${loopback.port}` };
}

/** Opens a stream and lets the test read it. */
export function openStream(url: string): Promise<IncomingMessage> {
  return new Promise((resolve, reject) => {
    const request = httpRequest(url, { agent: false }, resolve);
    request.on('error', reject);
    request.end();
  });
}
