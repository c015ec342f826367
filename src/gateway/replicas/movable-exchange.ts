/** A request that is served here and can still be brought elsewhere. There is one for each, so it is made field by field. */
import type { HttpExchange } from '../../downstream/http-exchange.js';

type OnMoved = NonNullable<HttpExchange['onMoved']>;

export class MovableExchange implements HttpExchange {
  readonly request: HttpExchange['request'];
  readonly response: HttpExchange['response'];
  readonly query: string;
  readonly caller: HttpExchange['caller'];
  readonly headers: HttpExchange['headers'];
  readonly publicPrefix: string;
  readonly body: Buffer | undefined;
  readonly isAnswerOpen: boolean;
  readonly onMoved: OnMoved;

  constructor(exchange: HttpExchange, onMoved: OnMoved) {
    this.request = exchange.request;
    this.response = exchange.response;
    this.query = exchange.query;
    this.caller = exchange.caller;
    this.headers = exchange.headers;
    this.publicPrefix = exchange.publicPrefix;
    this.body = exchange.body;
    this.isAnswerOpen = exchange.isAnswerOpen === true;
    this.onMoved = onMoved;
  }
}
