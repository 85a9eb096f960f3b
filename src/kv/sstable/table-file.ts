/** Opens a table's file and reads all of it but the data blocks, believing nothing that is not checked. */
import { compareKeys } from '../../base/compare-bytes.ts';
import { asVarveError, CorruptionError, systemCode, type VarveError } from '../../base/errors.ts';
import type { File, FileSystem } from '../../io/file-system.ts';
import { isRefusal, type Refusal, unsupportedFormat } from '../../base/refusal.ts';
import type { RangeTombstone } from '../entries/range-tombstones.ts';
import type { TableMeta } from './table-meta.ts';
import { TableFilter } from './filter-part.ts';
import {
  CompressionTag,
  decodeFooter,
  decodeHeader,
  FOOTER_SIZE,
  HEADER_SIZE,
  type PartExtent,
  readUint32,
  type TableFooter,
  TablePlace,
  TRAILER_SIZE,
  trailerIsIntact,
} from './format.ts';
import { decodeRangeTombstones } from './range-tombstone-part.ts';
import { TableIndex, type TableIndexImage } from './table-index.ts';
import {
  decodeProperties,
  metaOf,
  type TableOrigin,
  type TableProperties,
} from './table-properties.ts';
import { readTable, readTableAsync } from './read-table.ts';

export interface TableParts {
  readonly place: TablePlace;
  readonly footer: TableFooter;
  readonly properties: TableProperties;
  readonly index: TableIndex;
  readonly filter: TableFilter | undefined;
  readonly rangeTombstones: readonly RangeTombstone[];
  /** As the file has it. */
  readonly meta: TableMeta;
  /** Bytes of index and filter in memory. */
  readonly memorySize: number;
}

/** All of a table but its data blocks, as whoever made it has it in memory: plain data, for whoever reads it. */
export interface TableImage {
  readonly footer: TableFooter;
  readonly properties: TableProperties;
  readonly index: TableIndexImage;
  /** Its lines. */
  readonly filter: Uint8Array | undefined;
  readonly rangeTombstones: readonly RangeTombstone[];
}

/** The memory of images that moves to another thread with them. */
export function transferOf(images: readonly TableImage[]): ArrayBuffer[] {
  return images.flatMap(({ filter, index: { offsets, sequences, keys, keyStarts } }) =>
    [filter, offsets, sequences, keys, keyStarts]
      .map((array) => array?.buffer)
      .filter((buffer) => buffer instanceof ArrayBuffer),
  );
}

/** The parts of a table that need not be read: nobody has had them but who made them. */
export function partsOf(image: TableImage, meta: TableMeta): TableParts {
  const { footer, properties, rangeTombstones } = image;
  const { identity } = footer;
  const filter =
    image.filter && new TableFilter(image.filter, properties.settings.filter, identity);
  const index = new TableIndex(image.index);
  const place = new TablePlace(identity, footer.number);
  const memorySize = memorySizeOf(index.count, footer);
  return { place, footer, properties, index, filter, rangeTombstones, meta, memorySize };
}

/** Bytes of index and filter of a table that is opened with its image. */
export function imageMemorySize({ index, footer }: TableImage): number {
  return memorySizeOf(index.sequences.length, footer);
}

function memorySizeOf(blockCount: number, { index, filter }: TableFooter): number {
  return TableIndex.memorySizeOf(blockCount) + index.size + filter.size;
}

/** Opens the file of a table; one that isn't there is damage. */
export function openTableFile(fileSystem: FileSystem, path: string): File {
  try {
    return fileSystem.open(path, 'read');
  } catch (error) {
    if (systemCode(error) === 'ENOENT') {
      throw new CorruptionError(path, undefined, 'the table is missing', error);
    }
    throw asVarveError(error, `${path} could not be opened`);
  }
}

/** One step of reading a table's parts: bytes that are read, or undefined: a good moment for others to go first. */
type PartsStep = { readonly target: Uint8Array; readonly offset: number } | undefined;

