/** `schema`: the JSON Schema of `gateway.yaml`, for editors. */
import { renderJsonSchema } from '../../config/json-schema.js';
import { EXIT } from '../exit-codes.js';
import type { Io } from '../io.js';

export function schema(io: Io): number {
  io.out(renderJsonSchema());
  return EXIT.ok;
}
