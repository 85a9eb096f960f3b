/** What data and metadata may be: anything JSON can say, or bytes as they are. */
export type EventData = unknown;

/** An event to be appended. */
export interface NewEvent {
  /** What happened, 1 to 256 bytes of UTF-8. */
  readonly type: string;
  /** JSON by default; a `Uint8Array` is stored as bytes. May be left out. */
  readonly data?: EventData;
  /** JSON. Like `data` it can be erased later; nothing else of an event can. */
  readonly metadata?: unknown;
  /** At most 64, each 1 to 256 bytes, no duplicates; order is kept. */
  readonly tags?: readonly string[];
  /** 1 to 128 bytes, unique for the life of the store. Left out, the store makes a UUIDv8. */
  readonly id?: string;
  readonly correlationId?: string;
  readonly causationId?: string;
  /** When it happened, in ms since the epoch, if that isn't when it was recorded. */
  readonly occurredAt?: number;
}

/**
 * What `append` takes where events are of the caller's types: those, with the fields that every event may have. A type that
 * does not declare `metadata` may be given any.
 */
export type EventToAppend<Event extends NewEvent = NewEvent> = Event &
  Omit<NewEvent, 'type' | 'data'>;

/**
 * An event as the store holds it. Of a union of event types it is a union, too: `type` tells which one an event is, and with it
 * what its `data` and `metadata` are. The data of a type that declares none is undefined; metadata that isn't declared is unknown.
 */
export type StoredEvent<Event extends NewEvent = NewEvent> = Event extends NewEvent
  ? StoredFields & StoredContent<Event> & StoredMetadata<Event>
  : never;

/** What an event has once it is stored, whatever its type. */
export interface StoredFields {
  /** Number in the store: 0, 1, 2, … without gaps. */
  readonly position: number;
  readonly stream: string;
  /** Number in its stream: 0, 1, 2, … without gaps. */
  readonly revision: number;
  readonly id: string;
  readonly tags: readonly string[];
  readonly correlationId?: string;
  readonly causationId?: string;
  readonly occurredAt?: number;
  /** When it was recorded, in ms since the epoch. Never decreases with the position. */
  readonly time: number;
  /** Events of its commit, and its place among them. */
  readonly commit: { readonly index: number; readonly count: number };
  /** Of its commit; on the first event of the commit only. */
  readonly idempotencyKey?: string;
  /** Of its idempotency key, beside which it stands. */
  readonly idempotencyScope?: string;
  /** True if data and metadata have been erased. */
  readonly isErased?: true;
}

interface StoredContent<Event extends NewEvent> {
  readonly type: Event['type'];
  readonly data: Declares<Event, 'data'> extends never ? undefined : Event['data'];
}

type StoredMetadata<Event extends NewEvent> =
  Declares<Event, 'metadata'> extends never
    ? Pick<NewEvent, 'metadata'>
    : Readonly<Pick<Event, 'metadata' & keyof Event>>;

/**
 * The field if the type declares it, or never. In this form, and not as `Field extends keyof Event`, the compiler finds that a store
 * of certain events is one of any.
 */
type Declares<Event, Field> = Extract<keyof Event, Field>;
