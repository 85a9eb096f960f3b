/** What a store must do, said with plain arrays and maps: slow, obvious, and never durable. */
import { isDeepStrictEqual } from 'node:util';
import type {
  CommitOptions,
  CommitPart,
  CommitResult,
  NewEvent,
  ReadOptions,
  ReadQuery,
  StoredEvent,
  StreamEntry,
  StreamsOptions,
} from 'varve';

/** What a commit came to: a result but for its time, or the code of its refusal. */
export type Verdict = { readonly result: Omit<CommitResult, 'time'> } | { readonly code: string };

/** An event as the model knows it: time and generated ids are the store's to choose. */
export interface ModelEvent {
  readonly event: Omit<StoredEvent, 'time' | 'id'>;
  readonly key: string;
  /** Bytes of its record. */
  readonly size: number;
  id: string | undefined;
  time: number | undefined;
}

export class ModelStore {
  readonly events: ModelEvent[] = [];
  readonly #keys = new Map<string, number>();
  readonly #heads = new Map<string, number[]>();

  get streamNames(): string[] {
    return [...this.#heads.keys()];
  }

  /** Positions of a stream's events. */
  positionsOf(stream: string): readonly number[] {
    return this.#heads.get(stream) ?? [];
  }

  commit(parts: readonly CommitPart[], options: CommitOptions): Verdict {
    const given = parts.flatMap(({ stream, events }) => events.map((event) => ({ stream, event })));
    const ids = given.flatMap(({ event }) => (event.id === undefined ? [] : [event.id]));
    if (new Set(ids).size !== ids.length) {
      return { code: 'INVALID_ARGUMENT' };
    }
    return this.#findDuplicate(given, options) ?? this.#refuse(parts) ?? this.#add(given, options);
  }

  #findDuplicate(given: readonly Given[], { idempotencyKey }: CommitOptions): Verdict | undefined {
    const byKey = idempotencyKey === undefined ? undefined : this.#keys.get(idempotencyKey);
    if (byKey !== undefined) {
      return this.#compare(given, idempotencyKey, byKey);
    }
    for (const { event } of given) {
      const position = event.id === undefined ? undefined : this.positionOfId(event.id);
      if (position !== undefined) {
        const { index } = this.events[position]!.event.commit;
        return this.#compare(given, idempotencyKey, position - index);
      }
    }
    return undefined;
  }

  positionOfId(id: string): number | undefined {
    const position = this.events.findIndex((known) => known.id === id);
    return position === -1 ? undefined : position;
  }

  #compare(given: readonly Given[], key: string | undefined, firstPosition: number): Verdict {
    const first = this.events[firstPosition]!;
    const { count } = first.event.commit;
    const stored = this.events.slice(firstPosition, firstPosition + count);
    const isSame =
      (key ?? '') === first.key &&
      given.length === count &&
      stored.every((known, index) => isSameEvent(known, given[index]!));
    if (!isSame) {
      return { code: 'IDEMPOTENCY_CONFLICT' };
    }
    return { result: resultOf('duplicate', stored) };
  }

  #refuse(parts: readonly CommitPart[]): Verdict | undefined {
    const counts = new Map<string, number>();
    for (const { stream, events, expectedRevision = 'any' } of parts) {
      const count = counts.get(stream) ?? this.positionsOf(stream).length;
      const holds =
        expectedRevision === 'any' ||
        (expectedRevision === 'none' && count === 0) ||
        (expectedRevision === 'exists' && count > 0) ||
        expectedRevision === count - 1;
      if (!holds) {
        return { code: 'REVISION_CONFLICT' };
      }
      counts.set(stream, count + events.length);
    }
    return undefined;
  }

  #add(given: readonly Given[], { idempotencyKey = '' }: CommitOptions): Verdict {
    const firstPosition = this.events.length;
    for (const [index, { stream, event }] of given.entries()) {
      const position = firstPosition + index;
      const positions = this.#heads.get(stream) ?? [];
      this.#heads.set(stream, positions);
      const { id, ...others } = asStored(event);
      const key = index === 0 ? idempotencyKey : '';
      const stored = {
        ...others,
        position,
        stream,
        revision: positions.length,
        commit: { index, count: given.length },
        ...(key === '' ? {} : { idempotencyKey: key }),
      };
      positions.push(position);
      const size = sizeOf(stream, event, key);
      this.events.push({ event: stored, key: idempotencyKey, size, id, time: undefined });
    }
    if (idempotencyKey !== '') {
      this.#keys.set(idempotencyKey, firstPosition);
    }
    return { result: resultOf('appended', this.events.slice(firstPosition)) };
  }

  /** Positions that a read gives, and why it ends. */
  read(query: ReadQuery, options: ReadOptions): { positions: number[]; stopped: string } {
    const { after = -1, before = Infinity, limit = Infinity, maxBytes = Infinity } = options;
    const { stream, revisions } = query;
    const found = this.events.filter(
      ({ event }) =>
        event.position > after &&
        event.position < before &&
        (stream === undefined || event.stream === stream) &&
        event.revision >= (revisions?.from ?? 0) &&
        event.revision <= (revisions?.to ?? Infinity),
    );
    if (options.direction === 'backwards') {
      found.reverse();
    }
    const positions: number[] = [];
    let bytes = 0;
    for (const { event, size } of found) {
      bytes += size;
      if (positions.length === limit || (bytes > maxBytes && positions.length > 0)) {
        return { positions, stopped: positions.length === limit ? 'limit' : 'bytes' };
      }
      positions.push(event.position);
    }
    return { positions, stopped: positions.length === limit ? 'limit' : 'end' };
  }

  streams({ prefix = '', delimiter, after, limit = Infinity }: StreamsOptions): StreamEntry[] {
    const isRollUp =
      delimiter !== undefined &&
      after !== undefined &&
      after.length > prefix.length &&
      after.endsWith(delimiter);
    const names = this.streamNames
      .filter((name) => name.startsWith(prefix))
      .filter((name) => after === undefined || compareBytes(name, after) > 0)
      .filter((name) => !isRollUp || !name.startsWith(after))
      .toSorted(compareBytes);
    const entries = new Map<string, StreamEntry>();
    for (const name of names) {
      const cut = delimiter === undefined ? -1 : name.indexOf(delimiter, prefix.length);
      if (cut === -1) {
        const positions = this.positionsOf(name);
        const revision = positions.length - 1;
        const position = positions[revision]!;
        entries.set(`stream ${name}`, { kind: 'stream', stream: name, revision, position });
      } else {
        const rolled = name.slice(0, cut + delimiter!.length);
        entries.set(`prefix ${rolled}`, { kind: 'prefix', prefix: rolled });
      }
    }
    return [...entries.values()].slice(0, limit);
  }
}

