/** The ways an `EvilUpstream` can misbehave, and when. */

export type Fault =
  /** `accept`: the connection is taken and never read; `headers`: no answer to the request; `stream`: an SSE answer starts and then nothing more comes, after what is `said` first. */
  | { readonly kind: 'hang'; readonly at: 'accept' | 'headers' | 'stream'; readonly said?: object }
  /** TCP reset before any byte of the answer, or after the head and the beginning of the body. */
  | { readonly kind: 'reset'; readonly at: 'accept' | 'headers' | 'stream' }
  /** The call is accepted and its stream (the session's, on HTTP+SSE) is cut before the reply. */
  | { readonly kind: 'cut-stream' }
  /** The answer ends properly, without the reply. */
  | { readonly kind: 'no-reply' }
  | { readonly kind: 'html' }
  | { readonly kind: 'not-json' }
  | { readonly kind: 'wrong-id' }
  | { readonly kind: 'null-id' }
  | { readonly kind: 'duplicate-reply' }
  /** A reply in one line of about this many bytes. */
  | { readonly kind: 'huge-line'; readonly bytes: number }
  /** The server has forgotten the session: HTTP 404. */
  | { readonly kind: 'session-gone' }
  | {
      readonly kind: 'status';
      readonly status: number;
      readonly headers?: Readonly<Record<string, string>>;
      readonly body?: string;
    }
  | { readonly kind: 'redirect'; readonly location: string };

/** When a fault strikes: at a new TCP connection, at a GET that opens a stream, at DELETE, or at a JSON-RPC method's name. */
export type Trigger = 'connection' | 'open' | 'delete' | (string & {});

interface Planned {
  readonly fault: Fault;
  remaining: number;
}

/** Which fault strikes next at which trigger. */
export class FaultPlan {
  readonly #planned = new Map<Trigger, Planned[]>();

  /** @param times how often it strikes before the upstream behaves again */
  add(trigger: Trigger, fault: Fault, times: number): void {
    const list = this.#planned.get(trigger) ?? [];
    list.push({ fault, remaining: times });
    this.#planned.set(trigger, list);
  }

  clear(): void {
    this.#planned.clear();
  }

  /** The fault that strikes now; it counts as having struck. */
  take(trigger: Trigger): Fault | undefined {
    const next = this.#planned.get(trigger)?.find((planned) => planned.remaining > 0);
    if (next === undefined) return undefined;
    next.remaining -= 1;
    return next.fault;
  }
}
