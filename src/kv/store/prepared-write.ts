/** Writes as callers give them, checked and turned into bytes. */
import { checkRange, rejectUnknownNames } from '../../base/arguments.ts';
import { VarveError } from '../../base/errors.ts';
import type { BatchBody } from './batch-body.ts';
import type { KvBytes, KvGuard, KvInput, KvOperation, KvPutOptions, KvRange } from './contract.ts';
import { OperationKind } from './format.ts';
import {
  boundsOf,
  keyBytesOf,
  keyToCopyOf,
  KEYS_END,
  ownCopyOf,
  type ValueCodec,
} from './kv-bytes.ts';
import { NO_BYTES } from '../entries/cursor.ts';
import { rangeNames } from './option-names.ts';
import type { PreparedGuard } from './pending-batch.ts';

const NO_GUARDS: readonly PreparedGuard[] = Object.freeze([]);
const putNames: ReadonlySet<string> = new Set(['type', 'key', 'value']);
const deleteNames: ReadonlySet<string> = new Set(['type', 'key']);
const deleteRangeNames: ReadonlySet<string> = new Set(['type', ...rangeNames]);

/** Adds operations as callers give them to a batch. */
export function addOperations<Value>(
  body: BatchBody,
  operations: readonly KvOperation<Value>[],
  codec: ValueCodec<Value>,
): void {
  checkList(operations, 'operations');
  // A value's toJSON may add to the list: what it adds is not part of this call.
  for (const operation of operations.slice()) {
    addOperation(body, operation, codec);
  }
}

function addOperation<Value>(
  body: BatchBody,
  operation: KvOperation<Value>,
  codec: ValueCodec<Value>,
): void {
  checkObject(operation, 'An operation');
  switch (operation.type) {
    case 'put': {
      checkPutNames(operation);
      const value = codec.encode(operation.value);
      body.add(OperationKind.put, keyToCopyOf(operation.key), value);
      break;
    }
    case 'delete':
      rejectUnknownNames(operation, deleteNames, 'field of a delete');
      body.add(OperationKind.delete, keyToCopyOf(operation.key), NO_BYTES);
      break;
    case 'deleteRange': {
      rejectUnknownNames(operation, deleteRangeNames, 'field of a deleted range');
      checkHasBound(operation);
      const bounds = boundsOf(operation);
      // A range that no key is in is no operation.
      if (bounds !== undefined) {
        body.add(OperationKind.deleteRange, keyBytesOf(bounds.start), bounds.end ?? KEYS_END);
      }
      break;
    }
    default:
      throw new VarveError(
        'INVALID_ARGUMENT',
        `An operation's type is "put", "delete" or "deleteRange", not ${JSON.stringify((operation as { type?: unknown }).type)}.`,
      );
  }
}

/** Nearly all operations are puts: comparing names costs a third of looking them up. */
function checkPutNames(operation: object): void {
  for (const name in operation) {
    if (name !== 'type' && name !== 'key' && name !== 'value') {
      rejectUnknownNames(operation, putNames, 'field of a put');
    }
  }
}

/** A bound that was lost on its way must not delete everything. */
function checkHasBound({ gte, gt, lte, lt, prefix }: KvRange): void {
  if ([gte, gt, lte, lt, prefix].every((bound) => bound === undefined)) {
    throw new VarveError(
      'INVALID_ARGUMENT',
      "A deleted range has a bound: { gte: '' } deletes every key.",
    );
  }
}

/** Entries to be ingested, as bytes. A list stays a list, which costs less than a promise an entry. */
export function entriesAsBytes<Value>(
  entries:
    | Iterable<readonly [KvBytes, KvInput<Value>]>
    | AsyncIterable<readonly [KvBytes, KvInput<Value>]>,
  codec: ValueCodec<Value>,
): Iterable<[Uint8Array, Uint8Array]> | AsyncIterable<[Uint8Array, Uint8Array]> {
  checkObject(entries, 'What is ingested');
  if (!(Symbol.iterator in entries) && !(Symbol.asyncIterator in entries)) {
    throw new VarveError('INVALID_ARGUMENT', 'Entries to be ingested are an iterable of pairs.');
  }
  return Symbol.iterator in entries
    ? bytesOfEach(entries, codec)
    : bytesOfEachLater(entries, codec);
}