/** Throws `CORRUPT`, or `UNSUPPORTED_FORMAT` if a newer version wrote the table. */
export function readTableParts(file: File, identity: Uint8Array): TableParts {
  const reading = partsOfFile(file, identity);
  for (;;) {
    const { done, value } = reading.next();
    if (done === true) {
      return value;
    }
    if (value !== undefined) {
      const { target, offset } = value;
      checkWhole(file, target, offset, readTable(file, target, offset));
    }
  }
}

/** Does what `readTableParts` does without blocking, and calls `pause` between the parts that it decodes. */
export async function readTablePartsAsync(
  file: File,
  identity: Uint8Array,
  pause: () => Promise<void>,
): Promise<TableParts> {
  const reading = partsOfFile(file, identity);
  for (;;) {
    const { done, value } = reading.next();
    if (done === true) {
      return value;
    }
    if (value === undefined) {
      await pause();
    } else {
      const { target, offset } = value;
      checkWhole(file, target, offset, await readTableAsync(file, target, offset));
    }
  }
}

function* partsOfFile(
  file: File,
  identity: Uint8Array,
): Generator<PartsStep, TableParts, undefined> {
  const { path } = file;
  const size = file.size();
  const footerOffset = size - FOOTER_SIZE;
  if (footerOffset < HEADER_SIZE) {
    throw new CorruptionError(path, size, 'the file is too short for a table');
  }
  const header = decodeHeader(yield* bytesAt(0, HEADER_SIZE));
  if (isRefusal(header)) {
    throw refused(path, 0, header);
  }
  if (compareKeys(header.identity, identity) !== 0) {
    throw new CorruptionError(path, 8, 'the table belongs to another store');
  }
  const footer = decodeFooter(yield* bytesAt(footerOffset, FOOTER_SIZE), footerOffset);
  if (isRefusal(footer)) {
    throw refused(path, footerOffset, footer);
  }
  if (compareKeys(footer.identity, identity) !== 0 || footer.number !== header.number) {
    throw new CorruptionError(path, footerOffset, 'the footer belongs to another table');
  }
  const place = new TablePlace(identity, header.number);
  const tailStart = footer.rangeTombstones.offset;
  const tail = yield* bytesAt(tailStart, footerOffset - tailStart);
  const payload = (extent: PartExtent): Uint8Array =>
    payloadOf(path, tail, tailStart, extent, place);

  const properties = expect(path, footer.properties, decodeProperties(payload(footer.properties)));
  yield undefined;
  const index = expect(
    path,
    footer.index,
    TableIndex.decode(payload(footer.index), HEADER_SIZE, tailStart),
  );
  const { filter: rule } = properties.settings;
  yield undefined;
  const filter = optional(footer.filter, (extent) =>
    expect(path, extent, TableFilter.decode(payload(extent), rule, identity)),
  );
  const rangeTombstones =
    optional(footer.rangeTombstones, (extent) =>
      expect(path, extent, decodeRangeTombstones(payload(extent))),
    ) ?? [];
  if (
    properties.number !== header.number ||
    properties.count !== footer.count ||
    properties.rangeDeleteCount !== rangeTombstones.length ||
    properties.count > 0 !== index.count > 0
  ) {
    throw new CorruptionError(
      path,
      footer.properties.offset,
      'the properties contradict the other parts of the table',
    );
  }
  return {
    place,
    footer,
    properties,
    index,
    filter,
    rangeTombstones,
    meta: metaOf(properties, size, footer.digest),
    memorySize: memorySizeOf(index.count, footer),
  };
}

/**
 * What a table says of itself, for whoever has no manifest. Header, footer and all parts are checked; the data blocks and
 * the digest are not: `TableReader.verify` does that.
 */
export function readTableMeta(
  fileSystem: FileSystem,
  path: string,
  identity: Uint8Array,
): TableMeta & TableOrigin {
  const file = openTableFile(fileSystem, path);
  try {
    const { meta, properties } = readTableParts(file, identity);
    const { level, inputs, outputIndex, isLastOutput, settings } = properties;
    return { ...meta, level, inputs, outputIndex, isLastOutput, settings };
  } finally {
    file.close();
  }
}

