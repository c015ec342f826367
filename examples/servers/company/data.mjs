/** What the company server knows: employees, and tickets that live as long as the process. */
import { EventEmitter } from 'node:events';

export const employees = [
  { id: 'e1', name: 'Ada Lovelace', team: 'Engineering', email: 'ada@company.example' },
  { id: 'e2', name: 'Grace Hopper', team: 'Engineering', email: 'grace@company.example' },
  { id: 'e3', name: 'Mary Parker Follett', team: 'People', email: 'mary@company.example' },
  { id: 'e4', name: 'Luca Pacioli', team: 'Finance', email: 'luca@company.example' },
];

export const handbook = `# Handbook

- Core hours are 10:00 to 15:00.
- Expenses above 500 EUR need an approval.
- Write a ticket for everything that takes more than an hour.
`;

/** Emits `changed` whenever a ticket was added. */
class Tickets extends EventEmitter {
  #tickets = [];

  add(ticket) {
    const created = { id: `T-${this.#tickets.length + 1}`, status: 'open', ...ticket };
    this.#tickets.push(created);
    this.emit('changed');
    return created;
  }

  find(id) {
    return this.#tickets.find((ticket) => ticket.id === id);
  }

  all() {
    return [...this.#tickets];
  }
}

export const tickets = new Tickets();
// One listener per session.
tickets.setMaxListeners(0);
