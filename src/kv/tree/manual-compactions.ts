import { VarveError } from '../../base/errors.ts';
import { type CompactionPlan, type Kept, pickManual } from '../compaction/compaction-picker.ts';
import type { CompactionSettings } from '../compaction/compaction-settings.ts';
import { LEVEL_COUNT, type Levels } from '../manifest/levels.ts';
import type { TableMeta } from '../sstable/table-meta.ts';

interface Request {
  /** Both ends included; undefined: open. */
  readonly from: Uint8Array | undefined;
  readonly to: Uint8Array | undefined;
  level: number;
  /** Tables that were made for it from tables of the same level: rewriting them again would gain nothing. */
  readonly rewritten: Set<number>;
  readonly resolve: () => void;
  readonly reject: (error: unknown) => void;
}

/** Compactions of ranges that somebody asked for, one after the other, each level by level. */
export class ManualCompactions {
  readonly #settings: CompactionSettings;
  #requests: Request[] = [];

  constructor(settings: CompactionSettings) {
    this.#settings = settings;
  }

  /** Resolves when the range has been merged as far as it goes. */
  async add(from: Uint8Array | undefined, to: Uint8Array | undefined): Promise<void> {
    await new Promise<void>((resolve, reject) => {
      this.#requests.push({ from, to, level: 0, rewritten: new Set(), resolve, reject });
    });
  }

  /**
   * The next step of the first request. Undefined if there is none; requests that have come to their end are told. `damage`: what was met
   * last.
   */
  nextPlan(
    levels: Levels,
    damaged: ReadonlySet<number>,
    kept: Kept,
    damage: VarveError | undefined,
  ): CompactionPlan | undefined {
    for (;;) {
      const request = this.#requests[0];
      if (request === undefined) {
        return undefined;
      }
      const plan = this.#planFor(request, levels, damaged, kept);
      if (plan !== undefined) {
        return plan;
      }
      this.#requests.shift();
      if (request.level < LEVEL_COUNT) {
        request.reject(damage ?? damagedInput());
      } else {
        request.resolve();
      }
    }
  }

  /** A step has been done. */
  made({ level, outputLevel }: CompactionPlan, tables: readonly TableMeta[]): void {
    const request = this.#requests[0];
    if (request !== undefined && level === outputLevel) {
      for (const { number } of tables) {
        request.rewritten.add(number);
      }
    }
  }

  rejectAll(error: unknown): void {
    const requests = this.#requests;
    this.#requests = [];
    for (const { reject } of requests) {
      reject(error);
    }
  }

  /** Undefined, with the request's level at the end: nothing is left to do; before it: what is left can't be done. */
  #planFor(
    request: Request,
    levels: Levels,
    damaged: ReadonlySet<number>,
    kept: Kept,
  ): CompactionPlan | undefined {
    for (; request.level < LEVEL_COUNT; request.level += 1) {
      const { level } = request;
      const plan = pickManual(levels, request, level, this.#settings, damaged, kept);
      if (plan === 'busy') {
        return undefined;
      }
      if (plan !== undefined && !isRepeated(plan, request.rewritten)) {
        return plan;
      }
    }
    return undefined;
  }
}

function isRepeated(
  { level, outputLevel, inputs }: CompactionPlan,
  made: ReadonlySet<number>,
): boolean {
  return level === outputLevel && inputs.flat().every(({ number }) => made.has(number));
}

function damagedInput(): VarveError {
  return new VarveError(
    'CORRUPT',
    'A table in this range is damaged: run verify() to see which, and restore it.',
  );
}
