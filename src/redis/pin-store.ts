/** Tool pins that all replicas share. */
import type { PinnedTool, PinStore } from '../policy/tool-pins.js';
import { StoreAwayError } from './errors.js';
import type { RedisLink } from './link.js';
import { Script } from './script.js';

type Pins = ReadonlyMap<string, string | undefined>;

const MAX_PINS_PER_ROUTE = 10_000;
/** Redis does nothing else while a script runs, and a call takes only so many arguments. */
const TOOLS_PER_SCRIPT = 1000;

/** KEYS: pins of a route. ARGV: how many it may hold, then name and digest of each tool. Returns the pinned digests. */
const PIN_NEW = new Script(`
local room = tonumber(ARGV[1]) - redis.call('HLEN', KEYS[1])
local pinned = {}
for i = 2, #ARGV, 2 do
  local digest = redis.call('HGET', KEYS[1], ARGV[i])
  if not digest and room > 0 then
    digest = ARGV[i + 1]
    redis.call('HSET', KEYS[1], ARGV[i], digest)
    room = room - 1
  end
  pinned[#pinned + 1] = digest
end
return pinned
`);

/**
 * Pins in Redis, and a copy of those seen here for when it is away. What is pinned meanwhile is written when it is
 * back, unless another replica pinned the tool first.
 */
export class RedisPinStore implements PinStore {
  readonly #link: RedisLink;
  readonly #copy: PinStore;
  /** Per route, the tools seen while Redis was away. */
  readonly #unwritten = new Map<string, Map<string, string>>();

  /** @param copy what answers while Redis is away; used by nobody else */
  constructor(link: RedisLink, copy: PinStore) {
    this.#link = link;
    this.#copy = copy;
    // Commands are answered in the order they are sent, so nothing that asks from now on comes before what is written here.
    link.listen({ up: () => void this.#writeUnwritten() });
  }

  /** @throws {Error} `ReplyError`: what is stored is no set of pins */
  async pinNew(route: string, tools: readonly PinnedTool[]): Promise<Pins> {
    try {
      return await this.#pinShared(route, tools);
    } catch (error) {
      if (!(error instanceof StoreAwayError)) throw error;
      const pins = await this.#copy.pinNew(route, tools);
      this.#noteUnwritten(route, pins);
      return pins;
    }
  }

  /** @throws {StoreAwayError} what is approved must be approved for all replicas, or for none */
  async replace(route: string, tool: string, digest: string): Promise<void> {
    await this.#link.run((redis) => redis.hset(this.#link.keys.pins(route), tool, digest));
    await this.#copy.replace(route, tool, digest);
  }

  async #pinShared(route: string, tools: readonly PinnedTool[]): Promise<Pins> {
    const keys = [this.#link.keys.pins(route)];
    const replies = await this.#link.run((redis) =>
      Promise.all(chunksOf(tools).map((chunk) => PIN_NEW.run(redis, keys, argumentsOf(chunk)))),
    );
    const digests = replies.flat();
    if (digests.length !== tools.length) throw new Error('unexpected reply to new pins');
    const pins = new Map<string, string | undefined>();
    for (const [index, { name }] of tools.entries()) {
      const digest = digests[index];
      pins.set(name, typeof digest === 'string' ? digest : undefined);
    }
    for (const [name, digest] of pins) if (digest !== undefined) await this.#copy.replace(route, name, digest);
    return pins;
  }

  #noteUnwritten(route: string, pins: Pins): void {
    const unwritten = this.#unwritten.get(route) ?? new Map<string, string>();
    this.#unwritten.set(route, unwritten);
    for (const [name, digest] of pins) {
      const hasRoom = unwritten.has(name) || unwritten.size < MAX_PINS_PER_ROUTE;
      if (digest !== undefined && hasRoom) unwritten.set(name, digest);
    }
  }

  async #writeUnwritten(): Promise<void> {
    const routes = [...this.#unwritten];
    this.#unwritten.clear();
    await Promise.all(routes.map(([route, pins]) => this.#writeRoute(route, pins)));
  }

  async #writeRoute(route: string, pins: ReadonlyMap<string, string>): Promise<void> {
    const tools = [...pins].map(([name, digest]) => ({ name, digest }));
    try {
      await this.#pinShared(route, tools);
    } catch {
      // Away again, most likely: the next time then.
      this.#noteUnwritten(route, pins);
    }
  }
}

function chunksOf(tools: readonly PinnedTool[]): (readonly PinnedTool[])[] {
  const count = Math.ceil(tools.length / TOOLS_PER_SCRIPT);
  return Array.from({ length: count }, (_, index) =>
    tools.slice(index * TOOLS_PER_SCRIPT, (index + 1) * TOOLS_PER_SCRIPT),
  );
}

function argumentsOf(tools: readonly PinnedTool[]): (string | number)[] {
  const args: (string | number)[] = [MAX_PINS_PER_ROUTE];
  for (const { name, digest } of tools) args.push(name, digest);
  return args;
}
