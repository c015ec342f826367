/**
 * The text of one audit record. Its canonical form is compact JSON with sorted members and invisible characters escaped;
 * the line in the file is that with the member `hash` put behind the last one. So what is hashed are the bytes that
 * stand in the file, and any change of them shows.
 */

/** What a record is made of; `undefined` members are left out. */
export interface RecordFields {
  readonly event: string;
  readonly decisionId?: string | undefined;
  readonly route?: string | undefined;
  readonly principal?: string | undefined;
  readonly role?: string | undefined;
  readonly tenant?: string | undefined;
  readonly session?: string | undefined;
  readonly method?: string | undefined;
  readonly tool?: string | undefined;
  readonly argsHash?: string | undefined;
  /** JSON of any shape. */
  readonly args?: unknown;
  readonly effect?: string | undefined;
  readonly would?: string | undefined;
  readonly layer?: string | undefined;
  readonly rule?: string | undefined;
  readonly reason?: string | undefined;
  readonly policyHash?: string | undefined;
  readonly outcome?: string | undefined;
  readonly latencyMs?: number | undefined;
  readonly traceId?: string | undefined;
  /** Of a checkpoint: records since the one before. */
  readonly count?: number | undefined;
  /** Of a checkpoint: which key signs. */
  readonly keyId?: string | undefined;
  /** Of a gap: events or records that are missing. */
  readonly lost?: number | undefined;
  /** Of a gap: bytes of an unfinished line that were cut off. */
  readonly tornBytes?: number | undefined;
}

/** A record's place in the trail. */
export interface RecordPlace {
  /** RFC 3339. */
  readonly ts: string;
  readonly seq: number;
  /** Hash of the record before, in hex. */
  readonly prev: string;
  readonly replica: string;
}

const HASH_SUFFIX = /^,"hash":"([0-9a-f]{64})"\}$/;
const HASH_SUFFIX_BYTES = ',"hash":""}'.length + 64;

const MAY_BE_INVISIBLE = /[\u007f-\uffff]/;

/**
 * Control characters, and those that are not seen or turn the direction of what is: they could make a line look like
 * another, or like two.
 */
const INVISIBLE =
  /[\u007f-\u009f\u00ad\u061c\u180e\u200b-\u200f\u2028-\u202f\u2060-\u206f\ufeff\ufff9-\ufffb]|\udb40[\udc00-\udfff]/g;

export function canonicalText({ ts, seq, prev, replica }: RecordPlace, fields: RecordFields): string {
  const { args, argsHash, count, decisionId, effect, event, keyId, latencyMs, layer, lost, method, outcome } = fields;
  const { policyHash, principal, reason, role, route, rule, session, tenant, tool, tornBytes, traceId, would } = fields;
  // Sorted by hand: this runs once per call through the gateway.
  const sorted = {
    args,
    argsHash,
    count,
    decisionId,
    effect,
    event,
    keyId,
    latencyMs,
    layer,
    lost,
    method,
    outcome,
    policyHash,
    prev,
    principal,
    reason,
    replica,
    role,
    route,
    rule,
    seq,
    session,
    tenant,
    tool,
    tornBytes,
    traceId,
    ts,
    would,
  };
  return escapeInvisible(JSON.stringify(sorted));
}

/** The line, without its line feed. */
export function lineText(canonical: string, hash: string): string {
  return `${canonical.slice(0, -1)},"hash":"${hash}"}`;
}

/** Takes a line apart again; undefined when it does not end with a hash. */
export function splitLine(line: Buffer): { readonly canonical: Buffer; readonly hash: string } | undefined {
  const [, hash] = HASH_SUFFIX.exec(line.toString('latin1', Math.max(0, line.length - HASH_SUFFIX_BYTES))) ?? [];
  if (hash === undefined) return undefined;
  return { canonical: Buffer.concat([line.subarray(0, -HASH_SUFFIX_BYTES), Buffer.from('}')]), hash };
}

/** JSON text with every invisible character written as `\uXXXX`. */
export function escapeInvisible(json: string): string {
  return MAY_BE_INVISIBLE.test(json) ? json.replace(INVISIBLE, escapeUnits) : json;
}

function escapeUnits(units: string): string {
  let escaped = '';
  for (let i = 0; i < units.length; i += 1) escaped += `\\u${units.charCodeAt(i).toString(16).padStart(4, '0')}`;
  return escaped;
}
