import { viewOf } from '../base/integers.ts';
import type { EntryKind } from '../kv/entries/cursor.ts';

type Target = {
  insertFrom(
    source: { readonly bytes: Uint8Array; readonly view: DataView },
    keyStart: number,
    keyEnd: number,
    end: number,
    sequence: number,
    kind: EntryKind,
  ): void;
};

/** Puts an entry into a memtable, or a queue of them. */
export function insertEntry(
  target: Target,
  key: Uint8Array,
  sequence: number,
  kind: EntryKind,
  value: Uint8Array,
): void {
  const bytes = new Uint8Array(key.length + value.length);
  bytes.set(key);
  bytes.set(value, key.length);
  target.insertFrom({ bytes, view: viewOf(bytes) }, 0, key.length, bytes.length, sequence, kind);
}
