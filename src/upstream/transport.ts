/**
 * The upstream half of the seam: the SDK's `Transport` (start, send, close, onmessage, onclose), widened by what a proxy needs -
 * which exchange a message belongs to, back-pressure, and the bytes as they came.
 */
import type { Message } from '../protocol/message.js';
import type { Delivery, UpstreamError, UpstreamKind } from '../protocol/transport.js';

/** One message under way to an upstream. */
export interface UpstreamCall {
  /** Stops reading the stream that belongs to this call alone; a shared stream is not touched. */
  pause(): void;
  resume(): void;
  /** Nobody waits any more: frees the connection; nothing is reported afterwards. */
  abort(): void;
}

/** A live connection of one upstream session. */
export interface UpstreamTransport {
  readonly kind: UpstreamKind;
  /** Resolves when messages can be sent. */
  start(): Promise<void>;
  /**
   * Never throws; what becomes of the message is told to `delivery`.
   *
   * @param headers Sent with this message alone; undefined for none.
   */
  send(message: Message, delivery: Delivery, headers: string | undefined): UpstreamCall;
  setProtocolVersion(version: string): void;
  /** Opens whatever carries messages that answer nothing; called once, after `notifications/initialized`. */
  openGeneralStream(): Promise<void>;
  /** Back-pressure for streams that are shared by all calls. */
  pause(): void;
  resume(): void;
  /** Ends the upstream session; the listener hears nothing afterwards. */
  close(): Promise<void>;
  /** The server's name for the session, where one outlives the connection. */
  readonly sessionId: string | undefined;
  /**
   * Goes on with a session that somebody else opened, instead of opening one. Only before anything was sent, and only where sessions have names.
   *
   * @param heardUpTo The last event of its general stream that was heard.
   */
  continueSession?(id: string, protocolVersion: string, heardUpTo: string | undefined): void;
  /** Lets go of the session without ending it: somebody else goes on with it. The listener hears nothing afterwards. */
  abandon(): void;
}

export interface UpstreamListener {
  /**
   * @param message Its bytes are only valid during the call.
   * @param related The delivery whose stream the message came on; undefined where the transport cannot tell.
   */
  onMessage(message: Message, related: Delivery | undefined): void;
  /** What came on the general stream up to the event of this id was told; what follows can be asked for by it. Undefined: it cannot. */
  onHeard(sessionId: string, eventId: string | undefined): void;
  /** The upstream session is gone, and with it every answer that was still due. */
  onLost(error: UpstreamError): void;
}
