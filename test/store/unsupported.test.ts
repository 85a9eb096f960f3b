/** What a newer version, or a process with other codecs, has written: named as such, and left as it is. */
import { crc32 } from 'node:zlib';
import { audit, type Codec, open, VarveError } from 'varve';
import { SimulatedFileSystem } from 'varve/testing';
import { describe, expect, it } from 'vitest';

const directory = '/store';
const segment = '/store/log/00000000000000000000.seg';

async function codeOf(work: () => Promise<unknown>): Promise<string | undefined> {
  try {
    await work();
    return undefined;
  } catch (error) {
    return error instanceof VarveError ? error.code : String(error);
  }
}

async function filled(): Promise<SimulatedFileSystem> {
  const fileSystem = new SimulatedFileSystem();
  const store = await open(directory, {}, { fileSystem });
  await store.append('a', [{ type: 'T', data: 1 }]);
  await store.close();
  return fileSystem;
}

/** Writes another format version into a block and makes its checksum right. */
function setVersion(fileSystem: SimulatedFileSystem, path: string, crcAt: number): void {
  const bytes = Buffer.from(fileSystem.readFile(path));
  bytes.writeUInt32LE(2, 4);
  bytes.writeUInt32LE(crc32(bytes.subarray(0, crcAt)), crcAt);
  fileSystem.writeFile(path, bytes);
}

describe('a newer format version', () => {
  const newer: Readonly<Record<string, (fileSystem: SimulatedFileSystem) => void>> = {
    'store.json': (fileSystem) => {
      const path = `${directory}/store.json`;
      const text = Buffer.from(fileSystem.readFile(path)).toString('utf8');
      const { checksum: _, ...content } = JSON.parse(text) as Record<string, unknown>;
      content['version'] = 2;
      const checksum = crc32(JSON.stringify(content)).toString(16).padStart(8, '0');
      fileSystem.writeFile(path, Buffer.from(JSON.stringify({ ...content, checksum })));
    },
    'a segment': (fileSystem) => setVersion(fileSystem, segment, 124),
    'the tail file': (fileSystem) => setVersion(fileSystem, `${directory}/log/tail`, 60),
  };

  it.each(Object.keys(newer))('of %s is refused, and nothing is changed', async (what) => {
    const fileSystem = await filled();
    newer[what]!(fileSystem);
    const before = fileSystem.snapshotDigest();
    expect(await codeOf(() => open(directory, {}, { fileSystem }))).toBe('UNSUPPORTED_FORMAT');
    expect(await codeOf(() => audit(directory, {}, { fileSystem }))).toBe('UNSUPPORTED_FORMAT');
    expect(fileSystem.snapshotDigest()).toBe(before);
  });
});

describe('a codec that this process does not have', () => {
  /** Drops trailing zeros. */
  const trimming: Codec = {
    id: 77,
    name: 'trimming',
    compress: (plain) => plain.subarray(0, plain.findLastIndex((byte) => byte !== 0) + 1),
    decompress: (stored, plainSize) => {
      const plain = new Uint8Array(plainSize);
      plain.set(stored);
      return plain;
    },
  };

  it('lets events verify, and reading them says what is missing', async () => {
    const fileSystem = new SimulatedFileSystem();
    const options = { compression: 'trimming', compressionMinBytes: 1 };
    const data = new Uint8Array(100).fill(7, 0, 3);
    const store = await open(directory, options, { fileSystem, codecs: [trimming] });
    await store.append('a', [{ type: 'Bytes', data }], { idempotencyKey: 'k' });
    await store.append('a', [{ type: 'Plain', data: 'x' }]);
    expect([...((await store.get(0))!.data as Uint8Array)]).toEqual([...data]);
    await store.close();

    const other = await open(directory, {}, { fileSystem });
    expect(await codeOf(() => other.get(0))).toBe('UNSUPPORTED_FORMAT');
    expect((await other.get(1))!.data).toBe('x');
    expect((await other.verify()).ok).toBe(true);
    // Whether the content is the same can't be told, so the repeat is neither taken nor called a duplicate.
    const again = (): Promise<unknown> =>
      other.append('a', [{ type: 'Bytes', data }], { idempotencyKey: 'k' });
    expect(await codeOf(again)).toBe('UNSUPPORTED_FORMAT');
    expect(other.head).toBe(2);
    await other.close();
  });

  it('is refused by name before anything is touched', async () => {
    const fileSystem = new SimulatedFileSystem();
    const code = await codeOf(() => open(directory, { compression: 'lz9' }, { fileSystem }));
    expect(code).toBe('INVALID_ARGUMENT');
    expect(fileSystem.paths()).toEqual([]);
  });
});

describe('a codec that fails', () => {
  it('fails the append with an error of ours, and nobody else', async () => {
    const failing: Codec = {
      id: 79,
      name: 'failing',
      compress: () => {
        throw new TypeError('no');
      },
      decompress: (stored) => stored,
    };
    const fileSystem = new SimulatedFileSystem();
    const options = { compression: 'failing', compressionMinBytes: 10 };
    const store = await open(directory, options, { fileSystem, codecs: [failing] });
    const long = { type: 'T', data: 'x'.repeat(50) };
    expect(await codeOf(() => store.append('a', [long]))).toBe('INVALID_ARGUMENT');
    await store.append('a', [{ type: 'T' }]);
    expect(store.head).toBe(1);
    await store.close();
  });
});

describe('a payload that would decompress to more than it says', () => {
  it('is never decompressed further than that', async () => {
    const bomb: Codec = {
      id: 78,
      name: 'bomb',
      compress: () => new Uint8Array([1]),
      decompress: (_, plainSize) => new Uint8Array(plainSize + 1),
    };
    const fileSystem = new SimulatedFileSystem();
    const options = { compression: 'bomb', compressionMinBytes: 1 };
    const store = await open(directory, options, { fileSystem, codecs: [bomb] });
    await store.append('a', [{ type: 'T', data: new Uint8Array(50) }]);
    expect(await codeOf(() => store.get(0))).toBe('CORRUPT');
    await store.close();
  });
});
