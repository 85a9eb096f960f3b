import { ContentType, type RecordContent, type RecordDraft } from './format.ts';

/** What a draft holds while it is of no record. */
export const noContent: RecordContent = Object.freeze({
  stream: '',
  streamSize: 0,
  type: '',
  typeSize: 0,
  id: '',
  idSize: 0,
  correlationId: '',
  correlationSize: 0,
  causationId: '',
  causationSize: 0,
  tags: Object.freeze([]),
  tagsSize: 0,
  occurredAt: undefined,
  contentType: ContentType.none,
  codec: 0,
  plainSize: 0,
  metadataSize: 0,
  payload: Object.freeze([]),
  payloadSize: 0,
});

/** A draft to be filled in, again and again. */
export function makeRecordDraft(): { -readonly [Field in keyof RecordDraft]: RecordDraft[Field] } {
  return {
    position: 0,
    revision: 0,
    time: 0,
    commitIndex: 0,
    commitCount: 0,
    content: noContent,
    idempotencyKey: '',
    idempotencyKeySize: 0,
    idDraw: 0,
    streamNumber: 0,
  };
}
