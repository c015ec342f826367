/** What a request is about, as far as rules care: which tool, resource or prompt it reaches for. */
import type { AccessKind } from '../../policy/decision.js';
import type { Message } from '../../protocol/message.js';
import { Method } from '../../protocol/methods.js';
import type { ExposedFamilies } from './rules.js';

export interface Subject {
  readonly kind: AccessKind;
  /** Name of the tool or prompt, URI of the resource; empty when the request names none, which no rule allows. */
  readonly name: string;
}

/** @returns undefined for methods that reach for nothing in particular */
export function subjectOf(request: Message): Subject | undefined {
  switch (request.method) {
    case Method.toolsCall:
      return { kind: 'tool', name: request.name ?? '' };
    case Method.promptsGet:
      return { kind: 'prompt', name: request.name ?? '' };
    case Method.resourcesRead:
    case Method.subscribe:
    case Method.unsubscribe:
      return { kind: 'resource', name: request.uri ?? '' };
    case Method.complete:
      return completionSubject(request);
    default:
      return undefined;
  }
}

/** A completion for a hidden prompt would tell of it. */
function completionSubject(request: Message): Subject {
  const { ref } = paramsOf(request) as { ref?: { type?: unknown; name?: unknown; uri?: unknown } };
  if (ref?.type === 'ref/prompt') return { kind: 'prompt', name: text(ref.name) };
  return { kind: 'resource', name: text(ref?.uri) };
}

/** Parsed anew: only what needs more than the scanner noted pays for it. */
export function paramsOf(request: Message): Record<string, unknown> {
  if (request.paramsSpan === undefined) return {};
  const { start, end } = request.paramsSpan;
  return JSON.parse(request.raw.toString('utf8', start, end)) as Record<string, unknown>;
}

/** `params.arguments` as the caller wrote it. */
export function argumentBytes(request: Message): Buffer | undefined {
  const span = request.argumentsSpan;
  return span === undefined ? undefined : request.raw.subarray(span.start, span.end);
}

/** Which family a method belongs to; undefined for those that belong to none. */
export function familyOf(method: string): keyof ExposedFamilies | undefined {
  if (method.startsWith('tools/')) return 'tools';
  if (method.startsWith('resources/')) return 'resources';
  return method.startsWith('prompts/') ? 'prompts' : undefined;
}

function text(value: unknown): string {
  return typeof value === 'string' ? value : '';
}
