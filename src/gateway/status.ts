/** What `/status` says, in the words of the public contract. */
import { redactUrl } from '../core/redact-url.js';
import { VERSION } from '../core/version.js';
import type { Route } from './route.js';

export interface StatusContext {
  readonly defaultPrefix: string | undefined;
  readonly port: number;
  readonly uptimeS: number;
  readonly replica: string;
  readonly configHash: string;
  /** RFC 3339; when the configuration in force was read. */
  readonly lastReload: string;
}

export function routeStatus(route: Route, defaultPrefix: string | undefined): Record<string, unknown> {
  const { upstream, sessions, prefix } = route;
  return {
    upstream_url: redactUrl(upstream.options.url),
    policy_active: false,
    role: null,
    policy_stats: null,
    connections_active: sessions.size > 0,
    upstream_connected: upstream.isReachable ?? false,
    proxy_path: prefix,
    local_endpoints: prefix === defaultPrefix ? [`/${prefix}/sse`, '/sse'] : [`/${prefix}/sse`],
    connections: sessions.size,
    transport: upstream.kind ?? upstream.options.transport,
    protocol: 'legacy',
    breaker: upstream.breaker.state,
    policy_hash: null,
  };
}

/** One upstream: its status and the gateway's in one object. Several: a list beside the gateway's. */
export function gatewayStatus(routes: readonly Route[], context: StatusContext): Record<string, unknown> {
  const gateway = {
    version: VERSION,
    uptime_s: context.uptimeS,
    port: context.port,
    replica: context.replica,
    replicas: [context.replica],
    config_hash: context.configHash,
    last_reload: context.lastReload,
  };
  const [only] = routes;
  if (routes.length === 1 && only !== undefined) return { ...routeStatus(only, context.defaultPrefix), ...gateway };
  return { routes: routes.map((route) => routeStatus(route, context.defaultPrefix)), ...gateway };
}
