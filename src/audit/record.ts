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

/** Stands in JSON as it is. */
const PLAIN = /^[ !#-[\]-~]*$/;
const MAY_BE_INVISIBLE = /[\u007f-\uffff]/;

/**
 * Control characters, and those that are not seen or turn the direction of what is: they could make a line look like
 * another, or like two.
 */
const INVISIBLE =
  /[\u007f-\u009f\u00ad\u061c\u180e\u200b-\u200f\u2028-\u202f\u2060-\u206f\ufeff\ufff9-\ufffb]|\udb40[\udc00-\udfff]/g;

export function canonicalText(place: RecordPlace, fields: RecordFields): string {
  const { args } = fields;
  // Put together by hand and in order: this runs once per call through the gateway.
  const text =
    (args === undefined ? '' : `,"args":${escapeInvisible(JSON.stringify(args))}`) +
    textMember(',"argsHash":', fields.argsHash) +
    numberMember(',"count":', fields.count) +
    textMember(',"decisionId":', fields.decisionId) +
    textMember(',"effect":', fields.effect) +
    textMember(',"event":', fields.event) +
    textMember(',"keyId":', fields.keyId) +
    numberMember(',"latencyMs":', fields.latencyMs) +
    textMember(',"layer":', fields.layer) +
    numberMember(',"lost":', fields.lost) +
    textMember(',"method":', fields.method) +
    textMember(',"outcome":', fields.outcome) +
    textMember(',"policyHash":', fields.policyHash) +
    textMember(',"prev":', place.prev) +
    membersOfCaller(place.replica, fields) +
    numberMember(',"seq":', place.seq) +
    textMember(',"session":', fields.session) +
    textMember(',"tenant":', fields.tenant) +
    textMember(',"tool":', fields.tool) +
    numberMember(',"tornBytes":', fields.tornBytes) +
    textMember(',"traceId":', fields.traceId) +
    textMember(',"ts":', place.ts) +
    textMember(',"would":', fields.would);
  return `{${text.slice(1)}}`;
}

type CallerFields = Pick<RecordFields, 'principal' | 'reason' | 'role' | 'route' | 'rule'>;

/** Those of the record before: a caller's calls follow each other, and most end in the same rule. */
let known: { readonly replica: string; readonly fields: CallerFields; readonly text: string } | undefined;

function membersOfCaller(replica: string, fields: RecordFields): string {
  if (known?.replica === replica && isSameCaller(known.fields, fields)) return known.text;
  const { principal, reason, role, route, rule } = fields;
  const text =
    textMember(',"principal":', principal) +
    textMember(',"reason":', reason) +
    textMember(',"replica":', replica) +
    textMember(',"role":', role) +
    textMember(',"route":', route) +
    textMember(',"rule":', rule);
  known = { replica, fields: { principal, reason, role, route, rule }, text };
  return text;
}

function isSameCaller(one: CallerFields, other: CallerFields): boolean {
  return (
    one.principal === other.principal &&
    one.reason === other.reason &&
    one.role === other.role &&
    one.route === other.route &&
    one.rule === other.rule
  );
}

function textMember(start: string, value: string | undefined): string {
  if (value === undefined) return '';
  return PLAIN.test(value) ? `${start}"${value}"` : start + escapeInvisible(JSON.stringify(value));
}

function numberMember(start: string, value: number | undefined): string {
  if (value === undefined) return '';
  return start + (Number.isFinite(value) ? value : 'null');
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
