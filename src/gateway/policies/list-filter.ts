/**
 * Lists as a caller may see them: the same rules that gate calls decide what is in them. Also where tools are first seen, and pinned.
 * A filtered list is kept for as long as the upstream's own is the same to the byte.
 */
import type { AccessKind } from '../../policy/decision.js';
import type { PinChange } from '../../policy/tool-pins.js';
import type { Era } from '../../protocol/classify.js';
import { resultResponse } from '../../protocol/json-rpc.js';
import type { Message, RequestId } from '../../protocol/message.js';
import { Method } from '../../protocol/methods.js';
import { type CallContext, effectiveRole, isListed } from './ruling.js';
import type { RouteRules } from './rules.js';
import { ToolCatalog } from './tool-catalog.js';

interface ListShape {
  readonly kind: AccessKind;
  /** Member of the result that holds the items. */
  readonly member: string;
  /** Member of an item that names it. */
  readonly nameKey: string;
}

const LISTS: ReadonlyMap<string, ListShape> = new Map([
  [Method.toolsList, { kind: 'tool', member: 'tools', nameKey: 'name' }],
  [Method.resourcesList, { kind: 'resource', member: 'resources', nameKey: 'uri' }],
  [Method.templatesList, { kind: 'resource', member: 'resourceTemplates', nameKey: 'uriTemplate' }],
  [Method.promptsList, { kind: 'prompt', member: 'prompts', nameKey: 'name' }],
]);

/** A filtered list may be kept by a client this long, so that a new policy takes effect. */
const MAX_TTL_MS = 5000;
const MAX_CACHED_LISTS = 256;

interface CachedList {
  readonly input: Buffer;
  readonly output: Buffer;
}

export class ListFilter {
  readonly catalog = new ToolCatalog();
  readonly #onPinChange: (rules: RouteRules, change: PinChange) => void;
  readonly #cache = new Map<string, CachedList>();

  constructor(onPinChange: (rules: RouteRules, change: PinChange) => void) {
    this.#onPinChange = onPinChange;
  }

  isList(method: string): boolean {
    return LISTS.has(method);
  }

  /**
   * The answer to a list request as the caller may see it.
   *
   * @param id The client's own.
   * @returns a promise only when pins have to be looked up first
   */
  show(
    rules: RouteRules,
    method: string,
    answer: Message,
    id: RequestId,
    context: CallContext,
    era: Era,
  ): Message | Promise<Message> {
    const shape = LISTS.get(method);
    const { resultSpan } = answer;
    if (shape === undefined || answer.isError || resultSpan === undefined) return answer;
    const result = answer.raw.subarray(resultSpan.start, resultSpan.end);
    if (shape.kind === 'tool' && !this.catalog.isKnown(result)) {
      const checked = this.#learn(rules, result);
      if (rules.pins.mode === 'block')
        return checked.then(() => this.#filtered(rules, shape, method, answer, result, id, context, era));
    }
    return this.#filtered(rules, shape, method, answer, result, id, context, era);
  }

  #filtered(
    rules: RouteRules,
    shape: ListShape,
    method: string,
    answer: Message,
    result: Buffer,
    id: RequestId,
    context: CallContext,
    era: Era,
  ): Message {
    if (!isFiltering(rules, shape.kind)) return answer;
    const key = this.#cacheKey(rules, shape, method, context, era);
    const cached = key === undefined ? undefined : this.#cache.get(key);
    if (cached?.input.equals(result)) return resultResponse(id, cached.output);
    const output = Buffer.from(filter(result, shape, (name) => isListed(rules, shape.kind, name, context), era));
    if (key !== undefined) this.#remember(key, { input: Buffer.from(result), output });
    return resultResponse(id, output);
  }

  /** Undefined when the outcome hangs on more than what the key can say. */
  #cacheKey(rules: RouteRules, shape: ListShape, method: string, context: CallContext, era: Era): string | undefined {
    const { policy } = rules;
    if (policy === undefined || rules.pins.mode === 'block') return undefined;
    const depends = policy.listingDependsOn(shape.kind);
    if (depends.caller || depends.request || depends.time) return undefined;
    const { tenant } = context.caller.principal;
    return JSON.stringify([method, era, effectiveRole(rules, context.caller), tenant, policy.hash]);
  }

  #remember(key: string, list: CachedList): void {
    if (this.#cache.size >= MAX_CACHED_LISTS) this.#cache.clear();
    this.#cache.set(key, list);
  }

  async #learn(rules: RouteRules, result: Buffer): Promise<void> {
    const { tools, nextCursor } = JSON.parse(result.toString()) as { tools?: unknown; nextCursor?: unknown };
    const items = Array.isArray(tools) ? (tools as unknown[]) : [];
    const names = items.map((item) => nameOf(item, 'name')).filter((name) => name !== undefined);
    this.catalog.learn(result, names, nextCursor === undefined);
    for (const change of await rules.pins.check(rules.route, items)) this.#onPinChange(rules, change);
  }
}

function isFiltering(rules: RouteRules, kind: AccessKind): boolean {
  if (kind === 'tool' && rules.pins.mode === 'block') return true;
  const { policy } = rules;
  return policy !== undefined && policy.mode === 'enforce' && policy.governs(kind);
}

function filter(result: Buffer, shape: ListShape, isVisible: (name: string) => boolean, era: Era): string {
  const list = JSON.parse(result.toString()) as Record<string, unknown>;
  const items = list[shape.member];
  const visible = Array.isArray(items)
    ? items.filter((item) => {
        const name = nameOf(item, shape.nameKey);
        return name !== undefined && isVisible(name);
      })
    : [];
  const shown = { ...list, [shape.member]: visible };
  if (era === 'legacy') return JSON.stringify(shown);
  const ttlMs = typeof list['ttlMs'] === 'number' ? Math.min(list['ttlMs'], MAX_TTL_MS) : 0;
  // What one caller sees is not for another, whatever the server says of its own list.
  return JSON.stringify({ ...shown, ttlMs, cacheScope: 'private' });
}

function nameOf(item: unknown, key: string): string | undefined {
  if (typeof item !== 'object' || item === null) return undefined;
  const name = (item as Record<string, unknown>)[key];
  return typeof name === 'string' ? name : undefined;
}
