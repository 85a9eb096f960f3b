import { CorruptionError, VarveError } from '../base/errors.ts';
import type { CodecRegistry } from './codecs.ts';
import { decodePayload } from './event-decoder.ts';
import type { FindingList } from './finding-list.ts';
import type { RecordView } from './record-view.ts';

/** The part of an audit that decompresses and parses payloads, as a read does. */
export class PayloadAudit {
  /** Payloads whose codec is not here. */
  unparsed = 0;
  readonly #codecs: CodecRegistry;
  readonly #findings: FindingList;
  readonly #missingCodecs = new Set<number>();

  constructor(codecs: CodecRegistry, findings: FindingList) {
    this.#codecs = codecs;
    this.#findings = findings;
  }

  /** `record` knows where it lies, and its payload is what was written. */
  check(record: RecordView): void {
    if (record.isErased) {
      return;
    }
    try {
      decodePayload(record, this.#codecs);
    } catch (error) {
      if (error instanceof CorruptionError) {
        this.#find('damage', record, error.reason);
      } else if (error instanceof VarveError && error.code === 'UNSUPPORTED_FORMAT') {
        this.#noteUnparsed(record);
      } else {
        throw error;
      }
    }
  }

  /** Once for each codec that isn't here: nothing is known to be wrong. */
  #noteUnparsed(record: RecordView): void {
    const { codec } = record;
    this.unparsed += 1;
    if (!this.#missingCodecs.has(codec)) {
      this.#missingCodecs.add(codec);
      this.#find('notice', record, `payloads with codec ${codec} can't be parsed: it is not here`);
    }
  }

  #find(severity: 'damage' | 'notice', record: RecordView, reason: string): void {
    const { file, fileOffset: offset, position, stream } = record;
    this.#findings.add(severity, file, reason, { offset, position, stream });
  }
}