/** How many distinct keys a table has, without reading its index and its filter. */
export function readKeyCount(
  fileSystem: FileSystem,
  path: string,
  meta: TableMeta,
  identity: Uint8Array,
): number {
  const file = openTableFile(fileSystem, path);
  try {
    const footerOffset = file.size() - FOOTER_SIZE;
    if (footerOffset + FOOTER_SIZE !== meta.size || footerOffset < HEADER_SIZE) {
      throw new CorruptionError(path, undefined, `the table has not its ${meta.size} bytes`);
    }
    const bytes = readExactly(file, footerOffset, FOOTER_SIZE);
    const footer = expectDecoded(path, footerOffset, decodeFooter(bytes, footerOffset));
    const { offset, size } = footer.properties;
    const part = readExactly(file, offset, size);
    const place = new TablePlace(identity, meta.number);
    const payload = payloadOf(path, part, offset, footer.properties, place);
    return expectDecoded(path, offset, decodeProperties(payload)).keyCount;
  } finally {
    file.close();
  }
}

/** Throws `CORRUPT` if a table is not the one that the manifest means. */
export function checkMeta(path: string, meta: TableMeta, actual: TableMeta): void {
  const isIngested = meta.ingestSequence !== undefined;
  if (
    meta.number !== actual.number ||
    meta.count !== actual.count ||
    meta.deleteCount !== actual.deleteCount ||
    meta.rangeDeleteCount !== actual.rangeDeleteCount ||
    meta.rawSize !== actual.rawSize ||
    meta.isMaxExclusive !== actual.isMaxExclusive ||
    // An ingested table's sequences are the store's, not the file's.
    (!isIngested && meta.minSequence !== actual.minSequence) ||
    (!isIngested && meta.maxSequence !== actual.maxSequence) ||
    compareKeys(meta.minKey, actual.minKey) !== 0 ||
    compareKeys(meta.maxKey, actual.maxKey) !== 0 ||
    compareKeys(meta.digest, actual.digest) !== 0
  ) {
    throw new CorruptionError(path, undefined, 'the table is not the one that the manifest names');
  }
}

export function readExactly(file: File, offset: number, size: number): Uint8Array {
  const bytes = new Uint8Array(size);
  checkWhole(file, bytes, offset, readTable(file, bytes, offset));
  return bytes;
}

function* bytesAt(offset: number, size: number): Generator<PartsStep, Uint8Array, undefined> {
  const target = new Uint8Array(size);
  yield { target, offset };
  return target;
}

function checkWhole(file: File, { length }: Uint8Array, offset: number, count: number): void {
  if (count !== length) {
    throw new CorruptionError(file.path, offset + count, 'the table is cut short');
  }
}

function payloadOf(
  path: string,
  tail: Uint8Array,
  tailStart: number,
  extent: PartExtent,
  place: TablePlace,
): Uint8Array {
  const start = extent.offset - tailStart;
  const end = start + extent.size;
  const payloadEnd = end - TRAILER_SIZE;
  if (
    !trailerIsIntact(tail, start, end, place, extent.offset) ||
    readUint32(tail, end - 4) !== extent.crc
  ) {
    throw new CorruptionError(
      path,
      extent.offset,
      'a part of the table does not match its checksum',
    );
  }
  if (
    tail[payloadEnd + 4] !== CompressionTag.none ||
    readUint32(tail, payloadEnd) !== payloadEnd - start
  ) {
    throw new CorruptionError(path, extent.offset, 'a part of the table has a wrong trailer');
  }
  return tail.slice(start, payloadEnd);
}

function optional<Part>(extent: PartExtent, read: (extent: PartExtent) => Part): Part | undefined {
  return extent.size === 0 ? undefined : read(extent);
}

function expect<Part extends object>(
  path: string,
  { offset }: PartExtent,
  decoded: Part | Refusal,
): Part {
  return expectDecoded(path, offset, decoded);
}

function expectDecoded<Part extends object>(
  path: string,
  offset: number,
  decoded: Part | Refusal,
): Part {
  if ('reason' in decoded) {
    throw new CorruptionError(path, offset, decoded.reason);
  }
  return decoded;
}

function refused(path: string, offset: number, { reason, version }: Refusal): VarveError {
  if (version !== undefined) {
    return unsupportedFormat(path, version);
  }
  return new CorruptionError(path, offset, reason);
}
