/** What tests of shared stores need: stores that are closed afterwards, and what becomes of calls. */
import { type EventStore, type StoreClient, VarveError } from 'varve';
import { openInMemory } from 'varve/testing';
import { expect } from 'vitest';

export const event: { readonly type: string } = { type: 'Happened' };

/** Stores that the test has opened. */
export const opened: EventStore[] = [];

export async function closeOpened(): Promise<void> {
  await Promise.allSettled(opened.splice(0).map((store) => store.close()));
}

export async function inMemory(options: object = {}, components: object = {}): Promise<EventStore> {
  const store = await openInMemory(options, components);
  opened.push(store);
  return store;
}

/** What became of a call: 'done', or code and outcome of its error. */
export async function fateOf(call: Promise<unknown>): Promise<string> {
  try {
    await call;
    return 'done';
  } catch (error) {
    expect(error).toBeInstanceOf(VarveError);
    const { code, applied } = error as VarveError;
    return applied === undefined ? code : `${code} ${applied}`;
  }
}

export function fatesOf(calls: readonly Promise<unknown>[]): Promise<string[]> {
  return Promise.all(calls.map((call) => fateOf(call)));
}

/** What becomes of `laterCalls` of a client that is closed: the first two write. */
export const laterFates: readonly string[] = [
  'CLOSED no',
  'CLOSED no',
  'CLOSED',
  'CLOSED',
  'CLOSED',
  'CLOSED',
  'CLOSED',
  'CLOSED',
];

export function laterCalls(client: StoreClient): Promise<unknown>[] {
  return [
    client.append('a', [event]),
    client.commit([{ stream: 'a', events: [event] }]),
    client.get(0),
    client.getById('x'),
    client.findCommit({ idempotencyKey: 'k' }),
    client.streamHead('a'),
    client.flush(),
    client.waitFor(0),
  ];
}

export async function all<Item>(items: AsyncIterable<Item>): Promise<Item[]> {
  const found: Item[] = [];
  for await (const item of items) {
    found.push(item);
  }
  return found;
}

/** A condition that comes true after so many turns of the event loop. */
export function turns(count: number): () => boolean {
  let left = count;
  return () => {
    left -= 1;
    return left < 0;
  };
}
