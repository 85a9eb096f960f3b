/** What a table says of itself: the last part before the footer. See docs/formats/table.md. */
import { assert } from '../../base/assert.ts';
import { firstNonZero, readUint64, viewOf, writeUint64 } from '../../base/integers.ts';
import type { Refusal } from '../../base/refusal.ts';
import type { TableSettings } from './table-settings.ts';
import { AXIS_COUNT_MAX, type FilterAxis, isPossibleRule } from './filter-rule.ts';
import type { TableMeta } from './table-meta.ts';
import { BLOCK_SIZE_MAX, BLOCK_SIZE_MIN, BOUND_SIZE_MAX, TRAILER_SIZE } from './format.ts';

const FIXED_SIZE = 112;
/** Of the filter's rule: axis (1), bits per key (1), bytes that are not covered (2). */
const AXIS_SIZE = 4;
const FLAG_MAX_EXCLUSIVE = 1;
const FLAG_LAST_OUTPUT = 2;
/** The deepest there is. */
const LEVEL_MAX = 6;

// Format: persisted; never renumber.
const compressions: readonly TableSettings['compression'][] = ['none', 'deflate', 'zstd'];

/** How a table came to be: enough to tell, without a manifest, which tables another one has replaced. */
export interface TableOrigin {
  /** The level it was made for. */
  readonly level: number;
  /** Numbers of the tables whose entries it took over; none for a flush. */
  readonly inputs: readonly number[];
  /** Its place among the tables made by the same work, from 0. */
  readonly outputIndex: number;
  /** The work made no further table: all outputs are there if those up to this one are. */
  readonly isLastOutput: boolean;
  readonly settings: TableSettings;
}

export interface TableProperties
  extends TableOrigin, Omit<TableMeta, 'size' | 'digest' | 'ingestSequence'> {
  /** Distinct keys: what the filter is made for. */
  readonly keyCount: number;
}

/** What a store keeps of a table, from the table alone: it was not ingested. */
export function metaOf(properties: TableProperties, size: number, digest: Uint8Array): TableMeta {
  return {
    number: properties.number,
    size,
    count: properties.count,
    deleteCount: properties.deleteCount,
    rangeDeleteCount: properties.rangeDeleteCount,
    rawSize: properties.rawSize,
    minKey: properties.minKey,
    maxKey: properties.maxKey,
    isMaxExclusive: properties.isMaxExclusive,
    minSequence: properties.minSequence,
    maxSequence: properties.maxSequence,
    ingestSequence: undefined,
    digest,
  };
}

/** The payload of the properties part, with room for a trailer. */
export function encodeProperties(properties: TableProperties): Uint8Array<ArrayBuffer> {
  const { minKey, maxKey, inputs, settings } = properties;
  assert(minKey.length <= BOUND_SIZE_MAX, 'the smallest key is within its limit');
  assert(maxKey.length <= BOUND_SIZE_MAX, 'the greatest key is within its limit');
  const { axes } = settings.filter;
  const inputsStart = FIXED_SIZE + minKey.length + maxKey.length;
  const axesStart = inputsStart + inputs.length * 8;
  const bytes = new Uint8Array(axesStart + axes.length * AXIS_SIZE + TRAILER_SIZE);
  const view = viewOf(bytes);
  writeUint64(view, 0, properties.number);
  writeUint64(view, 8, properties.count);
  writeUint64(view, 16, properties.keyCount);
  writeUint64(view, 24, properties.deleteCount);
  writeUint64(view, 32, properties.rangeDeleteCount);
  writeUint64(view, 40, properties.rawSize);
  writeUint64(view, 48, properties.minSequence);
  writeUint64(view, 56, properties.maxSequence);
  view.setUint32(64, properties.level, true);
  view.setUint32(68, properties.outputIndex, true);
  view.setUint32(72, inputs.length, true);
  view.setUint32(76, minKey.length, true);
  view.setUint32(80, maxKey.length, true);
  view.setUint32(84, settings.blockSize, true);
  writeUint64(view, 88, settings.tableSizeMax);
  view.setUint32(96, settings.filter.bitsPerKey, true);
  bytes[100] = compressions.indexOf(settings.compression);
  bytes[101] =
    (properties.isMaxExclusive ? FLAG_MAX_EXCLUSIVE : 0) |
    (properties.isLastOutput ? FLAG_LAST_OUTPUT : 0);
  view.setUint16(102, axes.length, true);
  bytes.set(minKey, FIXED_SIZE);
  bytes.set(maxKey, FIXED_SIZE + minKey.length);
  inputs.forEach((input, index) => writeUint64(view, inputsStart + index * 8, input));
  for (const [index, { axis, bitsPerKey, uncovered }] of axes.entries()) {
    const at = axesStart + index * AXIS_SIZE;
    bytes[at] = axis;
    bytes[at + 1] = bitsPerKey;
    view.setUint16(at + 2, uncovered, true);
  }
  return bytes;
}

