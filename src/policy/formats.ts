/**
 * The formats argument rules may name. Some are judged by backtracking expressions, so their input is short by rule;
 * a longer one throws, and that denies.
 */
import type { Format } from 'ajv/dist/2020.js';
import { fullFormats } from 'ajv-formats/dist/formats.js';

const MAX_LENGTH = 2048;
const NAMES = [
  'date',
  'time',
  'date-time',
  'duration',
  'uri',
  'uri-reference',
  'email',
  'hostname',
  'ipv4',
  'ipv6',
  'uuid',
  'json-pointer',
  'byte',
  'int32',
  'int64',
  'float',
  'double',
] as const;

export interface ArgumentFormat {
  readonly type: 'string' | 'number';
  readonly test: (value: string | number) => boolean;
}

export const ARGUMENT_FORMATS: ReadonlyMap<string, ArgumentFormat> = new Map(
  NAMES.map((name) => [name, toArgumentFormat(fullFormats[name])]),
);

function toArgumentFormat(format: Format | undefined): ArgumentFormat {
  if (typeof format === 'object' && 'validate' in format && format.type === 'number') {
    const { validate } = format;
    return { type: 'number', test: (value) => typeof value === 'number' && validate(value) === true };
  }
  const test = stringTest(format);
  return {
    type: 'string',
    test: (value) => {
      if (typeof value !== 'string') return false;
      if (value.length > MAX_LENGTH) throw new RangeError(`a format judges at most ${MAX_LENGTH} characters`);
      return test(value);
    },
  };
}

function stringTest(format: Format | undefined): (value: string) => boolean {
  if (format instanceof RegExp) return (value) => format.test(value);
  if (typeof format === 'function') return (value) => format(value);
  if (typeof format === 'object' && 'validate' in format && format.type !== 'number')
    return stringTest(format.validate as Format);
  throw new Error('the format library changed its shape');
}
