/** A session that another replica had and that goes on here. */
import type { LeftSession } from '../../cluster/read-journal.js';
import type { SessionStreams } from '../../downstream/session-streams.js';
import { encodeMessageEvent, eventId } from '../../downstream/sse-encode.js';
import { ErrorCode } from '../../protocol/error-codes.js';
import { errorResponse } from '../../protocol/json-rpc.js';
import type { Message } from '../../protocol/message.js';
import { Method } from '../../protocol/methods.js';
import type { AskedRequest, StreamEvent, StreamSnapshot } from '../../protocol/stream-journal.js';
import { UpstreamFailedError } from '../../upstream/errors.js';
import type { UpstreamSessionRecord } from '../../upstream/upstream-session.js';
import { failureAnswer } from '../answers.js';
import type { ClientInfo } from '../policies/ruling.js';

export interface ContinuedSession {
  readonly upstream: UpstreamSessionRecord;
  readonly client: ClientInfo | undefined;
  readonly left: LeftSession;
}

/** Where its server is asked to go on with what it says unasked. What was heard in another session of it says nothing about this one. */
export function behindWhatWasHeard(record: UpstreamSessionRecord, { heard }: LeftSession): UpstreamSessionRecord {
  if (heard === undefined || heard.sessionId !== record.sessionId) return record;
  return { ...record, heardUpTo: heard.eventId };
}

/** Answers everything that was under way when the replica that had the session was lost: nobody knows what became of it. */
export function answerWhatWasLeft(streams: SessionStreams, { unanswered }: LeftSession): void {
  for (const request of unanswered) streams.general.answer(unknownFate(request));
  for (const reply of streams.unfinishedReplies) {
    for (const request of reply.unanswered) reply.answer(unknownFate(request));
    reply.finish();
  }
}

function unknownFate({ id, isToolCall }: AskedRequest): Message {
  const error = new UpstreamFailedError('the replica that ran this request is gone', 'unknown');
  return failureAnswer(id, isToolCall ? Method.toolsCall : '', error);
}

/** An answer that was too large to be kept elsewhere went with its owner: the client is told, in its place. */
export function withoutLostEvents(snapshot: StreamSnapshot, sessionId: string): StreamSnapshot {
  return { ...snapshot, events: snapshot.events.map((event) => present(event, sessionId)) };
}

function present(event: StreamEvent, sessionId: string): StreamEvent {
  if (event.bytes !== undefined || event.answers === undefined) return event;
  const message = 'The answer was lost with the replica that held it. The request was executed.';
  const { raw } = errorResponse(event.answers, { code: ErrorCode.upstreamFailed, message });
  return { ...event, bytes: encodeMessageEvent(eventId(sessionId, event.sequence), raw) };
}
