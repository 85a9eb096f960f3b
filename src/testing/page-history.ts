/**
 * What a page has been since it was last wholly durable:
 *
 *     durable ── version ── version ── version = current
 *                sectors     sectors    sectors
 *
 * Each version says which sectors its write touched. A power cut may leave, for each sector, the durable bytes or those
 * of any version that touched it. A sync settles all versions issued before it, newest first, into `durable`.
 * A failed sync leaves them in limbo: the system believes they are clean, so no later sync settles them; only a newer
 * version of the same sector does.
 */
import type { SeededRandom } from '../base/random.ts';
import { allSectors, composedPage, sectorsPerPage } from './simulated-pages.ts';
import type { Page } from './simulated-pages.ts';

interface Version {
  readonly sequence: number;
  readonly page: Page;
  /** Those whose bytes this version still may give. */
  sectors: number;
  isLimbo: boolean;
}

export class PageHistory {
  #durable: Page;
  #versions: Version[] = [];

  constructor(durable: Page) {
    this.#durable = durable;
  }

  get durable(): Page {
    return this.#durable;
  }

  /** True if the durable page is also the current one. */
  get isSettled(): boolean {
    return this.#versions.length === 0;
  }

  add(sequence: number, page: Page, sectors: number): void {
    this.#versions.push({ sequence, page, sectors, isLimbo: false });
  }

  /** A successful sync of everything up to `sequence`. */
  settle(sequence: number): void {
    const covered = this.#versions.filter((version) => version.sequence <= sequence);
    const newest = covered.at(-1);
    if (newest === undefined) {
      return;
    }
    if (covered.every((version) => !version.isLimbo)) {
      this.#durable = newest.page;
      this.#versions.splice(0, covered.length);
      return;
    }
    this.#settleAroundLimbo(covered);
  }

  /** A failed sync of everything up to `sequence`. */
  abandon(sequence: number): void {
    for (const version of this.#versions) {
      version.isLimbo ||= version.sequence <= sequence;
    }
  }

  /** What a power cut could leave if the disk writes whole sectors of `sector` bytes. */
  afterCrash(random: SeededRandom, keep: number, sector: 512 | 4096): Page {
    if (sector === 512) {
      return this.#composed((index) => {
        const bit = 1 << index;
        const versions = this.#versions.filter((version) => (version.sectors & bit) !== 0);
        return versions[pickKept(random, keep, versions.length)]?.page;
      });
    }
    const last = pickKept(random, keep, this.#versions.length);
    const kept = this.#versions.slice(0, last + 1).toReversed();
    return this.#composed(
      (index) => kept.find((version) => (version.sectors & (1 << index)) !== 0)?.page,
    );
  }

  /** Applies a change of the medium itself to every state that the page could return to. */
  damage(change: (page: Page) => Page): void {
    this.#durable = change(this.#durable);
    this.#versions = this.#versions.map((version) => ({ ...version, page: change(version.page) }));
  }

  #settleAroundLimbo(covered: readonly Version[]): void {
    const sources: (Page | undefined)[] = Array.from({ length: sectorsPerPage });
    let settled = 0;
    for (const version of covered.toReversed()) {
      const fresh = version.isLimbo ? 0 : version.sectors & ~settled;
      for (let sector = 0; sector < sectorsPerPage; sector += 1) {
        if ((fresh & (1 << sector)) !== 0) {
          sources[sector] = version.page;
        }
      }
      settled |= fresh;
      version.sectors &= ~settled & allSectors;
    }
    this.#durable = this.#composed((sector) => sources[sector]);
    this.#versions = this.#versions.filter((version) => version.sectors !== 0);
  }

  #composed(sourceOf: (sector: number) => Page | undefined): Page {
    return composedPage((sector) => sourceOf(sector) ?? this.#durable);
  }
}

/** Index of the version that survives, -1 for none. The newest is likelier, as it is on a real disk. */
function pickKept(random: SeededRandom, keep: number, count: number): number {
  if (count === 0 || !random.chance(keep)) {
    return -1;
  }
  return random.chance(0.5) ? count - 1 : random.below(count);
}
