/** `docs/configuration.md`, made from the schemas: every key with its meaning, values, default and variable. */
import { environmentKeys } from './env-overrides.js';
import { jsonSchemaOf, type JsonSchema } from './known-keys.js';
import { configSchema } from './schema.js';

const INTRODUCTION = `# Configuration

<!-- Made from the source by scripts/generate-docs.ts; edits here are lost. -->

One YAML file says everything. It is looked for at \`--config\`, \`$MCP_GATEWAY_CONFIG\`, \`./gateway.yaml\`,
\`$XDG_CONFIG_HOME/mcp-gateway/gateway.yaml\` and \`/etc/mcp-gateway/gateway.yaml\`; \`--config -\` reads standard input.
The shortest one is:

\`\`\`yaml
upstreams: [https://mcp.example.com/sse]
\`\`\`

\`mcp-gateway validate\` lists every problem with file, line and column. Unknown keys, duplicate keys and undefined
variables are problems, never ignored. \`mcp-gateway schema\` prints the JSON Schema for editors.

## Values

- **Durations**: \`250ms\`, \`30s\`, \`5m\`, \`1h\`, \`1d\`. **Sizes**: \`64KiB\`, \`4MiB\`, \`1GiB\`, or a number of bytes.
- **Paths** are relative to the file that names them; on standard input, in flags and in variables, to the working directory.
- **Variables** stand anywhere in a value: \`\${NAME}\` (must be set), \`\${NAME:-default}\` (if unset or empty),
  \`\${NAME:?message}\` (refuse with this message if unset or empty), \`\${file:/run/secrets/token}\` (the content of a file,
  without the line break at its end), \`$\${\` (a literal \`\${\`). They are expanded after parsing, so a value can never add
  keys, and no message repeats a value. A variable without quotes
  becomes the number or boolean that its key asks for (\`port: \${PORT}\`); in quotes it stays text. Inside \`[ ]\` and
  \`{ }\` YAML wants the quotes, so numbers from variables go on lines of their own.
- **Precedence**: flag, environment variable, file, default. Every key that holds one value has a variable, named in the
  tables below. An empty variable counts as unset.

## Limits of the file

1 MiB, UTF-8, one YAML 1.2 document, at most 50 alias uses, no merge keys, no custom tags.
`;

const CLIENT_NOTES = `
Entries with \`command\` (stdio servers) are not supported; \`disabled: true\` skips an entry before anything else is
looked at. \`\${env:NAME}\` is \`\${NAME}\` here. \`timeout\` counts milliseconds, as most clients do; some count seconds, so a
value below 1000 is warned about. \`type: http\`, \`streamable-http\` and \`streamableHttp\` are the same.
`;

const INCLUDE_NOTES = `
A file that is included holds \`upstreams\` (and \`version\`) and nothing else, so includes do not nest. A pattern may have
\`*\` and \`?\` in its last part, which do not match a leading dot. A directory that does not exist holds nothing; a file
that is named without a pattern must exist.
`;

const POLICIES_NOTES = `## policies

\`\`\`yaml
policies:
  basic: ./policies/basic.json          # a file, JSON or YAML
  strict:                               # or written here
    version: "1.0"
    name: Strict
    default: deny
    allow: ["get_*"]
upstreams:
  - { url: https://mcp.example.com/sse, policy: basic }
\`\`\`

What a policy says is described in [policies.md](policies.md). A name is 1 to 64 of \`A-Z a-z 0-9 _ . -\`. Every policy is
checked and compiled when the configuration is loaded, also one that no upstream uses. In a policy file a \`$\` means nothing
special; one that is written here is part of this file, and variables in it are expanded.
`;

