/** What `/status` says, in the words of the public contract. */
import { redactUrl } from '../core/redact-url.js';
import { VERSION } from '../core/version.js';
import { anonymousPrincipal } from '../auth/anonymous.js';
import type { Caller } from '../downstream/client-session.js';
import type { RouteFacts } from '../metrics/metrics.js';
import type { Route } from './route.js';
import { isListed } from './policies/ruling.js';

/** Nobody in particular, so that the role is the route's. */
const ROUTE_ROLE: Caller = { principal: anonymousPrincipal(undefined), ip: '', headers: {} };

export interface StatusContext {
  readonly defaultPrefix: string | undefined;
  readonly port: number;
  readonly uptimeS: number;
  readonly replica: string;
  /** All that serve together, this one included. */
  readonly replicas: readonly string[];
  readonly configHash: string;
  /** RFC 3339; when the configuration in force was read. */
  readonly lastReload: string;
}

export function routeStatus(route: Route, defaultPrefix: string | undefined): Record<string, unknown> {
  const { upstream, sessions, prefix, rules } = route;
  return {
    upstream_url: redactUrl(upstream.options.url),
    policy_active: rules.policy !== undefined,
    role: rules.defaultRole ?? null,
    policy_stats: policyStats(route),
    connections_active: sessions.size > 0,
    upstream_connected: upstream.isReachable ?? false,
    proxy_path: prefix,
    local_endpoints: prefix === defaultPrefix ? [`/${prefix}/sse`, '/sse'] : [`/${prefix}/sse`],
    connections: sessions.size,
    transport: upstream.kind ?? upstream.options.transport,
    protocol: protocolOf(route),
    breaker: upstream.breaker.state,
    policy_hash: rules.policy?.hash ?? null,
  };
}

/** What the route's own role may call of the tools the upstream was last seen to have. */
function policyStats(route: Route): object | null {
  const { policy } = route.rules;
  if (policy === undefined) return null;
  const names = [...(route.lists.catalog.names ?? [])];
  const context = { caller: ROUTE_ROLE, client: undefined, nowMs: Date.now() };
  const allowed = names.filter((name) => isListed(route.rules, 'tool', name, context)).length;
  return {
    version: policy.version,
    policy_name: policy.name,
    total_allowed_tools: allowed,
    total_denied_tools: names.length - allowed,
  };
}

function protocolOf(route: Route): string {
  const { protocol } = route.upstream.options;
  const { isModern } = route.stateless;
  if (protocol !== 'auto' || isModern === undefined) return protocol;
  return isModern ? 'modern' : 'legacy';
}

/** The same for `/metrics`. */
export function routeFacts({ prefix, upstream, sessions }: Route): RouteFacts {
  const counts = { sse: 0, 'streamable-http': 0 };
  for (const { record } of sessions.sessions) counts[record.kind] += 1;
  return { route: prefix, sessions: counts, isUpstreamUp: upstream.isReachable, breaker: upstream.breaker.state };
}

/** One upstream: its status and the gateway's in one object. Several: a list beside the gateway's. */
export function gatewayStatus(routes: readonly Route[], context: StatusContext): Record<string, unknown> {
  const gateway = {
    version: VERSION,
    uptime_s: context.uptimeS,
    port: context.port,
    replica: context.replica,
    replicas: context.replicas,
    config_hash: context.configHash,
    last_reload: context.lastReload,
  };
  const [only] = routes;
  if (routes.length === 1 && only !== undefined) return { ...routeStatus(only, context.defaultPrefix), ...gateway };
  return { routes: routes.map((route) => routeStatus(route, context.defaultPrefix)), ...gateway };
}
