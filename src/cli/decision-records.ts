/** Reads the decisions out of an audit trail. Whether the trail is genuine is the question of `audit verify`. */
import { readLines } from '../audit/lines.js';
import { MAX_LINE_BYTES } from '../audit/resume.js';
import type { AccessKind } from '../policy/decision.js';

/** What a record says about one request for a tool, a resource or a prompt. */
export interface DecisionRecord {
  readonly decisionId: string;
  readonly route: string;
  readonly kind: AccessKind;
  /** Name or URI. */
  readonly tool: string;
  readonly principal: string;
  readonly role: string | undefined;
  readonly tenant: string | undefined;
  readonly effect: 'allow' | 'deny';
  readonly layer: string;
  /** A copy of the arguments, whole; undefined when the trail holds none or has cut something out. */
  readonly args: unknown;
  /** Milliseconds since 1970. */
  readonly atMs: number;
}

/** Methods whose name or URI stands in `tool`. Records without a method are taken for tool calls. */
const KINDS: ReadonlyMap<unknown, AccessKind> = new Map<unknown, AccessKind>([
  [undefined, 'tool'],
  ['tools/call', 'tool'],
  ['resources/read', 'resource'],
  ['resources/subscribe', 'resource'],
  ['prompts/get', 'prompt'],
]);

/** Left behind where the trail holds less than was sent. */
const CUT = /\[redacted\]|\.\.\.\[cut, \d+ characters\]$/;

export type TrailLine =
  | { readonly kind: 'decision'; readonly record: DecisionRecord }
  | { readonly kind: 'unreadable' };

/** Lines that are records of something else are passed over; so is an unfinished line at the end. */
export async function* readDecisions(file: string): AsyncGenerator<TrailLine, void, undefined> {
  for await (const { bytes, isWhole } of readLines(file, MAX_LINE_BYTES)) {
    if (!isWhole) return;
    const fields = parseObject(bytes);
    if (fields === undefined) yield { kind: 'unreadable' };
    else if (fields['event'] === 'decision' && KINDS.has(fields['method'])) {
      const record = decisionOf(fields);
      if (record !== undefined) yield { kind: 'decision', record };
    }
  }
}

function decisionOf(fields: Record<string, unknown>): DecisionRecord | undefined {
  const { effect } = fields;
  const tool = text(fields['tool']);
  const kind = KINDS.get(fields['method']);
  if (tool === undefined || kind === undefined || (effect !== 'allow' && effect !== 'deny')) return undefined;
  return {
    decisionId: text(fields['decisionId']) ?? '',
    route: text(fields['route']) ?? '',
    kind,
    tool,
    principal: text(fields['principal']) ?? 'anonymous',
    role: text(fields['role']),
    tenant: text(fields['tenant']),
    effect,
    layer: text(fields['layer']) ?? '',
    args: wholeArguments(fields['args']),
    atMs: Date.parse(text(fields['ts']) ?? '') || 0,
  };
}

/** True when the name in the record is not the name that was asked for. */
export function isCut(name: string): boolean {
  return CUT.test(name);
}

/** A text in the place of arguments says why there are none. */
function wholeArguments(args: unknown): unknown {
  if (typeof args !== 'object' || args === null || Array.isArray(args)) return undefined;
  return CUT.test(JSON.stringify(args)) ? undefined : args;
}

function parseObject(bytes: Buffer): Record<string, unknown> | undefined {
  try {
    const value: unknown = JSON.parse(bytes.toString('utf8'));
    return typeof value === 'object' && value !== null ? (value as Record<string, unknown>) : undefined;
  } catch {
    return undefined;
  }
}

function text(value: unknown): string | undefined {
  return typeof value === 'string' ? value : undefined;
}
