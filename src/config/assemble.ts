/** Checks a whole source, its included files and what they say together, and puts the `GatewayConfig` together. */
import { readFileSync } from 'node:fs';
import { dirname, relative } from 'node:path';
import { z } from 'zod';
import type { AuditOptions } from '../audit/options.js';
import type { AuthOptions } from '../auth/options.js';
import { upstreamSchema } from '../upstream/options.js';
import { assignPrefixes, type PlacedUpstream } from './assign-prefixes.js';
import { check } from './check.js';
import { placeClientServers } from './client-servers.js';
import type { GatewayConfig, ServerConfig } from './config.js';
import { resolveAuditFile, resolveKeySetFiles, resolveLogFile, resolveServerTls, resolveUpstreamTls } from './files.js';
import { hashConfig } from './hash.js';
import { findIncluded, type IncludedFile } from './include.js';
import { readFailure } from './interpolate.js';
import { checkPolicyUse, loadPolicies, type LoadedPolicies, warnOfUnguarded } from './policies.js';
import type { Report } from './problem.js';
import { readReplicas } from './replicas.js';
import { checkExposure, chooseDefault, requireUpstreams, warnIfPlain, warnOfPlainSecrets } from './rules.js';
import { configShape, includedShape } from './schema.js';
import type { ConfigSource } from './source.js';
import { readYaml } from './yaml-source.js';

export interface AssembleContext {
  env: Readonly<Record<string, string | undefined>>;
  cwd: string;
}

/** @returns undefined when a part is missing; then the report says why */
export function assemble(source: ConfigSource, context: AssembleContext, report: Report): GatewayConfig | undefined {
  if (!checkKeys(configShape, source, report)) return undefined;
  check(configShape.version, source, ['version'], report);
  const server = readServer(source, context, report);
  const logging = check(configShape.logging, source, ['logging'], report);
  if (logging !== undefined) resolveLogFile(logging, source, context.cwd);
  const policy = check(configShape.policy, source, ['policy'], report);
  // Without what is wrong with the names, policies that use them would be blamed for it.
  const policies = policy && loadPolicies({ source, env: policy.env, cwd: context.cwd, report });
  const routes = readRoutes(source, policies, context, report);
  const rateLimits = check(configShape.rateLimits, source, ['rateLimits'], report);
  const metrics = check(configShape.metrics, source, ['metrics'], report);
  const rest = {
    auth: readAuth(source, context, report),
    audit: readAudit(source, context, report),
    ...readReplicas(source, report),
  };
  if (server === undefined || logging === undefined || metrics === undefined) return undefined;
  if (policies === undefined || rateLimits === undefined) return undefined;
  const documents = new Map([...policies].flatMap(([name, each]) => (each ? [[name, each.document] as const] : [])));
  const shared = { policies: documents, policyEnv: policy?.env ?? {}, rateLimits };
  const effective = { server, ...routes, logging, metrics, ...shared, ...rest };
  const { warnings, files, readAtMs } = report;
  return { source: source.file, hash: hashConfig(effective), warnings, files: [...files], readAtMs, ...effective };
}

function readServer(source: ConfigSource, context: AssembleContext, report: Report): ServerConfig | undefined {
  const server = check(configShape.server, source, ['server'], report);
  if (server === undefined) return undefined;
  checkExposure(server, source, report);
  resolveServerTls(server, source, context.cwd, report);
  return server;
}

function readAuth(source: ConfigSource, context: AssembleContext, report: Report): AuthOptions | undefined {
  const auth = check(configShape.auth, source, ['auth'], report);
  if (auth !== undefined) resolveKeySetFiles(auth, source, context.cwd, report);
  return auth;
}

function readAudit(source: ConfigSource, context: AssembleContext, report: Report): AuditOptions | undefined {
  const audit = check(configShape.audit, source, ['audit'], report);
  if (audit === undefined) return undefined;
  resolveAuditFile(audit, source, context.cwd);
  warnIfPlain(['audit', 'key'], source, report);
  return audit;
}

function readRoutes(
  source: ConfigSource,
  policies: LoadedPolicies | undefined,
  context: AssembleContext,
  report: Report,
): Pick<GatewayConfig, 'upstreams' | 'defaultRoute'> {
  const problemsBefore = report.problems.length;
  const placed = collectUpstreams(source, context, report);
  for (const each of placed) {
    resolveUpstreamTls(each, context.cwd, report);
    warnOfPlainSecrets(each, report);
  }
  const upstreams = assignPrefixes(placed, report);
  requireUpstreams(source, report);
  const named = check(configShape.default, source, ['default'], report);
  // With an upstream missing for its own reasons, a second complaint about its name would mislead.
  const areComplete = report.problems.length === problemsBefore;
  const defaultRoute = areComplete ? chooseDefault(named, upstreams, source, report) : undefined;
  if (policies !== undefined) checkPolicyUse(placed, policies, report);
  warnOfUnguarded(upstreams, report);
  return { upstreams, defaultRoute };
}

/** Only which keys there are; what they hold is checked one by one. */
function checkKeys(shape: Record<string, z.ZodType>, source: ConfigSource, report: Report): boolean {
  const fields = Object.entries(shape).map(([key, schema]) => [
    key,
    z
      .unknown()
      .optional()
      .describe(schema.description ?? ''),
  ]);
  const keys = z.strictObject(Object.fromEntries(fields) as Record<string, z.ZodUnknown>);
  check(keys, source, [], report);
  const value = source.get();
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function collectUpstreams(source: ConfigSource, context: AssembleContext, report: Report): PlacedUpstream[] {
  const patterns = check(configShape.include, source, ['include'], report) ?? [];
  if (source.get(['inputs']) !== undefined) {
    report.warnings.push('inputs is ignored: the gateway asks nobody; use environment variables');
  }
  return [
    ...placeList(source, report),
    ...placeClientServers('mcpServers', source, report),
    ...placeClientServers('servers', source, report),
    ...findIncluded(patterns, source, context.cwd, report).flatMap((included) =>
      placeIncluded(included, source, context, report),
    ),
  ];
}

function placeList(source: ConfigSource, report: Report): PlacedUpstream[] {
  const list = source.get(['upstreams']);
  if (!Array.isArray(list)) {
    check(configShape.upstreams, source, ['upstreams'], report);
    return [];
  }
  return list.flatMap((_, index): PlacedUpstream[] => {
    const path = ['upstreams', index];
    const entry = check(upstreamSchema, source, path, report);
    return entry === undefined ? [] : [{ entry, source, path, kind: 'list' }];
  });
}

function placeIncluded(
  { file, path }: IncludedFile,
  includer: ConfigSource,
  context: AssembleContext,
  report: Report,
): PlacedUpstream[] {
  const inside = relative(context.cwd, file);
  const shown = inside.startsWith('..') ? file : inside;
  let bytes: Uint8Array;
  try {
    bytes = readFileSync(file);
  } catch (error) {
    report.problems.push(includer.problem(path, `cannot read ${includer.nameOf(path, shown)}: ${readFailure(error)}`));
    return [];
  }
  const source = readYaml(bytes, { file: shown, baseDir: dirname(file), env: context.env }, report);
  if (source === undefined || !checkKeys(includedShape, source, report)) return [];
  check(includedShape.version, source, ['version'], report);
  return placeList(source, report);
}
