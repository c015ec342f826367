/** What operators and probes ask: Koa's part of the listener, since none of it is hot. */
import { STATUS_CODES } from 'node:http';
import Router from '@koa/router';
import Koa from 'koa';
import type { Exposition } from '../metrics/metrics.js';
import { ErrorCode } from '../protocol/error-codes.js';
import { errorBody } from '../protocol/json-rpc.js';

/** The gateway as operators see it. */
export interface OpsView {
  /** The process works at all. */
  isLive(): boolean;
  /** It takes new sessions. */
  isReady(): boolean;
  status(): object;
  /** Undefined: no such route. */
  routeStatus(prefix: string): object | undefined;
  /** Undefined: nobody counts. */
  metrics(): Promise<Exposition> | undefined;
}

const SECURITY_HEADERS: readonly (readonly [string, string])[] = [
  ['Cache-Control', 'no-store'],
  ['X-Content-Type-Options', 'nosniff'],
  ['Referrer-Policy', 'no-referrer'],
];

/** Paths that are open to any host name: probes come by address. */
export const PROBE_PATHS: ReadonlySet<string> = new Set(['/livez', '/readyz', '/healthz']);

/** Paths that say how the gateway is made and how it fares: not for everyone. */
export function isOperatorPath(path: string): boolean {
  return path === '/status' || path === '/metrics' || /^\/[^/]+\/status$/.test(path);
}

export function createOpsApp(view: OpsView): Koa {
  // Exactly the paths that are written here, like everywhere else.
  const router = new Router({ sensitive: true, strict: true });
  router.get('/livez', (context) => probe(context, view.isLive()));
  router.get('/readyz', (context) => probe(context, view.isReady()));
  router.get('/healthz', (context) => probe(context, view.isLive()));
  router.get('/status', (context) => {
    context.body = view.status();
  });
  router.get('/metrics', async (context) => {
    const exposition = await view.metrics();
    if (exposition === undefined) return;
    context.type = exposition.contentType;
    context.body = exposition.text;
  });
  router.get('/:prefix/status', (context) => {
    const status = view.routeStatus(context.params['prefix'] ?? '');
    if (status !== undefined) context.body = status;
  });

  const app = new Koa();
  // A client that went away in the middle is no news; everything else reaches the listener as an unhandled error.
  app.silent = true;
  app.use(async (context, next) => {
    for (const [name, value] of SECURITY_HEADERS) context.set(name, value);
    await next();
    if (context.status >= 400 && context.body == null) {
      const { status } = context;
      const message = (STATUS_CODES[status] ?? 'refused').toLowerCase();
      context.body = errorBody(undefined, { code: ErrorCode.invalidRequest, message });
      context.status = status;
    }
  });
  app.use(router.routes());
  app.use(router.allowedMethods());
  return app;
}

/** Says yes or no and names nothing: these paths need no credentials. */
function probe(context: Koa.Context, isWell: boolean): void {
  context.status = isWell ? 200 : 503;
  context.body = { status: isWell ? 'ok' : 'unavailable' };
}
