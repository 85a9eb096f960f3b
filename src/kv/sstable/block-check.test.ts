/** A data block whose fields say other things than a writer says, checksum and digest right: `verify` finds it. */
import { createHash } from 'node:crypto';
import { describe, expect, it } from 'vitest';
import { CorruptionError } from '../../base/errors.ts';
import { SimulatedFileSystem } from '../../testing/simulated-file-system.ts';
import {
  decodeFooter,
  encodeFooter,
  FOOTER_SIZE,
  HEADER_SIZE,
  type TableFooter,
  TablePlace,
  TRAILER_SIZE,
  writeTrailer,
} from './format.ts';
import { readTableMeta } from './table-file.ts';
import {
  getFrom,
  makeSample,
  openSample,
  type SampleEntry,
  sampleIdentity,
  samplePath,
  scanAll,
  text,
} from './table-sample.ts';

/** More than one restart; sequences of one byte above their base; the third entry is a deletion. */
const entries: SampleEntry[] = Array.from({ length: 20 }, (_, index) => ({
  key: text(`key ${String(index).padStart(2, '0')}`),
  sequence: 100 + index,
  value: index === 2 ? undefined : text(`value ${index}`),
}));

interface Sample {
  readonly bytes: Buffer;
  readonly footer: TableFooter;
}

const whole = makeWhole();

function makeWhole(): Sample {
  const fileSystem = new SimulatedFileSystem();
  makeSample(fileSystem, samplePath, entries, { settings: { blockSize: 4_096 } });
  const bytes = Buffer.from(fileSystem.readFile(samplePath));
  const footer = decodeFooter(bytes.subarray(-FOOTER_SIZE), bytes.length - FOOTER_SIZE);
  return { bytes, footer: footer as TableFooter };
}

/** The table with its only block changed, and the block's checksum and the table's digest made right. */
function withBlock(change: (block: Buffer) => void): SimulatedFileSystem {
  const { footer } = whole;
  const bytes = Buffer.from(whole.bytes);
  const end = footer.rangeTombstones.offset - TRAILER_SIZE;
  const block = bytes.subarray(HEADER_SIZE, end);
  change(block);
  const target = { bytes, start: HEADER_SIZE, payloadEnd: end };
  writeTrailer(target, block.length, 0, new TablePlace(sampleIdentity, 7), HEADER_SIZE);
  const digestEnd = bytes.length - FOOTER_SIZE;
  const digest = createHash('sha256').update(bytes.subarray(0, digestEnd)).digest();
  bytes.set(encodeFooter({ ...footer, digest }), digestEnd);
  const fileSystem = new SimulatedFileSystem();
  fileSystem.writeFile(samplePath, bytes);
  return fileSystem;
}

/** Whether all of it can be read and is what was written; damage is told, nothing else. */
function isReadable(fileSystem: SimulatedFileSystem): boolean {
  try {
    const reader = openSample(fileSystem, readTableMeta(fileSystem, samplePath, sampleIdentity));
    const scanned = scanAll(reader.cursor());
    const found = entries.map(({ key }) => getFrom(reader, key));
    const isSame = (one: readonly (SampleEntry | undefined)[]): boolean =>
      JSON.stringify(one) === JSON.stringify(entries);
    return isSame(scanned) && isSame(found);
  } catch (error) {
    if (error instanceof CorruptionError) {
      return false;
    }
    throw error;
  }
}

function damageFoundByVerify(fileSystem: SimulatedFileSystem): CorruptionError | undefined {
  try {
    const meta = readTableMeta(fileSystem, samplePath, sampleIdentity);
    openSample(fileSystem, meta).verify();
    return undefined;
  } catch (error) {
    expect(error).toBeInstanceOf(CorruptionError);
    return error as CorruptionError;
  }
}

/** Where the parts of the block lie. */
function layoutOf(block: Buffer): {
  readonly tail: number;
  readonly restarts: number;
  readonly sequences: number;
  readonly entries: number;
} {
  const tail = block.length - 20;
  const restarts = tail - 16;
  return { tail, restarts, sequences: restarts - 20, entries: block.readUInt32LE(tail + 12) };
}

