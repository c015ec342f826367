/** The whole configuration, checked and complete: what the gateway is started with. */
import type { LoggingOptions } from '../core/logging-options.js';
import type { ServerOptions } from '../downstream/options.js';
import type { UpstreamOptions } from '../upstream/options.js';

export interface GatewayConfig {
  /** Where it came from, for people: a path, `<stdin>` or `command line`. */
  source: string;
  /** SHA-256 (hex) of the effective configuration; equal for equal meaning, and no secret can be read from it. */
  hash: string;
  /** Sentences for the start log. */
  warnings: string[];
  server: ServerOptions;
  upstreams: UpstreamOptions[];
  /** Prefix that is also served at `/sse`, `/messages` and `/mcp`. */
  defaultRoute: string | undefined;
  logging: LoggingOptions;
}
