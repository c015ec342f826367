/** Real clients, made by others, list and call tools through the gateway. */
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { type Child, printed, startExample, startNode } from '../helpers/child.js';
import { type ChildGateway, startGatewayProcess } from '../helpers/start-gateway.js';
import { clients, type Visit } from './run-client.js';

interface Expectation extends Pick<Visit, 'tool' | 'args'> {
  readonly route: string;
  /** Must be in the call's result. */
  readonly answer: string;
}

const ROUTES: readonly Expectation[] = [
  { route: 'sumit', tool: 'post_sms_1_preview', args: { text: 'hello there' }, answer: 'charactersRemaining' },
  { route: 'company', tool: 'find_employee', args: { query: 'hopper' }, answer: 'grace@company.example' },
  { route: 'everything', tool: 'echo', args: { message: 'from afar' }, answer: 'from afar' },
];
const TRANSPORTS = [
  ['sse', 'sse'],
  ['http', 'mcp'],
] as const;
const VISITS = ROUTES.flatMap((expectation) =>
  TRANSPORTS.map(([transport, endpoint]) => {
    const path = `/${expectation.route}/${endpoint}`;
    return [path, { ...expectation, path, transport }] as const;
  }),
);

const children: Child[] = [];
let gateway: ChildGateway;

beforeAll(async () => {
  const [sms, company, everythingUrl] = await Promise.all([
    startExample('sms'),
    startExample('company'),
    startEverything(),
  ]);
  children.push(sms, company);
  gateway = await startGatewayProcess({
    upstreams: [
      { url: sms.sseUrl, prefix: 'sumit' },
      { url: company.sseUrl, prefix: 'company' },
      { url: everythingUrl, prefix: 'everything' },
    ],
  });
});

afterAll(async () => {
  await gateway.stop();
  await Promise.all(children.map((child) => child.stop()));
});

describe.each([...clients])('%s', (_name, visit) => {
  test.each(VISITS)('visits %s', async (_path, { path, transport, tool, args, answer }) => {
    const seen = await visit({ url: `${gateway.url}${path}`, transport, tool, args });
    expect(seen.tools).toContain(tool);
    expect(seen.result).toContain(answer);
  });
});

/** The reference server of the protocol's own project. */
async function startEverything(): Promise<string> {
  const hook = new URL('../helpers/force-loopback.mjs', import.meta.url).href;
  const main = 'node_modules/@modelcontextprotocol/server-everything/dist/index.js';
  const child = startNode(['--import', hook, main, 'sse']);
  children.push(child);
  return `http://127.0.0.1:${await printed(child, /loopback port (\d+)/)}/sse`;
}
