import { gzipSync } from 'node:zlib';
import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { unpack } from './unpack.ts';

async function* inPieces(bytes: Uint8Array, size: number): AsyncGenerator<Uint8Array> {
  for (let start = 0; start < bytes.length; start += size) {
    yield bytes.subarray(start, start + size);
  }
}

async function unpacked(bytes: Uint8Array, size: number): Promise<string> {
  const pieces: Uint8Array[] = [];
  for await (const piece of unpack(inPieces(bytes, size), () => {})) {
    pieces.push(piece);
  }
  return Buffer.concat(pieces).toString();
}

const text = 'one\ntwo\n'.repeat(50);
const packed = gzipSync(text);

describe('unpack', () => {
  it('gives bytes that are not compressed as they are', async () => {
    await expect(unpacked(Buffer.from(text), 7)).resolves.toBe(text);
    await expect(unpacked(Buffer.from([0x1f]), 1)).resolves.toBe('\u001F');
    await expect(unpacked(Buffer.alloc(0), 1)).resolves.toBe('');
  });

  it('unpacks several files one after the other, and takes zeros at the end', async () => {
    const zeros = Buffer.alloc(100);
    for (const size of [1, 10, 1_000]) {
      await expect(unpacked(Buffer.concat([packed, packed, zeros]), size)).resolves.toBe(
        text + text,
      );
    }
  });

  it('refuses bytes that would be left out, however they are cut', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.integer({ min: 1, max: 200 }),
        fc.integer({ min: 1, max: 200 }),
        fc.constantFrom(Buffer.from('x'), packed),
        async (zeroCount, size, rest) => {
          const bytes = Buffer.concat([packed, Buffer.alloc(zeroCount), rest]);
          await expect(unpacked(bytes, size)).rejects.toThrow(
            'is followed by bytes that are not compressed',
          );
        },
      ),
      { numRuns: 50 },
    );
  });
});
