/**
 * What the compiler knows of events. Nothing here runs: every compiler that is promised checks it against the built
 * declarations, and a `@ts-expect-error` without an error is an error.
 */
import {
  type AppendResult,
  attach,
  type CommitPart,
  type EventStore,
  type EventToAppend,
  type NewEvent,
  open,
  type StoreClient,
  type StoredEvent,
} from 'varve';
import { openInMemory } from 'varve/testing';
import type { MessagePort } from 'node:worker_threads';
import { type Equal, is } from './equal.ts';

interface Placed {
  readonly type: 'OrderPlaced';
  readonly data: { readonly total: number };
}

interface Noted {
  type: 'OrderNoted';
  data?: { text: string };
  metadata: { by: string };
}

interface Closed {
  readonly type: 'OrderClosed';
}

type OrderEvents = Placed | Noted | Closed;

/** Narrowed by `type`, of whichever call it comes. */
function narrows(event: StoredEvent<OrderEvents>): void {
  is<Equal<typeof event.type, 'OrderPlaced' | 'OrderNoted' | 'OrderClosed'>>();
  is<Equal<typeof event.position, number>>();
  is<Equal<typeof event.tags, readonly string[]>>();
  // @ts-expect-error -- which data it has is known only once its type is
  void event.data.total;
  if (event.type === 'OrderPlaced') {
    is<Equal<typeof event.data, { readonly total: number }>>();
    is<Equal<typeof event.metadata, unknown>>();
    // @ts-expect-error -- data of another type
    void event.data.text;
  } else if (event.type === 'OrderNoted') {
    is<Equal<typeof event.data, { text: string } | undefined>>();
    is<Equal<typeof event.metadata, { by: string }>>();
    // @ts-expect-error -- events are read, not written
    event.metadata = { by: 'me' };
  } else {
    is<Equal<typeof event.type, 'OrderClosed'>>();
    is<Equal<typeof event.data, undefined>>();
  }
  switch (event.type) {
    case 'OrderPlaced':
      void event.data.total.toFixed(2);
      break;
    case 'OrderNoted':
      void event.data?.text.trim();
      break;
    case 'OrderClosed':
      break;
    default: {
      const none: never = event;
      void none;
    }
  }
  // @ts-expect-error -- no event has this type
  void (event.type === 'OrderLost');
}

async function reads(store: StoreClient<OrderEvents>): Promise<void> {
  for await (const event of store.read()) {
    narrows(event);
  }
  const read = store.read({ stream: 'orders/1' }, { after: -1 });
  is<Equal<typeof read.asOf, number>>();
  const next = await read.next();
  if (next.done !== true) {
    narrows(next.value);
  }
  const event = await store.get(0);
  // @ts-expect-error -- there may be none
  narrows(event);
  if (event !== undefined) {
    narrows(event);
  }
  const found = await store.getById('x');
  if (found?.type === 'OrderPlaced') {
    is<Equal<typeof found.data.total, number>>();
  }
}

async function appends(store: StoreClient<OrderEvents>): Promise<void> {
  const placed: Placed = { type: 'OrderPlaced', data: { total: 1 } };
  const many: readonly OrderEvents[] = [placed, { type: 'OrderClosed' }];
  const result = await store.append('orders/1', [
    placed,
    { type: 'OrderPlaced', data: { total: 2 }, tags: ['a'], id: 'x', correlationId: 'c' },
    { type: 'OrderPlaced', data: { total: 2 }, metadata: { any: 1 }, occurredAt: 0 },
    { type: 'OrderNoted', data: { text: '' }, metadata: { by: 'me' } },
    { type: 'OrderNoted', metadata: { by: 'me' }, causationId: 'x' },
    { type: 'OrderClosed' },
  ]);
  is<Equal<typeof result, AppendResult>>();
  is<Equal<typeof result.firstRevision, number>>();
  await store.append('orders/1', many, { expectedRevision: 'exists' });
  // @ts-expect-error -- no such type
  await store.append('orders/1', [{ type: 'OrderLost' }]);
  // @ts-expect-error -- data of another type
  await store.append('orders/1', [{ type: 'OrderPlaced', data: { text: '' } }]);
  // @ts-expect-error -- data is missing
  await store.append('orders/1', [{ type: 'OrderPlaced' }]);
  // @ts-expect-error -- this type has no data
  await store.append('orders/1', [{ type: 'OrderClosed', data: 1 }]);
  // @ts-expect-error -- metadata is missing
  await store.append('orders/1', [{ type: 'OrderNoted' }]);
  // @ts-expect-error -- metadata of another type
  await store.append('orders/1', [{ type: 'OrderNoted', metadata: { by: 1 } }]);
  // @ts-expect-error -- misspelt
  await store.append('orders/1', [{ type: 'OrderClosed', tag: 'a' }]);
  // @ts-expect-error -- misspelt
  await store.append('orders/1', [placed], { expectedRevison: 1 });
}