function* bytesOfEach<Value>(
  entries: Iterable<readonly [KvBytes, KvInput<Value>]>,
  codec: ValueCodec<Value>,
): Generator<[Uint8Array, Uint8Array]> {
  for (const entry of entries) {
    yield bytesOfPair(entry, codec);
  }
}

async function* bytesOfEachLater<Value>(
  entries: AsyncIterable<readonly [KvBytes, KvInput<Value>]>,
  codec: ValueCodec<Value>,
): AsyncGenerator<[Uint8Array, Uint8Array]> {
  for await (const entry of entries) {
    yield bytesOfPair(entry, codec);
  }
}

function bytesOfPair<Value>(
  entry: readonly [KvBytes, KvInput<Value>],
  codec: ValueCodec<Value>,
): [Uint8Array, Uint8Array] {
  // The letters of a string would pass as key and value.
  if (!Array.isArray(entry)) {
    throw new VarveError('INVALID_ARGUMENT', 'An entry to be ingested is a pair: [key, value].');
  }
  return [keyBytesOf(entry[0]), codec.encode(entry[1])];
}

/** The guards that a put's or a delete's own conditions come to. */
export function conditionsOf(
  key: Uint8Array,
  { ifAbsent = false, ifVersion }: Pick<KvPutOptions, 'ifAbsent' | 'ifVersion'>,
): readonly PreparedGuard[] {
  if (typeof ifAbsent !== 'boolean') {
    throw new VarveError('INVALID_ARGUMENT', 'ifAbsent must be true or false.');
  }
  if (ifVersion === undefined) {
    return ifAbsent ? [{ kind: 'absent', key: ownCopyOf(key) }] : NO_GUARDS;
  }
  checkRange('ifVersion', ifVersion, 0, Number.MAX_SAFE_INTEGER);
  if (ifAbsent) {
    throw new VarveError('INVALID_ARGUMENT', 'Give ifAbsent or ifVersion, not both.');
  }
  return [{ kind: 'version', key: ownCopyOf(key), version: ifVersion }];
}

export function prepareGuards(guards?: readonly KvGuard[]): readonly PreparedGuard[] {
  if (guards === undefined) {
    return NO_GUARDS;
  }
  checkList(guards, 'guards');
  return guards.map((guard) => {
    checkObject(guard, 'A guard');
    if ('prefix' in guard) {
      checkTrue('empty', guard.empty);
      return { kind: 'empty', prefix: ownCopyOf(keyToCopyOf(guard.prefix)) };
    }
    const key = ownCopyOf(keyToCopyOf(guard.key));
    if ('version' in guard) {
      checkRange('version', guard.version, 0, Number.MAX_SAFE_INTEGER);
      return { kind: 'version', key, version: guard.version };
    }
    checkTrue('absent', guard.absent);
    return { kind: 'absent', key };
  });
}

/** From JavaScript anything can come. */
export function checkList(given: unknown, what: string): void {
  if (!Array.isArray(given)) {
    throw new VarveError('INVALID_ARGUMENT', `Give the ${what} as an array.`);
  }
}

function checkObject(given: unknown, what: string): void {
  if (typeof given !== 'object' || given === null) {
    throw new VarveError('INVALID_ARGUMENT', `${what} is an object, not ${String(given)}.`);
  }
}

export function checkFlags(flags: Readonly<Record<string, unknown>>): void {
  for (const name in flags) {
    if (typeof flags[name] !== 'boolean') {
      throw new VarveError('INVALID_ARGUMENT', `The option ${name} is true or false.`);
    }
  }
}

function checkTrue(name: string, value: boolean): void {
  // From JavaScript anything can come.
  if (!Object.is(value, true)) {
    throw new VarveError(
      'INVALID_ARGUMENT',
      `A guard says { key, version }, { key, absent: true } or { prefix, empty: true }; ${name} is ${String(value)}.`,
    );
  }
}
