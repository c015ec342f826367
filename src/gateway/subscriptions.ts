/** `subscriptions/listen` as far as the caller may listen: what it may not read it is not told the changes of either. */
import { scanUpstream } from '../protocol/scan.js';
import type { Message, RequestId } from '../protocol/message.js';
import { Method } from '../protocol/methods.js';
import type { Grant } from './policies/grant.js';
import { isListed } from './policies/ruling.js';

type Request = Message & { readonly id: RequestId; readonly method: string };

/** @returns the request as the upstream is to see it; the acknowledgement then shows the client what it got */
export function narrowed(request: Request, { rules, context }: Grant): Request {
  if (request.method !== Method.listen || rules.policy === undefined) return request;
  const body = JSON.parse(request.raw.toString()) as {
    params?: { notifications?: { resourceSubscriptions?: unknown } };
  };
  const wanted = body.params?.notifications?.resourceSubscriptions;
  if (!Array.isArray(wanted)) return request;
  const allowed = wanted.filter((uri) => typeof uri === 'string' && isListed(rules, 'resource', uri, context));
  if (allowed.length === wanted.length) return request;
  const notifications = { ...body.params?.notifications, resourceSubscriptions: allowed };
  const narrower = { ...body, params: { ...body.params, notifications } };
  return scanUpstream(Buffer.from(JSON.stringify(narrower))) as Request;
}
