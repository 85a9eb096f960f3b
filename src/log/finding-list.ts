import { type Refusal, unsupportedFormat } from '../base/refusal.ts';

/** Something that is not as it must be. */
export interface Finding {
  /** `damage`: what was durable is lost or changed. `notice`: nothing is lost, and the next open makes up for it. */
  readonly severity: 'damage' | 'notice';
  readonly file: string;
  readonly offset?: number;
  readonly position?: number;
  readonly stream?: string;
  readonly reason: string;
}

export type FindingPlace = Pick<Finding, 'offset' | 'position' | 'stream'>;

const FINDING_COUNT_MAX = 1_000;

/** What an audit has found: all of it is counted, the first thousand are kept. */
export class FindingList {
  readonly kept: Finding[] = [];
  count = 0;
  damageCount = 0;

  add(severity: Finding['severity'], file: string, reason: string, where: FindingPlace = {}): void {
    this.count += 1;
    this.damageCount += severity === 'damage' ? 1 : 0;
    if (this.kept.length < FINDING_COUNT_MAX) {
      this.kept.push({ severity, file, reason, ...where });
    }
  }

  /** Bytes at `offset` that can't be believed. Throws `UNSUPPORTED_FORMAT` for what a newer version wrote: that is not damage. */
  addRefused(file: string, offset: number, refusal: Refusal, position?: number): void {
    const { reason, version, at = 0 } = refusal;
    if (version !== undefined) {
      throw unsupportedFormat(file, version);
    }
    const where = { offset: offset + at };
    this.add('damage', file, reason, position === undefined ? where : { ...where, position });
  }
}
