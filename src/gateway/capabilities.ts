/** What a server says it can do, as far as this route lets it. */
import { resultResponse } from '../protocol/json-rpc.js';
import type { Message, RequestId } from '../protocol/message.js';
import type { RouteRules } from './policies/rules.js';

const FAMILIES = ['tools', 'resources', 'prompts'] as const;

/** @param answer To `initialize` or `server/discover`; returned as it is when there is nothing to change. */
export function shownCapabilities(rules: RouteRules, answer: Message, id: RequestId): Message {
  const hidden = FAMILIES.filter((family) => !rules.expose[family]);
  if (answer.isError || (hidden.length === 0 && rules.policy === undefined)) return answer;
  const { result } = JSON.parse(answer.raw.toString()) as { result?: { capabilities?: Record<string, unknown> } };
  if (result?.capabilities === undefined) return answer;
  const capabilities = { ...result.capabilities };
  for (const family of hidden) delete capabilities[family];
  // A new policy changes what is in the list, and the gateway says so.
  if (rules.policy !== undefined && typeof capabilities['tools'] === 'object') {
    capabilities['tools'] = { ...capabilities['tools'], listChanged: true };
  }
  return resultResponse(id, JSON.stringify({ ...result, capabilities }));
}
