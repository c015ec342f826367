/** `routes`: what the configuration serves where, as a table or JSON. */
import type { GatewayConfig } from '../../config/config.js';
import { loadConfig } from '../../config/load.js';
import { redactUrl } from '../../core/redact-url.js';
import { endpointPaths } from '../endpoints.js';
import { EXIT } from '../exit-codes.js';
import type { Io } from '../io.js';
import { table } from '../table.js';

export interface RoutesOptions {
  config?: string;
  json?: boolean;
}

interface RouteRow {
  prefix: string;
  upstream: string;
  transport: string;
  protocol: string;
  endpoints: string[];
  policy: string | null;
}

export async function routes(options: RoutesOptions, io: Io): Promise<number> {
  const config = await loadConfig({ file: options.config, env: io.env, cwd: io.cwd, stdin: io.stdin });
  const rows = rowsOf(config);
  io.out(options.json === true ? `${JSON.stringify(rows, undefined, 2)}\n` : text(rows));
  return EXIT.ok;
}

function rowsOf(config: GatewayConfig): RouteRow[] {
  return config.upstreams.map(({ prefix, url, transport, protocol, policy }) => ({
    prefix,
    upstream: redactUrl(url),
    transport,
    protocol,
    endpoints: endpointPaths(config, prefix),
    policy: policy ?? null,
  }));
}

function text(rows: readonly RouteRow[]): string {
  return table([
    ['PREFIX', 'UPSTREAM', 'TRANSPORT', 'POLICY', 'ENDPOINTS'],
    ...rows.map((row) => [row.prefix, row.upstream, row.transport, row.policy ?? '-', row.endpoints.join(' ')]),
  ]);
}
