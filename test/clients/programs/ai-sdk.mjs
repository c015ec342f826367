/** Lists the tools at a URL and calls one, with the client of the AI SDK. Arguments: URL, `sse` or `http`, tool, JSON. */
import { experimental_createMCPClient as createMCPClient } from '@ai-sdk/mcp';

const [url, type, tool, args] = process.argv.slice(2);
const client = await createMCPClient({ transport: { type, url } });
const tools = await client.tools();
const result = await tools[tool].execute(JSON.parse(args), { toolCallId: '1', messages: [] });
await client.close();
console.log(JSON.stringify({ tools: Object.keys(tools), result }));
