import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { LineProblem } from './line-problem.ts';
import { type Line, readLines } from './line-reader.ts';

async function* chunksOf(bytes: Uint8Array, size: number): AsyncGenerator<Uint8Array> {
  for (let start = 0; start < bytes.length; start += size) {
    yield bytes.subarray(start, start + size);
  }
}

async function linesOf(bytes: Uint8Array, chunkSize: number, sizeMax?: number): Promise<Line[]> {
  const all: Line[] = [];
  for await (const lines of readLines(chunksOf(bytes, chunkSize), sizeMax)) {
    all.push(...lines);
  }
  return all;
}

describe('readLines', () => {
  it('gives the same lines however the bytes are cut', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.string({ unit: 'grapheme' }).map((text) => text.replaceAll('\n', ''))),
        fc.integer({ min: 1, max: 9 }),
        async (texts, chunkSize) => {
          const bytes = Buffer.from(texts.map((text) => `x${text}\n`).join(''));
          const lines = await linesOf(bytes, chunkSize);
          expect(lines.map(({ text }) => text)).toEqual(texts.map((text) => `x${text}`));
        },
      ),
    );
  });

  it('counts blank lines and leaves them out', async () => {
    const lines = await linesOf(Buffer.from('one\n\n  \r\nfour'), 100);
    expect(lines.map(({ number, text }) => [number, text])).toEqual([
      [1, 'one'],
      [4, 'four'],
    ]);
  });

  it('takes for blank only what JSON takes for space', async () => {
    const lines = await linesOf(Buffer.from('\u00A0\n\u2028\n \t\r\n\uFEFF\n'), 100);
    expect(lines.map(({ text }) => text)).toEqual(['\u00A0', '\u2028', '\uFEFF']);
  });

  it('leaves out a byte order mark at the beginning only', async () => {
    const lines = await linesOf(Buffer.from('\uFEFFa\n\uFEFFb\n'), 100);
    expect(lines.map(({ text }) => text)).toEqual(['a', '\uFEFFb']);
  });

  it('hands out what stands before a line that is not UTF-8', async () => {
    const seen: number[] = [];
    const read = async (): Promise<void> => {
      const bytes = Buffer.concat([Buffer.from('a\nb\n'), Buffer.from([0xff, 0x0a])]);
      for await (const lines of readLines(chunksOf(bytes, 100))) {
        seen.push(...lines.map(({ number }) => number));
      }
    };
    await expect(read()).rejects.toMatchObject({ line: 3, message: 'the line is not UTF-8' });
    expect(seen).toEqual([1, 2]);
  });

  it('refuses a line that never ends', async () => {
    const reading = linesOf(Buffer.from(`a\n${'x'.repeat(100)}`), 10, 50);
    await expect(reading).rejects.toBeInstanceOf(LineProblem);
    await expect(reading).rejects.toMatchObject({ line: 2 });
  });
});
