/** Requests that other replicas pass on: served like those of clients, but only when the session is here, and never passed on again. */
import type { ForwardedRequest } from '../../cluster/peer-listener.js';
import { background } from '../../core/background.js';
import { describeError } from '../../core/errors.js';
import type { Logger } from '../../core/logger.js';
import type { Endpoint } from '../../downstream/endpoints.js';
import { namedSession } from '../../downstream/elsewhere.js';
import type { HttpExchange } from '../../downstream/http-exchange.js';
import { openEventStream } from '../../downstream/respond.js';
import type { Fence } from './fence.js';
import { MovableExchange } from './movable-exchange.js';
import { Flag, patienceMs } from './session-finder.js';

export interface ForwardedDependencies {
  readonly fence: Fence;
  readonly logger: Logger;
  readonly endpoint: (prefix: string, kind: string) => Endpoint | undefined;
  readonly isDraining: () => boolean;
  readonly serveHere: (endpoint: Endpoint, exchange: HttpExchange) => void;
  /** Takes a session that nobody owns. @returns whether it is here */
  readonly takeFor: (endpoint: Endpoint, exchange: HttpExchange) => Promise<boolean>;
  readonly onForwarded: () => void;
}

/** "Misdirected request": this replica does not own the session, and has done nothing. */
const NOT_OWNER = 421;

export function serveForwarded(forwarded: ForwardedRequest, dependencies: ForwardedDependencies): void {
  const { envelope, response } = forwarded;
  const [, prefix = '', kind = ''] = envelope.path.split('/');
  const endpoint = dependencies.endpoint(prefix, kind);
  dependencies.onForwarded();
  // The configuration here may not know the route yet, or any more.
  if (endpoint === undefined) sayNotOwner(response);
  else place(endpoint, exchangeOf(forwarded), forwarded, dependencies);
}

function place(
  endpoint: Endpoint,
  exchange: HttpExchange,
  { envelope }: ForwardedRequest,
  dependencies: ForwardedDependencies,
): void {
  const { fence, isDraining } = dependencies;
  const { flags } = envelope;
  const id = namedSession(endpoint, exchange);
  if (id === undefined) {
    if (flags?.[Flag.open] !== '1' || isDraining()) sayNotOwner(exchange.response);
    else dependencies.serveHere(endpoint, exchange);
  } else if (endpoint.door.holds(id)) {
    if (fence.isOpen) serve(endpoint, exchange, id, dependencies);
    else serveOnceCertain(endpoint, exchange, id, dependencies);
  } else if (flags?.[Flag.take] === '1' && !isDraining()) takeAndServe(endpoint, exchange, id, dependencies);
  else sayNotOwner(exchange.response);
}

function serveOnceCertain(
  endpoint: Endpoint,
  exchange: HttpExchange,
  id: string,
  dependencies: ForwardedDependencies,
): void {
  dependencies.fence.pass(() => serveIfHere(endpoint, exchange, id, dependencies), {
    afterMs: patienceMs(exchange.request),
    act: () => sayNotOwner(exchange.response),
  });
}

function takeAndServe(
  endpoint: Endpoint,
  exchange: HttpExchange,
  id: string,
  dependencies: ForwardedDependencies,
): void {
  const { takeFor, logger } = dependencies;
  const served = () => serveIfHere(endpoint, exchange, id, dependencies);
  const taken = takeFor(endpoint, exchange).then(served, (error: unknown) => {
    logger.debug('takeover_failed', 'a session could not be taken', { reason: describeError(error) });
    sayNotOwner(exchange.response);
  });
  background(taken, logger, 'takeover_failed');
}

function serveIfHere(
  endpoint: Endpoint,
  exchange: HttpExchange,
  id: string,
  dependencies: ForwardedDependencies,
): void {
  if (endpoint.door.holds(id)) serve(endpoint, exchange, id, dependencies);
  else sayNotOwner(exchange.response);
}

function serve(endpoint: Endpoint, exchange: HttpExchange, id: string, { serveHere }: ForwardedDependencies): void {
  // The edge has said to its client how a stream begins.
  if (exchange.isAnswerOpen === true) openEventStream(exchange.response, exchange.headers);
  const follow = (body: Buffer | undefined): void => {
    // A session that is still here was not what was missing, and looking for it elsewhere would only lead back.
    if (endpoint.door.holds(id)) serveHere(endpoint, { ...exchange, body });
    else sayNotOwner(exchange.response);
  };
  serveHere(endpoint, new MovableExchange(exchange, (body, left) => void left.then(() => follow(body))));
}

function exchangeOf({ envelope, request, response, body }: ForwardedRequest): HttpExchange {
  const { principal, ip, publicPrefix, query, headers, flags } = envelope;
  return {
    request,
    response,
    query,
    caller: { principal, ip, headers },
    headers: [],
    publicPrefix,
    body: request.method === 'POST' ? body : undefined,
    isAnswerOpen: flags?.[Flag.greeted] === '1',
  };
}

function sayNotOwner(response: HttpExchange['response']): void {
  if (response.headersSent) response.destroy();
  else response.writeHead(NOT_OWNER, ['content-length', '0']).end();
}
