/**
 * What a replica keeps on disk of pushed policies, for a start without Redis. Everything is sealed as it is in Redis, so
 * that who reads the file learns the names of policies and no more. Which policy rules is not decided here.
 */
import { randomBytes } from 'node:crypto';
import { open, readFile, rename, rm } from 'node:fs/promises';
import { dirname, join, resolve } from 'node:path';
import { z } from 'zod';
import { makeFolder } from '../../core/make-folder.js';
import { PolicyRecords, type PolicyState, type RecordSealer } from '../../redis/policy-record.js';

const schema = z.object({
  version: z.literal(1),
  policies: z.record(z.string(), z.object({ rule: z.base64(), text: z.base64().optional() })),
});
type Stored = z.output<typeof schema>['policies'][string];

/** Beside the configuration; beside where the gateway was started when that came from standard input. */
export function pushedPolicyFile(configSource: string, cwd: string): string {
  const directory = configSource === '<stdin>' ? cwd : dirname(resolve(cwd, configSource));
  return join(directory, '.mcp-gateway', 'pushed-policies.json');
}

export class PushedPolicyFile {
  readonly #path: string;
  readonly #records: PolicyRecords;

  constructor(path: string, sealer: RecordSealer) {
    this.#path = path;
    this.#records = new PolicyRecords(sealer);
  }

  /**
   * @returns what was written last, without what was sealed under a secret that is not known any more
   * @throws {Error} the file is there and cannot be read, or is not ours
   */
  async read(): Promise<{ states: PolicyState[]; unreadable: string[] }> {
    let text: string;
    try {
      text = await readFile(this.#path, 'utf8');
    } catch (error) {
      if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return { states: [], unreadable: [] };
      throw error;
    }
    const { policies } = schema.parse(JSON.parse(text));
    const opened = Object.entries(policies).map(([name, stored]) => ({ name, state: this.#open(name, stored) }));
    return {
      states: opened.flatMap(({ state }) => state ?? []),
      unreadable: opened.filter(({ state }) => state === undefined).map(({ name }) => name),
    };
  }

  /** @throws {Error} it cannot be written; then the file is as it was */
  async write(states: Iterable<PolicyState>): Promise<void> {
    const policies = Object.fromEntries([...states].map((state) => [state.name, this.#seal(state)]));
    const directory = dirname(this.#path);
    await makeFolder(directory, 0o700);
    const temporary = `${this.#path}.${randomBytes(6).toString('hex')}`;
    try {
      const file = await open(temporary, 'wx', 0o600);
      try {
        await file.writeFile(`${JSON.stringify({ version: 1, policies })}\n`);
        await file.sync();
      } finally {
        await file.close();
      }
      await rename(temporary, this.#path);
    } catch (error) {
      await rm(temporary, { force: true });
      throw error;
    }
  }

  #seal(state: PolicyState): Stored {
    const rule = this.#records.sealRule(state).toString('base64');
    return state.source === 'file' ? { rule } : { rule, text: this.#records.sealText(state).toString('base64') };
  }

  #open(name: string, stored: Stored): PolicyState | undefined {
    const rule = this.#records.openRule(Buffer.from(stored.rule, 'base64'), name);
    if (rule === undefined || rule.source === 'file') return rule && { name, ...rule };
    const text = this.#records.openText(Buffer.from(stored.text ?? '', 'base64'), name, rule.hash);
    return text && { name, ...rule, ...text };
  }
}
