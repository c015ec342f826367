/** What a running gateway cannot change: those settings stay as they are until a restart, and everything else may be new. */
import { isDeepStrictEqual } from 'node:util';
import type { GatewayConfig } from '../config/config.js';
import { isLoopbackHost } from '../downstream/address-options.js';
import { ReloadRefusedError } from './errors.js';

export interface BoundConfig {
  /** As read, but with what cannot change. */
  readonly config: GatewayConfig;
  /** Keys whose new values have to wait for a restart. */
  readonly waiting: readonly string[];
}

/** @throws {ReloadRefusedError} together with what has to stay, the configuration would not be safe */
export function withBoundSettings(next: GatewayConfig, current: GatewayConfig): BoundConfig {
  const { server, logging, audit, metrics, redis, cluster } = current;
  const tls = boundTls(next, current);
  const config = {
    ...next,
    logging,
    audit,
    metrics,
    redis,
    cluster,
    server: { ...next.server, host: server.host, port: server.port, tls },
  };
  refuseExposure(config);
  const pairs: readonly (readonly [string, unknown, unknown])[] = [
    ['server.host', next.server.host, server.host],
    ['server.port', next.server.port, server.port],
    ['server.tls', next.server.tls, tls],
    ['logging', next.logging, logging],
    ['audit', next.audit, audit],
    ['metrics', next.metrics, metrics],
    ['redis', next.redis, redis],
    ['cluster', next.cluster, cluster],
  ];
  return { config, waiting: pairs.filter(([, one, other]) => !isDeepStrictEqual(one, other)).map(([key]) => key) };
}

/** Other files may hold the certificate, but whether there is one and whether clients need one stays. */
function boundTls({ server: next }: GatewayConfig, { server: current }: GatewayConfig): GatewayConfig['server']['tls'] {
  const isSameKind =
    (next.tls === undefined) === (current.tls === undefined) &&
    (next.tls?.clientCaFile === undefined) === (current.tls?.clientCaFile === undefined);
  return isSameKind ? next.tls : current.tls;
}

/** The file was checked with the address it names, and not with the one that is listened on. */
function refuseExposure({ server, auth }: GatewayConfig): void {
  const asksForCredentials = auth?.apiKeys !== undefined || auth?.jwt !== undefined;
  if (asksForCredentials || server.insecure || isLoopbackHost(server.host)) return;
  throw new ReloadRefusedError(`${server.host} is listened on until a restart, and there would be no authentication`);
}
