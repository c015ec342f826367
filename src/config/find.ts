/** Which configuration file is meant: the flag, the environment, or the first usual place that has one. */
import { existsSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { ConfigNotFoundError } from './problem.js';

export interface FindOptions {
  /** `--config`; `-` is standard input. */
  file?: string | undefined;
  env: Readonly<Record<string, string | undefined>>;
  cwd: string;
}

/**
 * @returns a path as a person would write it, or `-`
 * @throws {ConfigNotFoundError} nothing was named and no usual place has a file
 */
export function findConfigFile(options: FindOptions): string {
  const named = options.file ?? options.env['MCP_GATEWAY_CONFIG'];
  if (named !== undefined && named !== '') return named;
  const places = usualPlaces(options.env);
  const found = places.find((place) => existsSync(resolve(options.cwd, place)));
  if (found !== undefined) return found;
  throw new ConfigNotFoundError(
    `no configuration file: none of ${places.join(', ')} exists; name one with --config FILE or make one with "mcp-gateway init"`,
  );
}

function usualPlaces(env: FindOptions['env']): string[] {
  const configHome = env['XDG_CONFIG_HOME'] || (env['HOME'] ? join(env['HOME'], '.config') : undefined);
  return [
    'gateway.yaml',
    ...(configHome === undefined ? [] : [join(configHome, 'mcp-gateway', 'gateway.yaml')]),
    '/etc/mcp-gateway/gateway.yaml',
  ];
}
