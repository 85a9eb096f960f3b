/** Headers, footers, the tail file and the identity with values that they never have, their checksums made right. */
import { crc32 } from 'node:zlib';
import type { CorruptionError } from 'varve';
import type { SimulatedFileSystem } from 'varve/testing';
import { beforeAll, describe, expect, it } from 'vitest';
import { checkAgreement } from './agreement.ts';
import { SEGMENT_0, smallStore, twoSegmentStore, type Victim } from './damage.ts';

const TAIL = '/store/log/tail';
const STORE_JSON = '/store/store.json';

let small: Victim;
let twoSegments: Victim;
beforeAll(async () => {
  small = await smallStore();
  twoSegments = await twoSegmentStore();
});

interface Block {
  readonly path: string;
  readonly start: (bytes: Buffer) => number;
  readonly crcAt: number;
  readonly reserved: readonly number[];
  readonly numbers: readonly number[];
}

const SEGMENT_1 = '/store/log/00000000000000000012.seg';
const blocks: Readonly<Record<string, Block>> = {
  'the header of a sealed segment': {
    path: SEGMENT_0,
    start: () => 0,
    crcAt: 124,
    reserved: range(56, 124),
    numbers: [48],
  },
  'the header of the newest segment': {
    path: SEGMENT_1,
    start: () => 0,
    crcAt: 124,
    reserved: range(56, 124),
    numbers: [48],
  },
  'a footer': {
    path: SEGMENT_0,
    start: ({ length }) => length - 128,
    crcAt: 124,
    reserved: [...range(52, 56), ...range(104, 124)],
    numbers: [24, 56, 64],
  },
  'the tail file': {
    path: TAIL,
    start: () => 0,
    crcAt: 60,
    reserved: range(40, 60),
    numbers: [24, 32],
  },
};

function range(start: number, end: number): number[] {
  return Array.from({ length: end - start }, (_, index) => start + index);
}

describe.each(Object.keys(blocks))('%s with its checksum made right', (name) => {
  const { path, start, crcAt, reserved, numbers } = blocks[name]!;

  function diskWithBlock(change: (block: Buffer) => void): SimulatedFileSystem {
    const disk = twoSegments.disk.clone();
    const bytes = Buffer.from(disk.readFile(path));
    const block = bytes.subarray(start(bytes));
    change(block);
    block.writeUInt32LE(crc32(block.subarray(0, crcAt)), crcAt);
    disk.writeFile(path, bytes);
    return disk;
  }

  it('is refused with a reserved byte in use', async () => {
    for (const at of reserved) {
      const disk = diskWithBlock((block) => (block[at] = 0x80));
      const { refused } = await checkAgreement(disk, `${name}, byte ${at}`);
      expect(refused).toMatchObject({ code: 'CORRUPT', file: path });
      const offset = start(Buffer.from(twoSegments.disk.readFile(path))) + at;
      expect((refused as CorruptionError).offset).toBe(offset);
    }
  });

  it('is refused with a number that is too large', async () => {
    for (const at of numbers) {
      const disk = diskWithBlock((block) => block.writeBigUInt64LE(2n ** 53n, at));
      const { refused } = await checkAgreement(disk, `${name}, number at ${at}`);
      expect(refused).toMatchObject({ code: 'CORRUPT', file: path });
    }
  });

  it('of another version asks for one that knows it, and is never replaced', async () => {
    const disk = diskWithBlock((block) => block.writeUInt32LE(2, 4));
    const { refused } = await checkAgreement(disk, `${name}, version`);
    expect(refused).toMatchObject({ code: 'UNSUPPORTED_FORMAT', details: { file: path } });
  });
});

describe('a footer of its own segment that lies about its place', () => {
  it.each(['first position', 'count', 'frames end'])('is refused: %s', async (name) => {
    const at = { 'first position': 24, count: 32, 'frames end': 40 }[name]!;
    const disk = twoSegments.disk.clone();
    const bytes = Buffer.from(disk.readFile(SEGMENT_0));
    const block = bytes.subarray(-128);
    block.writeUInt32LE(block.readUInt32LE(at) + 1, at);
    block.writeUInt32LE(crc32(block.subarray(0, 124)), 124);
    disk.writeFile(SEGMENT_0, bytes);
    const { refused } = await checkAgreement(disk, name);
    expect(refused).toMatchObject({ code: 'CORRUPT', file: SEGMENT_0 });
  });
});

describe('store.json with its checksum made right', () => {
  const changes: Readonly<Record<string, (content: Record<string, unknown>) => object>> = {
    'an id of dashes': (content) => ({ ...content, id: '-'.repeat(36) }),
    'an id with its dashes elsewhere': (content) => ({ ...content, id: `${'0'.repeat(32)}----` }),
    'an id in capital letters': (content) => ({
      ...content,
      id: String(content['id']).toUpperCase(),
    }),
    'a date that is none': (content) => ({ ...content, created: 'yesterday' }),
    'no date': ({ created: _created, ...content }) => content,
    'a field more': (content) => ({ ...content, note: 'x' }),
    'another order': (content) => Object.fromEntries(Object.entries(content).toReversed()),
    'another format': (content) => ({ ...content, format: 'verve' }),
  };

  it.each(Object.keys(changes))('is refused: %s', async (name) => {
    const disk = small.disk.clone();
    const { checksum: _checksum, ...content } = JSON.parse(
      Buffer.from(disk.readFile(STORE_JSON)).toString(),
    ) as Record<string, unknown>;
    const changed = changes[name]!(content);
    const checksum = crc32(JSON.stringify(changed)).toString(16).padStart(8, '0');
    disk.writeFile(STORE_JSON, Buffer.from(JSON.stringify({ ...changed, checksum })));
    const { refused } = await checkAgreement(disk, name);
    expect(refused).toMatchObject({ code: 'CORRUPT', file: STORE_JSON });
  });

  it('is refused with a field that stands twice', async () => {
    const disk = small.disk.clone();
    const content = Buffer.from(disk.readFile(STORE_JSON)).toString();
    disk.writeFile(STORE_JSON, Buffer.from(content.replace('{', '{ "id": "other",')));
    const { refused } = await checkAgreement(disk, 'an id twice');
    expect(refused).toMatchObject({ code: 'CORRUPT', file: STORE_JSON });
  });

  it('is read with other white space', async () => {
    const disk = small.disk.clone();
    const content: unknown = JSON.parse(Buffer.from(disk.readFile(STORE_JSON)).toString());
    disk.writeFile(STORE_JSON, Buffer.from(JSON.stringify(content, null, '\t')));
    expect(await checkAgreement(disk, 'tabs')).toMatchObject({ refused: undefined });
  });
});
