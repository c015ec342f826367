/** `simulate`: replays the decisions of an audit trail under a configuration and says which would change; exit 1 on any. */
import { loadConfig } from '../../config/load.js';
import { escapeUnsafe } from '../../core/log-format.js';
import { type DecisionRecord, readDecisions } from '../decision-records.js';
import { EXIT } from '../exit-codes.js';
import type { Io } from '../io.js';
import { requireFile } from '../require-file.js';
import { replay } from '../replay.js';
import { rulesOf } from '../route-rules.js';

export interface SimulateOptions {
  config?: string;
  audit: string;
  json?: boolean;
}

interface Change {
  decisionId: string;
  route: string;
  tool: string;
  role: string | null;
  tenant: string | null;
  before: 'allow' | 'deny';
  after: 'allow' | 'deny';
  rule: string;
}

interface Outcome {
  decisions: number;
  changed: Change[];
  /** Why, and how often. */
  undecidable: Map<string, number>;
  unreadable: number;
}

/** @throws {InputMissingError} the trail cannot be read */
export async function simulate(options: SimulateOptions, io: Io): Promise<number> {
  const config = await loadConfig({ file: options.config, env: io.env, cwd: io.cwd, stdin: io.stdin });
  const file = requireFile(options.audit, io.cwd);
  const routes = rulesOf(config);
  const outcome: Outcome = { decisions: 0, changed: [], undecidable: new Map(), unreadable: 0 };
  for await (const line of readDecisions(file)) {
    if (line.kind === 'unreadable') outcome.unreadable += 1;
    else judge(line.record, replay(line.record, routes.get(line.record.route)), outcome);
  }
  report(outcome, options, io);
  return outcome.changed.length > 0 ? EXIT.no : EXIT.ok;
}

function judge(record: DecisionRecord, replayed: ReturnType<typeof replay>, outcome: Outcome): void {
  const { decisionId, route, tool, role, tenant, effect: before } = record;
  outcome.decisions += 1;
  if (replayed.kind === 'undecidable') {
    const key = `${record.kind} ${tool} on ${route}: ${replayed.why}`;
    outcome.undecidable.set(key, (outcome.undecidable.get(key) ?? 0) + 1);
  } else if (replayed.effect !== before) {
    const { effect: after, rule } = replayed;
    outcome.changed.push({ decisionId, route, tool, role: role ?? null, tenant: tenant ?? null, before, after, rule });
  }
}

function report(outcome: Outcome, { json }: SimulateOptions, io: Io): void {
  const { decisions, changed, undecidable, unreadable } = outcome;
  if (json === true) io.out(`${JSON.stringify({ decisions, changed }, undefined, 2)}\n`);
  else io.out(shown([summary(decisions, changed.length), ...grouped(changed)]));
  const total = [...undecidable.values()].reduce((sum, count) => sum + count, 0);
  if (total > 0) io.err(shown([`${total} of them cannot be decided from the trail:`, ...counted(undecidable)]));
  if (unreadable > 0) io.err(shown([`${unreadable} line(s) are no records; see mcp-gateway audit verify`]));
}

function shown(lines: readonly string[]): string {
  return lines.map((line) => `${escapeUnsafe(line)}\n`).join('');
}

function summary(decisions: number, changes: number): string {
  if (decisions === 0) return 'the trail holds no decision about a tool, resource or prompt';
  return `${decisions} decision(s), ${changes === 0 ? 'none' : changes} would change`;
}

/** One line for each role and tool that fare alike. */
function grouped(changed: readonly Change[]): string[] {
  const groups = new Map<string, number>();
  for (const { route, tool, role, tenant, before, after, rule } of changed) {
    const who = `role ${role ?? '-'}${tenant === null ? '' : ` of ${tenant}`}`;
    const key = `${who}, ${tool} on ${route}: ${before} -> ${after} by ${rule}`;
    groups.set(key, (groups.get(key) ?? 0) + 1);
  }
  return counted(groups);
}

function counted(groups: ReadonlyMap<string, number>): string[] {
  return [...groups]
    .toSorted(([one], [other]) => (one < other ? -1 : 1))
    .map(([text, count]) => `  ${count} x ${text}`);
}