/** Markdown with a line break at its end. */
export function renderReference(): string {
  const schema = jsonSchemaOf(configSchema);
  const names = new Map([...environmentKeys()].map(([name, path]) => [path.join('.'), name]));
  const top = tableOf(schema, '', names, 'Top level', 'Everything but one list of upstreams may be left out.');
  const sections = [
    sectionOf(schema, ['server'], names),
    itemSection(schema.properties?.['upstreams'], 'upstreams[]', 'One upstream: a bare URL, or these keys.'),
    itemSection(
      schema.properties?.['mcpServers'],
      'mcpServers.NAME, servers.NAME',
      'One entry of a client.',
      CLIENT_NOTES,
    ),
    POLICIES_NOTES,
    ...['policy', 'auth', 'rateLimits', 'audit', 'redis', 'cluster', 'logging', 'metrics'].map((key) =>
      sectionOf(schema, [key], names),
    ),
  ];
  return [INTRODUCTION, top, `## include\n${INCLUDE_NOTES}`, ...sections].join('\n');
}

function sectionOf(root: JsonSchema, path: string[], names: ReadonlyMap<string, string>): string {
  const [key = ''] = path;
  const schema = root.properties?.[key] ?? {};
  return tableOf(schema, `${key}.`, names, key, schema.description ?? '');
}

function itemSection(list: JsonSchema | undefined, title: string, intro: string, notes = ''): string {
  const item = list?.items ?? (typeof list?.additionalProperties === 'object' ? list.additionalProperties : {});
  const object = item.anyOf?.find((each) => each.properties !== undefined) ?? item;
  return tableOf(object, '', new Map(), title, intro) + notes;
}

function tableOf(
  schema: JsonSchema,
  prefix: string,
  names: ReadonlyMap<string, string>,
  title: string,
  intro: string,
): string {
  const isTop = title === 'Top level';
  const rows = rowsOf(schema, '', isTop ? 1 : 9).map(([key, each, isRequired]) => {
    const variable = names.get(prefix + key);
    const meaning = `${each.description ?? ''}${isRequired ? ' **Required.**' : ''}`;
    const cells = [`\`${key}\``, meaning, valuesOf(each), defaultOf(each)];
    return `| ${[...cells, ...(names.size > 0 ? [variable === undefined ? '' : `\`${variable}\``] : [])].map(cell).join(' | ')} |`;
  });
  const heads = ['Key', 'Meaning', 'Values', 'Default', ...(names.size > 0 ? ['Variable'] : [])];
  return `## ${title}\n\n${intro}\n\n| ${heads.join(' | ')} |\n|${heads.map(() => '---|').join('')}\n${rows.join('\n')}\n`;
}

type Row = [key: string, schema: JsonSchema, isRequired: boolean];

function rowsOf(schema: JsonSchema, prefix: string, depth: number): Row[] {
  return Object.entries(schema.properties ?? {}).flatMap(([key, each]): Row[] => {
    const own: Row = [prefix + key, each, schema.required?.includes(key) === true];
    if (depth === 1) return [own];
    if (each.properties !== undefined) return [own, ...rowsOf(each, `${prefix}${key}.`, depth - 1)];
    return each.items === undefined ? [own] : [own, ...rowsOf(each.items, `${prefix}${key}[].`, depth - 1)];
  });
}

function valuesOf(schema: JsonSchema): string {
  const unit = schema['x-unit'];
  if (unit === 'duration' || unit === 'size')
    return `${unit}, ${String(schema['x-min'])} to ${String(schema['x-max'])}`;
  if (unit === 'file') return 'path';
  if (schema.enum !== undefined) return schema.enum.map((value) => `\`${String(value)}\``).join(', ');
  if (schema.const !== undefined) return `\`${JSON.stringify(schema.const)}\``;
  const meant = schema.anyOf?.find((each) => each.type !== 'null');
  if (meant !== undefined) return valuesOf(meant);
  const types = new Set([schema.type ?? []].flat());
  if (types.has('integer')) return `${schema.minimum} to ${schema.maximum}`;
  if (types.has('boolean')) return '`true`, `false`';
  if (types.has('array')) return 'list';
  if (types.has('object')) return 'keys and values';
  return types.has('string') ? 'text' : 'anything';
}

function defaultOf(schema: JsonSchema): string {
  const value = schema.default;
  if (value === undefined || (typeof value === 'object' && value !== null && !Array.isArray(value))) return '';
  return `\`${typeof value === 'string' ? value : JSON.stringify(value)}\``;
}

/** A bar would end the cell. */
function cell(text: string): string {
  return text.replaceAll('|', '\\|');
}
