/** The whole configuration, checked and complete: what the gateway is started with. */
import type { AuditOptions } from '../audit/options.js';
import type { AuthOptions } from '../auth/options.js';
import type { ClusterOptions } from '../cluster/options.js';
import type { LoggingOptions } from '../core/logging-options.js';
import type { ServerOptions } from '../downstream/options.js';
import type { MetricsOptions } from '../metrics/options.js';
import type { PolicyDocument } from '../policy/document.js';
import type { RateLimitOptions } from '../rate-limit/options.js';
import type { RedisOptions } from '../redis/options.js';
import type { UpstreamOptions } from '../upstream/options.js';

export interface ServerConfig extends ServerOptions {
  /** CIDRs, such as `10.0.0.0/8`, of peers whose `X-Forwarded-*` headers are believed. */
  trustedProxies: string[];
}

export interface GatewayConfig {
  /** Where it came from, for people: a path, `<stdin>` or `command line`. */
  source: string;
  /** SHA-256 (hex) of the effective configuration; equal for equal meaning, and no secret can be read from it. */
  hash: string;
  /** Sentences for the start log. */
  warnings: string[];
  server: ServerConfig;
  upstreams: UpstreamOptions[];
  /** Prefix that is also served at `/sse`, `/messages` and `/mcp`. */
  defaultRoute: string | undefined;
  logging: LoggingOptions;
  metrics: MetricsOptions;
  /** Undefined: everyone is anonymous. */
  auth: AuthOptions | undefined;
  /** By the name that upstreams use. Each compiles with `policyEnv`. */
  policies: ReadonlyMap<string, PolicyDocument>;
  /** What conditions of policies see as `env`. */
  policyEnv: Readonly<Record<string, string>>;
  rateLimits: RateLimitOptions;
  /** Undefined: there is no audit trail. `file` is absolute. */
  audit: AuditOptions | undefined;
  /** Undefined: this gateway is the only one, and everything is in memory. With it there is `cluster`. */
  redis: RedisOptions | undefined;
  cluster: ClusterOptions | undefined;
  /**
   * Absolute paths of all that was read or named to be read: the configuration, included files and the directories of
   * patterns, policies, `${file:}` sources, certificates and key sets. What has to be watched for changes.
   */
  files: readonly string[];
  /** When reading them began, in milliseconds since 1970. */
  readAtMs: number;
}
