/** What a key-value store is, as a sorted array: every answer is worked out in the plainest way. Keys are latin1 strings. */
import type { KvGuard, KvListEntry, KvListOptions, KvRange, KvStore } from 'varve/kv';

export interface ModelEntry {
  readonly key: string;
  readonly value: string;
  readonly version: number;
}

export interface ModelRange {
  readonly gte?: string;
  readonly gt?: string;
  readonly lte?: string;
  readonly lt?: string;
  readonly prefix?: string;
}

export type ModelOperation =
  | { readonly type: 'put'; readonly key: string; readonly value: string }
  | { readonly type: 'delete'; readonly key: string }
  | { readonly type: 'deleteRange'; readonly range: ModelRange };

export type ModelGuard =
  | { readonly key: string; readonly version: number }
  | { readonly key: string; readonly absent: true }
  | { readonly prefix: string; readonly empty: true };

export type ModelWrite =
  | { readonly kind: 'ingest'; readonly entries: readonly (readonly [string, string])[] }
  | {
      readonly kind: 'batch';
      readonly operations: readonly ModelOperation[];
      readonly guards: readonly ModelGuard[];
    }
  | {
      readonly kind: 'rename';
      readonly from: string;
      readonly to: string;
      readonly isPrefix: boolean;
      readonly overwrites: boolean;
    };

/** What a write's promise settles to. */
export type ModelOutcome = number | 'CONDITION_FAILED';

/** Things as they were at one moment. */
export class ModelView {
  readonly entries: readonly ModelEntry[];
  readonly version: number;

  constructor(entries: readonly ModelEntry[], version: number) {
    this.entries = entries;
    this.version = version;
  }

  get(key: string): ModelEntry | undefined {
    const entry = this.entries[lowerBound(this.entries, key)];
    return entry?.key === key ? entry : undefined;
  }

  range(range: ModelRange): readonly ModelEntry[] {
    return this.entries.filter(({ key }) => isInRange(key, range));
  }

  list(prefix: string, delimiter: string | undefined, after: string | undefined): ModelLine[] {
    const lines: ModelLine[] = [];
    for (const entry of this.entries) {
      if (!entry.key.startsWith(prefix) || isPassed(entry.key, prefix, delimiter, after)) {
        continue;
      }
      const rolledUp = rollUp(entry.key, prefix, delimiter);
      if (rolledUp === undefined) {
        lines.push(entry);
      } else if (lines.at(-1) !== rolledUp) {
        lines.push(rolledUp);
      }
    }
    return lines;
  }

  longestPrefix(path: string): ModelEntry | undefined {
    return this.entries.findLast(({ key }) => path.startsWith(key));
  }

  count(prefix: string): number {
    return this.range({ prefix }).length;
  }
}

export type ModelLine = ModelEntry | string;

function rollUp(key: string, prefix: string, delimiter: string | undefined): string | undefined {
  const at = delimiter === undefined ? -1 : key.indexOf(delimiter, prefix.length);
  return at < 0 ? undefined : key.slice(0, at + delimiter!.length);
}

function isPassed(
  key: string,
  prefix: string,
  delimiter: string | undefined,
  after: string | undefined,
): boolean {
  if (after === undefined) {
    return false;
  }
  const isRolledUp = after.startsWith(prefix) && rollUp(after, prefix, delimiter) === after;
  return key <= after || (isRolledUp && key.startsWith(after));
}

export function isInRange(key: string, { gte, gt, lte, lt, prefix }: ModelRange): boolean {
  return (
    (gte === undefined || key >= gte) &&
    (gt === undefined || key > gt) &&
    (lte === undefined || key <= lte) &&
    (lt === undefined || key < lt) &&
    (prefix === undefined || key.startsWith(prefix))
  );
}

/** Entries that can be written. A view is a copy. */
export class SortedModel {
  #entries: ModelEntry[];
  version: number;

  constructor(view?: ModelView) {
    this.#entries = [...(view?.entries ?? [])];
    this.version = view?.version ?? 0;
  }

  get size(): number {
    return this.#entries.length;
  }

