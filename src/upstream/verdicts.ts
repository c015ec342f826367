/** What was found out about an upstream, as far as it spares others the asking: a hint, never relied upon. */

export interface UpstreamFacts {
  /** Which transport it speaks. */
  readonly kind?: string;
  /** It speaks the stateless revision. */
  readonly isModern?: boolean;
}

/** Where replicas tell each other. Names are prefixes of routes. */
export interface UpstreamVerdictStore {
  remember(route: string, facts: UpstreamFacts): void;
  /** Empty when nothing is known. Never rejects. */
  recall(route: string): Promise<UpstreamFacts>;
}
