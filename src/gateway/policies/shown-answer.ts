/** An answer of the upstream as the caller may see it. Most go through untouched. */
import type { Message } from '../../protocol/message.js';
import { Method } from '../../protocol/methods.js';
import { shownCapabilities } from '../capabilities.js';
import type { Exchange } from '../exchange.js';
import type { ListFilter } from './list-filter.js';

/** @param answer Carries the client's own id. @returns a promise only where tools have to be compared with their pins first */
export function shownAnswer(lists: ListFilter, exchange: Exchange, answer: Message): Message | Promise<Message> {
  const { method, clientId, grant } = exchange;
  if (method === Method.initialize || method === Method.discover)
    return shownCapabilities(grant.rules, answer, clientId);
  if (!lists.isList(method)) return answer;
  return lists.show(grant.rules, method, answer, clientId, grant.context, grant.context.era);
}