interface Given {
  readonly stream: string;
  readonly event: NewEvent;
}

function compareBytes(left: string, right: string): number {
  return Buffer.compare(Buffer.from(left), Buffer.from(right));
}

function resultOf(
  outcome: CommitResult['outcome'],
  events: readonly ModelEvent[],
): Omit<CommitResult, 'time'> {
  const revisions = new Map<string, number[]>();
  for (const { event } of events) {
    revisions.set(event.stream, [...(revisions.get(event.stream) ?? []), event.revision]);
  }
  return {
    outcome,
    firstPosition: events[0]!.event.position,
    lastPosition: events.at(-1)!.event.position,
    streams: Array.from(revisions, ([stream, all]) => {
      return { stream, firstRevision: all[0]!, revision: all.at(-1)! };
    }),
  };
}

/** What the store makes of the caller's part of an event. */
function asStored(event: NewEvent): NewEvent & Pick<StoredEvent, 'data' | 'tags'> {
  const { tags = [], ...others } = event;
  const stored = { ...others, data: viaJson(event.data), tags: [...tags] };
  return event.metadata === undefined ? stored : { ...stored, metadata: viaJson(event.metadata) };
}

function viaJson(value: unknown): unknown {
  if (value === undefined || value instanceof Uint8Array) {
    return value;
  }
  return JSON.parse(JSON.stringify(value));
}

function isSameEvent(known: ModelEvent, { stream, event }: Given): boolean {
  const isSameId = event.id === undefined || event.id === known.id;
  return (
    isSameId &&
    known.event.stream === stream &&
    isDeepStrictEqual(contentOf(known.event), contentOf(asStored(event)))
  );
}

/** What must be equal in a repeat. */
function contentOf(event: NewEvent): unknown[] {
  const { type, data, metadata, tags, correlationId, causationId, occurredAt } = event;
  return [type, data, metadata, tags, correlationId, causationId, occurredAt];
}

/** Bytes of a record, from the format's description: prefix, fixed header, strings, salt, payload. */
function sizeOf(stream: string, event: NewEvent, key: string): number {
  const { type, id = '', correlationId = '', causationId = '', tags = [], metadata } = event;
  const ids = [id, correlationId, causationId, key].map((text) => (isUuid(text) ? 16 : text));
  const texts = [stream, type, ...tags, ...ids];
  const textSize = texts.reduce<number>(
    (sum, text) => sum + (typeof text === 'number' ? text : Buffer.byteLength(text)),
    0,
  );
  const optional = (metadata === undefined ? 0 : 4) + (event.occurredAt === undefined ? 0 : 8);
  const payloadSize = plainSize(event.data) + plainSize(metadata);
  return 8 + 108 + optional + textSize + tags.length + 16 + payloadSize;
}

function plainSize(value: unknown): number {
  if (value instanceof Uint8Array) {
    return value.length;
  }
  return value === undefined ? 0 : Buffer.byteLength(JSON.stringify(value));
}

function isUuid(text: string): boolean {
  return /^[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}$/.test(text);
}
