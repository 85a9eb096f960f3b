/**
 * The fields of a record, each once. The types of drafts, contents, views and differences follow from this table: a field that is
 * added here and forgotten in one of them does not compile. Where each stands: docs/formats/event-log.md.
 *
 *   place         given by the store's owner together with the position
 *   text, fact    said by whoever made the event; a repeat has to say the same
 *   commit        said by whoever made the commit; in its first record only
 *   payload       about the stored data and metadata
 *   hash          filled in on the way to the disk
 *   reserved      has room in the format; nothing makes one yet, and a reader refuses it
 */
interface FieldKinds {
  readonly position: 'place';
  readonly revision: 'place';
  readonly time: 'place';
  readonly commitIndex: 'place';
  readonly commitCount: 'place';
  readonly idDraw: 'place';
  readonly stream: 'text';
  readonly type: 'text';
  readonly suppliedId: 'text';
  readonly correlationId: 'text';
  readonly causationId: 'text';
  readonly tags: 'fact';
  readonly occurredAt: 'fact';
  readonly idempotencyScope: 'commit';
  readonly idempotencyKey: 'commit';
  readonly contentType: 'payload';
  readonly codec: 'payload';
  readonly payloadSize: 'payload';
  readonly plainSize: 'payload';
  readonly metadataSize: 'payload';
  readonly previousLeaf: 'hash';
  readonly digest: 'hash';
  readonly subject: 'reserved';
  readonly keyId: 'reserved';
  readonly schemaVersion: 'reserved';
}

/** Names of the fields of a kind. */
export type FieldsOf<Kind extends FieldKinds[keyof FieldKinds]> = {
  [Name in keyof FieldKinds]: FieldKinds[Name] extends Kind ? Name : never;
}[keyof FieldKinds];

/** A record's texts. An empty one is absent. */
export type TextField = FieldsOf<'text' | 'commit'> | 'subject';

/** Everything that a record says. */
export interface RecordFields
  extends
    Readonly<Record<FieldsOf<'place' | 'payload'>, number>>,
    Readonly<Record<FieldsOf<'text' | 'commit'>, string>>,
    Readonly<Record<FieldsOf<'hash'>, Uint8Array>>,
    Facts {}

/** Facts from an event's maker that are no texts. */
interface Facts extends Record<FieldsOf<'fact'>, unknown> {
  readonly tags: readonly string[];
  readonly occurredAt: number | undefined;
}

/**
 * The caller's part of a record, measured. Sizes are bytes in the record; an empty string stands for an absent one. A text whose
 * size is below its length is a UUID, stored as bytes.
 */
export interface RecordContent
  extends
    Readonly<Record<FieldsOf<'text'>, string>>,
    Readonly<Record<`${FieldsOf<'text'>}Size`, number>>,
    Readonly<Record<FieldsOf<'payload'>, number>>,
    Facts {
  /** Bytes of all tags. */
  readonly tagsSize: number;
  readonly payload: readonly (string | Uint8Array)[];
}

/** What the first record of a commit says of all of it; each empty in the others. Measured as the rest is. */
export interface CommitTexts
  extends
    Readonly<Record<FieldsOf<'commit'>, string>>,
    Readonly<Record<`${FieldsOf<'commit'>}Size`, number>> {}

/** Fields that a record gets together with its position. */
export interface RecordPlace extends Readonly<Record<FieldsOf<'place'>, number>> {
  /** Position of the stream's previous event, or -1. */
  readonly previousPosition: number;
  /** Its leaf hash, where the writer doesn't have it any more (`oldestLeafFor`). */
  readonly previousLeaf: Uint8Array | undefined;
}
