import { firstIndexWhere } from '../base/binary-search.ts';
import { compareTexts } from '../base/compare-texts.ts';
import type { IndexTree } from '../derived/index-tree.ts';
import type { Tail } from '../derived/tail.ts';

/** A place in the order of names: at a name, behind it, or behind all that begin with it. */
export interface NamePlace {
  readonly text: string;
  readonly is: 'at' | 'behind' | 'behind all with it';
}

/** Up to `countMax` names of streams from a place on, in the order of their UTF-8 bytes: those in the tail and those in the tree, each once. */
export function namesFrom(
  tail: Tail,
  tree: IndexTree | undefined,
  place: NamePlace,
  countMax: number,
): readonly string[] {
  const names: string[] = [];
  const lists = tail
    .sortedNames()
    .map((sorted) => ({ sorted, index: firstFrom(sorted, place) }))
    .filter(({ sorted, index }) => index < sorted.length);
  const inTree = tree?.namesFrom(place.text, place.is);
  try {
    let nextInTree = inTree?.next().value;
    while (names.length < countMax) {
      const least = lists.reduce<string | undefined>(
        (found, { sorted, index }) => lesser(found, sorted[index]),
        nextInTree,
      );
      if (least === undefined) {
        break;
      }
      names.push(least);
      for (const list of lists) {
        list.index += list.sorted[list.index] === least ? 1 : 0;
      }
      if (nextInTree === least) {
        nextInTree = inTree!.next().value;
      }
    }
  } finally {
    inTree?.return(undefined);
  }
  return names;
}

function firstFrom(sorted: readonly string[], { text, is }: NamePlace): number {
  return firstIndexWhere(sorted.length, (index) => {
    const name = sorted[index]!;
    const order = compareTexts(name, text);
    return order > 0
      ? is !== 'behind all with it' || !name.startsWith(text)
      : order === 0 && is === 'at';
  });
}

function lesser(one: string | undefined, other: string | undefined): string | undefined {
  if (one === undefined || other === undefined) {
    return one ?? other;
  }
  return compareTexts(one, other) <= 0 ? one : other;
}