const changes: Readonly<Record<string, (block: Buffer) => void>> = {
  'a smaller base, larger differences': (block) => {
    const { tail, sequences } = layoutOf(block);
    block.writeUInt32LE(99, tail);
    for (let at = sequences; at < sequences + 20; at += 1) {
      block[at]! += 1;
    }
  },
  'a base above its sequences': (block) => block.writeUInt32LE(101, layoutOf(block).tail),
  'a base that is no safe integer': (block) =>
    block.writeBigUInt64LE(2n ** 53n, layoutOf(block).tail),
  'fewer entries': (block) => block.writeUInt32LE(19, layoutOf(block).tail + 8),
  'more entries': (block) => block.writeUInt32LE(21, layoutOf(block).tail + 8),
  'no entries': (block) => block.writeUInt32LE(0, layoutOf(block).tail + 8),
  'a gap before the entries': (block) => {
    const { tail } = layoutOf(block);
    block.writeUInt32LE(block.readUInt32LE(tail + 12) + 1, tail + 12);
  },
  'wider sequences': (block) => (block[layoutOf(block).tail + 16] = 2),
  'sequences wider than any': (block) => (block[layoutOf(block).tail + 16] = 8),
  'another restart interval': (block) => (block[layoutOf(block).tail + 17] = 15),
  'no restart interval': (block) => (block[layoutOf(block).tail + 17] = 0),
  'a reserved byte in use': (block) => (block[layoutOf(block).tail + 18] = 1),
  'the other reserved byte in use': (block) => (block[layoutOf(block).tail + 19] = 1),
  'a restart in the middle of an entry': (block) => (block[layoutOf(block).restarts + 8]! += 1),
  'a restart at another entry': (block) => {
    const { restarts, entries: start } = layoutOf(block);
    const at = start + block.readUInt32LE(restarts + 8);
    block[restarts + 8]! += 3 + block[at + 1]!;
  },
  'a restart with the value of another': (block) => (block[layoutOf(block).restarts + 12]! -= 1),
  'a first restart that is not the first': (block) => (block[layoutOf(block).restarts] = 1),
  'a kind without meaning': (block) => (block[layoutOf(block).entries + 2]! |= 2),
  'a deletion with a value': (block) => (block[layoutOf(block).entries + 2]! &= 0xfc),
  'a value that is shorter': (block) => (block[layoutOf(block).entries + 2]! -= 4),
  'a key that shares what is not there': (block) => (block[layoutOf(block).entries] = 1),
  'a key that is longer than its entry': (block) => (block[layoutOf(block).entries + 1] = 0x7f),
  'a number with a high bit behind it': (block) => (block[layoutOf(block).entries + 1]! |= 0x80),
};

describe('a data block', () => {
  it('that is what was written is read and verified', () => {
    const fileSystem = withBlock(() => {});
    expect(isReadable(fileSystem)).toBe(true);
    expect(damageFoundByVerify(fileSystem)).toBeUndefined();
  });

  it.each(Object.keys(changes))('with %s is found by verify, all checksums right', (name) => {
    const found = damageFoundByVerify(withBlock(changes[name]!));
    expect(found).toMatchObject({ code: 'CORRUPT', file: samplePath });
    expect(found!.offset).toBeTypeOf('number');
  });

  it('with any one bit changed is found by verify, or can be read to its end', () => {
    const size = whole.footer.rangeTombstones.offset - TRAILER_SIZE - HEADER_SIZE;
    for (let bit = 0; bit < size * 8; bit += 29) {
      const fileSystem = withBlock((block) => (block[bit >>> 3]! ^= 1 << (bit & 7)));
      if (damageFoundByVerify(fileSystem) === undefined) {
        const reader = openSample(
          fileSystem,
          readTableMeta(fileSystem, samplePath, sampleIdentity),
        );
        const scanned = scanAll(reader.cursor());
        expect(scanned).toHaveLength(entries.length);
        expect(scanned.map(({ key }) => getFrom(reader, key))).toEqual(scanned);
      }
    }
  });
});
