/** Under which paths and URLs clients reach a route. */
import type { GatewayConfig } from '../config/config.js';

const KINDS = ['sse', 'mcp'] as const;

/** Paths as clients see them, the path of `publicUrl` included; those of the default route last. */
export function endpointPaths(config: GatewayConfig, prefix: string): string[] {
  const base = config.server.publicUrl?.path ?? '';
  const own = KINDS.map((kind) => `${base}/${prefix}/${kind}`);
  return config.defaultRoute === prefix ? [...own, ...KINDS.map((kind) => `${base}/${kind}`)] : own;
}

/** URLs at the listener itself, which knows nothing of `publicUrl`. */
export function localEndpoints(config: GatewayConfig, prefix: string, address: string): string[] {
  const base = config.server.publicUrl?.path ?? '';
  return endpointPaths(config, prefix).map((path) => address + path.slice(base.length));
}
