/**
 * From configuration to the routes that serve it. A runtime never changes; the next one is prepared whole, takes over the
 * routes whose upstream is the same, and comes into force in one step.
 */
import { readFileSync } from 'node:fs';
import { isDeepStrictEqual } from 'node:util';
import type { GatewayConfig } from '../config/config.js';
import type { UpstreamOptions } from '../upstream/options.js';
import { RuleBuilder, type RuleStores } from './policies/build-rules.js';
import type { ConfigChanges } from './reload.js';
import { Route } from './route.js';
import type { RouteRules } from './policies/rules.js';
import type { SharedParts } from './shared-parts.js';

interface PlacedRoute {
  readonly route: Route;
  /** Equal for upstreams that are reached in the same way. */
  readonly identity: unknown;
}

export interface KeptRoute {
  readonly route: Route;
  /** What rules over it under the new configuration. */
  readonly rules: RouteRules;
}

/** A runtime that is not in force yet, and what has to happen when it comes into force. */
export interface PreparedRuntime {
  readonly runtime: Runtime;
  readonly kept: readonly KeptRoute[];
  /** Made for this runtime. */
  readonly added: readonly Route[];
  /** Of the previous runtime, and not of this one. */
  readonly retired: readonly Route[];
}

export class Runtime {
  readonly config: GatewayConfig;
  readonly routes: readonly Route[];
  readonly #identities: ReadonlyMap<string, PlacedRoute>;

  constructor(config: GatewayConfig, placed: readonly PlacedRoute[]) {
    this.config = config;
    this.routes = placed.map(({ route }) => route);
    this.#identities = new Map(placed.map((each) => [each.route.prefix, each]));
  }

  find(prefix: string): PlacedRoute | undefined {
    return this.#identities.get(prefix);
  }
}

/** @throws {Error} a certificate of an upstream cannot be read; then nothing was made and `previous` is as it was */
export function prepareRuntime(
  config: GatewayConfig,
  parts: SharedParts,
  stores: RuleStores,
  previous?: Runtime,
): PreparedRuntime {
  const builder = new RuleBuilder(config, stores, parts.metrics);
  const plans = config.upstreams.map((upstream) => {
    const before = previous?.find(upstream.prefix);
    const identity = identityOf(upstream);
    const isSame = before !== undefined && isDeepStrictEqual(before.identity, identity);
    return {
      upstream,
      identity,
      rules: builder.build(upstream, before?.route.rules),
      kept: isSame ? before : undefined,
    };
  });
  const placed: PlacedRoute[] = [];
  const kept: KeptRoute[] = [];
  const added: Route[] = [];
  for (const { upstream, identity, rules, kept: before } of plans) {
    const route = before?.route ?? new Route(upstream, parts.sessionOptions, rules, parts);
    placed.push({ route, identity });
    if (before === undefined) added.push(route);
    else kept.push({ route, rules });
  }
  const runtime = new Runtime(config, placed);
  const retired = (previous?.routes ?? []).filter((route) => !runtime.routes.includes(route));
  return { runtime, kept, added, retired };
}

/** By prefix; a route that takes the place of another is `replaced`. */
export function changesOf({ runtime, added, retired }: PreparedRuntime): Omit<ConfigChanges, 'waiting'> {
  const gone = retired.map(({ prefix }) => prefix);
  const come = added.map(({ prefix }) => prefix);
  return {
    added: come.filter((prefix) => !gone.includes(prefix)),
    removed: gone.filter((prefix) => runtime.find(prefix) === undefined),
    replaced: come.filter((prefix) => gone.includes(prefix)),
  };
}

/** Rules may change while a session lives; how its upstream is reached may not. Certificates count by what is in them. */
function identityOf(upstream: UpstreamOptions): unknown {
  const reached = { ...upstream, policy: undefined, role: undefined, pins: undefined, expose: undefined };
  const files = Object.values(upstream.tls ?? {}).map((file: string) => readFileSync(file));
  return { reached, files };
}
