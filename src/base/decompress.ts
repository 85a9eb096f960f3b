/** A decompressing function of `node:zlib` that says how much of its input it has used. */
type Decompress = (
  stored: Uint8Array,
  options: { readonly maxOutputLength: number; readonly info: true },
) => { readonly buffer: Uint8Array; readonly engine: { readonly bytesWritten: number } };

/**
 * The plain bytes of one compressed stream that takes all of `stored`. Never produces more than `plainSize` bytes; throws if there are
 * more, if the stream is damaged, and if anything follows it, which zlib passes over in silence. Of a stream that is cut short some versions of
 * Node give fewer bytes and no error: the caller compares the size.
 */
export function decompressWhole(
  decompress: unknown,
  stored: Uint8Array,
  plainSize: number,
): Uint8Array {
  const { buffer, engine } = (decompress as Decompress)(stored, {
    maxOutputLength: Math.max(plainSize, 1),
    info: true,
  });
  const rest = stored.length - engine.bytesWritten;
  if (rest !== 0) {
    throw new RangeError(`${rest} bytes follow the compressed stream`);
  }
  return buffer;
}
