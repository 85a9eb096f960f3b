import { assert } from './assert.ts';

const KiB = 1024;
const MiB = 1024 * KiB;

/** Every bound of the engine, in one place. Sizes are bytes, counts are things. */
export interface Limits {
  /** A commit's frame, header and trailer included. Bounds what a damaged length can make us allocate. */
  readonly frameSizeMax: number;
  /** The same of a batch of a key-value store: programs put whole data sets into one. */
  readonly batchFrameSizeMax: number;
  /** Events of one commit: a persisted 16-bit number. */
  readonly commitCountMax: number;
  readonly streamSizeMax: number;
  readonly typeSizeMax: number;
  readonly idSizeMax: number;
  readonly idempotencyScopeSizeMax: number;
  readonly idempotencyKeySizeMax: number;
  readonly tagSizeMax: number;
  readonly tagCountMax: number;
  /** Events of a store: a persisted 48-bit number. */
  readonly positionCountMax: number;
  /** The canonical header of one record: a persisted 16-bit number. */
  readonly headerSizeMax: number;
  /** The first segment; later ones double up to the option `segmentSizeMax`. */
  readonly segmentSizeFirst: number;
  readonly segmentSizeMax: number;
  /** Zeros are written ahead of the tail in synced steps of this size. */
  readonly prepareStepSize: number;
  /** Data and metadata of one event before compression. */
  readonly plainSizeMax: number;
  /** Recorded times, in ms since the epoch: a generated id has 48 bits for its own. The year 10889. */
  readonly timeMax: number;
  /** Objects and arrays in one another, in values that are stored as JSON. Bounds the recursion of whoever walks them. */
  readonly jsonDepthMax: number;
}

export const limits: Limits = Object.freeze({
  frameSizeMax: 16 * MiB,
  batchFrameSizeMax: 64 * MiB,
  commitCountMax: 65_535,
  streamSizeMax: 1_024,
  typeSizeMax: 256,
  idSizeMax: 128,
  // 128, as ids: a scope names a tenant, and its size is persisted as one byte.
  idempotencyScopeSizeMax: 128,
  idempotencyKeySizeMax: 1_024,
  tagSizeMax: 256,
  tagCountMax: 64,
  positionCountMax: 2 ** 48 - 1,
  headerSizeMax: 65_535,
  segmentSizeFirst: 1 * MiB,
  segmentSizeMax: 1_024 * MiB,
  prepareStepSize: 1 * MiB,
  plainSizeMax: 64 * MiB,
  timeMax: 2 ** 48 - 1,
  // 1,000: a third of what JSON.stringify has stack for, and far more than documents have.
  jsonDepthMax: 1_000,
});

assert(
  limits.streamSizeMax +
    limits.typeSizeMax +
    3 * limits.idSizeMax +
    limits.idempotencyScopeSizeMax +
    limits.idempotencyKeySizeMax +
    limits.tagCountMax * (limits.tagSizeMax + 2) +
    1_024 <=
    limits.headerSizeMax,
  'a record header with every field at its limit fits its 16-bit size',
);
assert(limits.batchFrameSizeMax < 2 ** 31, 'frame sizes are persisted as 32-bit numbers');
assert(limits.segmentSizeMax < 2 ** 32, 'offsets in a segment are persisted as 32-bit numbers');
