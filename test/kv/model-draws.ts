/** Draws what is asked of a store, mostly about keys that are there. */
import type { SeededRandom } from 'varve/testing';
import { drawKey, drawPrefix, drawValue, type KeyKind } from './awkward-keys.ts';
import type { ModelGuard, ModelOperation, ModelRange, ModelWrite, SortedModel } from './model.ts';

export class Draws {
  readonly #model: () => SortedModel;
  readonly #random: SeededRandom;
  readonly #kind: KeyKind;

  constructor(random: SeededRandom, kind: KeyKind, model: () => SortedModel) {
    this.#random = random;
    this.#kind = kind;
    this.#model = model;
  }

  key(): string {
    const random = this.#random;
    const { entries } = this.#model().now;
    return entries.length > 0 && random.chance(0.4)
      ? random.pick(entries).key
      : drawKey(this.#kind, random);
  }

  prefix(): string {
    return drawPrefix(this.#kind, this.#random);
  }

  range(): ModelRange {
    const random = this.#random;
    return {
      ...(random.chance(0.4) ? { gte: this.key() } : {}),
      ...(random.chance(0.15) ? { gt: this.key() } : {}),
      ...(random.chance(0.15) ? { lte: this.key() } : {}),
      ...(random.chance(0.4) ? { lt: this.key() } : {}),
      ...(random.chance(0.2) ? { prefix: this.prefix() } : {}),
    };
  }

  write(): ModelWrite {
    const random = this.#random;
    if (random.chance(0.02)) {
      const isPrefix = random.chance(0.6);
      const [from, to] = isPrefix ? [this.prefix(), this.prefix()] : [this.key(), this.key()];
      return { kind: 'rename', from, to, isPrefix, overwrites: random.chance(0.5) };
    }
    const count = random.chance(0.85) ? 1 : random.below(12);
    const operations = Array.from({ length: count }, () => this.#operation());
    return { kind: 'batch', operations, guards: random.chance(0.15) ? this.#guards() : [] };
  }

  #operation(): ModelOperation {
    const random = this.#random;
    const roll = random.below(1_000);
    if (roll < 720) {
      return { type: 'put', key: this.key(), value: drawValue(random) };
    }
    if (roll < 990) {
      return { type: 'delete', key: this.key() };
    }
    const from = this.key();
    const near = { gte: from, lt: `${from}${random.pick(['\0', 'b', '\xff'])}` };
    const range = random.pick<ModelRange>([near, near, near, { prefix: `${this.prefix()}a` }]);
    return { type: 'deleteRange', range: random.chance(0.1) ? this.range() : range };
  }

  #guards(): ModelGuard[] {
    const random = this.#random;
    return Array.from({ length: 1 + random.below(2) }, (): ModelGuard => {
      const key = this.key();
      const version = this.#model().now.get(key)?.version ?? 0;
      if (random.chance(0.25)) {
        return { prefix: `${this.prefix()}b`, empty: true };
      }
      return version === 0 && random.chance(0.9)
        ? { key, absent: true }
        : { key, version: random.chance(0.9) ? version : random.below(version + 3) };
    });
  }
}