async function commits(store: StoreClient<OrderEvents>): Promise<void> {
  const part: CommitPart<OrderEvents> = {
    stream: 'orders/1',
    events: [{ type: 'OrderPlaced', data: { total: 1 }, tags: ['a'] }, { type: 'OrderClosed' }],
  };
  const { streams } = await store.commit([
    part,
    { stream: 'b', events: [{ type: 'OrderClosed' }] },
  ]);
  is<Equal<(typeof streams)[number]['firstRevision'], number>>();
  // @ts-expect-error -- data of another type
  await store.commit([{ stream: 'b', events: [{ type: 'OrderPlaced', data: 1 }] }]);
}

/** A store of certain events is a store of any, for whoever reads it. */
async function passesOn(store: EventStore<OrderEvents>): Promise<void> {
  await reads(store);
  await appends(store);
  await describes(store);
  const client: StoreClient = store;
  await describes(client);
  const all: OrderEvents[] = [{ type: 'OrderClosed' }];
  await copies(store, all);
  const [last] = await copies(store, all);
  if (last?.type === 'OrderPlaced') {
    is<Equal<typeof last.data.total, number>>();
  }
}

/** Not the other way round: who reads certain events must not meet others. */
function isMistaken(
  any: StoreClient,
  some: StoreClient<Placed>,
  all: EventStore<OrderEvents>,
): void {
  // @ts-expect-error -- it may hold anything
  const certain: StoreClient<OrderEvents> = any;
  // @ts-expect-error -- it may hold more
  const fewer: StoreClient<Placed> = all;
  // @ts-expect-error -- a client is no owner
  const owner: EventStore<Placed> = some;
  void [certain, fewer, owner];
}

async function describes(store: StoreClient): Promise<void> {
  for await (const event of store.read()) {
    is<Equal<typeof event, StoredEvent>>();
    is<Equal<typeof event.data, unknown>>();
    is<Equal<typeof event.metadata, unknown>>();
    void `${event.position} ${event.type}`;
  }
}

/** Code for events of any type that somebody else names. */
async function copies<Event extends NewEvent>(
  store: StoreClient<Event>,
  events: readonly Event[],
): Promise<StoredEvent<Event>[]> {
  await store.append('a', events);
  await store.commit([{ stream: 'a', events }]);
  const found: StoredEvent<Event>[] = [];
  for await (const event of store.read()) {
    const { position, type, time }: { position: number; type: string; time: number } = event;
    const plain: StoredEvent = event;
    void [position, type, time, plain.data];
    found.push(event);
  }
  return found;
}

async function opens(port: MessagePort): Promise<void> {
  const store = await open<OrderEvents>('./store');
  await passesOn(store);
  const client = await attach<OrderEvents>(port);
  await reads(client);
  is<Equal<ReturnType<typeof store.share>, MessagePort>>();
  // @ts-expect-error -- not a type of events
  await open<{ kind: string }>('./store');
  await openInMemory();
}

/** Without types of one's own everything can be used. */
async function opensUntyped(port: MessagePort): Promise<void> {
  const store = await open('./store');
  const client: StoreClient = await attach(port);
  await client.append('a', [{ type: 'Any', data: new Uint8Array(1), metadata: [1], tags: [] }]);
  await store.append('a', [{ type: 'Any' }, { type: 'Other', data: { n: 1 } }]);
  await store.commit([{ stream: 'a', events: [{ type: 'Any', data: null }] }]);
  const event: StoredEvent | undefined = await store.get(0);
  if (event?.type === 'Any') {
    // @ts-expect-error -- unknown data is looked at before it is used
    void event.data.n;
  }
  const given: EventToAppend = { type: 'Any', data: 1, id: 'x' };
  const made: NewEvent = given;
  await store.append('a', [made, given]);
  // @ts-expect-error -- an event has a type
  await store.append('a', [{ data: 1 }]);
}

export const checked: readonly unknown[] = [commits, isMistaken, opens, opensUntyped];
