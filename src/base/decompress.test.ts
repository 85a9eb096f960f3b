import * as zlib from 'node:zlib';
import { describe, expect, it } from 'vitest';
import { decompressWhole } from './decompress.ts';

const plain = Buffer.from('compress me '.repeat(40));
const { zstdCompressSync, zstdDecompressSync } = zlib as unknown as {
  readonly zstdCompressSync?: (bytes: Uint8Array) => Uint8Array;
  readonly zstdDecompressSync?: unknown;
};

describe.each([
  ['raw deflate', zlib.deflateRawSync, zlib.inflateRawSync],
  ['zstd', zstdCompressSync, zstdDecompressSync],
] as const)('a stream of %s', (_name, compress, decompress) => {
  it.skipIf(compress === undefined)('gives what was compressed', () => {
    for (const bytes of [plain, Buffer.alloc(1), Buffer.alloc(300_000, 'x')]) {
      const result = decompressWhole(decompress, compress!(bytes), bytes.length);
      expect(bytes.equals(result)).toBe(true);
    }
  });

  it.skipIf(compress === undefined)(
    'is refused with bytes after it, and never whole without its end',
    () => {
      const stored = Buffer.from(compress!(plain));
      for (const rest of [Buffer.alloc(1), Buffer.from('rest'), stored]) {
        const longer = Buffer.concat([stored, rest]);
        expect(() => decompressWhole(decompress, longer, plain.length)).toThrow();
      }
      const shorter = stored.subarray(0, stored.length - 1);
      expect(() => {
        const { length } = decompressWhole(decompress, shorter, plain.length);
        expect(length).toBe(plain.length);
      }).toThrow();
    },
  );

  it.skipIf(compress === undefined)('never gives more than was asked for', () => {
    expect(() => decompressWhole(decompress, compress!(plain), plain.length - 1)).toThrow();
  });
});
