/**
 * What is kept of pushed policies, and its sealed form: one record of what rules, one document per text, one entry per
 * change. Where they are kept is the business of others. A record of another version opens as unknown, never as wrong.
 */
import { z } from 'zod';

/** The part of `Sealer` that records need. */
export interface RecordSealer {
  seal(plain: Buffer, context: string): Buffer;
  open(sealed: Buffer, context: string): Buffer | undefined;
}

export type PolicyFormat = 'json' | 'yaml';

interface Change {
  /** Grows with every change of this policy, over losses of the store too: near to milliseconds since 1970. */
  readonly revision: number;
  /** Revision of the push whose text rules; under `file`, of the one that ruled last, 0 if none ever did. */
  readonly pushed: number;
  readonly author: string;
  /** Milliseconds since 1970. */
  readonly atMs: number;
}

export interface PolicyText {
  readonly text: string;
  readonly format: PolicyFormat;
}

/** A pushed text rules over the file of that name. */
export interface PushedPolicy extends Change, PolicyText {
  readonly name: string;
  readonly source: 'pushed';
  /** Of the policy, not of its text: comments and layout do not count. */
  readonly hash: string;
}

/** It was rolled back to the file. Kept, so that nobody takes an older push for the newest word. */
export interface FilePolicy extends Change {
  readonly name: string;
  readonly source: 'file';
}

export type PolicyState = PushedPolicy | FilePolicy;

export interface HistoryEntry extends Change {
  readonly action: 'push' | 'rollback' | 'file';
  /** Undefined for `file`. */
  readonly hash: string | undefined;
}

const change = { revision: z.int().positive(), pushed: z.int().nonnegative(), author: z.string(), atMs: z.int() };
const hash = z.string().regex(/^[0-9a-f]{64}$/);
const ruleSchema = z.union([
  z.strictObject({ v: z.literal(1), source: z.literal('pushed'), hash, ...change }),
  z.strictObject({ v: z.literal(1), source: z.literal('file'), ...change }),
]);
const textSchema = z.strictObject({ v: z.literal(1), text: z.string(), format: z.enum(['json', 'yaml']) });
const entrySchema = z.strictObject({
  v: z.literal(1),
  action: z.enum(['push', 'rollback', 'file']),
  hash: hash.optional(),
  ...change,
});

/** A state without its text, which is stored once however often it rules. */
export type PolicyRule = Omit<PushedPolicy, 'name' | keyof PolicyText> | Omit<FilePolicy, 'name'>;

export class PolicyRecords {
  readonly #sealer: RecordSealer;

  constructor(sealer: RecordSealer) {
    this.#sealer = sealer;
  }

  sealRule(state: PolicyState): Buffer {
    const { source, revision, pushed, author, atMs } = state;
    const of = state.source === 'pushed' ? { hash: state.hash } : {};
    return this.#seal({ v: 1, source, ...of, revision, pushed, author, atMs }, `policy rule ${state.name}`);
  }

  openRule(sealed: Buffer, name: string): PolicyRule | undefined {
    const opened = this.#open(sealed, `policy rule ${name}`, ruleSchema);
    if (opened === undefined) return undefined;
    const { v: _, ...rule } = opened;
    return rule;
  }

  sealText({ name, hash: of, text, format }: PushedPolicy): Buffer {
    return this.#seal({ v: 1, text, format }, `policy text ${name} ${of}`);
  }

  openText(sealed: Buffer, name: string, of: string): PolicyText | undefined {
    const opened = this.#open(sealed, `policy text ${name} ${of}`, textSchema);
    return opened && { text: opened.text, format: opened.format };
  }

  sealEntry(entry: HistoryEntry, name: string): Buffer {
    return this.#seal({ v: 1, ...entry }, `policy history ${name}`);
  }

  openEntry(sealed: Buffer, name: string): HistoryEntry | undefined {
    const opened = this.#open(sealed, `policy history ${name}`, entrySchema);
    if (opened === undefined) return undefined;
    const { revision, pushed, author, atMs, action } = opened;
    return { revision, pushed, author, atMs, action, hash: opened.hash };
  }

  #seal(value: object, context: string): Buffer {
    return this.#sealer.seal(Buffer.from(JSON.stringify(value)), context);
  }

  #open<T>(sealed: Buffer, context: string, schema: z.ZodType<T>): T | undefined {
    const plain = this.#sealer.open(sealed, context);
    if (plain === undefined) return undefined;
    try {
      const parsed = schema.safeParse(JSON.parse(plain.toString('utf8')));
      return parsed.success ? parsed.data : undefined;
    } catch {
      return undefined;
    }
  }
}