export function decodeProperties(payload: Uint8Array): TableProperties | Refusal {
  if (payload.length < FIXED_SIZE) {
    return { reason: 'the properties are too short' };
  }
  const view = viewOf(payload);
  const inputCount = view.getUint32(72, true);
  const minKeyEnd = FIXED_SIZE + view.getUint32(76, true);
  const maxKeyEnd = minKeyEnd + view.getUint32(80, true);
  const axisCount = view.getUint16(102, true);
  const axesStart = maxKeyEnd + inputCount * 8;
  const compression = compressions[payload[100]!];
  const flags = payload[101]!;
  if (
    axisCount > AXIS_COUNT_MAX ||
    axesStart + axisCount * AXIS_SIZE !== payload.length ||
    compression === undefined ||
    flags > (FLAG_MAX_EXCLUSIVE | FLAG_LAST_OUTPUT) ||
    firstNonZero(payload, 104, FIXED_SIZE) !== FIXED_SIZE
  ) {
    return { reason: 'the properties are not laid out as properties are' };
  }
  const properties: TableProperties = {
    number: readUint64(view, 0),
    count: readUint64(view, 8),
    keyCount: readUint64(view, 16),
    deleteCount: readUint64(view, 24),
    rangeDeleteCount: readUint64(view, 32),
    rawSize: readUint64(view, 40),
    minSequence: readUint64(view, 48),
    maxSequence: readUint64(view, 56),
    level: view.getUint32(64, true),
    outputIndex: view.getUint32(68, true),
    isMaxExclusive: (flags & FLAG_MAX_EXCLUSIVE) !== 0,
    isLastOutput: (flags & FLAG_LAST_OUTPUT) !== 0,
    minKey: payload.slice(FIXED_SIZE, minKeyEnd),
    maxKey: payload.slice(minKeyEnd, maxKeyEnd),
    inputs: Array.from({ length: inputCount }, (_, index) =>
      readUint64(view, maxKeyEnd + index * 8),
    ),
    settings: {
      blockSize: view.getUint32(84, true),
      tableSizeMax: readUint64(view, 88),
      filter: {
        bitsPerKey: view.getUint32(96, true),
        axes: Array.from({ length: axisCount }, (_, index) =>
          decodeAxis(view, axesStart + index * AXIS_SIZE),
        ),
      },
      compression,
    },
  };
  return isPossible(properties)
    ? properties
    : { reason: 'the properties hold what no properties hold' };
}

function decodeAxis(view: DataView, at: number): FilterAxis {
  return {
    axis: view.getUint8(at),
    bitsPerKey: view.getUint8(at + 1),
    uncovered: view.getUint16(at + 2, true),
  };
}

function isPossible(properties: TableProperties): boolean {
  const { count, keyCount, deleteCount, rangeDeleteCount, settings } = properties;
  const numbers = [
    properties.number,
    count,
    keyCount,
    deleteCount,
    rangeDeleteCount,
    properties.rawSize,
    properties.minSequence,
    properties.maxSequence,
    settings.tableSizeMax,
    ...properties.inputs,
  ];
  return (
    numbers.every((number) => Number.isSafeInteger(number)) &&
    keyCount <= count &&
    keyCount > 0 === count > 0 &&
    deleteCount <= count &&
    count + rangeDeleteCount > 0 &&
    properties.minSequence <= properties.maxSequence &&
    properties.minKey.length <= BOUND_SIZE_MAX &&
    properties.maxKey.length <= BOUND_SIZE_MAX &&
    properties.level <= LEVEL_MAX &&
    !properties.inputs.includes(properties.number) &&
    new Set(properties.inputs).size === properties.inputs.length &&
    settings.blockSize >= BLOCK_SIZE_MIN &&
    settings.blockSize <= BLOCK_SIZE_MAX &&
    isPossibleRule(settings.filter)
  );
}
