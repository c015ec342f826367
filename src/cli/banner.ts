/** What `serve` says when it listens: version, file, every route with its endpoints, warnings. */
import type { GatewayConfig } from '../config/config.js';
import { escapeUnsafe } from '../core/log-format.js';
import type { Logger } from '../core/logger.js';
import { redactUrl } from '../core/redact-url.js';
import { endpointPaths, localEndpoints } from './endpoints.js';

export interface Started {
  config: GatewayConfig;
  /** Such as `http://127.0.0.1:8080`. */
  address: string;
  version: string;
}

/** For people. */
export function banner({ config, address, version }: Started): string {
  const origin = config.server.publicUrl?.origin;
  const lines = [`mcp-gateway ${version} listens on ${address} (configuration: ${config.source})`];
  for (const { prefix, url } of config.upstreams) {
    lines.push(`  ${prefix} -> ${redactUrl(url)}`);
    for (const endpoint of localEndpoints(config, prefix, address)) lines.push(`      ${endpoint}`);
    if (origin !== undefined) for (const path of endpointPaths(config, prefix)) lines.push(`      ${origin}${path}`);
  }
  for (const warning of config.warnings) lines.push(`  warning: ${warning}`);
  return `${lines.map(escapeUnsafe).join('\n')}\n`;
}

/** For machines. */
export function logStart({ config, address, version }: Started, logger: Logger): void {
  const routes = config.upstreams.map(({ prefix, url }) => ({
    prefix,
    upstream: redactUrl(url),
    endpoints: localEndpoints(config, prefix, address),
  }));
  const msg = `listening on ${address}, configured by ${config.source}`;
  logger.info('gateway_started', msg, { version, address, config: config.source, configHash: config.hash, routes });
  for (const warning of config.warnings) logger.warn('config_warning', warning);
}
