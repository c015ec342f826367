/** Writes what is made from the schemas: `npx tsx scripts/generate-docs.ts`. A unit test fails while they are stale. */
import { writeFileSync } from 'node:fs';
import { renderJsonSchema } from '../src/config/json-schema.js';
import { renderReference } from '../src/config/reference.js';

writeFileSync(new URL('../gateway.schema.json', import.meta.url), renderJsonSchema());
writeFileSync(new URL('../docs/configuration.md', import.meta.url), renderReference());
