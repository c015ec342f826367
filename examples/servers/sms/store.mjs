/** Text messages in memory. Nothing is sent anywhere; a message is "delivered" when its time has come. */
import { randomUUID } from 'node:crypto';

export class MessageStore {
  #messages = [];
  /** Bulk id -> { sendAt, status }. */
  #bulks = new Map();

  /** @param {{ from: string, to: string, text: string, sendAt?: string }} message */
  send({ from, to, text, sendAt }) {
    const bulkId = randomUUID();
    const message = { messageId: randomUUID(), bulkId, from, to, text, sentAt: sendAt ?? new Date().toISOString() };
    this.#bulks.set(bulkId, { sendAt: message.sentAt, status: 'PENDING' });
    this.#messages.push(message);
    return { bulkId, messages: [{ messageId: message.messageId, to, status: this.#statusOf(message) }] };
  }

  /** @returns undefined for an unknown bulk, as do all methods that take a `bulkId` */
  bulk(bulkId) {
    const bulk = this.#bulks.get(bulkId);
    return bulk && { bulkId, sendAt: bulk.sendAt };
  }

  bulkStatus(bulkId) {
    const bulk = this.#bulks.get(bulkId);
    return bulk && { bulkId, status: statusAt(bulk) };
  }

  /** @throws when the bulk is finished or cancelled */
  reschedule(bulkId, sendAt) {
    return this.#change(bulkId, { sendAt }) && this.bulk(bulkId);
  }

  /** @throws when the bulk is finished or cancelled */
  setStatus(bulkId, status) {
    return this.#change(bulkId, { status }) && this.bulkStatus(bulkId);
  }

  /** Messages whose fate is decided, newest first. */
  reports({ bulkId, messageId, limit }) {
    return this.#find({ bulkId, messageId })
      .map((message) => ({ ...message, status: this.#statusOf(message) }))
      .filter((report) => report.status !== 'PENDING')
      .slice(0, limit)
      .map(({ text: _text, ...report }) => ({ ...report, price: { pricePerMessage: 0.01, currency: 'EUR' } }));
  }

  /** All messages, newest first. */
  logs({ limit, ...filter }) {
    return this.#find(filter)
      .slice(0, limit)
      .map((message) => ({ ...message, status: this.#statusOf(message) }));
  }

  #find(filter) {
    const wanted = Object.entries(filter).filter(([, value]) => value !== undefined);
    return this.#messages.toReversed().filter((message) => wanted.every(([key, value]) => message[key] === value));
  }

  #change(bulkId, change) {
    const bulk = this.#bulks.get(bulkId);
    if (bulk === undefined) return undefined;
    const status = statusAt(bulk);
    if (status === 'FINISHED' || status === 'CANCELED') throw new Error(`bulk ${bulkId} is already ${status}`);
    return Object.assign(bulk, change);
  }

  #statusOf(message) {
    const status = statusAt(this.#bulks.get(message.bulkId));
    return status === 'FINISHED' ? 'DELIVERED' : status === 'CANCELED' ? 'REJECTED' : 'PENDING';
  }
}

function statusAt({ sendAt, status }) {
  return status === 'PENDING' && Date.parse(sendAt) <= Date.now() ? 'FINISHED' : status;
}
