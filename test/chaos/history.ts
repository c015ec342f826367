/**
 * What became of every call of a run, and whether that is allowed. A call is known by its nonce, which no other has.
 * Times are milliseconds of `performance.now()`.
 */

export type Outcome =
  | { readonly kind: 'reply'; readonly text: string }
  /** An answer that says no: of the gateway, of the server, or an HTTP status. */
  | { readonly kind: 'error'; readonly reason: string }
  /** Nothing came in the time the client had. */
  | { readonly kind: 'silence' };

export interface Call {
  readonly nonce: string;
  readonly client: string;
  readonly tool: string;
  readonly delayMs: number;
  readonly sentAtMs: number;
  /** Answers seen on the wire, by what they carried: more than the client's library lets through. */
  readonly answers: { readonly atMs: number; readonly text: string }[];
  /** The first time that a connection which could have brought the answer ended. */
  closedAtMs?: number;
  outcome?: Outcome & { readonly atMs: number };
}

export interface Allowances {
  /** Calls that may end with an error or a closed connection. Default: none. */
  readonly mayFail?: (call: Call) => boolean;
  /** Whether one call may be answered more than once, as after `kill -9`. Default: no. */
  readonly mayRepeatAnswers?: boolean | ((call: Call) => boolean);
}

export class History {
  readonly #calls = new Map<string, Call>();
  /** Those without an outcome: a long run has many calls, and must not become slow by them. */
  readonly #open = new Set<Call>();
  readonly #now: () => number;

  constructor(now: () => number = () => performance.now()) {
    this.#now = now;
  }

  get calls(): Call[] {
    return [...this.#calls.values()];
  }

  sent(facts: Pick<Call, 'nonce' | 'client' | 'tool' | 'delayMs'>): void {
    const call: Call = { ...facts, sentAtMs: this.#now(), answers: [] };
    this.#calls.set(facts.nonce, call);
    this.#open.add(call);
  }

  answered(nonce: string, text: string): void {
    this.#calls.get(nonce)?.answers.push({ atMs: this.#now(), text });
  }

  ended(nonce: string, outcome: Outcome): void {
    const call = this.#calls.get(nonce);
    if (call === undefined) return;
    call.outcome = { ...outcome, atMs: this.#now() };
    this.#open.delete(call);
  }

  /** The connection of this call, or of all open calls of a client, ended. */
  closed(which: (call: Call) => boolean): void {
    const atMs = this.#now();
    for (const call of this.#open) if (call.answers.length === 0 && which(call)) call.closedAtMs ??= atMs;
  }

  closedCall(nonce: string): void {
    this.closed((call) => call.nonce === nonce);
  }

  /** @returns every broken promise, in words; none when all is well */
  violations(executions: ReadonlyMap<string, number>, allowances: Allowances = {}): string[] {
    return this.calls.flatMap((call) =>
      [...violationsOf(call, executions.get(call.nonce) ?? 0, allowances)].map((what) => `${describe(call)}: ${what}`),
    );
  }
}

/** Whether it got what it asked for. */
export function isGood(call: Call): boolean {
  return call.outcome?.kind === 'reply' && call.outcome.text === call.nonce;
}

/** When it was over for its client, however it ended; undefined: it never was. */
export function endOf(call: Call): number | undefined {
  const ends = [call.closedAtMs, call.outcome?.kind === 'silence' ? undefined : call.outcome?.atMs];
  const known = ends.filter((atMs) => atMs !== undefined);
  return known.length === 0 ? undefined : Math.min(...known);
}

function mayRepeat(call: Call, { mayRepeatAnswers = false }: Allowances): boolean {
  return typeof mayRepeatAnswers === 'function' ? mayRepeatAnswers(call) : mayRepeatAnswers;
}

function* violationsOf(call: Call, executions: number, allowances: Allowances): Generator<string> {
  const { outcome, answers } = call;
  if (executions > 1) yield `executed ${executions} times`;
  if (outcome === undefined) yield 'still open at the end';
  if (outcome?.kind === 'silence' && call.closedAtMs === undefined) yield 'neither an answer nor a closed connection';
  if (outcome?.kind === 'reply' && outcome.text !== call.nonce) yield `got the answer of another: ${outcome.text}`;
  for (const { text } of answers) {
    if (text !== call.nonce && !text.startsWith('error ')) yield `the wire carried the answer of another: ${text}`;
  }
  if (answers.length > 1 && !mayRepeat(call, allowances)) yield `answered ${answers.length} times`;
  if (isGood(call) && executions === 0) yield 'answered without having been executed';
  if (!isGood(call) && outcome !== undefined && allowances.mayFail?.(call) !== true) yield 'failed';
}

function describe({ nonce, client, tool, delayMs, outcome, closedAtMs, sentAtMs }: Call): string {
  const after = (atMs: number | undefined) =>
    atMs === undefined ? 'never' : `after ${Math.round(atMs - sentAtMs)} ms`;
  const how = outcome === undefined ? 'open' : `${outcome.kind} ${after(outcome.atMs)}`;
  const why = outcome?.kind === 'error' ? ` (${outcome.reason.slice(0, 300)})` : '';
  return `${nonce} (${client}, ${tool}, ${delayMs} ms): ${how}${why}, connection closed ${after(closedAtMs)}`;
}

/** @param fraction e.g. 0.99; of none: NaN */
export function quantile(values: readonly number[], fraction: number): number {
  const sorted = values.toSorted((a, b) => a - b);
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * fraction))] ?? Number.NaN;
}
