/** Opens a table's file and reads all of it but the data blocks, believing nothing that is not checked. */
import { compareKeys } from '../../base/compare-bytes.ts';
import { asVarveError, CorruptionError, systemCode, type VarveError } from '../../base/errors.ts';
import type { BloomFilter } from '../../collections/bloom-filter.ts';
import type { File, FileSystem } from '../../io/file-system.ts';
import { isRefusal, type Refusal, unsupportedFormat } from '../../base/refusal.ts';
import type { RangeTombstone } from '../entries/range-tombstones.ts';
import type { TableMeta } from './table-meta.ts';
import { decodeFilter } from './filter-part.ts';
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
import { TableIndex } from './table-index.ts';
import {
  decodeProperties,
  metaOf,
  type TableOrigin,
  type TableProperties,
} from './table-properties.ts';
import { readTable } from './read-table.ts';

export interface TableParts {
  readonly place: TablePlace;
  readonly footer: TableFooter;
  readonly properties: TableProperties;
  readonly index: TableIndex;
  readonly filter: BloomFilter | undefined;
  readonly rangeTombstones: readonly RangeTombstone[];
  /** As the file has it. */
  readonly meta: TableMeta;
  /** Bytes of index and filter in memory. */
  readonly memorySize: number;
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

/** Throws `CORRUPT`, or `UNSUPPORTED_FORMAT` if a newer version wrote the table. */
export function readTableParts(file: File, identity: Uint8Array): TableParts {
  const { path } = file;
  const size = file.size();
  const footerOffset = size - FOOTER_SIZE;
  if (footerOffset < HEADER_SIZE) {
    throw new CorruptionError(path, size, 'the file is too short for a table');
  }
  const header = decodeHeader(readExactly(file, 0, HEADER_SIZE));
  if (isRefusal(header)) {
    throw refused(path, 0, header);
  }
  if (compareKeys(header.identity, identity) !== 0) {
    throw new CorruptionError(path, 8, 'the table belongs to another store');
  }
  const footer = decodeFooter(readExactly(file, footerOffset, FOOTER_SIZE), footerOffset);
  if (isRefusal(footer)) {
    throw refused(path, footerOffset, footer);
  }
  if (compareKeys(footer.identity, identity) !== 0 || footer.number !== header.number) {
    throw new CorruptionError(path, footerOffset, 'the footer belongs to another table');
  }
  const place = new TablePlace(identity, header.number);
  const tailStart = footer.rangeTombstones.offset;
  const tail = readExactly(file, tailStart, footerOffset - tailStart);
  const payload = (extent: PartExtent): Uint8Array =>
    payloadOf(path, tail, tailStart, extent, place);

  const properties = expect(path, footer.properties, decodeProperties(payload(footer.properties)));
  const index = expect(
    path,
    footer.index,
    TableIndex.decode(payload(footer.index), HEADER_SIZE, tailStart),
  );
  const filter =
    footer.filter.size === 0
      ? undefined
      : expect(path, footer.filter, decodeFilter(payload(footer.filter)));
  const rangeTombstones =
    footer.rangeTombstones.size === 0
      ? []
      : expect(
          path,
          footer.rangeTombstones,
          decodeRangeTombstones(payload(footer.rangeTombstones)),
        );
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
    memorySize: index.memorySize + footer.index.size + footer.filter.size,
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
  const count = readTable(file, bytes, offset);
  if (count !== size) {
    throw new CorruptionError(file.path, offset + count, 'the table is cut short');
  }
  return bytes;
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