  /** Shares the entries: good until the next write. */
  get now(): ModelView {
    return new ModelView(this.#entries, this.version);
  }

  get view(): ModelView {
    return new ModelView([...this.#entries], this.version);
  }

  apply(write: ModelWrite): ModelOutcome {
    switch (write.kind) {
      case 'rename':
        return this.#rename(write);
      case 'ingest':
        this.version += 1;
        for (const [key, value] of write.entries) {
          this.#put(key, value);
        }
        return this.version;
      case 'batch':
        break;
    }
    return this.#batch(write);
  }

  #batch(write: ModelWrite & { kind: 'batch' }): ModelOutcome {
    if (!write.guards.every((guard) => this.#holds(guard))) {
      return 'CONDITION_FAILED';
    }
    for (const operation of write.operations) {
      this.#operate(operation);
    }
    return this.version;
  }

  #holds(guard: ModelGuard): boolean {
    if ('prefix' in guard) {
      return this.now.count(guard.prefix) === 0;
    }
    return (this.now.get(guard.key)?.version ?? 0) === ('version' in guard ? guard.version : 0);
  }

  #operate(operation: ModelOperation): void {
    switch (operation.type) {
      case 'put':
        this.version += 1;
        this.#put(operation.key, operation.value);
        break;
      case 'delete':
        this.version += 1;
        this.#delete(operation.key);
        break;
      case 'deleteRange':
        if (!isEmptyRange(operation.range)) {
          this.version += 1;
          this.#entries = this.#entries.filter(({ key }) => !isInRange(key, operation.range));
        }
        break;
    }
  }

  #put(key: string, value: string): void {
    const index = lowerBound(this.#entries, key);
    const entry = { key, value, version: this.version };
    this.#entries.splice(index, this.#entries[index]?.key === key ? 1 : 0, entry);
  }

  #delete(key: string): void {
    const index = lowerBound(this.#entries, key);
    if (this.#entries[index]?.key === key) {
      this.#entries.splice(index, 1);
    }
  }

  #rename({ from, to, isPrefix, overwrites }: ModelWrite & { kind: 'rename' }): ModelOutcome {
    const sources = this.#entries.filter(({ key }) =>
      isPrefix ? key.startsWith(from) : key === from,
    );
    const renamed = sources.map(({ key, value }) => ({ key: to + key.slice(from.length), value }));
    const isTaken = ({ key }: { key: string }): boolean =>
      this.now.get(key) !== undefined && !sources.some((source) => source.key === key);
    if (!overwrites && renamed.some(isTaken)) {
      return 'CONDITION_FAILED';
    }
    for (const { key } of sources) {
      this.#operate({ type: 'delete', key });
    }
    for (const { key, value } of renamed) {
      this.#operate({ type: 'put', key, value });
    }
    return sources.length;
  }
}

/** First index whose key is not smaller. */
export function lowerBound(entries: readonly ModelEntry[], key: string): number {
  let low = 0;
  let high = entries.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if (entries[middle]!.key < key) {
      low = middle + 1;
    } else {
      high = middle;
    }
  }
  return low;
}

/** True if no key at all can be in the range; such a deletion takes no version. */
function isEmptyRange(range: ModelRange): boolean {
  const { gte, gt, lte, lt, prefix } = range;
  const starts = [gte ?? '', gt === undefined ? '' : `${gt}\0`, prefix ?? ''].toSorted();
  const ends = [lt, lte === undefined ? undefined : `${lte}\0`, successorOfPrefix(prefix ?? '')]
    .filter((end) => end !== undefined)
    .toSorted();
  return ends[0] !== undefined && starts.at(-1)! >= ends[0];
}

function successorOfPrefix(prefix: string): string | undefined {
  const stem = prefix.replace(/\xff+$/, '');
  return stem === ''
    ? undefined
    : stem.slice(0, -1) + String.fromCharCode(stem.charCodeAt(stem.length - 1) + 1);
}

export function bytesOf(text: string): Buffer {
  return Buffer.from(text, 'latin1');
}

export function textOf(bytes: Uint8Array): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).toString('latin1');
}

export function rangeOf(range: ModelRange): KvRange {
  const given = Object.entries(range) as [keyof ModelRange, string][];
  return Object.fromEntries(given.map(([name, key]) => [name, bytesOf(key)]));
}

export function guardOf(guard: ModelGuard): KvGuard {
  return 'prefix' in guard
    ? { prefix: bytesOf(guard.prefix), empty: true }
    : { ...guard, key: bytesOf(guard.key) };
}

/** A listing as the model writes it. */
export function linesOf(
  kv: KvStore,
  prefix: string,
  {
    delimiter,
    after,
    ...rest
  }: Omit<KvListOptions, 'delimiter' | 'after'> & {
    readonly delimiter?: string;
    readonly after?: string;
  },
): ModelLine[] {
  const options = {
    ...rest,
    ...(delimiter === undefined ? {} : { delimiter: bytesOf(delimiter) }),
    ...(after === undefined ? {} : { after: bytesOf(after) }),
  };
  return [...kv.list(bytesOf(prefix), options)].map(lineOf);
}

function lineOf(line: KvListEntry<Uint8Array>): ModelLine {
  return line.type === 'prefix'
    ? textOf(line.prefix)
    : { key: textOf(line.key), value: textOf(line.value), version: line.version };
}
