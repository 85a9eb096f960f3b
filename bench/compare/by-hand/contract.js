/**
 * An event store as people build it by hand, and what every subject of `same-work.js` must do. "By hand" means: what it takes to have
 * positions, revisions that are checked, idempotency keys that are unique for ever, ids that are unique, and a SHA-256 chain of each stream,
 * with the engine's own means.
 *
 * @typedef {object} Subject
 * @property {string} name
 * @property {string} settings
 * @property {(directory: string) => Promise<Store>} open
 *
 * @typedef {object} NewEvent
 * @property {string} stream
 * @property {number} expectedRevision Of the stream's last event, −1 if there is none.
 * @property {string} key Idempotency key.
 * @property {string} id
 * @property {string} type
 * @property {unknown} data
 *
 * @typedef {object} Store
 * @property {(event: NewEvent) => Promise<unknown>} append Resolves when the event is durable; rejects where revision, key or id are taken.
 * @property {(stream: string) => Promise<number>} readStream All events of a stream, data parsed; returns their count.
 * @property {() => Promise<number>} readAll All events in order, data parsed; returns their count.
 * @property {(position: number) => Promise<unknown>} get Data of one event, parsed.
 * @property {(id: string) => Promise<unknown>} getById The same.
 * @property {() => Promise<void>} close
 */
import { hash } from 'node:crypto';

/** The hash of an event over that of its stream's previous one, as latin1 text of 32 bytes. */
export function chain(previous, { stream, key, id, type }, revision, dataText) {
  return hash(
    'sha256',
    `${previous}\n${stream}\n${revision}\n${key}\n${id}\n${type}\n${dataText}`,
    'latin1',
  );
}
