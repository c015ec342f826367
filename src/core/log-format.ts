/**
 * One log record to one line, as JSON or for people.
 * Secrets are left out by the name of their key; characters that could forge a line or steer a terminal are escaped.
 */
import type { LogLevel } from './logging-options.js';

export interface LogFields {
  route?: string;
  session?: string;
  requestId?: string | number;
  [key: string]: unknown;
}

export interface LogRecord {
  timeMs: number;
  level: LogLevel;
  event: string;
  msg: string;
  fields: LogFields;
}

export type RenderLine = (record: LogRecord) => string;

const MAX_STRING_CHARS = 8192;
const MAX_DEPTH = 5;
const MAX_ITEMS = 100;
const REDACTED = '[redacted]';
const SECRET_KEY = /authorization|cookie|token|secret|passw(or)?d|api[-_]?key|credential|private[-_]?key/i;
const RECORD_KEYS: ReadonlySet<string> = new Set(['ts', 'level', 'event', 'msg']);
// Control and format characters: line breaks, escapes, direction and zero-width marks, tags.
const UNSAFE = /[\p{Cc}\p{Cf}\u2028\u2029]/gu;
const COLORS: Readonly<Record<LogLevel, number>> = { error: 31, warn: 33, info: 36, debug: 90 };

/** One JSON object, without the line break. */
export function renderJson(record: LogRecord): string {
  const line: Record<string, unknown> = {
    ts: new Date(record.timeMs).toISOString(),
    level: record.level,
    event: record.event,
    msg: cut(record.msg),
    ...safeFields(record.fields),
  };
  return escapeUnsafe(JSON.stringify(line));
}

/** @returns a renderer for terminals: `12:00:00.000 INFO  msg key=value` */
export function prettyRenderer(colors: boolean): RenderLine {
  return (record) => {
    const time = new Date(record.timeMs).toISOString().slice(11, 23);
    const level = record.level.toUpperCase().padEnd(5);
    const shown = colors ? `\u001b[${COLORS[record.level]}m${level}\u001b[0m` : level;
    const pairs = Object.entries(safeFields(record.fields)).map(([key, value]) => ` ${key}=${prettyValue(value)}`);
    return `${time} ${shown} ${escapeUnsafe(cut(record.msg))}${escapeUnsafe(pairs.join(''))}`;
  };
}

/** Makes control, direction and invisible characters visible as `\uXXXX`; inside JSON strings the meaning stays. */
export function escapeUnsafe(text: string): string {
  return text.replace(UNSAFE, (found) =>
    found.replace(/[^]/g, (unit) => `\\u${unit.charCodeAt(0).toString(16).padStart(4, '0')}`),
  );
}

function prettyValue(value: unknown): string {
  if (typeof value === 'string' && /^[^\s"=]+$/.test(value)) return value;
  return JSON.stringify(value);
}

function safeFields(fields: LogFields): Record<string, unknown> {
  const result = Object.create(null) as Record<string, unknown>;
  for (const [key, value] of Object.entries(fields)) {
    if (RECORD_KEYS.has(key) || value === undefined || typeof value === 'function') continue;
    result[key] = SECRET_KEY.test(key) ? REDACTED : safeValue(value, 1);
  }
  return result;
}

function safeValue(value: unknown, depth: number): unknown {
  if (typeof value === 'string') return cut(value);
  if (typeof value === 'bigint' || typeof value === 'symbol') return String(value);
  if (typeof value !== 'object' || value === null) return value;
  if (depth > MAX_DEPTH) return '[too deep]';
  if (value instanceof Error) return safeError(value, depth);
  if (value instanceof Date) return Number.isNaN(value.getTime()) ? 'Invalid Date' : value.toISOString();
  if (value instanceof URL) return cut(value.href);
  if (ArrayBuffer.isView(value)) return `[${value.byteLength} bytes]`;
  if (Array.isArray(value)) return value.slice(0, MAX_ITEMS).map((item) => safeValue(item, depth + 1));
  return safeObject(value, depth);
}

function safeObject(value: object, depth: number): Record<string, unknown> {
  const result = Object.create(null) as Record<string, unknown>;
  for (const [key, item] of Object.entries(value).slice(0, MAX_ITEMS)) {
    if (typeof item === 'function') continue;
    result[key] = SECRET_KEY.test(key) ? REDACTED : safeValue(item, depth + 1);
  }
  return result;
}

function safeError(error: Error, depth: number): Record<string, unknown> {
  const code: unknown = 'code' in error ? error.code : undefined;
  return {
    name: error.name,
    message: cut(error.message),
    ...(code === undefined ? {} : { code: safeValue(code, depth + 1) }),
    ...(error.stack === undefined ? {} : { stack: cut(error.stack) }),
    ...(error.cause === undefined ? {} : { cause: safeValue(error.cause, depth + 1) }),
  };
}

function cut(text: string): string {
  return text.length <= MAX_STRING_CHARS ? text : `${text.slice(0, MAX_STRING_CHARS)}… (${text.length} characters)`;
}
