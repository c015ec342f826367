/**
 * Expands `${VAR}`, `${VAR:-default}`, `${VAR:?message}`, `${file:PATH}` and `$${` in one text.
 * What comes out is never expanded again, and no message repeats a value.
 */
import { readFileSync, statSync } from 'node:fs';
import { resolve } from 'node:path';

export interface InterpolationContext {
  env: Readonly<Record<string, string | undefined>>;
  /** Where a relative `${file:}` starts. */
  baseDir: string;
  /** `${env:X}` is `${X}`, as in the files of MCP clients. */
  envPrefix: boolean;
  /** Told the absolute path of each file that is named. */
  onFile?: (path: string) => void;
}

export interface Complaint {
  message: string;
  hint?: string;
}

export interface Interpolated {
  text: string;
  /** A variable or file took part. */
  expanded: boolean;
  complaints: Complaint[];
}

const MAX_FILE_BYTES = 65_536;
const REFERENCE = /\$\$\{|\$\{([^}]*)(\}?)/g;
const VARIABLE = /^([A-Za-z_][A-Za-z0-9_]*)(?:(:[-?])(.*))?$/s;
const LITERAL_HINT = 'write $${ for a literal ${';

export function interpolate(text: string, context: InterpolationContext): Interpolated {
  const complaints: Complaint[] = [];
  let expanded = false;
  const result = text.replace(REFERENCE, (found, body: string | undefined, end: string) => {
    if (body === undefined) return '${';
    expanded = true;
    const value = end === '' ? { message: '"${" without "}"', hint: LITERAL_HINT } : resolveReference(body, context);
    if (typeof value === 'string') return value;
    complaints.push(value);
    return found;
  });
  return { text: result, expanded, complaints };
}

function resolveReference(body: string, context: InterpolationContext): string | Complaint {
  if (body.startsWith('file:')) {
    const path = resolve(context.baseDir, body.slice('file:'.length));
    context.onFile?.(path);
    return readSecretFile(path);
  }
  const name = context.envPrefix && body.startsWith('env:') ? body.slice('env:'.length) : body;
  const match = VARIABLE.exec(name);
  if (match === null) return notAVariable(body);
  const [, variable = '', operator, operand = ''] = match;
  if (operand.includes('${')) return { message: `the default of \${${variable}} cannot hold another variable` };
  const value = Object.hasOwn(context.env, variable) ? context.env[variable] : undefined;
  if (operator === undefined) return value ?? unset(variable);
  if (value !== undefined && value !== '') return value;
  return operator === ':-' ? operand : { message: `environment variable ${variable}: ${operand || 'must be set'}` };
}

function unset(variable: string): Complaint {
  return {
    message: `environment variable ${variable} is not set`,
    hint: `set it, or write \${${variable}:-default}`,
  };
}

function notAVariable(body: string): Complaint {
  if (body.startsWith('input:')) {
    return { message: 'prompted inputs are not supported', hint: 'use an environment variable: ${NAME}' };
  }
  if (body.startsWith('env:')) return { message: `\${${body}} is known in mcpServers only`, hint: 'write ${NAME}' };
  return { message: '"${...}" holds no variable name', hint: LITERAL_HINT };
}

function readSecretFile(path: string): string | Complaint {
  try {
    if (statSync(path).size > MAX_FILE_BYTES) return { message: `${path} is larger than ${MAX_FILE_BYTES} bytes` };
    const text = new TextDecoder('utf-8', { fatal: true }).decode(readFileSync(path));
    return text.replace(/\r?\n$/, '');
  } catch (error) {
    return { message: `cannot read ${path}: ${readFailure(error)}` };
  }
}

/** Why a file cannot be read, in words. */
export function readFailure(error: unknown): string {
  const code = error instanceof Error && 'code' in error ? error.code : undefined;
  if (code === 'ENOENT' || code === 'ENOTDIR') return 'no such file';
  if (code === 'EACCES' || code === 'EPERM') return 'permission denied';
  if (code === 'EISDIR') return 'it is a directory';
  if (code === 'ERR_ENCODING_INVALID_ENCODED_DATA') return 'it is not UTF-8 text';
  return typeof code === 'string' ? code : 'unknown error';
}
