/**
 * The contents of simulated files are pages that are never changed once they are in a file: a write makes a new page.
 * So clones, durable states and intermediate versions share all they have in common.
 */
import { createHash } from 'node:crypto';

export type Page = Uint8Array;

export const pageSize = 4096;
export const sectorSize = 512;
export const sectorsPerPage: number = pageSize / sectorSize;
/** One bit per sector of a page. */
export const allSectors: number = 2 ** sectorsPerPage - 1;
/** The one page of zeros, also what a hole reads as. */
export const zeroPage: Page = new Uint8Array(pageSize);

/** The sectors that a change of `[start, end)` touches. */
export function sectorsOf(start: number, end: number): number {
  const first = Math.floor(start / sectorSize);
  const last = Math.floor((end - 1) / sectorSize);
  return (2 ** (last + 1) - 1) & ~(2 ** first - 1);
}

/** A copy of `page` with `bytes` at `start`. */
export function patchedPage(page: Page, start: number, bytes: Uint8Array): Page {
  const copy = page.slice();
  copy.set(bytes, start);
  return sharedIfZero(copy);
}

/** `page` with zeros from `end` on. */
export function cutPage(page: Page, end: number): Page {
  if (page === zeroPage) {
    return page;
  }
  const copy = page.slice();
  copy.fill(0, end);
  return sharedIfZero(copy);
}

/** A page whose sector k is that of `sourceOf(k)`. */
export function composedPage(sourceOf: (sector: number) => Page): Page {
  const sources = Array.from({ length: sectorsPerPage }, (_, sector) => sourceOf(sector));
  const first = sources[0] ?? zeroPage;
  if (sources.every((source) => source === first)) {
    return first;
  }
  const page = new Uint8Array(pageSize);
  sources.forEach((source, sector) => {
    const start = sector * sectorSize;
    page.set(source.subarray(start, start + sectorSize), start);
  });
  return sharedIfZero(page);
}

export function flippedPage(page: Page, offset: number, bit: number): Page {
  const copy = page.slice();
  copy[offset] = (copy[offset] ?? 0) ^ (1 << bit);
  return sharedIfZero(copy);
}

/** SHA-256 of a page, computed once. */
export function digestOfPage(page: Page): string {
  let digest = digests.get(page);
  if (digest === undefined) {
    digest = createHash('sha256').update(page).digest('base64');
    digests.set(page, digest);
  }
  return digest;
}

const digests = new WeakMap<Page, string>();

function sharedIfZero(page: Page): Page {
  if (page[0] !== 0 || page[pageSize - 1] !== 0) {
    return page;
  }
  return Buffer.compare(page, zeroPage) === 0 ? zeroPage : page;
}
