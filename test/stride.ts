/**
 * A sweep that takes too long for every run takes a stride: another part of its cases in each commit, all of them over as
 * many commits as the stride is long, and at once with VARVE_SWEEP=all.
 */
import type { Operation } from 'varve/testing';
import { seed, sweepsEverything } from './seed.ts';

/** True for every `stride`-th number, from one that the seed of the run chooses. */
export function isInStride(index: number, stride: number): boolean {
  return sweepsEverything || (index + seed) % stride === 0;
}

/**
 * The operations of a program to strike in this run: the first of each kind, small and large, on each sort of file, so that no branch is
 * left to chance, and a stride of the others. Reads are many, alike, and leave nothing behind: of them one in twelve strides.
 */
export function stridedOperations(operations: readonly Operation[], stride: number): Operation[] {
  const met = new Set<string>();
  return operations.filter(({ index, kind, path, size = 0 }) => {
    // Zeros ahead of a log are written in large pieces, its frames in small ones.
    const sort = `${kind} ${size < 64 * 1024} ${path.replaceAll(/\d+/g, 'n')}`;
    const isFirst = !met.has(sort);
    met.add(sort);
    return isFirst || isInStride(index, isReading(kind) ? 12 * stride : stride);
  });
}

export function isReading(kind: Operation['kind']): boolean {
  return kind === 'read' || kind === 'open' || kind === 'stat' || kind === 'list';
}

/** Bits of a file to flip in this run: of every `stride`-th byte one, and as many runs later another one. */
export function* stridedBits(size: number, stride = 1): Generator<number> {
  const turn = Math.floor(seed / stride);
  for (let offset = 0; offset < size; offset += 1) {
    if (sweepsEverything) {
      yield* eightBits(offset);
    } else if (isInStride(offset, stride)) {
      // Not the same bit in neighbours.
      yield offset * 8 + ((offset * 3 + turn) & 7);
    }
  }
}

function eightBits(offset: number): number[] {
  return Array.from({ length: 8 }, (_, bit) => offset * 8 + bit);
}

/** Said in the title of a strided test. */
export const strideTitle: string = sweepsEverything ? 'all' : `a stride, VARVE_SEED=${seed}`;
