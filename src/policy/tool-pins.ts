/**
 * Tool pins: a tool keeps the definition it was first seen with until somebody approves another one.
 * Says what changed and what is blocked; hiding, denying and auditing is done by the caller.
 */
import { canonicalHash } from './canonical-json.js';

const MAX_PENDING = 10_000;

export type PinMode = 'off' | 'warn' | 'block';

export interface PinnedTool {
  readonly name: string;
  /** SHA-256, hex: see `pinDigest`. */
  readonly digest: string;
}

export interface PinChange {
  readonly tool: string;
  /** `changed`: not the pinned definition. `unpinned`: never seen, and there is no room for another pin. */
  readonly kind: 'changed' | 'unpinned';
  readonly pinned: string | undefined;
  readonly seen: string;
}

/** Where pins are kept: one implementation in memory here, one shared by replicas elsewhere. */
export interface PinStore {
  /** Pins what was never seen, in one step, and returns the pinned digest of each tool (undefined: no room). */
  pinNew(route: string, tools: readonly PinnedTool[]): Promise<ReadonlyMap<string, string | undefined>>;
  /** Replaces a pin. */
  replace(route: string, tool: string, digest: string): Promise<void>;
}

export interface ToolPins {
  readonly mode: PinMode;
  /** Compares a list as the upstream sent it. Each change is reported once, until the tool changes again. */
  check(route: string, tools: readonly unknown[]): Promise<readonly PinChange[]>;
  /** Makes the definition seen last the pinned one. False if there is nothing to approve. */
  approve(route: string, tool: string): Promise<boolean>;
  /** Under `block`: the tool is not what was pinned, so it is hidden and denied. */
  isBlocked(route: string, tool: string): boolean;
  /** Tools that wait for approval. */
  pending(route: string): readonly PinChange[];
}

/** SHA-256 over the canonical JSON of a whole definition: name, texts, schemas, annotations, `_meta`. */
export function pinDigest(tool: unknown): string {
  return canonicalHash(tool);
}

/** The tools of a `tools/list` result with their digests; what has no name is no tool. */
export function digestTools(tools: readonly unknown[]): readonly PinnedTool[] {
  return tools.flatMap((tool) => {
    const isTool = typeof tool === 'object' && tool !== null && 'name' in tool && typeof tool.name === 'string';
    return isTool ? [{ name: String(tool.name), digest: pinDigest(tool) }] : [];
  });
}

/** @param previous Of the same store under another mode: what waits for approval there waits here too. */
export function createToolPins(mode: PinMode, store: PinStore = new MemoryPinStore(), previous?: ToolPins): ToolPins {
  return new StoredToolPins(mode, store, previous instanceof StoredToolPins ? previous : undefined);
}

class StoredToolPins implements ToolPins {
  readonly mode: PinMode;
  readonly #store: PinStore;
  /** Per route, what differs from its pin. */
  readonly #pending: Map<string, Map<string, PinChange>>;
  /** Routes with more changes than can be remembered: there nothing can be told apart, so all is blocked. */
  readonly #overflown: Set<string>;

  constructor(mode: PinMode, store: PinStore, previous: StoredToolPins | undefined) {
    this.mode = mode;
    this.#store = store;
    this.#pending = previous === undefined ? new Map() : previous.#pending;
    this.#overflown = previous === undefined ? new Set() : previous.#overflown;
  }

  async check(route: string, tools: readonly unknown[]): Promise<readonly PinChange[]> {
    if (this.mode === 'off') return [];
    const seen = digestTools(tools);
    const before = new Map(this.#pendingOf(route));
    const pinned = await this.#store.pinNew(route, seen);
    return seen.flatMap(({ name, digest }) => this.#compare(route, name, digest, pinned, before));
  }

  #compare(
    route: string,
    tool: string,
    seen: string,
    pins: ReadonlyMap<string, string | undefined>,
    before: ReadonlyMap<string, PinChange>,
  ): PinChange[] {
    const pinned = pins.get(tool);
    const pending = this.#pendingOf(route);
    if (pinned === seen) {
      // A second definition under the same name in one list must not be cleared by the good one.
      if (pending.get(tool) === before.get(tool)) pending.delete(tool);
      return [];
    }
    const change: PinChange = { tool, kind: pinned === undefined ? 'unpinned' : 'changed', pinned, seen };
    const isKnown = before.get(tool)?.seen === seen;
    if (pending.has(tool) || pending.size < MAX_PENDING) pending.set(tool, change);
    else this.#overflown.add(route);
    return isKnown ? [] : [change];
  }

  async approve(route: string, tool: string): Promise<boolean> {
    const change = this.#pendingOf(route).get(tool);
    if (change === undefined) return false;
    await this.#store.replace(route, tool, change.seen);
    this.#pendingOf(route).delete(tool);
    return true;
  }

  isBlocked(route: string, tool: string): boolean {
    return this.mode === 'block' && (this.#overflown.has(route) || this.#pending.get(route)?.has(tool) === true);
  }

  pending(route: string): readonly PinChange[] {
    return [...(this.#pending.get(route)?.values() ?? [])];
  }

  #pendingOf(route: string): Map<string, PinChange> {
    let changes = this.#pending.get(route);
    if (changes === undefined) {
      changes = new Map();
      this.#pending.set(route, changes);
    }
    return changes;
  }
}

/** Pins of one process. Bounded, so that a server inventing names cannot fill memory. */
export class MemoryPinStore implements PinStore {
  readonly #routes = new Map<string, Map<string, string>>();
  readonly #maxPinsPerRoute: number;

  constructor(maxPinsPerRoute = 10_000) {
    this.#maxPinsPerRoute = maxPinsPerRoute;
  }

  async pinNew(route: string, tools: readonly PinnedTool[]): Promise<ReadonlyMap<string, string | undefined>> {
    const pins = this.#routes.get(route) ?? new Map<string, string>();
    this.#routes.set(route, pins);
    for (const { name, digest } of tools) {
      if (!pins.has(name) && pins.size < this.#maxPinsPerRoute) pins.set(name, digest);
    }
    return new Map(tools.map(({ name }) => [name, pins.get(name)]));
  }

  async replace(route: string, tool: string, digest: string): Promise<void> {
    const pins = this.#routes.get(route) ?? new Map<string, string>();
    this.#routes.set(route, pins.set(tool, digest));
  }
}
